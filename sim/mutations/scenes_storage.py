"""Scenes in which the disk fails: syncs, space, and octets that were sound (F7 to F11)."""

from typing import Final

from sim.choices import Choices
from sim.disk.faults import Planned, PlannedFaults
from sim.facts import FaultInjected
from sim.mutations.scenes import MIXED, SLOW_DISK, scene, world_of
from sim.mutations.scenes_calm import many
from sim.peers.client import PIPELINED
from sim.peers.mail import Mail
from sim.peers.script import GOOD, LATER, Act, Script
from sim.scenario import CONFIGURATION, Strike
from sim.studies.internet import UP_US
from sim.trace import Trace
from sim.truth import Truth
from sim.workload import body_of
from sim.world import World
from smx.units import KIB, MILLISECOND, SECOND

AWAY: Final = Script(always={"dot": Act(delay_us=6 * SECOND)})  # keeps mail in the queue for a while


def failing(world: World, *plan: Planned) -> None:
    """From when the machine is up on."""

    def begin() -> None:
        world.machine.disk.faults = PlannedFaults(plan)

    world.at(UP_US - 100 * MILLISECOND, begin)


@scene
def _log_sync_fails(choices: Choices, trace: Trace, truth: Truth) -> World:
    """A sync of the envelope log fails, and its pages count as clean afterwards (F7)."""
    world = world_of(choices, trace, truth, times=SLOW_DISK, calm_at_us=15 * SECOND)
    failing(world, Planned("sync", "/spool/ibdb/", "fail_clean", nth=1 + choices.stream("scene").below(12)))
    return world


@scene
def _content_sync_fails(choices: Choices, trace: Trace, truth: Truth) -> World:
    """A sync of content fails (F7)."""
    world = world_of(choices, trace, truth, times=SLOW_DISK, calm_at_us=15 * SECOND)
    failing(world, Planned("sync", "/spool/cdb/", "fail_clean", nth=1 + choices.stream("scene").below(8)))
    return world


@scene
def _content_finds_no_space(choices: Choices, trace: Trace, truth: Truth) -> World:
    """An append of content finds no space (F11)."""
    world = world_of(choices, trace, truth, times=SLOW_DISK, calm_at_us=15 * SECOND)
    failing(world, Planned("write", "/spool/cdb/", "no_space", nth=3 + choices.stream("scene").below(8)))
    return world


@scene
def _full_disk(choices: Choices, trace: Trace, truth: Truth) -> World:
    """The disk is full for some seconds, with large mail coming in; the log runs out of spare segments (F11, A10)."""
    drawn = choices.stream("scene")
    large = tuple(Mail(f"b{number}", ("a@d0.example", "alice@lab.example"), body=body_of(100 * KIB, number)) for number in range(8))
    strike = Strike(kind="full", at_us=UP_US + drawn.below(300 * MILLISECOND), amount=20 * SECOND)
    wide = tuple(Mail(f"w{number}", tuple(f"user-with-a-long-name-{n}@d0.example" for n in range(60))) for number in range(30))
    return world_of(choices, trace, truth, strike, mails=(*MIXED, *large, *wide), gap_us=50 * MILLISECOND, clients=4, calm_at_us=30 * SECOND)


@scene
def _turnover(choices: Choices, trace: Trace, truth: Truth) -> World:
    """The log goes through several segments while some mail waits in it; then the power fails (A3)."""
    text = CONFIGURATION.replace("qmgr {", "qmgr {\n    ibdb_segments_max = 2;", 1)
    drawn = choices.stream("scene")
    slow = Script(always={"dot": Act(delay_us=8 * SECOND)})
    old = tuple(Mail(f"o{number}", ("a@d1.example",)) for number in range(3))
    wide = tuple(Mail(f"w{number}", tuple(f"user-with-a-long-name-{n}@d0.example" for n in range(40))) for number in range(40))
    strike = Strike(kind="power", at_us=UP_US + 3 * SECOND + drawn.below(3 * SECOND), amount=200 * MILLISECOND)
    return world_of(
        choices, trace, truth, strike, text=text, scripts=(GOOD, slow), mails=(*old, *wide), gap_us=30 * MILLISECOND, clients=6, manners=(PIPELINED,)
    )


@scene
def _log_damage(choices: Choices, trace: Trace, truth: Truth) -> World:
    """Octets of the log rot, far below what is durable, while QMGR is away (F10)."""
    world = world_of(
        choices, trace, truth, scripts=(AWAY, AWAY), mails=many(12, "a@d0.example", "b@d1.example"), clients=1, gap_us=100 * MILLISECOND, calm_at_us=15 * SECOND
    )
    world.at(UP_US + 2500 * MILLISECOND, _rot, world, choices.stream("scene").below(5))
    return world


def _rot(world: World, nth: int) -> None:
    """The power fails, and an opening that is not among the last ones is damaged: its payload, behind the id."""
    machine = world.machine
    machine.power_loss(500 * MILLISECOND)
    disk = machine.disk
    for path, _ in list(disk.walk(f"{world.scenario.settings.spool}/ibdb")):
        content = disk.content(path)
        at = -1
        for _ in range(nth + 2):
            at = content.find(b"sender@lab.example", at + 1)
        if at >= 0:
            disk.flip(path, at + 3, 0x15)
            world.truth.observe(FaultInjected(world.env.now, "F10", "an octet of an opening is changed", path, must_show=True))
            return


@scene
def _content_damage(choices: Choices, trace: Trace, truth: Truth) -> World:
    """Octets of content rot while it waits for another attempt (F10, A1)."""
    late = Script(acts={"rcpt": (LATER,) * 12})
    world = world_of(choices, trace, truth, scripts=(late, GOOD), mails=many(6, "a@d0.example"), clients=1, calm_at_us=15 * SECOND)
    world.at(UP_US + 1200 * MILLISECOND, _rot_content, world, choices.stream("scene").below(3))
    return world


def _rot_content(world: World, nth: int) -> None:
    disk = world.machine.disk
    for path, _ in list(disk.walk(f"{world.scenario.settings.spool}/cdb")):
        at = -1
        content = disk.content(path)
        for _ in range(nth + 1):
            at = content.find(b"Hello.", at + 1)
        if at >= 0:
            disk.flip(path, at + 1, 0x02)
            world.truth.observe(FaultInjected(world.env.now, "F10", "an octet of content is changed", path, must_show=True))
            return
