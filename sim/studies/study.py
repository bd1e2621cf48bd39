"""Study: a question, and a world that answers it for one seed. All studies are run, traced, repeated and reported in the same way.

A study is a function from choices to a world that is ready to run: whatever it draws comes from the choice tape, so that a seed, a tape and an
edited tape are three ways to the same thing. What a study measures besides the world's figures it gives by `figures`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from sim.checkers import REGISTRY
from sim.choices import Choices, Tape
from sim.trace import Trace
from sim.truth import Truth
from sim.world import Outcome, World

Options = Mapping[str, Any]


class OptionError(Exception):
    """An option that the study does not have, or a value that it cannot take; the text says what it has."""


class Setting(msgspec.Struct):
    """A world that is ready to run. `figures`: called after the run, adds to the outcome's; `story`: what was drawn, in one line a choice."""

    world: World
    figures: Callable[[], dict[str, float]] = dict
    story: list[str] = []


Build = Callable[[Choices, Trace, Truth, Options], Setting]


class Study(msgspec.Struct, frozen=True):
    """`question`: in one sentence. `options`: name -> default; a given value must be of the default's type. `markers`: the rare states that a
    campaign of this study is to reach. `costly`: checkers that judge only each `costly_every`th seed.
    """

    name: str
    question: str
    build: Build
    options: dict[str, Any] = {}
    markers: tuple[str, ...] = ()
    costly: tuple[str, ...] = ()
    costly_every: int = 1

    def checkers(self, seed: int) -> tuple[str, ...] | None:
        """The ids of those that judge this seed; None: all."""
        return tuple(name for name in REGISTRY if name not in self.costly) if self.costly and seed % self.costly_every else None

    def checked(self, given: Options) -> dict[str, Any]:
        """The options with the given ones in place. Raises OptionError."""
        for name, value in given.items():
            if name not in self.options:
                raise OptionError(f"{self.name} has no option {name!r}; it has {', '.join(sorted(self.options)) or 'none'}")
            if type(value) is not type(self.options[name]):
                raise OptionError(f"{self.name}: {name} is {self.options[name]!r} by default; {value!r} is of another kind")
        return {**self.options, **given}


class Run(msgspec.Struct, frozen=True):
    """One run of a study: what came out, and the tape that repeats it."""

    study: Study
    seed: int
    outcome: Outcome
    tape: Tape
    story: tuple[str, ...]
    trace: Trace
    truth: Truth

    @property
    def failed(self) -> bool:
        return bool(self.outcome.violations) or not self.outcome.finished


def run(study: Study, seed: int = 0, options: Options | None = None, *, tape: Tape | None = None, keep: bool = False) -> Run:
    """One run, by a seed or by a tape. `keep`: keep the trace's lines and all facts."""
    choices = Choices(seed) if tape is None else Choices.replay(tape)
    chosen = study.checked((options or {}) if tape is None else tape.options)
    trace = Trace(keep_lines=keep)
    truth = Truth(study.checkers(choices.seed), keep=keep)
    setting = study.build(choices, trace, truth, chosen)
    outcome = setting.world.run()
    outcome = msgspec.structs.replace(outcome, figures={**outcome.figures, **setting.figures()})
    return Run(study, choices.seed, outcome, choices.tape(study.name, chosen), tuple(setting.story), trace, truth)


UNFINISHED: Final = "the run did not come to rest within its limit: L1"
