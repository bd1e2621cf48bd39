"""Shrink: makes the tape of a failing run small while what broke first stays the same, so that what is left is what matters.

A tape is a list of draws for each purpose, 0 is the calm choice, and what is missing is 0: so every edited tape is a tape, and smaller means calmer.
In rounds, until a round changes nothing or the bounds are reached:

    options   whole numbers of the study become smaller
    streams   a whole purpose becomes calm, the longest first
    tails     a purpose becomes calm from some draw on (binary search)
    pieces    stretches of draws become calm, halves first, single draws last
    cuts      stretches are taken out, so that what is behind them moves up
    numbers   single draws become smaller (binary search)

An edited tape that runs is replaced by what the run really drew, without the zeros at the ends.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from sim.choices import Tape
from sim.chunks import RunawayError, limited
from sim.failure import broken_ids
from sim.studies import Run, Study, run

TRIES: Final = 1000
MINUTES: Final = 3.0
CUTS: Final = (8, 4, 2, 1)  # lengths of the stretches that are taken out
LIMIT_S: Final = 3.0  # CPU seconds for a try; more when tries that ended took long
PATIENCE: Final = 10  # times what a try took that ended
Size = tuple[int, int, int]


class Shrunk(msgspec.Struct, frozen=True):
    """What came out. `run`: of the small tape; `before` and `after`: draws that are not calm; `done`: False when a bound came first."""

    run: Run
    before: int
    after: int
    tries: int
    done: bool


class ExhaustedError(Exception):
    """No more tries, or no more time."""


class Shrinker:
    """Of one failing run. `broken`: what breaks first, and must break first in every smaller one."""

    def __init__(self, failed: Run, *, tries: int = TRIES, minutes: float = MINUTES, progress: Callable[[int, int], None] | None = None) -> None:
        assert failed.failed, "a run in which nothing breaks cannot be shrunk"
        self.broken: Final = broken_ids(failed)[0]
        self._study: Final[Study] = failed.study
        self._best = failed
        self._tape = trimmed(failed.tape)
        self._before: Final = failed.tape.length()
        self._tries = 0
        self._tries_max: Final = tries
        self._until: Final = time.monotonic() + minutes * 60
        self._progress = progress
        self._limit_s = LIMIT_S
        self._seen: set[bytes] = {_key(self._tape)}

    def shrink(self) -> Shrunk:
        """As far as the bounds allow."""
        done = True
        try:
            while self._round():
                pass
        except ExhaustedError:
            done = False
        return Shrunk(self._best, self._before, self._tape.length(), self._tries, done)

    def _round(self) -> bool:
        """Every pass once. True: something became smaller."""
        size = size_of(self._tape)
        for one_pass in (self._options, self._streams, self._tails, self._pieces, self._cuts, self._numbers):
            one_pass()
        return size_of(self._tape) < size

    # --- one try ------------------------------------------------------------------------------------------------------

    def _try(self, tape: Tape) -> bool:
        """Whether the same breaks first with this tape; then it is the one to go on with. Nothing is tried twice."""
        key = _key(tape)
        if key in self._seen:
            return False
        self._seen.add(key)
        if self._tries >= self._tries_max or time.monotonic() > self._until:
            raise ExhaustedError
        self._tries += 1
        begun = time.process_time()
        try:
            with limited(self._limit_s):
                tried = run(self._study, tape=tape)
        except (Exception, RunawayError):  # the simulator itself fails on this tape: that is another finding, and not the one that is wanted
            return False
        self._limit_s = max(self._limit_s, PATIENCE * (time.process_time() - begun))
        small = trimmed(tried.tape)
        if self.broken not in broken_ids(tried)[:1] or size_of(small) >= size_of(self._tape):
            return False
        self._best, self._tape = tried, small
        self._seen.add(_key(small))
        if self._progress is not None:
            self._progress(self._tries, small.length())
        return True

    def _with(self, purpose: str, numbers: list[int]) -> bool:
        return self._try(self._tape.changed(purpose, numbers))

    # --- passes -------------------------------------------------------------------------------------------------------

    def _options(self) -> None:
        for name, value in self._tape.options.items():
            if type(value) is int and value > 1:
                smallest(1, value, lambda smaller, name=name: self._option(name, smaller))  # type: ignore[misc]

    def _option(self, name: str, value: Any) -> bool:
        return self._try(msgspec.structs.replace(self._tape, options={**self._tape.options, name: value}))

    def _streams(self) -> None:
        for purpose in self._purposes():
            self._with(purpose, [])

    def _tails(self) -> None:
        for purpose in self._purposes():
            smallest(0, len(self._draws(purpose)), lambda kept, purpose=purpose: self._with(purpose, self._draws(purpose)[:kept]))  # type: ignore[misc]

    def _pieces(self) -> None:
        for purpose in self._purposes():
            length = len(self._draws(purpose)) // 2
            while length:
                self._calm_pieces(purpose, length)
                length //= 2

    def _calm_pieces(self, purpose: str, length: int) -> None:
        at = 0
        while at < len(numbers := self._draws(purpose)):
            if any(numbers[at : at + length]):
                self._with(purpose, numbers[:at] + [0] * len(numbers[at : at + length]) + numbers[at + length :])
            at += length

    def _cuts(self) -> None:
        for purpose in self._purposes():
            for length in CUTS:
                at = 0
                while at + length <= len(numbers := self._draws(purpose)):
                    if not self._with(purpose, numbers[:at] + numbers[at + length :]):
                        at += length

    def _numbers(self) -> None:
        for purpose in self._purposes():
            for at in range(len(self._draws(purpose))):
                numbers = self._draws(purpose)
                if at < len(numbers) and numbers[at] > 1:
                    smallest(1, numbers[at], lambda number, purpose=purpose, at=at: self._number(purpose, at, number))  # type: ignore[misc]

    def _number(self, purpose: str, at: int, number: int) -> bool:
        numbers = list(self._draws(purpose))
        if at >= len(numbers):
            return False
        numbers[at] = number
        return self._with(purpose, numbers)

    def _purposes(self) -> Iterator[str]:
        """Those with draws that are not calm, most draws first; looked up anew each time, for tapes change."""
        for purpose in sorted(self._tape.draws, key=lambda name: (-len(self._draws(name)), name)):
            if self._draws(purpose):
                yield purpose

    def _draws(self, purpose: str) -> list[int]:
        return self._tape.draws.get(purpose, [])


def smallest(low: int, high: int, works: Callable[[int], bool]) -> int:
    """The smallest number in [low, high] that works, if those that work are all above those that do not; `high` is known to work."""
    if low >= high or works(low):
        return min(low, high)
    while high - low > 1:
        middle = (low + high) // 2
        if works(middle):
            high = middle
        else:
            low = middle
    return high


def trimmed(tape: Tape) -> Tape:
    """Without the calm draws at the end of each purpose: they come by themselves."""
    draws = {}
    for purpose, numbers in tape.draws.items():
        length = len(numbers)
        while length and not numbers[length - 1]:
            length -= 1
        if length:
            draws[purpose] = numbers[:length]
    return msgspec.structs.replace(tape, draws=draws)


def size_of(tape: Tape) -> Size:
    """Smaller is better: whole numbers among the options, draws that are not calm, the draws themselves."""
    options = sum(value for value in tape.options.values() if type(value) is int)
    return options, tape.length(), sum(number for numbers in tape.draws.values() for number in numbers)


def _key(tape: Tape) -> bytes:
    return msgspec.msgpack.encode((tape.options, trimmed(tape).draws))
