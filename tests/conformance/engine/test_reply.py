"""Replies: parsed whole, faults kept, accept sets."""

import pytest

from conformance.oracle import expect, need
from conformance.outcome import Broken, Inconclusive
from conformance.reply import Reply, matches, take
from conformance.wire import CLOSED, TIMEOUT


def test_a_reply_of_several_lines_is_taken_when_it_is_whole() -> None:
    assert take(b"250-one\r\n250-two\r\n") is None
    found = take(b"250-one\r\n250 two\r\n221 rest")
    assert found is not None
    assert found[0].lines == (b"one", b"two") and found[0].code == 250 and found[0].faults == ()
    assert found[1] == b"221 rest"


@pytest.mark.parametrize("cut", range(1, 19))
def test_a_reply_cut_anywhere_is_the_same(cut: int) -> None:
    whole = b"250-one\r\n250 two 2\r\n"
    assert take(whole[:cut]) is None
    assert take(whole[:cut] + whole[cut:]) == take(whole)


@pytest.mark.parametrize(
    ("octets", "fault"),
    [
        (b"250 ok\n", "LF alone"),
        (b"250-a\r\n251 b\r\n", "different codes"),
        (b"hello\r\n", "not a reply line"),
        (b"650 ok\r\n", "not a reply line"),
        (b"250ok\r\n", "not a reply line"),
        (b"250 " + b"x" * 600 + b"\r\n", "of 606 octets"),
    ],
)
def test_what_is_wrong_with_a_reply_is_kept(octets: bytes, fault: str) -> None:
    found = take(octets)
    assert found is not None
    assert any(fault in told for told in found[0].faults)


@pytest.mark.parametrize(
    ("reply", "accept", "is_in"),
    [
        (Reply(250), "250", True),
        (Reply(251), "250 251", True),
        (Reply(550), "5yz", True),
        (Reply(550), "50z", False),
        (Reply(503), "50z", True),
        (Reply(0, end=CLOSED), "closed", True),
        (Reply(0, end=TIMEOUT), "closed 5yz", False),
        (Reply(0, end=CLOSED), "5yz", False),
    ],
)
def test_accept_sets(reply: Reply, accept: str, is_in: bool) -> None:
    assert matches(reply, accept) is is_in


@pytest.mark.parametrize(("reply", "accept"), [(Reply(421), "250"), (Reply(450), "250"), (Reply(451), "354"), (Reply(421), "2yz 5yz")])
def test_a_temporary_refusal_of_what_could_succeed_is_inconclusive(reply: Reply, accept: str) -> None:
    with pytest.raises(Inconclusive):
        expect(reply, accept)


@pytest.mark.parametrize("reply", [Reply(421), Reply(0, end=CLOSED), Reply(503)])
def test_where_a_refusal_is_wanted_421_and_the_end_are_good(reply: Reply) -> None:
    assert expect(reply, "5yz") is reply


@pytest.mark.parametrize(
    ("reply", "accept", "strict"),
    [
        (Reply(250), "5yz", False),
        (Reply(550), "250", False),
        (Reply(0, end=CLOSED), "250", False),
        (Reply(0, end=TIMEOUT), "5yz", False),
        (Reply(450), "5yz", False),
        (Reply(421), "5yz", True),
    ],
)
def test_anything_else_is_broken(reply: Reply, accept: str, strict: bool) -> None:
    with pytest.raises(Broken):
        expect(reply, accept, strict=strict)


def test_a_step_on_the_way_is_inconclusive_and_silence_is_broken() -> None:
    with pytest.raises(Inconclusive):
        need(Reply(550), "250", "MAIL")
    with pytest.raises(Broken):
        need(Reply(0, end=TIMEOUT), "250", "MAIL")


def test_the_enhanced_code_is_read() -> None:
    assert Reply(250, (b"2.1.0 ok",)).enhanced == "2.1.0"
    assert Reply(250, (b"2.1 ok",)).enhanced == ""
