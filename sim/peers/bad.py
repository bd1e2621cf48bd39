"""Bad peers: those who only make trouble for a server (F29-F35), as a table of short dialogues.

A dialogue is a generator. It yields octets to send, a number of microseconds to wait, or REPLY to wait for the next reply; what comes back is that
reply's code, 0 when the connection is over. It ends by itself, or when the server hangs up, or when its patience is over.

Whatever might be a message for a lenient server is reported as submitted beforehand, so that its arrival is no phantom; what is smuggled
inside another message is never reported: if it arrives, it is one (F33, I3).
"""

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Final

from sim.connection import Connection
from sim.network import Network
from sim.party import NOBODY
from sim.peers.mail import Mail
from smx.units import KIB, MINUTE, SECOND

if TYPE_CHECKING:
    from sim.choices import Stream
    from sim.environment import Environment
    from sim.peers.reports import Reports

REPLY: Final = None
PATIENCE_US: Final = 20 * MINUTE
ENDLESS_OCTETS: Final = 512 * KIB  # where "endless" ends, if the server bears it
PIECE: Final = 16 * KIB

Step = bytes | int | None
Dialogue = Generator[Step, int, None]

EHLO: Final = b"EHLO bad.example\r\n"
QUIT: Final = b"QUIT\r\n"
PSEUDO_ENDS: Final = (  # F33: what some server somewhere took for CRLF.CRLF
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\n\r.\r\n",
    b"\r\n\x00.\r\n",
    b"\r\n.\x00\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\n..\r\n",
    b"\r\n. \r\n",
)


class BadPeer:
    """One connection of such a peer. `mail`: the message it plays with; its recipients should be good ones."""

    def __init__(
        self,
        env: "Environment",
        network: Network,
        reports: "Reports",
        stream: "Stream",
        mischief: str,
        mail: Mail,
        *,
        target: tuple[str, int],
        source: str = "203.0.113.1",
    ) -> None:
        self.mischief: Final = mischief
        self.codes: list[int] = []
        self.finished = False
        self.mail: Final = mail
        self.stream: Final = stream
        self._env: Final = env
        self._network: Final = network
        self._reports: Final = reports
        self._target: Final = target
        self._source: Final = source
        self._dialogue: Dialogue = MISCHIEF[mischief](self)
        self._connection: Connection | None = None
        self._buffer = b""
        self._arrived: list[int] = []  # codes that nobody has asked for yet
        self._wants_reply = False

    def start(self, delay_us: int = 0) -> None:
        self._env.later(delay_us, self._dial)

    def _dial(self) -> None:
        self._connection = self._network.connect(self._source, *self._target, self)
        self._env.later(PATIENCE_US, self._leave)

    def connected(self, connection: Connection) -> None:
        self._go_on(None)

    def refused(self, reason: str) -> None:
        self._connection = None
        self.finished = True

    def drained(self) -> None:
        pass

    def received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\r\n")
            if line[3:4] != b"-":
                code = int(line[:3]) if line[:3].isdigit() else 999
                self.codes.append(code)
                self._arrived.append(code)
        if self._wants_reply and self._arrived:
            self._wants_reply = False
            self._go_on(self._arrived.pop(0))

    def closed(self, reason: str) -> None:
        self._connection = None
        self.finished = True
        self._dialogue.close()

    def submitting(self, content: bytes) -> None:
        """This may be taken for a message."""
        self._reports.submitted(self.mail.token, self.mail.sender, self.mail.recipients, content, self._env.now, self.mail.notify)

    def start_tls(self) -> None:
        """A handshake, whatever the server makes of it."""
        if self._connection is not None:
            self._connection.start_tls(False, self._on_handshake)

    def _on_handshake(self, error: str, version: str, cipher: str) -> None:
        if error:
            self.closed(error)

    def _go_on(self, code: int | None) -> None:
        """Up to the next thing that it waits for."""
        while (connection := self._connection) is not None:
            try:
                step = next(self._dialogue) if code is None else self._dialogue.send(code)
            except StopIteration:
                self._leave()
                return
            code = None
            if isinstance(step, bytes):
                connection.send(step)
            elif isinstance(step, int):
                self._env.later(step, self._go_on, None)
                return
            elif self._arrived:
                code = self._arrived.pop(0)
            else:
                self._wants_reply = True
                return

    def _leave(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self.closed("left")


class Flood:
    """Many connections at once that do nothing (F35)."""

    def __init__(self, env: "Environment", network: Network, *, target: tuple[str, int], count: int, hold_us: int, source: str = "203.0.113.200") -> None:
        self._env: Final = env
        self._network: Final = network
        self._target: Final = target
        self._count: Final = count
        self._hold_us: Final = hold_us
        self._source: Final = source
        self._connections: list[Connection] = []

    def start(self, delay_us: int = 0) -> None:
        self._env.later(delay_us, self._open)

    def _open(self) -> None:
        self._connections = [self._network.connect(self._source, *self._target, NOBODY) for _ in range(self._count)]
        self._env.later(self._hold_us, self.stop)

    def stop(self) -> None:
        for connection in self._connections:
            connection.abort()


# --- dialogues -----------------------------------------------------------------------------------------------------------


def _hello() -> Dialogue:
    yield REPLY
    yield EHLO
    yield REPLY


def _envelope(peer: BadPeer) -> Generator[Step, int, bool]:
    """Up to the reply to DATA; False: the server did not want it."""
    yield from _hello()
    yield b"MAIL FROM:<%s>\r\n" % peer.mail.sender.encode()
    if (yield REPLY) >= 400:
        return False
    for recipient in peer.mail.recipients:
        yield b"RCPT TO:<%s>\r\n" % recipient.encode()
        yield REPLY
    yield b"DATA\r\n"
    return (yield REPLY) == 354


def _endless(piece: bytes) -> Iterator[bytes]:
    many = piece * max(1, PIECE // len(piece))
    for _ in range(0, ENDLESS_OCTETS, len(many)):
        yield many


def http(peer: BadPeer) -> Dialogue:
    yield b"POST / HTTP/1.1\r\nHost: mx.example\r\nContent-Length: 60\r\n\r\nEHLO x\r\nMAIL FROM:<a@b.example>\r\n"
    yield REPLY
    yield 10 * SECOND


def early_talker(peer: BadPeer) -> Dialogue:
    yield EHLO + b"MAIL FROM:<%s>\r\n" % peer.mail.sender.encode()
    yield REPLY
    yield REPLY
    yield REPLY
    yield QUIT


def all_at_once(peer: BadPeer) -> Dialogue:
    """A whole session in one piece, content and all, without a look at any reply (RFC 2920 3.1 forbids it)."""
    content = peer.mail.content
    peer.submitting(content)
    envelope = b"".join(b"RCPT TO:<%s>\r\n" % recipient.encode() for recipient in peer.mail.recipients)
    yield EHLO + b"MAIL FROM:<%s>\r\n%sDATA\r\n%s.\r\nQUIT\r\n" % (peer.mail.sender.encode(), envelope, content)
    yield MINUTE


def behind_data(peer: BadPeer) -> Dialogue:
    """The content right behind DATA, before its 354."""
    yield from _hello()
    yield b"MAIL FROM:<%s>\r\n" % peer.mail.sender.encode()
    yield REPLY
    for recipient in peer.mail.recipients:
        yield b"RCPT TO:<%s>\r\n" % recipient.encode()
        yield REPLY
    content = peer.mail.content
    peer.submitting(content)
    yield b"DATA\r\n%s.\r\n" % content
    yield REPLY
    yield REPLY
    yield QUIT


def endless_line(peer: BadPeer) -> Dialogue:
    yield REPLY
    for piece in _endless(b"x"):
        yield piece
        yield 1_000


def endless_header(peer: BadPeer) -> Dialogue:
    if (yield from _envelope(peer)):
        for piece in _endless(b"X-More: and more\r\n"):
            yield piece
            yield 1_000


def endless_content(peer: BadPeer) -> Dialogue:
    """No end of data ever comes."""
    if (yield from _envelope(peer)):
        yield b"Subject: much\r\n\r\n"
        for piece in _endless(b"y" * 70 + b"\r\n"):
            yield piece
            yield 1_000


def overlong_lines(peer: BadPeer) -> Dialogue:
    content = peer.mail.content + b"z" * 100_000 + b"\r\n"
    if (yield from _envelope(peer)):
        peer.submitting(content)
        yield content + b".\r\n"
        yield REPLY
        yield QUIT


def too_many_recipients(peer: BadPeer) -> Dialogue:
    """More than any server takes, and then none of the content."""
    yield from _hello()
    yield b"MAIL FROM:<%s>\r\n" % peer.mail.sender.encode()
    yield REPLY
    recipient = peer.mail.recipients[0].encode()
    for _ in range(30):
        yield b"RCPT TO:<%s>\r\n" % recipient * 100
        yield 10_000
    yield b"RSET\r\nQUIT\r\n"
    yield MINUTE


def guesser(peer: BadPeer) -> Dialogue:
    """RCPT for names that nobody has."""
    yield from _hello()
    yield b"MAIL FROM:<>\r\n"
    yield REPLY
    domain = peer.mail.recipients[0].rpartition("@")[2].encode()
    for number in range(200):
        yield b"RCPT TO:<guess%d@%s>\r\n" % (number, domain)
        yield REPLY


def junk(peer: BadPeer) -> Dialogue:
    yield from _hello()
    for _ in range(300):
        yield b"NOOP\r\nRSET\r\nVRFY x\r\nWHAT\r\n"
        yield REPLY


def binary(peer: BadPeer) -> Dialogue:
    yield REPLY
    yield bytes(peer.stream.below(256) for _ in range(200)) + b"\r\n\x00\r\n\xff\xfe\r\n"
    yield 5 * SECOND


def smuggler(peer: BadPeer) -> Dialogue:
    """F33: a message that holds another session behind something that is no end of data, but looks like one to some."""
    pseudo = peer.stream.pick(PSEUDO_ENDS)
    inner = Mail(f"smuggled-{peer.mail.token}", peer.mail.recipients, "evil@bad.example")
    session = b"MAIL FROM:<evil@bad.example>\r\nRCPT TO:<%s>\r\nDATA\r\n%s" % (inner.recipients[0].encode(), inner.content)
    wire = peer.mail.content.removesuffix(b"\r\n") + pseudo + session
    if (yield from _envelope(peer)):
        peer.submitting(wire.replace(b"\r\n.", b"\r\n"))  # unstuffed by the rules of CRLF alone
        yield wire + b".\r\n"
        yield REPLY
        yield 2 * SECOND
        yield QUIT


def injector(peer: BadPeer) -> Dialogue:
    """F34: commands behind STARTTLS, in the same piece."""
    yield from _hello()
    yield b"STARTTLS\r\nRSET\r\nMAIL FROM:<injected@bad.example>\r\n"
    if (yield REPLY) == 220:
        peer.start_tls()
        yield 5 * SECOND
        yield EHLO
        yield REPLY


def late_injector(peer: BadPeer) -> Dialogue:
    """F34: plaintext where the handshake is due."""
    yield from _hello()
    yield b"STARTTLS\r\n"
    if (yield REPLY) == 220:
        yield b"MAIL FROM:<injected@bad.example>\r\n"
        yield 5 * SECOND


def mute(peer: BadPeer) -> Dialogue:
    """Connects, and says nothing."""
    yield 15 * MINUTE


def mute_in_content(peer: BadPeer) -> Dialogue:
    if (yield from _envelope(peer)):
        yield b"Subject: half\r\n\r\nand th"
        yield 15 * MINUTE


def short_chunk(peer: BadPeer) -> Dialogue:
    """RFC 3030: announces more than it sends, and goes."""
    yield from _hello()
    yield b"MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nBDAT 1000 LAST\r\n%s" % (
        peer.mail.sender.encode(),
        peer.mail.recipients[0].encode(),
        peer.mail.content[:50],
    )
    yield SECOND


def huge_chunk(peer: BadPeer) -> Dialogue:
    yield from _hello()
    yield b"MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nBDAT 99999999999999999999 LAST\r\n" % (peer.mail.sender.encode(), peer.mail.recipients[0].encode())
    for piece in _endless(b"w"):
        yield piece
        yield 1_000


def after_quit(peer: BadPeer) -> Dialogue:
    yield from _hello()
    yield b"QUIT\r\nMAIL FROM:<late@bad.example>\r\nRCPT TO:<%s>\r\n" % peer.mail.recipients[0].encode()
    yield 10 * SECOND


MISCHIEF: Final[dict[str, Callable[[BadPeer], Dialogue]]] = {
    "mute": mute,
    "http": http,
    "early talker": early_talker,
    "all at once": all_at_once,
    "behind data": behind_data,
    "endless line": endless_line,
    "endless header": endless_header,
    "endless content": endless_content,
    "overlong lines": overlong_lines,
    "too many recipients": too_many_recipients,
    "guesser": guesser,
    "junk": junk,
    "binary": binary,
    "smuggler": smuggler,
    "injector": injector,
    "late injector": late_injector,
    "mute in content": mute_in_content,
    "short chunk": short_chunk,
    "huge chunk": huge_chunk,
    "after quit": after_quit,
}
