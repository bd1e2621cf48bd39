"""Tampering: turns one bit of one recorded event, makes the checksum right again, and replays: is it noticed?

    python -m tests.live.tampering SEED COUNT DIRECTORY

prints one JSON line for each of COUNT events that SEED draws from the recordings in DIRECTORY. A recording is replayed once; at each event that was
drawn the process forks, and its copy goes on with the changed event. So it must be a process without threads, not the one of the tests.
"""

import os
import pathlib
import random
import sys

import msgspec
from msgspec import Struct

from smx import codec
from smx.component import Component
from smx.events import AnyEvent
from smx.live.replay import component_of, recordings
from smx.recording import Difference, Reader, Step, compare, encode
from tests.live.influence import Path, another, changed_path, means_the_same, name_of, value_at, with_value

LENGTH_OCTETS = 4  # of the fact, in front of it
TEXT_LETTERS = 2_000
CUT_OFF_STEPS = 50  # about one for each session: a command may wait for its effect when the process dies

_decode = msgspec.msgpack.Decoder(AnyEvent).decode


class Case(Struct, frozen=True):
    """One changed event. `event`: None when it cannot be read any more. `broken`: its record with the checksum as it was."""

    step: Step
    event: AnyEvent | None
    broken: bytes


class Outcome(Struct, frozen=True):
    """What came of it.

    `crc`: with the checksum as it was, the record is damaged. `noticed`, with it made right: unreadable, error, at once, later; "" when every effect up
    to the end was the recorded one. `why` not, then: unused (a wholly different value changes nothing either), alike, cut off (its effects would have come
    after the end); "" when no row says it.
    """

    process: str
    field: str
    number: int
    before: str
    after: str
    crc: bool
    noticed: str
    why: str = ""


class Tape:
    """One recording, taken apart."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.octets = pathlib.Path(path).read_bytes()
        reader = Reader(self.octets)
        self.header = reader.header
        self.steps = list(reader.steps())

    def records(self) -> list[codec.Record]:
        """Those of the steps; the header is number 0."""
        found, offset = [], 0
        for number in range(len(self.steps) + 1):
            record = codec.decode(self.octets, offset, self.header.epoch, number)
            assert isinstance(record, codec.Record)
            found.append(record)
            offset = record.end
        return found[1:]

    def tamper(self, record: codec.Record, draw: random.Random) -> Case:
        """Turn one bit of the event in this record."""
        step = self.steps[record.sequence - 1]
        event = encode(step.event)
        end = LENGTH_OCTETS + int.from_bytes(record.payload[:LENGTH_OCTETS], "big")
        begin = end - len(event)
        assert record.payload[begin:end] == event
        at, bit = begin + draw.randrange(len(event)), 1 << draw.randrange(8)
        payload = bytearray(record.payload)
        payload[at] ^= bit
        broken = bytearray(self.octets[record.offset : record.end])
        broken[codec.HEADER_OCTETS + at] ^= bit
        return Case(step, _read(bytes(payload[begin:end])), bytes(broken))


def _read(octets: bytes) -> AnyEvent | None:
    try:
        event: AnyEvent = _decode(octets)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return event


def sweep(tape: Tape, count: int, draw: random.Random) -> list[Outcome]:
    """Change so many events of one recording, each in a replay of its own."""
    records = tape.records()
    cases: dict[int, Case] = {}
    for record in sorted(draw.sample(records, min(count, len(records))), key=lambda record: record.sequence):
        cases[record.sequence] = tape.tamper(record, draw)
    component = component_of(tape.header)
    outcomes = []
    for step in tape.steps:
        case = cases.get(step.number)
        if case is not None:
            outcomes.append(_judge(tape, case, component))
        assert not isinstance(compare(component, step), Difference)
    return outcomes


def _judge(tape: Tape, case: Case, component: Component) -> Outcome:
    step, process = case.step, tape.header.process
    crc = isinstance(codec.decode(case.broken, 0, tape.header.epoch, step.number), codec.Damage)
    before, after = repr(step.event)[:TEXT_LETTERS], repr(case.event)[:TEXT_LETTERS]
    if case.event is None:
        return Outcome(process, type(step.event).__name__, step.number, before, after, crc, "unreadable")
    path = changed_path(step.event, case.event)
    field = name_of(step.event, path)
    noticed = _in_a_copy(tape, step, case.event, component)
    why = "" if noticed else _why(tape, case, path, field, component)
    return Outcome(process, field, step.number, before, after, crc, noticed, why)


def _why(tape: Tape, case: Case, path: Path, field: str, component: Component) -> str:
    """Why the change was not noticed."""
    if len(tape.steps) - case.step.number < CUT_OFF_STEPS:
        return "cut off"
    value = value_at(case.step.event, path)
    if means_the_same(tape.header.process, field, value, value_at(case.event, path)):
        return "alike"
    other = with_value(case.step.event, path, another(value))
    return "" if _in_a_copy(tape, case.step, other, component) else "unused"


def _in_a_copy(tape: Tape, step: Step, event: AnyEvent, component: Component) -> str:
    """The rest of the replay in a copy of this process."""
    reading, writing = os.pipe()
    copy = os.fork()
    if not copy:
        noticed = _replay_on(tape, msgspec.structs.replace(step, event=event), component)
        os.write(writing, noticed.encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as answer:
        noticed = answer.read().decode()
    assert os.waitpid(copy, 0)[1] == 0
    return noticed


def _replay_on(tape: Tape, changed: Step, component: Component) -> str:
    for step in (changed, *tape.steps[changed.number :]):
        found = compare(component, step)
        if isinstance(found, Difference):
            return "error" if found.error else "at once" if step is changed else "later"
    return ""


def main(seed: str, count: int, directory: str) -> None:
    """Draw the events, so that each is as likely as any other, and print what came of them."""
    tapes = [Tape(path) for path in recordings(directory)]
    draw = random.Random(seed)
    chosen = draw.choices(range(len(tapes)), [len(tape.steps) for tape in tapes], k=count)
    for number, tape in enumerate(tapes):
        for outcome in sweep(tape, chosen.count(number), draw):
            sys.stdout.buffer.write(msgspec.json.encode(outcome) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
