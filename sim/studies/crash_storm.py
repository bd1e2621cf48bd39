"""crash_storm: does the MTA keep every promise when machine, processes, disk, network, clocks and peers fail at random?

Each seed draws a world of its own (swarm testing: a random subset of the fault families is on, others are off, so that none hides another): at least
20 messages with at least 40 recipients, at least three crashes, one of them inside recovery, and faults of at least three families. Then the
faults end, and the system must converge: every recipient leaves, nothing is left behind.
"""

from collections.abc import Callable
from typing import Any, Final

from sim.choices import Choices, Stream
from sim.costs import Times
from sim.dns import draw_dns_weather
from sim.facts import Crashed, FaultsEnded
from sim.peers.bad import BadPeer, Flood
from sim.peers.crowd import draw_manner, draw_mischief
from sim.peers.mail import Mail
from sim.peers.script import draw_script
from sim.scenario import CONFIGURATION, Scenario, Strike, plain_settings
from sim.studies.internet import ALIASES, LIST, LOCAL, TARGET, UP_US, add_domain, send
from sim.studies.study import Options, Setting, Study
from sim.trace import Trace
from sim.truth import Truth
from sim.weather import CALM, draw_weather
from sim.workload import SMALL, Poisson, Recipients, Workload, dealt
from sim.world import World
from smx.units import HOUR, MILLISECOND, MINUTE, SECOND

STORM_US: Final = 20 * SECOND  # how long the faults last
MESSAGES_MIN: Final = 20
RECIPIENTS_MIN: Final = 40
CRASHES_MIN: Final = 3
DOMAINS: Final = 5
FAMILIES: Final = ("storage", "process", "time", "receiving", "sending", "names")
PROCESSES: Final = ("qmgr", "smtps.mx.0", "smtpc.0", "smar", "lda", "mcp")
MOMENTS: Final = ("accepted", "submitted", "durable", "begun", "dot", "replied", "verdict", "recorded", "deferred", "bounced", "expanded", "deposited", "closed")

CUT_THROUGH: Final = CONFIGURATION.replace("cut_through = 0;", "cut_through = 1s;")
PRESSED: Final = CONFIGURATION.replace("qmgr {", "qmgr {\n    aq_max_entries = 16;", 1)  # AQ overflows (A8)

MARKERS: Final = (
    "crash in recovery",
    "power failed inside an operation",
    "strike power",
    "strike kill",
    "F1 happened",
    "F2 happened",
    "F3 happened",
    "F5 happened",
    "frames lost with a link",
    "between dot and 250",
    "between the peer's 250 and our record",
    "two crashes in one recovery",
)


class Storm:
    """What one seed drew."""

    def __init__(self, choices: Choices, options: Options) -> None:
        self.draw: Final[Stream] = choices.stream("storm")
        self.choices: Final = choices
        self.families: Final[list[str]] = sorted(self.draw.sample(FAMILIES, self.draw.between(3, len(FAMILIES))))
        self.story: Final[list[str]] = [f"families: {' '.join(self.families)}"]
        self.messages: Final[int] = options["messages"]

    def on(self, family: str) -> bool:
        return family in self.families

    def some(self, per_mille: int = 500) -> bool:
        """Each option of a family that is on, is on in so many of a thousand seeds."""
        return self.draw.chance(per_mille)

    def scenario(self) -> Scenario:
        draw = self.draw
        strikes = self.crashes() + [strike for family, make in _STRIKES.items() if self.on(family) for strike in make(self)]
        self.story.extend(f"{strike.kind} {strike.target}".rstrip() + f" at {strike.at_us / SECOND:.3f} s" for strike in strikes)
        return Scenario(
            name="crash_storm",
            settings=plain_settings(draw.pick((CONFIGURATION, CUT_THROUGH, PRESSED))),
            times=Times(sync_min_us=200, sync_max_us=draw.pick((200, 2_000, 20_000)), link_min_us=20, link_max_us=draw.pick((20, 400, 5_000))),
            weather=draw_weather(self.choices.stream("weather")) if self.on("sending") or self.on("receiving") else CALM,
            personality=draw.pick(("strict", "ordered")),
            disk_faults=self.disk_faults(),
            maps=ALIASES,
            strikes=tuple(strikes),
            calm_at_us=STORM_US,
            limit_us=3 * HOUR,
        )

    # --- crashes ------------------------------------------------------------------------------------------------------

    def crashes(self) -> list[Strike]:
        """One at any time, one behind a moment of some message's life, one inside the recovery after it; perhaps more."""
        draw = self.draw
        strikes = [self.crash(at_us=draw.between(UP_US, STORM_US * 3 // 4), effects=draw.between(0, 40))]
        for _ in range(draw.between(1, 3)):
            strikes.append(self.crash(note=draw.pick(MOMENTS), nth=draw.between(1, 12), effects=draw.between(0, 12)))
        for nth in range(2, 2 + draw.between(1, 2)):
            strikes.append(self.crash(note="recovering", by="qmgr", nth=nth, effects=draw.between(0, 30), target="qmgr"))
        return strikes

    def crash(self, target: str = "", **when: Any) -> Strike:
        kind = self.draw.pick(("power", "kill"))
        return Strike(kind=kind, target=target or self.draw.pick(PROCESSES), amount=self.draw.between(100 * MILLISECOND, 3 * SECOND), **when)

    # --- faults ---------------------------------------------------------------------------------------------------------

    def disk_faults(self) -> dict[str, int]:
        """Per mille of operations. Not here: a disk that lies or rots breaks promises, and rightly so; other studies are about it."""
        if not self.on("storage"):
            return {}
        return {fault: self.draw.between(1, 8) for fault in ("F7", "F8", "F9", "F11") if self.some(250)}

    def at(self) -> int:
        return self.draw.between(UP_US, STORM_US - SECOND)

    def storage(self) -> list[Strike]:
        strikes = []
        if self.some():
            strikes.append(Strike(kind="cut_disk", at_us=self.at(), amount=self.draw.between(1, 60)))
        if self.some(300):
            strikes.append(Strike(kind="stall", at_us=self.at(), amount=self.draw.between(100 * MILLISECOND, 8 * SECOND)))
        if self.some(300):
            strikes.append(Strike(kind="full", at_us=self.at(), amount=self.draw.between(SECOND, 6 * SECOND)))
        return strikes or [Strike(kind="cut_disk", at_us=self.at(), amount=self.draw.between(1, 60))]

    def process(self) -> list[Strike]:
        draw = self.draw
        strikes = [Strike(kind="kill", target=draw.pick(PROCESSES), at_us=self.at()) for _ in range(draw.between(1, 4))]
        if self.some(300):
            strikes.append(Strike(kind="pause", target=draw.pick(PROCESSES[:5]), at_us=self.at(), amount=draw.between(SECOND, 10 * SECOND)))
        if self.some(300):
            strikes.append(Strike(kind="cut_link", at_us=self.at(), target=draw.pick(("", "qmgr smtps.mx.0", "qmgr smtpc.0", "qmgr smar"))))
        if self.some(200):
            strikes.append(Strike(kind="no_fork", at_us=self.at(), amount=draw.between(1, 3)))
        if self.some(150):
            strikes.append(Strike(kind="slow_link", at_us=self.at(), amount=draw.between(MILLISECOND, 200 * MILLISECOND)))
        if self.some(150):
            strikes.append(Strike(kind="second_qmgr", at_us=self.at()))
        if self.some(150):
            strikes.append(Strike(kind="stop_mta", at_us=self.at(), amount=draw.between(SECOND, 3 * SECOND)))
        return strikes

    def time(self) -> list[Strike]:
        draw = self.draw
        strikes = []
        if self.some():
            strikes.append(Strike(kind="jump", at_us=self.at(), amount=draw.between(-HOUR, HOUR)))
        if self.some(300):
            strikes.append(Strike(kind="coalesce", at_us=self.at(), amount=draw.between(MILLISECOND, SECOND)))
        if self.some(300):
            strikes.append(Strike(kind="freeze", at_us=self.at(), amount=draw.between(100 * MILLISECOND, 2 * SECOND)))
        return strikes or [Strike(kind="jump", at_us=self.at(), amount=draw.between(-HOUR, HOUR))]

    def names(self) -> list[Strike]:
        return [Strike(kind="break_map", at_us=self.at(), target="smar.aliases", amount=self.draw.between(SECOND, 4 * SECOND))] if self.some(400) else []


_STRIKES: Final[dict[str, Callable[[Storm], list[Strike]]]] = {"storage": Storm.storage, "process": Storm.process, "time": Storm.time, "names": Storm.names}


class Tally:
    """Counts the crashes, and sees to it that there are enough of them."""

    def __init__(self, world: World) -> None:
        self.crashes = 0
        self.in_recovery = 0
        self.calm = False
        self._world = world
        self.handlers: dict[Any, Any] = {Crashed: self.on_crash, FaultsEnded: self.on_calm}

    def on_crash(self, fact: Crashed) -> None:
        if not self.calm and fact.how in ("power", "kill"):
            self.crashes += 1
            qmgr = self._world.machine.processes.get("qmgr")
            if fact.process in ("power", "qmgr") and qmgr is not None and not qmgr.ready:
                self.in_recovery += 1
                if self.in_recovery == 2:
                    self._world.mark("two crashes in one recovery")

    def on_calm(self, fact: FaultsEnded) -> None:
        self.calm = True

    def top_up(self) -> None:
        """Near the end of the storm: what chance has left out happens now."""
        world = self._world
        if self.in_recovery == 0:
            world.on_note("recovering", lambda process, note: self._kill_once())
        if self.crashes + (self.in_recovery == 0) < CRASHES_MIN or self.in_recovery == 0:
            world.strikes.strike(Strike(kind="power", amount=200 * MILLISECOND))
        for index in range(1, CRASHES_MIN):
            world.at(index * SECOND, self._one_more)

    def _kill_once(self) -> None:
        if self.in_recovery == 0 and not self.calm:
            self._world.strikes.strike(Strike(kind="kill", target="qmgr"))

    def _one_more(self) -> None:
        if self.crashes < CRASHES_MIN:
            self._world.strikes.strike(Strike(kind="power", amount=200 * MILLISECOND))


def mails_of(storm: Storm, destinations: tuple[Any, ...], stream: Stream) -> list[tuple[int, Mail]]:
    """At least so many messages, with at least so many recipients in all."""
    workload = Workload(
        destinations=destinations,
        arrivals=Poisson(STORM_US * 2 // 3 // max(storm.messages, 1)),
        sizes=SMALL,
        recipients=Recipients(many_per_mille=800, power=1.2, most=5),
        flags=(100, 50, 50, 150, 100),
    )
    count = max(storm.messages, MESSAGES_MIN)
    mails = workload.mails(stream, count)
    while sum(len(mail.recipients) for _, mail in mails) < RECIPIENTS_MIN:
        at, _ = mails[-1]
        mails += [(at + after, mail) for after, mail in workload.mails(stream, 5, first=len(mails))]
    return mails


def build(choices: Choices, trace: Trace, truth: Truth, options: Options) -> Setting:
    storm = Storm(choices, options)
    world = World(storm.scenario(), choices, trace, truth)
    tally = Tally(world)
    truth.attend(tally)
    world.at(STORM_US - 6 * SECOND, tally.top_up)
    if storm.on("names"):
        world.zone.weather = draw_dns_weather(choices.stream("dns weather"))
    scripts = choices.stream("scripts")
    domains = [add_domain(world, number, draw_script(scripts, faults_per_mille=700 if storm.on("sending") else 0), hosts=1 + scripts.below(2))[0] for number in range(DOMAINS)]
    people = choices.stream("people")
    mails = mails_of(storm, (LOCAL, *domains, LIST), choices.stream("workload"))
    clients = max(3, people.between(3, 8))
    for number, own in enumerate(dealt(mails, clients)):
        send(world, own, number, draw_manner(people, faults_per_mille=400 if storm.on("receiving") else 0))
    if storm.on("receiving"):
        add_bad_peers(world, storm, people)

    def figures() -> dict[str, float]:
        return {
            "messages": len(mails),
            "recipients": sum(len(mail.recipients) for _, mail in mails),
            "crashes": tally.crashes,
            "crashes_in_recovery": tally.in_recovery,
            "families": len(storm.families),
        }

    return Setting(world, figures, storm.story)


def add_bad_peers(world: World, storm: Storm, people: Stream) -> None:
    """Those who only make trouble (F29 to F35)."""
    for number in range(people.between(1, 3)):
        mischief = draw_mischief(people)
        mail = Mail(f"bad{number}", ("alice@lab.example",), "bad@bad.example")
        BadPeer(world.env, world.network, world.truth, people, mischief, mail, target=TARGET).start(people.between(UP_US, STORM_US))
        storm.story.append(f"bad peer: {mischief}")
    if people.chance(100):
        Flood(world.env, world.network, target=TARGET, count=people.between(10, 60), hold_us=people.between(SECOND, MINUTE)).start(people.between(UP_US, STORM_US))
        storm.story.append("flood")


STUDY: Final = Study(
    name="crash_storm",
    question="Does every promise hold when everything fails at random, and does the system converge once the faults end?",
    build=build,
    options={"messages": MESSAGES_MIN},
    markers=MARKERS,
)
