"""Timers of a world: armed ones by (name, of), fired in order of time, those of the same moment in order of their names."""

from smx.effects import Arm, Disarm

Key = tuple[str, int]
Timers = dict[Key, int]


def set_timer(timers: Timers, effect: Arm | Disarm) -> None:
    """Carry out Arm or Disarm."""
    if isinstance(effect, Arm):
        timers[effect.timer, effect.of] = effect.at
    else:
        timers.pop((effect.timer, effect.of), None)


def take_due(timers: Timers, until: int) -> tuple[int, Key] | None:
    """(when, key) of the timer that rings next, which is armed no more; None when none rings up to then."""
    due = min(((at, key) for key, at in timers.items() if at <= until), default=None)
    if due is not None:
        del timers[due[1]]
    return due
