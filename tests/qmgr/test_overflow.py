"""Overflow of one destination's deferred mail: it is put off within bounds, and comes back as fast as the destination takes it (A8, SX16, I16)."""

from smx.config.schema_qmgr import QmgrSettings, RetrySettings
from smx.qmgr.aq import Destination
from smx.qmgr.deferral import BATCHES_WAITING_MAX
from smx.qmgr.dispatch import OVERFLOW_WAIT_MAX_US
from smx.qmgr.window import WindowLimits
from smx.units import HOUR, MILLISECOND, SECOND
from tests.qmgr.world import DEFERRED, DELIVERED, World

BATCH = 8
SETTINGS = QmgrSettings(min_free_octets=0, aq_max_entries=32, edbc_max_entries=64, spill_batch=BATCH, retry=RetrySettings(warn_us=0, jitter_percent=0))
MESSAGES = 400


def backlog() -> World:
    """A queue of deferred mail for one destination, nearly due; deliveries end when they are told to."""
    world = World(SETTINGS).boot()
    world.replies[b"*"] = DEFERRED
    for _ in range(MESSAGES):
        world.submit(b"a@one.example")
    world.replies[b"*"] = None
    due = min(row.next_try for row in world.disk.rows.values()) - world.wall
    world.advance(due - world.now - SECOND)
    return world


def test_the_backlog_of_a_destination_that_became_fast_is_worked_off_at_its_speed() -> None:
    world = backlog()
    begun = world.now
    while world.disk.rows and world.now < begun + 120 * SECOND:  # two hundred a second
        for _ in range(min(10, len(world.deliveries))):
            world.finish(reply=DELIVERED)
        world.advance(50 * MILLISECOND)
    assert len(world.delivered) == MESSAGES
    assert world.now - begun < 20 * SECOND


def test_rows_that_are_put_off_wait_for_the_disk_in_bounded_number() -> None:
    world = backlog()
    deferral = world.qmgr._hub.deferral
    longest = 0
    real = world.qmgr._finish

    def finish() -> None:
        nonlocal longest
        real()
        longest = max(longest, len(deferral._pending))

    world.qmgr._finish = finish  # type: ignore[method-assign]
    world.advance(10 * SECOND)
    assert 0 < longest <= BATCHES_WAITING_MAX * BATCH


def test_mail_that_is_put_off_comes_back_in_minutes_however_long_the_time_table_has_become() -> None:
    world = backlog()
    hub = world.qmgr._hub
    hub.aq.destination("one.example").cursor = hub.stamp + 3 * HOUR
    world.advance(10 * SECOND)
    latest = max(row.next_try for row in world.disk.rows.values()) - world.wall
    assert latest <= world.now + OVERFLOW_WAIT_MAX_US


def test_deferred_mail_that_is_put_off_is_no_incoming_mail() -> None:
    """What waits on its way back to DEFEDB does not close the door to new mail."""
    world = backlog()
    world.advance(2 * SECOND)
    assert world.qmgr._hub.submission.incoming == 0


def test_a_rate_is_measured_only_while_more_waits_in_line() -> None:
    destination = Destination("one.example", WindowLimits(5, 100, SECOND, SECOND))
    destination.rate = 500.0
    for hour in range(1, 5):  # one message now and then, and nothing behind it
        destination.measure(1, hour * 3600 * SECOND)
    assert destination.rate == 500.0
