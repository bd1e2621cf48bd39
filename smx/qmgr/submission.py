"""Submission: takes envelopes over from SMTPS; IQDB; cut-through (A1, A9, A11, A12, SX10, SX24).

    Submit, content synced      Opened joins the next group of IBDB -> durable -> 250, AQ
    Submit, content appended    cut-through: AQ at once; cut_through.py says when it is over
                                    all delivered        250, nothing was written
                                    the only one failed  its 5yz, nothing was written
                                    anything else        Secure -> Secured -> one record with the verdicts so far -> durable -> 250
    Abort                       forgotten, unless its record was written: then it is kept and delivered

IQDB is the set of transactions in memory that are not durable, with those on their way to disk because AQ is full; `incoming` counts their
recipients, and `iqdb_max_entries` bounds it. All cut-through deadlines are equally long, so they stand in a queue: one timer serves all.

A Submit that is said again is answered again (A9): transactions in memory are known by id, those that are over by a set of recent ids.
"""

from collections import deque
from typing import TYPE_CHECKING, Final

from smx.ids import BLOCK_MAX, SEQUENCE_BITS, epoch_of_transaction
from smx.messages import Aborted, Envelope, Notify, Outcome, Secure, Submit, Submitted
from smx.qmgr.cut_through import Step, decide
from smx.qmgr.envelopes import Cut, Entry, Place, Transaction, recorded_state, state_of
from smx.qmgr.records import Opened, RecipientState
from smx.qmgr.settlement import Then

if TYPE_CHECKING:
    from smx.qmgr.hub import Hub

RECENT_MAX: Final = 16_384  # ids in each of two generations of transactions that are over

_Refusal = tuple[int, bytes, bytes]
_STOPPING: Final = (421, b"4.3.2", b"System is shutting down")
_UNKNOWN_EPOCH: Final = (451, b"4.3.2", b"Queue manager was restarted, try again")
_UNKNOWN_ID: Final = (451, b"4.3.0", b"Internal error")
_NO_ROOM: Final = (452, b"4.3.1", b"Insufficient system storage")


class Submission:
    """Owns what is not durable yet."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._incoming = 0
        self._deadlines: deque[tuple[int, Transaction]] = deque()
        self._recent: set[int] = set()
        self._recent_before: set[int] = set()

    @property
    def incoming(self) -> int:
        """Recipients in IQDB."""
        return self._incoming + self._hub.deferral.spilling

    @property
    def undecided(self) -> bool:
        """Something was submitted that is neither durable nor refused."""
        return self._incoming > 0

    # --- SMTPS speaks -----------------------------------------------------------------------------------------------

    def submit(self, process: str, message: Submit) -> None:
        """Take an envelope over; the answer comes when it is durable, or need not be."""
        hub = self._hub
        envelope = message.envelope
        known = hub.transactions.get(envelope.transaction)
        if known is not None:
            self._submitted_again(process, known)
            return
        if self._is_recent(envelope.transaction):
            hub.tell(process, Submitted(envelope.transaction))
            return
        refusal = self._refusal(envelope)
        if refusal is not None:
            hub.tell(process, Submitted(envelope.transaction, *refusal))
            return
        transaction = self._take(envelope)
        transaction.owner = process
        if message.secured:
            self._record(transaction, ())
        else:
            self._cut(transaction)

    def abort(self, process: str, number: int) -> None:
        """SMTPS gives up waiting."""
        transaction = self._hub.transactions.get(number)
        if transaction is None or transaction.forgotten:
            self._hub.tell(process, Aborted(number, kept=self._is_recent(number)))
        elif transaction.durable:
            self._hub.tell(process, Aborted(number, kept=True))
        elif transaction.recorded:
            transaction.abort_asked = True  # too late: the answer comes when it is durable
        else:
            self._hub.tell(process, Aborted(number))
            self._forget(transaction)

    def secured(self, number: int) -> None:
        """Its content is durable now: so shall be the envelope, in one record with the verdicts so far (A12)."""
        transaction = self._hub.transactions.get(number)
        if transaction is None or transaction.cut is None or transaction.forgotten:
            return
        cut = transaction.cut
        transaction.cut = None
        thens: list[tuple[Then, Entry]] = []
        states = []
        for entry, protocol, since_jump in cut.ended:
            record, then = self._hub.settlement.conclude(entry, protocol, since_jump=since_jump)
            thens.append((then, entry))
            states.append(recorded_state(record, warned=entry.warned))
        ended = {state.index for state in states}
        states += [state for entry in transaction.entries.values() if entry.recipient.index not in ended and (state := state_of(entry))]
        self._record(transaction, tuple(thens), tuple(states))

    def unlinked(self, process: str) -> None:
        """Nobody waits for its answers any more. What was only appended is forgotten; what is recorded is kept (RFC 1047)."""
        for transaction in list(self._hub.transactions.values()):
            if transaction.owner == process and not transaction.recorded and not transaction.durable:
                self._forget(transaction)

    def _submitted_again(self, process: str, transaction: Transaction) -> None:
        transaction.owner = process
        if transaction.durable:
            self._hub.tell(process, Submitted(transaction.id))
        elif transaction.forgotten:
            self._hub.tell(process, Submitted(transaction.id, *_UNKNOWN_EPOCH))

    def _refusal(self, envelope: Envelope) -> _Refusal | None:
        hub = self._hub
        if hub.stopping:
            return _STOPPING
        if epoch_of_transaction(envelope.transaction) != hub.epoch:
            return _UNKNOWN_EPOCH  # it may have been delivered already: its sender has not been told 250
        if not hub.links.granted(envelope.transaction >> SEQUENCE_BITS & BLOCK_MAX):
            return _UNKNOWN_ID
        if not hub.gate.roomy or self.incoming + len(envelope.recipients) > hub.admission.limits.incoming_max:
            hub.gate.assess()
            return _NO_ROOM
        return None

    def _take(self, envelope: Envelope) -> Transaction:
        hub = self._hub
        transaction = Transaction(envelope)
        reverse_path = envelope.reverse_path
        for recipient in envelope.recipients:
            transaction.add(recipient, reverse_path)
        assert transaction.entries, "an envelope without recipients"
        hub.transactions[envelope.transaction] = transaction
        hub.references.add(envelope.content.segment)
        hub.admission.accepted(hub.now)
        self._incoming += len(transaction.entries)
        self.note_envelope(envelope)
        return transaction

    def note_envelope(self, envelope: Envelope) -> None:
        """The whole envelope stands in the log (SX67)."""
        note = self._hub.note
        transaction, content = envelope.transaction, envelope.content
        recipients = envelope.recipients
        note(
            "submitted",
            transaction,
            envelope.session,
            envelope.reverse_path,
            len(recipients),
            content.octets,
            content.segment,
            content.offset,
            envelope.client,
        )
        for recipient in recipients:
            note("recipient", transaction, recipient.index, recipient.address, recipient.orcpt, recipient.notify)

    # --- durable ----------------------------------------------------------------------------------------------------

    def _record(self, transaction: Transaction, thens: tuple[tuple[Then, Entry], ...], states: tuple[RecipientState, ...] = ()) -> None:
        """Its content is durable: the opening joins the next group (A1)."""
        transaction.recorded = True
        opened = Opened(transaction.id, transaction.envelope, states)
        self._hub.ibdb.append(opened, (self._opened, (transaction, thens)), transaction.id)

    def _opened(self, made: tuple[Transaction, tuple[tuple[Then, Entry], ...]]) -> None:
        transaction, thens = made
        self._incoming -= len(transaction.envelope.recipients)
        number = transaction.id
        if transaction.abort_asked:
            self._hub.tell(transaction.owner, Aborted(number, kept=True))
        else:
            self._hub.tell(transaction.owner, Submitted(number))
        for then, entry in thens:
            then(entry)
        self.became_durable(transaction)

    def became_durable(self, transaction: Transaction) -> None:
        """From here on it is ours (I2)."""
        transaction.durable = True
        self._hub.note("durable", transaction.id)
        self._hub.dispatch.enter(transaction)

    def over(self, transaction: Transaction) -> None:
        """It has left memory: its id is remembered for a while, so that a Submit said again is known (A9)."""
        if len(self._recent) >= RECENT_MAX:
            self._recent_before = self._recent
            self._recent = set()
        self._recent.add(transaction.id)

    def _is_recent(self, number: int) -> bool:
        return number in self._recent or number in self._recent_before

    # --- cut-through (A12) --------------------------------------------------------------------------------------------

    def _cut(self, transaction: Transaction) -> None:
        hub = self._hub
        transaction.cut = Cut()
        fit = (
            hub.cut_through_us > 0
            and not hub.stopping
            and len(transaction.entries) <= hub.settings.cut_through_recipients_max
            and not any(recipient.notify & Notify.SUCCESS for recipient in transaction.envelope.recipients)
        )
        if not fit or not hub.dispatch.enter_cut(transaction):
            self._secure(transaction)
            return
        self._deadlines.append((hub.now + hub.cut_through_us, transaction))

    def ended_early(self, entry: Entry, protocol: int, *, since_jump: bool) -> None:
        """A verdict came before anything of the message is durable."""
        transaction = entry.transaction
        cut = transaction.cut
        assert cut is not None
        assert entry.verdict is not None
        entry.place = Place.DONE
        cut.ended.append((entry, protocol, since_jump))
        match entry.verdict.outcome:
            case Outcome.DEFERRED:
                cut.deferred += 1
            case Outcome.FAILED:
                cut.failed += 1
            case _:
                self._hub.aq.leave(entry)
                cut.delivered += 1
        self._decide(transaction)

    def hindered(self, entry: Entry) -> None:
        """A recipient cannot be tried now, or stands for others: no use waiting. It comes again when it is durable."""
        self._hub.aq.leave(entry)
        entry.place = Place.INCOMING
        self._secure(entry.transaction)

    def _decide(self, transaction: Transaction) -> None:
        cut = transaction.cut
        assert cut is not None
        if cut.asked:
            return  # its content is being synced: whatever comes until then joins the one record
        match decide(len(transaction.envelope.recipients), cut.delivered, cut.failed, cut.deferred, late=cut.late):
            case Step.WAIT:
                pass
            case Step.DELIVERED:
                self._hub.tell(transaction.owner, Submitted(transaction.id, delivered=True))
                self.over(transaction)
                self._vanish(transaction)
                self._hub.note("closed", transaction.id)
            case Step.FAILED:
                verdict = cut.ended[0][0].verdict
                assert verdict is not None
                code = verdict.code if 500 <= verdict.code <= 599 else 550
                enhanced = verdict.enhanced if verdict.enhanced[:1] == b"5" else b"5.0.0"
                self._hub.tell(transaction.owner, Submitted(transaction.id, code, enhanced, verdict.text))
                self._vanish(transaction)
            case Step.SECURE:
                self._secure(transaction)

    def _secure(self, transaction: Transaction) -> None:
        cut = transaction.cut
        assert cut is not None
        if not cut.asked:
            cut.asked = True
            self._hub.tell(transaction.owner, Secure(transaction.id))

    @property
    def deadline(self) -> int:
        """now of the next cut-through deadline; 0: none."""
        deadlines = self._deadlines
        while deadlines and (deadlines[0][1].cut is None or deadlines[0][1].cut.asked):
            deadlines.popleft()
        return deadlines[0][0] if deadlines else 0

    def expire(self) -> None:
        """Deadlines have passed."""
        while (deadline := self.deadline) and deadline <= self._hub.now:
            _, transaction = self._deadlines.popleft()
            assert transaction.cut is not None
            transaction.cut.late = True
            self._decide(transaction)

    def secure_all(self) -> None:
        """An orderly stop begins: no more waiting."""
        for _, transaction in self._deadlines:
            if transaction.cut is not None:
                self._secure(transaction)
        self._deadlines.clear()

    # --- forgotten ----------------------------------------------------------------------------------------------------

    def _forget(self, transaction: Transaction) -> None:
        """Aborted, and nothing of it was written. Deliveries in hand still read its content."""
        hub = self._hub
        transaction.forgotten = True
        transaction.cut = None
        for entry in list(transaction.entries.values()):
            if entry.place == Place.FLIGHT:
                continue
            if entry.place == Place.QUEUED:
                hub.aq.withdraw(entry)
            self.ended_unwanted(entry)

    def ended_unwanted(self, entry: Entry) -> None:
        """A recipient of a forgotten transaction is over."""
        transaction = entry.transaction
        self._hub.aq.leave(entry)
        entry.place = Place.DONE
        del transaction.entries[entry.recipient.index]
        if not transaction.entries:
            self._vanish(transaction)

    def _vanish(self, transaction: Transaction) -> None:
        """Nothing of it is kept."""
        hub = self._hub
        for entry in transaction.entries.values():
            hub.aq.leave(entry)
            entry.place = Place.DONE
        transaction.entries.clear()
        transaction.cut = None
        self._incoming -= len(transaction.envelope.recipients)
        del hub.transactions[transaction.id]
        hub.references.release(transaction.content.segment)
