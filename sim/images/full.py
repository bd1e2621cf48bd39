"""Depth "full": the whole MTA goes on from an image into a calm life until its queue is empty; every checker judges all lives together.

With `nested` the power fails once more, at each operation of the disk before recovery has ended, and what that leaves is recovered and judged in
a third life (F18, I14): every rule must hold then too.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

from sim.disk import Disk
from sim.facts import Noted
from sim.images.result import Found, Result
from sim.images.scene import Boundary, Life, next_life, past
from sim.images.seen import Seen, chosen
from sim.truth import Truth

NESTED_SUBSET_MAX: Final = 2


class Full:
    """Judges the images of one workload. `every`: only each so-many-th new one; `nested_every`: of how many of those recovery is cut too."""

    def __init__(self, result: Result, seen: Seen, *, max_subset: int, torn: bool, every: int = 1, nested_every: int = 0, stop: bool = False) -> None:
        self._result = result
        self._seen = seen
        self._max_subset = max_subset
        self._torn = torn
        self._every = every
        self._nested_every = nested_every
        self._stop = stop  # at the first rule that is broken

    def run(self, life: Life) -> None:
        """All boundaries of a first life that has ended."""
        for boundary in life.boundaries:
            self._result.boundaries += 1
            for image, digest in self._images(boundary, self._max_subset):
                if not chosen(digest, self._every) or not self._seen.is_new(digest):
                    continue
                self._result.images += 1
                if self._stop and self._result.found:
                    return
                nested = bool(self._nested_every) and self._result.images % self._nested_every == 0
                self._go_on(life, boundary, image, boundary.where, nested=nested)

    def _images(self, boundary: Boundary, max_subset: int) -> Iterator[tuple[Disk, bytes]]:
        """With a digest of the disk and of what is known outside: both decide what must come of it."""
        outside = boundary.outside.to_bytes(8, "little")
        for image in boundary.disk.crash_images(max_subset, torn=self._torn):
            yield image, blake2b(image.digest() + outside, digest_size=16).digest()

    def _go_on(self, life: Life, boundary: Boundary, image: Disk, where: str, *, nested: bool) -> None:
        truth = past(life, boundary)
        following = next_life(life, boundary, image, truth, record=nested)
        world = following.world
        recorder = following.recorder
        if nested:
            world.on_note("recovered", lambda process, note: recorder.stop())
        outcome = world.run()
        for violation in outcome.violations:
            self._object(life, violation.invariant, violation.what, where)
        for bug in outcome.bugs:
            self._object(life, "BUG", bug, where)
        if not outcome.finished:
            self._object(life, "L1", "the life after the image does not come to rest", where)
        for rule, what in honest_damage(truth, boundary.facts):
            self._object(life, rule, what, where)
        if nested:
            self._cut_recovery(following, where)

    def _object(self, life: Life, rule: str, what: str, where: str) -> None:
        name = life.workload.name
        self._result.found.append(Found(rule, what, f"{name}: cut {where}", name, life.seed))

    def _cut_recovery(self, life: Life, where: str) -> None:
        for boundary in life.boundaries:
            for image, digest in self._images(boundary, NESTED_SUBSET_MAX):
                if self._seen.is_new(digest):
                    self._result.nested_images += 1
                    self._go_on(life, boundary, image, f"{where}; and in recovery {boundary.where}", nested=False)


def honest_damage(truth: Truth, since: int) -> Iterator[tuple[str, str]]:
    """After a power loss of an honest disk nothing is corrupt, and whoever is found in the log has content (A1, A2): what is quarantined for such
    a reason is reported, so nobody is lost without a word (I1), but it was promised too early.
    """
    for fact in (truth.facts or ())[since:]:
        if type(fact) is Noted and fact.name == "quarantined" and str(fact.values[2]).startswith("content"):
            yield "A1", f"{fact.values[0]:x}/{fact.values[1]} is quarantined: {fact.values[2]}"
        elif type(fact) is Noted and fact.name == "damaged" and str(fact.values[4]).startswith(("corrupt", "missing")):
            yield ("A1" if fact.values[0] == "cdb" else "A2"), f"{fact.values[0]} segment {fact.values[1]:x} is damaged: {fact.values[4]}"
