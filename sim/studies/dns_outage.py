"""dns_outage: the DNS fails for minutes: is mail only put off, never returned, and does everything leave when the DNS is back (F41, L1)?

Seeds draw how it fails (SERVFAIL at once, time-outs, both, only a part of the questions), for how long, and how long answers may be cached. What is
cached keeps mail going for that long. No name ceases to exist: every recipient is reachable in the end, so nothing may be returned as undeliverable.
"""

from typing import Final

from sim.choices import Choices
from sim.dns import DnsWeather
from sim.facts import Arrived, Bounced, FaultEnded, FaultInjected, Noted
from sim.observer import Handlers, Violation, violate
from sim.scenario import CONFIGURATION, Scenario, plain_settings
from sim.studies.internet import LOCAL, UP_US, add_domain
from sim.studies.measures import Delays, percentiles, within
from sim.studies.study import Options, Setting, Study
from sim.studies.traffic import pour, traffic
from sim.trace import Trace
from sim.truth import Truth
from sim.workload import Recipients
from sim.world import World
from smx.units import HOUR, MINUTE, SECOND

DOMAINS: Final = 6
AFTER_US: Final = 30 * SECOND
ON_ITS_WAY_US: Final = SECOND  # what was asked before is answered and delivered by then
WAYS: Final[dict[str, DnsWeather]] = {
    "SERVFAIL": DnsWeather(servfail_per_mille=1000),
    "time-outs": DnsWeather(timeout_per_mille=1000),
    "SERVFAIL and time-outs": DnsWeather(servfail_per_mille=600, timeout_per_mille=400),
    "half of the questions": DnsWeather(servfail_per_mille=300, timeout_per_mille=300),
    "slow and wrong": DnsWeather(servfail_per_mille=300, slow_per_mille=500),
}
MARKERS: Final = ("put off by the DNS", "went by the cache", *WAYS)


class NothingReturned:
    """Every recipient exists: who gets a report of a failure was told so because of the DNS."""

    id = "L1"
    sentence = "a temporary failure of the DNS puts mail off, and never returns it"

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self.handlers: Handlers = {Bounced: self._on_bounced}

    def _on_bounced(self, fact: Bounced) -> None:
        if fact.kind == "failed":
            violate(self, fact.at, f"{fact.token} for {fact.recipient} was returned although only the DNS failed, and only for a while", fact)

    def finish(self, at: int) -> None:
        pass


def build(choices: Choices, trace: Trace, truth: Truth, options: Options) -> Setting:
    draw = choices.stream("study")
    way = draw.pick(tuple(WAYS))
    begin_us = UP_US + 20 * SECOND
    calm_at = begin_us + draw.between(1, options["minutes"]) * MINUTE
    ttl_us = draw.pick((10, 60, 3600)) * SECOND
    text = CONFIGURATION.replace("retry { min = 1s; max = 4s;", "retry { min = 10s; max = 1m;")
    world = World(Scenario(name="dns_outage", settings=plain_settings(text), calm_at_us=calm_at, limit_us=3 * HOUR), choices, trace, truth)
    truth.judge(NothingReturned())
    domains = [add_domain(world, number)[0] for number in range(DOMAINS)]
    for name, rrtype in [*((domain.domain, "MX") for domain in domains), *((f"mx0.{domain.domain}", "A") for domain in domains)]:
        world.zone.set_ttl(name, rrtype, ttl_us)
    delays = Delays(truth)
    rate, end = options["messages"] * SECOND / (calm_at + AFTER_US - UP_US), calm_at + AFTER_US - UP_US
    mails = traffic(choices.stream("workload"), [*domains, LOCAL], rate, 0, end, prefix="t", recipients=Recipients(many_per_mille=400, most=4))
    pour(world, mails)

    def fail() -> None:
        world.zone.weather = WAYS[way]
        truth.observe(FaultInjected(world.env.now, "F41", way))
        world.mark(way)

    counts = Counts(world, begin_us)
    world.at(begin_us, fail)
    world.at_calm(lambda: truth.observe(FaultEnded(world.env.now, "F41")))

    def figures() -> dict[str, float]:
        start = world.started_at
        return {
            "messages": len(mails),
            "minutes without DNS": (calm_at - begin_us) / MINUTE,
            "put off": counts.put_off,
            "arrived meanwhile": sum(start + begin_us <= delay.sent + delay.took < start + calm_at for delay in delays.arrivals),
            "questions": world.zone.questions,
            "last arrival after the end, s": max((delay.sent + delay.took for delay in delays.arrivals), default=0) / SECOND - (start + calm_at) / SECOND,
            **percentiles("before", within(delays.arrivals, start, start + begin_us)),
            **percentiles("meanwhile", within(delays.arrivals, start + begin_us, start + calm_at)),
            **percentiles("after", within(delays.arrivals, start + calm_at, start + end + UP_US)),
        }

    story = [f"DNS: {way}, for {(calm_at - begin_us) // SECOND} s; answers live {ttl_us // SECOND} s"]
    return Setting(world, figures, story)


class Counts:
    """What became of mail while the DNS was away, from the notes."""

    def __init__(self, world: World, begin_us: int) -> None:
        self.put_off = 0
        self._world = world
        self._begin = world.started_at + begin_us
        self.handlers: Handlers = {"deferred": self._on_deferred, Arrived: self._on_arrived}
        world.truth.attend(self)

    def _on_deferred(self, fact: Noted) -> None:
        self.put_off += 1
        self._world.mark("put off by the DNS")

    def _on_arrived(self, fact: Arrived) -> None:
        total = self._world.zone.weather in (WAYS["SERVFAIL"], WAYS["time-outs"])
        if total and fact.at > self._begin + ON_ITS_WAY_US and not fact.recipient.endswith(LOCAL.domain):
            self._world.mark("went by the cache")


STUDY: Final = Study(
    name="dns_outage",
    question="When the DNS fails for minutes, is mail put off and not returned, and does all of it leave afterwards?",
    build=build,
    options={"messages": 120, "minutes": 8},
    markers=MARKERS,
)
