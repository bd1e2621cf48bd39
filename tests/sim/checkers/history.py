"""Histories: facts made by hand. T is a transaction of message `t1` from Sam to Alice (index 0) and Bob (index 1)."""

from typing import Any

from sim.facts import Arrived, Bounced, Crashed, Fact, Noted, Ordered, Promised, QueueSeen, Submitted
from sim.ledger import words
from sim.observer import Violation
from sim.truth import Truth
from smx.ids import id_text, segment_id, session_id, transaction_id
from smx.messages import QueueRow
from smx.notes import NOTES

QMGR, SMTPC, SMTPS, LDA, MCP = 1_700_000_010, 1_700_000_020, 1_700_000_030, 1_700_000_040, 1_700_000_001
T = transaction_id(QMGR, 1, 1)
OTHER = transaction_id(QMGR, 1, 2)
DSN = transaction_id(QMGR, 0, 1)
DSN2 = transaction_id(QMGR, 0, 2)
SESSION = session_id(SMTPS, 1)
SAM, ALICE, BOB = "sam@client.example", "alice@lab.example", "bob@sink.example"
HOST = "sink.example"
SECOND = 1_000_000
EPOCHS = {"qmgr": QMGR, "smtpc": SMTPC, "smtps": SMTPS, "lda": LDA, "mcp": MCP}


def noted(at: int, process: str, name: str, *values: Any, epoch: int = 0) -> Noted:
    assert len(values) == len(NOTES[name].fields), f"{name} has {NOTES[name].fields}"
    return Noted(at, process, epoch or EPOCHS[process.partition(".")[0]], name, values)


def envelope(at: int, transaction: int = T, sender: str = SAM, recipients: tuple[str, ...] = (ALICE, BOB), notify: int = 0, epoch: int = 0) -> list[Fact]:
    """QMGR takes it over."""
    taken = noted(at, "qmgr", "submitted", transaction, SESSION, sender.encode(), len(recipients), 100, 1, 64, "client", epoch=epoch)
    rest = [noted(at, "qmgr", "recipient", transaction, index, address.encode(), b"", notify, epoch=epoch) for index, address in enumerate(recipients)]
    return [taken, *rest]


def sent(at: int = 10, token: str = "t1", sender: str = SAM, recipients: tuple[str, ...] = (ALICE, BOB), notify: tuple[int, ...] = ()) -> Submitted:
    return Submitted(at, token, sender, recipients, notify)


def accepted(sender: str = SAM, recipients: tuple[str, ...] = (ALICE, BOB), notify: int = 0) -> list[Fact]:
    """From the dot at 10 to the 250 at 40."""
    return [
        *(noted(1, process, "started", EPOCHS[process.partition(".")[0]]) for process in ("qmgr", "smtpc.0", "smtps.mx.0")),
        noted(2, "qmgr", "recovered", 0, 0, 0, 1),
        sent(10, sender=sender, recipients=recipients, notify=(notify,) * len(recipients)),
        *envelope(20, sender=sender, recipients=recipients, notify=notify),
        noted(30, "qmgr", "durable", T),
        noted(40, "smtps.mx.0", "accepted", SESSION, T, len(recipients), 100),
        Promised(41, "t1", T),
    ]


def order(at: int, delivery: int, *indices: int, transaction: int = T, destination: str = HOST, attempt: int = 1, epoch: int = QMGR) -> list[Fact]:
    begun = noted(at, "qmgr", "begun", delivery, transaction, destination, len(indices), attempt, epoch=epoch)
    return [begun, Ordered(at, epoch, delivery, transaction, destination, indices, attempt)]


def dot(at: int, delivery: int, transaction: int = T, process: str = "smtpc.0") -> Noted:
    return noted(at, process, "dot", delivery, transaction, "sink")


def verdict(at: int, index: int, outcome: str = "delivered", attempt: int = 1, code: int = 250, transaction: int = T, epoch: int = 0) -> Noted:
    return noted(at, "qmgr", "verdict", transaction, index, attempt, outcome, code, b"text", "sink", epoch=epoch)


def recorded(at: int, index: int, attempt: int = 1, transaction: int = T, epoch: int = 0) -> Noted:
    return noted(at, "qmgr", "recorded", transaction, index, attempt, epoch=epoch)


def deferred(at: int, index: int, attempt: int = 1, transaction: int = T) -> Noted:
    return noted(at, "qmgr", "deferred", transaction, index, attempt, at + SECOND, b"later")


def arrived(at: int, recipient: str = BOB, token: str = "t1", transaction: int = T, sender: str | None = SAM, fault: str = "") -> Arrived:
    return Arrived(at, token, recipient, HOST, transaction, sender, fault)


def bounced(
    at: int, recipient: str = BOB, kind: str = "failed", number: int = 1, to: str = SAM, sender: str = "", about: int = T, token: str = "t1"
) -> Bounced:
    return Bounced(at, token, recipient, kind, f"<{id_text(about)}.1.{number}@mx.lab.example>", to, sender)


def notified(at: int, original: int = T, notification: int = DSN, to: str = SAM, kind: str = "failed") -> list[Fact]:
    """QMGR queues a DSN."""
    return [noted(at, "qmgr", "bounced", original, kind, notification, 1, to.encode()), *envelope(at, notification, "", (to,))]


def delivery(at: int, number: int, index: int, recipient: str) -> list[Fact]:
    """A whole attempt that ends well, 50 us long."""
    return [*order(at, number, index), dot(at + 10, number), arrived(at + 20, recipient), verdict(at + 30, index), recorded(at + 40, index)]


def calm() -> list[Fact]:
    """The whole life of a message that is delivered to both."""
    return [*accepted(), *delivery(100, 1, 0, ALICE), *delivery(200, 2, 1, BOB), noted(260, "qmgr", "closed", T)]


def queue(at: int, *rows: tuple[int, int, str], state: str = "deferred") -> QueueSeen:
    return QueueSeen(at, tuple(QueueRow(transaction, index, state, b"", address.encode(), HOST, 0, 0, 1, 100) for transaction, index, address in rows))


def power(at: int) -> Crashed:
    return Crashed(at, "power", 0, "power")


def segment(epoch: int, counter: int) -> str:
    return f"{segment_id(epoch, counter):016x}.cdb"


def judge(invariant: str, facts: list[Fact], *, end: int = 0, lossy: bool = False) -> list[Violation]:
    """What one checker says of it."""
    truth = Truth([invariant], lossy=lossy)
    for fact in facts:
        truth.observe(fact)
    return truth.finish(end or facts[-1].at + 1)


def without(facts: list[Fact], *names: str) -> list[Fact]:
    """The history without the notes of these names."""
    return [fact for fact in facts if not (isinstance(fact, Noted) and words(fact.name) in names)]
