"""What no crash of ours can touch: clients that remember each 250 they read, and hosts that remember each message they took."""

import re
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field

TOKEN = re.compile(rb"^X-Token: (\S+)\r$", re.M)


@dataclass(frozen=True)
class Mail:
    """One message of a workload. `token` stands in its content; recipients are `name@domain`."""

    token: str
    recipients: tuple[str, ...]
    sender: str = "sender@lab.example"
    parameters: str = ""  # of each RCPT, such as "NOTIFY=SUCCESS"
    body: str = "Hello.\r\n"

    @property
    def content(self) -> bytes:
        return f"From: <{self.sender}>\r\nSubject: test\r\nX-Token: {self.token}\r\n\r\n{self.body}".encode()


@dataclass
class Outside:
    """The truth: what was promised to clients, and what arrived elsewhere."""

    promised: set[tuple[str, str]] = field(default_factory=set)  # (token, recipient) covered by a 250 that was read
    submitted: set[tuple[str, str]] = field(default_factory=set)  # the final dot was sent: a copy may arrive, promised or not
    refused: set[tuple[str, str]] = field(default_factory=set)  # (token, recipient) answered 4yz or 5yz at the end
    arrived: Counter[tuple[str, str]] = field(default_factory=Counter)  # (token, recipient) in a Maildir or at another host
    bounces: Counter[tuple[str, str]] = field(default_factory=Counter)  # failure DSN for (token, recipient)
    dropped: set[tuple[str, str]] = field(default_factory=set)  # failed, and nobody is to be told (null reverse-path, NOTIFY=NEVER)

    def copy(self) -> "Outside":
        return Outside(set(self.promised), set(self.submitted), set(self.refused), Counter(self.arrived), Counter(self.bounces), set(self.dropped))

    def key(self) -> tuple[object, ...]:
        """Equal for equal truths."""
        return tuple(sorted(self.promised)), tuple(sorted(self.submitted)), tuple(sorted(self.arrived.items())), tuple(sorted(self.bounces.items()))


class Client:
    """Sends one message in lock step and remembers what it was told. Read to the last octet of the reply, then it counts."""

    def __init__(self, outside: Outside, mail: Mail) -> None:
        self.outside = outside
        self.mail = mail
        self.closed = False
        self.reply = b""
        self._buffer = b""
        self._accepted: list[str] = []
        self._dialogue = self._talk()
        next(self._dialogue)

    def opened(self) -> bytes:
        return b""

    def received(self, data: bytes) -> bytes:
        self._buffer += data
        said = b""
        while b"\r\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\r\n")
            if line[3:4] == b"-":
                continue
            try:
                said += self._dialogue.send(line)
            except StopIteration:
                self.closed = True
                return said
        return said

    def lost(self) -> None:
        self.closed = True

    def _talk(self) -> Generator[bytes, bytes, None]:
        mail, outside = self.mail, self.outside
        yield b""
        greeting = yield b"EHLO client.example\r\n"
        del greeting
        reply = yield f"MAIL FROM:<{mail.sender}>\r\n".encode()
        if not reply.startswith(b"2"):
            return
        for recipient in mail.recipients:
            reply = yield f"RCPT TO:<{recipient}> {mail.parameters}".rstrip().encode() + b"\r\n"
            if reply.startswith(b"2"):
                self._accepted.append(recipient)
            else:
                outside.refused.add((mail.token, recipient))
        reply = yield b"DATA\r\n"
        if not reply.startswith(b"3"):
            return
        mine = {(mail.token, recipient) for recipient in self._accepted}
        outside.submitted |= mine
        reply = yield mail.content + b".\r\n"
        self.reply = reply
        if reply.startswith(b"2"):
            outside.promised |= mine
        else:
            outside.refused |= mine
        yield b"QUIT\r\n"


class Sink:
    """A host elsewhere. `answers` says the reply to RCPT or, under "dot", to the end of data; else 250.

    A bounce that arrives here counts for the original's token and for each recipient it reports as failed.
    """

    def __init__(self, outside: Outside, answers: dict[str, str] | None = None, keywords: tuple[str, ...] = ("PIPELINING", "8BITMIME", "SIZE")) -> None:
        self.outside = outside
        self.answers = answers or {}
        self.keywords = keywords
        self.closed = False
        self._buffer = b""
        self._data = False
        self._recipients: list[str] = []

    def opened(self) -> bytes:
        return b"220 sink.example ESMTP\r\n"

    def lost(self) -> None:
        self.closed = True

    def received(self, data: bytes) -> bytes:
        self._buffer += data
        said = b""
        while not self.closed:
            if self._data:
                end = self._buffer.find(b"\r\n.\r\n")
                if end < 0:
                    return said
                content, self._buffer = self._buffer[: end + 2], self._buffer[end + 5 :]
                said += self._take(content)
            elif b"\r\n" in self._buffer:
                line, _, self._buffer = self._buffer.partition(b"\r\n")
                said += self._command(line)
            else:
                return said
        return said

    def _command(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"EHLO":
            return b"250-sink.example\r\n" + b"".join(b"250-%s\r\n" % k.encode() for k in self.keywords[:-1]) + b"250 %s\r\n" % self.keywords[-1].encode()
        if verb == b"MAIL":
            self._recipients = []
        if verb == b"RCPT":
            address = line[line.index(b"<") + 1 : line.index(b">")].decode()
            reply = self.answers.get(address, "250 2.1.5 Ok")
            if reply.startswith("2"):
                self._recipients.append(address)
            return reply.encode() + b"\r\n"
        if verb == b"DATA":
            if not self._recipients:
                return b"554 5.5.1 No valid recipients\r\n"
            self._data = True
            return b"354 Go ahead\r\n"
        if verb == b"QUIT":
            self.closed = True
            return b"221 2.0.0 Bye\r\n"
        return b"250 2.0.0 Ok\r\n"

    def _take(self, content: bytes) -> bytes:
        self._data = False
        reply = self.answers.get("dot", "250 2.0.0 Taken")
        if reply.startswith("2"):
            count_content(content, self._recipients, self.outside.arrived, self.outside.bounces)
        self._recipients = []
        return reply.encode() + b"\r\n"


def count_content(content: bytes, recipients: list[str], arrived: Counter[tuple[str, str]], bounces: Counter[tuple[str, str]]) -> None:
    """Counts a message, or the failures that a DSN reports, under the token that stands in it."""
    found = TOKEN.search(content)
    token = found[1].decode() if found else ""
    if b"multipart/report" in content:
        for block in content.split(b"\r\n\r\n"):
            address = re.search(rb"^Final-Recipient: *[^;]+; *(\S+)\r?$", block, re.M | re.I)
            if address and re.search(rb"^Action: *failed\r?$", block, re.M | re.I):
                bounces[token, address[1].decode()] += 1
        return
    for recipient in recipients:
        arrived[token, recipient] += 1
