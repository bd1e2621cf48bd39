"""Heard: what a client makes of the octets of a server (RFC 5321 4.2)."""

import re
from typing import Final, NamedTuple

LINES_MAX: Final = 1_000
LINE_OCTETS_MAX: Final = 2_048
_LINE: Final = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?\Z", re.DOTALL)
_STATUS: Final = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?!\S)")


class Heard(NamedTuple):
    """`code` is 0 when no reply came, or one that is none: `lines` then say why."""

    code: int
    lines: tuple[str, ...] = ()

    @property
    def kind(self) -> int:
        """The first digit, on which alone a client acts."""
        return self.code // 100

    @property
    def status(self) -> str:
        """The enhanced status code, if it is of the class of the code; else that class and zeros."""
        found = _STATUS.match(self.lines[0]) if self.lines else None
        return found[0] if found and int(found[1]) == self.kind else f"{self.kind or 4}.0.0"

    def __str__(self) -> str:
        return f"{self.code or ''} {' '.join(self.lines)}".strip()


def take_reply(octets: bytes) -> tuple[Heard, bytes] | None:
    """The first whole reply, and the rest; None while it is not whole."""
    lines: list[tuple[bytes, bytes]] = []
    rest = octets
    while b"\n" in rest:
        line, _, rest = rest.partition(b"\n")
        found = _LINE.match(line.removesuffix(b"\r"))
        if found is None or len(line) > LINE_OCTETS_MAX or len(lines) > LINES_MAX:
            return Heard(0, ("this is no reply",)), b""
        lines.append((found[1], found[3] or b""))
        if found[2] != b"-":
            codes = {code for code, _ in lines}
            texts = tuple(text.decode("utf-8", "backslashreplace") for _, text in lines)
            return (Heard(int(lines[-1][0]), texts) if len(codes) == 1 else Heard(0, ("the codes differ",))), rest
    return (Heard(0, ("an endless line",)), b"") if len(rest) > LINE_OCTETS_MAX else None
