"""Runs of studies that tests look at: each seed once."""

from functools import lru_cache

from sim.studies import Run, find, run

Options = tuple[tuple[str, object], ...]


def silent(name: str, seed: int, options: Options = ()) -> Run:
    """The run; every checker was silent in it, and it came to rest."""
    return _silent(name, seed, options)


@lru_cache(maxsize=16)
def _silent(name: str, seed: int, options: Options) -> Run:
    done = run(find(name), seed, dict(options))
    assert done.outcome.violations == (), [violation.render() for violation in done.outcome.violations[:3]]
    assert done.outcome.bugs == ()
    assert done.outcome.finished
    return done


def figures(name: str, seed: int, options: Options = ()) -> dict[str, float]:
    return silent(name, seed, options).outcome.figures


def markers(name: str, seed: int) -> tuple[str, ...]:
    return silent(name, seed).outcome.markers
