"""Watcher: follows the event log while a campaign runs: who lives, who is ready, and the moment at which an aimed kill has to fall.

Only lines that matter are decoded; the others are searched for the octets that the aim waits for.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

from sim.eventlog import Line, parse_line
from smx.ids import id_number
from tests.live.eventlog import Tail
from tests.live.installation import Installation, is_ours
from tests.live.judge import Death
from tests.live.sink import now_us

IDLE_S = 0.01
AIMED_S = 0.0005
_LIFE = (b'"note":"started"', b'"note":"ready"', b'"note":"exited"')


class Watcher:
    """`alive`: process -> (pid, epoch). `expected`: the processes that MCP starts, itself included."""

    def __init__(self, installation: Installation, expected: tuple[str, ...]) -> None:
        self.alive: dict[str, tuple[int, int]] = {}
        self.epochs: dict[int, int] = {}  # process id -> epoch, of all that ever were
        self._ready: dict[str, int] = {}  # process -> the epoch that said so
        self._expected = expected
        self._tail = Tail(installation.log)
        self._aim: tuple[bytes, Callable[[Line], None]] | None = None

    async def run(self) -> None:
        while True:
            self.poll()
            await asyncio.sleep(IDLE_S if self._aim is None else AIMED_S)

    def poll(self) -> None:
        for octets in self._tail.poll():
            aim = self._aim
            if aim is not None and aim[0] in octets and (line := parse_line(octets)) is not None:
                self._aim = None
                aim[1](line)
            if any(mark in octets for mark in _LIFE) and (line := parse_line(octets)) is not None:
                self._note(line)

    def _note(self, line: Line) -> None:
        if line.note == "started":
            self.alive[line.process] = (line.pid, line.epoch)
            self.epochs[line.pid] = line.epoch
        elif line.note == "ready":
            self._ready[line.process] = line.epoch
        elif self.alive.get(line.text("of_process"), (0, 0))[0] == line.number("of_pid" if "of_pid" in line.values else "pid"):
            del self.alive[line.text("of_process")]

    # --- questions

    @property
    def healthy(self) -> bool:
        """Everybody lives and has said that it is ready."""
        return all((found := self.alive.get(process)) is not None and self._ready.get(process) == found[1] and is_ours(found[0]) for process in self._expected)

    def of_kind(self, kind: str) -> list[str]:
        return [process for process in sorted(self.alive) if process.partition(".")[0] == kind]

    def process_of_epoch(self, epoch: int) -> str:
        """Who lives in this epoch, "" for nobody."""
        return next((process for process, (_, found) in self.alive.items() if found == epoch), "")

    def process_of_pid(self, pid: int) -> str:
        return next((process for process, (found, _) in self.alive.items() if found == pid), "")

    def server_of(self, line: Line) -> str:
        """The SMTPS that has the session named in this line."""
        return self.process_of_epoch(id_number(line.text("session")) >> 31)

    # --- aims

    def aim(self, note: str, action: Callable[[Line], None]) -> None:
        """Call `action` with the next line of this note."""
        self._aim = (b'"note":"%b"' % note.encode(), action)

    def hold(self) -> None:
        """Aim at nothing any more."""
        self._aim = None

    def kill(self, processes: list[str]) -> tuple[Death, ...]:
        """SIGKILL to each of them; gives those that it reached."""
        deaths = []
        for process in processes:
            pid, epoch = self.alive.get(process, (0, 0))
            if pid and is_ours(pid):
                at = now_us()
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    deaths.append(Death(process, epoch, at))
                del self.alive[process]
        return tuple(deaths)
