"""Robustness (RFC 5321 4.1.1.5, 4.5.4.2, 7.8): servers that do not survive something: from then on nobody is greeted, and nobody answered."""

# mypy: disable-error-code="attr-defined, call-overload, func-returns-value, method-assign, misc, no-any-return, return-value, var-annotated"

import re
from collections.abc import Callable
from typing import Any, Final

from tests.conformance.reference.mta import Reference
from tests.conformance.reference.mutants.mutant import Mutant, ids, original
from tests.conformance.reference.session import Session

HEALTH: Final = "4.5.4.2-1 4.1.1.5-4"
Fatal = Callable[[Session, bytes], bool]


def _is_dead(self: Reference) -> bool:
    return getattr(self, "dead", False)


def _dies(
    name: str, tests: str, *, reading: Fatal | None = None, leaving: Callable[[Session], bool] | None = None, more: dict[str, Any] | None = None
) -> Mutant:
    """Dead after octets, or after a client that left."""

    def connected(self: Reference, connection: int, service: str, source: str) -> None:
        if not _is_dead(self):
            original("connected")(self, connection, service, source)

    def received(self: Reference, connection: int, octets: bytes) -> None:
        session = self.sessions.get(connection)
        if session is not None and reading is not None and reading(session, octets):
            self.dead = True
        if not _is_dead(self):
            original("received")(self, connection, octets)

    def ended(self: Reference, connection: int) -> None:
        session = self.sessions.get(connection)
        if session is not None and leaving is not None and leaving(session):
            self.dead = True
        original("ended")(self, connection)

    return Mutant(f"dies-of-{name}", ids(tests), {"connected": connected, "received": received, "ended": ended, **(more or {})})


def _has(pattern: bytes, *, state: str = "") -> Fatal:
    found = re.compile(pattern, re.DOTALL)
    return lambda session, octets: (not state or session.state == state) and found.search(octets) is not None


def _left(state: str) -> Callable[[Session], bool]:
    return lambda session: session.state == state


def _flood(verb: str) -> Fatal:
    """The hundredth of its kind in a session."""
    counts: dict[int, int] = {}

    def is_fatal(session: Session, octets: bytes) -> bool:
        key = id(session)
        counts[key] = counts.get(key, 0) + octets.startswith(verb.encode())
        return counts[key] >= 100

    return is_fatal


def _unread(self: Reference, session: Session) -> bool:
    """A thousand replies that are due at once."""
    if session.inbox.count(b"\r\n") >= 1_000:
        self.dead = True
        return False
    taken: bool = original("take_line")(self, session)
    return taken


KINDS: Final[tuple[tuple[str, Fatal], ...]] = (
    ("nul", _has(b"\0{20}", state="greeted")),
    ("octets-beyond-ascii", _has(b"[\x80-\xff]{40}")),
    ("random", _has(b"\x07\x9e")),
    ("line-feeds", _has(b"\n{40}", state="greeted")),
    ("carriage-returns", _has(b"\r{40}", state="greeted")),
    ("empty-lines", _has(b"(?:\r\n){40}", state="greeted")),
    ("long-lines", _has(b"NOOP x{1000}")),
    ("long-routes", _has(b"(?:@a,){50}")),
    ("many-backslashes", _has(rb"\\{50}")),
    ("many-parameters", _has(b"(?: A=B){50}")),
    ("format-strings", _has(b"%n")),
    ("escape-sequences", _has(b"\x1b")),
    ("http", _has(b"GET /|POST /")),
    ("tls", _has(b"\x16\x03")),
    ("ssh", _has(b"SSH-")),
    ("proxy", _has(b"PROXY ")),
    ("huge-chunks", _has(b"BDAT 9{15}")),
    ("negative-chunks", _has(b"BDAT -")),
    ("huge-sizes", _has(b"SIZE=9{15}")),
    ("content-of-nul", _has(b"\0{40}", state="data")),
    ("content-of-a-long-line", _has(b"x{2000}", state="data")),
    ("content-of-a-long-field", _has(b"(?:x{900}\r\n ){10}", state="data")),
    ("content-of-many-fields", _has(b"(?:X-A: b\r\n){500}", state="data")),
    ("content-of-dots", _has(b"(?:\\.\\.\r\n){500}", state="data")),
    ("content-of-carriage-returns", _has(b"\r{500}", state="data")),
    ("content-of-line-feeds", _has(b"\n{500}", state="data")),
)

MUTANTS: Final = (
    *(_dies(name, HEALTH, reading=fatal) for name, fatal in KINDS),
    *(_dies(f"a-client-that-leaves-{state}", f"{HEALTH} 2.4-n3", leaving=_left(state)) for state in ("connected", "greeted", "mail", "rcpt", "data", "sent")),
    _dies("a-client-that-leaves-within-a-line", f"{HEALTH} 2.4-n3", leaving=lambda session: bool(session.inbox) and session.state != "data"),
    *(_dies(f"many-{verb.lower()}", HEALTH, reading=_flood(verb)) for verb in ("NOOP", "RSET", "XYZZY", "MAIL", "VRFY", "HELP")),
    _dies("many-lines-at-once", HEALTH, more={"take_line": _unread}),
)
