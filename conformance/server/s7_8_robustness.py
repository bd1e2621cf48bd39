"""Robustness (RFC 5321 7.8, 3.8, 4.1.1.5): whatever a client does, the server survives it and serves the next one."""

from collections.abc import Callable
from typing import Final, NamedTuple

from conformance.case import SERVER, section
from conformance.context import Context
from conformance.dialogue import STATES, Client, alive, delivered, dial, greeted, hello, reach
from conformance.oracle import expect
from conformance.outcome import MAY, MUST, SHOULD, check
from conformance.reply import Reply
from conformance.server.steps import every_octet, until_end
from conformance.wire import TIMEOUT, Remark, Script, Step, Wait

case = section("rfc5321/7.8", SERVER)

HEALTH: Final = ("5321-4.5.4.2-1", "5321-4.1.1.5-4")
FLOOD: Final = 200
PATIENCE_S: Final = 3.0


def _drained(client: Client) -> Step[None]:
    """Take what comes for a short time, without a judgement, and close."""
    for _ in range(50):
        if client.ended or not (yield from client.silence(0.1)):
            break
        yield from client.reply(0.5)
    yield from client.close()


class Octets(NamedTuple):
    id: str
    octets: bytes
    what: str
    state: str = "greeted"


THROWN: Final = (
    Octets("nul", b"\0" * 1000 + b"\r\n", "a line of NUL"),
    Octets("random", bytes((n * 151 + 7) % 256 for n in range(4000)) + b"\r\n", "octets of every kind"),
    Octets("high", b"\xff" * 2000 + b"\r\n", "octets 255"),
    Octets("newlines", b"\n" * 3000, "line feeds"),
    Octets("returns", b"\r" * 3000, "carriage returns"),
    Octets("empty-lines", b"\r\n" * 300, "empty lines"),
    Octets("endless-line", b"NOOP " + b"x" * 300_000, "a command of 300000 octets that does not end"),
    Octets("endless-line-ends", b"NOOP " + b"x" * 300_000 + b"\r\n", "a command of 300000 octets"),
    Octets("long-path", b"MAIL FROM:<" + b"@a," * 20_000 + b":b@c.example>\r\n", "a route of 20000 hosts"),
    Octets("deep-quotes", b'MAIL FROM:<"' + b"\\\\" * 20_000 + b'"@c.example>\r\n', "20000 quoted pairs"),
    Octets("many-parameters", b"MAIL FROM:<>" + b" A=B" * 10_000 + b"\r\n", "10000 parameters"),
    Octets("format-strings", b"EHLO %s%n%x%p$(id)`id`${jndi:x}\r\nMAIL FROM:<%s%n@x.example>\r\n", "format strings and shell words"),
    Octets("escape-sequences", b"EHLO \x1b[2J\x1b]0;x\x07.example\r\n", "escape sequences of a terminal"),
    Octets("http", b"GET / HTTP/1.1\r\nHost: mx.example\r\n\r\n", "a request of HTTP", "connected"),
    Octets(
        "http-post", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\n\r\nEHLO x.example\r\nMAIL FROM:<a@b.example>\r\n", "a POST of HTTP", "connected"
    ),
    Octets("client-hello", bytes.fromhex("16030100c8010000c40303") + b"\0" * 197, "the beginning of TLS", "connected"),
    Octets("ssh", b"SSH-2.0-OpenSSH_9.6\r\n", "the beginning of SSH", "connected"),
    Octets("proxy", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 25\r\n", "the beginning of the PROXY protocol", "connected"),
    Octets("bdat-huge", b"BDAT 99999999999999999999 LAST\r\n", "a chunk of 10^20 octets", "rcpt"),
    Octets("bdat-negative", b"BDAT -1 LAST\r\n", "a chunk of -1 octets", "rcpt"),
    Octets("size-huge", b"MAIL FROM:<> SIZE=99999999999999999999\r\n", "a size of 10^20 octets"),
    Octets("content-nul", b"\0" * 5000 + b"\r\n.\r\n", "content of NUL", "data"),
    Octets("content-endless-line", b"x" * 300_000 + b"\r\n.\r\n", "content of one line of 300000 octets", "data"),
    Octets("content-endless-field", b"X-Long: " + (b"x" * 900 + b"\r\n ") * 300 + b"\r\n\r\n.\r\n", "a header field of 270000 octets", "data"),
    Octets("content-many-fields", b"X-A: b\r\n" * 20_000 + b"\r\n.\r\n", "20000 header fields", "data"),
    Octets("content-dots", b"..\r\n" * 20_000 + b".\r\n", "20000 lines of stuffed dots", "data"),
    Octets("content-returns", b"\r" * 50_000 + b"\r\n.\r\n", "content of carriage returns", "data"),
    Octets("content-line-feeds", b"\n" * 50_000 + b"\r\n.\r\n", "content of line feeds", "data"),
)


@case.table(THROWN, SHOULD, prefix="survives-", tests=HEALTH)
def survives(at: Context, row: Octets) -> Script:
    """{what} in the state "{state}" may be refused in any way; the server then serves the next client."""
    client = yield from reach(at, row.state)
    yield from client.send(row.octets)
    yield from _drained(client)
    yield from alive(at)


@case.table(
    [row for row in THROWN if row.octets.endswith(b"\r\n") and row.id in ("nul", "high", "endless-line-ends", "long-path", "deep-quotes", "many-parameters")],
    MUST,
    prefix="answers-",
    tests=("5321-4.2-1", "5321-4.2-n1"),
)
def answers(at: Context, row: Octets) -> Script:
    """{what} is one line, and gets at most one reply, of proper form, or a closed connection."""
    client = yield from hello(at)
    yield from client.send(row.octets)
    reply = yield from client.reply()
    check(reply.code or reply.is_closed, f"{row.what}: {reply}")
    check(not reply.faults, "; ".join(reply.faults))
    if client.ended or reply.code == 421:
        return
    yield from client.send(b"QUIT\r\n")
    more = [found for found in (yield from until_end(client)) if found.code not in (221, 421)]
    check(not more, f"{row.what}: {len(more)} replies more")


class Leave(NamedTuple):
    id: str
    state: str
    how: str


LEAVES: Final = tuple(Leave(f"{state}-{how}", state, how) for state in STATES if state not in ("quit", "reset") for how in ("close", "reset", "half"))


@case.table(LEAVES, SHOULD, prefix="left-", tests=("5321-4.1.1.5-4", "5321-4.5.4.2-1"))
def left(at: Context, row: Leave) -> Script:
    """A client that leaves in the state "{state}" ({how}) is survived, and the next one is served."""
    client = yield from reach(at, row.state)
    leave: Callable[[], Step[None]] = {"close": client.close, "reset": client.reset, "half": client.half_close}[row.how]
    yield from leave()
    yield from alive(at)
    if row.how == "half":
        yield from client.wait_closed(1.0)
        yield from client.close()


@case("left-before-greeting", SHOULD, tests=("5321-4.1.1.5-4",))
def left_before_greeting(at: Context) -> Script:
    """Twenty clients that connect and break off at once are survived."""
    for _ in range(20):
        client = yield from dial(at)
        yield from client.reset()
    yield from alive(at)


@case("left-within-command", SHOULD, tests=("5321-4.1.1.5-4", "5321-2.4-n3"))
def left_within_command(at: Context) -> Script:
    """A client that leaves in the middle of a command is survived."""
    client = yield from hello(at)
    yield from client.send(f"MAIL FROM:<{at.sender}")
    yield from client.close()
    yield from alive(at)


@case("left-within-content", MUST, tests=("5321-4.1.1.10-4b",), needs=("delivery",))
def left_within_content(at: Context) -> Script:
    """A client whose connection breaks in the middle of the content is survived, and nothing of it is delivered."""
    client = yield from reach(at, "data")
    yield from client.send(at.message() * 20)
    yield from client.reset()
    yield from alive(at)
    check(not (yield from delivered(at, "", 1, 1.5)), "what had no end was delivered")


@case("left-before-the-last-reply", SHOULD, tests=("5321-4.1.1.5-4",))
def left_before_reply(at: Context) -> Script:
    """A client that leaves right after its final dot, without its reply, is survived."""
    client = yield from reach(at, "data")
    yield from client.send(at.message() + b".\r\n")
    yield from client.reset()
    yield from alive(at)


@case("completed-survives-break", MUST, tests=("5321-4.1.1.10-4a",), needs=("delivery",))
def completed_survives(at: Context) -> Script:
    """A message that was accepted is delivered, even if the connection breaks right after its reply."""
    client = yield from hello(at)
    expect((yield from client.transaction()), "250", "the end of data")
    yield from client.reset()
    check((yield from delivered(at)), "the accepted message was not delivered")


class Flood(NamedTuple):
    id: str
    line: str
    what: str


FLOODS: Final = (
    Flood("noop", "NOOP", "NOOP"),
    Flood("rset", "RSET", "RSET"),
    Flood("unknown", "XYZZY", "unknown commands"),
    Flood("bad-mail", "MAIL FROM:<<>", "MAIL with a bad path"),
    Flood("vrfy", "VRFY someone", "VRFY"),
    Flood("help", "HELP", "HELP"),
)


@case.table(FLOODS, SHOULD, prefix="flood-", tests=HEALTH)
def flood(at: Context, row: Flood) -> Script:
    """After 200 times {what} the server may have slowed down, or said 421 and closed; the next client is served."""
    client = yield from hello(at)
    reply = Reply(0)
    count = 0
    while count < FLOOD and not client.ended and reply.code != 421:
        reply = yield from client.command(row.line, PATIENCE_S)
        count += 1
        if reply.end == TIMEOUT:  # slowed down: what a server may do with such a client
            break
    yield Remark(f"{count} times {row.what}: {reply}")
    yield from client.close()
    yield from alive(at)


@case("flood-unread", SHOULD, tests=HEALTH)
def flood_unread(at: Context) -> Script:
    """A client that sends 20000 commands and reads no reply does not keep others from being served."""
    client = yield from hello(at)
    for _ in range(20):
        yield from client.send(b"NOOP\r\n" * 1000)
    yield from alive(at)
    yield from client.reset()
    yield from alive(at)


@case("many-connections", MAY, tests=("5321-4.5.4.2-2",))
def many_connections(at: Context) -> Script:
    """How many connections of one client are greeted, of thirty, is recorded; when they are gone the next is served."""
    clients = []
    taken = 0
    for _ in range(30):
        client = yield from dial(at)
        clients.append(client)
        taken += (yield from client.reply(5.0)).code == 220
    yield Remark(f"{taken} of 30 connections were greeted", "info")
    for client in clients:
        yield from client.close()
    yield Wait(0.2)
    yield from alive(at)


@case("slow-client", SHOULD, tests=HEALTH)
def slow_client(at: Context) -> Script:
    """A client that sends octet by octet is served, and others at the same time."""
    client = yield from greeted(at)
    yield from client.send_pieces(every_octet(b"EHLO slow"), 0.005)
    yield from alive(at)
    yield from client.send_pieces(every_octet(b".example\r\n"), 0.005)
    expect((yield from client.reply()), "250", "EHLO, octet by octet")
