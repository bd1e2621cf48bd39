"""slow_destination: does one slow or hanging destination delay the mail for the others (L6)?

For a while all is well; then one destination out of several becomes slow in the way that the seed draws, and stays so while much of the mail is
for it; then it is well again. The delays of the others in the three stretches are compared, and none of them may be beyond the bound.
"""

from typing import Final

from sim.choices import Choices
from sim.costs import Times
from sim.facts import Configured, FaultEnded, FaultInjected, Healed
from sim.peers.script import GOOD, HANG, Act, Script
from sim.scenario import CONFIGURATION, Scenario, plain_settings
from sim.studies.internet import LOCAL, UP_US, add_domain
from sim.studies.measures import Delays, UnderWay, percentiles, within
from sim.studies.study import Options, Setting, Study
from sim.studies.traffic import pour, traffic
from sim.trace import Trace
from sim.truth import Truth
from sim.world import World
from smx.units import HOUR, MILLISECOND, MINUTE, SECOND

OTHERS: Final = 4
BOUND_US: Final = 5 * SECOND  # that a message for another destination may take, whatever happens to the slow one
CLOGGED: Final = "nobody answers"

WAYS: Final[dict[str, Script]] = {
    "hangs at the dot": Script(always={"dot": HANG}),
    "hangs at RCPT": Script(always={"rcpt": HANG}),
    "hangs before its greeting": Script(always={"connect": HANG}),
    "tarpit": Script(tarpit_us=20 * SECOND),
    "slow octets": Script(always={step: Act(drip_us=SECOND) for step in ("connect", "ehlo", "mail", "rcpt")}),
    "thinks for a minute": Script(always={"dot": Act(delay_us=MINUTE)}),
    CLOGGED: GOOD,  # a partition
}

MARKERS: Final = ("the slow destination filled its window", "the active queue overflowed", *WAYS)


def build(choices: Choices, trace: Trace, truth: Truth, options: Options) -> Setting:
    draw = choices.stream("study")
    way = draw.pick(tuple(WAYS))
    window, active, share = draw.pick((20, 4, 100)), draw.pick((8192, 64, 16)), draw.between(20, 80)
    slow_at, calm_at = UP_US + options["seconds"] * SECOND, UP_US + 3 * options["seconds"] * SECOND
    end = calm_at + options["seconds"] * SECOND
    settings = plain_settings(
        CONFIGURATION.replace("qmgr {", f"qmgr {{ aq_max_entries = {active}; smtpc {{ initial_connections = 2; max_connections = {window}; }}", 1)
    )
    scenario = Scenario(
        name="slow_destination",
        settings=settings,
        times=Times(sync_min_us=500, sync_max_us=2 * MILLISECOND, writeback_us=SECOND, scale=1.0, cores=2),
        calm_at_us=calm_at,
        limit_us=3 * HOUR,
    )
    world = World(scenario, choices, trace, truth)
    slow, (host,) = add_domain(world, 0)
    others = [LOCAL, *(add_domain(world, number)[0] for number in range(1, OTHERS + 1))]
    delays = Delays(truth)
    truth.observe(Configured(world.env.now, "L6.bound", BOUND_US))

    stream = choices.stream("workload")
    rate = float(options["rate"])
    pour(world, traffic(stream, others, rate, 0, end - UP_US, prefix="o"))
    pour(world, traffic(stream, [slow], rate * share / (100 - share), 0, end - UP_US, prefix="s"))

    def become_slow() -> None:
        host.script = WAYS[way]
        host.sessions_peak = 0
        truth.observe(FaultInjected(world.env.now, "F38" if way == CLOGGED else "F37", way, slow.domain))
        world.mark(way)
        if way == CLOGGED:
            world.network.partition((host.address,))

    def become_well() -> None:
        if flying.most >= window:
            world.mark("the slow destination filled its window")
        truth.observe(FaultEnded(world.env.now, "F38" if way == CLOGGED else "F37", slow.domain))
        truth.observe(Healed(world.env.now, slow.domain))

    flying = UnderWay(truth, slow.domain)
    world.at(slow_at, become_slow)
    world.at_calm(become_well)
    world.on_note("spilled", lambda process, note: world.mark("the active queue overflowed"))

    def figures() -> dict[str, float]:
        start = world.started_at
        found: dict[str, float] = {"window": window, "active queue": active, "share of the slow one": share, "deliveries to it at most": flying.most}
        for name, begin, until in (("before", 0, slow_at), ("meanwhile", slow_at, calm_at), ("after", calm_at, end)):
            of_others = within(delays.arrivals, start + begin, start + until, lambda recipient: not recipient.endswith(slow.domain))
            found |= percentiles(f"others {name}", of_others, 50, 95, 100)
        found |= percentiles("slow meanwhile", within(delays.arrivals, start + slow_at, start + calm_at, lambda recipient: recipient.endswith(slow.domain)))
        return found

    return Setting(world, figures, [f"d0.example: {way}", f"window {window}, active queue {active}, {share} % of the mail is for it"])


STUDY: Final = Study(
    name="slow_destination",
    question="Does one destination that hangs or crawls delay the mail for the others?",
    build=build,
    options={"rate": 5, "seconds": 10},
    markers=MARKERS,
)
