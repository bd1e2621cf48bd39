"""RSET, NOOP, HELP, QUIT and commands that are no commands (RFC 5321 4.1.1.5, 4.1.1.8 - 4.1.1.10, 4.2.4, appendix F)."""

from typing import Final, NamedTuple

from conformance.case import SERVER, section
from conformance.context import Context
from conformance.dialogue import alive, delivered, hello, reach
from conformance.oracle import expect
from conformance.outcome import MAY, MUST, MUST_NOT, SHOULD, check
from conformance.server.steps import goes_on, is_idle, is_open, takes_mail
from conformance.wire import Remark, Script

rset = section("rfc5321/4.1.1.5", SERVER)
helping = section("rfc5321/4.1.1.8", SERVER)
noop = section("rfc5321/4.1.1.9", SERVER)
leaving = section("rfc5321/4.1.1.10", SERVER)
unknown = section("rfc5321/4.2.4", SERVER)
obsolete = section("rfc5321/F", SERVER)
minimum = section("rfc5321/4.5.1", SERVER)

SETTLE_S: Final = 1.5  # long enough to see a delivery that should not be


@rset("rset-drops-all", MUST, tests=("5321-4.1.1.5-1", "5321-4.1.1.5-2", "5321-4.1.4-n2"))
def rset_drops(at: Context) -> Script:
    """RSET after RCPT gets 250 and drops sender and recipients: RCPT is out of order, and a new MAIL has no recipients."""
    client = yield from reach(at, "rcpt")
    expect((yield from client.command("RSET")), "250", "RSET")
    yield from is_idle(client)
    yield from client.mail()
    reply = yield from client.command("DATA")
    if reply.code == 354:
        yield from client.send(b".\r\n")
        reply = yield from client.reply()
    expect(reply, "503 554 5yz", "DATA without a recipient of its own")


@rset("rset-never-closes", MUST_NOT, tests=("5321-4.1.1.5-3",))
def rset_never_closes(at: Context) -> Script:
    """RSET is no reason to close: after five of them the session goes on, and takes a message."""
    client = yield from hello(at)
    for _ in range(5):
        expect((yield from client.command("RSET")), "250", "RSET")
    expect((yield from client.transaction()), "250", "the end of data")


@rset("rset-recipients-gone", MUST, tests=("5321-4.1.1.5-1", "5321-4.1.1.2-n1"), needs=("delivery", "two-recipients"))
def rset_recipients_gone(at: Context) -> Script:
    """A recipient from before RSET gets nothing of the message that is sent after it."""
    client = yield from hello(at)
    yield from client.mail()
    yield from client.rcpt(at.other_recipient)
    expect((yield from client.command("RSET")), "250", "RSET")
    expect((yield from client.transaction(at.recipient)), "250", "the end of data")
    check((yield from delivered(at)), "nothing came to the recipient")
    astray = yield from delivered(at, at.other_recipient, 1, SETTLE_S)
    check(not astray, "the recipient from before RSET got the message")


@rset("lost-connection", SHOULD, tests=("5321-4.1.1.5-4",))
def lost_connection(at: Context) -> Script:
    """A connection that breaks in the middle of a transaction is survived."""
    client = yield from reach(at, "rcpt")
    yield from client.reset()
    yield from alive(at)


@helping("help", SHOULD, tests=("5321-4.1.1.8-2a",))
def help_supported(at: Context) -> Script:
    """HELP without argument is supported: 211 or 214."""
    client = yield from hello(at)
    expect((yield from client.command("HELP")), "211 214", "HELP")
    yield from goes_on(client)


@helping("help-argument", MAY, tests=("5321-4.1.1.8-2b",))
def help_argument(at: Context) -> Script:
    """HELP with an argument may be supported: recorded."""
    client = yield from hello(at)
    reply = yield from client.command("HELP MAIL")
    yield Remark(f"HELP MAIL: {reply}", "info")
    yield from goes_on(client)


@noop("noop-argument", SHOULD, tests=("5321-4.1.1.9-1",))
def noop_argument(at: Context) -> Script:
    """The argument of NOOP is ignored."""
    client = yield from hello(at)
    expect((yield from client.command("NOOP nothing")), "250", "NOOP with an argument")
    expect((yield from client.command('NOOP "a quoted string"')), "250", "NOOP with a quoted string")


@noop("noop-keeps-transaction", MUST_NOT, tests=("5321-4.1.1.9-n2", "5321-4.1.1.6-n1", "5321-4.1.1.7-n1", "5321-4.1.1.8-n1"))
def keeps_transaction(at: Context) -> Script:
    """NOOP, VRFY, EXPN and HELP between the commands of a transaction change nothing of it."""
    client = yield from hello(at)
    yield from client.mail()
    for other in ("NOOP", f"VRFY {at.recipient}", "EXPN postmaster", "HELP"):
        yield from client.command(other)
    expect((yield from client.command(f"RCPT TO:<{at.recipient}>")), "250 251", "RCPT")
    for other in ("NOOP", f"VRFY {at.recipient}", "EXPN postmaster", "HELP"):
        yield from client.command(other)
    yield from takes_mail(client)


@leaving("quit-closes", MUST, tests=("5321-4.1.1.10-1",))
def quit_closes(at: Context) -> Script:
    """QUIT gets 221, and then the server closes."""
    client = yield from hello(at)
    expect((yield from client.command("QUIT")), "221", "QUIT")
    end = yield from client.wait_closed(10.0)
    check(end != "timeout", "the server leaves the connection open after its 221")


@leaving("errors-do-not-close", MUST_NOT, tests=("5321-4.1.1.10-2", "5321-3.8-1"))
def errors_do_not_close(at: Context) -> Script:
    """Two errors are no reason to close: the session goes on until QUIT."""
    client = yield from hello(at)
    for line in ("XYZZY", "RCPT TO:<x"):
        reply = yield from client.command(line)
        check(not reply.is_closed, f"the server closed after {line}")
    expect((yield from client.command("QUIT")), "221", "QUIT")


@leaving("quit-drops", MUST, tests=("5321-4.1.1.10-n2", "5321-4.1.4-n2"), needs=("delivery",))
def quit_drops(at: Context) -> Script:
    """QUIT before the content drops the transaction, and keeps the one that was completed before it."""
    client = yield from hello(at)
    expect((yield from client.transaction()), "250", "the end of data")
    yield from client.mail()
    yield from client.rcpt()
    expect((yield from client.quit()), "221", "QUIT")
    yield from delivered(at)
    found = yield from delivered(at, "", 2, SETTLE_S)
    check(len(found) == 1, f"{len(found)} messages were delivered, not one")


@leaving("cut-content", MUST, tests=("5321-4.1.1.10-4a", "5321-4.1.1.10-4b"), needs=("delivery",))
def cut_content(at: Context) -> Script:
    """A connection that closes within the content: nothing of that message is delivered, the one completed before it is."""
    client = yield from hello(at)
    expect((yield from client.transaction()), "250", "the end of data")
    yield from client.mail()
    yield from client.rcpt()
    expect((yield from client.command("DATA")), "354", "DATA")
    yield from client.send(at.message("X-Part: cut"))
    yield from client.close()
    yield from delivered(at)
    found = yield from delivered(at, "", 2, SETTLE_S)
    check(len(found) == 1, f"{len(found)} messages were delivered, not one")
    check(b"X-Part: cut" not in found[0], "the message that was cut off was delivered")


@leaving("cut-before-the-dot-is-whole", MUST, tests=("5321-4.1.1.10-4b", "5321-4.1.1.4-n1"), needs=("delivery",))
def cut_dot(at: Context) -> Script:
    """A connection that closes after CR LF dot, or CR LF dot CR: the end of data had not come, so nothing is delivered."""
    for tail in (b".", b".\r"):
        client = yield from reach(at, "data")
        yield from client.send(at.message() + tail)
        yield from client.half_close()
        yield from client.wait_closed(2.0)
        yield from client.close()
    found = yield from delivered(at, "", 1, SETTLE_S)
    check(not found, "a message whose end had not come was delivered")


class Line(NamedTuple):
    id: str
    line: bytes
    what: str
    level: str = SHOULD
    tests: tuple[str, ...] = ("5321-4.2.4-3",)


UNKNOWN: Final = (
    Line("word", b"XYZZY", "a private command that nobody knows", MUST, ("5321-4.1.5-n1",)),
    Line("word-argument", b"XFOO bar baz", "a private command with arguments", MUST, ("5321-4.1.5-n1",)),
    Line("letters", b"FOO", "a word"),
    Line("one-letter", b"A", "a letter"),
    Line("long-word", b"F" * 100, "a word of 100 letters"),
    Line("digits", b"250", "a reply code"),
    Line("reply", b"250 ok", "a reply"),
    Line("prefix", b"MAI", "the beginning of a verb"),
    Line("suffix", b"NOOPS", "a verb with a letter more"),
    Line("glued", b"MAILFROM:<a@b.example>", "MAIL without the space behind it"),
    Line("glued-ehlo", b"EHLOclient.example", "EHLO without the space behind it"),
    Line("header", b"Subject: hello", "a header field"),
    Line("empty", b"", "an empty line"),
    Line("spaces", b"   ", "a line of spaces"),
    Line("leading-space", b" NOOP", "a space before the verb", MAY),
    Line("dot", b".", "a dot"),
    Line("punctuation", b"!@#$%^&*()", "punctuation"),
)


@unknown.table(UNKNOWN, prefix="unknown-")
def unknown_command(at: Context, row: Line) -> Script:
    """{what} is no command: refused, as a rule with 500; the transaction stands, and the session goes on."""
    client = yield from reach(at, "mail")
    reply = yield from client.command(row.line)
    expect(reply, "500 5yz", row.what)
    if not client.ended and reply.code != 421:
        yield from is_open(client)
        yield from goes_on(client)


OBSOLETE: Final = ("SEND", "SOML", "SAML")


@obsolete("turn", SHOULD, tests=("5321-F.1-1",))
def turn(at: Context) -> Script:
    """TURN is not obeyed for a client that has not authenticated."""
    client = yield from hello(at)
    expect((yield from client.command("TURN")), "500 502 503 5yz", "TURN")
    yield from goes_on(client)


@obsolete("send-soml-saml", MAY, tests=("5321-F.6-2",))
def send_soml_saml(at: Context) -> Script:
    """SEND, SOML and SAML may be implemented: recorded."""
    for verb in OBSOLETE:
        client = yield from hello(at)
        reply = yield from client.command(f"{verb} FROM:<{at.sender}>")
        yield Remark(f"{verb}: {reply}", "info")
        yield from client.close()


class Verb(NamedTuple):
    id: str
    state: str
    line: str


REQUIRED: Final = (
    Verb("ehlo", "connected", "EHLO client.example"),
    Verb("helo", "connected", "HELO client.example"),
    Verb("mail", "greeted", "MAIL FROM:<>"),
    Verb("rcpt", "mail", "RCPT TO:<postmaster>"),
    Verb("data", "rcpt", "DATA"),
    Verb("rset", "greeted", "RSET"),
    Verb("noop", "greeted", "NOOP"),
    Verb("quit", "greeted", "QUIT"),
    Verb("vrfy", "greeted", "VRFY postmaster"),
)


@minimum.table(REQUIRED, MUST, prefix="known-", tests=("5321-4.5.1-2",))
def required(at: Context, row: Verb) -> Script:
    """{line} belongs to the least that every server has: it is not answered as unknown or not implemented."""
    client = yield from reach(at, row.state)
    reply = yield from client.command(row.line)
    check(reply.code and reply.code not in (500, 502), f"{row.line}: {reply}")


class Postmaster(NamedTuple):
    id: str
    path: str
    tests: tuple[str, ...] = ("5321-4.5.1-3", "5321-4.5.1-4")


POSTMASTERS: Final = (
    Postmaster("alone", "<postmaster>", ("5321-4.5.1-4", "5321-2.3.5-4")),
    Postmaster("alone-capital", "<Postmaster>", ("5321-4.5.1-3", "5321-4.5.1-4", "5321-2.3.5-4")),
    Postmaster("alone-capitals", "<POSTMASTER>", ("5321-4.5.1-3", "5321-4.5.1-4", "5321-2.3.5-4")),
    Postmaster("domain", "<postmaster@LOCAL>"),
    Postmaster("domain-capital", "<Postmaster@LOCAL>"),
    Postmaster("domain-mixed", "<pOSTmASTER@LOCAL>"),
)


@minimum.table(POSTMASTERS, MUST, prefix="postmaster-")
def postmaster(at: Context, row: Postmaster) -> Script:
    """RCPT TO:{path} is accepted, whatever the case of the letters."""
    client = yield from reach(at, "mail")
    path = row.path.replace("LOCAL", at.recipient.rpartition("@")[2])
    expect((yield from client.command(f"RCPT TO:{path}")), "250 251", f"RCPT TO:{path}")


@minimum("postmaster-null-sender", MUST, tests=("5321-4.5.1-4",))
def postmaster_null(at: Context) -> Script:
    """postmaster takes mail with the null reverse-path, and a message for it is accepted."""
    client = yield from hello(at)
    yield from client.mail("")
    expect((yield from client.command("RCPT TO:<postmaster>")), "250 251", "RCPT TO:<postmaster>")
    yield from takes_mail(client)
