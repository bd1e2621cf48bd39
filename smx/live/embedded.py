"""Embedded: the whole MTA in one process, on one loop: for `smx run --embedded`, tests and notebooks.

The components are those of the processes, each with an epoch of its own; links between them go through the host's inbox, while QMGR and SMAR also
listen on their sockets, so that the tools work as always. What MCP does for processes is done here once: the lock on the spool, its
directories, the epoch file, the listening sockets.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final

import msgspec

from smx.config import spool as spool_directories
from smx.config.schema import Settings, process_settings
from smx.effects import Note
from smx.factory import make_component
from smx.ids import next_epoch
from smx.live import queue_lock, spool_lock, submit_file
from smx.live.assembly import Listeners, assemble
from smx.live.epoch_file import read_epoch, save_epoch
from smx.live.host import GRACE_US, START_TIMEOUT_S, HaltedError, Host
from smx.live.links import Links, join
from smx.live.listeners import bind, name_of
from smx.live.runner import Runner
from smx.mcp import plan
from smx.topology import connects_to

ORDER: Final = ("qmgr", "smar", "lda", "smtpc", "smtps")  # of the start; stopped the other way round
SEED_BITS: Final = 63


class Embedded:
    """Use as a context manager: inside it mail flows. `error` of a component is raised by `__enter__`, `stop` or `__exit__`."""

    def __init__(self, settings: Settings, *, record: str = "", encode: bool = False, seed: int | None = None) -> None:
        self.settings = settings
        self.ports: dict[str, int] = {}
        self.notes: list[tuple[str, Note]] = []
        self._record = record
        self._encode = encode
        self._seed = secrets.randbits(SEED_BITS) if seed is None else seed
        self._heard = threading.Condition()
        self._held: list[int] = []  # locks
        self._listeners: dict[str, socket.socket] = {}
        spool_directories.prepare(settings)
        self.host = Host(settings.log)
        try:
            self._build()
        except BaseException:
            self.host.discard()
            self._release()
            raise

    # --- making it

    def _build(self) -> None:
        settings = self.settings
        self._held.append(spool_lock.take(settings.spool, wait_s=0.0))
        self._held.append(queue_lock.take(settings.spool))
        self._bind()
        epoch = next_epoch(read_epoch(settings.spool), int(time.time()))
        processes = _processes(settings)
        save_epoch(settings.spool, epoch + len(processes))  # A11: durable before any of them is used
        runners = [self._add(process, section, epoch + number) for number, (process, section) in enumerate(processes)]
        self.host.at_begin(lambda: _join_all(runners, encode=self._encode))
        submit_file.write(settings.spool, settings, self.ports)

    def _bind(self) -> None:
        for wanted in plan.listeners(self.settings):
            try:
                listener = bind(wanted.host, wanted.port, wanted.mode, wanted.backlog)
            except OSError as error:
                where = wanted.host if not wanted.port else f"{wanted.host}:{wanted.port}"
                raise OSError(error.errno, error.strerror, where) from error
            self._listeners[wanted.name] = listener
            if not wanted.host.startswith("/"):
                self.ports[wanted.name] = name_of(listener)[1]

    def _add(self, process: str, section: str, epoch: int) -> Runner:
        octets = msgspec.msgpack.encode(process_settings(self.settings, section))
        runner = self.host.add(make_component(process, octets), process, epoch, self._seed + epoch, self.settings.spool)
        handed: Listeners = tuple((name, listener) for name, listener in self._listeners.items() if name.partition(":")[0] == section)
        assemble(runner, octets, handed, dial=False)
        if self._record:
            from smx.live.record import Recorder

            os.makedirs(self._record, mode=0o700, exist_ok=True)
            Recorder(runner, self._record, octets)
        return runner

    # --- running it

    def __enter__(self) -> Embedded:
        """In a thread of its own; every note is kept in `notes`."""
        self.host.log.observe(self._hear)
        try:
            self.host.start(START_TIMEOUT_S)
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def run(self) -> None:
        """In the calling thread, until the components halted."""
        try:
            self.host.run()
        finally:
            self._release()

    def stop(self, grace_us: int = GRACE_US) -> None:
        """Stop in order. Raises what ended the host otherwise."""
        try:
            self.host.stop(grace_us)
        finally:
            self._release()

    def kill(self) -> None:
        """End without a word, as kill -9 does; what was written stays."""
        self.host.kill()
        self._release()

    def _release(self) -> None:
        for listener in self._listeners.values():
            if listener.fileno() >= 0:
                listener.close()
        if self._held:
            submit_file.remove(self.settings.spool)
        while self._held:
            os.close(self._held.pop())

    # --- watching it

    def _hear(self, process: str, note: Note) -> None:
        with self._heard:
            self.notes.append((process, note))
            self._heard.notify_all()

    def wait_note(self, name: str, match: Callable[[Note], bool] = lambda note: True, timeout_s: float = 10.0) -> Note:
        """The first note of this name that `match` accepts, seen already or within the time. Raises TimeoutError, or what ended the host."""
        until = time.monotonic() + timeout_s
        seen = 0
        with self._heard:
            while True:
                for _, note in self.notes[seen:]:
                    if note.name == name and match(note):
                        return note
                seen = len(self.notes)
                if self.host.error is not None:
                    raise self.host.error
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"no note {name} within {timeout_s} s")
                self._heard.wait(min(left, 0.2))


def _processes(settings: Settings) -> list[tuple[str, str]]:
    """(process, section) of all that run, in the order of the start. One of each section: more would share one core all the same."""
    sections = plan.sections(settings)
    return [(section.processes[0], section.name) for kind in ORDER for section in sections if section.kind == kind]


def _join_all(runners: list[Runner], *, encode: bool) -> None:
    links = {runner.process: runner.devices(Links)[0] for runner in runners}
    for runner in runners:
        for listener in connects_to(runner.process):
            if listener in links:
                join(links[runner.process], links[listener], encode=encode)


def run_embedded(settings: Settings, record: str = "", on_ready: Callable[[Embedded], None] = lambda mta: None) -> int:
    """`smx run --embedded`: in the foreground, until SIGINT or SIGTERM. Raises OSError, SpoolHeldError, QueueHeldError; HaltedError and bugs."""
    mta = Embedded(settings, record=record)
    host = mta.host
    for number in (signal.SIGINT, signal.SIGTERM):
        host.loop.add_signal_handler(number, host.request_stop)
    host.loop.add_signal_handler(signal.SIGHUP, host.log.reopen)
    host.when_ready = lambda: on_ready(mta)
    mta.run()
    return 0


__all__ = ["Embedded", "HaltedError", "run_embedded"]
