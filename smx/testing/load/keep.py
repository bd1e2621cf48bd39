"""Keep: where a sink keeps what it takes: nowhere, as JSON lines of tokens, in an mbox, or in a Maildir. Nothing is synced: it is no MTA."""

import os
import time
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from smx.testing.load.ledger import Copy, JsonLines

KINDS: Final = ("jsonl", "mbox", "maildir")


class Keeper(Protocol):
    """`whole`: whether it needs the content, or only its head."""

    whole: bool

    def add(self, token: bytes, sender: bytes, recipients: list[bytes], octets: int, content: bytes) -> None:
        """Keep one message."""

    def flush(self) -> None:
        """Write what waits."""

    def close(self) -> None:
        """The end."""


class Nothing:
    """Keeps nothing."""

    whole = False

    def add(self, token: bytes, sender: bytes, recipients: list[bytes], octets: int, content: bytes) -> None:
        """Nothing."""

    def flush(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Tokens:
    """JSON lines, one a copy (ledger.Copy)."""

    whole = False

    def __init__(self, path: str) -> None:
        self._lines = JsonLines(path)

    def add(self, token: bytes, sender: bytes, recipients: list[bytes], octets: int, content: bytes) -> None:
        at = time.time_ns() // 1000
        for recipient in recipients:
            self._lines.add(Copy(text(token), text(recipient), text(sender), octets, at))

    def flush(self) -> None:
        self._lines.flush()

    def close(self) -> None:
        self._lines.close()


class Mbox:
    """One file; lines end with LF, and From at the beginning of a line gets a > in front (the format called mboxrd: >From gets another)."""

    whole = True

    def __init__(self, path: str) -> None:
        self._file: BinaryIO = open(path, "ab")  # noqa: SIM115  closed by `close`

    def add(self, token: bytes, sender: bytes, recipients: list[bytes], octets: int, content: bytes) -> None:
        lines = _with_envelope(sender, recipients, content).split(b"\n")
        quoted = (b">" + line if line.lstrip(b">").startswith(b"From ") else line for line in lines)
        self._file.write(b"From %b %b\n%b\n" % (sender or b"MAILER-DAEMON", time.asctime(time.gmtime()).encode(), b"\n".join(quoted)))

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class Maildir:
    """One file a message."""

    whole = True

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)
        for name in ("tmp", "new", "cur"):
            (self._directory / name).mkdir(parents=True, exist_ok=True)
        self._number = 0

    def add(self, token: bytes, sender: bytes, recipients: list[bytes], octets: int, content: bytes) -> None:
        self._number += 1
        name = f"{int(time.time())}.P{os.getpid()}Q{self._number}.sink"
        temporary = self._directory / "tmp" / name
        temporary.write_bytes(_with_envelope(sender, recipients, content))
        temporary.rename(self._directory / "new" / name)

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is open."""


def parse_keep(spec: str) -> str:
    """ValueError unless it is KIND:PATH."""
    kind, _, path = spec.partition(":")
    if kind not in KINDS or not path:
        raise ValueError(f"expected jsonl:FILE, mbox:FILE or maildir:DIRECTORY, not {spec!r}")
    return spec


def make_keeper(spec: str) -> Keeper:
    """OSError when it cannot be written."""
    kind, _, path = spec.partition(":")
    match kind:
        case "jsonl":
            return Tokens(path)
        case "mbox":
            return Mbox(path)
        case "maildir":
            return Maildir(path)
    return Nothing()


def text(octets: bytes) -> str:
    """Octets of a peer as text."""
    return octets.decode("utf-8", "backslashreplace")


def _with_envelope(sender: bytes, recipients: list[bytes], content: bytes) -> bytes:
    fields = b"".join(b"Delivered-To: %b\n" % recipient for recipient in recipients)
    return b"Return-Path: <%b>\n%b%b" % (sender, fields, content.replace(b"\r\n", b"\n"))
