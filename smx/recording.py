"""Recording: every event of a process with its time, and the effects that its component answered with, so that a run can be replayed (BX25).

Layout of a file: codec records, scope = the epoch of the process, sequence 0, 1, 2, ...
    kind 1  header  MessagePack of Header
    kind 2  step    length of the fact (4 octets, big endian), fact = MessagePack of (now, event), then MessagePack of the effects

A component is a function of its settings and its events: a component made from the recorded settings and fed the recorded events must answer
with the same effects, octet by octet. The first step that does not is the difference that `replay` reports. A file that a killed process left
may end in a torn record: what stands before it counts. The pure half; smx.live.record writes the file.
"""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from smx import codec
from smx.component import Component
from smx.effects import AnyEffect
from smx.events import AnyEvent

FORMAT: Final = 1
HEADER: Final = 1
STEP: Final = 2
_LENGTH: Final = 4

encode: Final = msgspec.msgpack.Encoder().encode
_decode_fact: Final = msgspec.msgpack.Decoder(tuple[int, AnyEvent]).decode
_decode_effects: Final = msgspec.msgpack.Decoder(tuple[AnyEffect, ...]).decode


class Header(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The first record. `settings`: the Settings Struct of the process as MessagePack. `started_at`: stamp."""

    format: int
    process: str
    epoch: int
    settings: bytes
    started_at: int


class Step(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One step as recorded; `effects` still encoded."""

    number: int
    now: int
    event: AnyEvent
    effects: bytes


class Difference(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The first step at which the replay went another way."""

    step: Step
    recorded: tuple[AnyEffect, ...]
    replayed: tuple[AnyEffect, ...]
    error: str = ""  # the step raised this


class ReplayReport(msgspec.Struct, frozen=True):
    """`steps` were equal, with `effects` in all.

    `torn`: octets of an unfinished record at the end; `damage`: anything else that is wrong with the file; `unreadable`: a record that is whole but
    is no step of this smx.
    """

    header: Header
    steps: int
    difference: Difference | None = None
    damage: codec.Damage | None = None
    torn: int = 0
    effects: int = 0
    unreadable: str = ""

    @property
    def identical(self) -> bool:
        return self.difference is None and self.damage is None and not self.unreadable

    def render(self) -> str:
        """For people: one line, or the first difference with both sides."""
        what = f"{self.header.process} epoch {self.header.epoch}: {self.steps} steps and {self.effects} effects identical"
        if self.damage is not None:
            return f"{what}, then the file is damaged ({self.damage.fault.name.lower()}) at octet {self.damage.offset}"
        if self.unreadable:
            return f"{what}, then step {self.steps + 1} cannot be read: {self.unreadable}"
        if self.difference is None:
            return f"{what}{f', then a torn record of {self.torn} octets' if self.torn else ''}"
        found = self.difference
        lines = [f"{what}, then step {found.step.number} differs", f"  now    {found.step.now}", f"  event  {found.step.event!r}"]
        lines += [f"  error  {found.error}"] if found.error else []
        lines += [f"  recorded  {effect!r}" for effect in found.recorded] or ["  recorded  nothing"]
        lines += [f"  replayed  {effect!r}" for effect in found.replayed] or ["  replayed  nothing"]
        return "\n".join(lines)


class NotARecordingError(Exception):
    """The octets do not begin with the header of a recording, or a newer smx wrote them (A16)."""


class Writer:
    """Makes the records of one process."""

    def __init__(self, process: str, epoch: int, settings: bytes, started_at: int) -> None:
        self._epoch = epoch
        self._sequence = 0
        self.header = self._record(HEADER, encode(Header(FORMAT, process, epoch, settings, started_at)))

    def step(self, event: AnyEvent, now: int, effects: list[AnyEffect]) -> bytes:
        """The record of one step."""
        fact = encode((now, event))
        return self._record(STEP, len(fact).to_bytes(_LENGTH, "big") + fact + encode(effects))

    def _record(self, kind: int, payload: bytes) -> bytes:
        record = codec.encode(kind, payload, self._epoch, self._sequence)
        self._sequence += 1
        return record


class Reader:
    """A recording in memory. After `steps` was exhausted, `damage`, `torn` and `unreadable` say how it ended."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self.damage: codec.Damage | None = None
        self.torn = 0
        self.unreadable = ""
        scope = int.from_bytes(octets[8:16], "little")  # the scope of the first record: its own epoch, checked below
        first = codec.decode(octets, 0, scope, 0)
        if isinstance(first, codec.Damage) or first.kind != HEADER:
            raise NotARecordingError("not a recording")
        self.header = msgspec.msgpack.decode(first.payload, type=Header)
        if self.header.format > FORMAT:
            raise NotARecordingError(f"a recording of format {self.header.format}; this smx reads up to {FORMAT}")
        self._first = first.end

    def steps(self) -> Iterator[Step]:
        offset, number = self._first, 1
        while offset < len(self._octets):
            record = codec.decode(self._octets, offset, self.header.epoch, number)
            if isinstance(record, codec.Damage):
                self._end(record)
                return
            length = int.from_bytes(record.payload[:_LENGTH], "big")
            fact, effects = record.payload[_LENGTH : _LENGTH + length], record.payload[_LENGTH + length :]
            try:
                now, event = _decode_fact(fact)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                self.unreadable = str(error)
                return
            yield Step(number, now, event, effects)
            offset, number = record.end, number + 1

    def _end(self, damage: codec.Damage) -> None:
        if damage.fault is codec.Fault.SHORT:
            self.torn = len(self._octets) - damage.offset
        else:
            self.damage = damage


def replay(octets: bytes, factory: Callable[[Header], Component]) -> ReplayReport:
    """Feed the events of a recording to a new component and compare. Raises NotARecordingError."""
    reader = Reader(octets)
    component = factory(reader.header)
    done = ordered = 0
    for step in reader.steps():
        found = compare(component, step)
        if isinstance(found, Difference):
            return ReplayReport(reader.header, done, found, effects=ordered)
        done += 1
        ordered += found
    return ReplayReport(reader.header, done, None, reader.damage, reader.torn, ordered, reader.unreadable)


def compare(component: Component, step: Step) -> int | Difference:
    """Do the step: the number of its effects when they are the recorded ones."""
    try:
        effects = component.step(step.event, step.now)
    except Exception as error:  # whatever the component raises here is what the report is about
        return Difference(step, _decode_effects(step.effects), (), f"{type(error).__name__}: {error}")
    octets = encode(effects)
    if octets == step.effects:
        return len(effects)
    return Difference(step, _decode_effects(step.effects), _decode_effects(octets))
