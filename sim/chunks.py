"""Chunks: a campaign cut into pieces that any process on any machine can run: some consecutive seeds of one study, and what came of them.

A chunk's result is small, and results can be added in any order: counts, markers, failures, and a digest of digests that does not depend on the
order or on how the seeds were cut. As a program (`python -m sim.chunks`) it runs the one chunk on its standard input, for `--verify`.
"""

from __future__ import annotations

import hashlib
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from sim.studies import Run, find, run
from sim.studies.study import UNFINISHED

CRASHED: Final = "ERROR"  # the id of a failure of the simulator itself
UNFINISHED_ID: Final = "UNFINISHED"
RUNAWAY: Final = "RUNAWAY"  # the id of a seed that used up its time
LIMIT_S: Final = 120.0
_MODULUS: Final = 1 << 128
TEXT_SHOWN: Final = 200


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Seeds first .. first + count - 1. `limit_s`: CPU seconds for each; 0: as many as it takes."""

    study: str
    first: int
    count: int
    options: dict[str, Any] = {}
    keep_digests: bool = False
    limit_s: float = LIMIT_S

    @property
    def seeds(self) -> range:
        return range(self.first, self.first + self.count)


class Failure(msgspec.Struct, frozen=True):
    """A seed that broke something. `ids`: of what, the first one first; `text`: how the first one was broken."""

    seed: int
    ids: tuple[str, ...]
    text: str


class Result(msgspec.Struct, kw_only=True):
    """What came of some seeds. `digest`: the sum of the digests of seeds with their digests, modulo 2**128, hexadecimal."""

    seeds: int = 0
    events: int = 0
    digest: str = "0" * 32
    simulated_us: int = 0
    cpu_s: float = 0.0
    markers: dict[str, int] = {}  # -> seeds that reached it
    figures: dict[str, float] = {}  # -> sum over the seeds
    failures: list[Failure] = []
    digests: dict[str, str] = {}  # seed -> digest, when they are to be kept

    def add(self, other: Result) -> None:
        self.seeds += other.seeds
        self.events += other.events
        self.digest = joined((self.digest, other.digest))
        self.simulated_us += other.simulated_us
        self.cpu_s += other.cpu_s
        self.markers = _sum(self.markers, other.markers)
        self.figures = _sum(self.figures, other.figures)
        self.failures = sorted([*self.failures, *other.failures], key=lambda failure: failure.seed)
        self.digests = {**self.digests, **other.digests}


def _sum(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in sorted({**one, **other})}


def joined(digests: Iterable[str]) -> str:
    """The digest of digests, in any order."""
    return f"{sum(int(digest, 16) for digest in digests) % _MODULUS:032x}"


def of_seed(seed: int, digest: str) -> str:
    """What a seed puts into the digest of digests."""
    return hashlib.blake2b(f"{seed} {digest}".encode(), digest_size=16).hexdigest()


def run_chunk(chunk: Chunk) -> Result:
    """Run every seed. An exception of the simulator fails its seed, not the chunk. Raises OptionError."""
    study = find(chunk.study)
    options = study.checked(chunk.options)
    total = Result()
    begun = time.process_time()
    for seed in chunk.seeds:
        try:
            with limited(chunk.limit_s):
                done = run(study, seed, options)
            total.add(_of_run(done, keep_digest=chunk.keep_digests))
        except RunawayError:
            total.add(Result(seeds=1, failures=[Failure(seed, (RUNAWAY,), f"no end after {chunk.limit_s:g} CPU seconds")]))
        except Exception:  # whatever the simulator raises is a finding
            total.add(Result(seeds=1, failures=[Failure(seed, (CRASHED,), traceback.format_exc())]))
    total.cpu_s = time.process_time() - begun
    return total


class RunawayError(BaseException):
    """A run makes no end. Not an Exception: no component may take it for its own."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raises RunawayError after so many CPU seconds. Only a main thread can be interrupted: workers of joblib are, threads of Dask are not."""
    if not seconds or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ran_away(*_: object) -> None:
        raise RunawayError

    before = signal.signal(signal.SIGVTALRM, ran_away)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _of_run(done: Run, *, keep_digest: bool) -> Result:
    outcome = done.outcome
    result = Result(
        seeds=1,
        events=outcome.events,
        digest=of_seed(done.seed, outcome.digest),
        simulated_us=outcome.ended_at_us,
        markers=dict.fromkeys(outcome.markers, 1),
        figures=outcome.figures,
        digests={str(done.seed): outcome.digest} if keep_digest else {},
    )
    if done.failed:
        ids = tuple(dict.fromkeys(violation.invariant for violation in outcome.violations)) or (UNFINISHED_ID,)
        text = outcome.violations[0].what if outcome.violations else UNFINISHED
        result.failures = [Failure(done.seed, ids, text[:TEXT_SHOWN])]
    return result


def main() -> None:
    """One chunk as JSON on standard input, its result on standard output."""
    chunk = msgspec.json.decode(sys.stdin.buffer.read(), type=Chunk)
    sys.stdout.buffer.write(msgspec.json.encode(run_chunk(chunk)) + b"\n")


if __name__ == "__main__":
    main()
