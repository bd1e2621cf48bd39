"""Event log: the notes of the components as lines, one JSON object each (or logfmt, or text for people), for all components of a process.

Strategies  Lines are collected and written once a loop turn, with one write(2) to a file opened with O_APPEND, so that processes can share it.
            Which notes are written is decided by a table made at start (SX68): a note below the level of its module costs one look-up.
            A line is a Struct of its kind, so that msgspec writes all of it at once; what happens to one transaction comes close together, so the
            texts of the latest ids are kept.
Failures    A log that cannot be written loses lines, never mail: they are counted, and the count is written when writing works again.
"""

import os
from asyncio import AbstractEventLoop
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import asdict

from smx.config.schema_mcp import LogSettings
from smx.effects import Note
from smx.ids import id_text
from smx.live.clock import Clock
from smx.notes import NOTES, Level, NoteKind, text
from smx.units import KIB, SECOND

LEVELS: Final = {"error": Level.ERROR, "warning": 3, "info": Level.MAIL, "debug": Level.DEBUG}
MODE: Final = 0o640
STDERR: Final = 2
TURN_OCTETS_MAX: Final = 256 * KIB  # written at once when more has been collected within one turn

IDS_KEPT: Final = 4096
Render = Callable[[msgspec.Struct], bytes]  # the line's Struct -> its octets
_encode_json = msgspec.json.Encoder().encode
_text_of_id = lru_cache(IDS_KEPT)(id_text)


def level_of(settings: LogSettings, process: str) -> int:
    """The highest level that is written for this process: that of its longest name in `levels`, or `level`."""
    found, length = settings.level, 0
    for module, level in settings.levels:
        if len(module) >= length and (process == module or process.startswith(module + ".")):
            found, length = level, len(module)
    return LEVELS[found]


class _Line(NamedTuple):
    """How notes of a kind become lines. `make`: time, process, pid, epoch, note, values -> Struct. `ids`: which values are ids."""

    make: Callable[..., msgspec.Struct]
    ids: tuple[bool, ...]


def _line(kind: NoteKind) -> _Line:
    """A value's name has `of_` before it when it says something about another process than the writer."""
    pairs = [field.partition(":") for field in kind.fields]
    columns = [f"of_{name}" if name in _ORIGIN else name for name, _, _ in pairs]
    return _Line(msgspec.defstruct("Line", [*_ORIGIN, *columns], gc=False), tuple(unit == "id" for _, _, unit in pairs))


class EventLog:
    """The log of one process. `writer` makes the function that takes a component's notes."""

    def __init__(self, settings: LogSettings, clock: Clock, loop: AbstractEventLoop) -> None:
        self._settings = settings
        self._clock = clock
        self._loop = loop
        self._render: Render = FORMATS[settings.format]
        self._pid = os.getpid()
        self._lines: list[bytes] = []
        self._octets = 0
        self._lost = 0
        self._second = -1
        self._second_text = ""
        self._wall = -1
        self._wall_text = ""
        self._observers: list[Callable[[str, Note], None]] = []
        self._file = _open(settings.file)

    def observe(self, observer: Callable[[str, Note], None]) -> None:
        """Call `observer(process, note)` for every note of any level, on the loop's thread: tests, metrics, the console."""
        self._observers.append(observer)

    def writer(self, process: str, epoch: int) -> Callable[..., None]:
        """The function that writes notes of `process`: (note, now), where `now` is by the clock, 0 when the caller does not know it."""
        level = level_of(self._settings, process)
        written = {name: _line(kind) if kind.level <= level else None for name, kind in NOTES.items()}
        pid = self._pid
        observers = self._observers

        def write(note: Note, now: int = 0) -> None:
            for observer in observers:
                observer(process, note)
            line = written[note.name]  # a KeyError: the note is not in the table of smx.notes
            if line is not None:
                values = [
                    _text_of_id(value) if is_id else text(value) if isinstance(value, bytes) else value
                    for is_id, value in zip(line.ids, note.values, strict=True)
                ]
                self._add(self._render(line.make(self._time(now), process, pid, epoch, note.name, *values)))

        return write

    def _add(self, octets: bytes) -> None:
        if not self._lines:
            self._loop.call_soon(self.flush)
        self._lines.append(octets)
        self._octets += len(octets)
        if self._octets > TURN_OCTETS_MAX:
            self.flush()

    def _time(self, now: int = 0) -> str:
        """Wall time in ISO format, UTC. The text of a second is made once, and that of a step."""
        wall = (now or self._clock.now()) + self._clock.wall_offset
        if wall == self._wall:
            return self._wall_text
        second, microsecond = divmod(wall, SECOND)
        if second != self._second:
            self._second = second
            self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        self._wall, self._wall_text = wall, f"{self._second_text}.{microsecond:06d}Z"
        return self._wall_text

    def flush(self) -> None:
        """Write what was collected."""
        lines, self._lines, self._octets = self._lines, [], 0
        if not lines:
            return
        if self._lost:
            trouble = _line(NOTES["trouble"]).make
            lines.insert(0, self._render(trouble(self._time(), "log", self._pid, 0, "trouble", "log", f"{self._lost} lines lost")))
        try:
            _write_all(self._file, b"".join(lines))
        except OSError:
            self._lost += len(lines)
            return
        self._lost = 0

    def reopen(self) -> None:
        """Open the file anew, after it was renamed (SIGHUP)."""
        self.flush()
        earlier = self._file
        self._file = _open(self._settings.file)
        if earlier != STDERR:
            os.close(earlier)

    def close(self) -> None:
        self.flush()
        if self._file != STDERR:
            os.close(self._file)


def _open(path: str) -> int:
    if path == "-":
        return STDERR
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)


def _write_all(file: int, octets: bytes) -> None:
    view = memoryview(octets)
    while view:
        view = view[os.write(file, view) :]


def _json_line(line: msgspec.Struct) -> bytes:
    return _encode_json(line) + b"\n"


def _logfmt_line(line: msgspec.Struct) -> bytes:
    return " ".join(f"{name}={value if name == 'time' else _quoted(value)}" for name, value in asdict(line).items()).encode() + b"\n"


def _quoted(value: int | str) -> str:
    """A logfmt value: in quotes when it has anything but plain characters."""
    if isinstance(value, int) or (value.isprintable() and value and not set(value) & set(' "=\\')):
        return str(value)
    return msgspec.json.encode(value).decode()


def _console_line(line: msgspec.Struct) -> bytes:
    """For people: `14:03:07.123 qmgr       closed       transaction=...`."""
    fields = asdict(line)
    rest = " ".join(f"{name}={_quoted(value)}" for name, value in fields.items() if name not in _ORIGIN)
    return f"{fields['time'][11:23]} {fields['process']:<12} {fields['note']:<11} {rest}\n".encode()


_ORIGIN: Final = ("time", "process", "pid", "epoch", "note")
FORMATS: Final[dict[str, Render]] = {"json": _json_line, "logfmt": _logfmt_line, "console": _console_line}
