"""Segments that are mostly dead are given up: what lives in them is copied, and no crash in between loses it (A3, SX09, I1, I10)."""

import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice

import pytest

from smx import effects, events
from smx.config.schema_qmgr import QmgrSettings, RetrySettings, ThrottleSettings
from smx.effects import AnyEffect
from smx.events import AnyEvent
from smx.messages import Content, Filter, QueueChange, Submitted
from smx.qmgr import copying, relocation
from smx.qmgr.copying import Copier
from smx.qmgr.rows import read_row
from smx.units import HOUR, KIB, MIB, MINUTE, SECOND
from tests.crash.disk import Disk
from tests.qmgr.world import BODY, DEFERRED, RELAYED, TOOL, World

SETTINGS = QmgrSettings(
    hostname="mx.example.org",
    min_free_octets=0,
    cdb_waste_max_octets=0,
    ibdb_segment_octets=1 << 16,
    cdb_segment_octets=1 << 16,
    retry=RetrySettings(min_us=HOUR, max_us=HOUR, warn_us=0, jitter_percent=0),
)
FILLER = BODY + b"x" * 998 + b"\r\n"


def mixed(world: World, *later: bytes, fillers: int = 4) -> list[int]:
    """A sealed segment with dead content and, between it, a message for each of `later` that is deferred."""
    world.replies.update(dict.fromkeys(later, DEFERRED))
    sent = []
    kept = []
    for number in range(fillers):
        world.body = FILLER
        sent.append(world.submit(b"ok%d@x.example" % number))
        if number < len(later):
            world.body = BODY + later[number] + b"\r\n"
            kept.append(world.submit(later[number]))
    world.seal(*sent, *kept)
    return kept


def place(world: World, transaction: int) -> Content:
    """Where its rows say that its content is; all of them say the same."""
    rows = [row for (number, _), row in world.disk.rows.items() if number == transaction]
    contents = {read_row(row)[0].content for row in rows}
    assert len(contents) == 1
    (content,) = contents
    assert {row.segment for row in rows} == {content.segment}
    return content


def octets_at(disk: Disk, content: Content) -> bytes:
    return bytes(disk.names["cdb"][content.segment].view()[content.offset : content.offset + content.octets])


def balanced(world: World) -> None:
    """References are those that a recovery would count (A3)."""
    hub = world.qmgr._hub
    wanted = Counter(row.segment for row in world.disk.rows.values())
    wanted.update(transaction.content.segment for transaction in hub.transactions.values() if transaction.recorded)
    assert {segment: count for segment in hub.references.segments() if (count := hub.references.count(segment))} == dict(wanted)


@pytest.mark.feature("SX09")
def test_what_lives_in_a_dead_segment_is_copied_and_the_segment_goes() -> None:
    world = World(SETTINGS).boot()
    one, two = mixed(world, b"a@x.example", b"b@y.example")
    before = {number: place(world, number) for number in (one, two)}
    segment = before[one].segment
    assert segment == before[two].segment
    content = {number: octets_at(world.disk, before[number]) for number in (one, two)}
    world.advance(MINUTE)
    assert segment not in world.disk.segments("cdb")
    assert world.noted("relocated") == [(segment, 2, sum(map(len, content.values())))]
    for number in (one, two):
        after = place(world, number)
        assert after.segment != segment
        assert octets_at(world.disk, after) == content[number]
        assert after.checksum == before[number].checksum == zlib.crc32(content[number])
        assert (after.lines, after.header_octets, after.longest_line) == (before[number].lines, before[number].header_octets, before[number].longest_line)
    balanced(world)


def test_later_deliveries_use_the_copy() -> None:
    world = World(SETTINGS).boot()
    (number,) = mixed(world, b"a@x.example")
    world.advance(MINUTE)
    copy = place(world, number)
    world.replies.clear()
    world.advance(2 * HOUR)
    assert world.seen[-1].content == copy
    assert (number, b"a@x.example") in world.delivered
    assert not world.disk.rows
    world.advance(MINUTE)
    assert copy.segment not in world.disk.segments("cdb")
    balanced(world)


def asked(world: World) -> list[AnyEffect]:
    """Everything that is asked of the stores from now on."""
    seen: list[AnyEffect] = []
    apply = world.disk.apply

    def watch(effect: AnyEffect) -> list[AnyEvent]:
        seen.append(effect)
        return apply(effect)

    world.disk.apply = watch  # type: ignore[method-assign]
    return seen


def test_as_long_as_there_is_room_nothing_is_read_or_copied() -> None:
    settings = QmgrSettings(min_free_octets=0, cdb_waste_max_octets=MIB, retry=SETTINGS.retry)
    world = World(settings).boot()
    (number,) = mixed(world, b"a@x.example")
    segment = place(world, number).segment
    seen = asked(world)
    world.advance(10 * MINUTE)
    assert not [effect for effect in seen if isinstance(effect, effects.Find | effects.Read)]
    assert place(world, number).segment == segment


def test_when_the_disk_is_nearly_full_the_allowance_does_not_count() -> None:
    settings = QmgrSettings(min_free_octets=0, cdb_waste_max_octets=MIB, retry=SETTINGS.retry, throttle=ThrottleSettings(slow_free_octets=10 * MIB))
    world = World(settings).boot()
    (number,) = mixed(world, b"a@x.example")
    segment = place(world, number).segment
    world.advance(MINUTE)
    assert place(world, number).segment == segment
    world.disk.free = 5 * MIB
    world.advance(MINUTE)
    assert place(world, number).segment != segment


def test_a_segment_that_lives_for_the_most_part_stays() -> None:
    world = World(SETTINGS).boot()
    later = [b"%d@x.example" % number for number in range(40)]
    kept = mixed(world, *later, fillers=40)
    world.disk.names["cdb"][place(world, kept[0]).segment].cut(3000)  # most of the file is what lives
    world.replies.clear()
    seen = asked(world)
    world.advance(10 * MINUTE)
    assert not [effect for effect in seen if isinstance(effect, effects.Read)]
    looks = [effect for effect in seen if isinstance(effect, effects.Find) and effect.segment]
    assert len(looks) == 1  # what was found is remembered


def test_all_rows_of_a_transaction_change_in_one_commit() -> None:
    world = World(SETTINGS).boot()
    addresses = [b"%d@x.example" % number for number in range(300)]  # more than an ordinary batch
    world.replies.update(dict.fromkeys(addresses, DEFERRED))
    world.body = FILLER * 10
    filler = world.submit(b"ok@x.example")
    world.body = BODY
    number = world.submit(*addresses)
    world.seal(filler, number)
    seen = asked(world)
    world.advance(MINUTE)
    stores = [effect for effect in seen if isinstance(effect, effects.Store)]
    assert [len(store.rows) for store in stores] == [300]
    assert place(world, number).segment != world.seen[-1].content.segment
    balanced(world)


@pytest.mark.parametrize("verb", ["hold", "retry"])
def test_held_rows_are_moved_too_and_changes_of_operators_are_kept(verb: str) -> None:
    world = World(SETTINGS).boot()
    (number,) = mixed(world, b"a@x.example")
    segment = place(world, number).segment
    world.tell(TOOL, QueueChange(1, verb, Filter(transaction=number), who="root"))
    world.advance(MINUTE)
    assert place(world, number).segment != segment
    assert [row.state for row in world.disk.rows.values()] == [1 if verb == "hold" else 0]
    world.replies.clear()
    world.tell(TOOL, QueueChange(2, "release" if verb == "hold" else "retry", Filter(transaction=number), who="root"))
    world.advance(MINUTE)
    assert (number, b"a@x.example") in world.delivered
    balanced(world)


# --- mail in memory -------------------------------------------------------------------------------------------------------


def waiting(world: World) -> int:
    """A message that waits for a route in memory, in a segment with dead content. SMAR is silent from now on."""
    world.body = FILLER
    fillers = [world.submit(b"ok@x.example") for _ in range(4)]
    world.silent_smar = True
    world.body = BODY
    number = world.submit(b"waits@other.example")
    world.seal(*fillers, number)
    return number


def test_mail_that_waits_in_memory_is_moved_with_a_record() -> None:
    world = World(SETTINGS).boot()
    number = waiting(world)
    old = world.qmgr._hub.transactions[number].content
    world.advance(MINUTE)
    new = world.qmgr._hub.transactions[number].content
    assert new.segment != old.segment
    assert old.segment not in world.disk.segments("cdb")
    balanced(world)
    later = world.restart(world.disk.kill_image(), SETTINGS).boot()
    assert [(deliver.transaction, deliver.content) for deliver in later.seen] == [(number, new)]
    balanced(later)


def test_a_delivery_in_flight_keeps_its_content_where_it_is() -> None:
    world = World(SETTINGS).boot()
    world.body = FILLER
    fillers = [world.submit(b"ok@x.example") for _ in range(4)]
    world.replies[b"slow@x.example"] = None
    world.body = BODY
    number = world.submit(b"slow@x.example")
    world.seal(*fillers, number)
    content = world.seen[-1].content
    world.advance(10 * MINUTE)
    assert octets_at(world.disk, content) == BODY
    assert not world.noted("relocated")
    world.finish(reply=DEFERRED)
    world.advance(MINUTE)
    assert place(world, number).segment != content.segment
    assert content.segment not in world.disk.segments("cdb")


@pytest.mark.parametrize("reply", [DEFERRED, RELAYED])
def test_a_delivery_that_begins_while_the_copy_is_made_reads_the_old_place_and_stops_the_switch(reply: tuple[object, ...]) -> None:
    world = World(SETTINGS).boot()
    (number,) = mixed(world, b"a@x.example")
    old = place(world, number)
    world.hold_stores.add("cdb")
    world.advance(MINUTE)
    assert world.qmgr._hub.relocation.busy
    world.replies[b"a@x.example"] = None
    world.tell(TOOL, QueueChange(1, "retry", Filter(transaction=number), who="root"))
    world.advance(SECOND)
    assert world.seen[-1].content == old
    world.hold_stores.clear()
    world.release()
    world.advance(MINUTE)
    assert octets_at(world.disk, old)
    assert place(world, number) == old
    world.finish(reply=reply)  # type: ignore[arg-type]
    world.advance(2 * MINUTE)
    assert old.segment not in world.disk.segments("cdb")
    balanced(world)


# --- trouble ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["rows", "memory"])
def test_damaged_content_is_set_aside_and_its_sender_told_once(where: str) -> None:
    """A1: the checksum is verified before anything is copied."""
    world = World(SETTINGS).boot()
    if where == "rows":
        (number,) = mixed(world, b"a@x.example")
        content = place(world, number)
    else:
        world.body = FILLER
        fillers = [world.submit(b"ok@x.example") for _ in range(4)]
        world.replies[b"*"] = None
        hub = world.qmgr._hub
        hub.deliveries_max = 0  # nothing begins
        world.body = BODY
        number = world.submit(b"a@x.example")
        world.seal(*fillers, number)
        content = hub.transactions[number].content
    world.disk.flip("cdb", content.segment, content.offset + content.octets - 3)
    world.advance(MINUTE)
    assert world.noted("quarantined") == [(number, 0, copying.DAMAGED)]
    assert len(world.noted("bounced")) == 1
    assert place(world, number) == content
    reads = [effect for effect in asked(world) if isinstance(effect, effects.Read)]
    world.advance(10 * MINUTE)
    assert not reads
    assert len(world.noted("quarantined")) == 1
    balanced(world)


def test_a_large_message_is_not_copied_nor_what_shares_its_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relocation, "RELOCATION_OCTETS_MAX", len(BODY))
    world = World(SETTINGS).boot()
    small, large = mixed(world, b"", b"@x.example")
    world.advance(10 * MINUTE)
    assert place(world, small).segment == place(world, large).segment == world.seen[-1].content.segment
    assert not world.noted("relocated")


def test_a_full_content_store_leaves_everything_as_it_is_until_there_is_room() -> None:
    world = World(SETTINGS).boot()
    (number,) = mixed(world, b"a@x.example")
    old = place(world, number)

    def full(effect: AnyEffect) -> list[AnyEvent] | None:
        if isinstance(effect, effects.Append) and effect.store == "cdb" and effect.offset:
            return [events.AppendFailed(effect.store, effect.segment, effect.offset, no_space=True, reason="full")]
        return None

    world.disk.fail = full
    world.advance(2 * MINUTE)
    assert place(world, number) == old
    assert world.halted == ""
    balanced(world)
    world.disk.fail = None
    world.advance(2 * MINUTE)
    assert place(world, number) != old
    balanced(world)


def test_rows_that_cannot_be_written_stay_and_are_delivered() -> None:
    world = World(SETTINGS).boot()
    (number,) = mixed(world, b"a@x.example")
    old = place(world, number)

    def full(effect: AnyEffect) -> list[AnyEvent] | None:
        return [events.Stored(effect.request, no_space=True)] if isinstance(effect, effects.Store) and effect.rows else None

    world.disk.fail = full
    world.advance(2 * MINUTE)
    assert place(world, number) == old
    balanced(world)
    world.replies.clear()
    world.advance(2 * HOUR)
    assert (number, b"a@x.example") in world.delivered
    world.disk.fail = None
    world.advance(2 * MINUTE)
    assert old.segment not in world.disk.segments("cdb")
    balanced(world)


def test_more_rows_than_one_commit_holds_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "STORE_BATCH_ROWS_MAX", 2)
    world = World(SETTINGS).boot()
    addresses = [b"%d@x.example" % number for number in range(3)]
    world.replies.update(dict.fromkeys(addresses, DEFERRED))
    world.body = FILLER * 2
    filler = world.submit(b"ok@x.example")
    world.body = BODY
    number = world.submit(*addresses)
    world.seal(filler, number)
    old = place(world, number)
    world.advance(5 * MINUTE)
    assert place(world, number) == old
    balanced(world)


def test_the_rate_is_bounded_and_one_message_is_copied_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relocation, "RELOCATION_RATE_OCTETS", KIB)
    world = World(SETTINGS).boot()
    kept = mixed(world, *[b"%d@x.example" % number for number in range(8)], fillers=8)
    octets = sum(place(world, number).octets for number in kept)
    seen = asked(world)
    began = world.now
    world.until(lambda: world.noted("relocated"))
    assert world.now - began - 30 * SECOND >= octets * SECOND // KIB - SECOND
    reads = [index for index, effect in enumerate(seen) if isinstance(effect, effects.Read)]
    stores = [index for index, effect in enumerate(seen) if isinstance(effect, effects.Store)]
    assert len(reads) == len(stores) == 8
    assert all(read < store for read, store in zip(reads, stores, strict=True))
    assert all(store < read for store, read in zip(stores, reads[1:], strict=False))


def test_an_orderly_stop_in_the_middle_leaves_every_message_in_one_place() -> None:
    world = World(SETTINGS).boot()
    kept = mixed(world, *[b"%d@x.example" % number for number in range(4)])
    world.until(lambda: any(place(world, number).segment != world.seen[-1].content.segment for number in kept))
    world.give(events.StopRequested(MINUTE))
    world.advance(MINUTE)
    assert world.halted == "stopped"
    later = world.restart(world.disk.kill_image(), SETTINGS).boot()
    later.replies.clear()
    later.advance(2 * HOUR)
    assert {number for number, _ in later.delivered} >= set(kept)


# --- crashes ----------------------------------------------------------------------------------------------------------------


class CrashError(Exception):
    """The process is gone."""


class Fragile(World):
    """Dies before the effect number `life`."""

    def __init__(self, life: int) -> None:
        super().__init__(SETTINGS)
        self.life = life
        self.copying = 0  # `life` when content was read first

    def carry_out(self, effect: AnyEffect) -> None:
        if self.life == 0:
            raise CrashError
        self.life -= 1
        if isinstance(effect, effects.Read) and not self.copying:
            self.copying = self.life
        super().carry_out(effect)


def story(world: World) -> None:
    """Deferred mail, one and two recipients, and mail in memory move out of dead segments; some of it is delivered meanwhile."""
    world.boot()
    world.replies.update({b"b@y.example": DEFERRED, b"c@y.example": DEFERRED})
    world.body = FILLER
    fillers = [world.submit(b"ok@x.example"), world.submit(b"ok@y.example")]
    world.body = BODY
    both = world.submit(b"b@y.example", b"c@y.example")
    world.seal(*fillers, both)
    mixed(world, b"a@x.example", b"d@z.example", fillers=3)
    waiting(world)
    world.advance(45 * SECOND)


def life_of_story() -> tuple[int, int]:
    """Its number of effects, and how many come before anything is copied."""
    world = Fragile(-1)
    story(world)
    assert [values[1] for values in world.noted("relocated")] == [1, 2, 1]  # two recipients, two messages, mail in memory
    balanced(world)
    return -1 - world.life, -1 - world.copying


LIFE, COPYING = life_of_story()


def check(old: World, disk: Disk) -> None:
    """Everything that was acknowledged is delivered by the next life, whole, and nothing of it is left."""
    promised = {message.transaction for _, message in old.told if isinstance(message, Submitted) and message.code == 250}
    bodies = {deliver.transaction: deliver.content.checksum for deliver in old.seen}
    world = old.restart(disk, SETTINGS)
    world.replies = {}
    world.boot()
    references_match_rows(world)
    world.until(lambda: world.noted("quarantined") or not (world.disk.rows or world.qmgr._hub.transactions), within=10 * HOUR)
    assert not world.halted
    assert not world.noted("quarantined"), "set aside without reason (I1)"
    assert {number for number, _ in world.delivered} >= promised, "an acknowledged message is lost (I1)"
    for deliver in world.seen:
        assert bodies.get(deliver.transaction, deliver.content.checksum) == deliver.content.checksum
    counted = [segment for segment in world.qmgr._hub.references.segments() if world.qmgr._hub.references.count(segment)]
    assert not counted, "content without envelope (I10)"


def references_match_rows(world: World) -> None:
    """Each row's segment holds the content that its envelope names, and that content is whole (I3, I5)."""
    for row in world.disk.rows.values():
        content = read_row(row)[0].content
        assert content.segment == row.segment, "a row counts against another segment than that of its content (I1)"
        assert content.segment in world.disk.segments("cdb"), "content is gone (I1)"
        assert zlib.crc32(octets_at(world.disk, content)) == content.checksum, "content is gone (I1)"


def images(world: World, life: int) -> Iterator[Disk]:
    yield world.disk.kill_image()
    if life % 3 == 0:
        yield from islice(world.disk.crash_images(2), 6)


@pytest.mark.feature("SX15")
@pytest.mark.parametrize("part", range(4))
def test_the_process_or_the_power_may_go_before_any_effect(part: int) -> None:
    for life in range(part, LIFE, 4):
        world = Fragile(life)
        with pytest.raises(CrashError):
            story(world)
        for image in images(world, life):
            check(world, image)


def test_a_second_crash_in_the_life_after_changes_nothing() -> None:
    for life in range(LIFE // 2, LIFE, 23):
        world = Fragile(life)
        with pytest.raises(CrashError):
            story(world)
        for second in (10, 40, 90):
            again = Fragile(second)
            again.disk = world.disk.kill_image()
            again.epoch, again.now = world.epoch + 50, world.now + 1
            again.replies = {b"*": DEFERRED}
            with suppress(CrashError):
                again.boot()
                again.advance(2 * MINUTE)
            assert again.life == 0
            again.told += world.told
            again.delivered += world.delivered
            check(again, again.disk.kill_image())


# --- ablations ------------------------------------------------------------------------------------------------------------------


def removed_before_the_rows_change(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Copier._look

    def early(copier: Copier, copy: copying.Copy) -> None:
        copier._hub.effects.append(effects.Remove("cdb", copy.old.segment))
        real(copier, copy)

    monkeypatch.setattr(Copier, "_look", early)


def removed_before_the_record_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Copier._record

    def early(copier: Copier, copy: copying.Copy, new: Content, references: int) -> None:
        copier._hub.effects.append(effects.Remove("cdb", copy.old.segment))
        real(copier, copy, new, references)

    monkeypatch.setattr(Copier, "_record", early)


def one_row_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of a transaction change in several commits: what is left of them names a segment that does not hold the content."""

    def in_turn(deferral: object, rows: list[effects.Row], before: object, then: Callable[..., None]) -> None:
        for row in rows[:-1]:
            deferral.change(row)  # type: ignore[attr-defined]
            deferral._hub.effects.append(effects.Store(0, (row,)))  # type: ignore[attr-defined]
        deferral.change(rows[-1], lambda: then(done=True))  # type: ignore[attr-defined]

    monkeypatch.setattr("smx.qmgr.deferral.Deferral.change_together", in_turn)


ABLATIONS = [removed_before_the_rows_change, removed_before_the_record_is_durable, one_row_after_the_other]


@pytest.mark.parametrize("ablation", ABLATIONS, ids=lambda ablation: ablation.__name__)
def test_a_missing_safeguard_is_noticed(ablation: Callable[[pytest.MonkeyPatch], None]) -> None:
    with pytest.raises(AssertionError, match=r"\(I1\)"):
        search(ablation)


def search(ablation: Callable[[pytest.MonkeyPatch], None]) -> None:
    """The first life is without the safeguard, the next one has it."""
    for life in range(COPYING, LIFE + 10):
        world = Fragile(life)
        with pytest.MonkeyPatch.context() as patch, suppress(CrashError):
            ablation(patch)
            story(world)
        for image in images(world, 0):
            check(world, image)
