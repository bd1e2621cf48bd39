"""full_disk: the disk is full for a while: is new mail put off and never lost, is what is queued delivered, does service resume (F11, A10, I15)?

Seeds draw how full it is (not an octet left, or so little that small messages still go in), for how long, how much is queued by then, and whether
QMGR or the whole machine crashes meanwhile: then recovery has to do without space, too.
"""

from typing import Final

from sim.choices import Choices
from sim.facts import Arrived, Crashed, Noted, Promised, Refused
from sim.observer import Handlers
from sim.peers.client import Manner
from sim.peers.script import Script
from sim.scenario import CONFIGURATION, Scenario, Strike, plain_settings
from sim.studies.internet import LOCAL, UP_US, add_domain
from sim.studies.measures import Delays, percentiles, watch, within
from sim.studies.study import Options, Setting, Study
from sim.studies.traffic import pour, traffic
from sim.trace import Trace
from sim.truth import Truth
from sim.workload import Sizes
from sim.world import World
from smx.units import GIB, HOUR, KIB, SECOND

FULL_AT_US: Final = UP_US + 10 * SECOND
AFTER_US: Final = 15 * SECOND
DISK: Final = GIB
SIZES: Final = Sizes(median=1_000, sigma=1.0, tail_per_mille=150, tail_from=32 * KIB, most=400 * KIB)
WAITING: Final = 2  # domains that put everything off until the disk is full
MARKERS: Final = (
    "452 while the disk was full",
    "relayed while the disk was full",
    "deposited while the disk was full",
    "taken while the disk was nearly full",
    "deferred while the disk was full",
    "strike kill",
    "strike power",
    "service resumed",
)


def build(choices: Choices, trace: Trace, truth: Truth, options: Options) -> Setting:
    draw = choices.stream("study")
    left = draw.pick((0, 0, 32, 256, 1024)) * KIB
    lasts_us = draw.between(5, 40) * SECOND
    min_free = draw.pick(("0", "1MiB"))
    crash = draw.pick(("", "", "kill", "power"))
    calm_at = FULL_AT_US + lasts_us
    end = calm_at + AFTER_US - UP_US
    greedy = draw.chance(500)
    strikes = [Strike(kind=crash, target="qmgr", at_us=FULL_AT_US + draw.between(SECOND, lasts_us - SECOND), amount=SECOND)] if crash else []
    scenario = Scenario(
        name="full_disk",
        settings=plain_settings(CONFIGURATION.replace("min_free = 0;", f"min_free = {min_free};")),
        disk_octets=DISK,
        personality=draw.pick(("strict", "ordered")),
        strikes=tuple(strikes),
        calm_at_us=calm_at,
        limit_us=2 * HOUR,
    )
    world = World(scenario, choices, trace, truth)
    ready = [add_domain(world, number)[0] for number in range(2)]
    puts_off = Script(grey_us=FULL_AT_US + SECOND)
    waiting = [add_domain(world, 2 + number, puts_off)[0] for number in range(WAITING)]
    delays, tally = Delays(truth), Tally(world, FULL_AT_US, calm_at)

    rate = options["messages"] * SECOND / end
    mails = traffic(choices.stream("workload"), [LOCAL, *ready, *waiting], rate, 0, end, prefix="t", sizes=SIZES)
    pour(world, mails, Manner(patience_us=20 * SECOND, retry_us=3 * SECOND, tries_max=12))
    hog = Hog(world, left)
    world.at(FULL_AT_US, hog.begin)
    if greedy:
        watch(world, SECOND, FULL_AT_US + SECOND, calm_at - SECOND, hog.eat)
    world.at_calm(hog.end)

    def figures() -> dict[str, float]:
        start = world.started_at
        return {
            "messages": len(mails),
            "seconds without space": lasts_us / SECOND,
            "KiB left": left / KIB,
            "452": tally.refused,
            "taken meanwhile": tally.taken,
            "arrived meanwhile": tally.arrived,
            "first 250 after the end, s": (tally.resumed - start - calm_at) / SECOND if tally.resumed else -1.0,
            "last arrival after the end, s": max((delay.sent + delay.took for delay in delays.arrivals), default=0) / SECOND - (start + calm_at) / SECOND,
            **percentiles("after", within(delays.arrivals, start + calm_at, start + end + UP_US)),
        }

    what = f"{left // KIB} KiB are left" if left else "not an octet is left"
    return Setting(
        world,
        figures,
        [
            f"{what} for {lasts_us // SECOND} s{', and what becomes free is taken,' if greedy else ','} min_free {min_free}"
            + (f", and then: {crash}" if crash else "")
        ],
    )


class Hog:
    """Somebody else fills the disk, but for so many octets."""

    def __init__(self, world: World, left: int) -> None:
        self._world = world
        self._left = left

    def begin(self) -> None:
        self._world.fault("F11", f"{self._left} octets are left", self._world.machine.spool)
        self.eat()

    def eat(self) -> None:
        """Take what has become free."""
        disk = self._world.machine.disk
        disk.occupied += max(0, disk.free_octets - self._left)

    def end(self) -> None:
        self._world.fault_over("F11", self._world.machine.spool)


class Tally:
    """What happened while there was no space."""

    def __init__(self, world: World, begin_us: int, end_us: int) -> None:
        self.refused = self.taken = self.arrived = 0
        self.resumed = 0
        self._world = world
        self._begin, self._end = world.started_at + begin_us, world.started_at + end_us
        self.handlers: Handlers = {
            Refused: self._on_refused,
            Promised: self._on_promised,
            Arrived: self._on_arrived,
            Crashed: self._on_crashed,
            "deferred": self._on_deferred,
        }
        world.truth.attend(self)

    def _meanwhile(self, at: int) -> bool:
        return self._begin <= at < self._end

    def _on_refused(self, fact: Refused) -> None:
        if self._meanwhile(fact.at) and fact.code == 452:
            self.refused += 1
            self._world.mark("452 while the disk was full")

    def _on_promised(self, fact: Promised) -> None:
        if self._meanwhile(fact.at):
            self.taken += 1
            self._world.mark("taken while the disk was nearly full")
        elif fact.at >= self._end and not self.resumed:
            self.resumed = fact.at
            self._world.mark("service resumed")

    def _on_arrived(self, fact: Arrived) -> None:
        if self._meanwhile(fact.at) and fact.at > self._begin + SECOND:
            self.arrived += 1
            self._world.mark("deposited while the disk was full" if fact.recipient.endswith(LOCAL.domain) else "relayed while the disk was full")

    def _on_deferred(self, fact: Noted) -> None:
        if self._meanwhile(fact.at):
            self._world.mark("deferred while the disk was full")

    def _on_crashed(self, fact: Crashed) -> None:
        if self._meanwhile(fact.at) and fact.how == "halt":
            self._world.mark(f"{fact.process} halted while the disk was full")


STUDY: Final = Study(
    name="full_disk",
    question="When the disk is full, is new mail put off, old mail delivered, and does service resume by itself?",
    build=build,
    options={"messages": 150},
    markers=MARKERS,
)
