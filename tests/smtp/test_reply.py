"""Replies: rendered by the rules of RFC 5321 and RFC 2034, parsed without trust."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smx import limits
from smx.smtp import replies
from smx.smtp.reply import Malformed, Reply, ReplyParser, clean, render, split_enhanced
from tests.smtp.segments import cut


def parse(segments: list[bytes]) -> list[Reply | Malformed]:
    parser = ReplyParser()
    found: list[Reply | Malformed] = []
    for segment in segments:
        parser.feed(segment)
        while (reply := parser.next_reply()) is not None:
            found.append(reply)
    return found


@pytest.mark.parametrize(
    ("reply", "octets"),
    [
        (Reply(250, (2, 1, 0), (b"ok",)), b"250 2.1.0 ok\r\n"),
        (Reply(354, None, (b"go",)), b"354 go\r\n"),
        (Reply(250, None, (b"a", b"b", b"c")), b"250-a\r\n250-b\r\n250 c\r\n"),
        (Reply(550, (5, 7, 1), (b"a", b"b")), b"550-5.7.1 a\r\n550 5.7.1 b\r\n"),
    ],
)
def test_a_reply_has_its_code_on_every_line(reply: Reply, octets: bytes) -> None:
    assert render(reply) == octets
    assert parse([octets]) == [reply]


@pytest.mark.feature("SX72")
@pytest.mark.parametrize("lines", [(b"x" * 2000,), (b"x" * 2000, b"y" * 2000)])
def test_a_reply_line_has_at_most_512_octets(lines: tuple[bytes, ...]) -> None:
    for line in render(Reply(550, (5, 123, 123), lines)).split(b"\r\n"):
        assert len(line) + 2 <= limits.REPLY_LINE_OCTETS_MAX


@pytest.mark.parametrize(
    ("octets", "found"),
    [
        (b"250\r\n", [Reply(250, None, (b"",))]),  # RFC 5321 4.2.1: a bare code
        (b"250 \r\n", [Reply(250, None, (b"",))]),
        (b"250-\r\n250 x\r\n", [Reply(250, None, (b"", b"x"))]),
        (b"550 5.1.1\r\n", [Reply(550, (5, 1, 1), (b"",))]),
        (b"550 5.1.1  x\r\n", [Reply(550, (5, 1, 1), (b"x",))]),
        (b"550-5.1.1 x\r\n550 y\r\n", [Reply(550, (5, 1, 1), (b"x", b"y"))]),
        (b"550 4.1.1 x\r\n", [Reply(550, None, (b"4.1.1 x",))]),  # contradicts the code
        (b"354 3.1.1 x\r\n", [Reply(354, None, (b"3.1.1 x",))]),
        (b"550 5.1 x\r\n", [Reply(550, None, (b"5.1 x",))]),
        (b"550 5.1.1111 x\r\n", [Reply(550, None, (b"5.1.1111 x",))]),
        (b"550 5.1.1.1 x\r\n", [Reply(550, None, (b"5.1.1.1 x",))]),
        (b"299 odd\r\n", [Reply(299, None, (b"odd",))]),
        (b"199 x\r\n", [Malformed(b"199 x")]),
        (b"600 x\r\n", [Malformed(b"600 x")]),
        (b"25 x\r\n", [Malformed(b"25 x")]),
        (b"2500 x\r\n", [Malformed(b"2500 x")]),
        (b"250x\r\n", [Malformed(b"250x")]),
        (b"\r\n", [Malformed(b"")]),
        (b"250-a\r\n251 b\r\n", [Malformed(b"251 b")]),
        (b"hello\r\n250 ok\r\n", [Malformed(b"hello"), Reply(250, None, (b"ok",))]),
        (b"250 a\nb\r\n", [Malformed(b"bare CR or LF")]),
        (b"250 " + b"x" * 3000 + b"\r\n", [Malformed(b"overlong line")]),
        (b"250 a\n", []),
    ],
)
def test_what_a_server_says_is_a_reply_or_malformed(octets: bytes, found: list[Reply | Malformed]) -> None:
    assert parse([octets]) == found


@pytest.mark.feature("SX72")
def test_an_endless_reply_is_malformed_and_bounded() -> None:
    parser = ReplyParser()
    for _ in range(limits.REPLY_LINES_MAX):
        parser.feed(b"550-" + b"x" * 500 + b"\r\n")
        assert parser.next_reply() is None
    parser.feed(b"550-x\r\n")
    assert isinstance(parser.next_reply(), Malformed)
    long = parse([b"".join(b"550-5.0.0 %03d%b\r\n" % (index, b"x" * 300) for index in range(100)) + b"550 5.0.0 end\r\n"])
    assert isinstance(long[0], Reply)
    assert sum(map(len, long[0].lines)) <= limits.REPLY_TEXT_OCTETS_MAX


def test_leftover_octets_are_seen_before_tls() -> None:
    parser = ReplyParser()
    for octets in (b"220 go\r\n250", b"220 go\r\n250-x\r\n"):
        parser.feed(octets)
        assert parser.next_reply() == Reply(220, None, (b"go",))
        assert parser.next_reply() is None
        assert parser.pending
        parser.clear()
        assert not parser.pending


@given(
    st.lists(st.sampled_from([b"250", b"354", b"550", b"-", b" ", b"2.1.0", b"5.1.1", b"\r\n", b"\r", b"\n", b"text", b"\xff"]), max_size=30),
    st.lists(st.integers(0, 500)),
)
def test_any_segmentation_gives_the_same_replies(pieces: list[bytes], places: list[int]) -> None:
    octets = b"".join(pieces)
    assert parse(cut(octets, places)) == parse([octets])


@given(st.binary(max_size=200))
def test_arbitrary_octets_never_raise(octets: bytes) -> None:
    for reply in parse([octets, b"\r\n"]):
        assert isinstance(reply, Malformed) or 200 <= reply.code <= 599


codes = st.integers(200, 599)
texts = st.binary(max_size=60).map(clean)


@given(codes, st.booleans(), st.integers(0, 999), st.integers(0, 999), st.lists(texts, min_size=1, max_size=5))
def test_what_is_rendered_is_parsed_as_it_was(code: int, with_enhanced: bool, subject: int, detail: int, lines: list[bytes]) -> None:
    enhanced = (code // 100, subject, detail) if with_enhanced and code // 100 != 3 else None
    if enhanced is None and split_enhanced(code, lines[0])[0] is not None:
        return
    (parsed,) = parse([render(Reply(code, enhanced, tuple(lines)))])
    assert isinstance(parsed, Reply)
    assert (parsed.code, parsed.enhanced) == (code, enhanced)
    if enhanced is not None:
        assert parsed.lines == tuple(line.lstrip(b" ") for line in lines)


@pytest.mark.parametrize(("name", "reply"), replies.TABLE.items())
def test_every_row_of_the_reply_table_is_well_formed(name: str, reply: Reply) -> None:
    """RFC 5321 4.2: three digits, 2 to 5 first; RFC 2034 4: the enhanced code agrees, and is there but for 3yz and HELO."""
    assert 200 <= reply.code <= 599
    if reply.enhanced is None:
        assert reply.intermediate or name == "HELO_OK"
    else:
        assert reply.enhanced[0] == reply.code // 100
        assert all(0 <= part <= 999 for part in reply.enhanced)
    for line in reply.lines:
        assert line.isascii()
        assert line == clean(line)
    assert parse([render(reply)]) == [reply]


# RFC 5321 4.3.2 with the extensions: no situation invents a code.
KNOWN_CODES = {214, 220, 221, 250, 252, 354, 421, 450, 451, 452, 454, 500, 501, 502, 503, 521, 530, 550, 552, 553, 554, 555, 556}


def test_the_reply_table_uses_registered_codes_only() -> None:
    assert {reply.code for reply in replies.TABLE.values()} <= KNOWN_CODES
