"""Batches of DEFEDB: one transaction in several changes of one batch. Found by a campaign of kills, told here as short stories."""

import pytest

from smx.config.schema_qmgr import QmgrSettings, RetrySettings
from smx.units import MINUTE
from tests.qmgr.world import DEFERRED, FAILED, World

SETTINGS = QmgrSettings(min_free_octets=0, retry=RetrySettings(min_us=5 * MINUTE, jitter_percent=0, warn_us=0))
A, B = b"a@sink.example", b"b@sink.example"


@pytest.mark.parametrize("later", [A, B])
def test_one_recipient_is_stored_again_and_the_other_ones_row_is_deleted_in_the_same_batch(later: bytes) -> None:
    """Nothing of the transaction is in memory after it, whichever comes last: it leaves once."""
    world = World(SETTINGS).boot()
    world.replies[b"*"] = DEFERRED
    transaction = world.submit(A, B)
    assert sorted(world.disk.rows) == [(transaction, 0), (transaction, 1)]
    world.replies = {later: DEFERRED}
    world.advance(6 * MINUTE)
    assert [len(deliver.recipients) for deliver in world.seen] == [2, 2]
    assert list(world.disk.rows) == [(transaction, (A, B).index(later))]
    assert not world.qmgr._hub.transactions
    world.replies.clear()
    world.advance(11 * MINUTE)
    assert not world.disk.rows
    assert world.noted("closed") == [(transaction,)]
    assert sorted(world.delivered) == [(transaction, A), (transaction, B)]


@pytest.mark.parametrize("others", [(), (b"c@other.example",)])
def test_a_recovered_recipient_that_owes_a_notification_is_not_taken_from_its_row_as_well(others: tuple[bytes, ...]) -> None:
    """The crash came between the verdict of a retry and the notification of it; the row still says that another attempt is due."""
    world = World(SETTINGS).boot()
    world.replies = {A: DEFERRED, b"c@other.example": None}
    transaction = world.submit(A, *others)
    world.replies[A] = FAILED
    world.hold_stores.add("cdb")  # the notification's content is not synced: nothing of it is recorded
    world.advance(6 * MINUTE)
    assert not world.noted("bounced")
    assert list(world.disk.rows) == [(transaction, 0)]
    world.replies.clear()
    later = world.restart(world.disk, SETTINGS)
    later.now += 20 * MINUTE
    later.hold_stores.add("cdb")
    later.boot()
    later.hold_stores.clear()
    later.release()
    assert [deliver.recipients[0].address for deliver in later.seen] == [*others, b"sender@client.example"]
    assert not later.disk.rows
    assert (transaction,) in later.noted("closed")
