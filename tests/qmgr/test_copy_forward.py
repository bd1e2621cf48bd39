"""An old transaction is copied forward in the log, whatever state its recipients are in, and a crash afterwards finds all of it (A3, SX13)."""

from collections import Counter

import pytest

from smx.config.schema_qmgr import QmgrSettings, RetrySettings
from smx.messages import Resolved
from smx.qmgr.records import Status
from smx.units import HOUR, SECOND
from tests.crash.disk import Disk
from tests.qmgr.world import DEFERRED, World

SETTINGS = QmgrSettings(
    hostname="mx",
    min_free_octets=0,
    ibdb_segment_octets=4_096,
    ibdb_segments_max=2,
    aq_max_entries=4_000,
    retry=RetrySettings(min_us=5 * 60 * SECOND, warn_us=0),
)
DONE, LATER, HANGS, LIST = b"done@x.example", b"later@x.example", b"hangs@y.example", b"list@l.example"
CHILDREN = (b"done@w.example", b"hangs@z.example")


def aged() -> tuple[World, int]:
    """A world whose log has turned over many times since a transaction with recipients in every state came."""
    world = World(SETTINGS).boot()
    world.replies.update({LATER: DEFERRED, HANGS: None, b"hangs@z.example": None})
    world.resolve[LIST] = lambda question: Resolved(question.request, expansion=CHILDREN)
    old = world.submit(DONE, LATER, HANGS, LIST)
    first = world.qmgr._hub.ibdb.segments[0]
    for _ in range(150):
        world.submit(b"quick@q.example")
    assert world.qmgr._hub.ibdb.segments[0] > first + 2
    assert len(world.qmgr._hub.ibdb.segments) <= 5
    return world, old


@pytest.mark.feature("SX13")
@pytest.mark.parametrize("power", ["kept", "lost"])
def test_every_recipient_of_a_copied_transaction_ends_once(power: str) -> None:
    world, old = aged()
    image: Disk = world.disk.kill_image() if power == "kept" else next(world.disk.crash_images(0))
    before = Counter(address for number, address in world.delivered if number == old)
    later = world.restart(image, SETTINGS)
    later.replies, later.resolve = {}, {}
    later.boot()
    later.until(lambda: not later.disk.rows and not later.qmgr._hub.transactions, within=HOUR)
    after = Counter(address for number, address in later.delivered if number == old)
    assert before == Counter({DONE: 1, b"done@w.example": 1})
    assert after == Counter({DONE: 1, LATER: 1, HANGS: 1, b"done@w.example": 1, b"hangs@z.example": 1})


def test_a_recipient_whose_row_is_on_its_way_is_not_said_to_have_moved() -> None:
    world = World(QmgrSettings(min_free_octets=0, aq_max_entries=16)).boot()
    world.replies[b"*"] = None
    held = []
    world.disk.fail = lambda effect: held.append(effect) or [] if type(effect).__name__ == "Store" else None  # type: ignore[func-returns-value]
    numbers = [world.submit(b"a@d%d.example" % number) for number in range(20)]
    assert held
    spilled = world.qmgr._hub.transactions[numbers[-1]]
    assert [state.status for state in spilled.opened().states] == [Status.QUEUED]
    again = world.restart(world.disk.kill_image(), SETTINGS)
    again.replies = {}
    again.boot()
    assert {number for number, _ in again.delivered} == set(numbers)
