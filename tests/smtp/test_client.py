"""The client dialogue where transcripts do not reach: every cell of its table, time-outs, a verdict for every recipient whatever happens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smx import limits
from smx.messages import Notify, Outcome, Ret
from smx.smtp import states
from smx.smtp.client import ClientDialogue
from smx.smtp.plan import (
    STAGE_MAIL,
    TLS_MANDATORY,
    TLS_OPPORTUNISTIC,
    ClientEvent,
    ClientSettings,
    ContentWanted,
    Recipient,
    SessionClosed,
    TlsWanted,
    Transaction,
    TransactionDone,
)
from smx.smtp.states import Stage
from smx.units import MINUTE
from tests.smtp.segments import cut

SETTINGS = ClientSettings(b"client.example.org")
CONTENT = b"A: b\r\n\r\n.dot\r\n"
TRANSACTION = Transaction(b"a@example.org", (Recipient(b"b@example.net"), Recipient(b"c@example.net")), len(CONTENT))
EHLO = b"250-mx\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 DSN\r\n"


def events_of(dialogue: ClientDialogue, octets: bytes = b"", *, feed: bool = True) -> list[ClientEvent]:
    """Receive, feed the content when it is wanted, do the handshake when it is wanted."""
    dialogue.receive(octets)
    found: list[ClientEvent] = []
    while (event := dialogue.next_event()) is not None:
        found.append(event)
        if isinstance(event, ContentWanted) and feed:
            dialogue.send_content(CONTENT)
            dialogue.end_content()
        elif isinstance(event, TlsWanted) and feed:
            dialogue.tls_started()
    return found


def dialogue_at(stage: Stage) -> ClientDialogue:
    """A session that waits for the reply of `stage`."""
    dialogue = ClientDialogue(ClientSettings(b"client.example.org", tls=TLS_OPPORTUNISTIC if stage is Stage.STARTTLS else 0, pipelining=stage is Stage.DISCARD))
    dialogue.begin(TRANSACTION)
    ok = b"250 ok\r\n"
    before = {
        Stage.GREETING: b"",
        Stage.EHLO: b"220 mx\r\n",
        Stage.HELO: b"220 mx\r\n500 what\r\n",
        Stage.STARTTLS: b"220 mx\r\n" + EHLO,
        Stage.MAIL: b"220 mx\r\n" + EHLO,
        Stage.RCPT: b"220 mx\r\n" + EHLO + ok,
        Stage.DATA: b"220 mx\r\n" + EHLO + ok * 3,
        Stage.CONTENT: b"220 mx\r\n" + EHLO + ok * 3 + b"354 go\r\n",
        Stage.END: b"220 mx\r\n" + EHLO + ok * 3 + b"354 go\r\n",
        Stage.IDLE: b"220 mx\r\n" + EHLO + ok * 3 + b"354 go\r\n",
        Stage.DISCARD: b"220 mx\r\n" + EHLO + ok + b"550 no\r\n" * 2 + b"354 go\r\n",
        Stage.RSET: b"220 mx\r\n" + EHLO + b"550 no\r\n",
        Stage.QUIT: b"554 no\r\n",
    }[stage]
    for reply in before.splitlines(keepends=True):
        events_of(dialogue, reply, feed=stage is not Stage.CONTENT)
    if stage is Stage.IDLE:
        events_of(dialogue, ok)
    if stage is Stage.RSET:
        dialogue.begin(TRANSACTION)
    assert dialogue.stage is stage
    dialogue.data_to_send()
    return dialogue


SAMPLES = {"2yz": b"250 ok", "3yz": b"354 go", "4yz": b"450 4.2.0 later", "5yz": b"550 5.1.1 no", "421": b"421 4.3.2 bye", "malformed": b"what?"}

# action: what the session says next, and whether it is closed
EFFECTS: dict[str, tuple[tuple[bytes, ...], bool]] = {
    "say_ehlo": ((b"EHLO ",), False),
    "say_helo": ((b"HELO ",), False),
    "take_offers": ((b"MAIL ",), False),
    "take_none": ((b"MAIL ",), False),
    "want_tls": ((b"EHLO ",), False),
    "without_tls": ((b"MAIL ",), False),
    "give_up": ((b"QUIT",), False),
    "accepted": ((b"RCPT ", b"DATA"), False),
    "mail_refused": ((b"",), False),
    "rcpt_refused": ((b"RCPT ", b"DATA"), False),
    "go_ahead": ((b"A: b\r\n",), False),
    "data_refused": ((b"",), False),
    "cut_short": ((b"",), True),
    "delivered": ((b"",), False),
    "end_refused": ((b"",), False),
    "go_on": ((b"", b"MAIL "), False),
    "rset_refused": ((b"QUIT",), False),
    "broken": ((b"",), True),
    "closed": ((b"",), True),
    "over": ((b"",), True),
}


@pytest.mark.parametrize("kind", states.KINDS)
@pytest.mark.parametrize("stage", Stage)
def test_the_client_does_what_its_cell_says(stage: Stage, kind: str) -> None:
    dialogue = dialogue_at(stage)
    action = states.CLIENT[stage][states.KINDS.index(kind)]
    events = events_of(dialogue, SAMPLES[kind] + b"\r\n")
    said, closed = EFFECTS[action]
    octets = dialogue.data_to_send()
    assert any(octets.startswith(one) and bool(octets) == bool(one) for one in said), f"{octets!r} after {action}"
    assert dialogue.closed == closed
    assert closed == any(isinstance(event, SessionClosed) for event in events)
    for event in events:
        if isinstance(event, TransactionDone):
            assert [verdict.recipient for verdict in event.verdicts] == [0, 1]
            assert event.reusable == (action not in ("give_up", "rset_refused", "cut_short", "broken", "closed"))


@pytest.mark.parametrize("kind", ["4yz", "5yz"])
def test_a_refused_rset_fails_nobody_for_good(kind: str) -> None:
    """The new transaction was not judged: it is deferred, and may go to a fresh session at once (code 0, stage MAIL)."""
    dialogue = dialogue_at(Stage.RSET)
    (done,) = [event for event in events_of(dialogue, SAMPLES[kind] + b"\r\n") if isinstance(event, TransactionDone)]
    assert {(verdict.outcome, verdict.code, verdict.stage) for verdict in done.verdicts} == {(Outcome.DEFERRED, 0, STAGE_MAIL)}
    assert all(verdict.text.startswith(b"RSET was refused: ") for verdict in done.verdicts)
    assert not done.reusable


PATIENCE = {Stage.GREETING: 5, Stage.MAIL: 5, Stage.RCPT: 5, Stage.DATA: 2, Stage.CONTENT: 3, Stage.END: 10}  # minutes, RFC 5321 4.5.3.2


@pytest.mark.parametrize("stage", Stage)
def test_every_stage_has_its_time_out(stage: Stage) -> None:
    dialogue = dialogue_at(stage)
    if stage is Stage.IDLE:
        assert dialogue.idle
        assert dialogue.timeout_us == 0
    else:
        assert not dialogue.idle
        assert dialogue.timeout_us > 0
        assert dialogue.timeout_us >= PATIENCE.get(stage, 0) * MINUTE
    dialogue.expired()
    assert dialogue.closed
    assert dialogue.timeout_us == 0


@pytest.mark.parametrize("end", ["lost", "expired", "abort"])
@pytest.mark.parametrize("stage", Stage)
def test_whatever_breaks_the_session_every_recipient_has_one_verdict(stage: Stage, end: str) -> None:
    dialogue = dialogue_at(stage)
    undecided = dialogue.transaction is not None
    getattr(dialogue, end)()
    events = events_of(dialogue)
    assert isinstance(events[-1], SessionClosed)
    done = [event for event in events if isinstance(event, TransactionDone)]
    assert len(done) == undecided
    getattr(dialogue, end)()
    assert events_of(dialogue, b"250 ok\r\n") == []
    dialogue.send_content(b"too late")
    dialogue.end_content()
    assert dialogue.data_to_send() == b""


def test_the_time_of_the_end_is_known() -> None:
    """A13: before ContentSent nothing can have been delivered."""
    dialogue = dialogue_at(Stage.CONTENT)
    dialogue.send_content(CONTENT[:5])
    assert events_of(dialogue) == []
    assert dialogue.data_to_send() == CONTENT[:5]
    dialogue.send_content(CONTENT[5:])
    dialogue.end_content()
    assert type(events_of(dialogue)[0]).__name__ == "ContentSent"
    assert dialogue.data_to_send() == b"\n\r\n..dot\r\n.\r\n"


def test_content_of_another_size_than_announced_is_our_own_bug() -> None:
    dialogue = dialogue_at(Stage.CONTENT)
    dialogue.send_content(CONTENT[:-1])
    with pytest.raises(AssertionError):
        dialogue.end_content()
    with pytest.raises(AssertionError):
        dialogue.send_content(b"xy")


def test_dsn_parameters_are_sent_where_dsn_is_offered_only() -> None:
    recipient = Recipient("\u00e9@x".encode(), Notify.SUCCESS | Notify.FAILURE, "utf-8;\u00e9@x".encode())
    plain = Recipient(b"b@x", Notify.NEVER, b"rfc822;B@x")
    transaction = Transaction(b"a@x", (recipient, plain), 3, ret=Ret.HDRS, envid=b"q")
    said = {}
    for name, offers in (
        ("all", b"250-mx\r\n250-DSN\r\n250-PIPELINING\r\n250 SMTPUTF8\r\n"),
        ("dsn", b"250-mx\r\n250-PIPELINING\r\n250 DSN\r\n"),
        ("none", b"250-mx\r\n250 PIPELINING\r\n"),
    ):
        dialogue = ClientDialogue(SETTINGS)
        dialogue.begin(transaction)
        events_of(dialogue, b"220 mx\r\n")
        dialogue.data_to_send()
        events_of(dialogue, offers, feed=False)
        said[name] = dialogue.data_to_send().decode().split("\r\n")[:-2]
    assert said == {
        "all": [
            "MAIL FROM:<a@x> SMTPUTF8 RET=HDRS ENVID=q",
            "RCPT TO:<\u00e9@x> NOTIFY=SUCCESS,FAILURE ORCPT=utf-8;\u00e9@x",
            "RCPT TO:<b@x> NOTIFY=NEVER ORCPT=rfc822;B@x",
        ],
        "dsn": ["MAIL FROM:<a@x> RET=HDRS ENVID=q", "RCPT TO:<b@x> NOTIFY=NEVER ORCPT=rfc822;B@x"],
        "none": ["MAIL FROM:<a@x>", "RCPT TO:<b@x>"],
    }


def test_a_line_end_in_an_address_is_our_own_bug() -> None:
    """No command may be smuggled into the envelope."""
    with pytest.raises(AssertionError):
        ClientDialogue(SETTINGS).begin(Transaction(b"a@x\r\nRSET", (Recipient(b"b@x"),), 1))
    dialogue = dialogue_at(Stage.IDLE)
    with pytest.raises(AssertionError):
        dialogue.begin(Transaction(b"a@x", (Recipient(b"b@x>\r\nDATA"),), 1))


def test_quit_before_the_greeting_just_closes() -> None:
    dialogue = ClientDialogue(SETTINGS)
    dialogue.quit()
    assert dialogue.closed
    dialogue.quit()
    assert dialogue.data_to_send() == b""


def test_plaintext_during_the_handshake_ends_the_session() -> None:
    """F34."""
    dialogue = ClientDialogue(ClientSettings(b"client.example.org", tls=TLS_MANDATORY))
    dialogue.begin(TRANSACTION)
    for octets in (b"220 mx\r\n", EHLO, b"220 go\r\n"):
        events_of(dialogue, octets, feed=False)
    events = events_of(dialogue, b"250 PIPELINING\r\n", feed=False)
    assert isinstance(events[0], TransactionDone)
    assert {verdict.outcome for verdict in events[0].verdicts} == {Outcome.DEFERRED}
    assert dialogue.closed


REPLIES = [
    b"220 mx\r\n",
    EHLO,
    b"250-mx\r\n250-CHUNKING\r\n250 PIPELINING\r\n",
    b"250 ok\r\n",
    b"250 2.1.5 ok\r\n",
    b"250-a\r\n250 b\r\n",
    b"354 go\r\n",
    b"450 4.2.0 later\r\n",
    b"550 5.1.1 no\r\n",
    b"552 full\r\n",
    b"554 no\r\n",
    b"503 what\r\n",
    b"421 4.3.2 bye\r\n",
    b"221 bye\r\n",
    b"what?\r\n",
    b"\r",
    b"\n",
    b"\xff",
    b"999 x\r\n",
]
scripts = st.tuples(st.lists(st.sampled_from(REPLIES), max_size=12), st.booleans()).map(
    lambda drawn: [b"220 mx\r\n", EHLO, *drawn[0]] if drawn[1] else drawn[0]
)


@given(scripts, st.lists(st.integers(0, 1000), max_size=20), st.booleans(), st.booleans(), st.integers(0, 2))
def test_whatever_the_server_says_every_recipient_gets_one_verdict(script: list[bytes], places: list[int], lmtp: bool, pipelining: bool, tls: int) -> None:
    dialogue = ClientDialogue(ClientSettings(b"client.example.org", lmtp=lmtp, pipelining=pipelining, tls=tls))
    dialogue.begin(TRANSACTION)
    events: list[ClientEvent] = []
    for segment in cut(b"".join(script), places):
        events += events_of(dialogue, segment)
    dialogue.lost()
    events += events_of(dialogue)
    done = [event for event in events if isinstance(event, TransactionDone)]
    assert len(done) == 1
    assert [verdict.recipient for verdict in done[0].verdicts] == [0, 1]
    assert isinstance(events[-1], SessionClosed)
    sent = [type(event).__name__ for event in events].count("ContentSent")
    delivered = [verdict for verdict in done[0].verdicts if verdict.outcome in (Outcome.DELIVERED, Outcome.RELAYED)]
    assert sent or not delivered
    assert all(len(verdict.text) <= limits.REPLY_TEXT_OCTETS_MAX + 200 for verdict in done[0].verdicts)


@given(st.binary(max_size=300))
def test_arbitrary_octets_never_raise(octets: bytes) -> None:
    dialogue = ClientDialogue(SETTINGS)
    dialogue.begin(TRANSACTION)
    events_of(dialogue, octets)
    events_of(dialogue, b"220 mx\r\n" + octets)
