"""Search: all images of one workload, at one depth."""

from typing import Final

from sim.images.full import Full
from sim.images.log import LogSeed
from sim.images.markers import mark
from sim.images.queue import Queue
from sim.images.reading import FOLDER, LogJudge
from sim.images.result import Found, Result
from sim.images.scene import Life, Prepare, first_life
from sim.images.seen import Seen
from sim.images.workloads import Workload
from sim.world import Outcome

DEPTHS: Final = ("log", "queue", "full")
SUBSET_MAX: Final = 4


def search(
    workload: Workload,
    depth: str = "full",
    *,
    max_subset: int = SUBSET_MAX,
    torn: bool = False,
    every: int = 1,
    nested_every: int = 0,
    seed: int = 0,
    prepare: Prepare | None = None,
    seen: Seen | None = None,
    stop: bool = False,
) -> Result:
    """Play the workload, cut it everywhere, and judge what a power loss may leave.

    `max_subset`: of so many unsynced parts every combination; `torn`: also with the last write cut short; `every`: only each so-many-th image
    (depths "queue" and "full"); `nested_every`: at each so-many-th of those cut its recovery too, everywhere; `prepare(world)`: switches a
    safeguard off; `seen`: images that count no more; `stop`: at the first rule that is broken.
    """
    life = first_life(workload, seed, prepare)
    outcome = life.world.run()
    result = search_in(life, depth, max_subset=max_subset, torn=torn, every=every, nested_every=nested_every, seen=seen, stop=stop)
    result.found[:0] = calm_end(life, outcome)
    return result


def search_in(
    life: Life, depth: str, *, max_subset: int, torn: bool, every: int = 1, nested_every: int = 0, seen: Seen | None = None, stop: bool = False
) -> Result:
    """The images of a first life that has ended."""
    assert depth in DEPTHS, depth
    result = Result(depth)
    seen = Seen() if seen is None else seen
    mark(life, result)
    if depth == "log":
        judge = LogJudge(life.recorder.history, result, seen, name=life.workload.name, seed=life.seed)
        for boundary in life.boundaries:
            if boundary.operation is not None and boundary.operation.path.startswith(FOLDER):
                judge.boundary(boundary.disk, boundary.records, boundary.where, max_subset=max_subset)
    elif depth == "queue":
        Queue(result, seen, max_subset=max_subset, torn=torn, every=every, nested_every=nested_every).run(life)
    else:
        Full(result, seen, max_subset=max_subset, torn=torn, every=every, nested_every=nested_every, stop=stop).run(life)
    if result.nested_images:
        result.mark("crash in recovery", result.nested_images)
    return result


def search_seeds(first: int, last: int) -> Result:
    """Random histories of the log, one a seed; both seeds belong to it."""
    result = Result("log")
    for seed in range(first, last + 1):
        result.add(LogSeed(seed).run())
    return result


def calm_end(life: Life, outcome: Outcome) -> list[Found]:
    """What is wrong without any crash."""
    name = life.workload.name
    found = [Found(violation.invariant, violation.what, f"{name}: no crash", name, life.seed) for violation in outcome.violations]
    if not outcome.finished:
        found.append(Found("L1", "the life does not come to rest", f"{name}: no crash", name, life.seed))
    return found
