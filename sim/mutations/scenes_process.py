"""Scenes about processes: poison, pauses, stops, clocks, several servers, long recoveries, logs of a newer version (F12, F20, F23, F25, F26)."""

from typing import Final

from sim.choices import Choices
from sim.costs import Times
from sim.facts import Bound, Configured, FaultInjected, Phase
from sim.mutations.patching import replaced
from sim.mutations.scenes import SLOW_DISK, scene, world_of
from sim.mutations.scenes_calm import many
from sim.peers.client import PIPELINED
from sim.peers.mail import Mail
from sim.peers.script import GOOD, Act, Script
from sim.process import Process
from sim.scenario import CONFIGURATION, Strike
from sim.studies.internet import UP_US
from sim.trace import Trace
from sim.truth import Truth
from sim.world import World
from smx import codec
from smx.effects import Note
from smx.units import MILLISECOND, SECOND

LAUNCHES_MOST: Final = 40
SLOW: Final = Script(always={"dot": Act(delay_us=3 * SECOND)})


@scene
def _poison(choices: Choices, trace: Trace, truth: Truth) -> World:
    """One message crashes QMGR each time it is handed out (F23, A14)."""
    nth = 1 + choices.stream("scene").below(10)
    return world_of(choices, trace, truth, Strike(kind="poison", note="submitted", nth=nth, target="qmgr"), calm_at_us=60 * SECOND)


@scene
def _qmgr_pauses(choices: Choices, trace: Trace, truth: Truth) -> World:
    """QMGR gets no CPU for longer than SMTPS waits for its answer (F20, A9)."""
    strike = Strike(kind="pause", note="submitted", nth=1 + choices.stream("scene").below(10), target="qmgr", amount=70 * SECOND)
    return world_of(choices, trace, truth, strike, calm_at_us=80 * SECOND)


@scene
def _disk_stalls(choices: Choices, trace: Trace, truth: Truth) -> World:
    """No sync ends for longer than SMTPS waits for QMGR's answer (F12, A9)."""
    strike = Strike(kind="stall", note="submitted", nth=1 + choices.stream("scene").below(10), amount=70 * SECOND)
    return world_of(choices, trace, truth, strike, calm_at_us=80 * SECOND)


@scene
def _two_servers(choices: Choices, trace: Trace, truth: Truth) -> World:
    """Two processes take mail."""
    return world_of(
        choices, trace, truth, text=CONFIGURATION.replace("smtps mx {", "smtps mx {\n    processes = 2;", 1), mails=many(16, "alice@lab.example"), clients=8
    )


@scene
def _clock_back(choices: Choices, trace: Trace, truth: Truth) -> World:
    """The wall clock goes back by an hour, then QMGR is killed (F26, A11)."""
    nth = 1 + choices.stream("scene").below(8)
    strikes = (Strike(kind="jump", at_us=UP_US - SECOND, amount=-3600 * SECOND), Strike(kind="kill", note="recorded", nth=nth, target="qmgr"))
    return world_of(choices, trace, truth, *strikes)


@scene
def _stop(choices: Choices, trace: Trace, truth: Truth) -> World:
    """The MTA is stopped while deliveries are under way, and started again."""
    strike = Strike(kind="stop_mta", at_us=UP_US + SECOND + choices.stream("scene").below(SECOND), amount=2 * SECOND)
    world = world_of(choices, trace, truth, strike, scripts=(SLOW, SLOW, GOOD), times=SLOW_DISK)
    truth.observe(Configured(world.env.now, "L7.bound", 4500 * MILLISECOND))
    return world


@scene
def _long_recovery(choices: Choices, trace: Trace, truth: Truth) -> World:
    """QMGR is killed with many open messages, and the disk syncs slowly."""
    times = Times(sync_min_us=60 * MILLISECOND, sync_max_us=100 * MILLISECOND)
    away = Script(always={"dot": Act(delay_us=20 * SECOND)})
    strike = Strike(kind="kill", at_us=UP_US + 4 * SECOND, target="qmgr")
    return world_of(
        choices, trace, truth, strike, times=times, scripts=(away,), mails=many(50, "a@d0.example"), gap_us=20 * MILLISECOND, clients=10, manners=(PIPELINED,)
    )


@scene
def _newer_log(choices: Choices, trace: Trace, truth: Truth) -> World:
    """A log that a newer version wrote is found; then that version's log is put away for the old one again (F25, A16)."""
    world = world_of(
        choices, trace, truth, scripts=(SLOW, SLOW, SLOW), mails=many(6, "a@d0.example", "b@d1.example"), calm_at_us=15 * SECOND, gap_us=50 * MILLISECOND
    )
    world.at(UP_US + 600 * MILLISECOND + choices.stream("scene").below(SECOND), _upgrade, world)
    launches = [0]

    def count(process: Process, note: Note) -> None:
        launches[0] += 1
        truth.observe(Bound(world.env.now, "launches in some seconds without QMGR", launches[0], LAUNCHES_MOST))

    world.on_note("launched", count)
    return world


@scene
def _no_fork(choices: Choices, trace: Trace, truth: Truth) -> World:
    """SMTPC is killed, and cannot be launched again at first (F21)."""
    nth = 1 + choices.stream("scene").below(8)
    strikes = (Strike(kind="no_fork", at_us=UP_US - SECOND, amount=2), Strike(kind="kill", note="begun", nth=nth, target="smtpc.0"))
    return world_of(choices, trace, truth, *strikes)


def _upgrade(world: World) -> None:
    """The power fails; when it is back each segment is of a newer version for some seconds."""
    machine = world.machine
    machine.power_loss(SECOND)
    world.truth.observe(FaultInjected(world.env.now, "F25", "the log is of a newer version", "/spool/ibdb"))
    kept = {path: machine.disk.content(path) for path, _ in list(machine.disk.walk(f"{machine.spool}/ibdb"))}
    for path, content in kept.items():
        _write(world, path, newer(content, int(path.rpartition("/")[2].partition(".")[0], 16)))
    world.at(5 * SECOND, _downgrade, world, kept)


def newer(content: bytes, segment: int) -> bytes:
    """The same records as a newer version would frame them."""
    made = bytearray(content)
    at = 0
    while isinstance(record := codec.decode(content, at, segment), codec.Record):
        with replaced("smx.codec:VERSION", lambda version: version + 1):
            made[at : record.end] = codec.encode(record.kind, record.payload, segment, record.sequence)
        at = record.end
    return bytes(made)


def _downgrade(world: World, kept: dict[str, bytes]) -> None:
    """Somebody reads what QMGR says, and puts the old log back."""
    machine = world.machine
    for path, content in kept.items():
        if machine.disk.exists(path):
            _write(world, path, content)


def _write(world: World, path: str, content: bytes) -> None:
    disk = world.machine.disk
    disk.write(path, 0, content)
    disk.sync(path)


@scene
def _overload(choices: Choices, trace: Trace, truth: Truth) -> World:
    """Mail comes steadily; the disk is full for some seconds; then all is as before (L5)."""
    strike = Strike(kind="full", at_us=UP_US + 10 * SECOND, amount=10 * SECOND)
    text = CONFIGURATION.replace("min_free = 0", "min_free = 1MiB")
    mails = tuple(Mail(f"t{number}", ("a@d0.example",)) for number in range(200))
    world = world_of(
        choices,
        trace,
        truth,
        strike,
        text=text,
        scripts=(GOOD,),
        mails=mails,
        gap_us=200 * MILLISECOND,
        clients=40,
        disk_octets=1 << 30,
        calm_at_us=20 * SECOND + UP_US,
    )
    for at, name in ((0, "steady"), (10 * SECOND, "full"), (21 * SECOND, "judged"), (39 * SECOND, "over")):
        world.at(UP_US + at, _phase, world, name)
    return world


def _phase(world: World, name: str) -> None:
    world.truth.observe(Phase(world.env.now, name))


@scene
def _slow_syncs(choices: Choices, trace: Trace, truth: Truth) -> World:
    """Each sync takes most of a second, and much mail comes at once: it waits in memory (I16)."""
    text = CONFIGURATION.replace("qmgr {", "qmgr {\n    iqdb_max_entries = 24;", 1)
    times = Times(sync_min_us=700 * MILLISECOND, sync_max_us=900 * MILLISECOND)
    mails = many(60, *(f"u{number}@d0.example" for number in range(6)))
    world = world_of(choices, trace, truth, text=text, times=times, mails=mails, gap_us=10 * MILLISECOND, clients=20, manners=(PIPELINED,))
    truth.observe(Configured(world.env.now, "L2.a", 20 * SECOND))  # on such a disk
    return world
