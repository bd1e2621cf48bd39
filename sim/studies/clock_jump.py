"""clock_jump: the wall clock leaps by hours, days or weeks, either way: does mail neither expire nor wait because of it (F26, A15, L1, I8)?

Some destinations put everything off until the calm, others take mail; the clock jumps several times, perhaps with a restart of QMGR or of the
machine behind a jump. Every message needs its attempts after the latest jump before it may be given up; no wait may be longer than the longest
that is configured, by the clock as it is now; ids must never repeat, though the epochs of processes are made from the clock.
"""

from typing import Final

from sim.choices import Choices, Stream
from sim.facts import Bounced, Crashed, FaultInjected, Noted, Ordered
from sim.observer import Handlers, Violation, violate
from sim.peers.script import LATER, Script
from sim.scenario import CONFIGURATION, Scenario, Strike, plain_settings
from sim.studies.internet import LOCAL, UP_US, add_domain
from sim.studies.measures import Delays, percentiles, within
from sim.studies.study import Options, Setting, Study
from sim.studies.traffic import pour, traffic
from sim.trace import Trace
from sim.truth import Truth
from sim.world import World
from smx.units import DAY, HOUR, MINUTE, SECOND

LASTS_US: Final = 4 * HOUR  # from the first mail to the calm
GIVE_UP_US: Final = DAY
RETRY_MAX_US: Final = HOUR
TOLD_US: Final = 2 * SECOND  # within which processes learn of a jump
SIZES: Final = (HOUR, 3 * HOUR, DAY, 6 * DAY, 30 * DAY)
SILENT: Final = 2  # domains that put off
MARKERS: Final = (
    "a jump over the expiry",
    "a jump back by more than the longest wait",
    "a restart behind a jump",
    "expired after a jump",
    "put off before a jump, tried again behind it",
)


class JumpsAreNoAge:
    """A clock that is set makes no mail old, and no wait long."""

    id = "A15"
    sentence = "mail expires only after an attempt that began behind the latest jump of the clock, and no wait becomes longer by a jump"

    def __init__(self, world: World) -> None:
        self.violations: list[Violation] = []
        self._world = world
        self._jump: FaultInjected | None = None
        self._ordered: dict[tuple[int, int], Ordered] = {}
        self._ended: dict[tuple[int, int], Noted] = {}  # verdicts "deferred" of which nobody has said yet when it is tried again
        self.handlers: Handlers = {
            FaultInjected: self._on_fault,
            Ordered: self._on_ordered,
            Crashed: self._on_crashed,
            "verdict": self._on_verdict,
            "deferred": self._on_deferred,
            "recorded": self._on_recorded,
        }

    def _on_fault(self, fact: FaultInjected) -> None:
        if fact.fault == "F26":
            self._jump = fact

    def _on_ordered(self, fact: Ordered) -> None:
        for index in fact.indices:
            before = self._ordered.get((fact.transaction, index))
            self._ordered[fact.transaction, index] = fact
            if before is not None and self._jump is not None and before.at < self._jump.at:
                self._world.mark("put off before a jump, tried again behind it")

    def _on_crashed(self, fact: Crashed) -> None:
        self._ended.clear()
        if self._jump is not None:
            self._world.mark("a restart behind a jump")

    def _on_verdict(self, fact: Noted) -> None:
        if fact.values[3] == "deferred":
            self._ended[fact.values[0], fact.values[1]] = fact

    def _on_deferred(self, fact: Noted) -> None:
        """It will be tried again: when, by the clock as it is?"""
        self._ended.pop((fact.values[0], fact.values[1]), None)
        wait = fact.values[3] - fact.at - self._world.machine.wall_offset
        told = self._jump is None or fact.at > self._jump.at + TOLD_US
        if told and wait > RETRY_MAX_US + SECOND:
            violate(self, fact.at, f"it is to be tried again after {wait // SECOND} s, later than the longest wait", *filter(None, (self._jump,)), fact)

    def _on_recorded(self, fact: Noted) -> None:
        place = (fact.values[0], fact.values[1])
        last, order, jump = self._ended.pop(place, None), self._ordered.get(place), self._jump
        if last is None or jump is None:
            return
        self._world.mark("expired after a jump")
        if order is not None and order.at < jump.at and last.at > jump.at + TOLD_US:
            violate(self, fact.at, "it is given up although its last attempt began before the clock jumped", order, jump, last)

    def finish(self, at: int) -> None:
        pass


def build(choices: Choices, trace: Trace, truth: Truth, options: Options) -> Setting:
    draw = choices.stream("study")
    attempts_min = draw.pick((2, 3, 5))
    calm_at = UP_US + LASTS_US
    retry = f"retry {{ min = 2m; max = 1h; give_up = 1d; warn = 0; attempts_min = {attempts_min}; dead_min = 1m; dead_max = 10m; }}"
    text = CONFIGURATION.replace("retry { min = 1s; max = 4s; give_up = 5d; warn = 0; dead_min = 1s; dead_max = 2s; }", retry)
    strikes, story = jumps(draw)
    scenario = Scenario(name="clock_jump", settings=plain_settings(text), strikes=strikes, calm_at_us=calm_at, limit_us=LASTS_US + 6 * HOUR)
    world = World(scenario, choices, trace, truth)
    truth.judge(JumpsAreNoAge(world))
    putting_off = Script(always={"rcpt": LATER})
    silent = [add_domain(world, number, putting_off)[0] for number in range(SILENT)]
    dead, (host,) = add_domain(world, SILENT)
    host.stop()
    well = [add_domain(world, number)[0] for number in range(SILENT + 1, SILENT + 3)]
    delays, tally = Delays(truth), Tally(world)

    rate = options["messages"] * SECOND / LASTS_US
    mails = traffic(choices.stream("workload"), [LOCAL, *well, *silent, dead], rate, 0, LASTS_US, prefix="t")
    pour(world, mails)
    for strike in strikes:
        if strike.kind == "jump":
            world.at(strike.at_us, tally.jumped, strike.amount)

    def figures() -> dict[str, float]:
        begin, end = world.started_at, world.started_at + calm_at + DAY
        good = (LOCAL.domain, *(domain.domain for domain in well))
        return {
            "messages": len(mails),
            "jumps": tally.jumps,
            "attempts at least": attempts_min,
            "returned": tally.returned,
            "put off": tally.put_off,
            **percentiles("well", within(delays.arrivals, begin, end, lambda recipient: recipient.partition("@")[2] in good)),
            "arrived in the end": len(delays.arrivals),
        }

    return Setting(world, figures, story)


def jumps(draw: Stream) -> tuple[tuple[Strike, ...], list[str]]:
    """One to four of them, and perhaps crashes behind them."""
    strikes = []
    for _ in range(draw.between(1, 4)):
        at = UP_US + draw.between(10 * MINUTE, LASTS_US - 10 * MINUTE)
        strikes.append(Strike(kind="jump", at_us=at, amount=draw.pick(SIZES) * draw.pick((1, -1))))
        crash = draw.pick(("", "", "kill", "power"))
        if crash:
            strikes.append(Strike(kind=crash, target="qmgr", at_us=at + draw.between(0, 5 * MINUTE), amount=SECOND))
    strikes.sort(key=lambda strike: strike.at_us)
    return tuple(strikes), [f"{strike.at_us / MINUTE:.1f} min: {_told(strike)}" for strike in strikes]


def _told(strike: Strike) -> str:
    return f"the clock jumps by {strike.amount / HOUR:+g} h" if strike.kind == "jump" else strike.kind


class Tally:
    """Jumps, reports and deferrals."""

    def __init__(self, world: World) -> None:
        self.jumps = self.returned = self.put_off = 0
        self._world = world
        self.handlers: Handlers = {Bounced: self._on_bounced, "deferred": self._on_deferred}
        world.truth.attend(self)

    def jumped(self, by_us: int) -> None:
        self.jumps += 1
        if by_us > GIVE_UP_US:
            self._world.mark("a jump over the expiry")
        if by_us < -RETRY_MAX_US:
            self._world.mark("a jump back by more than the longest wait")

    def _on_bounced(self, fact: Bounced) -> None:
        self.returned += fact.kind == "failed"

    def _on_deferred(self, fact: Noted) -> None:
        self.put_off += 1


STUDY: Final = Study(
    name="clock_jump",
    question="When the wall clock leaps either way, does mail neither expire nor wait because of it, and do ids stay unique?",
    build=build,
    options={"messages": 60},
    markers=MARKERS,
)
