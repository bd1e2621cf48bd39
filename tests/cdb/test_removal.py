"""Which content segments may be removed (A3, I10)."""

from smx.cdb.removal import ContentReferences
from smx.effects import AnyEffect, Remove
from smx.ids import segment_id

OURS = 10


def removed(references: ContentReferences) -> list[int]:
    out: list[AnyEffect] = []
    references.take(out)
    return [effect.segment for effect in out if isinstance(effect, Remove) and effect.store == "cdb"]


def test_a_sealed_segment_goes_with_its_last_reference() -> None:
    segment = segment_id(11, 0)
    references = ContentReferences(OURS)
    references.add(segment, 2)
    references.sealed(segment)
    assert removed(references) == []
    references.release(segment)
    assert removed(references) == []
    references.release(segment)
    assert removed(references) == [segment]
    assert removed(references) == []


def test_a_segment_that_is_written_stays_without_references() -> None:
    segment = segment_id(11, 0)
    references = ContentReferences(OURS)
    references.add(segment)
    references.release(segment)
    assert removed(references) == []
    references.sealed(segment)
    assert removed(references) == [segment]


def test_a_reference_counts_until_the_record_that_closed_it_is_durable() -> None:
    segment = segment_id(11, 0)
    references = ContentReferences(OURS)
    references.add(segment, 2)
    references.sealed(segment)
    references.release(segment, after=7)
    references.release(segment, after=9)
    references.synced(8)
    assert removed(references) == []
    assert references.count(segment) == 1
    references.synced(9)
    assert removed(references) == [segment]


def test_a_sealed_segment_that_nothing_refers_to_goes_at_once() -> None:
    references = ContentReferences(OURS)
    references.sealed(segment_id(11, 3))
    assert removed(references) == [segment_id(11, 3)]


def test_segments_of_an_earlier_epoch_have_no_writer() -> None:
    segment = segment_id(OURS - 1, 0)
    references = ContentReferences(OURS)
    references.restore([(segment, 1)])
    references.release(segment)
    assert removed(references) == [segment]


def test_segments_of_a_dead_writer_go_when_nothing_refers_to_them() -> None:
    used, unused, other = segment_id(11, 0), segment_id(11, 1), segment_id(12, 0)
    references = ContentReferences(OURS)
    references.writing(11, [used, unused])
    references.writing(12, [other])
    references.add(used)
    references.writer_gone(11)
    assert removed(references) == [unused]
    references.release(used)
    assert removed(references) == [used]
    assert references.segments() == (other,)


def test_segments_that_nobody_ever_named_are_found_in_the_store() -> None:
    dead, living, old, known = segment_id(11, 5), segment_id(12, 0), segment_id(3, 0), segment_id(4, 0)
    references = ContentReferences(OURS)
    references.restore([(known, 2)])
    references.writer_gone(11)
    references.discovered([dead, living, old, known])
    assert removed(references) == [dead, old]


def test_a_late_reference_keeps_a_segment_that_was_about_to_go() -> None:
    segment = segment_id(9, 0)
    references = ContentReferences(OURS)
    references.add(segment)
    references.release(segment)
    references.add(segment)
    assert removed(references) == []
