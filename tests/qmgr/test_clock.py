"""A wall clock that is set back, and the times of next attempts (F26, L1)."""

import pytest

from smx import events
from smx.config.schema_qmgr import QmgrSettings, RetrySettings
from smx.units import HOUR, MINUTE, SECOND
from tests.qmgr.world import DEFERRED, World

RETRY = RetrySettings(min_us=MINUTE, max_us=10 * MINUTE, dead_max_us=5 * MINUTE, warn_us=0)
SETTINGS = QmgrSettings(hostname="mx.example.org", min_free_octets=0, retry=RETRY)
LONGEST = 11 * MINUTE


def deferred(count: int = 3) -> World:
    """Mail that lives in DEFEDB."""
    world = World(SETTINGS).boot()
    world.replies[b"*"] = DEFERRED
    for number in range(count):
        world.submit(b"a%d@x.example" % number)
    assert len(world.disk.rows) == count
    del world.replies[b"*"]
    return world


def set_clock(world: World, by_us: int) -> None:
    world.wall += by_us
    world.give(events.ClockJumped(world.wall))


@pytest.mark.parametrize("by_us", [-HOUR, -400 * 24 * HOUR])
def test_no_deferred_recipient_waits_longer_because_the_wall_clock_was_set_back(by_us: int) -> None:
    """Found by crash_storm, seed 34: everything waited as long again as the clock was set back."""
    world = deferred()
    set_clock(world, by_us)
    world.advance(LONGEST)
    assert len(world.delivered) == 3
    assert not world.disk.rows


def test_the_same_when_the_clock_was_set_while_nobody_ran() -> None:
    world = deferred()
    after = world.restart(world.disk, SETTINGS)
    after.wall -= HOUR
    after.boot()
    after.advance(LONGEST)
    assert len(after.delivered) == 3


def test_what_is_on_its_way_to_the_disk_when_the_clock_is_set_is_looked_at_when_it_is_there() -> None:
    world = deferred(0)
    world.replies[b"*"] = DEFERRED
    world.hold_stores.add("ibdb")
    world.submit(b"a@x.example")
    world.release()
    set_clock(world, -HOUR)
    world.hold_stores.clear()
    world.release()
    assert len(world.disk.rows) == 1
    del world.replies[b"*"]
    world.advance(LONGEST)
    assert len(world.delivered) == 1


def test_the_new_times_are_spread_and_a_clock_that_is_slewed_changes_none() -> None:
    world = deferred(30)
    before = dict(world.disk.rows)
    set_clock(world, -2 * SECOND)
    assert world.disk.rows == before
    set_clock(world, -HOUR)
    times = sorted(row.next_try - world.now - world.wall for row in world.disk.rows.values())
    assert 0 <= times[0] < times[-1] - 3 * MINUTE
    assert times[-1] <= 10 * MINUTE
