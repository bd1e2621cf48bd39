"""Traffic: what is sent, what came of it, and the mix of messages that a seed draws.

A message carries a token in a header field and, as `sender+TOKEN`, in its reverse-path, so that log, sink and mailbox can be joined.
A token is sent once: what was not acknowledged is sent again under a new one, as a new message, so that every copy beyond the first is
the MTA's doing and not the client's.
"""

import random
import zlib
from collections.abc import Iterator

from msgspec import Struct

LOCAL = "lab.example"
SINK = "sink.example"
SLOW = "slow.example"
FLAKY = "flaky.example"
NEVER = "never.example"
SENDER = "sender"


class Attempt(Struct):
    """One message as the client saw it. Times are wall microseconds, 0 for what did not happen.

    `recipients`: those that RCPT accepted. `dot_at`: the final dot was written to the socket. `acked_at`: the last octet of the 250 was read.
    `ended_at`: the transaction is over, whatever its end. `server`: the process id that owns the connection, 0 when it is not known.
    """

    token: str
    recipients: tuple[str, ...]
    dot_at: int = 0
    acked_at: int = 0
    ended_at: int = 0
    transaction: str = ""
    code: int = 0
    server: int = 0

    @property
    def sender(self) -> str:
        return sender_of(self.token)


class Draft(Struct, frozen=True):
    """A message to send: to whom, and how large its body is."""

    recipients: tuple[str, ...]
    octets: int


class Copy(Struct, frozen=True):
    """One copy of a message that arrived: in a Maildir (`at`: when it was renamed into place), or at the sink (`at`: when it said 250)."""

    token: str
    recipient: str
    transaction: str
    at: int
    intact: bool = True


def sender_of(token: str) -> str:
    return f"{SENDER}+{token}@{LOCAL}"


_MIX = (
    # weight, domains of the recipients
    (40, (LOCAL,)),
    (25, (SINK,)),
    (9, (LOCAL, SINK)),
    (10, (SLOW,)),
    (6, (FLAKY,)),
    (4, (NEVER,)),
    (3, (LOCAL, SINK, SLOW, FLAKY)),
    (3, (LOCAL, LOCAL, SINK, SINK, SLOW, FLAKY, NEVER)),  # more than may be delivered before it is stored (A12)
)
_SIZES = ((70, 300, 3_000), (20, 3_000, 20_000), (8, 20_000, 50_000), (2, 60_000, 200_000))
BURST_RECIPIENTS = 12


class Mix:
    """Draws messages. The same seed gives the same messages in the same order."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(f"{seed}/mix")
        self._tokens = 0

    def token(self) -> str:
        self._tokens += 1
        return f"T{self._tokens:06d}"

    def draw(self) -> Draft:
        domains = self._random.choices([domains for _, domains in _MIX], [weight for weight, _ in _MIX])[0]
        return Draft(tuple(f"user{number}@{domain}" for number, domain in enumerate(domains)), self._octets())

    def burst(self) -> Draft:
        """Many recipients at a slow host: enough of these fill the active queue."""
        return Draft(tuple(f"user{number}@{SLOW}" for number in range(BURST_RECIPIENTS)), self._octets())

    def _octets(self) -> int:
        low, high = self._random.choices([(low, high) for _, low, high in _SIZES], [weight for weight, _, _ in _SIZES])[0]
        return self._random.randrange(low, high)


def _lines(token: str, octets: int) -> Iterator[bytes]:
    """Body lines: all different, some with a dot in front."""
    made = number = 0
    while made < octets:
        line = b"%b%d %b" % (b"." if number % 7 == 0 else b"", number, (token.encode() + b" ") * (number % 8 + 1))
        made += len(line) + 2
        number += 1
        yield line


def compose(token: str, recipients: tuple[str, ...], octets: int) -> bytes:
    """The content with CRLF, not stuffed. Its checksum stands in a field."""
    body = b"".join(line + b"\r\n" for line in _lines(token, octets))
    fields = (
        f"From: <{sender_of(token)}>",
        f"To: {', '.join(recipients[:3])}",
        f"Subject: {token}",
        f"Message-ID: <{token}@client.example>",
        f"X-Token: {token}",
        f"X-Sum: {zlib.crc32(body):08x}",
    )
    return "\r\n".join(fields).encode() + b"\r\n\r\n" + body


def stuffed(content: bytes) -> bytes:
    """As it goes over the wire, with the final dot (RFC 5321 4.5.2)."""
    body = content.replace(b"\r\n.", b"\r\n..")
    return (b"." if body.startswith(b".") else b"") + body + b".\r\n"


class Read(Struct, frozen=True):
    """What a received message says about itself: its token, the transaction in our Received field, whether it is what was sent."""

    token: str
    transaction: str
    intact: bool


def read_content(content: bytes) -> Read:
    """Of a message as it arrived, with CRLF or LF."""
    content = content.replace(b"\r\n", b"\n")
    header, _, body = content.partition(b"\n\n")
    fields = header.replace(b"\n\t", b" ").replace(b"\n ", b" ").split(b"\n")
    token = _field(fields, b"x-token")
    received = [field for field in fields if field.lower().startswith(b"received:")]
    transaction = received[-1].partition(b" id ")[2].split(b";")[0].split(b" ")[0].decode() if received else ""
    expected = _field(fields, b"x-sum")
    checksum = zlib.crc32(body.replace(b"\n", b"\r\n"))
    intact = not expected or f"{checksum:08x}" == expected
    return Read(token, transaction, intact)


def _field(fields: list[bytes], name: bytes) -> str:
    for field in fields:
        if field.lower().startswith(name + b":"):
            return field.partition(b":")[2].strip().decode("ascii", "backslashreplace")
    return ""
