"""Event log, read back: the JSON lines that all processes of one smx append to the same file."""

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

Values = dict[str, Any]  # int or str by the name of the field


class Line(Struct, frozen=True):
    """One note. `at`: wall time in microseconds. `epoch` is that of the process which wrote it."""

    at: int
    process: str
    pid: int
    epoch: int
    note: str
    values: Values

    def text(self, name: str) -> str:
        return str(self.values[name])

    def number(self, name: str) -> int:
        return int(self.values[name])


def parse_line(octets: bytes) -> Line | None:
    """None for a line that is damaged: no JSON object, or without what every line has."""
    try:
        values = json.loads(octets)
        at = round(datetime.fromisoformat(values.pop("time")).timestamp() * 1e6)
        return Line(at, values.pop("process"), values.pop("pid", 0), values.pop("epoch", 0), values.pop("note"), values)
    except (ValueError, KeyError, AttributeError, TypeError):
        return None


def parse(octets: bytes) -> tuple[list[Line], int]:
    """(lines in order of time, number of damaged ones). Lines of one process keep their order; those of different ones are merged by their clocks."""
    lines: list[Line] = []
    damaged = 0
    for text in octets.split(b"\n"):
        if not text:
            continue
        line = parse_line(text)
        if line is None:
            damaged += 1
        else:
            lines.append(line)
    lines.sort(key=lambda line: line.at)
    return lines, damaged


def read(path: Path) -> tuple[list[Line], int]:
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
