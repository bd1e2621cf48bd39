"""Gauges: everything that is bounded, as it is at one instant: entries of QMGR's queues, sessions, descriptors, octets in memory (I16).

QMGR says its numbers itself, as to any operator. The octets that SMTPS holds no message tells: they are read from its objects. What arrives in one
piece is taken in one piece, so a limit on octets holds but for the largest piece; live a piece has 256 KiB at most, here it is what was sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sim.facts import Bound
from sim.strikes import DESCRIPTORS_OWN
from smx.events import Accepted
from smx.limits import INPUT_OCTETS_MAX
from smx.smtps.content import UNOPENED_OCTETS_MAX
from smx.smtps.machine import Smtps

if TYPE_CHECKING:
    from sim.process import Process
    from sim.world import World


def look(world: World) -> Iterator[Bound]:
    """A sample of each."""
    now, settings = world.env.now, world.scenario.settings
    figures = world.queue_tool.figures()
    for name, limit in (("active", settings.qmgr.aq_max_entries), ("incoming", settings.qmgr.iqdb_max_entries)):
        if name in figures:
            yield Bound(now, f"recipients {name} in QMGR", figures[name], limit)
    for process in world.machine.processes.values():
        if process.alive and process.sockets is not None:
            yield from _connections(world, process)
            if isinstance(process.component, Smtps):
                yield from _octets(world, process, process.component)


def _connections(world: World, process: Process) -> Iterator[Bound]:
    assert process.sockets is not None
    now, sockets, descriptors = world.env.now, len(process.sockets), world.machine.descriptors_max
    if descriptors:
        yield Bound(now, f"descriptors of {process.name}", DESCRIPTORS_OWN + sockets, descriptors)
    if process.kind == "smtps":
        most = max(server.sessions_max for server in world.scenario.settings.smtps)
        yield Bound(now, f"sessions of {process.name}", sockets - process.waiting(Accepted), most)  # those it has not seen are still the kernel's


def _octets(world: World, process: Process, smtps: Smtps) -> Iterator[Bound]:
    assert process.sockets is not None
    now, piece, service = world.env.now, process.sockets.largest, smtps._service
    sessions = service.sessions.all()
    budget = max(server.content_memory_budget_octets for server in world.scenario.settings.smtps)
    yield Bound(now, f"octets of content in {process.name}", service.intake.used, budget + UNOPENED_OCTETS_MAX + len(sessions) * piece)
    held = max((session.dialogue.reader.pending for session in sessions), default=0)
    yield Bound(now, f"octets of input of one session of {process.name}", held, INPUT_OCTETS_MAX + piece)
