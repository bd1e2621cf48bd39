"""Dialogue: the suite as an SMTP client: connections, commands and replies, and the steps that many cases share.

Each method is a step: `reply = yield from client.command("NOOP")`. Text is sent as UTF-8; what is sent gets CRLF only where the method says so.
"""

import base64
from collections.abc import Iterable, Sequence
from typing import Final

from conformance.content import stuff
from conformance.context import Context
from conformance.oracle import need
from conformance.outcome import Broken, Inconclusive
from conformance.reply import Reply, take
from conformance.wire import CLOSE, CLOSED, HALF, RESET, TIMEOUT, Close, Look, Open, Opened, Receive, Received, Secured, Send, StartTls, Step, Wait

CLIENT_NAME: Final = "client.example"
STATES: Final = ("connected", "greeted", "mail", "rcpt", "data", "sent", "reset", "quit")


class Client:
    """A connection to the target. `ended`: how it ended, once that was seen; a step after that is Inconclusive, as nothing can be learnt from it."""

    def __init__(self, at: Context, connection: int, service: str = "smtp") -> None:
        self.at: Final = at
        self.connection: Final = connection
        self.service: Final = service
        self.ended = ""
        self.extensions: dict[str, str] = {}
        self._inbox = b""

    # --- octets

    def send(self, octets: bytes | str) -> Step[None]:
        """As they are."""
        yield Send(self.connection, octets.encode() if isinstance(octets, str) else octets)

    def send_pieces(self, pieces: Iterable[bytes], pause_s: float = 0.005) -> Step[None]:
        """Each piece in a segment of its own, as near as that can be had."""
        for number, piece in enumerate(pieces):
            if number:
                yield Wait(pause_s)
            yield Send(self.connection, piece)

    def reply(self, timeout_s: float = 0.0) -> Step[Reply]:
        """The next reply; code 0 when the connection ended first, or nothing came in time (0: what the target file says)."""
        if self.ended and not self._inbox:
            raise Inconclusive(f"the target had ended the connection ({self.ended})")
        while (found := take(self._inbox)) is None:
            got: Received = yield Receive(self.connection, timeout_s or self.at.target.limits.reply_s)
            self._inbox += got.octets
            if got.end:
                self.ended = got.end if got.end != TIMEOUT else ""
                raw, self._inbox = self._inbox, b""
                return Reply(0, raw=raw, end=got.end)
        reply, self._inbox = found
        return reply

    def replies(self, count: int, timeout_s: float = 0.0) -> Step[list[Reply]]:
        """So many replies."""
        found = []
        for _ in range(count):
            found.append((yield from self.reply(timeout_s)))
        return found

    def silence(self, seconds: float = 0.5) -> Step[bytes]:
        """What comes within the time though nothing should: b"" is what one hopes for."""
        if not self._inbox and not self.ended:
            got: Received = yield Receive(self.connection, seconds)
            self._inbox += got.octets
            self.ended = got.end if got.end != TIMEOUT else ""
        return self._inbox

    # --- commands

    def command(self, line: bytes | str, timeout_s: float = 0.0) -> Step[Reply]:
        """A line, CRLF, and its reply."""
        yield from self.send((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return (yield from self.reply(timeout_s))

    def pipeline(self, *lines: bytes | str) -> Step[list[Reply]]:
        """All lines in one write, then their replies."""
        yield from self.send(b"".join((line.encode() if isinstance(line, str) else line) + b"\r\n" for line in lines))
        return (yield from self.replies(len(lines)))

    def hello(self, name: str = CLIENT_NAME) -> Step[Reply]:
        """EHLO (LHLO for LMTP), which has to succeed; fills `extensions`."""
        verb = "LHLO" if self.service == "lmtp" else "EHLO"
        reply = need((yield from self.command(f"{verb} {name}")), "250", verb)
        self.extensions = extensions_of(reply)
        return reply

    def mail(self, sender: str | None = None, parameters: str = "") -> Step[Reply]:
        """MAIL, which has to succeed. `sender` without brackets; None: the case's own."""
        path = self.at.sender if sender is None else sender
        return need((yield from self.command(f"MAIL FROM:<{path}>{' ' * bool(parameters)}{parameters}")), "250", "MAIL")

    def rcpt(self, *recipients: str, parameters: str = "") -> Step[Reply]:
        """RCPT for each, which have to succeed; none given: a valid local one."""
        reply = Reply(0)
        for recipient in recipients or (self.at.recipient,):
            reply = need((yield from self.command(f"RCPT TO:<{recipient}>{' ' * bool(parameters)}{parameters}")), "250 251 252", "RCPT")
        return reply

    def data(self, content: bytes | None = None) -> Step[Reply]:
        """DATA, which has to be answered with 354, then the content with dots stuffed, and the end. None: the case's own message."""
        need((yield from self.command("DATA")), "354", "DATA")
        yield from self.send(stuff(self.at.message() if content is None else content) + b".\r\n")
        return (yield from self.reply())

    def transaction(self, *recipients: str, sender: str | None = None, content: bytes | None = None, parameters: str = "") -> Step[Reply]:
        """A whole transaction; gives the reply after the final dot, whatever it is."""
        yield from self.mail(sender, parameters)
        yield from self.rcpt(*recipients)
        return (yield from self.data(content))

    def authenticate(self) -> Step[Reply]:
        """AUTH PLAIN with the credentials of the target file (needs "auth")."""
        auth = self.at.target.auth
        secret = base64.b64encode(f"\0{auth.user}\0{auth.password}".encode()).decode()
        return (yield from self.command(f"AUTH PLAIN {secret}"))

    def handshake(self, timeout_s: float = 15.0) -> Step[Secured]:
        """TLS, now. What was read before and not used is dropped."""
        self._inbox = b""
        secured: Secured = yield StartTls(self.connection, timeout_s=timeout_s)
        return secured

    def start_tls(self) -> Step[Secured]:
        """STARTTLS, which has to be answered with 220, and the handshake, which has to succeed."""
        need((yield from self.command("STARTTLS")), "220", "STARTTLS")
        secured = yield from self.handshake()
        if secured.reason:
            raise Inconclusive(f"TLS handshake: {secured.reason}")
        return secured

    # --- the end

    def quit(self) -> Step[Reply]:
        """QUIT, its reply, and close."""
        reply = yield from self.command("QUIT")
        yield from self.close()
        return reply

    def wait_closed(self, timeout_s: float = 5.0) -> Step[str]:
        """How the target ends the connection: "closed", "reset", or "timeout" when it does not."""
        if self.ended:
            return self.ended
        while True:
            got: Received = yield Receive(self.connection, timeout_s)
            self._inbox += got.octets
            if got.end:
                self.ended = got.end if got.end != TIMEOUT else ""
                return got.end

    def close(self) -> Step[None]:
        yield Close(self.connection, CLOSE)

    def half_close(self) -> Step[None]:
        """Nothing more from us; the target may go on to answer."""
        yield Close(self.connection, HALF)

    def reset(self) -> Step[None]:
        """Break the connection."""
        yield Close(self.connection, RESET)


def extensions_of(reply: Reply) -> dict[str, str]:
    """Keyword in upper case -> parameters, of a reply to EHLO."""
    words = [line.decode("ascii", "backslashreplace").partition(" ") for line in reply.lines[1:]]
    return {keyword.upper(): parameters for keyword, _, parameters in words}


# --- steps


def dial(at: Context, service: str = "smtp", *, outside: bool = False) -> Step[Client]:
    """A connection, before its greeting is read. `outside`: from an address that the target does not trust (needs "outsider")."""
    opened: Opened = yield Open(service, at.target.sources.outsider if outside else "")
    if not opened.connection:
        raise Broken(f"no connection to {service}: {opened.reason}")
    return Client(at, opened.connection, service)


def greeted(at: Context, service: str = "smtp", *, outside: bool = False) -> Step[Client]:
    """A connection, greeted with 220."""
    client = yield from dial(at, service, outside=outside)
    need((yield from client.reply()), "220", "greeting")
    return client


def hello(at: Context, service: str = "smtp", *, outside: bool = False) -> Step[Client]:
    """A connection on which EHLO was said."""
    client = yield from greeted(at, service, outside=outside)
    yield from client.hello()
    return client


def secured(at: Context, service: str = "smtp", *, outside: bool = False) -> Step[Client]:
    """A connection on which STARTTLS was used, and EHLO said again (needs "extension:STARTTLS")."""
    client = yield from hello(at, service, outside=outside)
    yield from client.start_tls()
    yield from client.hello()
    return client


def reach(at: Context, state: str) -> Step[Client]:
    """A connection in this state of a session.

    connected (220 read, no EHLO), greeted (EHLO), mail, rcpt, data (354 read: content is expected), sent (a message was accepted), reset (RSET
    after RCPT), quit (221 read).
    """
    client = yield from greeted(at)
    if state == "connected":
        return client
    yield from client.hello()
    if state == "quit":
        need((yield from client.command("QUIT")), "221", "QUIT")
    if state in ("mail", "rcpt", "data", "sent", "reset"):
        yield from client.mail()
    if state in ("rcpt", "data", "sent", "reset"):
        yield from client.rcpt()
    if state == "data":
        need((yield from client.command("DATA")), "354", "DATA")
    if state == "sent":
        need((yield from client.data()), "250", "the end of data")
    if state == "reset":
        need((yield from client.command("RSET")), "250", "RSET")
    return client


def admitted(at: Context, service: str = "") -> Step[Client]:
    """A connection on which the target takes mail to any domain, in the way that its file tells. `service`: another one."""
    way = at.target.submit
    client = yield from (secured if way.tls and not service else hello)(at, service or way.service)
    if way.auth and not service:
        need((yield from client.authenticate()), "235", "AUTH")
    return client


def submit(
    at: Context,
    *recipients: str,
    sender: str | None = None,
    content: bytes | None = None,
    parameters: str = "",
    rcpt_parameters: str = "",
    service: str = "",
) -> Step[None]:
    """Hand the target a message to send on (none given: to `at.remote`); it has to accept it."""
    client = yield from admitted(at, service)
    yield from client.mail(sender, parameters)
    yield from client.rcpt(*(recipients or (at.remote,)), parameters=rcpt_parameters)
    need((yield from client.data(content)), "250", "the end of data")
    yield from client.quit()


def attempt(at: Context, recipient: str = "", *, content: bytes | None = None, parameters: str = "", service: str = "") -> Step[Reply]:
    """The same for one recipient that the target may refuse: gives the reply that decided: of RCPT when it is no success, else that after the final dot."""
    client = yield from admitted(at, service)
    yield from client.mail(None, parameters)
    reply = yield from client.command(f"RCPT TO:<{recipient or at.remote}>")
    if 200 <= reply.code < 300:
        reply = yield from client.data(content)
    if not client.ended:
        yield from client.quit()
    return reply


def delivered(at: Context, recipient: str = "", count: int = 1, timeout_s: float = 0.0, token: str = "") -> Step[tuple[bytes, ...]]:
    """The case's messages in the mailbox of a local recipient, as soon as there are `count`, or when the time is over (needs "delivery")."""
    found: tuple[bytes, ...] = yield Look(recipient or at.recipient, token or at.token, count, timeout_s or at.target.limits.delivery_s)
    return found


def delivered_one(at: Context, recipient: str = "", timeout_s: float = 0.0) -> Step[bytes]:
    """The one message of the case: none or several is Broken (needs "delivery")."""
    found = yield from delivered(at, recipient, 1, timeout_s)
    if len(found) != 1:
        raise Broken(f"{len(found)} messages were delivered to {recipient or at.recipient}, not one")
    return found[0]


def alive(at: Context) -> Step[None]:
    """The target still greets and answers a new client: Broken otherwise."""
    client = yield from greeted(at)
    yield from client.hello()
    yield from client.quit()


def ended_by_target(replies: Sequence[Reply]) -> bool:
    """Whether one of these is 421 or the end of the connection."""
    return any(reply.code == 421 or reply.end in (CLOSED, RESET) for reply in replies)
