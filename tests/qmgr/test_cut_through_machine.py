"""Cut-through in QMGR: what is told to SMTPS, and what is durable, for every way it can go (A12, SX24)."""

import itertools

import pytest

from smx import events, messages
from smx.config.schema_qmgr import QmgrSettings
from smx.messages import Notify, Outcome, Recipient, Resolved
from smx.units import SECOND
from tests.qmgr.world import DEFERRED, DELIVERED, FAILED, SMTPS, World

SETTINGS = QmgrSettings(min_free_octets=0, cdb_segment_octets=1 << 16, ibdb_segment_octets=1 << 16)
REPLIES = {"delivered": DELIVERED, "failed": FAILED, "deferred": DEFERRED, "in flight": None}


def offered(*fates: str, settings: QmgrSettings = SETTINGS) -> tuple[World, int, list[bytes]]:
    """A message offered for cut-through; each recipient has a destination of its own and the fate given."""
    world = World(settings).boot()
    addresses = [b"r@d%d.example" % index for index in range(len(fates))]
    for address, fate in zip(addresses, fates, strict=True):
        world.replies[address] = REPLIES[fate]
    return world, world.submit(*addresses, secured=False), addresses


def openings(world: World) -> int:
    """Envelopes that were ever written: IBDB pins one each."""
    return sum(len(pins) for pins in world.qmgr._hub.ibdb._pins.values())


@pytest.mark.feature("SX24")
def test_delivered_to_all_means_250_and_nothing_durable() -> None:
    world, transaction, _ = offered("delivered", "delivered")
    assert world.take(messages.Submitted) == [messages.Submitted(transaction, delivered=True)]
    assert not world.answers(messages.Secure)
    assert world.qmgr._hub.ibdb.position == world.qmgr._hub.ibdb.durable
    assert not world.disk.rows
    assert world.noted("closed") == [(transaction,)]


@pytest.mark.feature("SX24")
def test_the_only_recipient_failed_means_its_reply_and_nothing_durable() -> None:
    world, transaction, _ = offered("failed")
    assert world.take(messages.Submitted) == [messages.Submitted(transaction, 550, b"5.1.1", b"Unknown")]
    assert not world.noted("bounced")
    assert not world.qmgr._hub.transactions


CELLS = [cell for size in (1, 2, 3) for cell in itertools.combinations_with_replacement(REPLIES, size)]


@pytest.mark.feature("SX24")
@pytest.mark.parametrize("fates", CELLS, ids=" ".join)
def test_every_cell_ends_with_each_recipient_cared_for_once(fates: tuple[str, ...]) -> None:
    world, transaction, addresses = offered(*fates)
    if set(fates) == {"delivered"} or fates == ("failed",):
        assert not world.answers(messages.Secure)
        return
    waits = set(fates) <= {"delivered", "in flight"}
    assert bool(world.answers(messages.Secure)) is not waits
    world.advance(2 * SECOND)
    assert world.take(messages.Secure) == [messages.Secure(transaction)]
    assert not world.answers(messages.Submitted)
    world.tell(SMTPS, messages.Secured(transaction))
    assert world.take(messages.Submitted) == [messages.Submitted(transaction)]
    while world.deliveries:
        world.finish(reply=DELIVERED)
    assert len(world.disk.rows) == fates.count("deferred")
    failed = fates.count("failed")
    assert sum(int(str(values[3])) for values in world.noted("bounced")) == failed
    world.replies.clear()
    world.advance(600 * SECOND)
    taken = [address for number, address in world.delivered if number == transaction]
    assert sorted(taken) == sorted(address for address, fate in zip(addresses, fates, strict=True) if fate != "failed")
    assert (transaction,) in world.noted("closed")
    assert not world.qmgr._hub.transactions


def test_verdicts_that_come_while_the_content_is_synced_join_the_one_record() -> None:
    world, transaction, _ = offered("in flight", "deferred")
    assert world.answers(messages.Secure)
    world.finish()
    assert not world.answers(messages.Submitted)
    world.tell(SMTPS, messages.Secured(transaction))
    assert world.take(messages.Submitted) == [messages.Submitted(transaction)]
    assert len(world.disk.rows) == 1


def test_the_deadline_makes_it_durable() -> None:
    world, transaction, _ = offered("in flight")
    world.advance(SECOND - 1)
    assert not world.answers(messages.Secure)
    world.advance(2)
    assert world.take(messages.Secure) == [messages.Secure(transaction)]


@pytest.mark.parametrize(
    "settings", [QmgrSettings(min_free_octets=0, cut_through_us=0), QmgrSettings(min_free_octets=0, cut_through_recipients_max=1)], ids=["off", "few"]
)
def test_an_offer_outside_the_settings_is_declined_at_once(settings: QmgrSettings) -> None:
    world, transaction, _ = offered("delivered", "delivered", settings=settings)
    assert world.take(messages.Secure) == [messages.Secure(transaction)]
    assert not world.seen
    world.tell(SMTPS, messages.Secured(transaction))
    assert world.take(messages.Submitted) == [messages.Submitted(transaction)]
    assert len(world.delivered) == 2


def test_a_wish_for_a_success_notification_declines_it() -> None:
    world = World(SETTINGS).boot()
    transaction = world.submit(Recipient(0, b"a@sink.example", Notify.SUCCESS), secured=False)
    assert world.take(messages.Secure) == [messages.Secure(transaction)]
    assert not world.seen


def test_an_alias_makes_it_durable_first() -> None:
    world = World(SETTINGS).boot()
    world.resolve[b"list@l.example"] = lambda question: Resolved(question.request, expansion=(b"a@x.example", b"b@x.example"))
    transaction = world.submit(b"list@l.example", secured=False)
    assert world.take(messages.Secure) == [messages.Secure(transaction)]
    world.tell(SMTPS, messages.Secured(transaction))
    assert [address for _, address in world.delivered] == [b"a@x.example", b"b@x.example"]
    assert world.take(messages.Submitted) == [messages.Submitted(transaction)]


def test_a_dead_destination_makes_it_durable() -> None:
    world = World(SETTINGS).boot()
    world.dead.add("sink.example")
    for _ in range(5):
        world.submit(b"a@sink.example")
    transaction = world.submit(b"a@sink.example", secured=False)
    assert world.take(messages.Secure) == [messages.Secure(transaction)]
    world.tell(SMTPS, messages.Secured(transaction))
    assert world.take(messages.Submitted)[-1] == messages.Submitted(transaction)
    assert len(world.disk.rows) == 6


def test_an_abort_forgets_it_but_its_content_stays_until_the_delivery_has_ended() -> None:
    world, transaction, _ = offered("in flight", "in flight")
    segment = world.seen[0].content.segment
    world.tell(SMTPS, messages.Abort(transaction))
    assert world.take(messages.Aborted) == [messages.Aborted(transaction, kept=False)]
    assert world.qmgr._hub.references.count(segment) == 1
    world.finish(reply=DEFERRED)
    world.finish(reply=FAILED)
    assert world.qmgr._hub.references.count(segment) == 0
    assert not world.qmgr._hub.transactions
    assert not world.disk.rows
    assert not world.noted("bounced")
    assert world.qmgr._hub.submission.incoming == 0


def test_an_abort_after_the_record_was_written_comes_too_late() -> None:
    world = World(SETTINGS).boot()
    world.hold_stores.add("ibdb")
    transaction = world.submit(b"a@sink.example")
    world.tell(SMTPS, messages.Abort(transaction))
    assert not world.answers(messages.Aborted)
    world.release()
    assert world.take(messages.Aborted) == [messages.Aborted(transaction, kept=True)]
    assert len(world.delivered) == 1


def test_an_abort_of_what_is_unknown_or_over_is_answered() -> None:
    world = World(SETTINGS).boot()
    done = world.submit(b"a@sink.example")
    unknown = world.envelope(b"a@sink.example").transaction
    world.tell(SMTPS, messages.Abort(done))
    world.tell(SMTPS, messages.Abort(unknown))
    assert world.take(messages.Aborted) == [messages.Aborted(done, kept=True), messages.Aborted(unknown, kept=False)]


def test_a_lost_smtps_takes_what_was_only_appended_with_it_and_nothing_else() -> None:
    world, _, _ = offered("in flight")
    world.replies[b"k@keep.example"] = None
    kept = world.submit(b"k@keep.example")
    world.give(events.Unlinked(SMTPS, world.epoch + 1))
    world.finish()
    assert set(world.qmgr._hub.transactions) == {kept}


def test_a_stop_makes_what_is_offered_durable() -> None:
    world, transaction, _ = offered("in flight")
    world.give(events.StopRequested(10 * SECOND))
    assert world.take(messages.Secure) == [messages.Secure(transaction)]
    world.tell(SMTPS, messages.Secured(transaction))
    assert world.take(messages.Submitted) == [messages.Submitted(transaction)]
    world.finish(reply=(Outcome.DELIVERED, 250, b"2.0.0", b"OK"))
    assert world.halted == "stopped"
