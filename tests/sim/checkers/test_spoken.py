"""Dialogues are followed by the table: what our server and our client may say, and what they must not (I12, I13)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.facts import Fact, Hung, Spoke, TlsBegan
from sim.observer import Violation
from sim.truth import Truth

Said = tuple[str, str]  # who: "S", "C", or "T" for a handshake; what
HELLO = [("S", "220 mx ESMTP\r\n"), ("C", "EHLO c\r\n"), ("S", "250-mx\r\n250 PIPELINING\r\n")]
MAIL = [("C", "MAIL FROM:<a@b>\r\n"), ("S", "250 Ok\r\n"), ("C", "RCPT TO:<c@d>\r\n"), ("S", "250 Ok\r\n")]
DATA = [("C", "DATA\r\n"), ("S", "354 Go\r\n")]
DONE = [("C", "Hi\r\n.\r\n"), ("S", "250 Queued\r\n")]
QUIT = [("C", "QUIT\r\n"), ("S", "221 Bye\r\n")]
TOGETHER = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"
WHOLE = [*HELLO, *MAIL, *DATA, *DONE, *QUIT]


def judge(said: list[Said], *, server: bool = True, lmtp: bool = False) -> list[Violation]:
    truth = Truth(["I12", "I13"])
    facts: list[Fact] = []
    for at, (who, what) in enumerate(said):
        if who == "T":
            facts.append(TlsBegan(at, 1))
        else:
            facts.append(Spoke(at, 1, "smtps.mx.0" if server else "smtpc.0", (who == "S") is server, what.encode("latin-1"), lmtp))
    for fact in [*facts, Hung(len(said), 1)]:
        truth.observe(fact)
    return truth.finish(len(said) + 1)


LEGAL: dict[str, list[Said]] = {
    "one message": WHOLE,
    "pipelined": [*HELLO, ("C", TOGETHER), ("S", "250 Ok\r\n250 Ok\r\n354 Go\r\n"), *DONE],
    "pipelined, and MAIL is refused": [*HELLO, ("C", TOGETHER), ("S", "550 No\r\n503 MAIL first\r\n503 MAIL first\r\n")],
    "an empty content": [*HELLO, *MAIL, *DATA, ("C", ".\r\n"), ("S", "250 Queued\r\n"), *QUIT],
    "dots and bare ends in the content": [*HELLO, *MAIL, *DATA, ("C", "..\r\n\n.\n\r.\r\r\n.\r\n"), ("S", "250 Queued\r\n")],
    "chunks": [*HELLO, *MAIL, ("C", "BDAT 3\r\nabcBDAT 2 LAST\r\nde"), ("S", "250 3 octets\r\n250 Queued\r\n"), *QUIT],
    "a chunk that looks like commands": [*HELLO, *MAIL, ("C", "BDAT 6 LAST\r\nQUIT\r\n"), ("S", "250 Queued\r\n"), *QUIT],
    "RSET and again": [*HELLO, *MAIL, ("C", "RSET\r\n"), ("S", "250 Ok\r\n"), *MAIL, *DATA, *DONE],
    "421 at any time": [*HELLO, ("S", "421 Shutting down\r\n")],
    "refused greeting": [("S", "554 No\r\n"), *QUIT],
    "TLS": [*HELLO, ("C", "STARTTLS\r\n"), ("S", "220 Go\r\n"), ("T", ""), ("C", "EHLO c\r\n"), ("S", "250 mx\r\n"), *MAIL],
    "unknown commands": [*HELLO, ("C", "XYZZY\r\n"), ("S", "500 What?\r\n"), ("C", "NOOP\r\n"), ("S", "250 Ok\r\n")],
    "replies in pieces": [(who, letter) for who, what in WHOLE for letter in what],
    "an endless line": [*HELLO, ("C", "A" * 3000), ("S", "500 Too long\r\n"), ("C", "A" * 10 + "\r\nNOOP\r\n"), ("S", "250 Ok\r\n")],
}
ILLEGAL: dict[str, tuple[str, list[Said]]] = {
    # what                                       checker, dialogue
    "a reply too many": ("I12", [*HELLO, *MAIL, ("S", "250 Ok\r\n")]),
    "354 to RCPT": ("I12", [*HELLO, *MAIL[:3], ("S", "354 Go\r\n")]),
    "221 to NOOP": ("I12", [*HELLO, ("C", "NOOP\r\n"), ("S", "221 Bye\r\n")]),
    "the reply to DATA overtakes": ("I12", [*HELLO, ("C", TOGETHER), ("S", "354 Go\r\n250 Ok\r\n")]),
    "greeted with 250": ("I12", [("S", "250 mx\r\n")]),
    "no reply at all": ("I12", [*HELLO, ("C", "NOOP\r\n"), ("S", "hello\r\n")]),
    "RCPT before MAIL is accepted": ("I13", [*HELLO, ("C", "RCPT TO:<c@d>\r\n"), ("S", "250 Ok\r\n")]),
    "MAIL before EHLO is accepted": ("I13", [*HELLO[:1], ("C", "MAIL FROM:<a@b>\r\n"), ("S", "250 Ok\r\n")]),
    "DATA without recipients": ("I13", [*HELLO, *MAIL[:2], ("C", "DATA\r\n"), ("S", "354 Go\r\n")]),
    "a command with a bare LF": ("I13", [*HELLO, ("C", "NOOP\nNOOP\r\n"), ("S", "250 Ok\r\n")]),
    "smuggled by LF.LF": ("I13", [*HELLO, *MAIL, *DATA, ("C", "Hi\n.\nMAIL FROM:<x@y>\r\n"), ("S", "250 Queued\r\n")]),
    "smuggled by CRLF.LF": ("I13", [*HELLO, *MAIL, *DATA, ("C", "Hi\r\n.\nMAIL FROM:<x@y>\r\n"), ("S", "250 Queued\r\n")]),
    "before the chunk is there": ("I13", [*HELLO, *MAIL, ("C", "BDAT 9 LAST\r\nabc"), ("S", "250 Queued\r\n")]),
    "injected before TLS": ("I12", [*HELLO, ("C", "STARTTLS\r\nNOOP\r\n"), ("S", "220 Go\r\n"), ("T", ""), ("S", "250 Ok\r\n")]),
    "an answer before the handshake": ("I13", [*HELLO, ("C", "STARTTLS\r\nNOOP\r\n"), ("S", "220 Go\r\n250 Ok\r\n")]),
    "mail after TLS without EHLO": ("I13", [*HELLO, ("C", "STARTTLS\r\n"), ("S", "220 Go\r\n"), ("T", ""), *MAIL]),
}
CLIENT: dict[str, list[Said]] = {
    "it speaks first": [("C", "EHLO c\r\n")],
    "RCPT after MAIL was refused": [*HELLO, ("C", "MAIL FROM:<a@b>\r\n"), ("S", "450 Later\r\n"), ("C", "RCPT TO:<c@d>\r\n")],
    "MAIL within a transaction": [*HELLO, *MAIL, ("C", "MAIL FROM:<a@b>\r\n")],
    "no EHLO after TLS": [*HELLO, ("C", "STARTTLS\r\n"), ("S", "220 Go\r\n"), ("T", ""), ("C", "MAIL FROM:<a@b>\r\n")],
    "a dot that is not stuffed": [*HELLO, *MAIL, *DATA, ("C", "Hi\r\n.\r\nthe rest\r\n.\r\n"), ("S", "250 Taken\r\n")],
    "something to a host that takes no mail": [("S", "554 No\r\n"), ("C", "EHLO c\r\n")],
}
PEERS: dict[str, list[Said]] = {
    # our client is in the right, whatever the server does
    "a reply too many": [*HELLO, *MAIL, ("S", "250 Ok\r\n"), ("C", "DATA\r\n")],
    "garbage": [*HELLO, ("C", "MAIL FROM:<a@b>\r\n"), ("S", "%&$\r\n"), ("C", "QUIT\r\n")],
    "all recipients refused under pipelining": [
        *HELLO,
        ("C", TOGETHER),
        ("S", "250 Ok\r\n550 No\r\n354 Go\r\n"),
        ("C", ".\r\n"),
    ],
}


@pytest.mark.parametrize("name", LEGAL)
def test_a_legal_dialogue_is_no_violation(name: str) -> None:
    assert judge(LEGAL[name]) == []


@pytest.mark.parametrize("name", [name for name in LEGAL if name not in ("unknown commands", "an endless line")])
def test_our_client_may_say_all_that_is_legal(name: str) -> None:
    assert judge(LEGAL[name], server=False) == []


@pytest.mark.parametrize("name", ILLEGAL)
def test_a_server_that_leaves_the_table_is_objected_to(name: str) -> None:
    checker, said = ILLEGAL[name]
    assert [violation.invariant for violation in judge(said)] == [checker]


@pytest.mark.parametrize("name", CLIENT)
def test_a_client_that_leaves_the_table_is_objected_to(name: str) -> None:
    assert [violation.invariant for violation in judge(CLIENT[name], server=False)] == ["I13"]


@pytest.mark.parametrize("name", PEERS)
def test_what_a_peer_does_is_not_our_fault(name: str) -> None:
    assert judge(PEERS[name], server=False) == []


LHLO = [("S", "220 lda LMTP\r\n"), ("C", "LHLO c\r\n"), ("S", "250 lda\r\n"), *MAIL, ("C", "RCPT TO:<e@f>\r\n"), ("S", "250 Ok\r\n")]


@pytest.mark.parametrize("content", [[*DATA, ("C", "Hi\r\n.\r\n")], [("C", "BDAT 4 LAST\r\nHi\r\n")]])
def test_lmtp_has_one_reply_for_each_recipient(content: list[Said]) -> None:
    good = [*LHLO, *content, ("S", "250 Ok\r\n450 Later\r\n"), *QUIT]
    assert judge(good, lmtp=True) == []
    assert [violation.invariant for violation in judge([*good[:-3], ("S", "250 Ok\r\n"), *QUIT], lmtp=True)] == ["I12"]
    assert [violation.invariant for violation in judge([*good[:-3], ("S", "250 Ok\r\n250 Ok\r\n250 Ok\r\n")], lmtp=True)] == ["I12"]


@given(st.lists(st.integers(1, 40), max_size=12))
def test_segmentation_changes_nothing(cuts: list[int]) -> None:
    """However octets are cut into segments, the same dialogue is judged the same."""
    for said, expected in ((WHOLE, []), (ILLEGAL["smuggled by LF.LF"][1], ["I13"])):
        pieces = []
        for who, what in said:
            at = 0
            for cut in [*cuts, len(what)]:
                if at < len(what):
                    pieces.append((who, what[at : at + cut]))
                at += cut
        assert [violation.invariant for violation in judge(pieces)] == expected
