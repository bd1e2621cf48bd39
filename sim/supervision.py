"""Supervision: the runtime of MCP: sockets, children, the epoch file. The decisions are those of the real smx.mcp.machine.

May happen      a child that dies at any instant, before it has begun too; a fork that fails; an epoch file that cannot be written: then nothing
                is launched until it can be; an MCP that dies: its children see the end of its pipe and stop by themselves.
Never happens   a second QMGR beside a living one: the lock on the queue goes with the process (F22).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.disk.errors import DiskError
from sim.process import UNPOWERED, Orders, Process
from smx.effects import Bind, Launch, Note, SaveEpoch, Signal
from smx.events import BindFailed, Bound, EpochSaved, Exited, Launched, LaunchFailed, Ready
from smx.ids import EPOCH_MAX
from smx.units import SECOND

if TYPE_CHECKING:
    from sim.disk import Disk

STOP_GRACE_US: Final = 25 * SECOND
ORPHAN_GRACE_US: Final = 5 * SECOND
SAVE_AGAIN_US: Final = 1 * SECOND
SYNCS_A_SAVE: Final = 2
EX_UNAVAILABLE: Final = 69
SIGTERM: Final = 15
SIGKILL: Final = 9


class Child:
    """A child of MCP, from the fork to the end. `process` is None while it boots."""

    def __init__(self, supervision: Supervision, launch: Launch, pid: int) -> None:
        self.launch = launch
        self.pid = pid
        self.process: Process | None = None
        self.ended = False
        self._supervision = supervision

    def signal(self, name: str) -> None:
        if self.ended:
            return
        if self.process is None:
            self.end(-SIGKILL if name == "kill" else -SIGTERM)
        elif name == "kill":
            self.process.kill()
        else:
            self.process.stop(STOP_GRACE_US)

    def orphaned(self) -> None:
        """MCP is gone."""
        if self.process is not None:
            self.process.stop(ORPHAN_GRACE_US)

    def end(self, status: int) -> None:
        if not self.ended:
            self.ended = True
            self._supervision.child_ended(self, status)


class Supervision:
    """Carries out Bind, Launch, Signal and SaveEpoch for one life of MCP."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._machine = process.machine
        self._world = process.machine.world
        self._env = process.machine.world.env
        self._children: dict[str, Child] = {}
        self._saved = process.epoch
        self.alive = True

    def orders(self) -> Orders:
        return {Bind: self.bind, Launch: self.launch, Signal: self.signal, SaveEpoch: self.save_epoch}

    def died(self, how: str) -> None:
        self.alive = False
        if how == UNPOWERED:
            return
        for child in list(self._children.values()):
            child.orphaned()

    @property
    def empty(self) -> bool:
        """No child is left."""
        return not self._children

    # --- sockets and epochs -------------------------------------------------------------------------------------------

    def bind(self, effect: Bind) -> None:
        network = self._world.network
        if network.listens(effect.host, effect.port):
            self._process.deliver(BindFailed(effect.listener, "address already in use"))
            return
        network.listen(effect.host, effect.port)
        self._machine.listeners[effect.listener] = (effect.host, effect.port)
        self._process.deliver(Bound(effect.listener, effect.host, effect.port))

    def save_epoch(self, effect: SaveEpoch) -> None:
        """Durable before the launch (A11). What cannot be written is tried again."""
        if effect.epoch > self._saved:
            try:
                save_epoch(self._machine.disk, self._machine.spool, effect.epoch)
            except DiskError as error:
                self._process.note(Note("trouble", ("epoch", str(error))))
                self._env.later(SAVE_AGAIN_US, self._save_again, effect)
                return
            self._saved = effect.epoch
            self._machine.device.work(SYNCS_A_SAVE, self._process.deliver, EpochSaved(effect.epoch))
        else:
            self._process.deliver(EpochSaved(effect.epoch))

    def _save_again(self, effect: SaveEpoch) -> None:
        if self._process.alive:
            self.save_epoch(effect)

    # --- children -----------------------------------------------------------------------------------------------------

    def launch(self, effect: Launch) -> None:
        machine = self._machine
        if machine.forks_fail > 0:
            machine.forks_fail -= 1
            self._process.deliver(LaunchFailed(effect.process, "cannot allocate memory"))
            return
        child = self._children[effect.process] = Child(self, effect, machine.next_pid())
        self._process.deliver(Launched(effect.process, child.pid))
        self._env.later(machine.times.launch_us, self._boot, child)

    def _boot(self, child: Child) -> None:
        """It has read its spec and begins."""
        machine = self._machine
        if child.ended or not machine.is_on(self):
            return
        launch = child.launch
        if launch.kind == "qmgr" and machine.queue_held:
            child.end(EX_UNAVAILABLE)
            return
        process = child.process = machine.make_process(launch.process, launch.epoch, launch.listeners)
        process.on_end = lambda _process, status: child.end(status)
        process.on_ready = lambda: self._ready(child)
        process.start()
        if not self.alive:
            child.orphaned()

    def _ready(self, child: Child) -> None:
        self._env.later(self._machine.times.link_min_us, self._say_ready, child)

    def _say_ready(self, child: Child) -> None:
        if self._process.alive and not child.ended:
            self._process.deliver(Ready(child.launch.process))

    def child_ended(self, child: Child, status: int) -> None:
        """MCP sees it through its process descriptor."""
        del self._children[child.launch.process]
        self._env.later(self._machine.times.exit_us, self._say_exited, child, status)
        self._machine.somebody_ended()

    def _say_exited(self, child: Child, status: int) -> None:
        if self._process.alive:
            self._process.deliver(Exited(child.launch.process, child.pid, status))

    def signal(self, effect: Signal) -> None:
        child = self._children.get(effect.process)
        if child is not None:
            self._env.later(0, child.signal, effect.signal)


def read_epoch(disk: Disk, spool: str) -> int:
    """The last epoch given; 0 when none was. AssertionError for a file that holds none: a rename is atomic, so that would be a bug of `save_epoch`."""
    path = f"{spool}/mcp/epoch"
    if not disk.exists(path):
        return 0
    octets = disk.read(path, 0, 32)
    assert octets.endswith(b"\n") and octets[:-1].isdigit() and int(octets) <= EPOCH_MAX, f"the epoch file holds {octets!r}"
    return int(octets)


def save_epoch(disk: Disk, spool: str, epoch: int) -> None:
    """The steps of smx.live.epoch_file. Raises DiskError."""
    directory = f"{spool}/mcp"
    fresh = f"{directory}/epoch.new"
    if disk.exists(fresh):
        disk.truncate(fresh, 0)
    else:
        disk.create(fresh)
    disk.write(fresh, 0, b"%d\n" % epoch)
    disk.sync(fresh)
    disk.rename(fresh, f"{directory}/epoch")
    disk.sync_directory(directory)
