"""Mutations of processes: epochs, starts, stops, restarts (A11, L1, L7)."""

from typing import Any

import msgspec

from sim.mutations.mutation import mutation
from smx.mcp.process import State
from smx.messages import Outcome


@mutation("epoch-not-counted", "A11 I8", "smx.ids:next_epoch", scene="kill-behind-recorded", checker="I8")
def _epoch_not_counted(original: Any) -> Any:
    """A process that is launched again gets the last epoch once more."""
    return lambda last, wall_seconds: max(last, wall_seconds)


@mutation("epoch-by-the-clock", "A11 I8", "smx.ids:next_epoch", scene="clock-back", checker="I8")
def _epoch_by_the_clock(original: Any) -> Any:
    """The epoch is the time of the launch."""
    return lambda last, wall_seconds: wall_seconds


@mutation("never-restarted", "L1", "smx.mcp.machine:Mcp._dead", scene="kill-lda", checker="L1")
def _never_restarted(original: Any) -> Any:
    """MCP does not launch a process again that has died."""

    def dead(self: Any, process: Any, now: int, reason: str) -> None:
        process.state = State.KILLED

    return dead


@mutation("stop-never-ends", "L7", "smx.qmgr.stop:Stop.advance", scene="stop", checker="L7")
def _stop_never_ends(original: Any) -> Any:
    """QMGR takes nothing new when it is stopped, and does not end itself."""
    return lambda self: None


@mutation("server-never-stops", "L7", "smx.smtps.machine:Smtps._halt_when_done", scene="stop", checker="L7")
def _server_never_stops(original: Any) -> Any:
    """SMTPS waits for its grace to end although nobody is connected any more."""
    return lambda self: None


@mutation("dead-writers-unheard-of", "A3 I10", "smx.qmgr.links:Links.process_gone", scene="kill-smtps", checker="I10")
def _dead_writers_unheard_of(original: Any) -> Any:
    """QMGR does not take note of the death of an SMTPS: its segments stay."""
    return lambda self, message: None


@mutation("lost-deliveries-not-tried-again", "L1 A13", "smx.qmgr.scheduler:Scheduler.unlinked", scene="kill-smtpc", checker="L1")
def _lost_deliveries(original: Any) -> Any:
    """What a dead SMTPC had in hand waits for it for ever."""

    def unlinked(self: Any, process: str) -> None:
        if self._carriers.pop(process, None) is not None:
            self._reassign()

    return unlinked


@mutation("lost-deliveries-are-delivered", "I1", "smx.qmgr.scheduler:LOST", scene="kill-smtpc", checker="I1")
def _lost_are_delivered(original: Any) -> Any:
    """What a dead SMTPC had in hand counts as delivered."""
    return msgspec.structs.replace(original, outcome=Outcome.RELAYED)


@mutation("restarted-without-back-off", "I16", "smx.mcp.process:Process.back_off", scene="newer-log", checker="I16")
def _restarted_without_back_off(original: Any) -> Any:
    """A process that dies again and again is launched at once each time."""
    return lambda self, now, restart_min_us, restart_max_us, restart_reset_us: 0


@mutation("not-launched-after-a-failed-fork", "L1", "smx.mcp.machine:Mcp._on_launch_failed", scene="no-fork", checker="L1")
def _not_launched_after_a_failed_fork(original: Any) -> Any:
    """When a process cannot be launched MCP lets it be."""
    return lambda self, event, now: None


@mutation("answers-of-an-earlier-life", "A11 I8", "smx.qmgr.scheduler:DELIVERY_BITS", scene="kill-behind-recorded", checker="I8")
def _answers_of_an_earlier_life(original: Any) -> Any:
    """Deliveries are numbered without regard to the epoch: an answer to an earlier QMGR is taken for one to this one."""
    return 0
