"""Transparency (RFC 5321 4.5.2): what comes out is what went in, dots and all; and that segments of TCP mean nothing (2.4, 4.5.2)."""

from typing import Final, NamedTuple

from conformance.case import SERVER, section
from conformance.content import split, stuff, with_lf
from conformance.context import Context
from conformance.dialogue import delivered_one, greeted, hello, reach
from conformance.oracle import expect
from conformance.outcome import MUST, MUST_NOT, check
from conformance.server.steps import every_octet, leaves
from conformance.wire import Script

case = section("rfc5321/4.5.2", SERVER)
segments = section("rfc5321/2.4", SERVER)

DOTS: Final = ("5321-4.5.2-n3", "5321-4.5.2-n2")
OCTETS: Final = ("5321-4.5.2-n4",)
PAUSE_S: Final = 0.03


class Body(NamedTuple):
    id: str
    body: bytes
    what: str
    tests: tuple[str, ...] = DOTS


BODIES: Final = (
    Body("dot", b"one\r\n.\r\ntwo\r\n", "a line that is a dot"),
    Body("dot-first", b".\r\ntwo\r\n", "a dot as its first line"),
    Body("dot-last", b"one\r\n.\r\n", "a dot as its last line"),
    Body("dots-only", b".\r\n.\r\n.\r\n", "nothing but dots"),
    Body("two-dots", b"one\r\n..\r\ntwo\r\n", "a line of two dots"),
    Body("three-dots", b"one\r\n...\r\ntwo\r\n", "a line of three dots"),
    Body("dot-text", b"one\r\n.text\r\ntwo\r\n", "a dot before text"),
    Body("two-dots-text", b"one\r\n..text\r\ntwo\r\n", "two dots before text"),
    Body("text-dot", b"one\r\ntext.\r\ntwo\r\n", "a dot at the end of a line", ("5321-4.5.2-n4",)),
    Body("space-dot", b"one\r\n .\r\ntwo\r\n", "a dot behind a space", ("5321-4.5.2-n4",)),
    Body("dot-space", b"one\r\n. \r\ntwo\r\n", "a dot before a space"),
    Body("empty-lines", b"one\r\n\r\n\r\n.\r\n\r\ntwo\r\n", "empty lines around a dot"),
    Body("spaces-at-end", b"one   \r\ntwo\t\r\n", "white space at the ends of lines", OCTETS),
    Body("commands", b"QUIT\r\nRSET\r\nMAIL FROM:<x@y.example>\r\n", "lines that read like commands", OCTETS),
    Body("replies", b"250 ok\r\n354 go\r\n", "lines that read like replies", OCTETS),
    Body("printable", bytes(range(32, 127)) + b"\r\n", "every printable character", OCTETS),
    Body("controls", bytes(octet for octet in range(1, 32) if octet not in (10, 13)) + b"\x7f\r\n", "every control character but NUL, CR and LF", OCTETS),
    Body("nul", b"a\0b\r\n", "a NUL", OCTETS),
    Body("tabs", b"\ta\tb\r\n\t\r\n", "tabs", OCTETS),
)


@case.table(BODIES, MUST, prefix="body-", needs=("delivery",))
def body_delivered(at: Context, row: Body) -> Script:
    """A body that has {what} is delivered as it was sent."""
    client = yield from hello(at)
    expect((yield from client.transaction(content=at.message(body=row.body))), "250", "the end of data")
    _, body = split((yield from delivered_one(at)))
    check(body.rstrip(b"\n") == with_lf(row.body).rstrip(b"\n"), f"delivered: {body[:200]!r}")


@case("from-line", MUST, tests=OCTETS, needs=("delivery",))
def from_line(at: Context) -> Script:
    """A line of the body that begins with From and a space is delivered (as it is, or with the > of mailbox files)."""
    client = yield from hello(at)
    expect((yield from client.transaction(content=at.message(body=b"From here on\r\nFrom there\r\n"))), "250", "the end of data")
    _, body = split((yield from delivered_one(at)))
    check(body.replace(b">From ", b"From ").rstrip(b"\n") == b"From here on\nFrom there", f"delivered: {body[:200]!r}")


@case("dot-not-doubled", MUST, tests=("5321-4.5.2-n3",), needs=("delivery",))
def dot_not_doubled(at: Context) -> Script:
    """The dot at the beginning of a longer line is taken off even where the client did not double it."""
    client = yield from reach(at, "data")
    yield from client.send(at.message(body=b".text\r\n") + b".\r\n")
    expect((yield from client.reply()), "250", "the end of data")
    _, body = split((yield from delivered_one(at)))
    check(body.rstrip(b"\n") == b"text", f"delivered: {body[:80]!r}")


@case("header-dot", MUST, tests=("5321-4.5.2-n3",), needs=("delivery",))
def header_dot(at: Context) -> Script:
    """Doubled dots are taken off in the header section as in the body: a folded line that begins with a dot after its space keeps it."""
    client = yield from hello(at)
    expect((yield from client.transaction(content=at.message("X-Folded: a\r\n .b"))), "250", "the end of data")
    head, _ = split((yield from delivered_one(at)))
    check(b"X-Folded: a\n .b\n" in head, "the folded field was changed")


# --- segments


@segments("octet-by-octet", MUST, tests=("5321-4.5.2-n2", "5321-4.5.2-n3", "5321-2.4-n3"), needs=("delivery",))
def octet_by_octet(at: Context) -> Script:
    """A whole session that comes in segments of one octet is the same as any other."""
    client = yield from greeted(at)
    lines = ("EHLO client.example", f"MAIL FROM:<{at.sender}>", f"RCPT TO:<{at.recipient}>", "DATA")
    for line, accept in zip(lines, ("250", "250", "250 251", "354"), strict=True):
        yield from client.send_pieces(every_octet(line.encode() + b"\r\n"), 0.0005)
        expect((yield from client.reply()), accept, line)
    yield from client.send_pieces(every_octet(stuff(at.message(body=b".a\r\n.\r\nb\r\n")) + b".\r\n"), 0.0005)
    expect((yield from client.reply()), "250", "the end of data")
    _, body = split((yield from delivered_one(at)))
    check(body.rstrip(b"\n") == b".a\n.\nb", f"delivered: {body[:80]!r}")


class Cut(NamedTuple):
    id: str
    pieces: tuple[bytes, ...]
    body: bytes = b"one"


CUTS: Final = (
    Cut("before-cr", (b"one", b"\r\n.\r\n")),
    Cut("after-cr", (b"one\r", b"\n.\r\n")),
    Cut("after-crlf", (b"one\r\n", b".\r\n")),
    Cut("after-dot", (b"one\r\n.", b"\r\n")),
    Cut("after-dot-cr", (b"one\r\n.\r", b"\n")),
    Cut("everywhere", (b"one", b"\r", b"\n", b".", b"\r", b"\n")),
    Cut("stuffed-between-dots", (b"one\r\n.", b".\r\n.\r\n"), b"one\n."),
    Cut("stuffed-before-dots", (b"one\r\n", b"..\r\n.\r\n"), b"one\n."),
    Cut("stuffed-after-dots", (b"one\r\n..", b"\r\n.\r\n"), b"one\n."),
    Cut("stuffed-after-cr", (b"one\r\n..\r", b"\n.\r\n"), b"one\n."),
    Cut("dot-then-text", (b"one\r\n.", b".two\r\n.\r\n"), b"one\n.two"),
    Cut("crlf-alone", (b"one", b"\r\n", b"\r\n", b"two\r\n.\r\n"), b"one\n\ntwo"),
)


@segments.table(CUTS, MUST, prefix="cut-", tests=("5321-4.5.2-n2", "5321-4.5.2-n3", "5321-4.1.1.4-n1"), needs=("delivery",))
def cut(at: Context, row: Cut) -> Script:
    """However segments cut the end of the content ({id}), it ends in the same place, and the same is delivered."""
    client = yield from reach(at, "data")
    yield from client.send(at.message(body=b""))
    yield from client.send_pieces(row.pieces, PAUSE_S)
    expect((yield from client.reply()), "250", "the end of data")
    _, body = split((yield from delivered_one(at)))
    check(body.rstrip(b"\n") == row.body, f"delivered: {body[:80]!r}")


@segments("no-end-while-cut", MUST_NOT, tests=("5321-4.1.1.4-n1", "5321-2.4-n3"))
def no_early_end(at: Context) -> Script:
    """No reply comes while the end of the data is not whole, after any of its octets."""
    client = yield from reach(at, "data")
    yield from client.send(at.message(body=b"one"))
    for octet in every_octet(b"\r\n.\r"):
        yield from client.send(octet)
        early = yield from client.silence(0.05)
        check(not early, f"before the end was whole came {early[:80]!r}")
    yield from client.send(b"\n")
    expect((yield from client.reply()), "250", "the end of data")


@segments("command-cut-everywhere", MUST, tests=("5321-2.4-n3", "5321-4.2-1"))
def command_cut(at: Context) -> Script:
    """A command in two segments, cut after each of its octets in turn, is one command."""
    line = f"MAIL FROM:<{at.sender}>\r\n".encode()
    for at_octet in range(1, len(line)):
        if at_octet % 5 == 1 or at_octet > len(line) - 4:  # the beginning, the end, and a fifth of what lies between
            client = yield from hello(at)
            yield from client.send_pieces((line[:at_octet], line[at_octet:]), 0.002)
            expect((yield from client.reply()), "250", f"MAIL, cut after {at_octet} octets")
            yield from leaves(client)
