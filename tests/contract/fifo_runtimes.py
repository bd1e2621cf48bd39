"""The two runtimes behind one face: three puppets (qmgr, smtps.mx.0, smtpc.0), linked, with a listener of smtps.mx.0 to which smtpc.0 may connect."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from sim.choices import Choices, Tape
from sim.costs import Times
from sim.process import Process
from sim.scenario import Scenario
from sim.truth import Truth
from sim.world import World
from smx.effects import AnyEffect
from smx.events import AnyEvent, Expired
from smx.live.assembly import attach_links
from smx.live.links import Links, join
from smx.live.listeners import bind
from smx.live.network import Network
from smx.live.readers import Readers
from smx.live.runner import Runner
from smx.live.segments import Segments
from smx.units import MILLISECOND, SECOND
from tests.live_runtime.puppet import ORDER, Puppet, hosted

QMGR, SMTPS, SMTPC = "qmgr", "smtps.mx.0", "smtpc.0"
LISTENER = "smtps.mx:0"
E = TypeVar("E", bound=AnyEvent)


class Runtime(Protocol):
    """`path`: the UNIX socket of the listener."""

    path: str

    def order(self, process: str, *effects: AnyEffect) -> None:
        """Have a puppet order these effects in one step, now."""
        ...

    def wait(self, process: str, kind: type[E], count: int) -> list[E]:
        """The events of this class that a puppet has taken, in order, once there are `count` of them."""
        ...

    def stop(self, process: str) -> None:
        """Ask a puppet to stop in order, before all others."""
        ...

    def events(self, process: str) -> list[AnyEvent]: ...


Reactions = dict[str, Callable[[AnyEvent], list[AnyEffect]]]


def puppets(reactions: Reactions) -> dict[str, Puppet]:
    return {name: Puppet(reactions.get(name), name) for name in (QMGR, SMTPS, SMTPC)}


class Live:
    """Real sockets and files."""

    def __init__(self, actors: dict[str, Puppet], path: str) -> None:
        self.path = path
        self._actors = actors

    def order(self, process: str, *effects: AnyEffect) -> None:
        self._actors[process].order(*effects)

    def wait(self, process: str, kind: type[E], count: int) -> list[E]:
        return self._actors[process].wait(kind, count)

    def stop(self, process: str) -> None:
        runner = self._actors[process].runner
        runner.host.stop_order = [runner, *(each for each in runner.host.runners if each is not runner)]
        runner.host.stop()

    def events(self, process: str) -> list[AnyEvent]:
        return list(self._actors[process].events)


@contextmanager
def embedded(tmp_path: Path, reactions: Reactions) -> Iterator[Live]:
    """All in one host, with links through its inbox."""
    actors = puppets(reactions)
    path = _spool(tmp_path)
    links: dict[str, Links] = {}

    def attach(runner: Runner) -> None:
        links[runner.process] = Links(runner, dial=False)
        runner.attach(links[runner.process])
        _attach_rest(runner, path)
        if len(links) == len(actors):
            runner.host.at_begin(lambda: _join(links))

    with hosted(*((actor, attach) for actor in actors.values()), spool=str(tmp_path)):
        yield Live(actors, path)


@contextmanager
def processes(tmp_path: Path, reactions: Reactions) -> Iterator[Live]:
    """Each in a host of its own, as a process has it, with links over UNIX sockets."""
    actors = puppets(reactions)
    path = _spool(tmp_path)

    def attach(runner: Runner) -> None:
        attach_links(runner)
        _attach_rest(runner, path)

    spool = str(tmp_path)
    with (
        hosted((actors[QMGR], attach), spool=spool),
        hosted((actors[SMTPC], attach), spool=spool),
        hosted((actors[SMTPS], attach), spool=spool),
    ):
        yield Live(actors, path)


def _spool(tmp_path: Path) -> str:
    for part in ("run", "ibdb", "cdb"):
        (tmp_path / part).mkdir()
    return str(tmp_path / "run" / "served")


def _join(links: dict[str, Links]) -> None:
    join(links[SMTPS], links[QMGR])
    join(links[SMTPC], links[QMGR])


def _attach_rest(runner: Runner, path: str) -> None:
    match runner.process:
        case "qmgr":
            runner.attach(Segments(runner, ("ibdb", "cdb")))
            runner.attach(Readers(runner))
        case "smtps.mx.0":
            runner.attach_network(Network(runner, ((LISTENER, bind(path, 0)),)))
        case _:
            runner.attach_network(Network(runner))


class Simulated:
    """A machine without MCP. Waiting lets simulated time pass."""

    path = "/spool/run/served"

    def __init__(self, seed: int, reactions: Reactions) -> None:
        times = Times(sync_min_us=100, sync_max_us=9_000, link_min_us=10, link_max_us=3_000)
        choices = Choices(seed) if seed else Choices(tape=Tape())
        self.world = World(Scenario(times=times), choices, truth=Truth(()))
        self._actors = puppets(reactions)
        machine = self.world.machine
        machine.install()
        self.world.network.start_machine(machine.address)
        self.world.network.listen(self.path, 0)
        machine.listeners[LISTENER] = (self.path, 0)
        self._processes: dict[str, Process] = {}
        for epoch, (name, actor) in enumerate(self._actors.items(), start=1_000):
            self._processes[name] = machine.adopt(actor, epoch, (LISTENER,) if name == SMTPS else ())
        for process in self._processes.values():
            process.start()

    def order(self, process: str, *effects: AnyEffect) -> None:
        self._actors[process]._orders = list(effects)
        self._processes[process].deliver(Expired(ORDER, 0))

    def wait(self, process: str, kind: type[E], count: int) -> list[E]:
        actor = self._actors[process]
        end = self.world.env.now + 60 * SECOND
        while len(actor.seen(kind)) < count:
            assert self.world.env.now < end, f"{kind.__name__} x {count}: {actor.events}"
            self.world.go_on(self.world.env.now + MILLISECOND)
        return actor.seen(kind)

    def stop(self, process: str) -> None:
        self._processes[process].stop(SECOND)

    def events(self, process: str) -> list[AnyEvent]:
        return list(self._actors[process].events)


@contextmanager
def simulated(seed: int, reactions: Reactions) -> Iterator[Simulated]:
    yield Simulated(seed, reactions)
