"""The form of replies (RFC 5321 4.2, 4.2.1, 4.3.1, 4.3.2, 4.5.3.1.5): of many commands, good and bad, in the states in which they may come."""

from typing import Final, NamedTuple

from conformance.case import SERVER, section
from conformance.context import Context
from conformance.dialogue import reach
from conformance.oracle import need
from conformance.outcome import MUST, MUST_NOT, SHOULD, SHOULD_NOT, check
from conformance.reply import Reply
from conformance.server.steps import leaves, placed
from conformance.wire import Script, Step

case = section("rfc5321/4.2", SERVER)
codes = section("rfc5321/4.3.2", SERVER)

# RFC 5321 4.2.3, and what RFC 3207, 4954, 7504 and 7505 add.
LISTED: Final = frozenset(
    map(
        int,
        "211 214 220 221 250 251 252 354 421 450 451 452 455 500 501 502 503 504 550 551 552 553 554 555 235 334 432 454 530 534 535 538 521 556".split(),
    )
)


class Ask(NamedTuple):
    """`usual`: the codes that RFC 5321 4.3.2 lists for it, besides 500, 501 and 421, which any command may get."""

    id: str
    state: str
    line: str
    usual: str = ""


ASKS: Final = (
    Ask("ehlo", "connected", "EHLO client.example", "250 504 550 502"),
    Ask("ehlo-bad", "connected", "EHLO bad_name", "250 504 550 502"),
    Ask("helo", "connected", "HELO client.example", "250 504 550 502"),
    Ask("mail", "greeted", "MAIL FROM:<a@DOMAIN>", "250 552 451 452 550 553 503 455 555"),
    Ask("mail-null", "greeted", "MAIL FROM:<>", "250 552 451 452 550 553 503 455 555"),
    Ask("mail-bad", "greeted", "MAIL FROM:<a b@DOMAIN>", "250 552 451 452 550 553 503 455 555"),
    Ask("mail-parameter", "greeted", "MAIL FROM:<a@DOMAIN> XNOSUCH=1", "250 552 451 452 550 553 503 455 555 504"),
    Ask("mail-early", "connected", "MAIL FROM:<a@DOMAIN>", "250 552 451 452 550 553 503 455 555"),
    Ask("mail-nested", "mail", "MAIL FROM:<a@DOMAIN>", "250 552 451 452 550 553 503 455 555"),
    Ask("rcpt", "mail", "RCPT TO:<USER@LOCAL>", "250 251 550 551 552 553 450 451 452 503 455 555"),
    Ask("rcpt-unknown", "mail", "RCPT TO:<no-such-user-at-all@LOCAL>", "250 251 550 551 552 553 450 451 452 503 455 555"),
    Ask("rcpt-bad", "mail", "RCPT TO:<USER", "250 251 550 551 552 553 450 451 452 503 455 555"),
    Ask("rcpt-early", "greeted", "RCPT TO:<USER@LOCAL>", "250 251 550 551 552 553 450 451 452 503 455 555"),
    Ask("data", "rcpt", "DATA", "354 503 554"),
    Ask("data-early", "mail", "DATA", "354 503 554"),
    Ask("rset", "rcpt", "RSET", "250"),
    Ask("vrfy", "greeted", "VRFY USER@LOCAL", "250 251 252 550 551 553 502 504"),
    Ask("vrfy-unknown", "greeted", "VRFY no-such-user-at-all@LOCAL", "250 251 252 550 551 553 502 504"),
    Ask("vrfy-empty", "greeted", "VRFY", "250 251 252 550 551 553 502 504"),
    Ask("expn", "greeted", "EXPN postmaster", "250 252 550 500 502 504"),
    Ask("help", "greeted", "HELP", "211 214 502 504"),
    Ask("help-argument", "greeted", "HELP MAIL", "211 214 502 504"),
    Ask("noop", "greeted", "NOOP", "250"),
    Ask("quit", "greeted", "QUIT", "221"),
    Ask("unknown", "greeted", "XYZZY", "500"),
    Ask("unknown-long", "greeted", f"XYZZY {'y' * 480}", "500"),
    Ask("noop-long", "greeted", f"NOOP {'y' * 480}", "250"),
    Ask("rcpt-long", "mail", f"RCPT TO:<{'y' * 240}@LOCAL>", "250 251 550 551 552 553 450 451 452 503 455 555"),
    Ask("empty", "greeted", "", "500"),
)


def _ask(at: Context, row: Ask) -> Step[tuple[Reply, bytes]]:
    """The reply, and what came after it though nothing should."""
    client = yield from reach(at, row.state)
    reply = yield from client.command(placed(at, row.line))
    check(reply.code, f"{row.line}: {reply}")
    if reply.code == 354:
        yield from client.send(b".\r\n")
        yield from client.reply()
    octets = b""
    if row.id == "quit" or client.ended:
        octets = yield from client.silence(0.2)
    else:
        yield from leaves(client)
    return reply, octets


@case.table(
    ASKS,
    MUST,
    prefix="form-",
    tests=(
        *("5321-4.2-1", "5321-4.2-n1", "5321-4.2-n3", "5321-4.2-9", "5321-4.2.1-n1", "5321-4.2.1-n2", "5321-4.2.1-4", "5321-4.3.2-2"),
        "5321-4.5.3.1.5-n1a",
    ),
)
def form(at: Context, row: Ask) -> Script:
    """`{line}` gets exactly one reply: three digits from 2 to 5 at first, hyphen or space, text, CRLF; one code in all lines; no line beyond 512 octets."""
    reply, more = yield from _ask(at, row)
    check(not reply.faults, "; ".join(reply.faults))
    check(200 <= reply.code < 600, f"the code is {reply.code}")
    check(not more, f"more came after the reply: {more[:80]!r}")


@case.table(ASKS, SHOULD, prefix="code-", tests=("5321-4.2-3", "5321-4.3.1-3"))
def listed_code(at: Context, row: Ask) -> Script:
    """`{line}` gets one of the codes of the standard, one of those that are listed for the command."""
    reply, _ = yield from _ask(at, row)
    check(reply.code in LISTED, f"{reply.code} is no code of the standard")
    check(str(reply.code) in (*row.usual.split(), "500", "501", "502", "421", "554"), f"{reply.code} is not listed for this command")


@case.table(
    [row for row in ASKS if row.id in ("ehlo", "mail", "rcpt", "data", "rset", "noop", "quit", "unknown", "help")],
    SHOULD_NOT,
    prefix="text-",
    tests=("5321-4.2-5b", "5321-4.2.1-3a"),
)
def text_is_there(at: Context, row: Ask) -> Script:
    """The reply to `{line}` has a text after its code, or at least the space that stands before one."""
    reply, _ = yield from _ask(at, row)
    last = reply.raw.splitlines()[-1]
    check(len(last) > 3, f"the last line is {last!r}")
    check(reply.text.strip(), "the reply has no text")


@codes("not-too-long", MUST_NOT, tests=("5321-4.3.2-n1",))
def not_too_long(at: Context) -> Script:
    """A command line of less than 512 octets is not refused for its length."""
    for length in (100, 256, 400, 511):
        client = yield from reach(at, "greeted")
        need((yield from client.command("NOOP x")), "250", "NOOP with an argument")
        line = "NOOP " + "x" * (length - 7)
        reply = yield from client.command(line)
        check(reply.code == 250 or reply.code == 421, f"a NOOP of {length} octets with its CRLF: {reply}")
        yield from client.close()


@codes("digits", MUST_NOT, tests=("5321-4.3.2-2", "5321-4.2-9"))
def digits(at: Context) -> Script:
    """Through a whole transaction, every line that the server sends begins with three digits, the first of them 2 to 5."""
    client = yield from reach(at, "sent")
    reply = yield from client.command("QUIT")
    for line in reply.raw.split(b"\r\n")[:-1]:
        check(line[:1] in b"2345" and line[:3].isdigit(), f"{line[:60]!r}")
