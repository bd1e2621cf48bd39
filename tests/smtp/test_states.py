"""The transition tables: complete, and obeyed by the dialogues in every cell."""

import itertools

import pytest

from smx.smtp import replies, states
from smx.smtp.reply import render
from smx.smtp.server import ServerDialogue, ServerSettings
from smx.smtp.states import COMMAND_STATES, SILENT_STATES, Row, Stage, State

TABLES = {"smtp": states.SMTP, "lmtp": states.LMTP}
VERBS = {b"EHLO", b"HELO", b"LHLO", b"MAIL", b"RCPT", b"DATA", b"BDAT", b"RSET", b"NOOP", b"VRFY", b"EXPN", b"HELP", b"STARTTLS", b"AUTH", b"QUIT"}

LINES = {
    b"EHLO": b"EHLO client.example.org",
    b"HELO": b"HELO client.example.org",
    b"LHLO": b"LHLO client.example.org",
    b"MAIL": b"MAIL FROM:<a@example.org>",
    b"RCPT": b"RCPT TO:<b@example.net>",
    b"BDAT": b"BDAT 4",
    b"VRFY": b"VRFY postmaster",
    b"EXPN": b"EXPN staff",
    b"AUTH": b"AUTH PLAIN",
    states.OTHER: b"XYZZY",
}

# action: (code of the reply when accepted, state afterwards; None: as it was)
EFFECTS: dict[str, tuple[int, State | None]] = {
    "ehlo": (250, State.READY),
    "helo": (250, State.READY),
    "lhlo": (250, State.READY),
    "mail": (250, State.MAIL),
    "rcpt": (250, State.RCPT),
    "data": (354, State.DATA),
    "bdat": (250, State.BDAT),
    "noop": (250, None),
    "vrfy": (252, None),
    "help": (214, None),
    "starttls": (220, State.TLS),
    "quit": (221, State.CLOSED),
}

SKIPPED = {State.START: replies.HELO_FIRST, State.READY: replies.MAIL_FIRST, State.MAIL: replies.NO_RECIPIENTS, State.FAILED: replies.RESET_NEEDED}


def say(dialogue: ServerDialogue, octets: bytes) -> bytes:
    """Send, accept every decision, return what the server says."""
    dialogue.receive(octets)
    while dialogue.next_request() is not None:
        if dialogue.pending is not None:
            dialogue.accept()
    return dialogue.data_to_send()


def dialogue_in(state: State, *, lmtp: bool) -> ServerDialogue:
    """A session that was brought into `state` by commands."""
    dialogue = ServerDialogue(ServerSettings(b"mx.example.net", lmtp=lmtp, starttls=True, message_octets_max=100_000))
    if state is State.GREETING:
        return dialogue
    dialogue.greet(replies.ACCESS_DENIED if state is State.REFUSED else None)
    hello = b"LHLO x\r\n" if lmtp else b"EHLO x\r\n"
    mail, rcpt = b"MAIL FROM:<>\r\n", b"RCPT TO:<b@example.net>\r\n"
    say(
        dialogue,
        {
            State.REFUSED: b"",
            State.START: b"",
            State.READY: hello,
            State.MAIL: hello + mail,
            State.RCPT: hello + mail + rcpt,
            State.BDAT: hello + mail + rcpt + b"BDAT 2\r\nA:",
            State.FAILED: hello + mail + rcpt + b"BDAT 100001\r\n" + b"x" * 100_001,
            State.DATA: hello + mail + rcpt + b"DATA\r\n",
            State.CHUNK: hello + mail + rcpt + b"BDAT 99\r\n",
            State.TLS: hello + b"STARTTLS\r\n",
            State.CLOSED: b"QUIT\r\n",
        }[state],
    )
    assert dialogue.state is state
    return dialogue


def cells() -> list[tuple[str, State, bytes]]:
    return [(name, state, verb) for name, table in TABLES.items() for state, verb in itertools.product(COMMAND_STATES, table)]


@pytest.mark.parametrize("name", TABLES)
def test_every_state_has_every_verb(name: str) -> None:
    table = TABLES[name]
    missing = {"smtp": {b"LHLO"}, "lmtp": {b"EHLO", b"HELO"}}[name]  # RFC 2033 4.1
    assert set(table) == VERBS - missing | {states.OTHER}
    for row in table.values():
        assert len(row) == len(COMMAND_STATES)
        for cell in row:
            assert cell in replies.TABLE if cell.isupper() else cell in EFFECTS or cell in ("rset", "skip")


@pytest.mark.parametrize(("name", "state", "verb"), cells())
def test_the_server_does_what_its_cell_says(name: str, state: State, verb: bytes) -> None:
    lmtp = name == "lmtp"
    dialogue = dialogue_in(state, lmtp=lmtp)
    cell = TABLES[name][verb][state]
    said = say(dialogue, LINES.get(verb, verb) + b"\r\n")
    if cell.isupper():
        # RFC 5321 4.1.4: refused, and the state stays
        assert said == render(replies.TABLE[cell])
        assert dialogue.state is state
    elif cell in ("bdat", "skip"):
        assert said == b""
        assert dialogue.state is State.CHUNK
        said = say(dialogue, b"Q\r\nx")  # four octets that are content, whatever they look like
        assert said == render(SKIPPED[state] if cell == "skip" else replies.CHUNK_OK)
        assert dialogue.state is (state if cell == "skip" else State.BDAT)
    elif cell == "rset":
        assert said == render(replies.RSET_OK)
        assert dialogue.state is min(state, State.READY)
    else:
        code, after = EFFECTS[cell]
        assert said.startswith(b"%d" % code)
        assert dialogue.state is (state if after is None else after)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("state", SILENT_STATES)
def test_a_silent_state_reads_no_command(name: str, state: State) -> None:
    for line in LINES.values():
        dialogue = dialogue_in(state, lmtp=name == "lmtp")
        assert say(dialogue, line + b"\r\n") == b""
        assert dialogue.state is state


@pytest.mark.parametrize(
    ("action", "refused"), [("helo", False), ("mail", False), ("rcpt", False), ("data", False), ("bdat", True), ("content", True), ("starttls", False)]
)
def test_a_decision_leads_to_the_state_of_its_table(action: str, refused: bool) -> None:
    before = {
        "helo": State.START,
        "mail": State.READY,
        "rcpt": State.MAIL,
        "data": State.RCPT,
        "bdat": State.RCPT,
        "content": State.DATA,
        "starttls": State.READY,
    }[action]
    octets = {"helo": b"EHLO x", "mail": b"MAIL FROM:<>", "rcpt": b"RCPT TO:<a@b>", "bdat": b"BDAT 0", "content": b"A: b\r\n\r\n."}.get(
        action, action.upper().encode()
    ) + b"\r\n"
    dialogue = dialogue_in(before, lmtp=False)
    dialogue.receive(octets)
    while dialogue.next_request() is not None:
        pass
    assert dialogue.pending is not None
    dialogue.answer(replies.TRY_LATER)
    while dialogue.next_request() is not None:
        pass
    assert dialogue.data_to_send() == render(replies.TRY_LATER)
    assert dialogue.state is (states.REFUSED[action] if refused else before)


def test_the_clients_table_is_complete() -> None:
    assert set(states.CLIENT) == set(Stage)
    assert all(len(row) == len(states.KINDS) for row in states.CLIENT.values())


@pytest.mark.parametrize("table", TABLES.values())
def test_the_tables_can_be_printed(table: dict[bytes, Row]) -> None:
    text = states.render_server(table)
    assert text.splitlines()[0].split() == ["verb", *(state.name for state in COMMAND_STATES)]
    assert len(text.splitlines()) == 1 + len(table)
    assert len(states.render_client().splitlines()) == 1 + len(Stage)
