"""Restart of QMGR at any point of its work: nothing acknowledged is lost, and no more is delivered twice than may be (I1, I6, I7, I14)."""

from collections import Counter
from contextlib import suppress
from itertools import islice

import pytest

from smx import events, messages
from smx.config.schema_qmgr import QmgrSettings, RetrySettings
from smx.effects import AnyEffect
from smx.messages import Notify, Protocol, QueueChange, Recipient, Resolved
from smx.units import HOUR, MINUTE, SECOND
from tests.crash.disk import Disk
from tests.qmgr.world import DEFERRED, FAILED, RELAYED, SMTPC, TOOL, World, route

SETTINGS = QmgrSettings(
    hostname="mx.example.org",
    min_free_octets=0,
    ibdb_segment_octets=1 << 16,
    cdb_segment_octets=1 << 16,
    retry=RetrySettings(warn_us=0),
)


class CrashError(Exception):
    """The process is gone."""


class Fragile(World):
    """Dies before the effect number `life`."""

    def __init__(self, settings: QmgrSettings, life: int) -> None:
        super().__init__(settings)
        self.life = life

    def carry_out(self, effect: AnyEffect) -> None:
        if self.life == 0:
            raise CrashError
        self.life -= 1
        super().carry_out(effect)


def story(world: World) -> None:
    """A bit of everything: success, deferral, failure, an alias, retry, removal, a lost SMTPC."""
    world.boot()
    world.replies.update({b"later@x.example": DEFERRED, b"never@x.example": FAILED, b"gone@y.example": DEFERRED})
    world.resolve[b"list@l.example"] = lambda question: Resolved(question.request, expansion=(b"a@x.example", b"later@z.example"))
    world.resolve[b"me@l.example"] = lambda question: Resolved(question.request, route("local", Protocol.LMTP))
    world.replies[b"later@z.example"] = DEFERRED
    world.submit(b"ok@x.example", b"later@x.example")
    world.submit(b"never@x.example", b"ok@y.example")
    world.submit(Recipient(0, b"me@l.example", Notify.SUCCESS), Recipient(1, b"list@l.example"))
    world.submit(b"gone@y.example")
    world.tell(TOOL, QueueChange(1, "remove", messages.Filter(recipient="gone@*"), who="root"))
    del world.replies[b"later@x.example"]
    world.advance(7 * MINUTE)


def life_of_story() -> int:
    world = Fragile(SETTINGS, -1)
    story(world)
    return -1 - world.life


def acknowledged(world: World) -> set[int]:
    return {message.transaction for message in world.answers(messages.Submitted) if message.code == 250}


def accepted(world: World) -> dict[int, set[bytes]]:
    """Recipients that each acknowledged transaction must end with."""
    found: dict[int, set[bytes]] = {}
    for values in world.noted("recipient"):
        transaction, address = values[0], values[2]
        assert isinstance(transaction, int)
        assert isinstance(address, bytes)
        if transaction in acknowledged(world) and address != b"list@l.example":
            found.setdefault(transaction, set()).add(address)
    return found


def live_on(old: World, disk: Disk) -> World:
    """Another life, in which every host is healthy but for the one address that does not exist."""
    world = old.restart(disk, SETTINGS)
    world.replies = {b"never@x.example": FAILED}
    world.resolve = dict(old.resolve)
    world.boot()
    world.until(lambda: not leftovers(world), within=10 * HOUR)
    assert world.halted == ""
    return world


def check(old: World, disk: Disk) -> None:
    expected = accepted(old)
    before = Counter(old.delivered)
    old_delivered = list(old.delivered)
    new = live_on(old, disk)
    after = Counter(new.delivered)
    for transaction, addresses in expected.items():
        for address in addresses - {b"never@x.example", b"gone@y.example"}:
            assert after[transaction, address] >= 1, f"{address!r} of an acknowledged message is lost (I1)"
        if b"never@x.example" in addresses:
            bounced = [values for world in (old, new) for values in world.noted("bounced") if values[0] == transaction]
            assert bounced, "a failure that nobody was told (I1)"
    written = {values[:3] for values in old.noted("recorded")}
    recorded = {values[:2] for values in old.noted("verdict") if values[3] in ("delivered", "relayed") and values[:3] in written}
    indices = {(values[0], values[2]): values[1] for values in old.noted("recipient")}
    for (transaction, address), count in before.items():
        if (transaction, indices.get((transaction, address))) in recorded:
            assert after[transaction, address] == count, "delivered again although its verdict was durable (I6)"
    assert max(after.values(), default=0) <= 2
    told = Counter(address for _, address in new.delivered if address == b"sender@client.example")
    assert told[b"sender@client.example"] <= 2 * 2  # two stories end with a notification, each may be delivered twice
    old.delivered[:] = old_delivered


def leftovers(world: World) -> list[object]:
    """What a queue that has run empty leaves (I10)."""
    left: list[object] = list(world.disk.rows)
    left += list(world.qmgr._hub.transactions)
    references = world.qmgr._hub.references
    left += [segment for segment in references.segments() if references.count(segment)]
    return left


LIFE = life_of_story()


@pytest.mark.parametrize("part", range(4))
def test_the_process_or_the_power_may_go_before_any_effect(part: int) -> None:
    for life in range(part, LIFE, 4):
        world = Fragile(SETTINGS, life)
        with pytest.raises(CrashError):
            story(world)
        check(world, world.disk.kill_image())
        if life % 3 == 0:
            for image in islice(world.disk.crash_images(2), 2):
                check(world, image)


def test_a_second_crash_during_the_restart_changes_nothing() -> None:
    for life in range(3, LIFE, 17):
        world = Fragile(SETTINGS, life)
        with pytest.raises(CrashError):
            story(world)
        for second in (1, 5, 12, 25, 60):
            again = Fragile(SETTINGS, second)
            again.disk = world.disk.kill_image()
            again.epoch, again.now, again.wall = world.epoch + 50, world.now + 1, world.wall
            again.resolve, again.replies = dict(world.resolve), {b"never@x.example": FAILED}
            again.delivered = list(world.delivered)
            with suppress(CrashError):
                again.boot()
            world.delivered[:] = again.delivered
            again.told += world.told
            again.notes[:0] = world.notes
            check(again, again.disk.kill_image())
            world.delivered[:] = world.delivered[: len(world.delivered)]


def test_nothing_is_delivered_granted_or_answered_before_recovery_has_ended() -> None:
    world = World(SETTINGS)
    held: list[AnyEffect] = []
    real = world.disk.apply
    world.disk.apply = lambda effect: held.append(effect) or []  # type: ignore[method-assign, func-returns-value]
    world.give(events.Started(world.epoch, 1, world.wall))
    world.give(events.Linked("smar", 2))
    world.give(events.Linked(SMTPC, 3))
    world.tell(SMTPC, messages.Capacity(5))
    world.give(events.Linked("smtps.mx.0", world.epoch + 1))
    world.tell(TOOL, messages.StatusAsked(4))
    assert not world.told
    assert not world.blocks
    world.disk.apply = real  # type: ignore[method-assign]
    for effect in held:
        world.inbox.extend(real(effect))
    world.run()
    assert world.blocks == [1]
    assert [type(message).__name__ for _, message in world.told] == ["Admission", "Admission", "Status"]  # the second one because SMTPC came to work


def test_three_crashes_with_the_same_delivery_in_hand_set_it_aside_and_the_others_go_on() -> None:
    world = World(SETTINGS).boot()
    world.replies[b"*"] = None
    poison = world.submit(b"poison@x.example")
    for _ in range(3):
        world.advance(2 * SECOND)
        assert [deliver.transaction for _, deliver in world.deliveries.values()] == [poison]
        world = world.restart(world.disk.kill_image(), SETTINGS).boot()
    assert not world.deliveries
    assert (poison, 0) in {values[:2] for values in world.noted("quarantined")}
    assert [row.state for row in world.disk.rows.values()] == [2]
    world.replies = {b"*": RELAYED}
    world.submit(b"fine@x.example")
    assert [address for _, address in world.delivered] == [b"fine@x.example"]


def test_orderly_ends_are_not_counted_as_crashes() -> None:
    world = World(SETTINGS).boot()
    world.replies[b"*"] = None
    world.submit(b"slow@x.example")
    for _ in range(5):
        world.give(events.StopRequested(10 * MINUTE))
        world.advance(10 * MINUTE)
        assert world.halted == "stopped"
        world = world.restart(world.disk.kill_image(), SETTINGS).boot()
        world.advance(5 * HOUR)
        assert len(world.deliveries) == 1
    assert not world.noted("quarantined")
