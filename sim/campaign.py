"""Campaign: many seeds of one study, on many cores or many machines, resumable.

    joblib runs the chunks: on this machine in processes of its own, or on a Dask cluster, where it hands them to the scheduler at an address.
    A state file remembers what has been done: JSON lines, first what the campaign is, then one line a chunk, synced before the next one counts.
    A last line that was cut off by a crash is left out, and its chunk runs again.

`verify` runs every chunk twice, in processes with different PYTHONHASHSEED, and compares the digests of all seeds.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

import msgspec

from sim.chunks import LIMIT_S, Chunk, Failure, Result, run_chunk
from sim.studies import OptionError

CHUNK_SEEDS: Final = 20
FORMAT: Final = 1
HASH_SEEDS: Final = ("1", "4242")
DIFFERS: Final = "DIGEST"  # the id of a failure that `verify` finds


class StateError(Exception):
    """A state file that cannot be read, or that is of another campaign; the text says why."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a state file."""

    study: str
    options: dict[str, Any] = {}
    format: int = FORMAT


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk that was run. `commit`: of the sources that ran it."""

    first: int
    count: int
    commit: str
    result: Result


class State:
    """What has been done, in a file or (path None) nowhere. `lines` in the order in which they were done."""

    def __init__(self, path: Path | None, head: Head) -> None:
        self.lines: list[Line] = []
        self._path: Final = path
        if path is not None:
            self._open(path, head)

    def _open(self, path: Path, head: Head) -> None:
        try:
            octets = path.read_bytes() if path.exists() else b""
            whole = octets[: octets.rfind(b"\n") + 1]
            if whole:
                self._read(path, whole.splitlines(), head)
            else:
                whole = msgspec.json.encode(head) + b"\n"
                path.write_bytes(whole)
            os.truncate(path, len(whole))
        except OSError as error:
            raise StateError(f"{path}: {error.strerror}") from error

    def _read(self, path: Path, lines: list[bytes], head: Head) -> None:
        try:
            found = msgspec.json.decode(lines[0], type=Head)
            self.lines = [msgspec.json.decode(line, type=Line) for line in lines[1:]]
        except msgspec.MsgspecError as error:
            raise StateError(f"{path} is not the state of a campaign: {error}") from error
        if found != head:
            raise StateError(f"{path} is the state of another campaign: {found.study} with {found.options}")

    def add(self, line: Line) -> None:
        """Durable when this returns."""
        self.lines.append(line)
        if self._path is not None:
            with self._path.open("ab") as file:
                file.write(msgspec.json.encode(line) + b"\n")
                file.flush()
                os.fsync(file.fileno())

    def missing(self, first: int, last: int) -> list[tuple[int, int]]:
        """The stretches (first, last) of seeds that have not been run."""
        found = []
        at = first
        for line in sorted(self.lines, key=lambda line: line.first):
            if line.first > at:
                found.append((at, min(line.first - 1, last)))
            at = max(at, line.first + line.count)
            if at > last:
                break
        if at <= last:
            found.append((at, last))
        return [stretch for stretch in found if stretch[0] <= stretch[1]]

    def total(self, first: int, last: int) -> Result:
        """Of the chunks that have seeds in this range."""
        total = Result()
        for line in self.lines:
            if line.first <= last and line.first + line.count > first:
                total.add(line.result)
        return total

    def commits(self) -> dict[str, int]:
        """Commit -> seeds."""
        found: dict[str, int] = {}
        for line in self.lines:
            found[line.commit] = found.get(line.commit, 0) + line.count
        return found


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Seeds `first` to `last` of a study; `jobs` at a time, or on the Dask cluster at the address `dask`."""

    study: str
    first: int
    last: int
    options: dict[str, Any] = {}
    jobs: int = 1
    dask: str = ""
    chunk: int = CHUNK_SEEDS
    limit_s: float = LIMIT_S
    verify: bool = False

    def chunks(self, state: State) -> list[Chunk]:
        """What is left to do."""
        return [
            Chunk(study=self.study, first=at, count=min(self.chunk, last + 1 - at), options=self.options, keep_digests=self.verify, limit_s=self.limit_s)
            for first, last in state.missing(self.first, self.last)
            for at in range(first, last + 1, self.chunk)
        ]


def carry_out(plan: Plan, state: State, on_result: Callable[[Chunk, Result], bool]) -> None:
    """Run what is left; `on_result` is called as results come in, in any order, and says whether to go on. Raises OptionError, StateError."""
    chunks = plan.chunks(state)
    commit = commit_here()
    seen: dict[str, str] = {digest: seed for line in state.lines for seed, digest in line.result.digests.items()}
    for chunk, result in _results(plan, chunks):
        if plan.verify:
            result.failures += _twins(result.digests, seen)
        state.add(Line(first=chunk.first, count=chunk.count, commit=commit, result=result))
        if not on_result(chunk, result):
            return


def _twins(digests: dict[str, str], seen: dict[str, str]) -> list[Failure]:
    """Different seeds must not have the same digest."""
    found = []
    for seed, digest in digests.items():
        if digest in seen:
            found.append(Failure(int(seed), (DIFFERS,), f"the digest is that of seed {seen[digest]} as well: {digest}"))
        seen[digest] = seed
    return found


def _results(plan: Plan, chunks: list[Chunk]) -> Iterator[tuple[Chunk, Result]]:
    """As they come."""
    work = verify_chunk if plan.verify else run_chunk
    if plan.jobs == 1 and not plan.dask:
        for chunk in chunks:
            yield chunk, work(chunk)
        return
    from joblib import Parallel, delayed

    with _backend(plan):
        parallel = Parallel(n_jobs=plan.jobs or -1, batch_size=1, return_as="list" if plan.dask else "generator_unordered")
        if not plan.dask:
            yield from parallel(delayed(_with)(work, chunk) for chunk in chunks)
            return
        # Dask's back end gives no results before all are there: hand it the chunks in portions
        portion = max(1, 4 * _effective_jobs(plan))
        for at in range(0, len(chunks), portion):
            yield from parallel(delayed(_with)(work, chunk) for chunk in chunks[at : at + portion])


def _with(work: Callable[[Chunk], Result], chunk: Chunk) -> tuple[Chunk, Result]:
    return chunk, work(chunk)


def _backend(plan: Plan) -> AbstractContextManager[Any]:
    """Where joblib runs the chunks. Verification starts processes by itself: threads that wait for them are enough."""
    from joblib import parallel_config

    if not plan.dask:
        return parallel_config(backend="threading") if plan.verify else nullcontext()
    try:
        from distributed import Client
    except ImportError as error:
        raise OptionError("--dask needs the package distributed: pip install 'smx[cluster]'") from error
    try:
        client = Client(plan.dask, timeout="20s")
    except (OSError, ValueError) as error:
        raise OptionError(f"--dask {plan.dask}: no scheduler answers: {error}") from error
    config: AbstractContextManager[Any] = parallel_config(backend="dask", client=client)
    return config


def _effective_jobs(plan: Plan) -> int:
    from joblib import effective_n_jobs

    return int(effective_n_jobs(-1))


# --- verification -----------------------------------------------------------------------------------------------------------


def verify_chunk(chunk: Chunk) -> Result:
    """Run it in two new processes with different hash seeds, and compare the digests of every seed."""
    result, other = (_elsewhere(chunk, hash_seed) for hash_seed in HASH_SEEDS)
    for seed, digest in result.digests.items():
        if other.digests.get(seed) != digest:
            result.failures.append(
                Failure(int(seed), (DIFFERS,), f"digest {digest} with PYTHONHASHSEED={HASH_SEEDS[0]}, {other.digests.get(seed)} with {HASH_SEEDS[1]}")
            )
    result.cpu_s += other.cpu_s
    return result


def _elsewhere(chunk: Chunk, hash_seed: str) -> Result:
    done = subprocess.run(
        [sys.executable, "-m", "sim.chunks"],
        input=msgspec.json.encode(chunk),
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=True,
    )
    return msgspec.json.decode(done.stdout, type=Result)


# --- the sources ------------------------------------------------------------------------------------------------------------


def commit_here() -> str:
    """The commit of the sources, with a + when they were changed since; "unknown" outside a repository."""
    root = Path(__file__).resolve().parents[1]
    try:
        commit = subprocess.run(["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(
            ["git", "-C", str(root), "status", "--porcelain", "--", "smx", "sim"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}+" if changed else commit
