"""Story: what happened in words: a timeline of dialogues, disk and processes that a person can read without knowing the code.

    at            who            what
    2.844192 s    smtps.mx.0     C: RCPT TO:<b@d0.example>
    2.846003 s    qmgr           takes over t1 with 2 recipients; ...

`Teller` keeps the names that later moments refer to (recipients by index, destinations by delivery), so it must see every moment in order.
Moments of which there is nothing to say, or which say what a later one says better, give "".
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from sim.chronicle import Moment, Record
from sim.concern import Links
from sim.facts import (
    Arrived,
    Bounced,
    Crashed,
    FaultEnded,
    FaultInjected,
    FaultsEnded,
    Noted,
    Promised,
    Refused,
    ReplyLost,
    Sent250,
    Spoke,
    Stopped,
    Submitted,
)
from smx.effects import Append, CommitDeposit, Store, Sync
from smx.events import Stored, Synced, SyncFailed
from smx.ids import id_text

LINE_SHOWN: Final = 100
CONTENT_LINE: Final = 1000  # a piece of a dialogue that is longer is content
_LOGS: Final = {"ibdb": "the log of envelopes (IBDB)", "cdb": "the content store (CDB)"}


class Teller:
    """Puts moments into words."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._address: dict[tuple[int, int], str] = {}
        self._destination: dict[int, str] = {}
        self._copies: dict[tuple[str, str], int] = {}
        self._was_on = False
        self._content: dict[int, bool] = {}  # connection -> content is being sent on it

    def tell(self, moment: Moment) -> str:
        """What happened, or "". With line ends when there is more than one line."""
        what = moment.what
        if type(what) is Noted:
            note = _NOTES.get(what.name)
            return note(self, what) if note is not None else ""
        if type(what) is Record:
            return self._record(moment.lane, what)
        words = _WORDS.get(type(what))
        return words(self, what) if words is not None else ""

    def name(self, transaction: int) -> str:
        """The token of a message, and its id."""
        about = self._links.reports.get(transaction)
        if about is not None:
            return f"the report {id_text(transaction)} about {self._links.tokens.get(about, id_text(about))}"
        token = self._links.tokens.get(transaction)
        return f"{token} ({id_text(transaction)})" if token else id_text(transaction)

    def whom(self, transaction: int, index: int) -> str:
        return self._address.get((transaction, index), f"recipient {index}")

    # --- clients and hosts ----------------------------------------------------------------------------------------------

    def _submitted(self, fact: Submitted) -> str:
        return f"sends the final dot of {fact.token}: from <{fact.sender}> to {', '.join(fact.recipients)}"

    def _promised(self, fact: Promised) -> str:
        return f"has read the whole 250: {fact.token} is promised now"

    def _refused(self, fact: Refused) -> str:
        return f"has read {fact.code} {fact.text}: {fact.token} is refused at {fact.stage}"

    def _arrived(self, fact: Arrived) -> str:
        number = self._copies[fact.token, fact.recipient] = self._copies.get((fact.token, fact.recipient), 0) + 1
        again = f", copy number {number}" if number > 1 else ""
        fault = f"; its content: {fact.fault}" if fact.fault else ""
        return f"takes {fact.token or 'a message'} for {fact.recipient}{again}{fault}"

    def _reply_lost(self, fact: ReplyLost) -> str:
        return f"its 250 for {fact.recipient} does not get through"

    def _bounced(self, fact: Bounced) -> str:
        return f"a report reaches {fact.to}: {fact.recipient} {fact.kind}"

    # --- the world ------------------------------------------------------------------------------------------------------

    def _crashed(self, fact: Crashed) -> str:
        match fact.how:
            case "power":
                return "*** THE POWER FAILS: every process is gone, and what was not synced is lost or torn"
            case "kill":
                return f"*** {fact.process} IS KILLED"
            case "halt":
                return f"*** {fact.process} ends itself, to recover"
        return f"*** {fact.process} DIES: {fact.how}"

    def _stopped(self, fact: Stopped) -> str:
        return f"{fact.process} ends in order"

    def _fault(self, fact: FaultInjected) -> str:
        return f"fault {fact.fault}: {fact.text} {fact.place}".rstrip()

    def _fault_ended(self, fact: FaultEnded) -> str:
        return f"fault {fact.fault} is over {fact.place}".rstrip() if fact.place else ""

    def _faults_ended(self, fact: FaultsEnded) -> str:
        return "the faults end; from now on everything outside is well"

    def _sent(self, fact: Sent250) -> str:
        return "!!! the 250 is out, and a power loss at this instant would lose the message" if fact.durable is False else ""

    def _record(self, lane: str, record: Record) -> str:
        if lane == "machine" and record.kind == "power on":
            was_on, self._was_on = self._was_on, True
            return "the power is back" if was_on else "is switched on"
        if record.kind == "begins" and record.payload:
            return f"begins, epoch {record.payload}"
        if lane == "disk" and record.kind in ("F1", "F2", "F3", "F4", "F5", "F6"):
            return f"fault {record.kind}: {record.payload}"
        return ""

    # --- dialogues ------------------------------------------------------------------------------------------------------

    def _spoke(self, fact: Spoke) -> str:
        """The LDA hears and says what SMTPC says and hears, so only one of the two is told."""
        if fact.process == "lda":
            return ""
        client = fact.ours == fact.process.startswith("smtpc")
        if client and self._content.get(fact.connection):
            ends = fact.data.endswith(b"\r\n.\r\n") or fact.data == b".\r\n"
            self._content[fact.connection] = not ends
            return f"C: ... {len(fact.data)} octets of content{', and the final dot' if ends else ''}"
        lines = fact.data.split(b"\r\n")
        shown: list[str] = []
        for number, line in enumerate(lines):
            if line or number < len(lines) - 1:
                shown.append(f"{'C' if client else 'S'}: {_text(line)}")
            if client and line[:5].upper() == b"BDAT ":
                left = len(b"\r\n".join(lines[number + 1 :]))
                shown += [f"C: ... {left} octets of content"] if left else []
                break
            if not client and line.startswith(b"354"):
                self._content[fact.connection] = True
        return "\n".join(shown)

    # --- disk -----------------------------------------------------------------------------------------------------------

    def _append(self, effect: Append) -> str:
        return f"writes {len(effect.data)} octets at {effect.offset} of segment {effect.segment:x} of {_LOGS.get(effect.store, effect.store)}"

    def _sync(self, effect: Sync) -> str:
        return f"orders a sync of {_LOGS.get(effect.store, effect.store)}"

    def _synced(self, event: Synced) -> str:
        return f"the sync of {_LOGS.get(event.store, event.store)} is done: that is durable"

    def _sync_failed(self, event: SyncFailed) -> str:
        return f"the sync of {_LOGS.get(event.store, event.store)} fails: {event.reason}"

    def _store(self, effect: Store) -> str:
        return f"commits to the queue of deferred mail (DEFEDB): {len(effect.rows)} rows in, {len(effect.gone)} out"

    def _stored(self, event: Stored) -> str:
        return f"the commit fails: {event.error}" if event.error else "the commit is durable"

    def _deposit(self, effect: CommitDeposit) -> str:
        return "syncs the file and moves it into the Maildir"

    # --- notes ----------------------------------------------------------------------------------------------------------

    def _n_submitted(self, fact: Noted) -> str:
        transaction, _, sender, recipients, octets, segment, _, client = fact.values
        origin = f", from {client}" if client else ""
        return (
            f"takes over {self.name(transaction)}: <{_text(sender)}>, {_count(recipients, 'recipient')}, {octets} octets in content segment {segment:x}{origin}"
        )

    def _n_recipient(self, fact: Noted) -> str:
        transaction, index, address, _, _ = fact.values
        self._address[transaction, index] = _text(address)
        return ""

    def _n_durable(self, fact: Noted) -> str:
        return f"the envelope of {self.name(fact.values[0])} is durable"

    def _n_expanded(self, fact: Noted) -> str:
        transaction, index, address, into = fact.values
        self._address[transaction, index] = _text(into)
        return f"{_text(address)} becomes {_text(into)}"

    def _n_begun(self, fact: Noted) -> str:
        delivery, transaction, destination, recipients, attempt = fact.values
        self._destination[delivery] = destination
        return f"hands {self.name(transaction)} to SMTPC for {_count(recipients, 'recipient')} at {destination}, attempt {attempt}"

    def _n_dot(self, fact: Noted) -> str:
        return f"sends the final dot of {self.name(fact.values[1])} to {fact.values[2]}"

    def _n_replied(self, fact: Noted) -> str:
        delivery, _, code, text = fact.values
        return f"has the reply of {self._destination.get(delivery, 'the host')}: {code} {_text(text)}"

    def _n_verdict(self, fact: Noted) -> str:
        transaction, index, attempt, outcome, code, text, _ = fact.values
        return f"{self.whom(transaction, index)}: {outcome} at attempt {attempt} ({code} {_text(text)})"

    def _n_recorded(self, fact: Noted) -> str:
        return f"that is durable for {self.whom(fact.values[0], fact.values[1])}"

    def _n_deferred(self, fact: Noted) -> str:
        return f"{self.whom(fact.values[0], fact.values[1])} waits for another attempt"

    def _n_bounced(self, fact: Noted) -> str:
        _, kind, notification, recipients, to = fact.values
        return f"queues a report to {_text(to)} ({id_text(notification)}): {_count(recipients, 'recipient')} {kind}"

    def _n_unbounced(self, fact: Noted) -> str:
        return f"nobody is told of the failure of {self.whom(fact.values[0], fact.values[1])}: {fact.values[2]}"

    def _n_quarantined(self, fact: Noted) -> str:
        return f"sets {self.whom(fact.values[0], fact.values[1])} aside: {_text(fact.values[2])}"

    def _n_removed(self, fact: Noted) -> str:
        return f"removes {self.whom(fact.values[0], fact.values[1])} for {fact.values[2]}"

    def _n_closed(self, fact: Noted) -> str:
        return f"is done with {self.name(fact.values[0])}"

    def _n_accepted(self, fact: Noted) -> str:
        return f"has said 250 for {self.name(fact.values[1])}"

    def _n_vanished(self, fact: Noted) -> str:
        return f"the client of {self.name(fact.values[1])} is gone before the reply"

    def _n_recovering(self, fact: Noted) -> str:
        return f"recovers from {_count(fact.values[0], 'segment')}"

    def _n_recovered(self, fact: Noted) -> str:
        transactions, recipients, deferred, elapsed = fact.values
        return f"has recovered {_count(transactions, 'transaction')} with {_count(recipients, 'recipient')}, {deferred} deferred, in {elapsed / 1e3:g} ms"

    def _n_damaged(self, fact: Noted) -> str:
        store, segment, offset, octets, reason = fact.values
        return f"finds damage in segment {segment:x} of {_LOGS.get(store, store)}: {octets} octets at {offset}: {reason}"

    def _n_halted(self, fact: Noted) -> str:
        return f"halts: {fact.values[0]}"

    def _n_trouble(self, fact: Noted) -> str:
        return f"trouble with {fact.values[0]}: {fact.values[1]}"

    def _n_destination(self, fact: Noted) -> str:
        return f"{fact.values[0]} is {fact.values[1]} {_text(fact.values[2])}".rstrip()


_WORDS: Final[dict[type, Callable[[Teller, Any], str]]] = {
    Submitted: Teller._submitted,
    Promised: Teller._promised,
    Refused: Teller._refused,
    Arrived: Teller._arrived,
    ReplyLost: Teller._reply_lost,
    Bounced: Teller._bounced,
    Crashed: Teller._crashed,
    Stopped: Teller._stopped,
    FaultInjected: Teller._fault,
    FaultEnded: Teller._fault_ended,
    FaultsEnded: Teller._faults_ended,
    Sent250: Teller._sent,
    Spoke: Teller._spoke,
    Append: Teller._append,
    Sync: Teller._sync,
    Synced: Teller._synced,
    SyncFailed: Teller._sync_failed,
    Store: Teller._store,
    Stored: Teller._stored,
    CommitDeposit: Teller._deposit,
}

_NOTES: Final[dict[str, Callable[[Teller, Noted], str]]] = {name[3:]: tell for name, tell in vars(Teller).items() if name.startswith("_n_")}


def story(told: Iterable[Moment], everything: Iterable[Moment], links: Links) -> list[str]:
    """One line a moment of `told`, which are some of `everything`, in order; a moment with more than one line is indented."""
    wanted = iter(told)
    following = next(wanted, None)
    teller = Teller(links)
    lines: list[str] = []
    for moment in everything:
        words = teller.tell(moment)
        if moment is following:
            following = next(wanted, None)
            head = f"{moment.at / 1e6:12.6f} s  {moment.lane:<14} "
            lines += [f"{head if number == 0 else ' ' * len(head)}{line}" for number, line in enumerate(words.split("\n")) if words]
    return lines


def _text(value: bytes | str) -> str:
    text = value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")
    return text if len(text) <= LINE_SHOWN else f"{text[:LINE_SHOWN]}..."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
