"""thundering_herd: a dead destination with a backlog comes back: is it run over, and does the backlog drain at its share (F39, L3)?

The destination refuses connections, or is silent, or says 421 to everybody, until the calm; meanwhile so many messages for it wait. Then it is
back, a host like others but no fast one: each message takes it some time. Other mail goes on all the while.
"""

from typing import Final

from sim.choices import Choices
from sim.facts import Bound, Configured, FaultEnded, FaultInjected, Healed, Noted
from sim.observer import Handlers
from sim.peers.script import GOING, Act, Script
from sim.scenario import CONFIGURATION, Scenario, plain_settings
from sim.studies.internet import LOCAL, UP_US, add_domain
from sim.studies.measures import Delays, UnderWay, percentiles, watch, within
from sim.studies.study import Options, Setting, Study
from sim.studies.traffic import pour, traffic
from sim.trace import Trace
from sim.truth import Truth
from sim.world import World
from smx.units import HOUR, MILLISECOND, MINUTE, SECOND

WAYS: Final = ("refuses connections", "is silent", "says 421 to everybody")
RETRY: Final = "retry { min = 5s; max = 1m; give_up = 5d; warn = 0; dead_min = 5s; dead_max = 30s; }"
RECIPIENT_US: Final = 200 * MILLISECOND  # the share of L3: so long for each recipient of the backlog, at most, besides the longest waits
LOOK_US: Final = 500 * MILLISECOND
OTHERS: Final = 3
INITIAL: Final = 3  # connections of slow start
MARKERS: Final = (*WAYS, "declared dead", "probed while dead", "came back by a probe", "the window grew after the return", "the active queue overflowed")


def build(choices: Choices, trace: Trace, truth: Truth, options: Options) -> Setting:
    draw = choices.stream("study")
    way = draw.pick(WAYS)
    window, active = draw.pick((20, 5, 50)), draw.pick((8192, 64))
    thought_us = draw.between(0, 20) * 50 * MILLISECOND
    calm_at = UP_US + draw.between(1, 4) * MINUTE
    end = calm_at - UP_US + 30 * SECOND
    text = CONFIGURATION.replace("retry { min = 1s; max = 4s; give_up = 5d; warn = 0; dead_min = 1s; dead_max = 2s; }", RETRY)
    text = text.replace("qmgr {", f"qmgr {{ aq_max_entries = {active}; smtpc {{ initial_connections = {INITIAL}; max_connections = {window}; }}", 1)
    world = World(Scenario(name="thundering_herd", settings=plain_settings(text), calm_at_us=calm_at, limit_us=3 * HOUR), choices, trace, truth)
    truth.observe(Configured(world.env.now, "L3.recipient", RECIPIENT_US + thought_us))
    dead, (host,) = add_domain(world, 0)
    others = [LOCAL, *(add_domain(world, number)[0] for number in range(1, OTHERS + 1))]
    delays, flying = Delays(truth), UnderWay(truth, dead.domain)
    herd = Herd(world, dead.domain)

    stream = choices.stream("workload")
    backlog = traffic(stream, [dead], options["backlog"] * SECOND / (calm_at - UP_US), 0, calm_at - UP_US, prefix="b")
    pour(world, backlog)
    pour(world, traffic(stream, others, 0.5, 0, end, prefix="o"))

    def die() -> None:
        world.mark(way)
        truth.observe(FaultInjected(world.env.now, "F39", way, dead.domain))
        if way == WAYS[0]:
            host.stop()
        elif way == WAYS[1]:
            world.network.partition((host.address,))
        else:
            host.script = Script(always={"connect": GOING})

    def come_back() -> None:
        herd.returned()
        host.sessions_peak = flying.most = len(host.sessions)
        host.script = Script(always={"dot": Act(delay_us=thought_us)}) if thought_us else host.script
        truth.observe(FaultEnded(world.env.now, "F39", dead.domain))
        truth.observe(Healed(world.env.now, dead.domain))

    def look() -> None:
        truth.observe(Bound(world.env.now, f"connections to {dead.domain}", len(host.sessions), window))
        if flying.most > INITIAL:
            world.mark("the window grew after the return")

    world.at(0, die)
    world.at_calm(come_back)
    world.on_note("spilled", lambda process, note: world.mark("the active queue overflowed"))
    watch(world, LOOK_US, calm_at, calm_at + 2 * MINUTE, look)

    def figures() -> dict[str, float]:
        back = world.started_at + calm_at
        waited = [delay for delay in delays.arrivals if delay.recipient.endswith(dead.domain) and delay.sent < back]
        drained_us = max((delay.sent + delay.took for delay in waited), default=back) - back
        return {
            "backlog": len(waited),
            "attempts while dead": herd.attempts,
            "first attempt after the return, s": herd.first_us / SECOND,
            "deliveries begun in the first second": herd.begun_at_first,
            "deliveries at once, at most": flying.most,
            "connections at once, at most": host.sessions_peak,
            "drained, s": drained_us / SECOND,
            "drained a second": len(waited) / max(drained_us / SECOND, 0.001),
            **percentiles("others meanwhile", within(delays.arrivals, world.started_at, back, lambda recipient: not recipient.endswith(dead.domain))),
            **percentiles("others after", within(delays.arrivals, back, back + HOUR, lambda recipient: not recipient.endswith(dead.domain))),
        }

    story = [
        f"{dead.domain} {way} for {(calm_at - UP_US) // SECOND} s",
        f"backlog {len(backlog)}, window {window}, active queue {active}; then {thought_us // MILLISECOND} ms a message",
    ]
    return Setting(world, figures, story)


class Herd:
    """What QMGR does to the dead destination, and what it does when it is back, from the notes."""

    def __init__(self, world: World, domain: str) -> None:
        self.attempts = 0
        self.first_us = 0
        self.begun_at_first = 0
        self._world = world
        self._domain = domain
        self._dead = False
        self._back = 0
        self._since = 0
        self.handlers: Handlers = {"begun": self._on_begun, "destination": self._on_destination}
        world.truth.attend(self)

    def returned(self) -> None:
        self._back = self._world.env.now

    def _on_begun(self, fact: Noted) -> None:
        if fact.values[2] != self._domain:
            return
        if not self._back:
            self.attempts += 1
            if self._dead:
                self._world.mark("probed while dead")
            return
        if not self._since:
            self._since = fact.at
            self.first_us = fact.at - self._back
        self.begun_at_first += fact.at - self._since < SECOND

    def _on_destination(self, fact: Noted) -> None:
        if fact.values[0] == self._domain:
            self._dead = fact.values[1] == "dead"
            self._world.mark("declared dead" if self._dead else "came back by a probe")


STUDY: Final = Study(
    name="thundering_herd",
    question="When a dead destination comes back, does its backlog drain at a fair pace and without a herd?",
    build=build,
    options={"backlog": 150},
    markers=MARKERS,
)
