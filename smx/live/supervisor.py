"""Supervisor: MCP's runtime: sockets, child processes, the epoch file. The decisions are those of smx.mcp.machine.

Job
    `run` takes the lock of the spool, makes its directories, and runs the machine on an event loop until it halts. It is the process that
    `smx run` is; each child is `python -m smx.live.child` (child_spec.py says what it is given).
Strategies
    Children get the listening sockets, the read end of MCP's pipe (its end means that MCP is gone), a pipe to say that they are ready, and
    the open lock file (spool_lock.py). The end of a child is seen through its process descriptor (pidfd), with its exit status.
    Started by root, each child runs under the user of its section and the group of the spool, by which the processes know each other on
    their links; MCP alone keeps root (SX02). Started by anybody else, all run as the caller, and a section that asks for another user is noted.
    A child is in a session of its own: Ctrl-C reaches MCP only, which stops the others in order.
Failures
    Another smx on the spool: status 75, and who it is. A socket that cannot be bound: status 71. A bug: status 70, with its traceback.
    The epoch file cannot be written: nothing more is launched until it can be. A damaged one: status 71, and what to do.
"""

import os
import pwd
import secrets
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from grp import getgrnam
from socket import socket
from typing import Final, TypedDict

import msgspec

from smx.config import spool as spool_directories
from smx.config.schema import Settings, process_settings
from smx.config.spool import is_shared
from smx.effects import Bind, Launch, Note, SaveEpoch, Signal
from smx.events import BindFailed, Bound, EpochSaved, Exited, Launched, LaunchFailed, Ready, StopRequested
from smx.ids import next_epoch
from smx.live import spool_lock, submit_file
from smx.live.assembly import attach_links
from smx.live.child_spec import ChildSpec, Handed, command
from smx.live.device import Orders
from smx.live.epoch_file import DamagedEpochFileError, read_epoch, save_epoch
from smx.live.host import HaltedError, Host
from smx.live.listeners import bind
from smx.live.record import Recorder
from smx.live.runner import Runner
from smx.live.timers import Timers
from smx.mcp import plan
from smx.mcp.machine import Mcp
from smx.units import SECOND

EX_SOFTWARE: Final = 70
EX_OSERR: Final = 71
EX_CANTCREAT: Final = 73
EX_TEMPFAIL: Final = 75
SIGNALS: Final = {"term": signal.SIGTERM, "kill": signal.SIGKILL}
LEFTOVER_WAIT_S: Final = 10.0  # for the children of an MCP that was killed: they end by themselves when their pipe ends
SAVE_AGAIN_S: Final = 1.0
PRIVATE_UMASK: Final = 0o077
SHARED_UMASK: Final = 0o007
SHARED_LOG_MODE: Final = 0o660
READY_OCTETS: Final = 16
SEED_BITS: Final = 63


class Identity(TypedDict, total=False):
    """Under whom a child runs, as subprocess.Popen takes it; nothing in it: as the caller."""

    user: int
    group: int
    extra_groups: list[int]


class Child:
    """A running child: its process, the descriptor that tells its end, the pipe that tells its readiness."""

    def __init__(self, process: str, popen: subprocess.Popen[bytes], pidfd: int, status_fd: int) -> None:
        self.process = process
        self.popen = popen
        self.pidfd = pidfd
        self.status_fd = status_fd


class Supervision:
    """The device that carries out Bind, Launch, Signal and SaveEpoch."""

    def __init__(self, runner: Runner, settings: Settings, lock_fd: int, record: str = "") -> None:
        self._runner = runner
        self._settings = settings
        self._lock_fd = lock_fd
        self._record = record
        self._sockets: dict[str, socket] = {}
        self._addresses: dict[str, tuple[str, int]] = {}
        self._backlogs = {listener.name: listener.backlog for listener in plan.listeners(settings)}
        self._children: dict[str, Child] = {}
        self._life_fd, self._pipe_of_mcp = os.pipe()
        self._users_refused = False
        self._saved_epoch = runner.epoch

    def orders(self) -> Orders:
        return {Bind: self.bind, Launch: self.launch, Signal: self.send_signal, SaveEpoch: self.save_epoch}

    def close(self) -> None:
        """What still lives sees the end of the pipe."""
        loop = self._runner.loop
        for child in self._children.values():
            loop.remove_reader(child.pidfd)
            os.close(child.pidfd)
            self._close_status(child)
        self._children.clear()
        os.close(self._pipe_of_mcp)
        os.close(self._life_fd)
        for name, listener in self._sockets.items():
            host, port = self._addresses[name]
            listener.close()
            if not port and host.startswith("/"):
                _unlink(host)
        submit_file.remove(self._settings.spool)

    # --- sockets

    def bind(self, effect: Bind) -> None:
        try:
            listener = bind(effect.host, effect.port, effect.mode, self._backlogs[effect.listener])
        except OSError as error:
            self._runner.deliver(BindFailed(effect.listener, error.strerror or str(error)))
            return
        self._sockets[effect.listener] = listener
        port = 0 if effect.host.startswith("/") else int(listener.getsockname()[1])
        self._addresses[effect.listener] = (effect.host, port)
        submit_file.write(self._settings.spool, self._settings, {name: port for name, (_, port) in self._addresses.items()})
        self._runner.deliver(Bound(effect.listener, effect.host, port))

    # --- children

    def save_epoch(self, effect: SaveEpoch) -> None:
        """Nothing is launched without it. A full disk ends nothing: what runs goes on, and it is tried again (A10)."""
        if effect.epoch > self._saved_epoch:  # a later one, saved meanwhile, covers this one
            try:
                save_epoch(self._settings.spool, effect.epoch)
            except OSError as error:
                self._runner.note(Note("trouble", ("epoch", str(error))))
                self._runner.loop.call_later(SAVE_AGAIN_S, self.save_epoch, effect)
                return
            self._saved_epoch = effect.epoch
        self._runner.deliver(EpochSaved(effect.epoch))

    def launch(self, effect: Launch) -> None:
        status_fd, status_end = os.pipe()
        spec_fd = -1
        try:
            argv, spec_fd = command(self._spec(effect, status_end))
            handed = [self._sockets[name].fileno() for name in effect.listeners]
            popen = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                pass_fds=(spec_fd, self._life_fd, status_end, self._lock_fd, *handed),
                start_new_session=True,
                umask=SHARED_UMASK if is_shared(self._settings) else PRIVATE_UMASK,
                **self._identity(effect),
            )
        except (OSError, KeyError, subprocess.SubprocessError) as error:
            os.close(status_fd)
            self._runner.deliver(LaunchFailed(effect.process, str(error)))
            return
        finally:
            os.close(status_end)
            if spec_fd >= 0:
                os.close(spec_fd)
        self._watch(Child(effect.process, popen, os.pidfd_open(popen.pid), status_fd))

    def _watch(self, child: Child) -> None:
        self._children[child.process] = child
        os.set_blocking(child.status_fd, False)
        self._runner.loop.add_reader(child.pidfd, self._on_end, child)
        self._runner.loop.add_reader(child.status_fd, self._on_status, child)
        self._runner.deliver(Launched(child.process, child.popen.pid))

    def _spec(self, effect: Launch, status_end: int) -> ChildSpec:
        settings = self._settings
        part = process_settings(settings, plan.section_of_process(effect.process))
        return ChildSpec(
            kind=effect.kind,
            process=effect.process,
            epoch=effect.epoch,
            seed=secrets.randbits(SEED_BITS),
            settings=msgspec.msgpack.encode(part),
            log=msgspec.msgpack.encode(settings.log),
            spool=settings.spool,
            listeners=tuple(Handed(name, self._sockets[name].fileno(), *self._addresses[name]) for name in effect.listeners),
            life_fd=self._life_fd,
            status_fd=status_end,
            record=self._record,
        )

    def _identity(self, effect: Launch) -> Identity:
        """Under whom the child runs (SX02). KeyError when there is no such user or group."""
        if not effect.user:
            return {}
        if os.geteuid() != 0:
            if not self._users_refused and effect.user != pwd.getpwuid(os.geteuid()).pw_name:
                self._users_refused = True
                self._runner.note(Note("trouble", ("users", "smx was not started by root: all processes run as its caller")))
            return {}
        account = pwd.getpwnam(effect.user)
        group = self._settings.mcp.group
        if not group:
            return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        return {"user": account.pw_uid, "group": getgrnam(group).gr_gid, "extra_groups": [account.pw_gid]}

    def _on_status(self, child: Child) -> None:
        try:
            octets = os.read(child.status_fd, READY_OCTETS)
        except BlockingIOError:
            return
        self._close_status(child)
        if octets.startswith(b"ready"):
            self._runner.deliver(Ready(child.process))

    def _on_end(self, child: Child) -> None:
        """The process has ended: what it said before is heard first."""
        status = child.popen.poll()
        if status is None:
            return
        if child.status_fd >= 0:
            self._on_status(child)
            self._close_status(child)
        self._runner.loop.remove_reader(child.pidfd)
        os.close(child.pidfd)
        del self._children[child.process]
        self._runner.deliver(Exited(child.process, child.popen.pid, status))

    def _close_status(self, child: Child) -> None:
        if child.status_fd >= 0:
            self._runner.loop.remove_reader(child.status_fd)
            os.close(child.status_fd)
            child.status_fd = -1

    def send_signal(self, effect: Signal) -> None:
        self._send(effect.process, SIGNALS[effect.signal])

    def reopen_logs(self) -> None:
        """The logs were moved away: everybody opens them anew."""
        for process in self._children:
            self._send(process, signal.SIGHUP)

    def _send(self, process: str, number: signal.Signals) -> None:
        child = self._children.get(process)
        if child is not None:
            signal.pidfd_send_signal(child.pidfd, number)


def run(settings: Settings, record: str = "", on_ready: Callable[[], None] | None = None) -> int:
    """Run smx as processes until it is told to stop by SIGTERM or SIGINT; twice: at once. Gives the exit status.

    `on_ready` is called once, when every process serves.
    """
    try:
        spool_directories.prepare(settings)
        grouped = bool(settings.mcp.group) and os.geteuid() == 0
        if grouped:
            os.setegid(getgrnam(settings.mcp.group).gr_gid)
        if record:
            _make_record_directory(record, shared=grouped)
        lock_fd = spool_lock.take(settings.spool, LEFTOVER_WAIT_S)
        _share_log(settings)
    except spool_lock.SpoolHeldError as error:
        return _failed(str(error), EX_TEMPFAIL)
    except (OSError, KeyError) as error:
        return _failed(f"cannot prepare the spool {settings.spool}: {error}", EX_CANTCREAT)
    try:
        host = _host(settings, lock_fd, record)
    except (DamagedEpochFileError, OSError) as error:
        os.close(lock_fd)
        return _failed(str(error), EX_OSERR)
    try:
        host.when_ready = on_ready
        host.run()
    except HaltedError as error:
        return _failed(error.reason, EX_OSERR)
    except Exception:
        traceback.print_exc()
        return _failed("a bug ended MCP; its processes end as well", EX_SOFTWARE)
    finally:
        os.close(lock_fd)
    return 0


def _failed(text: str, status: int) -> int:
    print(f"smx: {text}", file=sys.stderr)
    return status


def _host(settings: Settings, lock_fd: int, record: str) -> Host:
    """MCP in a host of its own, with an epoch that is durable already (A11)."""
    spool = settings.spool
    epoch = next_epoch(read_epoch(spool), int(time.time()))
    save_epoch(spool, epoch)
    host = Host(settings.log)
    runner = host.add(Mcp(settings), "mcp", epoch, secrets.randbits(SEED_BITS), spool)
    runner.attach(Timers(runner))
    attach_links(runner)
    supervision = Supervision(runner, settings, lock_fd, record)
    runner.attach(supervision)
    if record:
        Recorder(runner, record, msgspec.msgpack.encode(settings))
    grace_us = settings.mcp.stop_timeout_us * (2 * len(settings.order) + 1)
    asked: list[bool] = []

    def stop() -> None:
        if asked:
            runner.deliver(StopRequested(1 * SECOND))
            return
        asked.append(True)
        host.request_stop(grace_us)

    def reopen() -> None:
        _share_log(settings)
        host.log.reopen()
        supervision.reopen_logs()

    for number in (signal.SIGINT, signal.SIGTERM):
        host.loop.add_signal_handler(number, stop)
    host.loop.add_signal_handler(signal.SIGHUP, reopen)
    return host


def _make_record_directory(path: str, *, shared: bool) -> None:
    """Processes of several users write into it as members of their group; each of their files is their own (it holds mail)."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    if shared:
        os.chown(path, -1, os.getegid())
        os.chmod(path, 0o730)


def _share_log(settings: Settings) -> None:
    """The log is made by MCP, so that processes of several users can write to it, whoever comes first."""
    if settings.log.file == "-" or not is_shared(settings):
        return
    descriptor = os.open(settings.log.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, SHARED_LOG_MODE)
    try:
        os.fchmod(descriptor, SHARED_LOG_MODE)
    finally:
        os.close(descriptor)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
