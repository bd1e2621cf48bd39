"""Content on the wire: the end of data, stuffing, and the census, all independent of segmentation."""

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smx import limits
from smx.smtp.data import Census, DataReader, DotStuffer
from smx.smtp.facts import ContentFacts
from tests.smtp.segments import cut, singly


def receive(segments: list[bytes]) -> tuple[bytes, bool, bytes]:
    """(content, complete, what follows)."""
    reader = DataReader()
    content = b""
    for index, segment in enumerate(segments):
        content += reader.feed(segment)
        if reader.done:
            return content, True, reader.rest + b"".join(segments[index + 1 :])
    return content, False, b""


def count(segments: list[bytes]) -> ContentFacts:
    census = Census()
    for segment in segments:
        census.add(segment)
    return census.facts()


@pytest.mark.parametrize(
    ("octets", "content", "rest"),
    [
        (b".\r\n", b"", b""),
        (b"\r\n.\r\n", b"\r\n", b""),
        (b"a\r\n.\r\nQUIT\r\n", b"a\r\n", b"QUIT\r\n"),
        (b"..\r\n.\r\n", b".\r\n", b""),
        (b".a\r\n.\r\n", b"a\r\n", b""),
        (b"a\r\n..b\r\n...\r\n.\r\n", b"a\r\n.b\r\n..\r\n", b""),
        (b"a.\r\n.\r\n", b"a.\r\n", b""),
        (b"a\r\n.\r\n.\r\n", b"a\r\n", b".\r\n"),
    ],
)
def test_data_ends_at_crlf_dot_crlf_and_loses_its_stuffing(octets: bytes, content: bytes, rest: bytes) -> None:
    for segments in ([octets], singly(octets)):
        assert receive(segments) == (content, True, rest)


PSEUDO_ENDS = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r\n.\r",
    b"\r.\r\n",
    b"\n.\r",
    b"\r.\n",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\n.\n\r\n",
    b"\r\n\x00.\r\n",
    b"\r\n.\x00\r\n",
    b"\r\n. \r\n",
]


@pytest.mark.parametrize("pseudo", PSEUDO_ENDS)
def test_no_pseudo_end_of_data_is_an_end(pseudo: bytes) -> None:
    """F33, I13: what follows stays content, and content with bare CR or LF is known by its facts."""
    octets = b"Subject: x\r\n\r\nhello" + pseudo + b"MAIL FROM:<smuggled@x>\r\n.\r\nQUIT\r\n"
    for segments in ([octets], singly(octets)):
        content, done, rest = receive(segments)
        assert done
        assert rest == b"QUIT\r\n"
        assert b"smuggled" in content
        bare = re.search(rb"\r(?!\n)|(?<!\r)\n", content) is not None
        assert count([content]).bare == count(singly(content)).bare == bare
        assert bare == (re.search(rb"\r(?!\n)|(?<!\r)\n", pseudo) is not None)


def reference_unstuffed(octets: bytes) -> tuple[bytes, bool, bytes]:
    """The same by RFC 5321 4.5.2, line by line."""
    content = b""
    while b"\r\n" in octets:
        line, _, octets = octets.partition(b"\r\n")
        if line == b".":
            return content, True, octets
        content += (line[1:] if line.startswith(b".") else line) + b"\r\n"
    return content, False, octets


pieces = st.lists(
    st.sampled_from([b"\r\n", b".", b"\r", b"\n", b"a", b"bc", b"\r\n.\r\n", b"\r\n..", b"\xc3\xa9", b"Received: x\r\n", b"To: y\r\n"]), max_size=30
).map(b"".join)
places = st.lists(st.integers(0, 1000), max_size=30)


@given(pieces, places)
def test_any_segmentation_gives_the_same_content(octets: bytes, where: list[int]) -> None:
    content, done, rest = receive(cut(octets, where))
    expected, expected_done, expected_rest = reference_unstuffed(octets)
    assert done == expected_done
    if done:
        assert (content, rest) == (expected, expected_rest)
    else:
        assert (expected + expected_rest).startswith(content[: len(expected)])


@given(pieces, places)
def test_stuffed_content_is_received_as_it_was(content: bytes, where: list[int]) -> None:
    stuffer = DotStuffer()
    stuffed = b"".join(map(stuffer.feed, cut(content, where))) + stuffer.finish()
    received, done, rest = receive([stuffed + b"QUIT\r\n"])
    assert done
    assert rest == b"QUIT\r\n"
    assert received == (content if not content or content.endswith(b"\r\n") else content + b"\r\n")


@given(st.lists(st.sampled_from([b"\r\n", b"a", b"bc."]), max_size=20).map(b"".join), places)
def test_stuffing_is_skipped_without_harm_when_no_line_begins_with_a_dot(content: bytes, where: list[int]) -> None:
    careful, quick = DotStuffer(), DotStuffer(dot_lines=False)
    segments = cut(content, where)
    assert b"".join(map(careful.feed, segments)) + careful.finish() == b"".join(map(quick.feed, segments)) + quick.finish()


@given(pieces, places)
def test_the_census_does_not_depend_on_segmentation(content: bytes, where: list[int]) -> None:
    facts = count(cut(content, where))
    lines = content.split(b"\r\n")
    assert facts == count([content])
    assert facts.octets == len(content)
    assert facts.lines == len(lines) - (lines[-1] == b"")
    assert facts.line_octets_max == max(map(len, lines))
    assert facts.dot_lines == sum(line.startswith(b".") for line in lines)
    assert facts.eight_bit == (not content.isascii())
    assert facts.bare == (re.search(rb"\r(?!\n)|(?<!\r)\n", content) is not None)
    assert facts.complete_line == (not content or content.endswith(b"\r\n"))


SHORT = [bytes(octets) for length in range(6) for octets in product(b"\r\n.a", repeat=length)]  # every content of up to five octets that matter


def test_bare_cr_and_lf_are_found_in_every_short_content() -> None:
    for content in SHORT:
        facts = count([content])
        assert facts.bare == (re.search(rb"\r(?!\n)|(?<!\r)\n", content) is not None), content
        assert facts.lines == len(content.split(b"\r\n")) - content.endswith(b"\r\n") - (not content), content


def test_what_the_reader_says_about_dots_is_true_wherever_the_octets_are_cut() -> None:
    for content in SHORT:
        wire = content + b"\r\n.\r\n"
        for at in range(len(wire)):
            told, searched, reader = Census(), Census(), DataReader()
            for segment in (wire[:at], wire[at:]):
                if segment and not reader.done:
                    octets = reader.feed(segment)
                    told.add(octets, dots=reader.dots)
                    searched.add(octets)
            assert reader.done
            assert told.facts() == searched.facts(), (content, at)


HEADER = b"Received: by a\r\nRECEIVED: by b\r\n\tid 1\r\nX-Received: no\r\nSubject: Received: no\r\nDelivered-To: A@Example.ORG\r\nDelivered-to:b@x\r\n"


@pytest.mark.parametrize("body", [b"", b"\r\n", b"\r\nReceived: not a field\r\n\r\n.dot\r\n"])
def test_the_header_section_is_counted_and_the_body_is_not(body: bytes) -> None:
    for segments in ([HEADER + body], singly(HEADER + body)):
        facts = count(segments)
        assert facts.header_octets == len(HEADER)
        assert facts.hops == 2
        assert facts.delivered_to == (b"a@example.org", b"b@x")
        assert not facts.utf8_headers


@pytest.mark.parametrize(
    ("content", "header_octets", "utf8_headers"),
    [
        (b"", 0, False),
        (b"\r\nbody\r\n", 0, False),
        (b"no header at all\r\nReceived: x\r\n", 0, False),
        (b"A: b\r\nno field\r\nReceived: x\r\n\r\n", 6, False),
        (b"A: \xc3\xa9\r\n\r\nbody\r\n", 7, True),
        (b"A: b\r\n\r\n\xc3\xa9\r\n", 6, False),
        (b"A: b", 0, False),
        (b" folded at once\r\n\r\n", 0, False),
    ],
)
def test_the_header_section_ends_where_a_line_is_no_field(content: bytes, header_octets: int, utf8_headers: bool) -> None:
    for segments in ([content], singly(content)):
        facts = count(segments)
        assert (facts.header_octets, facts.utf8_headers, facts.hops) == (header_octets, utf8_headers, 0)


@pytest.mark.feature("SX72")
@pytest.mark.parametrize("line", [b"X: " + b"y" * 70 + b"\r\n", b"\tfolded\r\n", b"y" * 1000])
def test_an_overlong_header_section_is_noticed_and_not_kept(line: bytes) -> None:
    octets = b"Subject: x\r\nX: " + line * (limits.HEADER_OCTETS_MAX // len(line) + 2) + b"\r\n\r\nbody\r\n"
    for segment_octets in (len(octets), 1000, 77):
        census = Census()
        for start in range(0, len(octets), segment_octets):
            census.add(octets[start : start + segment_octets])
        assert census.header_exceeded
        assert census._header is None


def test_a_large_content_without_header_is_not_an_overlong_header_section() -> None:
    census = Census()
    for _ in range(limits.HEADER_OCTETS_MAX // 60 + 2):
        census.add(b"a line of plain text, and not the least bit of a header section\r\n")
    assert not census.header_exceeded
    assert census.facts().header_octets == 0


def test_delivered_to_values_are_bounded() -> None:
    content = b"".join(b"Delivered-To: %d%b\r\n" % (index, b"x" * 500) for index in range(limits.DELIVERED_TO_MAX + 50))
    facts = count([content])
    assert len(facts.delivered_to) == limits.DELIVERED_TO_MAX
    assert max(map(len, facts.delivered_to)) <= 320


def test_received_fields_are_counted_beyond_the_limit() -> None:
    assert count([b"Received: x\r\n" * 150 + b"\r\n"]).hops == 150
