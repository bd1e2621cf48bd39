"""SMTPC and faulty peers: a table of every fault at every step, then random ones in random segmentation (F36, F37)."""

import random

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from smx.config.schema import SmtpcSettings
from smx.messages import Outcome, Protocol
from tests.smtpc.peer import ACTIONS, STEPS, Behaviour
from tests.smtpc.world import MESSAGE, World

SENT = {Outcome.DELIVERED, Outcome.RELAYED}
WAITS = {Outcome.DEFERRED}
FAILS = {Outcome.FAILED}

# What a single host that does this at this step leads to. `after` at a step before the dot means: replies, then closes.
# fmt: off
EXPECTED: dict[str, dict[str, set[Outcome]]] = {
    #            450    550    421    garbage drop  half   after  hang
    "greeting": dict(zip(ACTIONS, (WAITS, FAILS, WAITS, WAITS, WAITS, WAITS, WAITS, WAITS), strict=True)),
    "ehlo":     dict(zip(ACTIONS, (WAITS, FAILS, WAITS, WAITS, WAITS, WAITS, WAITS, WAITS), strict=True)),
    "starttls": dict(zip(ACTIONS, (SENT,  SENT,  WAITS, SENT,  SENT,  SENT,  SENT,  SENT),  strict=True)),
    "mail":     dict(zip(ACTIONS, (WAITS, FAILS, WAITS, WAITS, WAITS, WAITS, WAITS, WAITS), strict=True)),
    "rcpt":     dict(zip(ACTIONS, (WAITS, FAILS, WAITS, WAITS, WAITS, WAITS, WAITS, WAITS), strict=True)),
    "data":     dict(zip(ACTIONS, (WAITS, FAILS, WAITS, WAITS, WAITS, WAITS, WAITS, WAITS), strict=True)),
    "dot":      dict(zip(ACTIONS, (WAITS, FAILS, WAITS, WAITS, WAITS, WAITS, SENT,  WAITS), strict=True)),
}
# fmt: on


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("step", STEPS)
def test_every_fault_at_every_step_ends_in_the_verdict_of_the_table(step: str, action: str, pipelining: bool) -> None:
    offers = ("DSN", "STARTTLS", *(["PIPELINING"] if pipelining else []))
    world = World(a=Behaviour(offers=offers, faults={step: action}))
    number = world.deliver("a", recipients=2)
    expected = EXPECTED[step][action]
    if (step, action) == ("starttls", "421"):
        expected = expected | SENT
    assert {Outcome(verdict.outcome) for verdict in world.verdicts(number)} <= expected
    world.pass_time(3600 * 1_000_000)
    assert not world.open
    assert not world.timers


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("step", [step for step in STEPS if step != "starttls"])
def test_every_fault_at_every_step_of_lmtp(step: str, action: str) -> None:
    world = World(hosts={"/run/lda": Behaviour(lmtp=True, offers=("PIPELINING",), faults={step: action})})
    number = world.deliver("/run/lda", protocol=Protocol.LMTP, recipients=2)
    outcomes = [Outcome(verdict.outcome) for verdict in world.verdicts(number)]
    if (step, action) == ("dot", "after"):
        assert outcomes == [Outcome.DELIVERED, Outcome.DEFERRED]  # the reply for the second one never came
    else:
        assert set(outcomes) <= EXPECTED[step][action]


@pytest.mark.parametrize("action", ["421", "drop", "half", "garbage", "hang"])
def test_trouble_at_mail_takes_the_message_to_the_next_host(action: str) -> None:
    world = World(a=Behaviour(faults={"mail": action}), b=Behaviour())
    assert world.verdict(world.deliver("a", "b")).outcome == Outcome.DELIVERED
    assert world.taken["a"] == []


@pytest.mark.parametrize("action", ["drop", "half", "hang", "garbage"])
def test_a_lost_reply_to_the_dot_defers_and_is_not_sent_elsewhere_in_the_same_delivery(action: str) -> None:
    world = World(a=Behaviour(faults={"dot": action}), b=Behaviour())
    number = world.deliver("a", "b")
    assert world.verdict(number).outcome == Outcome.DEFERRED
    assert world.dots == [number]
    assert "b" not in world.connections


faults = st.dictionaries(st.sampled_from(STEPS), st.sampled_from(ACTIONS), max_size=2)
offers = st.lists(st.sampled_from(["PIPELINING", "SIZE", "8BITMIME", "DSN", "CHUNKING", "STARTTLS", "SMTPUTF8"]), unique=True).map(tuple)
behaviours = st.builds(
    Behaviour,
    offers=offers,
    faults=faults,
    times=st.integers(0, 3),
    connect=st.sampled_from(["ok", "ok", "ok", "refuse", "hang"]),
    handshake=st.sampled_from(["ok", "bad"]),
    transactions_max=st.integers(1, 3),
    refused=st.sampled_from([frozenset(), frozenset([b"user0@example.net"]), frozenset([b"user1@example.net"])]),
    close_idle=st.booleans(),
)


@given(
    hosts=st.lists(behaviours, min_size=1, max_size=3),
    deliveries=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2), st.booleans()), min_size=1, max_size=6),
    sessions_max=st.integers(1, 3),
    seed=st.integers(0, 1 << 30),
)
@hypothesis_settings(max_examples=150, deadline=None)
def test_whatever_peers_do_each_delivery_ends_once_and_truly(
    hosts: list[Behaviour], deliveries: list[tuple[int, int, bool]], sessions_max: int, seed: int
) -> None:
    """The world checks: one Delivered each, the right verdicts, never `delivered` without a 2yz to the dot, octets intact."""
    names = [f"h{number}" for number in range(len(hosts))]
    world = World(SmtpcSettings(sessions_max=sessions_max), cuts=random.Random(seed), hosts=dict(zip(names, hosts, strict=True)))
    for number, (recipients, rotate, at_once) in enumerate(deliveries):
        order = names[rotate % len(names) :] + names[: rotate % len(names)]
        world.deliver(*order, recipients=recipients, message=b"Subject: %d\r\n\r\n" % number + MESSAGE, run=not at_once)
    world.run()
    assert set(world.delivered) == set(world.orders)
    world.pass_time(3600 * 1_000_000)
    assert not world.open
    assert not world.timers
