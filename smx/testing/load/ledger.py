"""Ledger: which copies were promised, line by line as JSON, and what became of them.

A promise is a 2yz to the final dot: from then on the server answers for each recipient it had accepted. The generator writes
{"token", "recipients", "at"}, the sink {"token", "recipient", "sender", "octets", "at"}; `at` is wall microseconds.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO, Final, TypeVar

import msgspec
from msgspec import Struct

EXAMPLES_MAX: Final = 10
FLUSH_LINES: Final = 512
_T = TypeVar("_T")


class Promise(Struct, frozen=True):
    """One acknowledged message."""

    token: str
    recipients: tuple[str, ...]
    at: int


class Copy(Struct, frozen=True):
    """One message for one recipient that arrived."""

    token: str
    recipient: str
    sender: str
    octets: int
    at: int


class Check(Struct, frozen=True):
    """What a ledger says about what arrived; all numbers count (message, recipient) pairs, `duplicated` those that came more than once."""

    promised: int
    arrived: int
    lost: int
    duplicated: int
    never_promised: int
    lost_examples: tuple[str, ...] = ()
    never_promised_examples: tuple[str, ...] = ()


class JsonLines:
    """A file that gets a Struct a line. Lines go out in groups; `flush` and `close` write what waits."""

    def __init__(self, path: str) -> None:
        """OSError when it cannot be written."""
        self._file: BinaryIO = open(path, "wb")  # noqa: SIM115  closed by `close`
        self._encoder = msgspec.json.Encoder()
        self._waiting: list[Struct] = []

    def add(self, line: Struct) -> None:
        self._waiting.append(line)
        if len(self._waiting) >= FLUSH_LINES:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            self._file.write(self._encoder.encode_lines(self._waiting))
            self._waiting.clear()
            self._file.flush()

    def close(self) -> None:
        self.flush()
        self._file.close()


def pair(token: str, recipient: str) -> str:
    """The name of a copy."""
    return f"{token} {recipient}"


def read_promises(path: str) -> list[str]:
    """The pairs of a ledger. ValueError says which line is wrong; OSError when it cannot be read."""
    return [pair(line.token, recipient) for line in _read(path, Promise) for recipient in line.recipients]


def read_copies(path: str) -> dict[str, int]:
    """Pair -> how many copies, of a file that the sink kept. ValueError says which line is wrong; OSError when it cannot be read."""
    copies: dict[str, int] = {}
    for line in _read(path, Copy):
        if line.token:
            name = pair(line.token, line.recipient)
            copies[name] = copies.get(name, 0) + 1
    return copies


def _read(path: str, kind: type[_T]) -> Iterator[_T]:
    decoder = msgspec.json.Decoder(kind)
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return  # the writer was killed within it
            try:
                yield decoder.decode(line)
            except msgspec.MsgspecError as error:
                raise ValueError(f"{path}:{number}: this is not a line of such a file: {error}") from error


def check(promises: Iterable[str], copies: Mapping[str, int]) -> Check:
    """Compare. A copy that was never promised is no fault of the server when the client missed the 250; a lost one always is."""
    promised = set(promises)
    lost = sorted(name for name in promised if name not in copies)
    strangers = sorted(name for name in copies if name not in promised)
    duplicated = sum(number > 1 for number in copies.values())
    return Check(
        len(promised),
        len(copies) - len(strangers),
        len(lost),
        duplicated,
        len(strangers),
        tuple(lost[:EXAMPLES_MAX]),
        tuple(strangers[:EXAMPLES_MAX]),
    )
