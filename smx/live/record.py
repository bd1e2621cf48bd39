"""Record: writes what a component is told and what it orders to DIR/PROCESS.EPOCH.rec, once a loop turn (BX25).

A process that is killed leaves all but the last turn. The effects are recorded before they are carried out.
"""

import os
from typing import Final

from smx.effects import AnyEffect
from smx.events import AnyEvent
from smx.live.runner import Runner, Step
from smx.recording import Writer
from smx.units import MIB

TURN_OCTETS_MAX: Final = 1 * MIB  # written at once when more has been collected within one turn
FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
MODE: Final = 0o600  # it holds mail


class Recorder:
    """Records one runner. `settings`: its Settings Struct as MessagePack."""

    def __init__(self, runner: Runner, directory: str, settings: bytes) -> None:
        self.path = f"{directory}/{runner.process}.{runner.epoch}.rec"
        self._host = runner.host
        self._writer = Writer(runner.process, runner.epoch, settings, runner.clock.now() + runner.clock.wall_offset)
        self._file = os.open(self.path, FLAGS, MODE)
        self._buffer = bytearray(self._writer.header)
        self.flush()
        runner.wrap(self._wrap)
        runner.at_close(self.close)

    def _wrap(self, step: Step) -> Step:
        def recorded(event: AnyEvent, now: int) -> list[AnyEffect]:
            try:
                effects = step(event, now)
            except BaseException:  # a bug: the replay runs into it as well
                self._add(self._writer.step(event, now, []))
                raise
            self._add(self._writer.step(event, now, effects))
            return effects

        return recorded

    def _add(self, record: bytes) -> None:
        buffer = self._buffer
        if not buffer:
            self._host.loop.call_soon(self.flush)
        buffer += record
        if len(buffer) > TURN_OCTETS_MAX:
            self.flush()

    def flush(self) -> None:
        """Write what was collected. A recording that cannot be written ends the process: half of one is of no use."""
        view = memoryview(bytes(self._buffer))
        self._buffer.clear()
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            self._host.fail(error)

    def close(self) -> None:
        self.flush()
        os.close(self._file)
