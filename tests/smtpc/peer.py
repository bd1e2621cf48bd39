"""A peer for SMTPC's tests: a small SMTP or LMTP server that misbehaves at one step of the dialogue as it is told."""

from dataclasses import dataclass, field

STEPS = ("greeting", "ehlo", "starttls", "mail", "rcpt", "data", "dot")  # of any session; a fault at "rset" needs a transaction that was refused

# What a faulty step does instead of its reply:
#   a code            that reply
#   "421"             that reply, then the connection is closed
#   "garbage"         octets that are no reply
#   "drop"            closes instead of a reply; "half": closes in the middle of it; "after": replies, then closes
#   "hang"            says nothing any more
ACTIONS = ("450", "550", "421", "garbage", "drop", "half", "after", "hang")


@dataclass
class Behaviour:
    """How the peer at one address behaves. `faults`: step -> action; `times`: how many connections the faults concern, the others are good."""

    offers: tuple[str, ...] = ("PIPELINING", "SIZE", "8BITMIME", "DSN", "ENHANCEDSTATUSCODES", "SMTPUTF8")
    faults: dict[str, str] = field(default_factory=dict)
    times: int = 1 << 30
    lmtp: bool = False
    connect: str = "ok"  # ok, refuse, hang
    handshake: str = "ok"  # ok, or the error
    transactions_max: int = 1 << 30  # then 421 at MAIL
    refused: frozenset[bytes] = frozenset()  # recipients that get 550
    close_idle: bool = False  # closes after each transaction without a word
    swallow: bool = False  # reads nothing more once content comes


@dataclass
class Taken:
    """A message that the peer got as a whole, and the replies it gave for it."""

    reverse_path: bytes
    recipients: list[bytes]
    content: bytes
    codes: list[int]


class Peer:
    """One connection of a peer. `feed` octets, then take `output`; `closed` True: the peer has closed."""

    def __init__(self, behaviour: Behaviour, *, faulty: bool, taken: list[Taken]) -> None:
        self.behaviour = behaviour
        self.faults = behaviour.faults if faulty else {}
        self.taken = taken
        self.output = b""
        self.closed = False
        self.hung = False
        self.tls = False
        self.handshaking = False
        self.buffer = b""
        self.mode = "command"
        self.chunk = 0
        self.content = b""
        self.reverse_path = b""
        self.recipients: list[bytes] = []
        self.transactions = 0
        self.commands: list[bytes] = []
        self.reply("greeting", b"220 mx.example.net ESMTP\r\n")

    def reply(self, step: str, good: bytes) -> int:
        """Say `good`, or do what the fault of this step says. Gives the code that was said, 0: none."""
        action = self.faults.get(step, "")
        if action in ("450", "550"):
            self.output += f"{action} {action[0]}.7.1 no\r\n".encode()
            return int(action)
        if action == "421":
            self.output += b"421 4.3.2 going down\r\n"
            self.closed = True
            return 421
        if action == "garbage":
            self.output += b"\x00HTTP/1.1 400 Bad Request\r\n"
            return 0
        if action == "drop":
            self.closed = True
            return 0
        if action == "half":
            self.output += good[:5]
            self.closed = True
            return 0
        if action == "hang":
            self.hung = True
            return 0
        self.output += good
        self.closed = action == "after"
        return int(good[:3])

    def feed(self, data: bytes) -> None:
        self.buffer += data
        while not self.closed and not self.hung and not self.handshaking:
            if self.mode == "command" and b"\r\n" in self.buffer:
                line, _, self.buffer = self.buffer.partition(b"\r\n")
                self.commands.append(line)
                self.command(line)
            elif self.mode == "data" and b"\r\n.\r\n" in self.buffer:
                content, _, self.buffer = self.buffer.partition(b"\r\n.\r\n")
                self.end((content[2:] + b"\r\n").replace(b"\r\n..", b"\r\n."))
            elif self.mode == "bdat" and len(self.buffer) >= self.chunk:
                content, self.buffer = self.buffer[: self.chunk], self.buffer[self.chunk :]
                self.end(content)
            else:
                return

    def command(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb in (b"EHLO", b"LHLO", b"HELO"):
            assert (verb == b"LHLO") == self.behaviour.lmtp
            offers = self.behaviour.offers if verb != b"HELO" else ()
            lines = ["mx.example.net", *(offer for offer in offers if offer != "STARTTLS" or not self.tls)]
            text = "".join(f"250{'-' if number < len(lines) - 1 else ' '}{line}\r\n" for number, line in enumerate(lines))
            self.reply("ehlo", text.encode())
        elif line.upper() == b"STARTTLS":
            if self.reply("starttls", b"220 2.0.0 go\r\n") == 220:
                self.handshaking = True
        elif verb == b"MAIL":
            self.transactions += 1
            if self.transactions > self.behaviour.transactions_max:
                self.output += b"421 4.7.0 enough\r\n"
                self.closed = True
                return
            self.recipients = []
            self.reverse_path = line.partition(b"<")[2].partition(b">")[0]
            self.mailed = self.reply("mail", b"250 2.1.0 ok\r\n") == 250
        elif verb == b"RCPT":
            address = line.partition(b"<")[2].partition(b">")[0]
            if not self.mailed:
                self.output += b"503 5.5.1 MAIL first\r\n"
            elif address in self.behaviour.refused:
                self.output += b"550 5.1.1 no such user\r\n"
            elif self.reply("rcpt", b"250 2.1.5 ok\r\n") == 250:
                self.recipients.append(address)
        elif verb == b"DATA":
            if not self.recipients:
                self.output += b"554 5.5.1 no valid recipients\r\n"
            elif self.reply("data", b"354 go on\r\n") == 354:
                self.mode = "data"
                self.buffer = b"\r\n" + self.buffer
                self.hung = self.hung or self.behaviour.swallow
        elif verb == b"BDAT":
            assert line.endswith(b" LAST")
            self.chunk = int(line.split()[1])
            self.mode = "bdat"
        elif verb == b"RSET":
            self.recipients = []
            self.reply("rset", b"250 2.0.0 ok\r\n")
        elif verb == b"QUIT":
            self.output += b"221 2.0.0 bye\r\n"
            self.closed = True
        else:
            raise AssertionError(f"SMTPC does not say this: {line!r}")

    def end(self, content: bytes) -> None:
        self.mode = "command"
        replies = len(self.recipients) if self.behaviour.lmtp else 1
        codes = [self.reply("dot", b"250 2.0.0 taken\r\n") for _ in range(replies) if not self.closed]
        self.taken.append(Taken(self.reverse_path, list(self.recipients), content, codes))
        self.recipients = []
        if self.behaviour.close_idle:
            self.closed = True
