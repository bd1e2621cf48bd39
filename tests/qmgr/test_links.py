"""Processes, their epochs and their content segments (A3, A11, I10)."""

from smx import events, messages
from smx.config.schema_qmgr import QmgrSettings
from smx.effects import AnyEffect
from smx.messages import ProcessGone
from tests.qmgr.world import DEFERRED, SMTPS, World

SETTINGS = QmgrSettings(min_free_octets=0, cdb_segment_octets=1 << 16)


def segments(world: World) -> list[int]:
    return [segment for segment in world.disk.segments("cdb") if segment >> 24 == world.epoch + 1]


def test_a_sealed_segment_goes_when_the_last_mail_in_it_is_delivered() -> None:
    world = World(SETTINGS).boot()
    world.replies[b"*"] = None
    transaction = world.submit(b"a@x.example")
    segment = world.seen[0].content.segment
    world.writer.answered([], transaction)
    world.tell(SMTPS, messages.Sealed(segment))
    assert segment in world.disk.segments("cdb")
    world.finish()
    assert segment not in world.disk.segments("cdb")


def test_a_segment_that_is_still_written_stays_although_nothing_refers_to_it() -> None:
    world = World(SETTINGS).boot()
    world.submit(b"a@x.example")
    assert world.seen[0].content.segment in world.disk.segments("cdb")


def test_a_deferred_row_keeps_its_segment() -> None:
    world = World(SETTINGS).boot()
    world.replies[b"a@x.example"] = DEFERRED
    world.submit(b"a@x.example", b"b@x.example")
    segment = world.seen[0].content.segment
    world.tell(SMTPS, messages.Sealed(segment))
    assert segment in world.disk.segments("cdb")
    world.replies.clear()
    world.until(lambda: not world.disk.rows)
    assert segment not in world.disk.segments("cdb")


def test_a_dead_writers_segments_go_once_its_link_has_ended_too() -> None:
    world = World(SETTINGS).boot()
    world.submit(b"a@x.example")
    assert segments(world)
    world.give(events.Linked("mcp", 1))
    world.tell("mcp", ProcessGone(SMTPS, world.epoch + 1))
    assert segments(world), "its last words may still be on their way"
    world.give(events.Unlinked(SMTPS, world.epoch + 1))
    assert not segments(world)


def test_the_two_facts_may_come_in_the_other_order() -> None:
    world = World(SETTINGS).boot()
    world.give(events.Unlinked(SMTPS, world.epoch + 1))
    assert segments(world)
    world.tell("mcp", ProcessGone(SMTPS, world.epoch + 1))
    assert not segments(world)


def test_segments_of_earlier_epochs_that_nothing_refers_to_are_removed_at_the_start() -> None:
    world = World(SETTINGS).boot()
    world.submit(b"a@x.example")
    again = world.restart(world.disk.kill_image(), SETTINGS).boot()
    assert not [segment for segment in again.disk.segments("cdb") if segment >> 24 <= world.epoch + 1]


def test_our_own_content_segments_are_given_back_when_idle() -> None:
    world = World(SETTINGS).boot()
    world.replies[b"a@x.example"] = (messages.Outcome.FAILED, 550, b"5.1.1", b"Unknown")
    for _ in range(20):
        world.submit(b"a@x.example")
    world.advance(60_000_000)
    own = [segment for segment in world.disk.segments("cdb") if segment >> 24 == world.epoch]
    assert len(own) == 2  # the current one and the spare, empty


def test_a_second_smtps_gets_blocks_of_its_own() -> None:
    world = World(SETTINGS).boot()
    world.give(events.Linked("smtps.mx.1", 9))
    assert world.blocks == [1, 2]
    assert [process for process, message in world.told if isinstance(message, messages.Admission)] == [SMTPS, "smtps.mx.1"]


def test_what_was_sealed_while_the_link_was_down_goes_when_it_is_up_again() -> None:
    """Found by crash_storm, seed 9697: `Sealed` was lost with the link, and the segment stayed until its writer ended (F24, I10)."""
    world = World(SETTINGS).boot()
    transaction = world.submit(b"a@x.example")
    out: list[AnyEffect] = []
    sealed = [*world.writer.roll(out), *world.writer.answered(out, transaction)]
    world._write(out)
    assert sealed
    assert set(sealed) <= set(world.disk.segments("cdb"))
    world.give(events.Unlinked(SMTPS, world.epoch + 1))
    world.give(events.Linked(SMTPS, world.epoch + 1))
    world.tell(SMTPS, messages.Writing(world.writer.open_segments()))
    assert set(world.disk.segments("cdb")) & set(world.writer.open_segments())
    assert not set(sealed) & set(world.disk.segments("cdb"))


def test_a_segment_of_which_qmgr_never_heard_goes_too_and_one_that_may_be_new_stays() -> None:
    world = World(SETTINGS).boot()
    known = world.writer.open_segments()
    out: list[AnyEffect] = []
    for transaction in (1, 2, 3):
        assert world.writer.begin(out, transaction)
    world._write(out)
    sealed, written, new = sorted(set(world.writer.open_segments()) - set(known))
    world.give(events.Unlinked(SMTPS, world.epoch + 1))
    world.give(events.Linked(SMTPS, world.epoch + 1))
    world.tell(SMTPS, messages.Writing((*known, written)))
    left = world.disk.segments("cdb")
    assert sealed not in left
    assert {*known, written, new} <= set(left)
