"""Random histories of the log are read rightly; what the reader must not do is noticed; sharing what images have in common changes nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from sim.images import reading
from sim.images.log import LogSeed
from sim.images.result import Result
from sim.images.search import search_seeds
from sim.images.snapshot import LogReading
from smx.qmgr.recovery_fold import Fold
from smx.qmgr.recovery_log import LogReader
from smx.qmgr.recovery_scan import Gap, SegmentScan

SEEDS = 6


def test_no_image_of_a_random_history_is_misread() -> None:
    """A2, A4, I9, I15: subsets, torn writes, survivors with everything that may happen, flipped bits, over several lives."""
    result = search_seeds(0, SEEDS - 1)
    assert not result.found, "\n".join(found.render() for found in result.found[:3])
    assert result.images > 5_000
    assert result.flips > 30
    assert result.markers.keys() >= {"torn end", "life 2 of a log", "killed, then recovered"}


def test_the_same_seed_gives_the_same_images() -> None:
    one, other = LogSeed(3).run(), LogSeed(3).run()
    assert (one.images, one.flips, one.boundaries, one.markers) == (other.images, other.flips, other.boundaries, other.markers)


def test_what_images_share_is_read_as_if_each_had_been_read_from_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0

    def go_on(shared: LogReading, files: Any, segment: int, offset: int) -> None:
        nonlocal compared
        original(shared, files, segment, offset)
        whole = reading.read(files)
        assert shared.reader.damages == whole.reader.damages
        assert shared.reader.end == whole.reader.end
        assert shared.reader.durable == whole.reader.durable
        assert reading.open_in(shared.fold.transactions) == reading.open_in(whole.fold.transactions)
        compared += 1

    original = reading.go_on
    monkeypatch.setattr(reading, "go_on", go_on)
    result = LogSeed(5).run()
    assert not result.found
    assert compared > 500


# --- ablations ----------------------------------------------------------------------------------------------------------


def _silent(reader: LogReader, segment: int, gap: object) -> None:
    """Damage below the durable offset is skipped without a word."""


def _nothing_is_durable(reader: LogReader, durable: object) -> None:
    """All damage is a torn tail."""


def _goes_on(reader: LogReader, since: object) -> None:
    """What lies behind a torn end is history."""
    for (segment, _), item, end in reader._doubtful:
        if not isinstance(item, Gap):
            reader._take(segment, item, end)
    reader._doubtful = []


def _forgets(fold: Fold, segment: int, record: Any) -> None:
    """A verdict is not applied."""


def _any_sequence(scan: SegmentScan, at: int, items: list[Any], *, last: bool) -> int | None:
    scan._expected = 0
    return None


ABLATIONS: dict[str, tuple[type, str, Callable[..., Any], str]] = {
    # what is wrong                              where                          how          the rule that is broken
    "corruption is skipped silently": (LogReader, "_quarantine", _silent, "I15"),
    "corruption is taken for the end": (LogReader, "_grow", _nothing_is_durable, "I9"),
    "what is behind the end counts": (LogReader, "_set_aside", _goes_on, "I9"),
    "nothing behind damage is read": (SegmentScan, "_search", _any_sequence, "I9"),
}


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_a_reader_that_does_wrong_is_noticed(ablation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, replacement, rule = ABLATIONS[ablation]
    monkeypatch.setattr(owner, name, replacement)
    result = Result("log")
    for seed in range(10):
        result.add(LogSeed(seed).run())
        if rule in {found.rule for found in result.found}:
            return
    pytest.fail(f"not noticed: {[found.rule for found in result.found]}")


def test_a_fold_that_forgets_a_closing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from smx.qmgr import records, recovery_fold

    monkeypatch.setitem(recovery_fold._HANDLERS, records.VerdictRecord, _forgets)
    assert "A4" in {found.rule for found in LogSeed(1).run().found}
