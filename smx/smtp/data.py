"""Content on the wire: the end of DATA, dot-unstuffing and -stuffing (RFC 5321 4.5.2), and the census that counts the facts (A5).

End of data is CRLF "." CRLF and nothing else: every sequence with a bare CR or LF is content, and such content is refused afterwards (F33, I13).
Nothing here depends on how the octets are segmented; at most four octets, and the header section up to its bound, are kept.
"""

import re
from typing import Final

from smx import limits
from smx.smtp.facts import ContentFacts

_END: Final = b"\r\n.\r\n"
_PREFIXES: Final = (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r")  # of _END, longest first
_find_dot: Final = re.compile(rb"\r\n\.").search  # half the time of bytes.find, and every octet passes here
_FIELD_VALUE_KEPT_OCTETS_MAX: Final = 320

# fields = *(ftext *WSP ":" ... CRLF *(WSP ... CRLF)): the header section ends where a line is no field (RFC 5322 2.2).
_HEADER: Final = re.compile(rb"(?:[!-9;-~]++[ \t]*+:[^\r\n]*+\r\n(?:[ \t][^\r\n]*+\r\n)*+)*+")
_FIELD_MAY_BEGIN: Final = re.compile(rb"[!-9;-~]*+(?:[ \t]*+:[^\r\n]*+)?\r?|[ \t][^\r\n]*+\r?")  # a field or a folded line that is not complete


class DataReader:
    """Reads what follows 354. After `done` the octets behind the end of data are in `rest`. `dots`: the latest octets have lines that begin with a dot."""

    __slots__ = ("_begun", "_held", "done", "dots", "rest")

    def __init__(self) -> None:
        # The line before the content counts as ended: a lone dot ends an empty content (RFC 5321 4.1.1.4).
        self._held: bytes = b"\r\n"
        self._begun: bool = False
        self.done: bool = False
        self.dots: bool = False
        self.rest: bytes = b""

    def feed(self, octets: bytes) -> bytes:
        """The next octets of the content, unstuffed; b"" when they are not yet certain."""
        assert not self.done
        buffer = self._held + octets
        found = _find_dot(buffer)
        end = -1
        self.dots = found is not None
        if found is not None:
            dot = found.start()
            end = buffer.find(_END, dot)
            self.dots = end != dot  # else the first dot at the beginning of a line is the end: there is nothing to unstuff
        if end >= 0:
            self.done = True
            self.rest = buffer[end + len(_END) :]
            content = buffer[: end + 2]
        else:
            keep = 0
            for prefix in _PREFIXES:
                if buffer.endswith(prefix):
                    keep = len(prefix)
                    break
            split = len(buffer) - keep
            self._held = buffer[split:]
            content = buffer[:split]
        if self.dots:
            content = content.replace(b"\r\n.", b"\r\n")
        if not self._begun and content:
            self._begun = True
            return content[2:]
        return content


class DotStuffer:
    """The sending side: doubles leading dots and ends the content."""

    __slots__ = ("_dots", "_last")

    def __init__(self, *, dot_lines: bool = True) -> None:
        """`dot_lines` False: the facts say that no line begins with a dot, so nothing is searched."""
        self._dots: Final = dot_lines
        self._last: bytes = b"\r\n"  # the last two octets that were sent

    def feed(self, octets: bytes) -> bytes:
        """The octets to send for the next octets of the content."""
        if not octets:
            return octets
        last = self._last
        self._last = octets[-2:] if len(octets) > 1 else last[-1:] + octets
        if not self._dots:
            return octets
        stuffed = octets.replace(b"\r\n.", b"\r\n..") if b"\r\n." in octets else octets
        if last == b"\r\n" and octets.startswith(b"."):
            return b"." + stuffed
        if last.endswith(b"\r") and octets.startswith(b"\n."):
            return b"\n." + stuffed[1:]
        return stuffed

    def finish(self) -> bytes:
        """The end of data. A last line without CRLF gets one (RFC 5321 4.1.1.4)."""
        return b".\r\n" if self._last == b"\r\n" else _END


class Census:
    """Counts the facts of a content while it passes."""

    __slots__ = (
        "_bare",
        "_delivered_to",
        "_dot_lines",
        "_eight_bit",
        "_header",
        "_header_octets",
        "_held_cr",
        "_hops",
        "_line",
        "_lines",
        "_longest",
        "_utf8",
        "header_exceeded",
        "octets",
    )

    def __init__(self) -> None:
        self.octets: int = 0
        self.header_exceeded: bool = False  # the header section is longer than HEADER_OCTETS_MAX
        self._header: bytearray | None = bytearray()  # what has come of the header section; None when it is complete
        self._header_octets: int = 0
        self._held_cr: bool = False  # the last octet was CR: whether LF follows is not known yet
        self._line: int = 0  # octets of the current line so far
        self._lines: int = 0
        self._longest: int = 0
        self._dot_lines: int = 0
        self._hops: int = 0
        self._delivered_to: tuple[bytes, ...] = ()
        self._bare: bool = False
        self._eight_bit: bool = False
        self._utf8: bool = False

    def add(self, octets: bytes, *, dots: bool = True) -> None:
        """Count the next octets of the (unstuffed) content. `dots` False: it is known that none of their lines begins with a dot."""
        if not octets:
            return
        self.octets += len(octets)
        if self._held_cr:
            octets = b"\r" + octets
        self._held_cr = octets.endswith(b"\r")
        if self._held_cr:
            octets = octets[:-1]
        self._count(octets, dots=dots)

    def facts(self) -> ContentFacts:
        """What was counted. To be called once, at the end."""
        if self._held_cr:
            self._count(b"\r", dots=False)
        if self._header is not None:
            self._close_header(bytes(self._header))
        return ContentFacts(
            octets=self.octets,
            header_octets=self._header_octets,
            lines=self._lines + (self._line > 0),
            line_octets_max=self._longest,
            eight_bit=self._eight_bit,
            utf8_headers=self._utf8,
            dot_lines=self._dot_lines,
            hops=self._hops,
            delivered_to=self._delivered_to,
            bare=self._bare,
            complete_line=self._line == 0,
        )

    def _count(self, octets: bytes, *, dots: bool) -> None:
        if not octets:
            return
        # splitlines is the fastest way, and ends lines at bare CR and LF as well: there is none when each end takes two octets.
        lengths = list(map(len, octets.splitlines()))
        ended = octets.endswith((b"\n", b"\r"))
        ends = len(lengths) - (not ended)
        if len(octets) - sum(lengths) != 2 * ends:
            self._bare = True
            lengths = list(map(len, octets.split(b"\r\n")))
            ends = len(lengths) - 1
        elif ended:
            lengths.append(0)
        if not self._eight_bit and not octets.isascii():
            self._eight_bit = True
        if dots:
            self._dot_lines += octets.count(b"\r\n.") + (self._line == 0 and octets.startswith(b"."))
        lengths[0] += self._line
        self._line = lengths[-1]
        self._lines += ends
        longest = max(lengths)
        if longest > self._longest:
            self._longest = longest
        if self._header is not None:
            self._gather_header(self._header, octets)

    def _gather_header(self, header: bytearray, octets: bytes) -> None:
        if not header:
            end = octets.find(b"\r\n\r\n")
            if 0 <= end <= limits.HEADER_OCTETS_MAX - 2:
                self._close_header(octets[: end + 2])
                return
        header += octets
        end = header.find(b"\r\n\r\n", max(0, len(header) - len(octets) - 3))
        if header.startswith(b"\r\n"):
            self._close_header(b"")
        elif 0 <= end <= limits.HEADER_OCTETS_MAX - 2:
            self._close_header(bytes(header[: end + 2]))
        elif len(header) > limits.HEADER_OCTETS_MAX:
            self._close_header(bytes(header[: limits.HEADER_OCTETS_MAX]), exceeded=True)

    def _close_header(self, header: bytes, *, exceeded: bool = False) -> None:
        """The header section lies within `header`; find where it ends and count what stands in it. `exceeded`: it may go on."""
        self._header = None
        found = _HEADER.match(header)
        end = found.end() if found else 0
        if exceeded and _FIELD_MAY_BEGIN.fullmatch(header, end):
            self.header_exceeded = True
        if len(header) != end:
            header = header[:end]
        self._header_octets = end
        self._utf8 = not header.isascii()
        lowered = header.lower()
        self._hops = lowered.count(b"\r\nreceived:") + lowered.startswith(b"received:")
        if b"delivered-to:" in lowered:
            values = [line[13:].strip()[:_FIELD_VALUE_KEPT_OCTETS_MAX] for line in lowered.split(b"\r\n") if line.startswith(b"delivered-to:")]
            self._delivered_to = tuple(values[: limits.DELIVERED_TO_MAX])
