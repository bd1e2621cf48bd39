"""Replies: the value, its octets on the wire, and the incremental parser of the client side (RFC 5321 4.2, RFC 2034).

The parser never raises and never grows without bound: what is not a reply becomes a `Malformed` value.
"""

from typing import Final

import msgspec

from smx import limits
from smx.errors import SmxError
from smx.smtp.lines import BARE, OVERLONG, LineReader

_TEXT_MAX: Final = limits.REPLY_LINE_OCTETS_MAX - len(b"550 5.123.123 \r\n")


class Reply(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=20):
    """`lines` has at least one line, without CRLF and without code; `enhanced` is (class, subject, detail), None where none is said."""

    code: int
    enhanced: tuple[int, int, int] | None
    lines: tuple[bytes, ...]

    @property
    def positive(self) -> bool:
        """Positive completion: 2yz."""
        return 200 <= self.code <= 299

    @property
    def intermediate(self) -> bool:
        """Positive intermediate: 3yz."""
        return 300 <= self.code <= 399

    @property
    def permanent(self) -> bool:
        """Permanent negative completion: 5yz."""
        return self.code >= 500

    @property
    def text(self) -> bytes:
        """The lines as one."""
        return self.lines[0] if len(self.lines) == 1 else b" ".join(self.lines)


class Malformed(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=21):
    """Octets of a server that are not a reply; `octets` is the beginning of the line."""

    octets: bytes


def render(reply: Reply) -> bytes:
    """The octets on the wire. The enhanced code stands on every line (RFC 2034 4), a long line is cut at 512 octets (RFC 5321 4.5.3.1.5)."""
    lines = reply.lines
    text = lines[0]
    if len(lines) == 1 and len(text) <= _TEXT_MAX:
        if (enhanced := reply.enhanced) is None:
            return b"%d %s\r\n" % (reply.code, text)
        return b"%d %d.%d.%d %s\r\n" % (reply.code, *enhanced, text)
    said = b"" if reply.enhanced is None else b"%d.%d.%d " % reply.enhanced
    out = [b"%d-%s%s\r\n" % (reply.code, said, line[:_TEXT_MAX]) for line in lines[:-1]]
    out.append(b"%d %s%s\r\n" % (reply.code, said, lines[-1][:_TEXT_MAX]))
    return b"".join(out)


def clean(text: str | bytes) -> bytes:
    """Text that came from elsewhere made fit for one reply line: printable ASCII only (RFC 6531 3.7.4.2), bounded."""
    octets = text if isinstance(text, bytes) else text.encode("utf-8", "backslashreplace")
    return bytes(octet if 32 <= octet <= 126 else 63 for octet in octets[:_TEXT_MAX])


def reply_of(error: SmxError) -> Reply:
    """The reply that reports `error` to a peer."""
    return Reply(error.code, error.enhanced, (clean(error.text),))


class ReplyParser:
    """Incremental reader of a server's replies. `feed` octets, then call `next_reply` until it gives None."""

    __slots__ = ("_code", "_count", "_kept", "_lines", "_reader")

    def __init__(self) -> None:
        self._reader: Final = LineReader(limits.REPLY_LINE_RECEIVED_OCTETS_MAX)
        self._lines: list[bytes] = []
        self._code: int = 0
        self._count: int = 0
        self._kept: int = 0

    @property
    def pending(self) -> bool:
        """True when octets are left that no complete reply has used up: before TLS these would be injected (F34)."""
        return self._reader.pending > 0 or self._count > 0

    def feed(self, octets: bytes) -> None:
        """Add what arrived."""
        self._reader.feed(octets)

    def clear(self) -> None:
        """Forget everything that was received and not yet used."""
        self._reader.clear()
        self._forget()

    def next_reply(self) -> Reply | Malformed | None:
        """The next complete reply; Malformed once for each line that cannot belong to one; None when more octets are needed."""
        while (line := self._reader.next_line()) is not None:
            if isinstance(line, bytes):
                done = self._add(line)
                if done is not None:
                    return done
            else:
                self._forget()
                return Malformed(b"overlong line" if line == OVERLONG else b"bare CR or LF" if line == BARE else b"")
        return None

    def _add(self, line: bytes) -> Reply | Malformed | None:
        code = line[:3]
        # RFC 5321 4.2: three digits, the first 2 to 5, then "-", SP or the end of the line (4.2.1: a bare code must be accepted).
        if not (len(code) == 3 and code.isdigit() and b"200" <= code <= b"599") or line[3:4] not in _AFTER_CODE:
            return self._malformed(line)
        number = int(code)
        if self._count and number != self._code:
            return self._malformed(line)  # RFC 5321 4.2.1: the code is the same on every line
        self._code = number
        self._count += 1
        if self._count > limits.REPLY_LINES_MAX:
            return self._malformed(line)
        text = line[4:]
        room = limits.REPLY_TEXT_OCTETS_MAX - self._kept
        if room > 0 or number // 100 == 2:
            # The keywords of a long EHLO reply are all needed; texts of refusals are kept up to a bound only.
            self._lines.append(text if number // 100 == 2 else text[:room])
            self._kept += len(text)
        if line[3:4] == b"-":
            return None
        reply = _assembled(number, self._lines)
        self._forget()
        return reply

    def _malformed(self, line: bytes) -> Malformed:
        self._forget()
        return Malformed(line[:80])

    def _forget(self) -> None:
        self._lines = []
        self._code = self._count = self._kept = 0


_AFTER_CODE: Final = (b" ", b"-", b"")


def _assembled(code: int, lines: list[bytes]) -> Reply:
    """The reply with its enhanced code taken off each line, if it has one that agrees with the code (RFC 2034 4)."""
    enhanced, text = split_enhanced(code, lines[0])
    if enhanced is None:
        return Reply(code, None, tuple(lines))
    rest = [split_enhanced(code, line)[1] for line in lines[1:]]
    return Reply(code, enhanced, (text, *rest))


def split_enhanced(code: int, text: bytes) -> tuple[tuple[int, int, int] | None, bytes]:
    """The enhanced code at the beginning of `text` and the rest. None when there is none, or when its class contradicts `code`."""
    word, _, rest = text.partition(b" ")
    parts = word.split(b".", 3)
    if len(parts) != 3 or len(word) > 9 or not all(part.isdigit() and len(part) <= 3 for part in parts):
        return None, text
    enhanced = (int(parts[0]), int(parts[1]), int(parts[2]))
    if enhanced[0] != code // 100 or enhanced[0] not in (2, 4, 5):
        return None, text
    return enhanced, rest.lstrip(b" ")
