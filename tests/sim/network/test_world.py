"""Clients, hosts and bad peers around the real MTA: nothing is lost, and nobody brings it down."""

import pytest

from sim.choices import Choices
from sim.peers.bad import MISCHIEF, BadPeer
from sim.peers.client import CHUNKED, LOCK_STEP, PIPELINED, Client, Manner
from sim.peers.host import Host
from sim.peers.mail import Mail
from sim.peers.script import FAULTS, LIES, Script
from sim.scenario import ADDRESS, CLIENTS, Scenario
from sim.workload import ONE_OR_TWO, SMALL, Burst, Destination, Workload, dealt
from sim.world import Outcome, World
from smx.units import SECOND

MTA = (ADDRESS, 25)
HOST = "192.0.2.10"
DESTINATIONS = (Destination("sink.example"), Destination("lab.example"))


def _world(seed: int, script: Script, *, calm_at_us: int = 0) -> World:
    choices = Choices(seed)
    world = World(Scenario(calm_at_us=calm_at_us), choices)
    world.zone.domain("sink.example", (10, "mx.sink.example", HOST))
    host = Host(world.env, world.network, "mx.sink.example", HOST, world.truth, choices.stream("peers"), script)
    host.start()
    world.at_calm(host.calm)
    return world


def _client(world: World, number: int, mails: list[Mail], manner: Manner) -> Client:
    client = Client(world.env, world.network, world.truth, mails, target=MTA, source=f"{CLIENTS}.{number + 1}", manner=manner)
    client.start(SECOND)
    world.add_client(lambda: client.finished)
    return client


def _run(world: World, count: int = 12) -> tuple[Outcome, list[Client]]:
    workload = Workload(DESTINATIONS, Burst(), SMALL, ONE_OR_TWO, senders=("sender@sink.example",))
    hands = dealt(workload.mails(world.choices.stream("workload"), count), 3)
    clients = [_client(world, number, [mail for _, mail in hands[number]], manner) for number, manner in enumerate((LOCK_STEP, PIPELINED, CHUNKED))]
    return world.run(), clients


def test_in_a_calm_world_everything_is_promised_and_arrives() -> None:
    outcome, clients = _run(_world(1, Script()))
    assert outcome.finished
    assert not outcome.violations
    assert sum(len(client.promised) for client in clients) == 12


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in LIES])
def test_a_host_with_any_fault_at_the_dot_loses_nothing(fault: str) -> None:
    outcome, _ = _run(_world(2, Script(acts={"dot": (FAULTS[fault],)}), calm_at_us=20 * SECOND), 4)
    assert not outcome.bugs
    assert [violation for violation in outcome.violations if violation.invariant.startswith("I")] == []


@pytest.mark.parametrize("mischief", MISCHIEF)
def test_a_bad_peer_does_not_hinder_good_ones(mischief: str) -> None:
    world = _world(3, Script())
    mail = Mail("bad", ("a@lab.example",), "sender@sink.example")
    bad = BadPeer(world.env, world.network, world.truth, world.choices.stream("bad"), mischief, mail, target=MTA, source=f"{CLIENTS}.99")
    bad.start(SECOND)
    outcome, clients = _run(world, 6)
    assert outcome.finished
    assert not outcome.bugs
    assert not outcome.violations
    assert sum(len(client.promised) for client in clients) == 6
