"""Sink session: one connection of a sink: the server's side of the dialogue, as lenient as can be.

Strategies  Replies to what came in one piece leave in one write. What changes with a reply (a recipient is added, a message is taken) is done as that
            reply is handed to the transport, by `then`: a fault may give another reply, or none.
See also    speech.py (replies, and what goes wrong with them)
Standards   RFC 5321, 2033 (LMTP), 2920 (PIPELINING), 3030 (CHUNKING), 1870 (SIZE), 3207 (STARTTLS)
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from smx.limits import COMMAND_LINE_OCTETS_MAX
from smx.smtp.data import DataReader
from smx.smtp.lines import LineReader
from smx.testing.load.message import HEAD_OCTETS_MAX
from smx.testing.load.speech import Speech

if TYPE_CHECKING:
    from smx.testing.load.sink import Sink

_now = time.monotonic


class SinkSession(asyncio.Protocol):
    """State: the envelope, and the content that is being read (`_reader` for DATA, `_left` for BDAT)."""

    def __init__(self, sink: "Sink") -> None:
        self._sink = sink
        self._options = sink.options
        self._speech = Speech(sink, self._go_on)
        self._say = self._speech.say
        self._reply = self._speech.reply
        self._client = ""
        self._lines = LineReader(COMMAND_LINE_OCTETS_MAX)
        self._secured = False
        self._sender: bytes | None = None
        self._recipients: list[bytes] = []
        self._candidate = b""
        self._reader: DataReader | None = None
        self._left = -1  # octets of a chunk that are still to come; -1: no chunk
        self._last = False
        self._void = False  # the chunk has no transaction
        self._octets = 0
        self._parts: list[bytes] = []
        self._counted = False  # LMTP: a recipient of this message was told 250

    # --- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        speech = self._speech
        speech.transport = cast("asyncio.Transport", transport)
        if self._options.greylist_s:
            self._client = str((transport.get_extra_info("peername") or ("",))[0])
        if self._sink.came(self):
            self._say("connect", b"220 %b %b" % (self._sink.hostname, b"LMTP" if self._options.lmtp else b"ESMTP"))
            speech.flush()
        else:
            self._reply("connect", b"421 4.3.2 Too many connections")
            speech.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._speech.over = True
        self._sink.sessions.pop(self, None)

    def eof_received(self) -> bool:
        """The client closed its direction: what is owed to it is still said, then we close as well."""
        return self._speech.held

    def abort(self) -> None:
        """Break it off."""
        self._speech.over = True
        self._speech.transport.abort()

    def data_received(self, data: bytes) -> None:
        self._sink.heard_at = _now()
        if not self._speech.over:
            self._lines.feed(data)
            self._go_on()

    def _go_on(self) -> None:
        """Use what came, as far as possible."""
        lines, speech = self._lines, self._speech
        while not (speech.held or speech.over):
            if self._reader is not None:
                if not lines.pending or not speech.passes_middle():
                    break
                self._read_data(self._reader)
            elif self._left >= 0:
                if (self._left and not lines.pending) or not speech.passes_middle():
                    break
                self._read_chunk()
            else:
                line = lines.next_line()
                if line is None:
                    break
                self._command(line if isinstance(line, bytes) else b"")
        speech.flush()

    # --- commands

    def _command(self, line: bytes) -> None:
        command = _COMMANDS.get(line[:4].upper())
        if command is None:
            self._reply("garbage", b"500 5.5.2 What?")
        else:
            command(self, line)

    def _on_ehlo(self, line: bytes) -> None:
        offers = list(self._sink.offers)
        if self._options.tls is not None and not self._secured:
            offers.append(b"STARTTLS")
        rows = [self._sink.hostname, *offers]
        self._say("ehlo", b"\r\n".join(b"250%b%b" % (b" " if number == len(rows) else b"-", row) for number, row in enumerate(rows, 1)), self._forget)

    def _on_helo(self, line: bytes) -> None:
        self._say("ehlo", b"250 %b" % self._sink.hostname, self._forget)

    def _on_starttls(self, line: bytes) -> None:
        if self._options.tls is None or self._secured:
            self._reply("starttls", b"502 5.5.1 No TLS here")
            return
        self._lines.clear()  # what came in the clear is not to be heard behind it (RFC 3207 4.2)
        self._reply("starttls", b"220 2.0.0 Go ahead")
        self._speech.hold()
        self._sink.spawn(self._secure())

    async def _secure(self) -> None:
        assert self._options.tls is not None
        try:
            secured = await asyncio.get_running_loop().start_tls(self._speech.transport, self, self._options.tls, server_side=True)
        except OSError:
            self._sink.count_fault("TLS failed")
            self.abort()
            return
        self._speech.held = False
        if secured is not None:
            self._speech.transport = secured
            self._secured = True
            self._forget()
            self._go_on()  # the next EHLO may have come before this task did

    def _on_mail(self, line: bytes) -> None:
        size_max = self._options.size_max
        if size_max and _size(line) > size_max:
            self._reply("mail", b"552 5.3.4 Too large")
            return
        self._candidate = _path(line)
        self._say("mail", b"250 2.1.0 Ok", self._begin)

    def _begin(self) -> None:
        self._forget()
        self._sender = self._candidate

    def _on_rcpt(self, line: bytes) -> None:
        sender = self._sender
        if sender is None:
            self._reply("rcpt", b"503 5.5.1 MAIL first")
            return
        recipient = self._candidate = _path(line)
        if self._sink.on_rcpt is not None and (said := self._sink.on_rcpt(sender, recipient)):
            self._say("rcpt", said, self._add if said.startswith(b"2") else None)
        elif self._options.greylist_s and self._sink.is_new(self._client, sender, recipient):
            self._reply("rcpt", b"450 4.7.1 Come back later")
        else:
            self._say("rcpt", b"250 2.1.5 Ok", self._add)

    def _add(self) -> None:
        self._recipients.append(self._candidate)

    def _on_data(self, line: bytes) -> None:
        if self._recipients:
            self._say("data", b"354 Go on", self._open_content)
        else:
            self._reply("data", b"554 5.5.1 No valid recipients")

    def _open_content(self) -> None:
        self._reader = DataReader()
        self._speech.middle_passed = False

    def _on_bdat(self, line: bytes) -> None:
        words = line.split()
        if b"CHUNKING" not in self._sink.offers or len(words) < 2 or not words[1].isdigit():
            self._reply("data", b"500 5.5.1 No")
            return
        self._left = int(words[1])
        self._last = words[-1].upper() == b"LAST"
        self._void = not self._recipients

    def _on_rset(self, line: bytes) -> None:
        self._forget()
        self._reply("rset", b"250 2.0.0 Ok")

    def _on_noop(self, line: bytes) -> None:
        self._reply("rset", b"250 2.0.0 Ok")

    def _on_quit(self, line: bytes) -> None:
        self._say("quit", b"221 2.0.0 Bye", self._speech.close)

    def _forget(self) -> None:
        """No transaction."""
        self._sender = None
        self._recipients = []
        self._reader = None
        self._left = -1
        self._octets = 0
        self._parts = []
        self._speech.middle_passed = False
        self._counted = False

    # --- content

    def _read_data(self, reader: DataReader) -> None:
        octets = reader.feed(self._lines.take_all())
        self._gather(octets)
        if reader.done:
            self._reader = None
            if reader.rest:
                self._lines.feed(reader.rest)
            self._complete()

    def _read_chunk(self) -> None:
        octets = self._lines.take(self._left)
        self._left -= len(octets)
        if not self._void:
            self._gather(octets)
        if self._left == 0:
            self._left = -1
            if self._void:
                self._reply("data", b"503 5.5.1 No transaction")
            elif self._last:
                self._complete()
            else:
                self._say("data", b"250 2.0.0 Chunk")

    def _gather(self, octets: bytes) -> None:
        if self._sink.needs_whole or self._octets < HEAD_OCTETS_MAX:
            self._parts.append(octets)
        self._octets += len(octets)

    def _complete(self) -> None:
        """The end of the content."""
        if self._sink.on_dot is not None:
            peer = self._speech.transport.get_extra_info("peername")
            self._sink.on_dot(peer[1] if peer and not isinstance(peer, str) else 0)
        if self._options.size_max and self._octets > self._options.size_max:
            self._reply("dot", b"552 5.3.4 Too large")
            self._forget()
        elif self._options.lmtp:  # a reply for each recipient (RFC 2033 4.2)
            for recipient in self._recipients:
                self._say("dot", b"250 2.1.5 <%b> taken" % recipient, partial(self._take_for, recipient))
        else:
            self._say("dot", b"250 2.0.0 Taken", self._take)

    def _take(self) -> None:
        parts = self._parts
        self._sink.take(self._sender or b"", self._recipients, self._octets, parts[0] if len(parts) == 1 else b"".join(parts))
        self._forget()

    def _take_for(self, recipient: bytes) -> None:
        self._sink.take(self._sender or b"", [recipient], self._octets, b"".join(self._parts), more=self._counted)
        self._counted = True


def _path(line: bytes) -> bytes:
    """What stands between the angle brackets of MAIL or RCPT."""
    return line.partition(b"<")[2].partition(b">")[0]


def _size(line: bytes) -> int:
    """The parameter SIZE of MAIL; 0: none (RFC 1870 4)."""
    size = line.upper().partition(b" SIZE=")[2].split(b" ")[0]
    return int(size) if size.isdigit() else 0


_COMMANDS: Final[dict[bytes, Callable[[SinkSession, bytes], None]]] = {
    b"EHLO": SinkSession._on_ehlo,
    b"LHLO": SinkSession._on_ehlo,
    b"HELO": SinkSession._on_helo,
    b"STAR": SinkSession._on_starttls,
    b"MAIL": SinkSession._on_mail,
    b"RCPT": SinkSession._on_rcpt,
    b"DATA": SinkSession._on_data,
    b"BDAT": SinkSession._on_bdat,
    b"RSET": SinkSession._on_rset,
    b"NOOP": SinkSession._on_noop,
    b"QUIT": SinkSession._on_quit,
}
