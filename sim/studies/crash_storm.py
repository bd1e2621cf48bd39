"""crash_storm: does the MTA keep every promise when machine, processes, disk, network, clocks and peers fail at random?

Each seed draws a world of its own (sim.studies.storm): at least 20 messages with at least 40 recipients, at least three crashes, one of them inside
recovery, and faults of at least three families. Then the faults end, and the system must converge: an operator releases what was set aside
(three crashes of innocent mail look like poison, A14), every recipient leaves, nothing is left behind.

The checkers of dialogues (I12, I13) cost as much as all others together: they judge every eighth seed.
"""

from typing import Any, Final

import msgspec

from sim.choices import Choices, Stream
from sim.dns import draw_dns_weather
from sim.facts import Crashed, FaultsEnded, Healed
from sim.peers.bad import BadPeer, Flood
from sim.peers.client import Manner
from sim.peers.crowd import draw_manner, draw_mischief
from sim.peers.host import Host
from sim.peers.mail import Mail
from sim.peers.script import draw_script
from sim.scenario import Strike
from sim.studies.internet import LIST, LOCAL, TARGET, UP_US, add_domain, send
from sim.studies.sightings import SEEN, Sightings
from sim.studies.storm import STORM_US, Storm
from sim.studies.study import Options, Setting, Study
from sim.trace import Trace
from sim.truth import Truth
from sim.weather import Swizzle
from sim.workload import SMALL, Destination, Poisson, Recipients, Workload, dealt
from sim.world import World
from smx.units import MILLISECOND, MINUTE, SECOND

MESSAGES_MIN: Final = 20
RECIPIENTS_MIN: Final = 40
CRASHES_MIN: Final = 3
DOMAINS: Final = 5
TOP_UP_US: Final = STORM_US - 6 * SECOND
DRIP_OCTETS: Final = 80  # of a session of a slow client: enough to be in every state

MARKERS: Final = (
    *("crash in recovery", "two crashes in one recovery", "power failed inside an operation", "strike power", "strike kill"),
    *("F1 happened", "F2 happened", "F3 happened", "F4 happened", "F5 happened", "F6 happened", "F7 happened", "F8 happened", "F9 happened", "F11 happened"),
    *("frames lost with a link", "second QMGR refused", "released"),
    *SEEN,
)


class Tally:
    """Counts the crashes, and sees to it that there are enough of them."""

    def __init__(self, world: World) -> None:
        self.crashes = 0
        self.in_recovery = 0
        self.calm = False
        self._world = world
        self._recovery: Any = None  # the QMGR that was recovering at the latest such crash
        self.handlers: dict[Any, Any] = {Crashed: self.on_crash, FaultsEnded: self.on_calm}

    def on_crash(self, fact: Crashed) -> None:
        if self.calm or fact.how not in ("power", "kill"):
            return
        self.crashes += 1
        qmgr = self._world.machine.processes.get("qmgr")
        if fact.process in ("power", "qmgr") and qmgr is not None and not qmgr.ready:
            self.in_recovery += 1
            if self._recovery is not None:
                self._world.mark("two crashes in one recovery")
            self._recovery = qmgr
        elif qmgr is not None and qmgr.ready:
            self._recovery = None

    def on_calm(self, fact: FaultsEnded) -> None:
        self.calm = True

    def top_up(self) -> None:
        """Near the end of the storm: what chance has left out happens now, for as long as it takes."""
        world = self._world
        if self.in_recovery == 0:
            world.on_note("recovering", lambda process, note: self._kill_once())
        self._press()

    def _press(self) -> None:
        if self.calm or (self.in_recovery and self.crashes >= CRASHES_MIN):
            return
        qmgr = self._world.machine.processes.get("qmgr")
        if self.in_recovery or (qmgr is not None and qmgr.ready):
            self._world.strikes.strike(Strike(kind="power", amount=200 * MILLISECOND))
        self._world.at(SECOND // 2, self._press)

    def _kill_once(self) -> None:
        if self.in_recovery == 0 and not self.calm:
            self._world.strikes.strike(Strike(kind="kill", target="qmgr"))


def build(choices: Choices, trace: Trace, truth: Truth, options: Options) -> Setting:
    storm = Storm(choices, options["messages"])
    scenario = storm.scenario()
    world = World(scenario, choices, trace, truth)
    tally = Tally(world)
    truth.attend(tally)
    truth.attend(Sightings(world.mark, scenario.settings.qmgr.retry.give_up_us))
    world.at(TOP_UP_US, tally.top_up)
    world.when_idle = Operator(world).release
    if storm.on("names"):
        world.zone.weather = draw_dns_weather(choices.stream("dns weather"))
    domains = [add_hosts(world, storm, number) for number in range(DOMAINS)]
    mails = mails_of(storm, (LOCAL, *domains, LIST), choices.stream("workload"))
    add_people(world, storm, mails)

    def figures() -> dict[str, float]:
        return {
            "messages": len(mails),
            "recipients": sum(len(mail.recipients) for _, mail in mails),
            "crashes": tally.crashes,
            "crashes_in_recovery": tally.in_recovery,
            "families": len(storm.families),
        }

    return Setting(world, figures, storm.story)


class Operator:
    """Looks at the queue when nothing is left to do, and releases once what was set aside."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._done = False

    def release(self) -> bool:
        """True: there is something to do again."""
        if self._done or not self._world.queue_tool.resting:
            return False
        self._done = True
        self._world.mark("released")
        self._world.queue_tool.release()
        return True


def mails_of(storm: Storm, destinations: tuple[Destination, ...], stream: Stream) -> list[tuple[int, Mail]]:
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


def add_hosts(world: World, storm: Storm, number: int) -> Destination:
    """A domain. Its hosts may say anything, die, or be clogged; all is well with them when the storm is over."""
    scripts = world.choices.stream("scripts")
    script = draw_script(scripts, faults_per_mille=700 if storm.on("sending") else 0)
    destination, hosts = add_domain(world, number, script, hosts=1 + scripts.below(2))
    if storm.on("sending"):
        if scripts.chance(150):
            for host in hosts:
                world.at(scripts.between(UP_US, STORM_US // 2), _end, world, host, scripts.chance(300))
            storm.story.append(f"{destination.domain} is gone")
        if scripts.chance(50):
            swizzle = Swizzle(world.env, world.network, world.choices.stream("swizzle"), [host.address for host in hosts], gap_us=2 * SECOND)
            swizzle.start()
            world.at_calm(swizzle.stop)
            storm.story.append(f"the hosts of {destination.domain} are clogged now and then")
    world.at_calm(lambda: world.truth.observe(Healed(world.env.now, destination.domain)))
    return destination


def _end(world: World, host: Host, silently: bool) -> None:
    """Nobody listens there any more; or nobody is there."""
    if silently:
        host.die()
    else:
        host.stop()


def add_people(world: World, storm: Storm, mails: list[tuple[int, Mail]]) -> None:
    """Clients, and those who only make trouble (F29 to F35)."""
    people = world.choices.stream("people")
    bad = storm.on("receiving")
    for number, own in enumerate(dealt(mails, max(3, people.between(3, 8)))):
        client = send(world, own, number, hurried(draw_manner(people, faults_per_mille=400 if bad else 0), people))
        world.at_calm(client.calm)
    if not bad:
        return
    for number in range(people.between(1, 3)):
        mischief = draw_mischief(people)
        mail = Mail(f"bad{number}", ("alice@lab.example",), "bad@bad.example")
        BadPeer(world.env, world.network, world.truth, people, mischief, mail, target=TARGET).start(people.between(UP_US, STORM_US))
        storm.story.append(f"bad peer: {mischief}")
    if people.chance(100):
        Flood(world.env, world.network, target=TARGET, count=people.between(10, 60), hold_us=people.between(SECOND, MINUTE)).start(
            people.between(UP_US, STORM_US)
        )
        storm.story.append("flood")


def hurried(manner: Manner, stream: Stream) -> Manner:
    """A client whose waits fit into a storm: who waits for minutes sees nothing of it."""
    patience = stream.pick((20 * SECOND, 5 * SECOND, 60 * SECOND))
    return msgspec.structs.replace(manner, retry_us=stream.between(500 * MILLISECOND, 3 * SECOND), patience_us=patience, drip_octets=DRIP_OCTETS)


STUDY: Final = Study(
    name="crash_storm",
    question="Does every promise hold when everything fails at random, and does the system converge once the faults end?",
    build=build,
    options={"messages": MESSAGES_MIN},
    markers=MARKERS,
    costly=("I12", "I13"),
    costly_every=8,
)
