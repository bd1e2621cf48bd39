"""Ledger: what the facts of a run say about messages, envelopes, faults and processes, kept once for all checkers.

It draws no conclusions: a checker asks it, say, which recipients an alias became, and judges that itself. It is told each fact before
any checker is.
"""

from typing import Final

from msgspec import Struct

from sim.facts import (
    POWER,
    Arrived,
    Bounced,
    Configured,
    Crashed,
    FaultInjected,
    FaultsEnded,
    Noted,
    Promised,
    QueueSeen,
    Refused,
    ReplyLost,
    Submitted,
)
from sim.observer import Handlers
from sim.spoken import Dialogues
from smx.ids import id_number
from smx.notes import text

Place = tuple[int, int]  # transaction, index of the recipient
Pair = tuple[str, str]  # token, recipient

DELIVERED: Final = ("delivered", "relayed")
FINAL: Final = ("delivered", "relayed", "failed")


class Sending(Struct):
    """A message as its client sent it."""

    submitted: Submitted
    promised: Promised | None = None
    refused: Refused | None = None  # at the dot


class Envelope(Struct):
    """A transaction as QMGR took it over. `parents`: index -> (index it was expanded from, epoch that noted it)."""

    submitted: Noted
    sender: str
    recipients: dict[int, str] = {}
    notify: dict[int, int] = {}
    parents: dict[int, tuple[int, int]] = {}
    durable: Noted | None = None
    closed: Noted | None = None
    original: int = 0  # of a notification: the transaction that it is about

    @property
    def id(self) -> int:
        return int(self.submitted.values[0])

    def indices(self, address: str) -> list[int]:
        """Those of a recipient, accepted or expanded."""
        return [index for index, found in self.recipients.items() if same_address(found, address)]

    def places(self, address: str) -> int:
        """How many copies the envelope asks for: named twice, or named and behind an alias, is two; an expansion that was made again is one."""
        return sum(1 for index in self.indices(address) if index not in self.parents or index in self.children(self.parents[index][0]))

    def children(self, index: int) -> list[int]:
        """What the alias at this index became, by the latest process that followed it."""
        epochs = [epoch for parent, epoch in self.parents.values() if parent == index]
        latest = max(epochs, default=0)
        return [child for child, (parent, epoch) in self.parents.items() if parent == index and epoch == latest]


class Ledger:
    """`lossy`: the facts come from a log that loses the last lines of a killed process."""

    def __init__(self, *, lossy: bool = False) -> None:
        self.lossy: Final = lossy
        self.dialogues: Final = Dialogues()
        self.sendings: dict[str, Sending] = {}
        self.token_of: dict[int, str] = {}
        self.envelopes: dict[int, Envelope] = {}
        self.notifications: dict[int, list[int]] = {}  # transaction -> those about its failures
        self.arrivals: dict[Pair, list[Arrived]] = {}
        self.failures: dict[Pair, list[Bounced]] = {}  # reported as failed
        self.told: set[int] = set()  # transactions of which a failure was reported to anybody
        self.lost_replies: dict[Pair, int] = {}
        self.crashes: list[Crashed] = []
        self.faults: list[FaultInjected] = []
        self.families: set[str] = set()
        self.ended: FaultsEnded | None = None
        self.configured: dict[str, int] = {}
        self.queue: QueueSeen | None = None
        self.epochs: dict[str, int] = {}  # process -> its latest epoch
        self._expanding: Noted | None = None
        self._about: dict[int, int] = {}  # notification -> the transaction that it is about
        self.handlers: Handlers = {
            Submitted: self._on_submitted,
            Promised: self._on_promised,
            Refused: self._on_refused,
            Arrived: self._on_arrived,
            ReplyLost: self._on_reply_lost,
            Bounced: self._on_bounced,
            Crashed: self.crashes.append,
            FaultInjected: self._on_fault,
            FaultsEnded: self._on_faults_ended,
            Configured: self._on_configured,
            QueueSeen: self._on_queue,
            "started": self._on_started,
            "submitted": self._on_envelope,
            "recipient": self._on_recipient,
            "expanded": self._on_expanded,
            "bounced": self._on_notified,
            "durable": self._on_durable,
            "closed": self._on_closed,
        }

    # --- questions --------------------------------------------------------------------------------------------------

    @property
    def unsafe(self) -> bool:
        """The disk itself broke its promise (F13 and then a power loss, F16): what is lost or doubled then is not the MTA's doing."""
        families = self.families
        return "F16" in families or ("F13" in families and any(crash.process == POWER for crash in self.crashes))

    def limit(self, name: str, default: int) -> int:
        return self.configured.get(name, default)

    def healed_at(self) -> int:
        """When the liveness phase began; -1: it did not."""
        return self.ended.at if self.ended is not None else -1

    def token(self, transaction: int) -> str:
        """Of the message, "" when not known. A notification has that of what it is about."""
        seen = 0
        while transaction in self._about and seen < 4:
            transaction = self._about[transaction]
            seen += 1
        return self.token_of.get(transaction, "")

    def places(self, transaction: int, address: str) -> list[Place]:
        envelope = self.envelopes.get(transaction)
        return [(transaction, index) for index in envelope.indices(address)] if envelope is not None else []

    def notifications_about(self, transaction: int) -> list[int]:
        """All of them, whatever they say of it."""
        return [notification for notification, original in self._about.items() if original == transaction]

    def is_notification(self, transaction: int) -> bool:
        return transaction in self._about

    # --- facts from outside -----------------------------------------------------------------------------------------

    def _on_submitted(self, fact: Submitted) -> None:
        self.sendings[fact.token] = Sending(fact)

    def _on_promised(self, fact: Promised) -> None:
        sending = self.sendings.get(fact.token)
        if sending is not None:
            sending.promised = fact
        if fact.transaction:
            self.token_of[fact.transaction] = fact.token

    def _on_refused(self, fact: Refused) -> None:
        if fact.stage == "dot" and fact.token in self.sendings:
            self.sendings[fact.token].refused = fact

    def _on_arrived(self, fact: Arrived) -> None:
        self.arrivals.setdefault((fact.token, fact.recipient), []).append(fact)
        if fact.transaction:
            self.token_of.setdefault(fact.transaction, fact.token)

    def _on_reply_lost(self, fact: ReplyLost) -> None:
        pair = (fact.token, fact.recipient)
        self.lost_replies[pair] = self.lost_replies.get(pair, 0) + 1

    def _on_bounced(self, fact: Bounced) -> None:
        if fact.kind == "failed":
            transaction = about(fact.message_id)
            token = fact.token or self.token(transaction)  # content that could not be read is not returned, and so no token
            self.failures.setdefault((token, fact.recipient), []).append(fact)
            self.told.add(transaction)

    def _on_fault(self, fact: FaultInjected) -> None:
        self.faults.append(fact)
        self.families.add(fact.fault)

    def _on_faults_ended(self, fact: FaultsEnded) -> None:
        self.ended = fact

    def _on_configured(self, fact: Configured) -> None:
        self.configured[fact.name] = fact.value

    def _on_queue(self, fact: QueueSeen) -> None:
        if fact.final:
            self.queue = fact

    # --- notes ------------------------------------------------------------------------------------------------------

    def _on_started(self, fact: Noted) -> None:
        self.epochs[fact.process] = fact.epoch

    def _on_envelope(self, fact: Noted) -> None:
        transaction = fact.values[0]
        if transaction not in self.envelopes:  # one id for two envelopes is for I8 to object to
            self.envelopes[transaction] = Envelope(fact, words(fact.values[2]), original=self._about.get(transaction, 0))

    def _on_recipient(self, fact: Noted) -> None:
        transaction, index, address, _, notify = fact.values
        envelope = self.envelopes.get(transaction)
        if envelope is None:
            envelope = self.envelopes[transaction] = Envelope(Noted(fact.at, fact.process, fact.epoch, "submitted", (transaction, 0, b"", 0, 0, 0, 0, "")), "")
        envelope.recipients[index] = words(address)
        envelope.notify[index] = notify
        expanding, self._expanding = self._expanding, None
        if expanding is not None and expanding.values[0] == transaction and expanding.values[3] == address:
            envelope.parents[index] = (expanding.values[1], fact.epoch)

    def _on_expanded(self, fact: Noted) -> None:
        self._expanding = fact  # the note of the new recipient follows at once

    def _on_notified(self, fact: Noted) -> None:
        original, kind, notification, _, _ = fact.values
        self._about[notification] = original
        if words(kind) == "failed":
            self.notifications.setdefault(original, []).append(notification)

    def _on_durable(self, fact: Noted) -> None:
        envelope = self.envelopes.get(fact.values[0])
        if envelope is not None:
            envelope.durable = fact

    def _on_closed(self, fact: Noted) -> None:
        envelope = self.envelopes.get(fact.values[0])
        if envelope is not None:
            envelope.closed = fact


def words(value: bytes | str) -> str:
    """Octets of a note as text."""
    return value if isinstance(value, str) else text(value)


def same_address(one: str, other: str) -> bool:
    """Local parts are as they are; domains know no case (RFC 5321 2.4)."""
    if one == other:
        return True
    local, at, domain = one.rpartition("@")
    other_local, other_at, other_domain = other.rpartition("@")
    return at == other_at and local == other_local and domain.lower() == other_domain.lower()


def about(message_id: str) -> int:
    """The transaction that a notification of ours is about: its Message-ID begins with the id. 0: it is not ours."""
    try:
        return id_number(message_id.lstrip("<").partition(".")[0])
    except ValueError:
        return 0
