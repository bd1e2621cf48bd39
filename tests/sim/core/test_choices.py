"""The choice tape: a seed generates it, a tape replays it, an edited tape is a valid one."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.choices import Choices, Stream, Tape, TapeError

DRAWS: list[tuple[str, Callable[[Stream], object]]] = [
    ("below", lambda stream: stream.below(1000)),
    ("chance", lambda stream: stream.chance(300)),
    ("pick", lambda stream: stream.pick("abcdef")),
    ("between", lambda stream: stream.between(5, 900)),
    ("exponential", lambda stream: stream.exponential(1_000_000)),
    ("fraction", lambda stream: stream.fraction()),
    ("normal", lambda stream: stream.normal()),
    ("sample", lambda stream: stream.sample("abcdef", 3)),
    ("shuffled", lambda stream: stream.shuffled("abcdef")),
]
CALM = {
    "below": 0,
    "chance": False,
    "pick": "a",
    "between": 5,
    "exponential": 0,
    "fraction": 0.0,
    "normal": 0.0,
    "sample": list("abc"),
    "shuffled": list("abcdef"),
}


def drawn(choices: Choices, purpose: str = "test") -> list[object]:
    stream = choices.stream(purpose)
    return [draw(stream) for _ in range(20) for _, draw in DRAWS]


def test_the_same_seed_draws_the_same_and_another_one_does_not() -> None:
    assert drawn(Choices(7)) == drawn(Choices(7))
    assert drawn(Choices(7)) != drawn(Choices(8))


def test_a_tape_replays_what_was_drawn() -> None:
    choices = Choices(7)
    first = drawn(choices)
    replayed = Choices.replay(choices.tape())
    assert drawn(replayed) == first
    assert replayed.tape() == choices.tape()


def test_a_draw_more_in_one_stream_leaves_the_others_as_they_were() -> None:
    one, other = Choices(3), Choices(3)
    other.stream("noise").below(10)
    assert drawn(one) == drawn(other)


@pytest.mark.parametrize(("name", "draw"), DRAWS, ids=[name for name, _ in DRAWS])
def test_an_exhausted_tape_goes_on_with_the_calm_choice(name: str, draw: Callable[[Stream], object]) -> None:
    stream = Choices.replay(Tape()).stream("test")
    assert draw(stream) == CALM[name]


def test_never_and_always_draw_what_they_say() -> None:
    stream = Choices(1).stream("test")
    assert not any(stream.chance(0) for _ in range(100))
    assert all(stream.chance(1000) for _ in range(100))
    assert stream.below(1) == 0
    assert stream.below(0) == 0


@settings(max_examples=50)
@given(st.lists(st.integers(-(1 << 70), 1 << 70), max_size=30))
def test_any_numbers_make_a_valid_tape(numbers: list[int]) -> None:
    stream = Choices.replay(Tape(draws={"test": numbers})).stream("test")
    for bound in (1, 2, 7, 1000):
        assert 0 <= stream.below(bound) < max(bound, 1)


def test_the_means_are_about_right() -> None:
    stream = Choices(1).stream("test")
    assert 900 < sum(stream.exponential(1000) for _ in range(5000)) / 5000 < 1100
    assert abs(sum(stream.normal() for _ in range(5000)) / 5000) < 0.1
    assert 250 < sum(stream.chance(300) for _ in range(1000)) < 350


def test_a_tape_is_saved_and_loaded(tmp_path: Path) -> None:
    choices = Choices(42)
    drawn(choices)
    tape = choices.tape("crash_storm", {"messages": 20, "hosts": ["a"]})
    tape.save(tmp_path / "tape.json")
    assert Tape.load(tmp_path / "tape.json") == tape
    assert tape.study == "crash_storm"


@pytest.mark.parametrize(
    ("octets", "said"),
    [(b"", "is no tape"), (b"\x00\xff", "is no tape"), (b'{"draws": 7}', "is no tape"), (b'{"format": 99}', "format 99")],
    ids=["empty", "binary", "another shape", "newer"],
)
def test_an_unreadable_tape_gets_a_clear_error(tmp_path: Path, octets: bytes, said: str) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(octets)
    with pytest.raises(TapeError, match=said):
        Tape.load(path)


def test_a_missing_tape_gets_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="No such file"):
        Tape.load(tmp_path / "none.json")


def test_a_changed_tape_differs_in_one_purpose_only() -> None:
    tape = Tape(draws={"a": [1, 2], "b": [0, 3]})
    changed = tape.changed("a", [0])
    assert changed.draws == {"a": [0], "b": [0, 3]}
    assert (tape.length(), changed.length()) == (3, 1)
