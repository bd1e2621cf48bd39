"""Choices: everything that chance decides in a run, as one tape: a seed generates it, a tape replays it, a shrinker edits it.

Each purpose ("network", "faults", ...) has a stream of its own, so that a draw more in one leaves the others as they were. By convention 0
is the calm choice: no fault, the least delay, the first of the alternatives. A tape that has come to its end goes on with 0, so that what a
shrinker cuts off becomes calm, and no tape can be invalid.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

FORMAT: Final = 1
_FINE: Final = 1 << 24  # steps of a continuous draw
_T = TypeVar("_T")


class TapeError(Exception):
    """A file that is no tape; the text says why."""


class Tape(msgspec.Struct, frozen=True, kw_only=True):
    """What a run drew, and what it was a run of. `draws`: purpose -> numbers, in order."""

    format: int = FORMAT
    study: str = ""
    seed: int = 0
    options: dict[str, Any] = {}
    draws: dict[str, list[int]] = {}

    def save(self, path: str | Path) -> None:
        Path(path).write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=0) + b"\n")

    @staticmethod
    def load(path: str | Path) -> Tape:
        """Raises TapeError, with what is wrong."""
        try:
            octets = Path(path).read_bytes()
        except OSError as error:
            raise TapeError(f"{path}: {error.strerror or error}") from error
        try:
            tape = msgspec.json.decode(octets, type=Tape)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise TapeError(f"{path} is no tape: {error}") from error
        if tape.format > FORMAT:
            raise TapeError(f"{path} is a tape of format {tape.format}; this smx-sim reads up to {FORMAT}")
        return tape

    def length(self) -> int:
        """How many draws are not calm."""
        return sum(1 for numbers in self.draws.values() for number in numbers if number)

    def changed(self, purpose: str, numbers: list[int]) -> Tape:
        """The tape with other numbers for one purpose."""
        return msgspec.structs.replace(self, draws={**self.draws, purpose: numbers})


class Stream:
    """The draws of one purpose. Recorded; replayed when there is something to replay."""

    __slots__ = ("_given", "_random", "drawn", "purpose")

    def __init__(self, purpose: str, source: random.Random | None, given: Sequence[int] = ()) -> None:
        self.purpose = purpose
        self.drawn: list[int] = []
        self._random = source.random if source is not None else None
        self._given = iter(given)

    def below(self, bound: int) -> int:
        """A number in [0, bound); 0 for a bound of 1 or less, without a draw."""
        if bound <= 1:
            return 0
        number = int(self._random() * bound) if self._random is not None else min(max(next(self._given, 0), 0), bound - 1)
        self.drawn.append(number)
        return number

    def chance(self, per_mille: int) -> bool:
        """True in so many of a thousand draws. Nothing is drawn for never."""
        if per_mille <= 0:
            return False
        return self.below(1000) >= 1000 - per_mille

    def pick(self, choices: Sequence[_T]) -> _T:
        """One of them; the first is the calm one."""
        return choices[self.below(len(choices))]

    def between(self, low: int, high: int) -> int:
        """A number in [low, high]; `low` is the calm one."""
        return low + self.below(high - low + 1)

    def fraction(self) -> float:
        """A number in [0, 1)."""
        return self.below(_FINE) / _FINE

    def exponential(self, mean: int) -> int:
        """An interval of a Poisson process; 0 is the calm one."""
        return int(-math.log1p(-self.fraction()) * mean)

    def normal(self) -> float:
        """Of the standard normal distribution, within five deviations; 0.0 is the calm one."""
        angle = 2 * math.pi * self.fraction()
        return math.sqrt(min(-2 * math.log1p(-self.fraction()), 25.0)) * math.cos(angle)

    def sample(self, choices: Sequence[_T], count: int) -> list[_T]:
        """So many different ones, in the order drawn."""
        left = list(choices)
        return [left.pop(self.below(len(left))) for _ in range(min(count, len(left)))]

    def shuffled(self, choices: Sequence[_T]) -> list[_T]:
        """All of them in another order; theirs is the calm one."""
        return self.sample(choices, len(choices))


class Choices:
    """The streams of one run."""

    def __init__(self, seed: int = 0, tape: Tape | None = None) -> None:
        self.seed = seed if tape is None else tape.seed
        self._tape = tape
        self._streams: dict[str, Stream] = {}

    @staticmethod
    def replay(tape: Tape) -> Choices:
        return Choices(tape=tape)

    def stream(self, purpose: str) -> Stream:
        """The one stream of this purpose."""
        stream = self._streams.get(purpose)
        if stream is None:
            if self._tape is None:
                stream = Stream(purpose, random.Random(f"{self.seed}/{purpose}"))
            else:
                stream = Stream(purpose, None, self._tape.draws.get(purpose, ()))
            self._streams[purpose] = stream
        return stream

    def tape(self, study: str = "", options: dict[str, Any] | None = None) -> Tape:
        """What was drawn until now."""
        draws = {purpose: list(stream.drawn) for purpose, stream in sorted(self._streams.items())}
        return Tape(study=study, seed=self.seed, options=options or {}, draws=draws)
