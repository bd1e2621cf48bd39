"""A campaign counts each image once, goes on from where it was, and refuses what is not its own."""

from pathlib import Path

import pytest

from sim.campaign import StateError
from sim.images import campaign
from sim.images.campaign import Campaign, Line


def stop_after(pieces: int) -> object:
    def progress(done: Campaign, line: Line) -> bool:
        return len(done.lines) < pieces

    return progress


def test_a_campaign_that_is_interrupted_goes_on_and_comes_to_the_same(tmp_path: Path) -> None:
    state = tmp_path / "images.jsonl"
    first = campaign(10, 1, state, messages_max=0, progress=stop_after(3))  # type: ignore[arg-type]
    again = campaign(10, 1, state, messages_max=0, progress=stop_after(5))  # type: ignore[arg-type]
    whole = campaign(10, 1, None, messages_max=0, progress=stop_after(5))  # type: ignore[arg-type]
    assert len(first.lines) == 3
    assert [(line.piece, line.counted) for line in again.lines] == [(line.piece, line.counted) for line in whole.lines]
    assert again.images == whole.images > 0
    assert not again.found()


def test_an_image_that_two_workloads_share_counts_once(tmp_path: Path) -> None:
    done = campaign(10, 1, None, messages_max=0, progress=stop_after(2))  # type: ignore[arg-type]
    assert sum(line.counted for line in done.lines) == len(done.seen["log"]) == done.by_depth()["log"]
    assert done.lines[1].counted < len(done.seen["log"])


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    state = tmp_path / "images.jsonl"
    campaign(10, 1, state, messages_max=0, progress=stop_after(2))  # type: ignore[arg-type]
    state.write_bytes(state.read_bytes()[:-5])
    assert len(Campaign(state, 0).lines) == 1


def test_random_histories_follow_until_there_are_enough(tmp_path: Path) -> None:
    state = tmp_path / "images.jsonl"
    done = Campaign(state, 0)
    exhaustive = list(done._exhaustive())
    pieces = done.pieces(1)
    for piece in exhaustive:
        assert next(pieces) == piece
    following = next(pieces)
    assert (following.depth, following.name, following.first) == ("log", "", 0)


def test_the_state_of_another_campaign_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "images.jsonl"
    Campaign(state, 1)
    with pytest.raises(StateError, match="another campaign"):
        Campaign(state, 2)
    state.write_text("hello\n")
    with pytest.raises(StateError, match="is not the state"):
        Campaign(state, 1)
