"""overload: is there life after an overload, or do its consequences keep it alive (metastability: F40, L5)?

    steady       so much mail as the machine takes easily
    overload     several times what it can take; impatient clients give up in the middle and come again, each time with all the work done twice
    recovering   the load of before; what was put off comes back
    judged       the same load: goodput has to be at least 95 % of that in the steady phase

The CPU is charged what was measured, times `slower`: a slow machine is overloaded by little mail, which makes the study quick. In half of the seeds
it is the disk that is slow.
"""

from itertools import pairwise
from typing import Final

from sim.choices import Choices
from sim.costs import Times
from sim.facts import FaultEnded, FaultInjected, Noted, Phase
from sim.observer import Handlers
from sim.peers.client import Manner
from sim.scenario import CONFIGURATION, Scenario, plain_settings
from sim.studies.internet import LOCAL, UP_US, add_domain
from sim.studies.measures import Delays, percentiles, watch, within
from sim.studies.study import Options, Setting, Study
from sim.studies.traffic import pour, traffic
from sim.trace import Trace
from sim.truth import Truth
from sim.workload import SMALL, Burst
from sim.world import World
from smx.units import HOUR, MILLISECOND, SECOND

STEADY_US: Final = 15 * SECOND
OVERLOAD_US: Final = 10 * SECOND
RECOVERING_US: Final = 60 * SECOND
JUDGED_US: Final = 15 * SECOND
LOOK_US: Final = 100 * MILLISECOND
SATURATED: Final = 0.95
DOMAINS: Final = 3
MARKERS: Final = ("the CPU was saturated", "the disk was saturated", "a process was saturated", "clients lost patience", "sessions were turned away")


def build(choices: Choices, trace: Trace, truth: Truth, options: Options) -> Setting:
    draw = choices.stream("study")
    disk = draw.chance(500)
    times, cores = draw.between(4, 8), draw.pick((2, 1))
    patience_us, retry_us = draw.between(1, 10) * SECOND, draw.between(1, 10) * SECOND
    begin = {"steady": UP_US, "overload": UP_US + STEADY_US}
    begin["recovering"] = begin["overload"] + OVERLOAD_US
    begin["judged"] = begin["recovering"] + RECOVERING_US
    end = begin["judged"] + JUDGED_US
    rate = float(options["rate"])
    sync_us = 20 * MILLISECOND if disk else 500
    scenario = Scenario(
        name="overload",
        settings=plain_settings(CONFIGURATION.replace("content_memory_max = 32KiB;", f"content_memory_max = 32KiB; sessions_max = {draw.pick((1000, 40))};")),
        times=Times(sync_min_us=sync_us, sync_max_us=sync_us, writeback_us=SECOND, scale=1.0 if disk else options["slower"] * cores / 2, cores=cores),
        calm_at_us=begin["recovering"],
        limit_us=2 * HOUR,
    )
    world = World(scenario, choices, trace, truth)
    destinations = [LOCAL, *(add_domain(world, number)[0] for number in range(DOMAINS))]
    delays = Delays(truth)
    signs = Signs(world)

    stream = choices.stream("workload")
    even = Burst(round(SECOND / rate))  # evenly, so that two phases of the same length bring the same
    regular = pour(world, traffic(stream, destinations, rate, 0, end - UP_US, prefix="r", arrivals=even, sizes=SMALL))
    impatient = Manner(patience_us=patience_us, retry_us=retry_us, tries_max=8)
    surge = traffic(stream, destinations, rate * times, begin["overload"] - UP_US, begin["recovering"] - UP_US, prefix="x", sizes=SMALL)
    clients = pour(world, surge, impatient, first=len(regular))

    for name, at in begin.items():
        world.at(at, lambda name=name: truth.observe(Phase(world.env.now, name)))
    world.at(end, lambda: truth.observe(Phase(world.env.now, "over")))
    world.at(begin["overload"], lambda: truth.observe(FaultInjected(world.env.now, "F40", f"{times} times the load")))
    world.at_calm(lambda: truth.observe(FaultEnded(world.env.now, "F40")))

    def look_at_clients() -> None:
        if sum(client.sessions for client in clients) > len(clients) + signs.turned_away:
            world.mark("clients lost patience")

    world.at(begin["judged"], look_at_clients)
    meter = Busy(world)
    watch(world, LOOK_US, begin["overload"] + SECOND, begin["recovering"], meter.look)

    def figures() -> dict[str, float]:
        start = world.started_at
        arrived = [delay.sent + delay.took - start for delay in delays.arrivals]
        found: dict[str, float] = {"times the load": times, "cores busy in the overload": meter.cores}
        found |= {"busiest process in the overload": meter.process, "disk busy in the overload": meter.disk}
        found["attempts of impatient clients"] = sum(client.sessions for client in clients)
        found["given up by impatient clients"] = sum(len(client.given_up) for client in clients)
        edges = [*begin.items(), ("over", end)]
        for (name, since), (_, until) in pairwise(edges):
            found[f"goodput {name}"] = sum(since <= at < until for at in arrived) / ((until - since) / SECOND)
            found |= percentiles(f"{name} dot to 250", within(delays.promises, start + since, start + until, lambda recipient: True), 50, 99)
        found["turned away"] = signs.turned_away
        return found

    what = f"a sync takes {sync_us} us" if disk else f"{cores} cores, {options['slower'] * cores // 2} times slower"
    return Setting(
        world, figures, [f"{what}; {times} times {rate:g} messages a second; patience {patience_us // SECOND} s, again after {retry_us // SECOND} s"]
    )


class Busy:
    """How busy cores, the busiest process, and the disk were, from looks at their counters. Shares of 1."""

    def __init__(self, world: World) -> None:
        self.cores = self.process = self.disk = 0.0
        self._world = world
        self._first: tuple[int, ...] | None = None

    def look(self) -> None:
        world = self._world
        machine = world.machine
        spent = [process.busy_us for process in machine.processes.values()]
        now = (world.env.now, machine.device.worked_us, *spent)
        if self._first is None:
            self._first = now
            return
        elapsed, synced, *worked = (after - before for after, before in zip(now, self._first, strict=True))
        self.cores, self.process, self.disk = sum(worked) / elapsed / max(1, machine.times.cores), max(worked) / elapsed, synced / elapsed
        for share, name in ((self.cores, "the CPU"), (self.process, "a process"), (self.disk, "the disk")):
            if elapsed > SECOND and share >= SATURATED:
                world.mark(f"{name} was saturated")


class Signs:
    """Of an overload, from the notes."""

    def __init__(self, world: World) -> None:
        self.turned_away = 0
        self._world = world
        self.handlers: Handlers = {"refused": self._on_refused}
        world.truth.attend(self)

    def _on_refused(self, fact: Noted) -> None:
        self.turned_away += 1
        self._world.mark("sessions were turned away")


STUDY: Final = Study(
    name="overload",
    question="When an overload is over, does goodput return, or do retries keep the overload alive?",
    build=build,
    options={"rate": 5, "slower": 100},
    markers=MARKERS,
)
