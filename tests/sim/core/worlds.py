"""Worlds for the tests: a machine, two domains with hosts, an alias, and clients with one message each."""

from collections.abc import Callable, Sequence
from typing import Any

from sim.choices import Choices, Tape
from sim.facts import Arrived, Bounced, Fact, Noted
from sim.peers.client import Client, Manner
from sim.peers.host import Host
from sim.peers.mail import Mail
from sim.peers.script import GOOD, UNKNOWN, Script
from sim.scenario import ADDRESS, Scenario, Strike
from sim.trace import Trace
from sim.truth import Truth
from sim.world import World
from smx.units import MILLISECOND, SECOND

ALIASES = (("list@lab.example", "alice, bob"), ("list", "alice, bob"))
FIRST_MAIL_US = 3 * SECOND  # the machine is up by then
SINK = "203.0.113.10"
OTHER = "203.0.113.11"
LOCAL = ("alice@lab.example",)
REMOTE = ("somebody@sink.example",)
MAILS = (
    Mail("t1", LOCAL),
    Mail("t2", REMOTE),
    Mail("t3", ("list@lab.example",)),
    Mail("t4", ("bob@lab.example", "a@sink.example", "b@other.example")),
)


def scenario(*strikes: Strike, calm_at_us: int = 0, **fields: Any) -> Scenario:
    """With aliases and these strikes."""
    return Scenario(maps={"smar.aliases": ALIASES}, strikes=strikes, calm_at_us=calm_at_us or (15 * SECOND if strikes else 0), **fields)


class Lab:
    """A world with everything in it."""

    def __init__(
        self,
        of: Scenario,
        mails: Sequence[Mail] = MAILS,
        *,
        seed: int = 1,
        tape: Tape | None = None,
        scripts: dict[str, Script] | None = None,
        manner: Manner | None = None,
        gap_us: int = 200 * MILLISECOND,
        lines: bool = False,
    ) -> None:
        self.truth = Truth(keep=True)
        self.world = World(of, Choices(seed, tape), Trace(keep_lines=lines), self.truth)
        world = self.world
        self.hosts: dict[str, Host] = {}
        for domain, address in (("sink.example", SINK), ("other.example", OTHER)):
            world.zone.add(domain, "MX", (10, f"mx.{domain}"))
            world.zone.add(f"mx.{domain}", "A", address)
            script = (scripts or {}).get(domain, GOOD)
            host = Host(world.env, world.network, f"mx.{domain}", address, self.truth, world.choices.stream("hosts"), script)
            host.start()
            world.at_calm(host.calm)
            self.hosts[domain] = host
        self.clients = [
            Client(world.env, world.network, self.truth, [mail], target=(ADDRESS, 25), manner=manner or Manner(patience_us=20 * SECOND, retry_us=2 * SECOND))
            for mail in mails
        ]
        for number, client in enumerate(self.clients):
            client.start(FIRST_MAIL_US + number * gap_us)
            world.add_client(lambda client=client: client.finished)  # type: ignore[misc]

    def facts(self, kind: type[Fact]) -> list[Any]:
        assert self.truth.facts is not None
        return [fact for fact in self.truth.facts if isinstance(fact, kind)]

    def notes(self, name: str, process: str = "") -> list[Noted]:
        return [fact for fact in self.facts(Noted) if fact.name == name and (not process or fact.process == process)]

    def arrivals(self) -> list[tuple[str, str]]:
        """(token without the number of the attempt, recipient), sorted."""
        return sorted((fact.token.partition(".")[0], fact.recipient) for fact in self.facts(Arrived))

    def bounces(self) -> list[tuple[str, str, str]]:
        return sorted((fact.token, fact.recipient, fact.kind) for fact in self.facts(Bounced))


EXPECTED = [
    ("t1", "alice@lab.example"),
    ("t2", "somebody@sink.example"),
    ("t3", "alice@lab.example"),
    ("t3", "bob@lab.example"),
    ("t4", "a@sink.example"),
    ("t4", "b@other.example"),
    ("t4", "bob@lab.example"),
]


def unknown(*users: str) -> Script:
    """A host that knows everybody but these."""
    return Script(users=dict.fromkeys(users, UNKNOWN))


def settle(lab: Lab, until: Callable[[], bool], limit_us: int = 60 * SECOND) -> None:
    """Let time pass until this holds."""
    world = lab.world
    end = world.env.now + limit_us
    while not until():
        assert world.env.now < end, "it does not come to that"
        world.go_on(world.env.now + 10 * MILLISECOND)
