"""Reply: parses what a server says, strictly and without giving up: what is wrong with a reply is kept in `faults`.

Accept sets are words: "250", "25z", "5yz" (any digit for y and z), several with spaces between: "500 502 5yz". Besides codes: "closed" for a connection that
was closed instead of a reply.
"""

import re
from typing import Final

from msgspec import Struct

from conformance.wire import CLOSED, RESET, TIMEOUT

LINE_OCTETS_MAX: Final = 512  # RFC 5321 4.5.3.1.5, with the CRLF
_LINE: Final = re.compile(rb"([2-5][0-5][0-9])(?:([ -])([\t\x20-\x7e\x80-\xff]*))?\Z")
_ENHANCED: Final = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?: |\Z)")


class Reply(Struct, frozen=True):
    """`code` is 0 when there is none: `end` then says why (closed, reset, timeout). `lines`: without code and CRLF.

    `faults`: what RFC 5321 4.2 does not allow.
    """

    code: int
    lines: tuple[bytes, ...] = ()
    raw: bytes = b""
    end: str = ""
    faults: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All lines, decoded, one below the other."""
        return "\n".join(line.decode("utf-8", "backslashreplace") for line in self.lines)

    @property
    def enhanced(self) -> str:
        """The enhanced status code of the first line (RFC 3463), or ""."""
        found = _ENHANCED.match(self.text)
        return "" if found is None else ".".join(found.groups())

    @property
    def is_closed(self) -> bool:
        return self.end in (CLOSED, RESET)

    def __str__(self) -> str:
        if self.code:
            return f"{self.code} {self.text.splitlines()[0] if self.text else ''}".rstrip()
        if self.raw:
            return f"{self.raw[:80]!r}, then {self.end or 'nothing that is a reply'}"
        return "no reply in time" if self.end == TIMEOUT else "the connection was closed without a reply"


def matches(reply: Reply, accept: str) -> bool:
    """Whether a reply is in an accept set."""
    return any((reply.is_closed and not reply.code) if word == "closed" else _fits(reply.code, word) for word in accept.split())


def _fits(code: int, word: str) -> bool:
    return code != 0 and all(want in "xyz" or want == have for want, have in zip(word, str(code), strict=True))


def take(octets: bytes) -> tuple[Reply, bytes] | None:
    """The first whole reply of a stream and the rest; None while it is not whole. A line ends at LF, whatever stands before it."""
    lines: list[bytes] = []
    at = 0
    while (end := octets.find(b"\n", at)) >= 0:
        lines.append(octets[at : end + 1])
        at = end + 1
        if lines[-1][3:4] != b"-" or not lines[-1][:3].isdigit():
            return _parse(lines), octets[at:]
    return None


def _parse(lines: list[bytes]) -> Reply:
    faults: list[str] = []
    codes = [line[:3] for line in lines]
    texts = []
    for line in lines:
        if not line.endswith(b"\r\n"):
            faults.append("a line ends with LF alone")
        bare = line.rstrip(b"\r\n")
        if _LINE.match(bare) is None:
            faults.append(f"{bare[:60]!r} is not a reply line")
        if len(line) > LINE_OCTETS_MAX:
            faults.append(f"a reply line of {len(line)} octets")
        texts.append(bare[4:])
    if len(set(codes)) > 1:
        faults.append("the lines of one reply have different codes")
    code = int(codes[-1]) if codes[-1].isdigit() and len(codes[-1]) == 3 else 0
    return Reply(code, tuple(texts), b"".join(lines), "" if code else "no code", tuple(dict.fromkeys(faults)))
