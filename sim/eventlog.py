"""Event log: a live run as facts, so that the same checkers judge it.

Read are the JSON lines that all processes of one smx append to the same file. What clients, sinks and Maildirs know is given beside
them, and each death that was brought about. Three things are not as in the simulator:

    holes         the last lines of a killed process are lost: `Truth(lossy=True)`, and what depends on every line is not judged
    orders        a line `begun` names a destination, not the recipients: `goes_to` says who belongs to it
    applicable    LIVE names the checkers that a log can feed; NOT_APPLICABLE says why the others are not
"""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from sim.facts import Crashed, Fact, Noted, Ordered, Stopped
from smx.ids import id_number
from smx.notes import NOTES

Values = dict[str, Any]  # int or str by the name of the field
GoesTo = Callable[[str, str], bool]  # (destination, address): whether this recipient belongs to it

LIVE: Final = ("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I14", "I15", "L4", "L7")
NOT_APPLICABLE: Final = {
    "I11": "which recipients a delivery has does not stand in the log",
    "I12": "octets of dialogues do not stand in the log; the conformance suite and the tests of smx.smtp see them",
    "I13": "the same",
    "I16": "nobody samples the bounds of a live run",
    "L1": "the campaign itself waits for an empty queue",
    "L2": "the machine is shared: time that passes is not recovery's",
    "L3": "as I11",
    "L5": "no phases of equal load",
    "L6": "the machine is shared",
}
ORDERLY: Final = (0, -9, -15)  # exit statuses that somebody brought about
BUG_STATUS: Final = 70  # an exception; 75 is a Halt that nobody asked for, 69 a socket or lock in use
_ORIGIN: Final = ("time", "process", "pid", "epoch", "note")


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


# --- facts ------------------------------------------------------------------------------------------------------------


def noted(line: Line) -> Noted | None:
    """The line as a fact: ids are numbers again. None for a note that the table does not have (another version wrote it); a value that is missing is 0."""
    kind = NOTES.get(line.note)
    if kind is None:
        return None
    return Noted(line.at, line.process, line.epoch, line.note, tuple([_value(line.values, field) for field in kind.fields]))


def _value(values: Values, field: str) -> int | str:
    name, _, unit = field.partition(":")
    found: int | str = values.get(f"of_{name}" if name in _ORIGIN else name, "" if unit in ("text", "id") else 0)
    if unit != "id":
        return found
    try:
        return id_number(str(found))
    except ValueError:
        return 0


def facts(lines: Iterable[Line], deaths: Iterable[Crashed], goes_to: GoesTo, others: Iterable[Fact] = ()) -> list[Fact]:
    """All facts in order of time: lines, ends of processes, orders, and what others know. A death counts behind what stands in the log at its very moment."""
    ranked = [(fact.at, 0, fact) for fact in others]
    ranked += [(fact.at, 1, fact) for fact in _of_lines(lines, goes_to)]
    ranked += [(fact.at, 2, fact) for fact in deaths]
    ranked.sort(key=lambda each: each[:2])
    return [fact for _, _, fact in ranked]


def _of_lines(lines: Iterable[Line], goes_to: GoesTo) -> Iterator[Fact]:
    orders = _Orders(goes_to)
    epochs: dict[int, int] = {}  # process id -> epoch
    for line in lines:
        fact = noted(line)
        if fact is None:
            continue
        yield fact
        if line.note == "begun":
            order = orders.begun(fact)
            if order is not None:
                yield order
        elif line.note == "recipient":
            orders.recipients.setdefault(fact.values[0], {})[fact.values[1]] = fact.values[2]
        elif line.note == "recorded":
            orders.recorded[fact.values[0], fact.values[1], fact.epoch] = fact.values[2]
        elif line.note == "launched":
            epochs[fact.values[1]] = fact.values[2]
        elif line.note == "exited":
            yield from _exited(fact, epochs.get(fact.values[1], 0))


def _exited(fact: Noted, epoch: int) -> Iterator[Fact]:
    """Deaths that were brought about are given; those of themselves are found here."""
    process, _, status = fact.values
    if status not in ORDERLY:
        yield Crashed(fact.at, process, epoch, "bug" if status == BUG_STATUS else "halt")
    elif status != -9:
        yield Stopped(fact.at, process, epoch)


class _Orders:
    """Who is in a delivery, by its destination: those of its transaction that go there and have no verdict of this attempt recorded."""

    def __init__(self, goes_to: GoesTo) -> None:
        self._goes_to = goes_to
        self.recipients: dict[int, dict[int, str]] = {}
        self.recorded: dict[tuple[int, int, int], int] = {}  # (transaction, index, QMGR's epoch) -> the latest attempt

    def begun(self, fact: Noted) -> Ordered | None:
        """None when the recipients are lost: the dot will say that there was a delivery."""
        delivery, transaction, destination, _, attempt = fact.values
        recipients = self.recipients.get(transaction)
        if not recipients:
            return None
        indices = [
            index
            for index, address in recipients.items()
            if self._goes_to(destination, address) and self.recorded.get((transaction, index, fact.epoch), 0) < attempt
        ]
        return Ordered(fact.at, fact.epoch, delivery, transaction, destination, tuple(indices), attempt)
