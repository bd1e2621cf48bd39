"""load: how much mail can the machine take, what limits it, and how long does mail take at a given rate?

Nothing fails here. Messages come in an open loop (a Poisson process of sessions, whatever the server does), for `warmup` and then `seconds`, which are
measured. Every event costs its process the CPU time that was measured for the real `step` (sim/costs.json, times `slower`); processes share `cores`;
syncs wait for each other at the disk, and what arrives meanwhile forms the next group. Throughput, use, queues and percentiles come out of that:
no capacity is typed in anywhere.

With `rates` (such as 50,100,200) the same machine is run at each rate, and the story is a table; its last line says where it saturates, and by what.
Means have confidence intervals of 95 % by the method of batch means.
"""

from typing import Any, Final

import msgspec

from sim.choices import Choices
from sim.costs import Costs, Times, name_of
from sim.facts import Noted
from sim.observer import Handlers
from sim.scenario import CONFIGURATION, Scenario, plain_settings
from sim.studies.internet import LOCAL, UP_US, add_domain
from sim.studies.measures import BATCHES, Delays, Estimate, batch_means, of_means, percentile, watch, within
from sim.studies.study import OptionError, Options, Setting, Study
from sim.studies.traffic import pour, traffic
from sim.trace import Trace
from sim.truth import Truth
from sim.workload import SMALL, Destination
from sim.world import World
from smx.events import AnyEvent
from smx.units import HOUR, MILLISECOND, SECOND

LOOK_US: Final = 997  # a prime: in step with nothing
DOMAINS: Final = 4
SETTLE_US: Final = 5 * SECOND
BUSY: Final = 0.97
SATURATED: Final = 0.9  # less than this share of what was due arrives
HEADER: Final = ("due/s", "250/s", "arrived/s", "+-", "cores", "busiest process", "disk", "syncs/msg", "group", "250 p50 ms", "p99", "arrival p50 ms", "p99")
DEFAULTS: Final[dict[str, Any]] = {
    "rate": 100,  # messages a second
    "seconds": 8,
    "warmup": 2,
    "cores": 2,
    "processes": 1,  # of SMTPS, and of SMTPC
    "slower": 1.0,  # than the machine on which costs.json was measured
    "sync_us": 500,
    "syncs_at_once": 1,
    "remote": 50,  # percent of the messages
    "per_session": 1,
    "cut_through": False,
    "rates": "",
}


class Counted(Costs):
    """Costs that remember what was charged: how many events of each kind, and how much for them."""

    def __init__(self, costs: Costs) -> None:
        self._costs = costs
        self.events: dict[str, int] = {}
        self.spent_us: dict[str, int] = {}

    def of(self, kind: str, event: AnyEvent) -> int:
        cost = self._costs.of(kind, event)
        name = f"{kind} {name_of(event)}"
        self.events[name] = self.events.get(name, 0) + 1
        self.spent_us[name] = self.spent_us.get(name, 0) + cost
        return cost


class Reading(msgspec.Struct, frozen=True):
    """All counters at one instant."""

    at: int
    busy_us: dict[str, int]  # by process
    disk_us: int
    syncs: int
    jobs: int
    jobs_us: int
    durable: int
    groups: int


class Meter:
    """Reads the counters at the beginning and the end of each batch, and samples levels in between."""

    def __init__(self, world: World, delays: Delays, begin_us: int, end_us: int) -> None:
        self.readings: list[Reading] = []
        self.samples = 0
        self.levels: dict[str, int] = {}  # sums of what was seen: "cores busy", "waiting for a core", "disk", "open", "underway", "inbox NAME"
        self.pressed: dict[str, int] = {}  # how often it was seen with work for all of it: "cores", "disk", NAME of a process
        self.durable = self.groups = 0
        self._world = world
        self._delays = delays
        self._last = (-1, "")
        self.handlers: Handlers = {"durable": self._on_durable}
        world.truth.attend(self)
        for number in range(BATCHES + 1):
            world.at(begin_us + (end_us - begin_us) * number // BATCHES, self.read)
        watch(world, LOOK_US, begin_us, end_us, self.look)

    def _on_durable(self, fact: Noted) -> None:
        """Those of one sync are noted in one step."""
        self.durable += 1
        if self._last != (fact.at, fact.process):
            self._last = (fact.at, fact.process)
            self.groups += 1

    def read(self) -> None:
        machine = self._world.machine
        device = machine.device
        busy = {process.name: process.busy_us for process in machine.processes.values()}
        self.readings.append(Reading(self._world.env.now, busy, device.worked_us, device.syncs, device.jobs, device.sojourn_us, self.durable, self.groups))

    def look(self) -> None:
        machine, levels = self._world.machine, self.levels
        self.samples += 1
        seen = {"disk": machine.device.waiting, "open": self._delays.open, "underway": self._delays.underway}
        if machine.cores is not None:
            seen |= {"cores busy": machine.cores.count, "waiting for a core": len(machine.cores.queue)}
        seen |= {f"inbox {process.name}": process.length for process in machine.processes.values()}
        for name, value in seen.items():
            levels[name] = levels.get(name, 0) + value
        full = {"cores": machine.cores is not None and machine.cores.count == machine.cores.capacity, "disk": machine.device.waiting > 0}
        full |= {process.name: process.length > 0 for process in machine.processes.values()}
        for name, yes in full.items():
            self.pressed[name] = self.pressed.get(name, 0) + yes

    def level(self, name: str) -> float:
        """The mean of what was seen."""
        return self.levels.get(name, 0) / max(1, self.samples)

    def used(self, process: str) -> Estimate:
        """The share of its time that a process was busy, by batches."""
        return self._shares(lambda reading: reading.busy_us.get(process, 0))

    def used_cores(self, cores: int) -> Estimate:
        found = self._shares(lambda reading: sum(reading.busy_us.values()))
        return Estimate(found.mean / max(1, cores), found.half / max(1, cores))

    def used_disk(self) -> Estimate:
        places = max(1, self._world.scenario.times.syncs_at_once)
        return self._shares(lambda reading: reading.disk_us / places)

    def _shares(self, of: Any) -> Estimate:
        pairs = zip(self.readings, self.readings[1:], strict=False)
        return of_means([(of(after) - of(before)) / (after.at - before.at) for before, after in pairs])

    def gained(self, name: str) -> int:
        """What a counter gained in the measured time."""
        return int(getattr(self.readings[-1], name) - getattr(self.readings[0], name))


class Point(msgspec.Struct, frozen=True):
    """What came out at one rate. Rates are a second, times milliseconds; shares are of 1."""

    offered: float  # what was asked for
    due: float  # what chance made of it
    promised: float
    arrived: Estimate
    cores: Estimate
    processes: dict[str, Estimate]
    disk: Estimate
    syncs_per_message: float
    group: float  # messages a sync of the envelope log makes durable
    levels: dict[str, float]  # mean lengths of queues
    pressed: dict[str, float]  # share of the time in which it had work for all of it: "cores", "disk", processes
    disk_wait_ms: float  # from order to end, a group of syncs
    disk_jobs: float  # a second
    dot_to_250: dict[int, float]  # percent -> ms
    dot_to_250_mean: Estimate
    arrival: dict[int, float]  # from the 250 to the arrival
    arrival_mean: Estimate
    cpu_ms: float  # of all processes, a message
    events: dict[str, int]
    spent_us: dict[str, int]

    @property
    def busiest(self) -> str:
        return max(self.processes, key=lambda name: self.processes[name].mean)

    @property
    def bottleneck(self) -> tuple[str, float]:
        """What had work all the time, or most of it, and how much of it. A process that waits for a core has work: so busy cores come first."""
        if self.cores.mean >= BUSY:
            return "cores", self.cores.mean
        return max(self.pressed.items(), key=lambda item: item[1])

    @property
    def kept_up(self) -> bool:
        """As much arrived as was due."""
        return self.arrived.mean >= SATURATED * self.due


PERCENTS: Final = (50, 95, 99)


class Load:
    """One machine at one rate: the world, and what is measured in it."""

    def __init__(self, choices: Choices, trace: Trace, truth: Truth, options: Options) -> None:
        self.options = options
        self.begin_us = UP_US + options["warmup"] * SECOND
        self.end_us = self.begin_us + options["seconds"] * SECOND
        self.world = World(scenario_of(options), choices, trace, truth)
        world = self.world
        assert world.costs is not None
        world.costs = self.costs = Counted(world.costs)
        domains = [add_domain(world, number)[0] for number in range(DOMAINS)]
        self.due: list[int] = []
        self.delays = Delays(truth)
        self.meter = Meter(world, self.delays, self.begin_us, self.end_us)
        streams = choices.stream("workload")
        here, there = options["rate"] * (100 - options["remote"]) / 100, options["rate"] * options["remote"] / 100
        self._pour(streams, (LOCAL,), here, "l")
        self._pour(streams, tuple(domains), there, "r")

    def _pour(self, stream: Any, destinations: tuple[Destination, ...], rate: float, prefix: str) -> None:
        if rate:
            mails = traffic(stream, destinations, rate, 0, self.end_us - UP_US, prefix=prefix, sizes=SMALL)
            self.due += [at for at, _ in mails]
            pour(self.world, mails, per_session=self.options["per_session"], first=125 * (prefix == "r"))

    def point(self) -> Point:
        """After the run."""
        meter, delays = self.meter, self.delays
        begin, end = self.world.started_at + self.begin_us, self.world.started_at + self.end_us
        seconds = (end - begin) / SECOND
        width = (end - begin) // BATCHES
        counts = [0] * BATCHES
        for delay in delays.arrivals:
            if begin <= delay.sent + delay.took < begin + width * BATCHES:
                counts[(delay.sent + delay.took - begin) // width] += 1
        promised = sum(begin <= delay.sent + delay.took < end for delay in delays.promises)
        waits, arrivals = within(delays.promises, begin, end, lambda recipient: True), within(delays.handovers, begin, end)
        spent = sum(meter.readings[-1].busy_us.values()) - sum(meter.readings[0].busy_us.values())
        names = [name for name in meter.readings[-1].busy_us if name != "mcp"]
        return Point(
            offered=self.options["rate"],
            due=sum(self.begin_us <= UP_US + at < self.end_us for at in self.due) / seconds,
            promised=promised / seconds,
            arrived=of_means([count / (width / SECOND) for count in counts]),
            cores=meter.used_cores(self.options["cores"]),
            processes={name: meter.used(name) for name in names},
            disk=meter.used_disk(),
            syncs_per_message=meter.gained("syncs") / max(1, promised),
            group=meter.gained("durable") / max(1, meter.gained("groups")),
            levels={name: meter.level(name) for name in meter.levels},
            pressed={name: seen / max(1, meter.samples) for name, seen in meter.pressed.items()},
            disk_wait_ms=meter.gained("jobs_us") / max(1, meter.gained("jobs")) / MILLISECOND,
            disk_jobs=meter.gained("jobs") / seconds,
            dot_to_250={percent: percentile(waits, percent) / MILLISECOND for percent in PERCENTS},
            dot_to_250_mean=batch_means([wait / MILLISECOND for wait in waits]),
            arrival={percent: percentile(arrivals, percent) / MILLISECOND for percent in PERCENTS},
            arrival_mean=batch_means([wait / MILLISECOND for wait in arrivals]),
            cpu_ms=spent / max(1, promised) / MILLISECOND,
            events=self.costs.events,
            spent_us=self.costs.spent_us,
        )


def scenario_of(options: Options) -> Scenario:
    """The machine."""
    text = CONFIGURATION.replace("cdb_segment_octets = 64KiB", "cdb_segment_octets = 4MiB").replace("ibdb_segment_octets = 64KiB", "ibdb_segment_octets = 1MiB")
    text = text.replace("smtpc { ", f"smtpc {{ processes = {options['processes']}; ")
    text = text.replace("content_memory_max = 32KiB;", f"content_memory_max = 256KiB; processes = {options['processes']};")
    if options["cut_through"]:
        text = text.replace("cut_through = 0;", "cut_through = 1s;")
    times = Times(
        sync_min_us=options["sync_us"],
        sync_max_us=options["sync_us"],
        syncs_at_once=options["syncs_at_once"],
        writeback_us=SECOND,
        scale=options["slower"],
        cores=options["cores"],
    )
    return Scenario(name="load", settings=plain_settings(text), times=times, limit_us=HOUR, settle_us=SETTLE_US)


def measure(options: Options, seed: int = 0) -> Point:
    """One rate, without checkers."""
    load = Load(Choices(seed), Trace(), Truth(()), STUDY.checked(options))
    load.world.run()
    return load.point()


def sweep(rates: list[int], options: Options, seed: int = 0) -> list[Point]:
    """The same machine at each rate."""
    return [measure({**options, "rate": rate, "rates": ""}, seed) for rate in rates]


def table(points: list[Point]) -> list[str]:
    """One line a rate, under a header; and what the most was."""
    rows = [HEADER, *(_row(point) for point in points)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    most, name = saturation(points)
    return [*lines, f"saturates at {most:.0f} messages a second, by {name}" if name else f"takes {most:.0f} messages a second and more"]


def saturation(points: list[Point]) -> tuple[float, str]:
    """The most that arrived in a second, and what was the bottleneck there; "" when the machine kept up with everything that was offered."""
    most = max(points, key=lambda point: point.arrived.mean)
    behind = [point for point in points if not point.kept_up]
    return most.arrived.mean, behind[0].bottleneck[0] if behind else ""


def _row(point: Point) -> tuple[str, ...]:
    busiest = point.processes[point.busiest]
    return (
        f"{point.due:.1f}",
        f"{point.promised:.1f}",
        f"{point.arrived.mean:.1f}",
        f"{point.arrived.half:.1f}",
        f"{point.cores.mean:.2f}",
        f"{point.busiest} {busiest.mean:.2f}",
        f"{point.disk.mean:.2f}",
        f"{point.syncs_per_message:.2f}",
        f"{point.group:.2f}",
        f"{point.dot_to_250[50]:.1f}",
        f"{point.dot_to_250[99]:.1f}",
        f"{point.arrival[50]:.1f}",
        f"{point.arrival[99]:.1f}",
    )


def figures_of(point: Point) -> dict[str, float]:
    """Flat, for people and JSON."""
    found = {
        "due a second": point.due,
        "promised a second": point.promised,
        "arrived a second": point.arrived.mean,
        "arrived a second +-": point.arrived.half,
        "cores used": point.cores.mean,
        "disk used": point.disk.mean,
        "disk wait ms": point.disk_wait_ms,
        "CPU ms a message": point.cpu_ms,
        "syncs a message": point.syncs_per_message,
        "messages a group": point.group,
        "dot to 250 mean ms": point.dot_to_250_mean.mean,
        "dot to 250 mean ms +-": point.dot_to_250_mean.half,
        "250 to arrival mean ms": point.arrival_mean.mean,
        "250 to arrival mean ms +-": point.arrival_mean.half,
    }
    found |= {f"{name} used": share.mean for name, share in point.processes.items()}
    found |= {f"dot to 250 p{percent} ms": value for percent, value in point.dot_to_250.items()}
    found |= {f"250 to arrival p{percent} ms": value for percent, value in point.arrival.items()}
    return found | {f"mean length: {name}": value for name, value in point.levels.items()}


def build(choices: Choices, trace: Trace, truth: Truth, options: Options) -> Setting:
    try:
        rates = [int(word) for word in options["rates"].split(",") if word]
    except ValueError:
        raise OptionError(f"load: rates is a list of whole numbers, such as 50,100,200; not {options['rates']!r}") from None
    if options["slower"] <= 0 or options["rate"] < 1 or options["seconds"] < 1 or options["cores"] < 0 or not 0 <= options["remote"] <= 100:
        raise OptionError("load: slower, rate and seconds must be positive, cores not negative, remote a percentage")
    load = Load(choices, trace, truth, options)
    what = f"{options['cores']} cores, {options['slower']:g} times slower, a sync takes {options['sync_us']} us, {options['remote']} % is relayed"
    story = [f"{options['rate']} messages a second for {options['seconds']} s on {what}"]

    def figures() -> dict[str, float]:
        point = load.point()
        if rates:
            story.extend(table(sweep(rates, options, choices.seed)))
        return figures_of(point)

    return Setting(load.world, figures, story)


STUDY: Final = Study(
    name="load",
    question="How much mail does the machine take, what limits it, and how long does mail take?",
    build=build,
    options=DEFAULTS,
)
