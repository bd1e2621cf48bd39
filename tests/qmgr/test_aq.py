"""The active queue: bounded, shared fairly, nothing lost (SX16, SX17, L6)."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from smx.messages import Content, Envelope, Recipient
from smx.qmgr.aq import DESTINATIONS_MAX, ActiveQueue
from smx.qmgr.envelopes import Entry, Place, Transaction
from smx.qmgr.window import WindowLimits
from tests.qmgr.world import route

LIMITS = WindowLimits(5, 10, 100, 800)


def entry_of(number: int, index: int = 0, *, deferred: bool = False, transaction: Transaction | None = None) -> Entry:
    transaction = transaction or Transaction(Envelope(number, b"s@x", (), Content(1, 0, 1, 0), 0))
    entry = transaction.add(Recipient(index, b"a@x"), b"s@x")
    entry.deferred = deferred
    return entry


@pytest.mark.feature("SX16")
def test_no_more_entries_come_in_than_the_bound() -> None:
    queue = ActiveQueue(10, 40, 40, LIMITS)
    admitted = 0
    while queue.room(deferred=False):
        queue.admit(entry_of(admitted))
        admitted += 1
    while queue.room(deferred=True):
        queue.admit(entry_of(admitted, deferred=True))
        admitted += 1
    assert admitted == len(queue) == 10
    with pytest.raises(AssertionError):
        queue.admit(entry_of(99))


@pytest.mark.feature("SX17")
@pytest.mark.parametrize("deferred", [False, True])
def test_a_share_is_kept_for_the_other_kind(deferred: bool) -> None:
    queue = ActiveQueue(100, 30, 20, LIMITS)
    number = 0
    while queue.room(deferred=deferred):
        queue.admit(entry_of(number, deferred=deferred))
        number += 1
    assert number == (70 if deferred else 80)
    assert queue.room(deferred=not deferred) == 100 - number


@pytest.mark.feature("SX17")
def test_new_and_deferred_jobs_of_a_destination_take_turns() -> None:
    queue = ActiveQueue(100, 40, 40, LIMITS)
    destination = queue.destination("x")
    for number in range(6):
        for deferred in (False, True):
            entry = entry_of(number * 2 + deferred, deferred=deferred)
            queue.admit(entry)
            queue.enqueue(entry, destination, route("x"))
    kinds = [queue.take(destination, 1)[1][0].deferred for _ in range(12)]
    assert kinds == [False, True] * 6


def test_one_destination_leaves_half_of_the_queue_to_the_others() -> None:
    queue = ActiveQueue(100, 1, 1, LIMITS)
    hog = queue.destination("hog")
    number = 0
    while not queue.crowded(hog):
        entry = entry_of(number)
        queue.admit(entry)
        queue.enqueue(entry, hog, route("hog"))
        number += 1
    assert number <= 51
    assert not queue.crowded(queue.destination("other"))


def test_what_is_under_way_counts_against_a_destination_until_its_delivery_has_ended() -> None:
    queue = ActiveQueue(100, 1, 1, LIMITS)
    hog = queue.destination("hog")
    entries: list[Entry] = []
    while not queue.crowded(hog):
        entries.append(entry_of(len(entries)))
        queue.admit(entries[-1])
        queue.enqueue(entries[-1], hog, route("hog"))
        queue.take(hog, 1)  # its window is wide: nothing of it is ever in line
    assert len(entries) <= 51
    assert (hog.count, hog.flying) == (0, len(entries))
    queue.landed(hog, 1)
    queue.leave(entries[0])
    assert not queue.crowded(hog)


def test_recipients_of_a_transaction_share_a_job_unless_their_reverse_paths_differ() -> None:
    queue = ActiveQueue(100, 40, 40, LIMITS)
    destination = queue.destination("x")
    transaction = Transaction(Envelope(1, b"s@x", (), Content(1, 0, 1, 0), 0))
    for index in range(4):
        entry = entry_of(1, index, transaction=transaction)
        if index == 3:
            entry.reverse_path = b"owner@x"
        queue.admit(entry)
        queue.enqueue(entry, destination, route("x"))
    assert [len(queue.take(destination, 2)[1]) for _ in range(3)] == [2, 1, 1]
    assert destination.idle


def test_idle_destinations_are_forgotten_when_they_are_too_many() -> None:
    queue = ActiveQueue(100, 40, 40, LIMITS)
    for number in range(2 * DESTINATIONS_MAX + 10):
        queue.destination(f"d{number}")
    assert len(queue.destinations) <= 2 * DESTINATIONS_MAX


class Queues(RuleBasedStateMachine):
    """Entries come, stand in line, are taken, withdrawn and drained in any order; counts stay right and nobody is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = ActiveQueue(12, 25, 25, LIMITS)
        self.resolving: list[Entry] = []
        self.line: dict[int, Entry] = {}
        self.flight: list[Entry] = []
        self.number = 0
        self.transactions: list[Transaction] = []

    @rule(deferred=st.booleans(), joined=st.booleans())
    def come(self, deferred: bool, joined: bool) -> None:
        if not self.queue.room(deferred=deferred):
            return
        self.number += 1
        if joined and self.transactions:
            transaction = self.transactions[-1]
        else:
            transaction = Transaction(Envelope(self.number, b"s@x", (), Content(1, 0, 1, 0), 0))
            self.transactions.append(transaction)
        entry = entry_of(self.number, transaction.next_index, deferred=deferred, transaction=transaction)
        self.queue.admit(entry)
        self.resolving.append(entry)

    @precondition(lambda self: self.resolving)
    @rule(name=st.sampled_from(["x", "y", "z"]))
    def resolve(self, name: str) -> None:
        entry = self.resolving.pop(0)
        self.queue.enqueue(entry, self.queue.destination(name), route(name))
        self.line[id(entry)] = entry

    @precondition(lambda self: self.line)
    @rule(name=st.sampled_from(["x", "y", "z"]), size=st.integers(1, 3))
    def take(self, name: str, size: int) -> None:
        destination = self.queue.destination(name)
        if destination.jobs:
            found, entries = self.queue.take(destination, size)
            assert found.destination == name
            assert 1 <= len(entries) <= size
            assert len({entry.transaction.id for entry in entries}) == 1
            for entry in entries:
                del self.line[id(entry)]
                self.flight.append(entry)

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(sorted(self.line.values(), key=lambda one: one.key)))
        del self.line[id(entry)]
        self.queue.withdraw(entry)
        self.queue.leave(entry)

    @rule(name=st.sampled_from(["x", "y", "z"]))
    def drain(self, name: str) -> None:
        for entry in self.queue.drain(self.queue.destination(name)):
            del self.line[id(entry)]
            self.queue.leave(entry)

    @precondition(lambda self: self.flight)
    @rule()
    def end(self) -> None:
        self.queue.leave(self.flight.pop(0))

    @invariant()
    def bounded_and_counted(self) -> None:
        inside = [*self.resolving, *self.line.values(), *self.flight]
        assert len(self.queue) == len(inside) <= 12
        assert self.queue.deferred_count == sum(entry.deferred for entry in inside)
        assert {id(entry) for entry in self.queue.queued()} == set(self.line)
        assert all(entry.place == Place.QUEUED for entry in self.line.values())
        assert sum(destination.count for destination in self.queue.destinations.values()) == len(self.line)


Queues.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestQueues = Queues.TestCase
