"""The server dialogue where transcripts do not reach: bounds, decisions that come late, the ends of a session."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smx import limits
from smx.messages import Body, Notify, Ret
from smx.smtp import replies
from smx.smtp.address import NULL_MAILBOX, Mailbox
from smx.smtp.reply import Reply, render
from smx.smtp.requests import (
    Closing,
    ContentBegin,
    ContentChunk,
    ContentEnd,
    ContentRefused,
    Helo,
    Mail,
    Noticed,
    Quit,
    Rcpt,
    Refused,
    Request,
    StartTls,
    TransactionReset,
)
from smx.smtp.server import ServerDialogue, ServerSettings
from smx.smtp.states import COMMAND_STATES, SILENT_STATES, State
from tests.smtp.segments import cut
from tests.smtp.test_states import dialogue_in, say

SETTINGS = ServerSettings(b"mx.example.net", starttls=True)
TO_DATA = b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n"


def greeted(settings: ServerSettings = SETTINGS) -> ServerDialogue:
    dialogue = ServerDialogue(settings)
    dialogue.greet()
    dialogue.data_to_send()
    return dialogue


def requests_of(dialogue: ServerDialogue, octets: bytes = b"") -> list[Request]:
    """Send, accept every decision, return the requests."""
    dialogue.receive(octets)
    found: list[Request] = []
    while (request := dialogue.next_request()) is not None:
        found.append(request)
        if dialogue.pending is not None:
            dialogue.accept()
    return found


def test_requests_carry_what_the_client_said() -> None:
    octets = (
        b"ehlo client.example.org\r\n"
        b"MAIL FROM:<A@Example.ORG> SIZE=5 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=q1\r\n"
        b'RCPT TO:<@relay.example:"b c"@Example.NET> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b@x\r\n'
        b"DATA\r\n"
    )
    dialogue = greeted()
    assert [request for request in requests_of(dialogue, octets) if not isinstance(request, Noticed)] == [
        Helo(b"client.example.org", b"EHLO"),
        Mail(Mailbox(b"A", b"example.org"), 5, Body.EIGHT_BIT, True, Ret.HDRS, b"q1"),
        Rcpt(Mailbox(b"b c", b"example.net"), Notify.SUCCESS | Notify.DELAY, b"rfc822;b@x"),
        ContentBegin(chunked=False),
    ]
    assert (dialogue.helo_name, dialogue.extended, dialogue.smtputf8, dialogue.recipients) == (b"client.example.org", True, True, 1)
    chunk, end, quit_ = requests_of(dialogue, b"A: b\r\n\r\n..\r\n.\r\nQUIT\r\n")
    assert chunk == ContentChunk(b"A: b\r\n\r\n.\r\n")
    assert isinstance(end, ContentEnd)
    assert (end.facts.octets, end.facts.lines, end.facts.dot_lines, end.facts.header_octets) == (11, 3, 1, 6)
    assert quit_ == Quit()
    assert dialogue.closed


def test_a_late_decision_holds_back_everything_behind_it() -> None:
    """I12."""
    dialogue = greeted()
    dialogue.receive(b"EHLO x\r\nMAIL FROM:<>\r\nNOOP\r\nQUIT\r\n")
    for kind in (Noticed, Helo, Mail):
        request = dialogue.next_request()
        assert isinstance(request, kind)
        if kind is Helo:
            dialogue.accept()
            dialogue.data_to_send()
    for _ in range(3):
        assert dialogue.next_request() is None
        assert dialogue.data_to_send() == b""
        dialogue.receive(b"NOOP\r\n")
    dialogue.answer(Reply(451, (4, 3, 0), (b"later",)))
    assert requests_of(dialogue) == [Quit()]
    assert dialogue.data_to_send() == b"451 4.3.0 later\r\n" + render(replies.NOOP_OK) + render(replies.QUIT_OK)


def test_a_decision_without_a_question_is_our_own_bug() -> None:
    with pytest.raises(AssertionError):
        greeted().accept()
    with pytest.raises(AssertionError):
        greeted().answer(replies.MAIL_OK)


@pytest.mark.feature("SX72")
def test_held_back_input_is_bounded() -> None:
    """I16: reading stops while a decision is awaited and enough has come."""
    dialogue = greeted()
    dialogue.receive(b"MAIL FROM:<>\r\n")
    requests_of(dialogue, b"EHLO x\r\n")
    dialogue.receive(b"MAIL FROM:<>\r\n")
    while dialogue.next_request() is not None:
        pass
    fed = 0
    while dialogue.want_reading():
        dialogue.receive(b"NOOP\r\n" * 100)
        fed += 600
    assert fed <= limits.INPUT_OCTETS_MAX + 600
    dialogue.accept()
    requests_of(dialogue)
    assert dialogue.closed  # too many NOOP


def test_paused_content_waits() -> None:
    dialogue = greeted()
    requests_of(dialogue, TO_DATA)
    dialogue.pause()
    dialogue.receive(b"A: b\r\n")
    assert dialogue.next_request() is None
    assert not dialogue.want_reading()
    dialogue.resume()
    assert dialogue.want_reading()
    assert dialogue.next_request() == ContentChunk(b"A: b")  # the CRLF may begin the end of data


@pytest.mark.parametrize("during", [False, True])
def test_plaintext_behind_starttls_ends_the_session(during: bool) -> None:
    """F34: before the request is seen, or while the role decides."""
    dialogue = greeted()
    requests_of(dialogue, b"EHLO x\r\n")
    dialogue.data_to_send()
    if during:
        dialogue.receive(b"STARTTLS\r\n")
        assert dialogue.next_request() == StartTls()
        dialogue.receive(b"MAIL FROM:<evil@x>\r\n")
        dialogue.accept()
        assert requests_of(dialogue) == [Closing(replies.TLS_INJECTION)]
    else:
        assert requests_of(dialogue, b"STARTTLS\r\nMAIL FROM:<evil@x>\r\n") == [Closing(replies.TLS_INJECTION)]
    assert dialogue.data_to_send() == render(replies.TLS_INJECTION)
    assert dialogue.closed


def test_plaintext_before_the_handshake_is_never_looked_at() -> None:
    """F34, I13: buffers are empty at STARTTLS."""
    dialogue = dialogue_in(State.TLS, lmtp=False)
    assert not dialogue.want_reading()
    dialogue.receive(b"EHLO evil\r\nMAIL FROM:<evil@x>\r\n")
    dialogue.tls_started()
    assert requests_of(dialogue) == []
    assert dialogue.data_to_send() == b""
    assert (dialogue.state, dialogue.tls, dialogue.extended, dialogue.helo_name) == (State.START, True, False, b"")
    assert say(dialogue, b"MAIL FROM:<>\r\n") == render(replies.HELO_FIRST)


def test_a_session_inside_tls_offers_no_starttls() -> None:
    dialogue = ServerDialogue(SETTINGS, tls=True)
    dialogue.greet()
    assert b"STARTTLS" not in say(dialogue, b"EHLO x\r\n")
    assert b"STARTTLS" in say(greeted(), b"EHLO x\r\n")


@pytest.mark.parametrize("state", [*COMMAND_STATES, *SILENT_STATES])
def test_shutdown_says_421_in_every_state(state: State) -> None:
    """RFC 5321 3.8."""
    dialogue = dialogue_in(state, lmtp=False)
    dialogue.data_to_send()
    dialogue.shutdown()
    assert dialogue.closed
    assert dialogue.data_to_send() == (b"" if state is State.CLOSED else render(replies.SHUTTING_DOWN))
    assert say(dialogue, b"NOOP\r\n") == b""
    assert not dialogue.want_reading()


def test_shutdown_takes_the_place_of_a_decision() -> None:
    dialogue = greeted()
    dialogue.receive(b"EHLO x\r\n")
    assert dialogue.next_request() is not None
    dialogue.shutdown()
    assert dialogue.pending is None
    assert dialogue.data_to_send() == render(replies.SHUTTING_DOWN)
    assert dialogue.next_request() == Closing(replies.SHUTTING_DOWN)


@pytest.mark.parametrize(
    ("reply", "state"), [(replies.TOO_MANY_SESSIONS, State.CLOSED), (replies.ACCESS_DENIED, State.REFUSED), (replies.NO_MAIL_HERE, State.REFUSED)]
)
def test_the_greeting_may_refuse(reply: Reply, state: State) -> None:
    dialogue = ServerDialogue(SETTINGS)
    dialogue.greet(reply)
    assert dialogue.state is state
    assert dialogue.data_to_send() == b"%d %b\r\n" % (reply.code, reply.text)
    if state is State.REFUSED:
        assert say(dialogue, b"EHLO x\r\nQUIT\r\n") == render(replies.NO_SERVICE_QUIT) + render(replies.QUIT_OK)


def test_an_early_talker_is_noticed_and_answered_after_the_greeting() -> None:
    """F32."""
    dialogue = ServerDialogue(SETTINGS)
    dialogue.receive(b"NOOP\r\n")
    assert dialogue.early_talker
    assert dialogue.next_request() is None
    dialogue.greet()
    assert requests_of(dialogue) == [Noticed("early_talker")]
    assert dialogue.data_to_send().endswith(render(replies.NOOP_OK))


@pytest.mark.parametrize("octets", [b"EHLO x\r\nMAIL FROM:<>\r\n", b"HELO x\r\nNOOP\r\n"])
def test_strict_pipelining_ends_the_session(octets: bytes) -> None:
    """RFC 2920 3.1: EHLO and DATA are the last of their group."""
    dialogue = greeted(ServerSettings(b"mx.example.net", pipelining_strict=True))
    assert requests_of(dialogue, octets) == [Closing(replies.PIPELINING_BAD)]
    assert requests_of(greeted(), octets)[0] == Noticed("pipelining")


def test_an_accepted_message_forgives_earlier_errors() -> None:
    dialogue = greeted(ServerSettings(b"mx.example.net", errors_max=2))
    requests_of(dialogue, b"X\r\nX\r\n" + TO_DATA + b"\r\n.\r\n")
    assert not dialogue.closed
    requests_of(dialogue, b"X\r\nX\r\n")
    assert not dialogue.closed
    assert requests_of(dialogue, b"X\r\n") == [Closing(replies.ERRORS_EXCEEDED)]


@pytest.mark.feature("SX72")
def test_content_above_the_limit_is_read_over_and_an_endless_one_ends_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """F31, I16."""
    monkeypatch.setattr(limits, "CONTENT_DISCARDED_OCTETS_MAX", 100_000)
    dialogue = greeted(ServerSettings(b"mx.example.net", message_octets_max=10_000))
    requests_of(dialogue, TO_DATA)
    dialogue.data_to_send()
    handed_out = 0
    for _ in range(200):
        for request in requests_of(dialogue, b"x" * 998 + b"\r\n"):
            if isinstance(request, ContentChunk):
                handed_out += len(request.octets)
        assert dialogue.reader.pending == 0
    assert handed_out <= 10_000
    assert dialogue.closed
    assert dialogue.data_to_send() == render(replies.ENDLESS_CONTENT)


@pytest.mark.feature("SX72")
@pytest.mark.parametrize("ending", [b"", b"\r\n\r\nbody\r\n"])
def test_an_overlong_header_section_is_refused(ending: bytes) -> None:
    dialogue = greeted()
    requests_of(dialogue, TO_DATA)
    dialogue.data_to_send()
    for _ in range(300):
        requests_of(dialogue, b"X-Header: " + b"x" * 1000 + b"\r\n")
    assert requests_of(dialogue, ending + b"\r\n.\r\n")[-1] == ContentRefused(replies.HEADER_EXCEEDED)
    assert dialogue.data_to_send() == render(replies.HEADER_EXCEEDED)


@pytest.mark.feature("SX72")
def test_an_overlong_command_is_refused_and_a_long_one_is_not() -> None:
    dialogue = greeted()
    assert say(dialogue, b"NOOP " + b"x" * (limits.COMMAND_LINE_OCTETS_MAX - 7) + b"\r\n") == render(replies.NOOP_OK)
    assert say(dialogue, b"NOOP " + b"x" * (limits.COMMAND_LINE_OCTETS_MAX - 6) + b"\r\n") == render(replies.LINE_OVERLONG)
    for _ in range(100):
        assert say(dialogue, b"x" * 10_000) == b""
    assert say(dialogue, b"\r\nNOOP\r\n") == render(replies.LINE_OVERLONG) + render(replies.NOOP_OK)


def test_the_null_reverse_path_stays_null() -> None:
    requests = requests_of(greeted(), b"EHLO x\r\nMAIL FROM:<>\r\n")
    assert requests[-1] == Mail(NULL_MAILBOX)


def test_a_verb_may_be_followed_by_white_space() -> None:
    """RFC 5321 4.1.1."""
    assert say(greeted(), b"NOOP \r\nNOOP\t\r\nNOOP \t \r\nrset\t\r\n") == render(replies.NOOP_OK) * 3 + render(replies.RSET_OK)


def test_a_reset_is_told_only_when_a_transaction_is_open() -> None:
    dialogue = greeted()
    assert requests_of(dialogue, b"EHLO x\r\nRSET\r\n")[-1] == Helo(b"x", b"EHLO")
    assert requests_of(dialogue, b"MAIL FROM:<>\r\nRSET\r\nRSET\r\n") == [Mail(NULL_MAILBOX), TransactionReset()]
    assert requests_of(dialogue, b"XYZZY\r\n") == [Refused(b"XYZZY", replies.UNKNOWN)]


def test_each_recipient_has_its_reply_in_lmtp() -> None:
    dialogue = greeted(ServerSettings(b"mx.example.net", lmtp=True))
    assert dialogue.lmtp
    requests_of(dialogue, b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRCPT TO:<a@b>\r\nDATA\r\n")
    dialogue.data_to_send()
    dialogue.receive(b"\r\n.\r\n")
    while dialogue.next_request() is not None:
        pass
    with pytest.raises(AssertionError):
        dialogue.answer_recipients([replies.CONTENT_OK])
    dialogue.answer_recipients([replies.CONTENT_OK, replies.MAILBOX_FULL])
    assert dialogue.data_to_send() == render(replies.CONTENT_OK) + render(replies.MAILBOX_FULL)


FRAGMENTS = [
    b"EHLO x\r\n",
    b"HELO x\r\n",
    b"LHLO x\r\n",
    b"MAIL FROM:<a@b>\r\n",
    b"MAIL FROM:<> SIZE=9 BODY=8BITMIME\r\n",
    b"RCPT TO:<a@b>\r\n",
    b"RCPT TO:<x>\r\n",
    b"DATA\r\n",
    b"A: b\r\n",
    b"\r\n",
    b".\r\n",
    b"..\r\n",
    b"\n.\n",
    b"BDAT 3\r\nabc",
    b"BDAT 2 LAST\r\n\r\n",
    b"BDAT 0 LAST\r\n",
    b"BDAT x\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"VRFY a\r\n",
    b"HELP\r\n",
    b"STARTTLS\r\n",
    b"QUIT\r\n",
    b"XYZZY\r\n",
    b"\x00\xff",
    b"\r",
    b"\n",
]
DECISIONS = [None, replies.TRY_LATER, replies.RELAY_DENIED, None, None, replies.SHUTTING_DOWN]


def play(segments: list[bytes], decisions: list[Reply | None], *, lmtp: bool) -> tuple[bytes, list[Request]]:
    """Everything that is said and asked; neighbouring content chunks joined, notices left out."""
    dialogue = greeted(ServerSettings(b"mx.example.net", lmtp=lmtp, message_octets_max=60, recipients_max=3, hops_max=1))
    said = b""
    requests: list[Request] = []
    turn = 0
    for segment in segments:
        dialogue.receive(segment)
        while (request := dialogue.next_request()) is not None:
            if isinstance(request, ContentChunk) and requests and isinstance(requests[-1], ContentChunk):
                requests[-1] = ContentChunk(requests[-1].octets + request.octets)
            elif not isinstance(request, Noticed):
                requests.append(request)
            if dialogue.pending is not None:
                decision = decisions[turn % len(decisions)]
                turn += 1
                if decision is None:
                    dialogue.accept()
                else:
                    dialogue.answer(decision)
        said += dialogue.data_to_send()
    return said, requests


streams = st.lists(st.sampled_from(FRAGMENTS), max_size=40)


@given(streams, st.lists(st.integers(0, 2000), max_size=30), st.lists(st.sampled_from(DECISIONS), min_size=1, max_size=9), st.booleans())
def test_any_segmentation_gives_the_same_dialogue(fragments: list[bytes], places: list[int], decisions: list[Reply | None], lmtp: bool) -> None:
    octets = b"".join(fragments)
    said, requests = play(cut(octets, places), decisions, lmtp=lmtp)
    said_at_once, requests_at_once = play([octets], decisions, lmtp=lmtp)
    assert said == said_at_once
    # A message that turns out too large has been handed out in part, and how much of it depends on the segments.
    assert [request for request in requests if not isinstance(request, ContentChunk)] == [
        request for request in requests_at_once if not isinstance(request, ContentChunk)
    ]


@given(streams, st.binary(max_size=100), st.booleans())
def test_arbitrary_octets_never_raise(fragments: list[bytes], noise: bytes, lmtp: bool) -> None:
    said, _ = play([*fragments, noise, *fragments], [None], lmtp=lmtp)
    for line in said.split(b"\r\n")[:-1]:
        assert line[:3].isdigit()
        assert line[3:4] in (b" ", b"-")


@pytest.mark.feature("SX72")
@pytest.mark.parametrize("command", [b"RCPT\r\n", b"BDAT 0\r\n", b"X\r\n", b"NOOP\r\n", b"HELP\r\n", b"EHLO x\r\n"])
def test_a_flood_of_commands_ends_the_session_and_its_replies_are_bounded(command: bytes) -> None:
    """I16, F32: also of commands that are refused without blame."""
    dialogue = greeted()
    requests_of(dialogue, b"EHLO x\r\n")
    dialogue.data_to_send()
    for _ in range(20):
        dialogue.receive(command * 1000)
        while dialogue.next_request() is not None:
            if dialogue.pending is not None:
                dialogue.accept()
    assert dialogue.closed
    assert len(dialogue.data_to_send()) < 1_000_000
