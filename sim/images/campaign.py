"""Campaign: crash images by the million, on many cores, to be interrupted and resumed.

First the exhaustive part: every workload at the depths "log", "queue" and "full" (there each so-many-th image goes the whole way); then random
histories of the log, seed after seed, until there are enough images.

The state file holds JSON lines: first what the campaign is, then one line for each piece of work, synced before the next one counts; a last line
that was cut off is left out, and its piece runs again. Beside it, in FILE.seen, lie the digests of the exhaustive part, so that an image that two
workloads share counts once. Images of random histories need none: the seed stands in each log.
"""

import os
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from sim.campaign import StateError, commit_here
from sim.images.result import Result
from sim.images.search import search, search_seeds
from sim.images.seen import Seen
from sim.images.workloads import exhaustive, find, special

FORMAT: Final = 1
SEEDS_A_PIECE: Final = 20
SEEDS_AHEAD: Final = 16  # pieces
FULL_EVERY: Final = 20
NESTED_EVERY: Final = 50
FOUND_KEPT: Final = 20  # of one piece


Progress = Callable[["Campaign", "Line"], bool]


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first line. `messages_max`: of a workload in the exhaustive part."""

    campaign: str = "crash images"
    messages_max: int = 3
    format: int = FORMAT


class Piece(msgspec.Struct, frozen=True):
    """A workload by its name at a depth, or (name "") the seeds from `first` to `last`."""

    depth: str
    name: str = ""
    first: int = 0
    last: int = 0


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A piece that was done. `counted`: images of it that differ from all before, those inside recoveries (`nested`) with them."""

    piece: Piece
    commit: str
    counted: int
    nested: int
    boundaries: int
    flips: int
    markers: dict[str, int]
    found: list[str]
    cpu_s: float


class Campaign:
    """What has been done. `path` None: nothing is kept."""

    def __init__(self, path: Path | None, messages_max: int = 3) -> None:
        self.lines: list[Line] = []
        self.seen: dict[str, Seen] = {depth: Seen() for depth in ("log", "queue", "full")}
        self._path = path
        self._head = Head(messages_max=messages_max)
        if path is not None:
            self._open(path)

    # --- totals -------------------------------------------------------------------------------------------------------

    @property
    def images(self) -> int:
        return sum(line.counted for line in self.lines)

    def by_depth(self) -> dict[str, int]:
        """Depth -> images."""
        totals = dict.fromkeys(self.seen, 0)
        for line in self.lines:
            totals[line.piece.depth] += line.counted
        return totals

    def markers(self) -> dict[str, int]:
        totals: dict[str, int] = {}
        for line in self.lines:
            for name, times in line.markers.items():
                totals[name] = totals.get(name, 0) + times
        return dict(sorted(totals.items()))

    def found(self) -> list[str]:
        return [text for line in self.lines for text in line.found]

    def commits(self) -> dict[str, int]:
        """Commit -> images."""
        totals: dict[str, int] = {}
        for line in self.lines:
            totals[line.commit] = totals.get(line.commit, 0) + line.counted
        return totals

    # --- pieces -------------------------------------------------------------------------------------------------------

    def pieces(self, count: int) -> Iterator[Piece]:
        """What is left to do, until there are so many images; seeds without end."""
        done = {line.piece for line in self.lines}
        for piece in self._exhaustive():
            if piece not in done:
                yield piece
        first = 0
        while self.images < count:
            piece = Piece("log", "", first, first + SEEDS_A_PIECE - 1)
            first += SEEDS_A_PIECE
            if piece not in done:
                yield piece

    def _exhaustive(self) -> Iterator[Piece]:
        names = [workload.name for workload in (*special(), *exhaustive(self._head.messages_max))]
        for depth in self.seen:
            for name in names:
                yield Piece(depth, name)

    def add(self, piece: Piece, result: Result, numbers: "array[int]", commit: str, cpu_s: float) -> Line:
        """Count a piece; durable when this returns."""
        counted = self.seen[piece.depth].add(numbers) if piece.name else result.images
        line = Line(
            piece=piece,
            commit=commit,
            counted=counted,
            nested=result.nested_images,
            boundaries=result.boundaries,
            flips=result.flips,
            markers=result.markers,
            found=[found.render() for found in result.found[:FOUND_KEPT]],
            cpu_s=round(cpu_s, 2),
        )
        self.lines.append(line)
        if self._path is not None:
            if piece.name:
                _append(self._path.with_suffix(self._path.suffix + ".seen"), _portion(piece.depth, numbers))
            _append(self._path, msgspec.json.encode(line) + b"\n")
        return line

    # --- the file -----------------------------------------------------------------------------------------------------

    def _open(self, path: Path) -> None:
        try:
            octets = path.read_bytes() if path.exists() else b""
            whole = octets[: octets.rfind(b"\n") + 1]
            if whole:
                self._read(path, whole.splitlines())
            else:
                whole = msgspec.json.encode(self._head) + b"\n"
                path.write_bytes(whole)
            os.truncate(path, len(whole))
        except OSError as error:
            raise StateError(f"{path}: {error.strerror}") from error

    def _read(self, path: Path, lines: list[bytes]) -> None:
        try:
            head = msgspec.json.decode(lines[0], type=Head)
            self.lines = [msgspec.json.decode(line, type=Line) for line in lines[1:]]
        except msgspec.MsgspecError as error:
            raise StateError(f"{path} is not the state of a campaign of crash images: {error}") from error
        if head != self._head:
            raise StateError(f"{path} is the state of another campaign: {head}")
        beside = path.with_suffix(path.suffix + ".seen")
        if beside.exists():
            for depth, numbers in _portions(beside.read_bytes()):
                self.seen[depth].add(numbers)


def campaign(
    count: int, jobs: int = 1, state: Path | None = None, *, messages_max: int = 3, progress: Callable[[Campaign, Line], bool] | None = None
) -> Campaign:
    """Run what is left of a campaign until `count` images have been counted. `progress` is called after each piece, and says whether to go on."""
    done = Campaign(state, messages_max)
    commit = commit_here()
    for piece, result, numbers, cpu_s in _results(done.pieces(count), jobs):
        line = done.add(piece, result, numbers, commit, cpu_s)
        if progress is not None and not progress(done, line):
            break
    return done


def _results(pieces: Iterator[Piece], jobs: int) -> Iterator[tuple[Piece, Result, "array[int]", float]]:
    if jobs == 1:
        yield from map(work, pieces)
        return
    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=jobs or -1, batch_size=1, pre_dispatch=SEEDS_AHEAD, return_as="generator_unordered")
    yield from parallel(delayed(work)(piece) for piece in pieces)


def work(piece: Piece) -> tuple[Piece, Result, "array[int]", float]:
    """Do a piece: its result, the digests of what it saw, and CPU seconds."""
    begun = time.process_time()
    seen = Seen()
    if not piece.name:
        result = search_seeds(piece.first, piece.last)
    elif piece.depth == "full":
        result = search(find(piece.name), "full", every=FULL_EVERY, nested_every=NESTED_EVERY, seen=seen)
    else:
        result = search(find(piece.name), piece.depth, torn=piece.depth == "queue", nested_every=NESTED_EVERY if piece.depth == "queue" else 0, seen=seen)
    return piece, result, seen.numbers(), time.process_time() - begun


def _append(path: Path, octets: bytes) -> None:
    with path.open("ab") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())


def _portion(depth: str, numbers: "array[int]") -> bytes:
    return f"{depth} {len(numbers)}\n".encode() + numbers.tobytes()


def _portions(octets: bytes) -> Iterator[tuple[str, "array[int]"]]:
    """As they were written; what was cut off is left out."""
    at = 0
    while (end := octets.find(b"\n", at)) >= 0:
        depth, count = octets[at:end].decode().split()
        data = octets[end + 1 : end + 1 + 8 * int(count)]
        if len(data) < 8 * int(count):
            return
        numbers = array("Q")
        numbers.frombytes(data)
        yield depth, numbers
        at = end + 1 + len(data)
