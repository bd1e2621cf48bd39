"""Scene: the world in which a workload is played: the first life, cut at every boundary, and the life that goes on from an image.

A boundary lies behind each operation of the disk, inside commits of SQLite and Maildirs too, and wherever somebody outside has learnt something
since. The disk of a boundary is a cheap copy with all that is not durable yet; images are made of it later, so that the first life is never
disturbed. What is outside (what clients were told, what hosts took) is kept as facts: a truth is forked for each life that goes on.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from sim.choices import Choices
from sim.disk import Disk, Operation
from sim.disk.segments import segment_of
from sim.environment import START
from sim.facts import POWER, Arrived, Bounced, Crashed, Fact, Promised, Refused, Submitted
from sim.images.history import ASIDE_BIT, History
from sim.images.workloads import Workload
from sim.peers.client import Client, Manner
from sim.peers.host import Host
from sim.peers.script import GOOD, LATER, UNKNOWN, Act, Script
from sim.scenario import ADDRESS, CONFIGURATION, Scenario, plain_settings
from sim.studies.internet import ALIASES
from sim.trace import Trace
from sim.truth import Truth
from sim.world import World
from smx.config.schema import Settings
from smx.units import MINUTE, SECOND

LOG: Final = "/spool/ibdb/"
FIRST_MAIL_US: Final = 2 * SECOND
OFF_US: Final = 1 * SECOND
SETTLE_US: Final = 65 * SECOND  # so that idle segments are given back
SERIALS: Final = 1 << 32  # of connections in one life
PATIENT: Final = Manner(pipelined=True, tries_max=1)

HOSTS: Final[dict[str, tuple[str, Script]]] = {
    # domain         address          while the trouble lasts
    "sink.example": ("203.0.113.10", GOOD),
    "later.example": ("203.0.113.11", Script(users={"a@later.example": LATER, "b@later.example": LATER})),
    "never.example": ("203.0.113.12", Script(users={"a@never.example": UNKNOWN, "b@never.example": UNKNOWN})),
    "down.example": ("203.0.113.13", Script(always={"connect": Act(drop="before")})),
}
OUTSIDE: Final = (Submitted, Promised, Refused, Arrived, Bounced)  # what somebody outside learns


Prepare = Callable[[World], None]


class Boundary(msgspec.Struct, frozen=True):
    """A moment of the first life. `facts`: how many there were; `deposits`: (directory, name) of messages that were seen in Maildirs;
    `outside`: how many facts of somebody outside.
    """

    number: int
    operation: Operation | None  # None: somebody outside learnt something
    disk: Disk
    at: int
    facts: int
    outside: int
    deposits: frozenset[tuple[str, str]]
    records: int  # that had been written into the envelope log

    @property
    def where(self) -> str:
        """For people."""
        moment = f"{(self.at - START) / SECOND:.6f} s"
        if self.operation is None:
            return f"at {moment}, disk as before"
        return f"at {moment}, after operation {self.operation.number}: {self.operation.kind} {self.operation.path} at {self.operation.offset}"


class Life(msgspec.Struct, frozen=True):
    """One life of the machine. `number`: 1 for the first one."""

    workload: Workload
    seed: int
    number: int
    world: World
    recorder: "Recorder"

    @property
    def boundaries(self) -> "list[Boundary]":
        return self.recorder.boundaries


def settings_of(workload: Workload) -> Settings:
    """The configuration of both lives."""
    text = CONFIGURATION
    if workload.cut_through:
        text = text.replace("cut_through = 0;", "cut_through = 1s;")
    if workload.waste_octets >= 0:
        text = text.replace("qmgr {", "qmgr {\n    cdb_waste_max = 0;", 1).replace("min = 1s; max = 4s;", "min = 30s; max = 60s;")
    return plain_settings(text)


def scenario_of(workload: Workload) -> Scenario:
    return Scenario(
        name=workload.name, settings=settings_of(workload), personality=workload.personality, maps=ALIASES, limit_us=30 * MINUTE, settle_us=SETTLE_US
    )


class Afterlife(World):
    """A world whose machine is switched on with this disk, at this time. `life`: the how-manieth of it this is."""

    def __init__(self, scenario: Scenario, seed: int, image: Disk, start: int, truth: Truth, deposits: frozenset[tuple[str, str]], life: int) -> None:
        self._image = image
        super().__init__(scenario, Choices(seed), Trace(), truth, start=start)
        self._serials = life * SERIALS
        self.mailboxes.seen.update(deposits)
        self.mailboxes.scan(image)

    def _make_disk(self) -> Disk:
        return self._image


class Recorder:
    """Takes down every boundary of a world."""

    def __init__(self, world: World, *, active: bool = True) -> None:
        self.boundaries: list[Boundary] = []
        self.history = History()  # of the envelope log, when it began empty
        self.active = active
        self._world = world
        self._outside = sum(isinstance(fact, OUTSIDE) for fact in world.truth.facts or ())
        self.handlers: dict[Any, Any] = dict.fromkeys(OUTSIDE, self._learn)
        if active:
            self._install()

    def _install(self) -> None:
        world = self._world
        before = world.on_operation

        def on_operation(operation: Operation) -> None:
            before(operation)
            if operation.kind == "write" and operation.path.startswith(LOG):
                self._write(operation)
            self.take(operation)

        world.on_operation = on_operation  # type: ignore[method-assign]
        world.truth.attend(self)

    def _write(self, operation: Operation) -> None:
        segment = segment_of("ibdb", operation.path.rpartition("/")[2])
        if segment is not None and segment < ASIDE_BIT:
            octets = self._world.machine.disk.tree.file(operation.path).view.read(operation.offset, operation.octets)
            self.history.write(segment, operation.offset, octets)

    def stop(self) -> None:
        """No boundary from now on."""
        self.active = False

    def _learn(self, fact: Fact) -> None:
        self._outside += 1
        if self.boundaries:
            self.take(None)

    def take(self, operation: Operation | None) -> None:
        if not self.active:
            return
        world = self._world
        assert world.truth.facts is not None
        if operation is not None and operation.kind == "close":
            return  # it changes nothing
        disk = self.boundaries[-1].disk if operation is None else world.machine.disk.copy()
        facts, deposits, written = len(world.truth.facts), frozenset(world.mailboxes.seen), len(self.history.entries)
        self.boundaries.append(Boundary(len(self.boundaries), operation, disk, world.env.now, facts, self._outside, deposits, written))


def first_life(workload: Workload, seed: int = 0, prepare: Prepare | None = None) -> Life:
    """A world that is ready to play the workload to its end. `prepare`: switches a safeguard off, for ablations."""
    world = World(scenario_of(workload), Choices(seed), Trace(), Truth(keep=True))
    life = furnished(world, workload, seed)
    if prepare is not None:
        prepare(world)
    return life


def furnished(world: World, workload: Workload, seed: int) -> Life:
    """Hosts, clients and a recorder for a world whose truth keeps its facts."""
    recorder = Recorder(world)
    add_hosts(world, trouble_us=workload.trouble_us)
    for number, mail in enumerate(workload.mails()):
        source = f"198.51.100.{number + 1}"
        client = Client(world.env, world.network, world.truth, [mail], target=(ADDRESS, 25), source=source, manner=PATIENT)
        client.start(FIRST_MAIL_US)
        world.add_client(lambda client=client: client.finished)  # type: ignore[misc]
    return Life(workload, seed, 1, world, recorder)


def add_hosts(world: World, *, trouble_us: int = 0) -> None:
    """The domains around the machine; after `trouble_us` all are well."""
    for domain, (address, script) in HOSTS.items():
        world.zone.add(domain, "MX", (10, f"mx.{domain}"))
        world.zone.add(f"mx.{domain}", "A", address)
        host = Host(world.env, world.network, f"mx.{domain}", address, world.truth, world.choices.stream("hosts"), script if trouble_us else script.calm())
        host.start()
        if trouble_us:
            world.at(trouble_us, _heal, host)


def _heal(host: Host) -> None:
    host.script = host.script.calm()


def past(life: Life, boundary: Boundary) -> Truth:
    """A truth that has seen the life up to here, and the power loss."""
    earlier = life.world.truth
    assert earlier.facts is not None
    truth = earlier.fork(boundary.facts)
    truth.observe(Crashed(boundary.at, POWER, 0, "power"))
    return truth


def next_life(life: Life, boundary: Boundary, image: Disk, truth: Truth, *, record: bool = False) -> Life:
    """The machine is switched on again with this image; every host elsewhere is well, and no client comes. `record`: its boundaries too."""
    world = Afterlife(scenario_of(life.workload), life.seed, image, boundary.at + OFF_US, truth, boundary.deposits, life.number + 1)
    recorder = Recorder(world, active=record)
    add_hosts(world)
    return Life(life.workload, life.seed, life.number + 1, world, recorder)
