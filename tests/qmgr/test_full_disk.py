"""A disk that is full for DEFEDB: what is queued is still delivered, deletions go on, and nothing is written twice (A10)."""

import pytest

from smx import effects, events
from smx.config.schema_qmgr import QmgrSettings, RetrySettings
from smx.effects import AnyEffect
from smx.events import AnyEvent
from smx.units import MINUTE, SECOND
from tests.qmgr.world import DEFERRED, DELIVERED, World

SETTINGS = QmgrSettings(min_free_octets=0, retry=RetrySettings(min_us=5 * MINUTE, jitter_percent=0, warn_us=0))
SMALL = QmgrSettings(min_free_octets=0, aq_max_entries=16, retry=RetrySettings(min_us=5 * MINUTE, jitter_percent=0, warn_us=0))


class FullDisk:
    """Refuses every Store that writes a row, while it is full; those that only delete have the reserve."""

    def __init__(self, world: World) -> None:
        self.full = True
        self.refused = 0
        world.disk.fail = self.fail

    def fail(self, effect: AnyEffect) -> list[AnyEvent] | None:
        if self.full and isinstance(effect, effects.Store) and effect.rows:
            self.refused += 1
            return [events.Stored(effect.request, no_space=True)]
        return None


def test_a_recipient_whose_row_cannot_be_written_is_tried_again_on_schedule_and_delivered() -> None:
    world = World(SETTINGS).boot()
    disk = FullDisk(world)
    world.replies[b"*"] = DEFERRED
    transaction = world.submit(b"a@sink.example")
    began = world.now
    world.until(lambda: len(world.seen) == 2)
    assert 5 * MINUTE <= world.now - began <= 5 * MINUTE + 2 * SECOND
    world.replies.clear()
    world.until(lambda: world.delivered)
    assert 15 * MINUTE <= world.now - began <= 15 * MINUTE + 4 * SECOND
    assert world.noted("closed") == [(transaction,)]
    assert disk.refused > 2
    assert not world.disk.rows
    assert not world.qmgr._hub.transactions
    assert world.qmgr._hub.references.count(world.seen[0].content.segment) == 0


def test_rows_of_delivered_mail_are_deleted_although_others_cannot_be_written() -> None:
    world = World(SETTINGS).boot()
    world.replies[b"*"] = DEFERRED
    old = world.submit(b"a@sink.example", b"b@sink.example")
    assert sorted(world.disk.rows) == [(old, 0), (old, 1)]
    FullDisk(world)
    world.replies = {b"a@sink.example": DEFERRED}
    world.advance(6 * MINUTE)
    assert list(world.disk.rows) == [(old, 0)]


def test_the_row_follows_when_there_is_space_again() -> None:
    world = World(SETTINGS).boot()
    disk = FullDisk(world)
    world.replies[b"*"] = DEFERRED
    transaction = world.submit(b"a@sink.example")
    world.advance(6 * MINUTE)
    disk.full = False
    world.advance(MINUTE)
    assert [(key, row.attempt) for key, row in world.disk.rows.items()] == [((transaction, 0), 2)]
    assert not world.qmgr._hub.transactions
    world.replies.clear()
    world.advance(20 * MINUTE)
    assert world.delivered == [(transaction, b"a@sink.example")]
    assert not world.disk.rows


@pytest.mark.parametrize("messages", [10, 60])
def test_what_overflows_while_the_disk_is_full_is_delivered_from_memory(messages: int) -> None:
    """AQ holds 16: the rest could not be spilled, and comes in turn."""
    world = World(SMALL).boot()
    disk = FullDisk(world)
    world.replies[b"*"] = None
    sent = [world.submit(b"%d@sink.example" % number) for number in range(messages)]
    world.replies.clear()
    while len(world.delivered) < messages:
        for number in sorted(world.deliveries):
            world.finish(number)
        world.advance(2 * SECOND)
    assert sorted(transaction for transaction, _ in world.delivered) == sent
    assert disk.full
    assert not world.disk.rows
    assert not world.qmgr._hub.transactions


def test_a_crash_while_the_disk_is_full_loses_and_repeats_nothing() -> None:
    world = World(SETTINGS).boot()
    FullDisk(world)
    world.replies[b"*"] = DEFERRED
    transaction = world.submit(b"a@sink.example")
    world.advance(6 * MINUTE)
    assert len(world.seen) == 2
    world.disk.fail = None
    world.replies.clear()
    later = world.restart(world.disk, SETTINGS)
    later.boot()
    later.advance(20 * MINUTE)
    assert later.delivered == [(transaction, b"a@sink.example")]
    assert not later.disk.rows


def test_when_what_was_refused_has_been_delivered_from_memory_nothing_waits_for_space_any_more() -> None:
    """Found by the simulator: the timer of the refused rows was armed for the past, again and again, and QMGR never slept."""
    soon = QmgrSettings(min_free_octets=0, retry=RetrySettings(min_us=3 * SECOND, jitter_percent=0, warn_us=0))
    world = World(soon).boot()
    disk = FullDisk(world)
    world.replies[b"*"] = DEFERRED
    world.submit(b"a@sink.example")
    world.replies.clear()
    world.until(lambda: world.delivered)
    assert disk.refused
    steps = world.steps
    world.advance(MINUTE)
    assert world.steps - steps < 200
    assert world.qmgr._hub.deferral.blocked_until == 0


@pytest.mark.parametrize("under_way", [False, True], ids=["nothing else", "a delivery"])
def test_a_stop_while_rows_are_refused_waits_without_spinning(under_way: bool) -> None:
    """Found by crash_storm, seed 56: what is not tried from memory any more was looked at for ever, until the grace was over."""
    world = World(SETTINGS).boot()
    FullDisk(world)
    world.replies[b"a@sink.example"] = DEFERRED
    if under_way:
        world.replies[b"b@sink.example"] = None
        world.submit(b"b@sink.example")
    world.submit(b"a@sink.example")
    world.advance(2 * SECOND)
    steps = world.steps
    world.give(events.StopRequested(8 * SECOND))
    world.advance(9 * SECOND)
    assert world.halted
    assert world.steps - steps < 100


def test_refused_rows_whose_time_comes_while_a_store_is_under_way_wait_for_its_end() -> None:
    """Of the same kind: a slow commit, and a timer for the past all the while."""
    world = World(SETTINGS).boot()
    world.replies[b"*"] = DEFERRED
    old = world.submit(b"old@sink.example")
    disk = FullDisk(world)
    world.submit(b"new@other.example")
    assert disk.refused
    world.advance(4 * MINUTE)
    world.replies[b"old@sink.example"] = DELIVERED
    slow: list[effects.Store] = []

    def hold(effect: AnyEffect) -> list[AnyEvent] | None:
        if isinstance(effect, effects.Store) and not effect.rows and not slow:
            slow.append(effect)
            return []
        return disk.fail(effect)

    world.disk.fail = hold
    world.until(lambda: slow)
    steps = world.steps
    world.advance(MINUTE)
    assert world.steps - steps < 300
    world.disk.fail = disk.fail
    world.inbox.extend(world.disk.apply(slow[0]))
    world.run()
    assert (old, 0) not in world.disk.rows
