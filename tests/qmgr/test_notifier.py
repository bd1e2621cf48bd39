"""Notifications in QMGR: what is said, to whom, how often, and what happens when something is in the way (SX27, A6)."""

import pytest

from smx import events
from smx.config.schema_qmgr import QmgrSettings
from smx.messages import Body, Envelope, Notify, Protocol, Recipient, Resolved, Ret, Submit
from smx.units import HOUR, SECOND
from tests.qmgr.world import DEFERRED, FAILED, RELAYED, SMTPS, World, route

SETTINGS = QmgrSettings(hostname="mx.example.org", min_free_octets=0, cdb_segment_octets=1 << 18)


def text_of(world: World, number: int = -1) -> bytes:
    """The content of a delivery."""
    content = world.seen[number].content
    return bytes(world.disk.names["cdb"][content.segment].view()[content.offset : content.offset + content.octets])


def failing(world: World, *addresses: bytes) -> World:
    world.replies.update(dict.fromkeys(addresses, FAILED))
    return world.boot()


@pytest.mark.feature("SX27")
@pytest.mark.parametrize(("ret", "whole"), [(Ret.NONE, True), (Ret.FULL, True), (Ret.HDRS, False)])
def test_ret_says_how_much_is_returned(ret: Ret, whole: bool) -> None:
    world = failing(World(SETTINGS), b"a@x.example")
    world.submit(b"a@x.example", ret=ret)
    assert b"Subject: test" in text_of(world)
    assert (b"Hello" in text_of(world)) is whole


@pytest.mark.feature("SX27")
def test_recipients_that_fail_together_stand_in_one_notification() -> None:
    world = failing(World(SETTINGS), b"a@x.example", b"b@x.example")
    world.submit(b"a@x.example", b"b@x.example", b"c@x.example")
    assert [values[3] for values in world.noted("bounced")] == [2]
    text = text_of(world)
    assert text.count(b"Final-Recipient:") == 2
    assert b"c@x.example" not in text


def test_two_notifications_of_one_message_have_different_message_ids() -> None:
    """Found by crash_storm, seed 44: recipients that failed one behind the other were reported under one Message-ID (RFC 5322 3.6.4: unique)."""
    world = failing(World(SETTINGS), b"a@x.example")
    world.replies[b"b@y.example"] = None
    world.submit(b"a@x.example", b"b@y.example")
    first = text_of(world)
    world.finish(reply=FAILED)
    ids = [line for text in (first, text_of(world)) for line in text.split(b"\r\n") if line.startswith(b"Message-ID:")]
    assert len(set(ids)) == 2


def test_recipients_for_whom_none_is_due_do_not_stand_in_it() -> None:
    world = failing(World(SETTINGS), b"a@x.example", b"b@x.example")
    world.submit(Recipient(0, b"a@x.example"), Recipient(1, b"b@x.example", Notify.SUCCESS))
    assert b"b@x.example" not in text_of(world)
    assert len(world.noted("unbounced")) == 1


def test_relayed_and_delivered_are_told_apart() -> None:
    world = World(SETTINGS).boot()
    world.resolve[b"me@l.example"] = lambda question: Resolved(question.request, route("local", Protocol.LMTP))
    world.replies[b"r@x.example"] = RELAYED
    world.submit(Recipient(0, b"me@l.example", Notify.SUCCESS))
    assert b"Action: delivered" in text_of(world)
    world.submit(Recipient(0, b"r@x.example", Notify.SUCCESS))
    assert b"Action: relayed" in text_of(world)


def test_an_expanded_alias_is_told_when_success_was_asked_for() -> None:
    world = World(SETTINGS).boot()
    world.resolve[b"all@l.example"] = lambda question: Resolved(question.request, expansion=(b"a@x.example", b"b@x.example"))
    world.submit(Recipient(0, b"all@l.example", Notify.SUCCESS | Notify.FAILURE))
    texts = [text_of(world, number) for number in range(len(world.seen))]
    assert sum(b"Action: expanded" in text for text in texts) == 1
    assert all(one.notify == Notify.FAILURE for deliver in world.seen if len(deliver.recipients) == 2 for one in deliver.recipients)


def test_a_delay_is_told_without_closing_anything() -> None:
    world = World(SETTINGS).boot()
    world.replies[b"a@x.example"] = DEFERRED
    world.submit(b"a@x.example")
    world.until(lambda: world.noted("bounced"), within=10 * HOUR)
    assert b"Action: delayed" in text_of(world)
    assert b"Will-Retry-Until:" in text_of(world)
    assert len(world.disk.rows) == 1


def test_no_delay_is_told_when_it_was_not_asked_for() -> None:
    world = World(SETTINGS).boot()
    world.replies[b"a@x.example"] = DEFERRED
    world.submit(Recipient(0, b"a@x.example", Notify.FAILURE))
    world.advance(24 * HOUR)
    assert not world.noted("bounced")


def test_the_notification_is_durable_before_the_record_that_opens_it_and_the_record_before_its_delivery() -> None:
    world = failing(World(SETTINGS), b"a@x.example")
    world.hold_stores.update(("cdb", "ibdb"))
    world.submit(b"a@x.example")
    world.release()  # the envelope
    assert not world.noted("bounced")
    world.release()  # the verdict, the notification's content
    assert len(world.noted("bounced")) == 1
    assert len(world.seen) == 1
    world.release()  # the one record
    assert world.seen[1].reverse_path == b""


def test_content_that_cannot_be_read_is_left_out() -> None:
    world = failing(World(SETTINGS), b"a@x.example")
    world.disk.fail = lambda effect: [events.ReadFailed(effect.request, True, "gone")] if type(effect).__name__ == "Read" else None  # type: ignore[union-attr]
    world.submit(b"a@x.example")
    assert b"Subject: test" not in text_of(world)
    assert len(world.noted("bounced")) == 1


def test_a_full_disk_delays_notifications_and_loses_none() -> None:
    world = failing(World(SETTINGS), b"a@x.example")
    full = True

    def fail(effect: object) -> list[events.AnyEvent] | None:
        if full and type(effect).__name__ == "Append" and effect.store == "cdb" and effect.offset > 0:  # type: ignore[attr-defined]
            return [events.AppendFailed("cdb", effect.segment, effect.offset, True, "full")]  # type: ignore[attr-defined]
        return None

    envelopes = [world.envelope(b"a@x.example") for _ in range(3)]
    world.disk.fail = fail
    for envelope in envelopes:
        world.tell(SMTPS, Submit(envelope))
    assert not world.noted("bounced")
    assert len(world.qmgr._hub.transactions) == 3
    full = False
    world.advance(11 * SECOND)
    assert len(world.noted("bounced")) == 3
    assert not world.qmgr._hub.transactions


def test_an_eight_bit_original_makes_an_eight_bit_notification() -> None:
    world = failing(World(SETTINGS), b"a@x.example")
    plain = world.envelope(b"a@x.example")
    content = world.content(plain.transaction + 1, "Subject: green\r\n\r\nGr\u00fc\u00dfe\r\n".encode())
    world.tell(SMTPS, Submit(Envelope(plain.transaction + 1, b"sender@client.example", plain.recipients, content, plain.arrived_at)))
    assert "Gr\u00fc\u00dfe".encode() in text_of(world)
    assert world.seen[-1].body == Body.EIGHT_BIT
    assert world.seen[-1].content.eight_bit


def test_at_most_so_many_are_in_the_making_at_once() -> None:
    world = failing(World(SETTINGS), b"a@x.example")
    world.hold_stores.add("cdb")
    for number in range(100):
        world.submit(b"a@x.example", sender=b"s%d@client.example" % number)
    assert world.qmgr._hub.notifier._active <= 32
    while world.held:
        world.release()
    world.hold_stores.clear()
    world.release()
    world.advance(SECOND)
    assert len(world.noted("bounced")) == 100
