"""Lines: an incremental reader of CRLF lines with a bound (SX72), for commands and for replies.

Only CRLF ends a line. A bare CR or a bare LF inside a line is reported, never taken for an end (RFC 5321 2.3.8, F33). An overlong line
is dropped as it arrives and reported once. However the octets are segmented, the results are the same.
"""

from typing import Final

BARE: Final = 1  # the line holds a CR without LF or an LF without CR; it was consumed
OVERLONG: Final = 2  # the line was longer than the bound; it was consumed


class LineReader:
    """`feed` octets, then call `next_line` until it gives None. Raw octets (message content) are taken with `take`."""

    __slots__ = ("_at", "_buffer", "_discarding", "_max", "_scanned")

    def __init__(self, line_octets_max: int) -> None:
        """`line_octets_max` includes the CRLF."""
        self._max: Final = line_octets_max
        self._buffer: bytes = b""
        self._at: int = 0  # everything before it has been used
        self._scanned: int = 0  # no CRLF begins before it
        self._discarding: bool = False

    @property
    def pending(self) -> int:
        """Octets received and not yet used."""
        return len(self._buffer) - self._at

    def feed(self, octets: bytes) -> None:
        """Add what arrived. The caller bounds how much is fed before it is taken out."""
        if self._at == len(self._buffer):
            self._buffer = octets
        else:
            self._buffer = self._buffer[self._at :] + octets
        self._scanned = max(0, self._scanned - self._at)
        self._at = 0

    def next_line(self) -> bytes | int | None:
        """The next line without its CRLF; BARE or OVERLONG instead of a line that has that fault; None when no line is complete."""
        buffer = self._buffer
        at = self._at
        end = buffer.find(b"\r\n", self._scanned if self._scanned > at else at)
        if end < 0:
            self._wait()
            return None
        self._at = self._scanned = end + 2
        if self._discarding or end + 2 - at > self._max:
            self._discarding = False
            return OVERLONG
        line = buffer[at:end]
        if b"\n" in line or b"\r" in line:
            return BARE
        return line

    def take(self, octets_max: int) -> bytes:
        """Up to `octets_max` raw octets, b"" when none are pending. Not to be called in the middle of a line."""
        taken = self._buffer[self._at : self._at + octets_max]
        self._at += len(taken)
        return taken

    def take_all(self) -> bytes:
        """All pending raw octets."""
        taken = self._buffer[self._at :] if self._at else self._buffer
        self._buffer = b""
        self._at = self._scanned = 0
        return taken

    def clear(self) -> None:
        """Forget what was received and not used."""
        self._buffer = b""
        self._at = self._scanned = 0
        self._discarding = False

    def _wait(self) -> None:
        """No line is complete: remember where to go on, and drop what belongs to an overlong line."""
        length = len(self._buffer)
        # The last octet may be the CR of a CRLF that is not complete.
        self._scanned = max(self._at, length - 1)
        if self._discarding or length - self._at >= self._max:
            self._discarding = True
            self._buffer = b"\r" if self._buffer.endswith(b"\r") else b""
            self._at = self._scanned = 0
