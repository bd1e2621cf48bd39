"""Process: what MCP knows of one process, and how long it waits before it starts it again.

    state       alive  what is going on
    DOWN        no     not running; is launched as soon as nothing forbids it
    WAITING     no     died; the back-off timer runs
    SAVING      no     its next epoch is being made durable (A11)
    LAUNCHING   yes    told to start; the answer has not come
    RUNNING     yes    started, not ready yet
    READY       yes    serves
    ENDING      yes    was sent TERM; KILL follows when the time is up
    KILLED      yes    was sent KILL; only its end is awaited

"Alive" includes what may be alive: a process counts as dead only after Exited or LaunchFailed (F22).
"""

from enum import IntEnum
from typing import Final

from smx.units import MILLISECOND

RESTART_DELAY_MIN_US: Final = 100 * MILLISECOND  # even when restart_min is 0: a storm of restarts is bounded (F19)
DOUBLINGS_MAX: Final = 30


class State(IntEnum):
    DOWN = 0
    WAITING = 1
    SAVING = 2
    LAUNCHING = 3
    RUNNING = 4
    READY = 5
    ENDING = 6
    KILLED = 7


class Process:
    """One process.

    `failed`: it died by itself and does not serve again yet, so its dependants wait. `wait_for`: those of them that lived when it died
    and must be dead before it may start (F22). `at_fault`: it is being ended because it did not become ready.
    """

    def __init__(self, name: str, number: int, section: int) -> None:
        self.name = name
        self.number = number  # in the order of the start; names its timers
        self.section = section  # number of its section in that order
        self.state = State.DOWN
        self.epoch = 0
        self.pid = 0
        self.launched_at = 0  # 0: not yet, in this life
        self.restart_at = 0
        self.failures = 0
        self.failed = False
        self.at_fault = False
        self.end_wanted = False  # it was LAUNCHING when it had to end
        self.wait_for: set[str] = set()

    @property
    def alive(self) -> bool:
        return self.state >= State.LAUNCHING

    def back_off(self, now: int, restart_min_us: int, restart_max_us: int, restart_reset_us: int) -> int:
        """Count a failure; the microseconds to wait. Doubles each time, begins anew after the process ran long enough."""
        if self.launched_at and now - self.launched_at >= restart_reset_us:
            self.failures = 0
        shortest = max(restart_min_us, RESTART_DELAY_MIN_US)
        delay: int = min(shortest << min(self.failures, DOUBLINGS_MAX), max(restart_max_us, shortest))
        self.failures += 1
        return delay
