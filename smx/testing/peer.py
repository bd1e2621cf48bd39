"""Peer: an SMTP or LMTP server that does what a script says, at each step: for tests of what a client bears (F36, F37).

    peer = Peer({"RCPT": [reply("450 4.2.1 later")], "DOT": [drop()]})
    with peer:
        ...                      # deliver to 127.0.0.1, peer.port
        peer.wait_messages(1)

Steps: CONNECT, EHLO, HELO, LHLO, STARTTLS, MAIL, RCPT, DATA, BDAT, DOT (the end of the content), RSET, NOOP, VRFY, QUIT. For each step the
script has a list, used up one element an occurrence, or a function (argument -> Action or None), asked each time. Without an element, or with
None, the peer does what a good server does. It checks nothing: what a client sends is recorded, right or wrong.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from msgspec import Struct, field

from smx.testing.loop import TIMEOUT_S, LoopThread, Watch

LIMIT_OCTETS: Final = 1 << 28
EXTENSIONS: Final = ("PIPELINING", "8BITMIME", "SIZE", "DSN", "SMTPUTF8", "ENHANCEDSTATUSCODES", "CHUNKING")


class Action(Struct, frozen=True):
    """What the peer does instead of, or before, the usual. `text` "": the usual reply. `lines`: raw octets instead of a reply."""

    text: str = ""
    delay_s: float = 0.0
    drop: bool = False
    hang: bool = False
    raw: bytes = b""


def reply(text: str, delay_s: float = 0.0) -> Action:
    """This reply: `550 5.1.1 no`. Lines are separated by \\n; each is whole, with its code."""
    return Action(text, delay_s)


def delay(seconds: float) -> Action:
    """The usual reply, later."""
    return Action(delay_s=seconds)


def drop(delay_s: float = 0.0, text: str = "") -> Action:
    """Break the connection, after `text` if there is one."""
    return Action(text, delay_s, drop=True)


def hang() -> Action:
    """No reply, ever; the connection stays."""
    return Action(hang=True)


def raw(octets: bytes) -> Action:
    """These octets in place of a reply, whatever they are."""
    return Action(raw=octets)


Step = Sequence[Action | None] | Callable[[bytes], Action | None]


class PeerMessage(Struct):
    """A message that the peer took (it said 250 to it, or was told to say something else: `code`)."""

    session: int
    sender: bytes
    recipients: tuple[bytes, ...]
    content: bytes  # unstuffed
    code: int
    parameters: tuple[bytes, ...] = ()  # of MAIL, then of each accepted RCPT
    tls: bool = False


class _Dialogue(Struct):
    """State of one connection."""

    number: int
    helo: bytes = b""
    sender: bytes = b""
    parameters: list[bytes] = field(default_factory=list)
    recipients: list[bytes] = field(default_factory=list)
    content: bytearray = field(default_factory=bytearray)
    tls: bool = False


class _GoneError(Exception):
    """The script broke the connection."""


class Peer:
    """A scripted server on a free port of 127.0.0.1, or on a UNIX socket. `commands` holds every line of each session."""

    def __init__(
        self,
        script: Mapping[str, Step] | None = None,
        *,
        lmtp: bool = False,
        path: str = "",
        port: int = 0,
        extensions: Sequence[str] = EXTENSIONS,
        tls: ssl.SSLContext | None = None,
        hostname: str = "peer.example",
    ) -> None:
        self.script: dict[str, Step] = dict(script or {})
        self.path: Final = path
        self.port = port
        self.messages: list[PeerMessage] = []
        self.commands: list[list[bytes]] = []
        self.open_sessions = 0
        self.open_sessions_peak = 0
        self.watch: Final = Watch()
        self._used: dict[str, int] = {}
        self._lmtp: Final = lmtp
        self._extensions: Final = tuple(extensions)
        self._tls: Final = tls
        self._hostname: Final = hostname
        self._loop: Final = LoopThread("peer")
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    # --- life

    def start(self) -> None:
        self._loop.start()
        self._loop.call(self._listen())

    def stop(self) -> None:
        """Close the port and every connection."""
        with suppress(RuntimeError):
            self._loop.call(self._close())
        self._loop.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def wait_messages(self, count: int, timeout_s: float = TIMEOUT_S) -> list[PeerMessage]:
        """Wait until so many messages were taken (with 2yz), and give them."""
        self.watch.wait_for(lambda: len(self._taken()) >= count, timeout_s)
        return self._taken()

    def wait_sessions(self, count: int, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until so many sessions have begun."""
        self.watch.wait_for(lambda: len(self.commands) >= count, timeout_s)

    def _taken(self) -> list[PeerMessage]:
        return [message for message in self.messages if message.code < 300]

    async def _listen(self) -> None:
        if self.path:
            self._server = await asyncio.start_unix_server(self._serve, self.path, limit=LIMIT_OCTETS)
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=LIMIT_OCTETS)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    # --- a session

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dialogue = _Dialogue(len(self.commands))
        self._writers.add(writer)
        self.watch.changed(lambda: self._begun())
        try:
            await self._talk(dialogue, reader, writer)
        except (_GoneError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            self._writers.discard(writer)
            self.watch.changed(self._ended)
            writer.close()

    def _begun(self) -> None:
        self.commands.append([])
        self.open_sessions += 1
        self.open_sessions_peak = max(self.open_sessions_peak, self.open_sessions)

    def _ended(self) -> None:
        self.open_sessions -= 1

    async def _talk(self, dialogue: _Dialogue, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._say(writer, "CONNECT", b"", f"220 {self._hostname} {'LMTP' if self._lmtp else 'ESMTP'}")
        while line := await reader.readline():
            line = line.rstrip(b"\r\n")
            self.watch.changed(lambda line=line: self.commands[dialogue.number].append(line))  # type: ignore[misc]
            verb, _, argument = line.partition(b" ")
            step = verb.upper().decode("ascii", "replace")
            code = await self._command(dialogue, step, argument, reader, writer)
            if step == "QUIT" and code == 221:
                return

    async def _command(self, dialogue: _Dialogue, step: str, argument: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        if step == "BDAT":
            return await self._take_chunk(dialogue, argument, reader, writer)
        usual = {
            "EHLO": self._offer(dialogue),
            "LHLO": self._offer(dialogue),
            "HELO": f"250 {self._hostname}",
            "STARTTLS": "220 2.0.0 Go ahead",
            "DATA": "354 Go ahead",
            "QUIT": "221 2.0.0 Bye",
        }.get(step, "250 2.0.0 Ok" if step in ("MAIL", "RCPT", "RSET", "NOOP") else "500 5.5.1 What?")
        if step == "DATA" and not dialogue.recipients:
            usual = "554 5.5.1 No valid recipients"
        code = await self._say(writer, step, argument, usual)
        if code < 400:
            await self._accepted(dialogue, step, argument, code, reader, writer)
        return code

    def _offer(self, dialogue: _Dialogue) -> str:
        extensions = [*self._extensions, *(["STARTTLS"] if self._tls is not None and not dialogue.tls else [])]
        lines = [self._hostname, *extensions]
        return "\n".join(f"250{' ' if line is lines[-1] else '-'}{line}" for line in lines)

    async def _accepted(self, dialogue: _Dialogue, step: str, argument: bytes, code: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match step:
            case "EHLO" | "HELO" | "LHLO" | "RSET":
                _reset(dialogue)
            case "STARTTLS" if self._tls is not None:
                await writer.start_tls(self._tls)
                dialogue.tls = True
            case "MAIL":
                _reset(dialogue)
                dialogue.sender, parameters = _path(argument)
                dialogue.parameters.append(parameters)
            case "RCPT":
                recipient, parameters = _path(argument)
                dialogue.recipients.append(recipient)
                dialogue.parameters.append(parameters)
            case "DATA" if code == 354:
                dialogue.content += await _read_data(reader)
                await self._finish(dialogue, writer)

    async def _take_chunk(self, dialogue: _Dialogue, argument: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        size, _, last = argument.partition(b" ")
        dialogue.content += await reader.readexactly(int(size))
        if last.upper() == b"LAST":
            return await self._finish(dialogue, writer)
        return await self._say(writer, "BDAT", argument, "250 2.0.0 Chunk")

    async def _finish(self, dialogue: _Dialogue, writer: asyncio.StreamWriter) -> int:
        code = 0
        for recipient in dialogue.recipients if self._lmtp else [b""]:
            recipients = (recipient,) if self._lmtp else tuple(dialogue.recipients)
            message = PeerMessage(dialogue.number, dialogue.sender, recipients, bytes(dialogue.content), 0, tuple(dialogue.parameters), dialogue.tls)
            code = await self._say(writer, "DOT", recipient, "250 2.0.0 Taken", message)
        _reset(dialogue)
        return code

    # --- replies

    async def _say(self, writer: asyncio.StreamWriter, step: str, argument: bytes, usual: str, message: PeerMessage | None = None) -> int:
        """What the script says about this occurrence of the step; the code of the reply. A message is kept just before its reply leaves."""
        action = self._next(step, argument) or Action()
        if action.hang:
            await asyncio.Event().wait()
        if action.delay_s:
            await asyncio.sleep(action.delay_s)
        text = action.text or ("" if action.drop else usual)
        code = int(text.split("\n")[-1][:3]) if text else 0
        if message is not None and code:
            message.code = code
            self.watch.changed(lambda: self.messages.append(message))
        if action.raw:
            writer.write(action.raw)
        elif text:
            writer.write(b"".join(line.encode() + b"\r\n" for line in text.split("\n")))
        await writer.drain()
        if action.drop:
            if text:
                writer.close()
            raise _GoneError
        return code

    def _next(self, step: str, argument: bytes) -> Action | None:
        scripted = self.script.get(step, ())
        if callable(scripted):
            return scripted(argument)
        number = self._used.get(step, 0)
        self._used[step] = number + 1
        return scripted[number] if number < len(scripted) else None


def _reset(dialogue: _Dialogue) -> None:
    dialogue.sender = b""
    dialogue.parameters = []
    dialogue.recipients = []
    dialogue.content = bytearray()


def _path(argument: bytes) -> tuple[bytes, bytes]:
    """(what stands between the angle brackets, the parameters behind them)."""
    _, _, rest = argument.partition(b"<")
    path, _, parameters = rest.rpartition(b">") if b">" in rest else (rest, b"", b"")
    return path, parameters.strip()


async def _read_data(reader: asyncio.StreamReader) -> bytes:
    """The content up to CRLF.CRLF, unstuffed."""
    content = bytearray()
    while (line := await reader.readuntil(b"\r\n")) != b".\r\n":
        content += line[1:] if line.startswith(b".") else line
    return bytes(content)
