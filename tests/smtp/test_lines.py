"""The line reader: CRLF alone ends a line, lines are bounded, segmentation changes nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smx.smtp.lines import BARE, OVERLONG, LineReader
from tests.smtp.segments import cut, singly

LINE_MAX = 16


def read(segments: list[bytes]) -> list[bytes | int]:
    reader = LineReader(LINE_MAX)
    lines: list[bytes | int] = []
    for segment in segments:
        reader.feed(segment)
        while (line := reader.next_line()) is not None:
            lines.append(line)
        assert reader.pending < LINE_MAX
    return lines


@pytest.mark.parametrize(
    ("octets", "lines"),
    [
        (b"NOOP\r\n", [b"NOOP"]),
        (b"\r\n", [b""]),
        (b"A\r\nB\r\nC", [b"A", b"B"]),
        (b"A\nB\r\n", [BARE]),
        (b"A\rB\r\n", [BARE]),
        (b"A\r\r\nB\r\n", [BARE, b"B"]),
        (b"A\n\r\nB\r\n", [BARE, b"B"]),
        (b"A\n", []),
        (b"A\r", []),
        (b"x" * 14 + b"\r\n", [b"x" * 14]),
        (b"x" * 15 + b"\r\nB\r\n", [OVERLONG, b"B"]),
        (b"x" * 99 + b"\r\nB\r\n", [OVERLONG, b"B"]),
        (b"\n" * 99 + b"\r\nB\r\n", [OVERLONG, b"B"]),
        (b"\r" * 99 + b"\nB\r\n", [OVERLONG, b"B"]),
        (b"\x00\xff\r\n", [b"\x00\xff"]),
    ],
)
def test_only_crlf_ends_a_line(octets: bytes, lines: list[bytes | int]) -> None:
    assert read([octets]) == lines
    assert read(singly(octets)) == lines


@pytest.mark.feature("SX72")
@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"A", b"xx", b"x" * 13, b"y" * 20, b"\x00"])), st.lists(st.integers(0, 1000)))
def test_any_segmentation_gives_the_same_lines(pieces: list[bytes], places: list[int]) -> None:
    octets = b"".join(pieces)
    assert read(cut(octets, places)) == read([octets] if octets else [])


@pytest.mark.feature("SX72")
def test_an_endless_line_takes_no_memory() -> None:
    reader = LineReader(LINE_MAX)
    for _ in range(10_000):
        reader.feed(b"x" * 100)
        assert reader.next_line() is None
        assert reader.pending <= 1
    reader.feed(b"\r\nNOOP\r\n")
    assert reader.next_line() == OVERLONG
    assert reader.next_line() == b"NOOP"


def test_raw_octets_are_taken_behind_a_line() -> None:
    reader = LineReader(LINE_MAX)
    reader.feed(b"BDAT 5\r\n12345NOOP\r\n")
    assert reader.next_line() == b"BDAT 5"
    assert reader.take(3) + reader.take(2) == b"12345"
    assert reader.next_line() == b"NOOP"
    assert reader.take(9) == b""


def test_cleared_input_is_gone() -> None:
    reader = LineReader(LINE_MAX)
    reader.feed(b"half a line")
    assert reader.next_line() is None
    reader.clear()
    assert reader.pending == 0
    reader.feed(b"NOOP\r\n")
    assert reader.next_line() == b"NOOP"
