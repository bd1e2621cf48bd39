"""Writer: long random histories of an envelope log: the real Ibdb and the real Recovery on a simulated disk, and nothing else.

A life of the log is a sequence of steps. Each appends a few records as QMGR would, in groups of any size; syncs end sooner or later, and what
comes meanwhile forms the next group; segments are small, so they roll, are copied forward and removed. Then the power fails, one survivor is drawn,
and the next life recovers on it. Sizes, recipients, outcomes and moments are drawn from one stream, so that no two seeds write the same log.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from sim.choices import Stream
from sim.disk import Disk, Operation
from sim.disk.segments import Segments, make_spool, segment_of
from sim.images.history import ASIDE_BIT, History
from smx import effects, events
from smx.cdb.format import HEADER_OCTETS, content_header
from smx.effects import AnyEffect
from smx.events import AnyEvent
from smx.messages import Content, Envelope, Outcome, Recipient
from smx.qmgr import records
from smx.qmgr.ibdb import Ibdb
from smx.qmgr.records import Closing, RecipientState, Status, VerdictRecord
from smx.qmgr.recovery import Recovery, RecoveryResult, Todo

SPOOL: Final = "/spool"
FOLDER: Final = "/spool/ibdb"
CONTENT_SEGMENT: Final = 1 << 40  # all content lies in it: the log is what is looked at
CONTENT_OCTETS: Final = 1 << 50
BATCH: Final = 1 << 32  # transaction ids of one epoch
FINALS: Final = (Outcome.DELIVERED, Outcome.RELAYED, Outcome.FAILED, Closing.EXPIRED, Closing.DROPPED)


class Mail:
    """A transaction as the writer knows it."""

    def __init__(self, envelope: Envelope, states: dict[int, RecipientState], expansions: tuple[records.Expanded, ...] = (), crashes: int = 0) -> None:
        self.envelope = envelope
        self.states = states
        self.expansions = expansions
        self.crashes = crashes

    @property
    def open(self) -> list[int]:
        return [index for index, state in self.states.items() if state.status not in (Status.CLOSED, Status.MOVED) or state.owed]

    def opened(self) -> records.Opened:
        """Its copy."""
        states = tuple(state for state in self.states.values() if state.status != Status.QUEUED)
        return records.Opened(self.envelope.transaction, self.envelope, states, self.expansions, self.crashes)


class Writer:
    """One history. `on_change`: called behind each operation of the disk."""

    def __init__(self, draw: Stream, seed: int) -> None:
        self.history = History()
        self.disk = Disk()
        self.on_change: Callable[[Operation], None] = lambda _operation: None
        self.lives = 0
        self._draw = draw
        self._epoch = 1 + seed * 64  # stands in each header: logs of different seeds differ
        self._segment_octets = draw.pick((4096, 8192))
        self._contents: dict[int, tuple[int, Content]] = {}
        self._mails: dict[int, Mail] = {}
        self._next_offset = HEADER_OCTETS
        make_spool(self.disk, SPOOL)
        self._watch()

    def _watch(self) -> None:
        self._segments = Segments(self.disk, SPOOL)
        self._tickets: list[Any] = []
        self.disk.on_operation = self._on_operation

    def _on_operation(self, operation: Operation) -> None:
        if operation.kind == "write":
            segment = segment_of("ibdb", operation.path.rpartition("/")[2])
            if segment is not None and segment < ASIDE_BIT:
                octets = self.disk.tree.file(operation.path).view.read(operation.offset, operation.octets)
                self.history.write(segment, operation.offset, octets)
        self.on_change(operation)

    # --- lives --------------------------------------------------------------------------------------------------------

    def live(self, steps: int) -> None:
        """Recover, and go on for so many steps."""
        self.lives += 1
        self._epoch += 1
        self._sequence = 0
        self._mails = {}
        result = self._recover()
        self._ibdb.owner = self._copy_of
        for recovered in result.transactions:
            states = {found.recipient.index: _state_after(found.todo, found.state) for found in recovered.recipients}
            self._mails[recovered.envelope.transaction] = Mail(recovered.envelope, states, recovered.expansions, recovered.crashes)
        for _ in range(steps):
            self._step()

    def lose_power(self, kept: int, image: Disk) -> None:
        """Of what was written so many records are history on the disk that is left."""
        self.history.keep(kept)
        self.disk = image
        self._watch()

    def die(self) -> None:
        """The process is killed: the kernel keeps all that was written, synced or not (F17)."""
        self._watch()

    def _copy_of(self, number: int) -> records.Opened | None:
        mail = self._mails.get(number)
        return None if mail is None or not mail.open else mail.opened()

    # --- recovery -----------------------------------------------------------------------------------------------------

    def _recover(self) -> RecoveryResult:
        recovery = Recovery(self._epoch, self._segment_octets, 3)
        waiting: list[AnyEffect] = []
        recovery.start(waiting)
        while waiting:
            for event in self._answers(waiting.pop(0)):
                result = recovery.on_event(waiting, event)
                if result is not None:
                    self._ibdb = result.ibdb
                    self._carry_out(waiting)
                    return result
        raise AssertionError("recovery has stopped")

    def _answers(self, effect: AnyEffect) -> list[AnyEvent]:
        match effect:
            case effects.Census():
                return [events.Counted(effect.request, (), 0, 0)]
            case effects.ListStore(store="cdb"):
                return [events.Listed("cdb", effect.request, (events.SegmentFile(CONTENT_SEGMENT, CONTENT_OCTETS),))]
            case effects.Scan(store="cdb"):
                number, content = self._contents[effect.offset + HEADER_OCTETS]
                return [events.Scanned("cdb", effect.request, content_header(number, content), end=False)]
            case effects.Note():
                return []
            case effects.Halt():
                raise AssertionError(f"recovery halts: {effect.reason}")
            case _:
                return self._segments.apply(effect)

    # --- steps --------------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        draw = self._draw
        ibdb = self._ibdb
        for _ in range(1 + draw.below(3)):
            self._append(ibdb)
        out: list[AnyEffect] = []
        ibdb.flush(out)
        self._carry_out(out)
        if draw.below(6) == 5:
            out = []
            ibdb.close_group(out)
            self._carry_out(out)
        while self._tickets and draw.below(4):
            self._end_sync()

    def _carry_out(self, ordered: list[AnyEffect]) -> None:
        """Syncs are begun; everything else is done."""
        waiting = list(ordered)
        while waiting:
            effect = waiting.pop(0)
            if isinstance(effect, effects.Sync | effects.SyncDirectory):
                self._tickets.append(self._segments.begin_sync(effect))
            elif not isinstance(effect, effects.Note):
                assert not isinstance(effect, effects.Halt), effect
                for event in self._segments.apply(effect):
                    waiting.extend(self._tell(event))

    def _end_sync(self) -> None:
        ticket = self._tickets.pop(0)
        self._carry_out(self._tell(self._segments.end_sync(ticket)))

    def _tell(self, event: AnyEvent) -> list[AnyEffect]:
        out: list[AnyEffect] = []
        for number in self._ibdb.on_event(out, event):
            self._settle(number)
        self._ibdb.flush(out)
        return out

    def _settle(self, number: int) -> None:
        """The last closing of a transaction is durable."""
        mail = self._mails.get(number)
        if mail is not None and not mail.open:
            self._ibdb.release(number)
            del self._mails[number]

    # --- records ------------------------------------------------------------------------------------------------------

    def _append(self, ibdb: Ibdb) -> None:
        draw = self._draw
        alive = [mail for mail in self._mails.values() if mail.open]
        if not alive or draw.below(10) < (5 if len(alive) < 6 else 1):
            self._open(ibdb)
            return
        mail = alive[draw.below(len(alive))]
        index = mail.open[draw.below(len(mail.open))]
        _ACTS[draw.below(len(_ACTS))](self, ibdb, mail, index)

    def _open(self, ibdb: Ibdb) -> None:
        mail = self._mail(1 + self._draw.below(3))
        number = mail.envelope.transaction
        self._mails[number] = mail
        ibdb.append(mail.opened(), key=number)

    def _mail(self, recipients: int) -> Mail:
        draw = self._draw
        number = self._epoch * BATCH + self._sequence
        self._sequence += 1
        octets = 1 + draw.below(5000)
        offset = self._next_offset + HEADER_OCTETS
        self._next_offset = offset + octets
        content = Content(CONTENT_SEGMENT, offset, octets, draw.below(1 << 32))
        self._contents[offset] = (number, content)
        people = tuple(Recipient(index, b"r%d@" % draw.below(1000) + b"x" * draw.below(60)) for index in range(recipients))
        envelope = Envelope(number, b"s%d@example.net" % draw.below(100_000), people, content, arrived_at=draw.below(1 << 40))
        return Mail(envelope, {index: RecipientState(index, Status.QUEUED) for index in range(recipients)})

    def _close(self, ibdb: Ibdb, mail: Mail, index: int) -> None:
        verdict = self._verdict(mail, index, FINALS[self._draw.below(len(FINALS))])
        mail.states[index] = RecipientState(index, Status.CLOSED, verdict.attempt, outcome=verdict.outcome)
        ibdb.append(verdict, then=mail.envelope.transaction)

    def _defer(self, ibdb: Ibdb, mail: Mail, index: int) -> None:
        verdict = self._verdict(mail, index, Outcome.DEFERRED, next_try=1 + self._draw.below(1 << 40))
        if self._draw.below(2):
            mail.states[index] = RecipientState(index, Status.DEFERRED, verdict.attempt, verdict.next_try, outcome=verdict.outcome)
            ibdb.append(verdict)
        else:
            mail.states[index] = RecipientState(index, Status.MOVED, verdict.attempt, stored=True, outcome=verdict.outcome)
            ibdb.append(verdict)
            ibdb.append(records.Moved(mail.envelope.transaction, ((index, verdict.attempt),)), then=mail.envelope.transaction, lazy=True)

    def _verdict(self, mail: Mail, index: int, outcome: int, **fields: Any) -> VerdictRecord:
        draw = self._draw
        attempt = mail.states[index].attempt + 1
        return VerdictRecord(
            mail.envelope.transaction, index, attempt, outcome, text=b"t" * draw.below(120), code=250 + draw.below(300), stored=False, **fields
        )

    def _begin(self, ibdb: Ibdb, mail: Mail, index: int) -> None:
        ibdb.append(records.Begun(mail.envelope.transaction, (index,)), lazy=True)

    def _expand(self, ibdb: Ibdb, mail: Mail, index: int) -> None:
        first = max(mail.states) + 1
        people = tuple(Recipient(first + number, b"e%d@example.org" % self._draw.below(1000)) for number in range(1 + self._draw.below(2)))
        expanded = records.Expanded(mail.envelope.transaction, index, people)
        mail.states[index] = RecipientState(index, Status.CLOSED, outcome=Outcome.EXPANDED)
        for recipient in people:
            mail.states[recipient.index] = RecipientState(recipient.index, Status.QUEUED)
        mail.expansions = (*mail.expansions, expanded)
        ibdb.append(expanded)

    def _hold(self, ibdb: Ibdb, mail: Mail, index: int) -> None:
        kind = records.Held if self._draw.below(2) else records.Released
        ibdb.append(kind(mail.envelope.transaction, (index,)))

    def _notify(self, ibdb: Ibdb, mail: Mail, index: int) -> None:
        """One record closes a recipient and opens the notification (A6)."""
        verdict = self._verdict(mail, index, Outcome.FAILED)
        mail.states[index] = RecipientState(index, Status.CLOSED, verdict.attempt, outcome=verdict.outcome)
        notice = self._mail(1)
        number = notice.envelope.transaction
        self._mails[number] = notice
        ibdb.append(records.Notified(number, (verdict,), notice.opened()), then=mail.envelope.transaction, key=number)

    def _relocate(self, ibdb: Ibdb, mail: Mail, index: int) -> None:
        content = mail.envelope.content
        offset = self._next_offset + HEADER_OCTETS
        self._next_offset = offset + content.octets
        moved = msgspec.structs.replace(content, offset=offset)
        self._contents[offset] = (mail.envelope.transaction, moved)
        mail.envelope = msgspec.structs.replace(mail.envelope, content=moved)
        ibdb.append(records.Relocated(mail.envelope.transaction, moved))


def _state_after(todo: int, state: RecipientState) -> RecipientState:
    """A recovered recipient in the next life."""
    if todo == Todo.QUEUE:
        return msgspec.structs.replace(state, status=int(Status.QUEUED))
    return state


_Act = Callable[[Writer, Ibdb, Mail, int], None]
_ACTS: Final[tuple[_Act, ...]] = (
    Writer._close,
    Writer._close,
    Writer._close,
    Writer._defer,
    Writer._defer,
    Writer._begin,
    Writer._expand,
    Writer._notify,
    Writer._hold,
    Writer._relocate,
)
