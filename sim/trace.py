"""Trace: what happened in a run, as a digest, a count and, when asked for, one readable line each.

Every step of a component (its event and the effects it answered with), every operation of a disk, every piece on the network and every fault
is put into the digest, encoded as MessagePack. Same seed, same digest. Text is made only when somebody reads it: lines hold the values
themselves, which never change.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from sim.lines import LEGEND, effect_line, event_line, payload_line
from smx.effects import AnyEffect
from smx.events import AnyEvent

_HASHED_AT_ONCE: Final = 64 * 1024
DIGEST_OCTETS: Final = 16
STEP: Final = ""  # the kind of a step, in which the payload is (event, effects)

_encode_into: Final = msgspec.msgpack.Encoder().encode_into
Entry = tuple[int, str, str, Any]


class Trace:
    """`keep_lines`: keep everything for `lines`; `ring`: keep the last so many entries."""

    def __init__(self, *, keep_lines: bool = False, ring: int = 0) -> None:
        self.events = 0  # events, effects, operations, faults
        self.started_at = 0
        self._hash = hashlib.blake2b(digest_size=DIGEST_OCTETS)
        self._buffer = bytearray()
        self._entries: deque[Entry] | None = deque(maxlen=None if keep_lines else ring) if keep_lines or ring else None

    @property
    def keeping(self) -> bool:
        """Whether anybody will read lines."""
        return self._entries is not None

    def record(self, now: int, lane: str, kind: str, payload: object = None) -> None:
        """One happening. `lane`: whose; `payload`: anything that MessagePack can encode."""
        buffer = self._buffer
        _encode_into((now, lane, kind, payload), buffer, -1)
        self.events += 1
        if len(buffer) > _HASHED_AT_ONCE:
            self._hash.update(buffer)
            buffer.clear()
        if self._entries is not None:
            self._entries.append((now, lane, kind, payload))

    def step(self, now: int, lane: str, event: AnyEvent, effects: Sequence[AnyEffect]) -> None:
        """One step of a component."""
        buffer = self._buffer
        _encode_into((now, lane, event, effects), buffer, -1)
        self.events += 1 + len(effects)
        if len(buffer) > _HASHED_AT_ONCE:
            self._hash.update(buffer)
            buffer.clear()
        if self._entries is not None:
            self._entries.append((now, lane, STEP, (event, tuple(effects))))

    @property
    def digest(self) -> str:
        """Hexadecimal; of everything until now."""
        self._hash.update(self._buffer)
        self._buffer.clear()
        return self._hash.hexdigest()

    @property
    def legend(self) -> str:
        """What the marks in the lines mean."""
        return LEGEND

    def entries(self) -> Sequence[Entry]:
        """What was kept: (now, lane, kind, payload); for a step the kind is STEP and the payload (event, effects)."""
        return tuple(self._entries or ())

    def lines(self, last: int | None = None) -> list[str]:
        """What was kept, one line each; only the last so many."""
        lines = list(self._lines())
        return lines if last is None else lines[-last:]

    def _lines(self) -> Iterator[str]:
        for now, lane, kind, payload in self._entries or ():
            at = f"{(now - self.started_at) / 1e6:13.6f}"
            if kind == STEP:
                event, effects = payload
                yield f"{at} {lane:<12} > {event_line(event)}"
                for effect in effects:
                    yield f"{at} {lane:<12}   < {effect_line(effect)}"
            else:
                yield f"{at} {lane:<12} * {kind} {payload_line(payload)}".rstrip()
