"""A world for the MCP machine: processes that live and die as a test says, with the invariants checked at every effect."""

from smx.config.schema import LdaSettings, ListenSocket, McpSettings, QmgrSettings, Settings, SmarSettings, SmtpcSettings, SmtpsSettings
from smx.effects import AnyEffect, Arm, Bind, Disarm, Halt, Launch, Note, SaveEpoch, Signal, Tell
from smx.events import AnyEvent, Bound, EpochSaved, Exited, Expired, Launched, LaunchFailed, Linked, Ready, Started, StopRequested, Unlinked
from smx.mcp.machine import Mcp
from smx.messages import ProcessGone
from smx.units import MINUTE, SECOND
from tests.worlds.timers import Timers, set_timer, take_due

DEPENDANTS = ("smtps.mx.0", "smtps.mx.1", "smtpc.0", "smar")


def settings(
    *,
    restart_min_us: int = SECOND,
    restart_max_us: int = MINUTE,
    restart_reset_us: int = 5 * MINUTE,
    start_timeout_us: int = 30 * SECOND,
    stop_timeout_us: int = 30 * SECOND,
) -> Settings:
    """Five sections in the usual order; two SMTPS, one SMTPC; everybody but LDA restarts with QMGR."""
    return Settings(
        mcp=McpSettings(
            restart_min_us=restart_min_us,
            restart_max_us=restart_max_us,
            restart_reset_us=restart_reset_us,
            start_timeout_us=start_timeout_us,
            stop_timeout_us=stop_timeout_us,
        ),
        qmgr=QmgrSettings(restart_dependencies=("smtps", "smtpc", "smar")),
        smtps=(SmtpsSettings(name="mx", processes=2, listen_socket=(ListenSocket(port=25),)),),
        smar=SmarSettings(),
        smtpc=SmtpcSettings(),
        lda=LdaSettings(socket="/run/lda"),
        order=("smtps.mx", "qmgr", "smar", "smtpc", "lda"),
    )


class World:
    """Carries out MCP's effects on pretended processes. Whatever takes time is completed when the test says so."""

    def __init__(self, some: Settings, *, bind: bool = True) -> None:
        self.mcp = Mcp(some)
        self.now = 1_000 * SECOND
        self.wall_offset = 1_700_000_000 * SECOND
        self.timers: Timers = {}
        self.saving: list[int] = []
        self.durable = 0
        self.starting: list[Launch] = []
        self.alive: dict[str, int] = {}  # process: epoch
        self.ready: set[str] = set()
        self.signals: dict[str, str] = {}  # the last signal each living process got
        self.launches: list[str] = []
        self.bound: list[str] = []
        self.told: list[ProcessGone] = []
        self.notes: list[Note] = []
        self.halted: str | None = None
        self.pid = 100
        self.must_die: set[tuple[str, int]] = set()  # dependants that lived when QMGR died
        self.give(Started(1_700_000_000, 7, self.wall_offset))
        if bind:
            for listener in list(self.bound):
                self.give(Bound(listener, "", 0))

    def give(self, event: AnyEvent) -> None:
        if self.halted:
            return
        for effect in self.mcp.step(event, self.now):
            self.carry_out(effect)

    def carry_out(self, effect: AnyEffect) -> None:
        assert not self.halted, "nothing is carried out after Halt"
        match effect:
            case Arm() | Disarm():
                set_timer(self.timers, effect)
            case SaveEpoch(epoch):
                assert epoch > max([self.durable, *self.saving, *self.alive.values()]), "epochs rise"
                self.saving.append(epoch)
            case Launch():
                self.check_launch(effect)
                self.starting.append(effect)
                self.launches.append(effect.process)
            case Signal(process, signal):
                assert process in self.alive, "only the living are signalled"
                self.signals[process] = signal
            case Bind(listener):
                self.bound.append(listener)
            case Tell("qmgr", ProcessGone() as gone):
                assert self.alive.get(gone.process) != gone.epoch, "the living are not gone"
                self.told.append(gone)
            case Halt(reason):
                self.halted = reason
            case Note():
                self.notes.append(effect)
            case _:
                raise AssertionError(f"MCP does not do this: {effect}")

    def check_launch(self, launch: Launch) -> None:
        assert launch.epoch <= self.durable, "the epoch is durable before the launch (A11)"
        assert launch.process not in self.alive, "never two of one process"
        assert launch.process not in {other.process for other in self.starting}, "never two of one process"
        if launch.process == "qmgr":
            living = {(name, epoch) for name, epoch in self.alive.items()} | {(other.process, other.epoch) for other in self.starting}
            assert not living & self.must_die, "QMGR beside a dependant of an earlier QMGR (F22)"
            self.must_die.clear()

    def save(self) -> None:
        epoch = self.saving.pop(0)
        self.durable = epoch
        self.give(EpochSaved(epoch))

    def launch(self, *, works: bool = True) -> None:
        launch = self.starting.pop(0)
        if not works:
            if launch.process == "qmgr":
                self.qmgr_died()
            self.give(LaunchFailed(launch.process, "no memory"))
            return
        self.pid += 1
        self.alive[launch.process] = launch.epoch
        self.give(Launched(launch.process, self.pid))

    def say_ready(self, process: str) -> None:
        self.ready.add(process)
        self.give(Ready(process))

    def die(self, process: str, status: int = 1) -> None:
        del self.alive[process]
        self.ready.discard(process)
        self.signals.pop(process, None)
        if process == "qmgr":
            self.qmgr_died()
        self.give(Exited(process, self.pid, status))

    def qmgr_died(self) -> None:
        living = list(self.alive.items()) + [(other.process, other.epoch) for other in self.starting]
        self.must_die |= {(name, epoch) for name, epoch in living if name in DEPENDANTS}

    def link(self) -> None:
        self.give(Linked("qmgr", self.alive["qmgr"]))

    def unlink(self) -> None:
        self.give(Unlinked("qmgr", self.alive["qmgr"]))

    def stop(self, grace_us: int = 0) -> None:
        self.give(StopRequested(grace_us))

    def pass_time(self, us: int) -> None:
        """Let time go by; timers fire in their order."""
        until = self.now + us
        while not self.halted and (due := take_due(self.timers, until)) is not None:
            self.now = max(self.now, due[0])
            self.give(Expired(*due[1]))
        self.now = until

    def settle(self) -> None:
        """Everything works from here on: saves, launches, readiness, obedience to signals."""
        while not self.halted:
            if self.saving:
                self.save()
            elif self.starting:
                self.launch()
            elif self.signals:
                self.die(next(iter(self.signals)), 0)
            elif unready := [process for process in self.alive if process not in self.ready]:
                self.say_ready(unready[0])
            else:
                return

    def converge(self) -> None:
        """Faults have stopped: within a bounded time everything runs."""
        for _ in range(8):
            self.settle()
            self.pass_time(MINUTE)
        assert self.ready == set(self.alive) == {"smtps.mx.0", "smtps.mx.1", "qmgr", "smar", "smtpc.0", "lda"}

    def noted(self, name: str) -> list[tuple[int | str | bytes, ...]]:
        return [note.values for note in self.notes if note.name == name]
