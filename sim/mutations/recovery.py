"""Mutations of recovery and of the formats it reads (A2, A3, A14, A16, I9, I10, I14, L2)."""

from typing import Any

import msgspec

from sim.mutations.mutation import mutation
from smx import effects
from smx.effects import Halt


@mutation("adopted-not-written-again", "A2 I9", "smx.qmgr.recovery:Recovery._enter", scene="power-behind-recovery", checker="I9")
def _adopted_not_written_again(original: Any) -> Any:
    """Open records of the old log are taken over into memory, and not into the new segment."""

    def enter(self: Any, result: Any, judgement: Any, ordered: Any) -> None:
        original(self, result, msgspec.structs.replace(judgement, copies=judgement.copies[:0]), ordered)

    return enter


@mutation("old-log-removed-before-the-copy", "A2 A3 I14", "smx.qmgr.ibdb:Ibdb.supersede", scene="recovery-compared", checker="I14")
def _old_log_removed(original: Any) -> Any:
    """The old log goes while its open records are still on their way into the new one."""

    def supersede(self: Any) -> int:
        self._orders.extend(effects.Remove("ibdb", number) for number in self._older)
        self._older = ()
        position: int = original(self)
        return position

    return supersede


@mutation("orphans-stay", "I10", "smx.qmgr.restart:adopt", scene="power-behind-accepted", checker="I10")
def _orphans_stay(original: Any) -> Any:
    """Recovery does not remove content that nothing refers to."""

    def adopt(hub: Any, result: Any, begun_at: int) -> None:
        result.orphans = ()
        original(hub, result, begun_at)

    return adopt


@mutation("recovery-syncs-each", "L2", "smx.qmgr.recovery:BATCH", scene="long-recovery", checker="L2")
def _recovery_syncs_each(original: Any) -> Any:
    """Recovery decides about one transaction at a time, with a sync for each."""
    return 1


@mutation("newer-log-is-damage", "A16 I9", "smx.qmgr.recovery:Recovery._headers", scene="newer-log", checker="I9")
def _newer_log(original: Any) -> Any:
    """A log of a newer version is not refused: it is read as if it were damaged."""

    def headers(self: Any) -> Any:
        steps = original(self)
        answers = None
        while True:
            try:
                ordered, wanted = next(steps) if answers is None else steps.send(answers)
            except StopIteration:
                return
            if any(isinstance(effect, Halt) for effect in ordered):
                answers = []
                continue
            answers = yield ordered, wanted

    return headers
