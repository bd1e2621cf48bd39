"""Host: an MX host of the simulated Internet, which takes mail and does what its script says.

It judges nothing of what it is sent (the checkers do): what it does not understand gets 500. It takes responsibility for a message at one
instant, when it decides to say 2yz to the end of the content, and reports it then, whether or not that reply gets through. A host that thinks
long takes the message even when the client has gone meanwhile: that is how duplicates come about (RFC 1047).
"""

from typing import TYPE_CHECKING, Any, Final

from sim.network import Connection, Network
from sim.peers.script import GOOD, LATER, Act, Script
from smx.units import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.choices import Stream
    from sim.environment import Environment
    from sim.peers.reports import Reports

SMTP_PORT: Final = 25
DOT: Final = b"\r\n.\r\n"
COMMANDS, DATA, CHUNK, SKIP = range(4)
LINE_OCTETS_MAX: Final = 4_096
REPLY_OCTETS_MAX: Final = 4_096  # a longer reply is not one that a client has to understand
INJECTED_US: Final = 1_000
THOUGHT_US: Final = 5 * SECOND  # the longest thought of a good host
NO_ACT: Final = Act()


class Host:
    """`name` is its host name, `address` where it listens. `script` may be changed at any time."""

    def __init__(
        self, env: "Environment", network: Network, name: str, address: str, reports: "Reports", stream: "Stream", script: Script = GOOD, port: int = SMTP_PORT
    ) -> None:
        self.env: Final = env
        self.network: Final = network
        self.name: Final = name
        self.address: Final = address
        self.port: Final = port
        self.reports: Final = reports
        self.script = script
        self.sessions: dict[int, Session] = {}
        self.sessions_peak = 0
        self.taken = 0
        self._stream: Final = stream
        self._counts: dict[str, int] = {}
        self._grey: dict[tuple[str, str], int] = {}

    # --- life -----------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen; again after `stop` or `die`."""
        if not self.network.is_up(self.address):
            self.network.start_machine(self.address)
        if not self.network.listens(self.address, self.port):
            self.network.listen(self.address, self.port, self._accept)

    def stop(self) -> None:
        """Refuse connections; sessions go on."""
        self.network.unlisten(self.address, self.port)

    def die(self) -> None:
        """Lose power; what was promised is on its disk."""
        self.network.kill_machine(self.address)
        for session in self.sessions.values():
            session.die()
        self.sessions.clear()

    def calm(self) -> None:
        """Faults end: a good host from now on. Who hangs, hangs up."""
        self.script = self.script.calm()
        self._grey.clear()
        for session in list(self.sessions.values()):
            session.calm()
        self.start()

    def _accept(self, connection: Connection) -> "Session":
        session = Session(self, connection)
        self.sessions[connection.number] = session
        self.sessions_peak = max(self.sessions_peak, len(self.sessions))
        session.begin()
        return session

    # --- what the script says ----------------------------------------------------------------------------------------------------

    def act(self, step: str) -> Act | None:
        """At this occurrence of the step; None: what a good server does."""
        script = self.script
        count = self._counts.get(step, 0)
        self._counts[step] = count + 1
        listed = script.acts.get(step, ())
        if count < len(listed):
            return listed[count]
        if step in script.always:
            return script.always[step]
        for of_step, per_mille, act in script.odds:
            if of_step == step and self._stream.chance(per_mille):
                return act
        return NO_ACT if script.tarpit_us else None

    def is_grey(self, sender: str, recipient: str) -> bool:
        """Whether greylisting turns this pair away now."""
        grey_us = self.script.grey_us
        if not grey_us:
            return False
        first = self._grey.setdefault((sender, recipient), self.env.now)
        return self.env.now < first + grey_us


class Session:
    """One connection of a host."""

    __slots__ = (
        "_argument",
        "_buffer",
        "_busy",
        "_chunk",
        "_connection",
        "_content",
        "_dripping",
        "_due",
        "_forgotten",
        "_gone",
        "_host",
        "_last",
        "_marks",
        "_mode",
        "_odd",
        "_output",
        "_recipients",
        "_searched",
        "_sender",
        "_transactions",
    )

    def __init__(self, host: Host, connection: Connection) -> None:
        self._host: Final = host
        self._connection: Final = connection
        self._buffer = bytearray()
        self._searched = 0
        self._mode = COMMANDS
        self._busy = False  # a reply is being thought about
        self._odd = False  # something in it was not as usual: its client may wait for what never comes
        self._due = 0  # when it has thought enough
        self._forgotten = False  # what it was thinking about
        self._gone = False
        self._output: list[bytes] = []
        self._dripping = False  # a reply is on its way octet by octet
        self._marks: list[Any] = []  # arrivals whose 250 is in the output
        self._argument = ""
        self._sender: str | None = None
        self._recipients: list[str] = []
        self._content = bytearray()
        self._chunk = 0
        self._last = False
        self._transactions = 0

    def begin(self) -> None:
        limit = self._host.script.sessions_max
        if limit and len(self._host.sessions) > limit:
            self._say("connect", b"421 4.7.0 Too many connections\r\n")
        else:
            self._answer("connect", b"220 %s ESMTP\r\n" % self._host.name.encode())
        self._work()

    def calm(self) -> None:
        """Who may be waited for in vain, or for long, hangs up; nothing that it was thinking about comes of it."""
        if self._odd or self._due > self._host.env.now + THOUGHT_US:
            self._forgotten = True
            self._end("reset")

    def die(self) -> None:
        self._gone = self._forgotten = True

    # --- the network -----------------------------------------------------------------------------------------------------------

    def connected(self, connection: Connection) -> None:
        raise AssertionError("a host does not dial")

    def refused(self, reason: str) -> None:
        raise AssertionError("a host does not dial")

    def received(self, data: bytes) -> None:
        self._buffer += data
        if not self._busy:
            self._work()

    def drained(self) -> None:
        pass

    def closed(self, reason: str) -> None:
        self._gone = True
        self._host.sessions.pop(self._connection.number, None)
        marks, self._marks = self._marks, []
        for arrival in marks:
            self._host.reports.reply_lost(arrival, self._host.env.now)

    def _work(self) -> None:
        """Everything that can be done with what has come, then one send."""
        while not self._busy and not self._gone:
            if self._mode == COMMANDS:
                if not self._next_command():
                    break
            elif self._mode == DATA:
                if not self._next_content():
                    break
            elif not self._next_chunk():
                break
        self._flush()

    def _flush(self) -> None:
        output = self._output
        if output:
            self._connection.send(output[0] if len(output) == 1 else b"".join(output))
            output.clear()
        if self._marks and not self._dripping:
            marks, self._marks = self._marks, []
            for arrival in marks:
                self._mark(arrival)

    # --- commands -----------------------------------------------------------------------------------------------------------------

    def _next_command(self) -> bool:
        buffer = self._buffer
        end = buffer.find(b"\n")
        if end < 0:
            if len(buffer) > LINE_OCTETS_MAX:
                buffer.clear()
            return False
        line = bytes(buffer[:end]).rstrip(b"\r")
        del buffer[: end + 1]
        handle = _COMMANDS.get(line[:4].upper())
        if handle is None:
            self._say("noop", b"500 5.5.1 What?\r\n")
        else:
            handle(self, line)
        return True

    def _on_ehlo(self, line: bytes) -> None:
        words = [self._host.name, *(word for word in self._host.script.extensions if word != "STARTTLS" or not self._connection.secured)]
        last = len(words) - 1
        self._answer("ehlo", "".join(f"250{' ' if number == last else '-'}{word}\r\n" for number, word in enumerate(words)).encode())

    def _on_helo(self, line: bytes) -> None:
        self._answer("helo", b"250 %s\r\n" % self._host.name.encode())

    def _on_mail(self, line: bytes) -> None:
        self._transactions += 1
        limit = self._host.script.transactions_max
        if limit and self._transactions > limit:
            self._say("mail", b"421 4.7.0 Enough of this session\r\n")
            return
        self._argument = _path(line)
        self._answer("mail", b"250 2.1.0 Ok\r\n")

    def _on_rcpt(self, line: bytes) -> None:
        self._argument = address = _path(line)
        script = self._host.script
        if self._sender is None:
            self._say("rcpt", b"503 5.5.1 MAIL first\r\n")
        elif script.recipients_max and len(self._recipients) >= script.recipients_max:
            self._say("rcpt", b"452 4.5.3 Too many recipients\r\n")
        elif address in script.users:
            self._perform("rcpt", b"250 2.1.5 Ok\r\n", script.users[address])
        elif self._host.is_grey(self._sender, address):
            self._say("rcpt", LATER.reply)
        else:
            self._answer("rcpt", b"250 2.1.5 Ok\r\n")

    def _on_data(self, line: bytes) -> None:
        if self._recipients:
            self._answer("data", b"354 Go ahead\r\n")
        else:
            self._say("data", b"554 5.5.1 No valid recipients\r\n")

    def _on_bdat(self, line: bytes) -> None:
        words = line.split()
        if len(words) < 2 or not words[1].isdigit():
            self._say("bdat", b"501 5.5.4 How many?\r\n")
            return
        self._chunk = int(words[1])
        self._last = len(words) > 2
        self._mode = CHUNK if self._recipients else SKIP

    def _on_rset(self, line: bytes) -> None:
        self._answer("rset", b"250 2.0.0 Ok\r\n")

    def _on_noop(self, line: bytes) -> None:
        self._answer("noop", b"250 2.0.0 Ok\r\n")

    def _on_quit(self, line: bytes) -> None:
        self._answer("quit", b"221 2.0.0 Bye\r\n")

    def _on_starttls(self, line: bytes) -> None:
        if "STARTTLS" in self._host.script.extensions and not self._connection.secured:
            self._answer("starttls", b"220 2.0.0 Go ahead\r\n")
        else:
            self._say("starttls", b"500 5.5.1 What?\r\n")

    # --- content ------------------------------------------------------------------------------------------------------------------

    def _next_content(self) -> bool:
        """The buffer begins with the CRLF of the line before, so that an empty content ends at once."""
        buffer = self._buffer
        end = buffer.find(DOT, self._searched)
        if end < 0:
            self._searched = max(0, len(buffer) - len(DOT) + 1)
            return False
        content = bytes(buffer[2 : end + 2])
        del buffer[: end + len(DOT)]
        self._mode = COMMANDS
        self._content = bytearray((content[1:] if content.startswith(b".") else content).replace(b"\r\n.", b"\r\n"))
        self._answer("dot", b"250 2.0.0 Taken\r\n")
        return True

    def _next_chunk(self) -> bool:
        if len(self._buffer) < self._chunk:
            return False
        refused, self._mode = self._mode == SKIP, COMMANDS
        if refused:
            del self._buffer[: self._chunk]
            self._say("bdat", b"503 5.5.1 No valid recipients\r\n")
            return True
        self._content += self._buffer[: self._chunk]
        del self._buffer[: self._chunk]
        self._answer("dot" if self._last else "bdat", b"250 2.0.0 Taken\r\n")
        return True

    # --- answers --------------------------------------------------------------------------------------------------------------------

    def _answer(self, step: str, usual: bytes) -> None:
        """As the script says."""
        script = self._host.script
        act = None if script.plain else self._host.act(step)
        if act is None:
            self._say(step, usual)
        else:
            self._perform(step, usual, act)

    def _say(self, step: str, reply: bytes) -> None:
        """The usual way: it is decided, and said."""
        code = int(reply[:3])
        self._output.append(reply)
        if code < 400:
            self._decided(step)
        if code in (421, 221):
            self._end("close")

    def _perform(self, step: str, usual: bytes, act: Act) -> None:
        delay = act.delay_us + self._host.script.tarpit_us
        self._odd = self._odd or act is not NO_ACT
        if act.hang:
            self._busy = self._odd = True
        elif delay:
            self._busy = True
            self._flush()
            self._due = self._host.env.now + delay
            self._host.env.later(delay, self._after_delay, step, usual, act)
        else:
            self._carry_out(step, usual, act)

    def _after_delay(self, step: str, usual: bytes, act: Act) -> None:
        if self._forgotten or (self._gone and step != "dot"):
            return
        self._busy = False
        self._carry_out(step, usual, act)
        self._work()

    def _carry_out(self, step: str, usual: bytes, act: Act) -> None:
        if act.drop == "before":
            self._end(act.how)
            return
        reply = act.reply or usual
        code = int(reply[:3]) if reply[:3].isdigit() else 250
        accepts = code < 400 or code > 599 if act.takes is None or step != "dot" else act.takes
        if accepts and step != "starttls":
            self._decided(step, heard=not act.silent and act.drop in ("", "after") and _is_positive(reply))
        elif step in ("dot", "mail", "bdat"):
            self._reset()  # the transaction is over
        if act.drop == "instead":
            self._end(act.how)
        elif act.drop == "during":
            self._output.append(reply[: max(1, len(reply) // 2)])
            self._end(act.how)
        elif act.drip_us:
            self._busy = self._dripping = True
            self._drip(reply, 0, act)
        else:
            if not act.silent:
                self._output.append(reply)
            self._said(act, code)
            if accepts and step == "starttls" and not self._gone:
                self._secure()

    def _drip(self, reply: bytes, at: int, act: Act) -> None:
        if self._gone:
            return
        self._connection.send(reply[at : at + 1])
        if at + 1 < len(reply):
            self._host.env.later(act.drip_us, self._drip, reply, at + 1, act)
            return
        self._busy = self._dripping = False
        self._said(act, int(reply[:3]) if reply[:3].isdigit() else 0)
        self._work()

    def _said(self, act: Act, code: int) -> None:
        """What comes behind a reply."""
        if act.trail:
            self._flush()
            self._connection.send(act.trail)
        if act.drop == "after":
            self._end(act.how)
        elif code in (421, 221):
            self._end("close")

    def _end(self, how: str) -> None:
        self._flush()
        if how == "half":
            self._connection.finish()
            self._busy = self._odd = True
            return
        self._gone = True
        marks, self._marks = self._marks, []
        for arrival in marks:  # the rest of a slow reply is never sent
            self._host.reports.reply_lost(arrival, self._host.env.now)
        self._host.sessions.pop(self._connection.number, None)
        if how == "close":
            self._connection.close()
        else:
            self._connection.abort()

    # --- decisions ------------------------------------------------------------------------------------------------------------------

    def _decided(self, step: str, *, heard: bool = True) -> None:
        """The step was accepted."""
        decide = _DECISIONS.get(step)
        if decide is not None:
            decide(self)
        elif step == "dot":
            self._take(heard=heard)

    def _take(self, *, heard: bool) -> None:
        """The message is this host's now. `heard`: the reply that follows is a 250 for it."""
        host = self._host
        host.taken += 1
        arrival = host.reports.arrived(host.name, bytes(self._content), tuple(self._recipients), host.env.now, self._sender)
        self._reset()
        if not heard or self._gone:
            host.reports.reply_lost(arrival, host.env.now)
        else:
            self._marks.append(arrival)

    def _mark(self, arrival: Any) -> None:
        reports, env = self._host.reports, self._host.env

        def tell(read: bool) -> None:
            if not read:
                reports.reply_lost(arrival, env.now)

        self._connection.mark(tell)

    def _reset(self) -> None:
        self._sender = None
        self._recipients = []
        self._content = bytearray()

    def _mailed(self) -> None:
        self._reset()
        self._sender = self._argument

    def _added(self) -> None:
        self._recipients.append(self._argument)

    def _content_begins(self) -> None:
        self._mode = DATA
        self._searched = 0
        self._buffer[:0] = b"\r\n"

    def _secure(self) -> None:
        """Behind the 220 comes the handshake, whatever else has come (F34)."""
        handshake = self._host.script.handshake
        if handshake == "plain":
            self._host.env.later(INJECTED_US, self._connection.send, b"250 2.0.0 Not encrypted\r\n")
            return
        self._flush()
        self._buffer.clear()
        self._reset()
        if handshake == "silent":
            self._busy = self._odd = True
            return
        self._busy = True
        self._connection.tls_error = "sslv3 alert handshake failure" if handshake == "refused" else ""
        self._connection.start_tls(True, self._secured)

    def _secured(self, error: str, version: str, cipher: str) -> None:
        self._busy = False
        if error:
            self.closed(error)


def _path(line: bytes) -> str:
    """What stands between the angle brackets."""
    return line[line.find(b"<") + 1 : line.find(b">")].decode("utf-8", "backslashreplace")


def _is_positive(reply: bytes) -> bool:
    """A 2yz reply that a client must understand."""
    lines = reply.split(b"\r\n")
    ends = lines.pop() == b"" and reply.count(b"\n") == len(lines) and len(reply) <= REPLY_OCTETS_MAX
    return ends and all(line[:3] == lines[0][:3] and line[:1] == b"2" and line[3:4] in (b" ", b"-", b"") for line in lines)


_COMMANDS: Final[dict[bytes, "Callable[[Session, bytes], None]"]] = {
    b"EHLO": Session._on_ehlo,
    b"HELO": Session._on_helo,
    b"MAIL": Session._on_mail,
    b"RCPT": Session._on_rcpt,
    b"DATA": Session._on_data,
    b"BDAT": Session._on_bdat,
    b"RSET": Session._on_rset,
    b"NOOP": Session._on_noop,
    b"QUIT": Session._on_quit,
    b"STAR": Session._on_starttls,
}
_DECISIONS: Final[dict[str, "Callable[[Session], None]"]] = {
    "ehlo": Session._reset,
    "helo": Session._reset,
    "rset": Session._reset,
    "mail": Session._mailed,
    "rcpt": Session._added,
    "data": Session._content_begins,
    "starttls": Session._secure,
}
