"""Chronicle: one run once more, with everything that happened in its exact order: what components took, what was carried out, and every fact.

A trace has the steps of components, and the truth has the facts; neither says which of a step's effects were carried out before a crash. Here
all three go into one list. The run itself is not changed by this: its digest is that of the plain run.
"""

from typing import Any, Final, NamedTuple

import msgspec

from sim.choices import Choices, Tape
from sim.facts import Crashed, Fact, FaultEnded, FaultInjected, FaultsEnded, Stopped
from sim.studies import Run, Study
from sim.studies.study import Options
from sim.trace import Trace
from sim.truth import Truth
from smx.effects import AnyEffect, Note
from smx.events import AnyEvent

CLIENT: Final = "client"
WORLD: Final = "world"
WORLD_FACTS: Final = (Crashed, Stopped, FaultInjected, FaultEnded, FaultsEnded)


class Record(NamedTuple):
    """A happening that is no step: an operation of a disk, a piece on the network, a fault, a birth or death of a process."""

    kind: str
    payload: Any


class Moment(NamedTuple):
    """`at`: microseconds after the start. `what`: an Event that was taken, an Effect that was carried out, a Fact, or a Record."""

    at: int
    lane: str
    what: Any


class Chronicle(NamedTuple):
    """`moments` in order; `run` has the outcome, the trace with its lines, and the truth with its facts."""

    run: Run
    moments: list[Moment]


def chronicle(study: Study, seed: int = 0, options: Options | None = None, *, tape: Tape | None = None) -> Chronicle:
    """Run it, and keep everything. Raises OptionError."""
    choices = Choices(seed) if tape is None else Choices.replay(tape)
    chosen = study.checked((options or {}) if tape is None else tape.options)
    trace, truth = _Recorder(), Truth(keep=True)
    truth.facts = _Facts(trace)
    setting = study.build(choices, trace, truth, chosen)
    world = setting.world
    wanted = world.on_boundary

    def look(process: str, effect: AnyEffect) -> None:
        if type(effect) is not Note:  # it is there as a fact
            trace.moments.append(Moment(world.env.now - trace.started_at, process, effect))
        if wanted is not None:
            wanted(process, effect)

    world.on_boundary = look
    outcome = world.run()
    outcome = msgspec.structs.replace(outcome, figures={**outcome.figures, **setting.figures()})
    run = Run(study, choices.seed, outcome, choices.tape(study.name, chosen), tuple(setting.story), trace, truth)
    return Chronicle(run, trace.moments)


def again(run: Run) -> Chronicle:
    """The same run once more. Nothing is drawn that is not on its tape."""
    return chronicle(run.study, tape=run.tape)


class _Recorder(Trace):
    """A trace that also tells the chronicle."""

    def __init__(self) -> None:
        super().__init__(keep_lines=True)
        self.moments: list[Moment] = []

    def record(self, now: int, lane: str, kind: str, payload: object = None) -> None:
        super().record(now, lane, kind, payload)
        self.moments.append(Moment(now - self.started_at, lane, Record(kind, payload)))

    def step(self, now: int, lane: str, event: AnyEvent, effects: Any) -> None:
        super().step(now, lane, event, effects)
        self.moments.append(Moment(now - self.started_at, lane, event))


class _Facts(list[Fact]):
    """The facts of a truth, told to the chronicle as they come."""

    def __init__(self, trace: _Recorder) -> None:
        super().__init__()
        self._trace = trace

    def append(self, fact: Fact) -> None:
        super().append(fact)
        self._trace.moments.append(Moment(fact.at - self._trace.started_at, lane_of(fact), fact))


def lane_of(fact: Fact) -> str:
    """Whose fact it is: a process, a host, the client, or the world's."""
    if isinstance(fact, WORLD_FACTS):
        return WORLD
    return getattr(fact, "process", "") or getattr(fact, "host", "") or CLIENT
