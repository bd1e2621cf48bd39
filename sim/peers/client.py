"""Client: brings the mail of a workload to a server, as its manner says, and remembers exactly what it was told.

submitted   the end of the content is being sent: a copy may come about from here on
promised    the last octet of the 250 to it was read; nothing less counts
refused     4yz or 5yz was read, and where

It tries again as real clients do: after 4yz and 421, after a connection that was refused or lost, and after a reply that did not come in time,
each time later and under a new token. What got 5yz is given up. A client that vanishes (F29) is a manner too: it goes away at a step, once
or always, by a reset, by FIN, or without a word.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from sim.network import Connection, Network
from sim.peers.mail import Mail, stuffed
from smx.units import MINUTE, SECOND

if TYPE_CHECKING:
    from sim.environment import Environment
    from sim.peers.reports import Reports

STEPS: Final = ("connect", "helo", "starttls", "mail", "rcpt", "data", "content", "dot", "rset", "quit")
ALL: Final = -1


class Manner(msgspec.Struct, frozen=True, gc=False):
    """How a client behaves. `pipelined`, `chunked`, `starttls` are done where the server offers them (RFC 2920, 3030, 3207)."""

    name: str = "client.example"
    hello: str = "EHLO"
    pipelined: bool = True
    chunked: bool = False
    chunk_octets: int = 0  # 0: all in one
    starttls: bool = False
    per_session: int = 10  # messages
    think_us: int = 0  # between two messages, and before QUIT
    patience_us: int = 5 * MINUTE  # for a reply
    retry_us: int = 30 * SECOND  # doubled each time
    tries_max: int = 6
    drip_us: int = 0  # one octet at a time (F30)
    drip_octets: int = 1_000  # so many of a session; then it has seen enough, and sends the rest as others do
    vanish: str = ""  # the step at which it goes away (F29): behind its command, in the middle of it, or when its reply has come
    vanish_when: str = "sent"  # sent, part, reply
    vanish_how: str = "reset"  # reset, close, half, silent
    vanish_times: int = 1


LOCK_STEP: Final = Manner(pipelined=False)
PIPELINED: Final = Manner()
CHUNKED: Final = Manner(chunked=True)


class Client:
    """Sends `mails` one after the other, in as many sessions as it takes. `finished`: each has been promised, refused or given up."""

    def __init__(
        self,
        env: "Environment",
        network: Network,
        reports: "Reports",
        mails: Sequence[Mail],
        *,
        target: tuple[str, int],
        source: str = "198.51.100.1",
        manner: Manner = PIPELINED,
        done: "Callable[[Client], None] | None" = None,
    ) -> None:
        self.manner = manner
        self.finished = False
        self.promised: list[Mail] = []
        self.rejected: list[Mail] = []  # no recipient of it is left
        self.given_up: list[Mail] = []
        self.replies: list[tuple[str, int]] = []  # steps and codes, as they were read
        self.sessions = 0
        self._env: Final = env
        self._network: Final = network
        self._reports: Final = reports
        self._target: Final = target
        self._source: Final = source
        self._done: Final = done
        self._waiting: deque[Mail] = deque(mails)
        self._retries = 0  # mails that wait for their time
        self._vanishes = manner.vanish_times if manner.vanish else 0
        self._failures = 0  # sessions without a single message, in a row
        self._dialling = False
        self._connection: Connection | None = None
        self._deadline = 0
        self._armed = False
        self._begin_session()

    def _begin_session(self) -> None:
        self._buffer = b""
        self._expected: deque[tuple[str, int]] = deque()
        self._lines: list[bytes] = []
        self._offers: frozenset[str] = frozenset()
        self._hello = self.manner.hello
        self._secured = False
        self._sent = 0  # messages in this session
        self._mail: Mail | None = None
        self._dripping = b""
        self._dripped = 0
        self._begin_mail()

    def _begin_mail(self) -> None:
        self._todo: deque[tuple[str, int, bytes]] = deque()  # commands that are not sent yet
        self._accepted: list[str] = []  # at RCPT
        self._codes: dict[str, int] = {}  # what was said of each recipient in the end; nothing: not known
        self._mail_code = 0
        self._chunk_code = 0
        self._submitted = False

    # --- life -------------------------------------------------------------------------------------------------------------

    def start(self, delay_us: int = 0) -> None:
        self._dialling = True
        self._env.later(delay_us, self._dial)

    def calm(self) -> None:
        """Faults end: from now on it neither vanishes nor dawdles, and tries again soon."""
        self._vanishes = 0
        self.manner = msgspec.structs.replace(self.manner, drip_us=0, retry_us=min(self.manner.retry_us, SECOND))

    def add(self, mail: Mail) -> None:
        """One more; a client that had finished dials again."""
        self._waiting.append(mail)
        self.finished = False
        if self._connection is None and not self._dialling:
            self.start()

    def _dial(self) -> None:
        self._dialling = False
        if not self._waiting:
            self._look()
            return
        self.sessions += 1
        self._begin_session()
        self._expected.append(("connect", ALL))
        self._connection = self._network.connect(self._source, *self._target, self)
        self._wait()

    def _look(self) -> None:
        """No connection: what is next?"""
        if self._waiting:
            self.start(self._pause(self._failures) if self._failures else 0)
        elif not self._retries and not self.finished:
            self.finished = True
            if self._done is not None:
                self._done(self)

    def _pause(self, times: int) -> int:
        return self.manner.retry_us << min(max(times - 1, 0), 6)

    def _retry(self, mail: Mail, recipients: tuple[str, ...]) -> None:
        """Later, under a new token; or never, when that was tried often enough."""
        if mail.attempt + 1 < self.manner.tries_max:
            again = mail.again(recipients)
            self._retries += 1
            self._env.later(self._pause(again.attempt), self._on_retry, again)
        else:
            self.given_up.append(mail)

    def _on_retry(self, mail: Mail) -> None:
        self._retries -= 1
        self.add(mail)

    # --- the network ------------------------------------------------------------------------------------------------------

    def connected(self, connection: Connection) -> None:
        self._wait()
        if self._vanishes:
            self._vanish("connect", "sent")

    def refused(self, reason: str) -> None:
        self._over()

    def drained(self) -> None:
        pass

    def closed(self, reason: str) -> None:
        self._over()

    def received(self, data: bytes) -> None:
        self._buffer += data
        while self._connection is not None:
            line, end, rest = self._buffer.partition(b"\r\n")
            if not end:
                return
            self._buffer = rest
            self._lines.append(line)
            if line[3:4] != b"-":
                lines, self._lines = self._lines, []
                self._wait()
                self._on_reply(_code_of(lines), lines)

    def _wait(self) -> None:
        """For the next reply; one timer, armed rarely."""
        self._deadline = self._env.now + self.manner.patience_us
        if not self._armed:
            self._armed = True
            self._env.later(self.manner.patience_us, self._on_timer)

    def _on_timer(self) -> None:
        self._armed = False
        if self._connection is None:
            return
        if self._env.now < self._deadline:
            self._armed = True
            self._env.later(self._deadline - self._env.now, self._on_timer)
        else:
            self._leave("reset")

    def _leave(self, how: str) -> None:
        """End the session here."""
        connection = self._connection
        if connection is not None:
            if how == "reset":
                connection.abort()
            else:
                connection.close()
            self._over()

    def _over(self) -> None:
        """The connection is gone: what is in hand is tried again, later."""
        self._connection = None
        if self._mail is not None:
            self._settle()
        self._failures = 0 if self._sent else self._failures + 1
        if self._failures >= self.manner.tries_max:
            self.given_up.extend(self._waiting)
            self._waiting.clear()
            self._failures = 0
        self._look()

    # --- sending ----------------------------------------------------------------------------------------------------------

    def _send(self, step: str, data: bytes) -> None:
        connection = self._connection
        if connection is None:
            return
        if self._vanishes and self.manner.vanish_when != "reply" and self._vanish(step, self.manner.vanish_when, data):
            return
        if not self.manner.drip_us or (self._dripped >= self.manner.drip_octets and not self._dripping):
            connection.send(data)
            return
        if not self._dripping:
            self._env.later(self.manner.drip_us, self._drip, connection)
        self._dripping += data

    def _drip(self, connection: Connection) -> None:
        if self._connection is connection and self._dripping:
            self._dripped += 1
            size = 1 if self._dripped <= self.manner.drip_octets else len(self._dripping)
            piece, self._dripping = self._dripping[:size], self._dripping[size:]
            connection.send(piece)
            self._wait()
            if self._dripping:
                self._env.later(self.manner.drip_us, self._drip, connection)

    def _vanish(self, step: str, when: str, data: bytes = b"") -> bool:
        """Go away here, if the manner says so (F29)."""
        manner = self.manner
        if not self._vanishes or (step, when) != (manner.vanish, manner.vanish_when):
            return False
        self._vanishes -= 1
        connection = self._connection
        assert connection is not None
        connection.send(data if when == "sent" else data[: -1 if step == "dot" else len(data) // 2])
        if manner.vanish_how == "half":
            connection.finish()
        elif manner.vanish_how == "silent":
            self._expected.clear()  # it hears nothing more, and leaves when its patience ends
            self._expected.append(("vanished", ALL))
        else:
            self._leave(manner.vanish_how)
        return True

    # --- replies ----------------------------------------------------------------------------------------------------------

    def _on_reply(self, code: int, lines: list[bytes]) -> None:
        if not self._expected:
            self._leave("close")  # nobody asked: 421, or a server that cannot count
            return
        step, index = self._expected[0]
        if step == "vanished":
            return
        self._expected.popleft()
        self.replies.append((step, code))
        if self._vanishes and self._vanish(step, "reply"):
            return
        if code == 0 or (code < 400 and (code >= 300) is not (step == "data")):
            self._leave("close")  # no reply, or one to something else: the server has lost count
        elif code == 421:
            self._on_closing(step, lines)
        else:
            _ON_REPLY[step](self, code, index, lines)

    def _on_closing(self, step: str, lines: list[bytes]) -> None:
        """421: the session ends, and what was not answered is not done (RFC 5321 3.8)."""
        mail = self._mail
        if mail is not None:
            stage = step if step in ("mail", "rcpt") else "dot" if self._submitted else "data"
            self._refuse(mail, tuple(address for address in mail.recipients if address not in self._codes), stage, 421, lines)
        self._leave("close")

    def _refuse(self, mail: Mail, recipients: tuple[str, ...], stage: str, code: int, lines: list[bytes]) -> None:
        for address in recipients:
            self._codes[address] = code
        if recipients:
            self._reports.refused(mail.token, recipients, stage, code, b" ".join(lines).decode("utf-8", "backslashreplace"), self._env.now)

    def _on_greeting(self, code: int, index: int, lines: list[bytes]) -> None:
        if code == 220:
            self._say_hello()
        else:
            self._session_refused("connect", code, lines)

    def _session_refused(self, stage: str, code: int, lines: list[bytes]) -> None:
        """The server takes no mail from us now, or never."""
        if code >= 500:
            mail = self._waiting.popleft()
            self._codes.clear()
            self._refuse(mail, mail.recipients, stage, code, lines)
            self.rejected.append(mail)
        self._leave("close")

    def _say_hello(self) -> None:
        self._expected.append(("helo", ALL))
        self._send("helo", f"{self._hello} {self.manner.name}\r\n".encode())

    def _on_hello(self, code: int, index: int, lines: list[bytes]) -> None:
        if code == 250:
            self._offers = frozenset(line[4:].partition(b" ")[0].decode("ascii", "replace").upper() for line in lines[1:])
            if self.manner.starttls and not self._secured and "STARTTLS" in self._offers:
                self._expected.append(("starttls", ALL))
                self._send("starttls", b"STARTTLS\r\n")
            else:
                self._next_mail()
        elif code >= 500 and self._hello == "EHLO":
            self._hello = "HELO"
            self._say_hello()
        else:
            self._session_refused("helo", code, lines)

    def _on_starttls(self, code: int, index: int, lines: list[bytes]) -> None:
        if code != 220:
            self._next_mail()
            return
        assert self._connection is not None
        self._buffer = b""
        self._connection.start_tls(False, self._on_handshake)

    def _on_handshake(self, error: str, version: str, cipher: str) -> None:
        if error:
            self._over()
        else:
            self._secured = True
            self._say_hello()

    # --- a message --------------------------------------------------------------------------------------------------------

    def _next_mail(self) -> None:
        """The next one, or QUIT."""
        self._mail = None
        if self._connection is None:
            return
        if not self._waiting or self._sent >= self.manner.per_session:
            self._expected.append(("quit", ALL))
            self._send("quit", b"QUIT\r\n")
            return
        self._mail = mail = self._waiting.popleft()
        self._begin_mail()
        self._todo.append(("mail", ALL, f"MAIL FROM:<{mail.sender}> {mail.mail_parameters}".rstrip().encode() + b"\r\n"))
        for index, address in enumerate(mail.recipients):
            self._todo.append(("rcpt", index, f"RCPT TO:<{address}> {mail.parameters}".rstrip().encode() + b"\r\n"))
        if not self._chunking:
            self._todo.append(("data", ALL, b"DATA\r\n"))
        self._pump()

    @property
    def _chunking(self) -> bool:
        return self.manner.chunked and "CHUNKING" in self._offers

    def _pump(self) -> None:
        """Send all that is due: all of it where the server takes it, else one command."""
        together = self.manner.pipelined and "PIPELINING" in self._offers and not self._vanishes and not self.manner.drip_us
        if together:
            data = b"".join(line for _, _, line in self._todo)
            self._expected.extend((step, index) for step, index, _ in self._todo)
            self._todo.clear()
            self._send("mail", data)
        else:
            step, index, line = self._todo.popleft()
            self._expected.append((step, index))
            self._send(step, line)

    def _go_on(self) -> None:
        """Behind a reply to MAIL or RCPT."""
        if self._expected or self._mail is None:
            return
        if self._todo and (self._mail_code >= 400 or (self._todo[0][0] == "data" and not self._accepted)):
            self._todo.clear()
        if self._todo:
            self._pump()
        elif not self._accepted:
            self._end_mail()
        elif self._chunking:
            self._send_chunks()

    def _on_mail(self, code: int, index: int, lines: list[bytes]) -> None:
        mail = self._mail
        assert mail is not None
        self._mail_code = code
        if code >= 400:
            self._refuse(mail, mail.recipients, "mail", code, lines)
        self._go_on()

    def _on_rcpt(self, code: int, index: int, lines: list[bytes]) -> None:
        mail = self._mail
        assert mail is not None
        address = mail.recipients[index]
        if code < 300 and self._mail_code < 400:
            self._accepted.append(address)
        elif self._mail_code < 400:
            self._refuse(mail, (address,), "rcpt", code, lines)
        self._go_on()

    def _on_data(self, code: int, index: int, lines: list[bytes]) -> None:
        mail = self._mail
        assert mail is not None
        if code == 354:
            self._send_data(mail)
        else:
            self._refuse(mail, tuple(self._accepted), "data", code, lines)
            self._end_mail()

    def _send_data(self, mail: Mail) -> None:
        self._expected.append(("dot", ALL))
        if not self._accepted:  # under PIPELINING: nothing was to be sent any more (RFC 2920 3.1)
            self._send("dot", b".\r\n")
            return
        data = stuffed(mail.content)
        if self._goes_in_content:
            self._send("content", data[:-3])
            return
        self._submit(mail)
        self._send("dot", data)

    @property
    def _goes_in_content(self) -> bool:
        return self._vanishes > 0 and self.manner.vanish == "content" and self.manner.vanish_when != "reply"

    def _submit(self, mail: Mail) -> None:
        """The last octet is about to leave, or not."""
        manner = self.manner
        if self._vanishes and (manner.vanish, manner.vanish_when) == ("dot", "part"):
            return
        self._submitted = True
        notify = mail.notify[:1] * len(self._accepted)
        self._reports.submitted(mail.token, mail.sender, tuple(self._accepted), mail.content, self._env.now, notify)

    def _send_chunks(self) -> None:
        """RFC 3030: each chunk has a reply, all of them are sent at once."""
        mail = self._mail
        assert mail is not None
        content = mail.content
        size = self.manner.chunk_octets or len(content)
        pieces = []
        for at in range(0, len(content), size):
            chunk = content[at : at + size]
            last = at + size >= len(content)
            pieces.append(b"BDAT %d%s\r\n%s" % (len(chunk), b" LAST" if last else b"", chunk))
            self._expected.append(("dot" if last else "chunk", ALL))
        if self._goes_in_content:
            self._send("content", b"".join(pieces)[:-1])
            return
        self._submit(mail)
        self._send("dot", b"".join(pieces))

    def _on_chunk(self, code: int, index: int, lines: list[bytes]) -> None:
        if code >= 400:
            self._chunk_code = self._chunk_code or code

    def _on_dot(self, code: int, index: int, lines: list[bytes]) -> None:
        mail = self._mail
        assert mail is not None
        if code < 300 and self._submitted:
            self._reports.promised(mail.token, b" ".join(lines), self._env.now)
            self.promised.append(mail)
            for address in self._accepted:
                self._codes[address] = code
        else:
            self._refuse(mail, tuple(self._accepted), "dot", code, lines)
        self._end_mail()

    def _settle(self) -> None:
        """What is not decided for good is tried again."""
        mail, self._mail = self._mail, None
        assert mail is not None
        codes = self._codes
        left = tuple([address for address in mail.recipients if not 200 <= codes.get(address, 0) < 400 and codes.get(address, 0) < 500])
        if left:
            self._retry(mail, left)
        elif not any(code < 300 for code in codes.values()):
            self.rejected.append(mail)

    def _end_mail(self) -> None:
        """All replies of a message are in."""
        self._sent += 1
        self._settle()
        if self._chunk_code or (self._mail_code < 400 and not self._submitted):  # a transaction may still be open
            self._expected.append(("rset", ALL))
            self._send("rset", b"RSET\r\n")
        elif self.manner.think_us:
            self._env.later(self.manner.think_us, self._after_thought, self._connection)
        else:
            self._next_mail()

    def _after_thought(self, connection: Connection) -> None:
        if self._connection is connection:
            self._next_mail()

    def _on_rset(self, code: int, index: int, lines: list[bytes]) -> None:
        self._next_mail()

    def _on_quit(self, code: int, index: int, lines: list[bytes]) -> None:
        self._leave("close")


def _code_of(lines: list[bytes]) -> int:
    """0 for what is no reply (RFC 5321 4.2)."""
    code = lines[0][:3]
    known = code.isdigit() and b"200" <= code <= b"599" and all(line[:3] == code for line in lines)
    return int(code) if known else 0


_ON_REPLY: Final = {
    "connect": Client._on_greeting,
    "helo": Client._on_hello,
    "starttls": Client._on_starttls,
    "mail": Client._on_mail,
    "rcpt": Client._on_rcpt,
    "data": Client._on_data,
    "chunk": Client._on_chunk,
    "dot": Client._on_dot,
    "rset": Client._on_rset,
    "quit": Client._on_quit,
}
