"""Evaluation: is a mutation caught? Runs its scene with it, seed by seed, until a checker objects, and the same seeds without it: there must be silence."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Final

import msgspec

from sim.choices import Choices
from sim.mutations.mutation import REGISTRY, Mutation, applied
from sim.mutations.scenes import SCENES
from sim.observer import Violation
from sim.trace import Trace
from sim.truth import Truth

SEEDS: Final = 10
RECORDS_MAX: Final = 80_000  # of one run's trace: a scene has some thousands
UNFINISHED: Final = "L1"  # the run did not come to rest

Progress = Callable[["Result", int, int], None]


class Verdict(msgspec.Struct, frozen=True):
    """Of one run: who objected first, and to what; both "" when nobody did."""

    checker: str = ""
    what: str = ""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table. `caught`: a violation with it, silence without it; `seeds`: how many until then (or how many were tried).

    `checker`: the one that fired first; `silent`: nobody objected on the same seeds without the mutation; `violation`: what was objected to.
    """

    name: str
    checker: str
    caught: bool
    seeds: int
    expected: str = ""
    silent: bool = True
    violation: str = ""
    what: str = ""
    breaks: tuple[str, ...] = ()
    where: str = ""
    scene: str = ""

    def row(self, *, full: bool = False) -> dict[str, Any]:
        """For JSON: name, checker, caught, seeds; with `full` everything."""
        row: dict[str, Any] = msgspec.to_builtins(self)
        return row if full else {name: row[name] for name in ("name", "checker", "caught", "seeds")}


class RunawayError(BaseException):
    """The run makes no end, in time that does not pass. No component may catch it."""


class BoundedTrace(Trace):
    """Ends a run that a mutation has sent round in circles."""

    def record(self, now: int, lane: str, kind: str, payload: object = None) -> None:
        super().record(now, lane, kind, payload)
        if self.events > RECORDS_MAX:
            raise RunawayError

    def step(self, now: int, process: str, event: Any, effects: Any) -> None:
        super().step(now, process, event, effects)
        if self.events > RECORDS_MAX:
            raise RunawayError


def judge(scene: str, seed: int) -> Verdict:
    """One run of a scene, of the product as it is now."""
    truth = Truth()
    world = SCENES[scene].build(Choices(seed), BoundedTrace(), truth)
    try:
        outcome = world.run()
    except RunawayError:
        return _first(truth.violations) or Verdict(UNFINISHED, "the run goes round in circles: it makes no end")
    found = _first(outcome.violations)
    if found is not None:
        return found
    if not outcome.finished:
        return Verdict(UNFINISHED, f"the run did not come to rest within {outcome.ended_at_us // 1_000_000} s")
    return Verdict()


def _first(violations: Sequence[Violation]) -> Verdict | None:
    return Verdict(violations[0].invariant, violations[0].what) if violations else None


@cache
def judge_product(scene: str, seed: int) -> Verdict:
    """The same of the product itself; run once."""
    return judge(scene, seed)


def evaluate(mutation: Mutation, seeds: int = SEEDS, first: int = 0) -> Result:
    """Until it is caught, at most so many seeds."""
    verdict, tried = Verdict(), 0
    while tried < seeds and not verdict.checker:
        with applied(mutation):
            verdict = judge(mutation.scene, first + tried)
        tried += 1
    silent = all(not judge_product(mutation.scene, seed).checker for seed in range(first, first + tried))
    return Result(
        name=mutation.name,
        checker=verdict.checker,
        caught=bool(verdict.checker) and silent,
        seeds=tried,
        expected=mutation.checker,
        silent=silent,
        violation=verdict.what,
        what=mutation.what,
        breaks=mutation.breaks,
        where=mutation.where,
        scene=mutation.scene,
    )


def evaluate_all(names: Iterable[str] | None = None, jobs: int = 1, seeds: int = SEEDS, progress: Progress | None = None) -> list[Result]:
    """All mutations, or those named, in the order of the registry. `progress(result, done, total)` is called as results come. KeyError for an unknown name."""
    wanted = list(REGISTRY) if names is None else list(names)
    mutations = [REGISTRY[name] for name in wanted]
    results: dict[str, Result] = {}
    for result in _results(mutations, jobs, seeds):
        results[result.name] = result
        if progress is not None:
            progress(result, len(results), len(mutations))
    return [results[mutation.name] for mutation in mutations]


def _results(mutations: Sequence[Mutation], jobs: int, seeds: int) -> Iterator[Result]:
    if jobs == 1:
        for mutation in mutations:
            yield evaluate(mutation, seeds)
        return
    from joblib import Parallel, delayed  # costs a third of a second

    yield from Parallel(n_jobs=jobs, return_as="generator_unordered")(delayed(_evaluate_named)(mutation.name, seeds) for mutation in mutations)


def _evaluate_named(name: str, seeds: int) -> Result:
    """In another process, which has a registry of its own."""
    import sim.mutations

    return evaluate(sim.mutations.REGISTRY[name], seeds)
