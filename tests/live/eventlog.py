"""Event log: the file that all processes of one smx append to, while it grows and as a whole. What a line is, sim.eventlog knows."""

from collections.abc import Iterable
from pathlib import Path

from sim.eventlog import Line, parse


def read(path: Path) -> tuple[list[Line], int]:
    """(lines in order of time, number of damaged ones)."""
    return parse(path.read_bytes())


class Tail:
    """The growing end of the file, whole lines at a time, as octets."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""

    def poll(self) -> list[bytes]:
        """What was appended since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                octets = file.read()
        except FileNotFoundError:
            return []
        if not octets:
            return []
        self._offset += len(octets)
        *lines, self._rest = (self._rest + octets).split(b"\n")
        return lines


def named(lines: Iterable[Line], note: str) -> list[Line]:
    return [line for line in lines if line.note == note]
