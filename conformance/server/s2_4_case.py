"""Case of letters, ends of lines and octets beyond ASCII in commands (RFC 5321 2.3.8, 2.4, 4.1.1)."""

from typing import Final, NamedTuple

from conformance.case import SERVER, section
from conformance.context import Context
from conformance.dialogue import greeted, hello, reach
from conformance.oracle import expect
from conformance.outcome import MAY, MUST, MUST_NOT, SHOULD, check
from conformance.server.steps import goes_on, leaves, placed, until_end
from conformance.wire import Remark, Script

case = section("rfc5321/2.4", SERVER)
lines = section("rfc5321/2.3.8", SERVER)
spaces = section("rfc5321/4.1.1", SERVER)


class Row(NamedTuple):
    id: str
    state: str
    line: str
    accept: str
    tests: tuple[str, ...] = ("5321-2.4-n1", "5321-2.4-1")


CASES: Final = (
    Row("ehlo", "connected", "ehlo client.example", "250"),
    Row("ehlo-mixed", "connected", "EhLo client.example", "250"),
    Row("helo", "connected", "helo client.example", "250"),
    Row("mail", "greeted", "mail FROM:<a@DOMAIN>", "250"),
    Row("mail-from", "greeted", "MAIL from:<a@DOMAIN>", "250"),
    Row("mail-mixed", "greeted", "mAiL fRoM:<a@DOMAIN>", "250"),
    Row("rcpt", "mail", "rcpt TO:<USER@LOCAL>", "250 251"),
    Row("rcpt-to", "mail", "RCPT to:<USER@LOCAL>", "250 251"),
    Row("rcpt-mixed", "mail", "rCpT tO:<USER@LOCAL>", "250 251"),
    Row("data", "rcpt", "data", "354"),
    Row("rset", "rcpt", "rset", "250"),
    Row("noop", "greeted", "noop", "250"),
    Row("quit", "greeted", "quit", "221"),
)


@case.table(CASES, MUST, prefix="any-case-")
def any_case(at: Context, row: Row) -> Script:
    """`{line}` is understood as the same in capitals."""
    client = yield from reach(at, row.state)
    expect((yield from client.command(placed(at, row.line))), row.accept, row.line)


@case("action-at-the-end-only", MUST_NOT, tests=("5321-2.4-n3",))
def action_at_the_end(at: Context) -> Script:
    """Nothing is answered before the CRLF of a command has come; then it is."""
    client = yield from hello(at)
    for part in (b"NO", b"OP", b"\r"):
        yield from client.send(part)
        octets = yield from client.silence(0.1)
        check(not octets, f"before the end of the line came {octets[:80]!r}")
    yield from client.send(b"\n")
    expect((yield from client.reply()), "250", "NOOP")


class Octets(NamedTuple):
    id: str
    line: bytes
    where: str


EIGHT_BIT: Final = (
    Octets("verb", b"N\xd6\xd6P", "the verb"),
    Octets("local-part", b"MAIL FROM:<m\xc3\xbcller@client.example>", "a local-part, without SMTPUTF8"),
    Octets("local-part-latin", b"MAIL FROM:<m\xfcller@client.example>", "a local-part, not even UTF-8"),
    Octets("domain", b"MAIL FROM:<a@m\xc3\xbcller.example>", "a domain, without SMTPUTF8"),
    Octets("ehlo", b"EHLO m\xc3\xbcller.example", "the argument of EHLO"),
)


@case.table(EIGHT_BIT, SHOULD, prefix="eight-bit-", tests=("5321-2.4-9",))
def eight_bit_command(at: Context, row: Octets) -> Script:
    """A command with octets beyond ASCII in {where} is refused, as a rule with 500; the session goes on."""
    client = yield from hello(at)
    expect((yield from client.command(row.line)), "500 501 5yz", f"octets beyond ASCII in {row.where}")
    yield from goes_on(client)


@case("eight-bit-content", MAY, tests=("5321-2.4-6",))
def eight_bit_content(at: Context) -> Script:
    """Content with octets beyond ASCII that was not announced may be taken or refused: recorded."""
    client = yield from hello(at)
    reply = yield from client.transaction(content=at.message(body=b"gr\xfcn\r\n"))
    yield Remark(f"8-bit content without BODY=8BITMIME: {reply}", "info")


# --- ends of lines


class End(NamedTuple):
    id: str
    end: bytes
    what: str


ENDS: Final = (
    End("lf", b"\n", "LF alone"),
    End("cr", b"\r", "CR alone"),
    End("lf-cr", b"\n\r", "LF CR"),
    End("cr-nul-lf", b"\r\0\n", "CR NUL LF"),
    End("cr-space-lf", b"\r \n", "CR space LF"),
    End("vertical-tab", b"\x0b", "a vertical tab"),
    End("form-feed", b"\x0c", "a form feed"),
    End("next-line", b"\x85", "the control character NEL"),
)


@lines.table(ENDS, MUST_NOT, prefix="command-end-", tests=("5321-2.3.8-1a",))
def command_end(at: Context, row: End) -> Script:
    """{what} does not end a command: three NOOPs that only it divides are one line, and get one reply; with CRLF each gets its own."""
    client = yield from hello(at)
    expect((yield from client.command("NOOP")), "250", "NOOP with CRLF")
    yield from client.send(row.end.join((b"NOOP", b"NOOP", b"NOOP")) + b"\r\n")
    yield from client.reply()
    yield from client.send(b"QUIT\r\n")
    replies = yield from until_end(client)
    check(len(replies) <= 1, f"{row.what} was taken for the end of a line: {len(replies)} more replies, {', '.join(map(str, replies))}")


@lines("mail-with-lf", MUST_NOT, tests=("5321-2.3.8-1a",))
def mail_with_lf(at: Context) -> Script:
    """MAIL and RCPT that only an LF divides are not two commands: no transaction with a recipient comes from them."""
    client = yield from hello(at)
    yield from client.send(f"MAIL FROM:<{at.sender}>\nRCPT TO:<{at.recipient}>\r\n")
    yield from client.reply()
    yield from client.send(b"QUIT\r\n")
    replies = yield from until_end(client)
    check(len(replies) <= 1, f"{len(replies)} replies after the first: LF was taken for the end of a line")


@lines("long-line-limit", MAY, tests=("5321-2.3.8-2",))
def long_line_limit(at: Context) -> Script:
    """How long a command may be is for the server to say, above 512 octets: what happens to one of 4096 is recorded."""
    client = yield from hello(at)
    reply = yield from client.command("NOOP " + "x" * 4089)
    yield Remark(f"a command of 4096 octets: {reply}", "info")


# --- white space and arguments


class Line(NamedTuple):
    id: str
    state: str
    line: str
    accept: str


TRAILING: Final = (
    Line("ehlo", "connected", "EHLO client.example ", "250"),
    Line("helo", "connected", "HELO client.example ", "250"),
    Line("mail", "greeted", "MAIL FROM:<a@DOMAIN> ", "250"),
    Line("mail-tab", "greeted", "MAIL FROM:<a@DOMAIN>\t", "250"),
    Line("rcpt", "mail", "RCPT TO:<USER@LOCAL>  ", "250 251"),
    Line("data", "rcpt", "DATA ", "354"),
    Line("rset", "rcpt", "RSET ", "250"),
    Line("noop", "greeted", "NOOP ", "250"),
    Line("quit", "greeted", "QUIT ", "221"),
)


@spaces.table(TRAILING, SHOULD, prefix="trailing-space-", tests=("5321-4.1.1-1",))
def trailing_space(at: Context, row: Line) -> Script:
    """White space before the CRLF of a command (`{line}`) is tolerated."""
    client = yield from reach(at, row.state)
    expect((yield from client.command(placed(at, row.line))), row.accept, f"{row.line!r}")


ARGUMENTS: Final = (
    Line("data", "rcpt", "DATA now", "501 500 504 5yz"),
    Line("rset", "rcpt", "RSET all", "501 500 504 5yz"),
    Line("quit", "rcpt", "QUIT please", "501 500 504 5yz"),
)


@spaces.table(ARGUMENTS, SHOULD, prefix="no-argument-", tests=("5321-4.1.1-3b", "5321-4.3.2-4"))
def no_argument(at: Context, row: Line) -> Script:
    """`{line}` has an argument where none belongs: refused with 501, and without it the command is taken."""
    client = yield from reach(at, row.state)
    reply = yield from client.command(row.line)
    check(reply.code >= 500 or reply.code == 421, f"{row.line}: {reply}")
    if not client.ended and reply.code != 421:
        twin = {"DATA": "354", "RSET": "250", "QUIT": "221"}[row.line.split()[0]]
        expect((yield from client.command(row.line.split()[0])), twin, "the good twin")


@spaces("commands-in-step", MUST, tests=("5321-4.2-1",))
def commands_in_step(at: Context) -> Script:
    """Each command gets exactly one reply: after ten of all kinds, good and bad, the next reply is that to QUIT."""
    client = yield from greeted(at)
    for line in ("NOOP", "EHLO client.example", "XYZZY", f"MAIL FROM:<{at.sender}>", "VRFY x", "RCPT", "HELP", "RSET", f"RCPT TO:<{at.recipient}>", "NOOP x"):
        if not client.ended:
            yield from client.command(line)
    yield from leaves(client)
