"""The life of a log: opening, delivery, deferral, retry, removal and copying forward, cut by a power loss anywhere (I1, I6, A3, A4)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smx import effects
from smx.effects import AnyEffect
from smx.events import AnyEvent
from smx.messages import Envelope, Outcome
from smx.qmgr.records import Moved, Opened, RecipientState, Status
from smx.qmgr.recovery import Todo
from tests.crash.disk import Disk
from tests.qmgr.recovery_bench import Log, Recovered, opened, recover, row, verdict


class Life:
    """A small queue manager that keeps the rules of A3 and A4. Completions wait in `events` until `go`."""

    def __init__(self, disk: Disk, epoch: int) -> None:
        self.disk = disk
        self.log = Log(disk, epoch, segment_octets=1024)
        self.ibdb = self.log.ibdb
        self.ibdb.owner = self.current
        self.events: list[AnyEvent] = []
        self.envelopes: dict[int, Envelope] = {}
        self.attempts: dict[int, int] = {}
        self.pinned: dict[int, None] = {}  # in IBDB
        self.parked: dict[int, None] = {}  # a row is durable
        self.busy: dict[int, None] = {}  # a record of it is under way
        self.promised: set[int] = set()
        self.ending: set[int] = set()  # a final verdict was appended
        self.ended: set[int] = set()  # and is durable
        self.removed = 0

    def current(self, transaction: int) -> Opened | None:
        """For copying forward: as it stands with all that was appended."""
        if transaction in self.ending:
            return None
        attempt = self.attempts[transaction]
        states = (RecipientState(0, Status.DEFERRED, attempt, 5_000_000 * attempt, stored=True, outcome=Outcome.DEFERRED),) if attempt else ()
        return Opened(transaction, self.envelopes[transaction], states)

    def step(self, *appends: tuple[object, object, object]) -> None:
        for record, then, key in appends:
            self.ibdb.append(record, then, key)  # type: ignore[arg-type]
        out: list[AnyEffect] = []
        self.ibdb.flush(out)
        self.carry_out(out)

    def carry_out(self, out: list[AnyEffect]) -> None:
        self.removed += sum(isinstance(effect, effects.Remove) for effect in out)
        for effect in out:
            self.events += self.disk.apply(effect)

    def go(self, count: int) -> None:
        while self.events and count:
            count -= 1
            out: list[AnyEffect] = []
            for what, transaction in self.ibdb.on_event(out, self.events.pop(0)):
                self.on_durable(what, transaction)
            self.ibdb.flush(out)
            self.carry_out(out)

    def open(self, number: int) -> None:
        envelope = self.log.envelope(number)
        self.envelopes[envelope.transaction] = envelope
        self.attempts[envelope.transaction] = 0
        self.pinned[envelope.transaction] = None
        self.busy[envelope.transaction] = None
        self.step((opened(envelope), ("opened", envelope.transaction), envelope.transaction))

    def attempt(self, transaction: int, outcome: int) -> None:
        self.attempts[transaction] += 1
        self.busy[transaction] = None
        if outcome == Outcome.DELIVERED:
            self.ending.add(transaction)
        key = None if transaction in self.pinned else (transaction, 0)
        stored = transaction in self.parked
        record = verdict(self.envelopes[transaction], self.attempts[transaction], outcome, stored=stored)
        self.step((record, ("deferred" if outcome == Outcome.DEFERRED else "ended", transaction), key))

    def on_durable(self, what: str, transaction: int) -> None:
        self.busy.pop(transaction, None)
        if what == "opened":
            self.promised.add(transaction)
            return
        if what == "deferred":
            self.disk.apply(effects.Store(1, (row(self.envelopes[transaction], self.attempts[transaction]),)))
            if transaction in self.pinned:
                self.ibdb.append(Moved(transaction, ((0, self.attempts[transaction]),)), lazy=True)
            self.parked[transaction] = None
        else:
            self.ended.add(transaction)
            if transaction in self.parked:
                self.disk.apply(effects.Store(1, (), ((transaction, 0),)))
                del self.parked[transaction]
        self.pinned.pop(transaction, None)
        self.ibdb.release(transaction)
        self.ibdb.release((transaction, 0))

    def idle(self) -> list[int]:
        return [t for t in self.envelopes if t not in self.busy and t not in self.ended and t in self.promised]


def live(done: Recovered, disk: Disk) -> dict[int, str]:
    """Who would be delivered: queued, to be stored, or a row that is not to be deleted."""
    todos, rows = done.todos(), done.rows()
    found = {key[0]: "queue" for key, todo in todos.items() if todo in (Todo.QUEUE, Todo.STORE)}
    for key in disk.rows:
        if todos.get(key) != Todo.DELETE and rows.get(key) != "delete":
            found[key[0]] = "row"
    return found


steps = st.lists(st.tuples(st.sampled_from(["open", "deliver", "defer", "go"]), st.integers(0, 1 << 16)), min_size=1, max_size=90)


@pytest.mark.feature("SX15")
@given(steps, st.integers(0, 1 << 20), st.booleans())
@settings(deadline=None, max_examples=80)
def test_no_crash_loses_a_promise_or_repeats_a_recorded_delivery(life: list[tuple[str, int]], choice: int, torn: bool) -> None:
    disk = Disk()
    mta = Life(disk, 50)
    for number, (what, which) in enumerate(life):
        idle = mta.idle()
        if what == "open":
            mta.open(number + 1)
        elif what == "go":
            mta.go(which % 5 + 1)
        elif idle:
            mta.attempt(idle[which % len(idle)], Outcome.DELIVERED if what == "deliver" else Outcome.DEFERRED)
    images = list(disk.crash_images(max_subset=2, torn=torn))
    image = images[choice % len(images)]
    done = recover(image)
    found = live(done, image)
    assert set(found) <= set(mta.envelopes), "a phantom"
    assert not mta.ended & set(found), "a recorded delivery is repeated"
    assert mta.promised - mta.ending <= set(found), "a promise is lost"
    assert not done.notes("quarantined")
    assert not [note for note in done.notes("damaged") if str(note[4]).startswith("corrupt")]
    again = recover(image, 101)
    assert live(again, image) == found
    assert again.view() == done.view()


@pytest.mark.feature("SX13")
def test_a_long_life_with_laggards_removes_old_segments_and_forgets_nobody() -> None:
    """Some transactions stay open for ever: they are copied forward, and the log stays short."""
    disk = Disk()
    mta = Life(disk, 50)
    laggards = []
    for number in range(1, 400):
        mta.open(number)
        mta.go(1 << 20)
        newest = mta.idle()[-1]
        if number % 50 == 0:
            laggards.append(newest)
        elif number % 3:
            mta.attempt(newest, Outcome.DELIVERED)
        else:
            mta.attempt(newest, Outcome.DEFERRED)
        mta.go(1 << 20)
    assert mta.removed > 20
    assert len(disk.segments("ibdb")) <= 8
    for image in disk.crash_images(max_subset=1):
        done = recover(image)
        assert {t for t, where in live(done, image).items() if where == "queue"} == set(laggards)
        assert len(live(done, image)) == len(mta.promised - mta.ended)
