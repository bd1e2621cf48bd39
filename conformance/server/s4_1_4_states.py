"""The table of states and commands, whole: what each command does in each state of a session (RFC 5321 4.1.4, 4.3.2).

A cell says which replies are good, and where the session stands afterwards; that is then looked at from outside. "same": it stays where it was. A cell whose
reply may be success or refusal has both: the first state after success, the second after refusal.
"""

from typing import Final, NamedTuple

from conformance.case import SERVER, section
from conformance.context import Context
from conformance.dialogue import CLIENT_NAME, Client, reach
from conformance.oracle import expect
from conformance.outcome import MUST, SHOULD, check
from conformance.server.steps import goes_on, is_idle, is_open, leaves, takes_mail
from conformance.wire import Script, Step

case = section("rfc5321/4.1.4", SERVER)

VERBS: Final = ("EHLO", "HELO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT", "VRFY", "EXPN", "HELP", "XYZZY")
IDLE: Final = ("connected", "greeted", "sent", "reset")
_VERIFY: Final = "250 251 252 5yz"
_CITES: Final = {
    "EHLO": ("5321-4.1.4-4", "5321-4.1.4-n2"),
    "HELO": ("5321-4.1.1.1-4b", "5321-F.3-2"),
    "MAIL": ("5321-4.1.4-14a", "5321-4.1.4-14b", "5321-3.3-n1"),
    "RCPT": ("5321-3.3-8", "5321-4.1.4-14a", "5321-4.1.4-14b", "5321-3.3-n3"),
    "DATA": ("5321-4.1.4-14a", "5321-4.1.4-14b", "5321-3.3-n6"),
    "RSET": ("5321-4.1.1.5-2", "5321-4.1.1.5-n1", "5321-4.1.4-n2"),
    "NOOP": ("5321-4.1.1.9-n1", "5321-4.1.1.9-n2", "5321-4.1.4-n1"),
    "QUIT": ("5321-4.1.1.10-1", "5321-4.1.1.10-n1", "5321-4.1.4-n2"),
    "VRFY": ("5321-4.1.1.6-n1", "5321-4.1.4-n1"),
    "EXPN": ("5321-4.1.1.7-n1", "5321-4.1.4-n1"),
    "HELP": ("5321-4.1.1.8-n1", "5321-4.1.4-n1"),
    "XYZZY": ("5321-4.1.5-n1", "5321-4.1.4-14b"),
}


class Cell(NamedTuple):
    id: str
    state: str
    verb: str
    accept: str
    after: str
    after_refusal: str
    tests: tuple[str, ...]
    level: str


def _cell(state: str, verb: str) -> Cell:
    accept, after, after_refusal = _rule(state, verb)
    level = SHOULD if state == "connected" and verb in ("RSET", "NOOP") else MUST  # 4.1.4: before EHLO they should be served
    return Cell(f"{state}-{verb.lower()}", state, verb, accept, after, after_refusal, _CITES[verb], level)


def _rule(state: str, verb: str) -> tuple[str, str, str]:
    """Good replies, the state after success, the state after refusal."""
    match verb:
        case "EHLO":
            return "250", "greeted", "same"
        case "HELO":  # a second greeting is not forbidden to a client, nor is it said that it is taken
            return ("250", "greeted", "same") if state == "connected" else ("250 503", "greeted", "same")
        case "MAIL" if state == "connected":  # a server that can work without EHLO may
            return "503 250 5yz", "mail", "same"
        case "MAIL" if state in IDLE:
            return "250", "mail", "same"
        case "MAIL":  # 503, or it replaces what was (4.1.1.2)
            return "503 250 5yz", "mail", "same"
        case "RCPT":
            return ("503 5yz", "same", "same") if state in IDLE else ("250 251", "rcpt", "same")
        case "DATA":
            return ("354", "data", "same") if state == "rcpt" else ("503 554 5yz", "same", "same")
        case "RSET":
            return "250", "connected" if state == "connected" else "greeted", "same"
        case "NOOP":
            return "250", "same", "same"
        case "QUIT":
            return "221", "quit", "same"
        case "HELP":
            return "211 214 2yz 5yz", "same", "same"
        case "VRFY" | "EXPN":
            return _VERIFY, "same", "same"
    return "500 5yz", "same", "same"


CELLS: Final = tuple(_cell(state, verb) for state in ("connected", "greeted", "mail", "rcpt", "sent", "reset") for verb in VERBS)


def _line(at: Context, verb: str) -> str:
    """A good line with this verb."""
    argument = {
        "EHLO": CLIENT_NAME,
        "HELO": CLIENT_NAME,
        "MAIL": f"FROM:<{at.sender}>",
        "RCPT": f"TO:<{at.recipient}>",
        "VRFY": at.recipient,
        "EXPN": "postmaster",
    }.get(verb, "")
    return f"{verb} {argument}".rstrip()


def _stands(client: Client, state: str) -> Step[None]:
    """Look from outside whether the session is in this state."""
    if state == "quit":
        end = yield from client.wait_closed()
        check(end != "timeout", "the connection stays open after QUIT")
    elif state == "data":
        yield from client.send(client.at.message() + b".\r\n")
        expect((yield from client.reply()), "250", "the end of data")
    elif state == "rcpt":
        yield from takes_mail(client)
    elif state == "mail":
        yield from is_open(client)
    else:
        yield from is_idle(client)
        if state != "connected":
            expect((yield from client.command(f"MAIL FROM:<{client.at.sender}>")), "250", "MAIL where no transaction is open")


@case.table(CELLS, prefix="state-")
def state_and_command(at: Context, cell: Cell) -> Script:
    """In the state "{state}" {verb} is answered with one of {accept}, and the session then stands at "{after}" (or, if refused, "{after_refusal}")."""
    client = yield from reach(at, cell.state)
    reply = expect((yield from client.command(_line(at, cell.verb))), cell.accept, f"{cell.verb} in the state {cell.state}")
    if reply.code == 354 and cell.after != "data":  # taken all the same: then the content has to be refused
        yield from client.send(b".\r\n")
        reply = expect((yield from client.reply()), "5yz", "the content of a message without recipients")
    after = cell.after if reply.code < 400 else cell.after_refusal
    if not client.ended and reply.code != 421:
        yield from _stands(client, cell.state if after == "same" else after)


class Verb(NamedTuple):
    id: str
    verb: str


@case.table([Verb(verb.lower(), verb) for verb in VERBS], MUST, prefix="state-data-", tests=("5321-3.3-n6", "5321-4.2-1"))
def command_in_content(at: Context, row: Verb) -> Script:
    """After 354 a line that reads like {verb} is content: it is not answered, and the message is accepted at its end."""
    client = yield from reach(at, "data")
    yield from client.send(at.message(body=_line(at, row.verb).encode() + b"\r\nlast line\r\n") + b".\r\n")
    expect((yield from client.reply()), "250", "the end of data")
    yield from leaves(client)


@case.table([Verb(verb.lower(), verb) for verb in VERBS], MUST, prefix="state-quit-", tests=("5321-4.1.1.10-1",))
def command_after_quit(at: Context, row: Verb) -> Script:
    """After the 221 to QUIT the connection is closed: {verb} gets no answer any more."""
    client = yield from reach(at, "quit")
    expect((yield from client.command(_line(at, row.verb), 10.0)), "closed", f"{row.verb} after QUIT", strict=True)


@case.table(
    [Verb(verb.lower(), verb) for verb in ("VRFY", "EXPN", "HELP", "NOOP", "RSET")], SHOULD, prefix="before-ehlo-", tests=("5321-4.1.4-11a", "5321-4.1.4-2")
)
def before_ehlo(at: Context, row: Verb) -> Script:
    """{verb} is served before EHLO has come: not refused with 503."""
    client = yield from reach(at, "connected")
    reply = yield from client.command(_line(at, row.verb))
    check(reply.code != 503, f"{row.verb} before EHLO: {reply}")
    yield from goes_on(client)
