"""A bench for recovery: a log, content and rows on a dictionary disk, and a driver that recovers them."""

from collections.abc import Callable

import msgspec

from smx import effects
from smx.cdb.writer import ContentWriter
from smx.effects import AnyEffect, Note, Row
from smx.ids import id_text, transaction_id
from smx.messages import Content, Envelope, Outcome, Recipient
from smx.qmgr.ibdb import Ibdb
from smx.qmgr.records import AnyRecord, Opened, VerdictRecord
from smx.qmgr.recovery import Recovery, RecoveryResult, Todo
from smx.qmgr.rows import ParkedRecipient, envelope_octets, make_row
from tests.crash.disk import Disk

SEGMENT_OCTETS = 4096
BODY = b"Subject: x\r\n\r\nhello\r\n"


class Recovered:
    """What a recovery did. `result` None: it halted, or it was cut off."""

    def __init__(self) -> None:
        self.result: RecoveryResult | None = None
        self.orders: list[AnyEffect] = []

    @property
    def halted(self) -> str:
        return next((order.reason for order in self.orders if isinstance(order, effects.Halt)), "")

    def notes(self, name: str) -> list[tuple[int | str | bytes, ...]]:
        return [order.values for order in self.orders if isinstance(order, Note) and order.name == name]

    def todos(self) -> dict[tuple[int, int], Todo]:
        assert self.result is not None
        return {
            (transaction.envelope.transaction, recovered.recipient.index): Todo(recovered.todo)
            for transaction in self.result.transactions
            for recovered in transaction.recipients
            if recovered.todo != Todo.NONE
        }

    def rows(self) -> dict[tuple[int, int], str]:
        """What is to be done with rows that have no opening."""
        assert self.result is not None
        done = {(again.row.transaction, again.row.index): "delete" if again.gone else f"store {again.row.state}" for again in self.result.rows}
        return {**done, **{(owed.row.transaction, owed.row.index): "owed" for owed in self.result.owed}}

    def view(self) -> tuple[object, ...]:
        """All that QMGR gets to see, in an order of its own: two recoveries of the same disk must agree (I14)."""
        assert self.result is not None
        result = self.result
        return (
            sorted(map(msgspec.msgpack.encode, result.transactions)),
            sorted(map(msgspec.msgpack.encode, result.rows)),
            sorted(map(msgspec.msgpack.encode, result.owed)),
            dict(result.references),
            result.deferred,
        )


def recover(disk: Disk, epoch: int = 100, *, each: Callable[[AnyEffect], bool] | None = None, segment_octets: int = SEGMENT_OCTETS) -> Recovered:
    """Run a recovery to its end. `each` is called before each effect; True cuts the power there."""
    done = Recovered()
    recovery = Recovery(epoch, segment_octets, 4)
    out: list[AnyEffect] = []
    recovery.start(out)
    events = []
    while True:
        for effect in out:
            if each is not None and each(effect):
                return done
            done.orders.append(effect)
            if isinstance(effect, effects.Halt):
                return done
            events += disk.apply(effect)
        if not events:
            break
        out = []
        event = events.pop(0)
        if done.result is None:
            done.result = recovery.on_event(out, event)
            assert done.result is None or done.result.ibdb.durable == done.result.ibdb.position, "delivery starts before all is durable"
        else:
            done.result.ibdb.on_event(out, event)  # the log lives on
            done.result.ibdb.flush(out)
    assert done.result is not None, "recovery waits for something that never comes"
    return done


class Log:
    """A running QMGR's log: what it appends is carried out at once."""

    def __init__(self, disk: Disk, epoch: int = 50, *, segment_octets: int = SEGMENT_OCTETS) -> None:
        self.disk = disk
        result = recover(disk, epoch, segment_octets=segment_octets).result
        assert result is not None
        self.ibdb: Ibdb = result.ibdb
        self.writer = ContentWriter(epoch, 4096)
        self.epoch = epoch
        self._started = False

    def append(self, *records: AnyRecord, sync: bool = True) -> None:
        """Records of one step; without `sync` the Sync is still under way."""
        out: list[AnyEffect] = []
        for record in records:
            self.ibdb.append(record, key=record.transaction if isinstance(record, Opened) else None)
        self.ibdb.flush(out)
        self._carry_out(out, sync=sync)

    def close_group(self) -> None:
        out: list[AnyEffect] = []
        self.ibdb.close_group(out)
        self._carry_out(out, sync=True)

    def _carry_out(self, out: list[AnyEffect], *, sync: bool) -> None:
        events = []
        for effect in out:
            if sync or not isinstance(effect, effects.Sync):
                events += self.disk.apply(effect)
        while events:
            out = []
            self.ibdb.on_event(out, events.pop(0))
            self.ibdb.flush(out)
            for effect in out:
                if sync or not isinstance(effect, effects.Sync):
                    events += self.disk.apply(effect)

    def content(self, transaction: int, body: bytes = BODY) -> Content:
        """Content on disk, durable."""
        out: list[AnyEffect] = []
        if not self._started:
            self._started = True
            self.writer.start(out)
        content = self.writer.put(out, transaction, [body])
        assert content is not None
        self.writer.want_sync(out, transaction)
        while out:
            events = [event for effect in out for event in self.disk.apply(effect)]
            out = []
            for event in events:
                self.writer.on_event(out, event)
        return content

    def envelope(self, number: int, recipients: int = 1) -> Envelope:
        """Envelope `number` of this epoch, with content on disk."""
        transaction = transaction_id(self.epoch, 1, number)
        addresses = tuple(Recipient(index, b"r%d.%d@example.net" % (number, index)) for index in range(recipients))
        return Envelope(transaction, b"from@example.org", addresses, self.content(transaction), 1_700_000_000_000_000 + number)


def opened(envelope: Envelope) -> Opened:
    return Opened(envelope.transaction, envelope)


def verdict(envelope: Envelope, attempt: int, outcome: int = Outcome.DELIVERED, *, index: int = 0, stored: bool = True, owed: int = 0) -> VerdictRecord:
    next_try = 5_000_000 * attempt if outcome == Outcome.DEFERRED else 0
    return VerdictRecord(envelope.transaction, index, attempt, outcome, next_try, 451, b"4.2.1", b"later", "mx", stored=stored, owed=owed)


def row(envelope: Envelope, attempt: int, *, index: int = 0, state: int = 0, crashes: int = 0, alone: int = 0) -> Row:
    recipient = next((r for r in envelope.recipients if r.index == index), Recipient(index, b"other@example.net"))
    parked = ParkedRecipient(recipient, crashes=crashes, alone=alone)
    return make_row(envelope_octets(envelope), envelope, parked, attempt=attempt, next_try=1_000_000 * attempt, state=state, destination="example.net")


def store(disk: Disk, *rows: Row) -> None:
    disk.apply(effects.Store(1, rows))


def name(envelope: Envelope) -> str:
    return id_text(envelope.transaction)
