"""Hosts: every fault at every step, met by the real client dialogue; what is taken is reported, and so is a reply that was lost (F36, F37)."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sim.choices import Choices
from sim.peers.script import ALL_EXTENSIONS, EXTENSIONS, FAULTS, HANG, LATER, LIES, STEPS, UNKNOWN, Act, Script, draw_script
from sim.weather import draw_weather
from smx.messages import Outcome
from smx.units import HOUR, MINUTE, SECOND
from tests.sim.network.dialogues import RealClient
from tests.sim.network.world import CLIENT, Town, mails

CONTENT = b"X-Token: t0\r\n\r\n.dot\r\n..\r\nline\r\n"
OFFERS = {"pipelined": ("PIPELINING", "8BITMIME"), "in lock step": ("8BITMIME",), "chunked": ("PIPELINING", "CHUNKING"), "secured": ("PIPELINING", "STARTTLS")}


def _deliver(town: Town, *, tls: bool = False) -> RealClient:
    client = RealClient(town.env, town.network, CONTENT, 2, tls=tls)
    town.run(2 * HOUR)
    return client


def _check(town: Town, client: RealClient) -> None:
    """What must be true whatever happened."""
    arrived, lost = town.ledger.of("arrived"), town.ledger.of("lost")
    assert client.over
    assert len(arrived) <= 1
    assert all(content == CONTENT for _, _, content in arrived), "the content is that which was sent"
    if client.delivered:
        assert arrived, "nothing is delivered that the host did not take"
        assert not lost, "a reply that was read is not lost"
    elif arrived:
        assert lost, "a message that was taken, and whose sender does not know it, is reported"


@pytest.mark.parametrize("offers", OFFERS)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", STEPS)
def test_every_fault_at_every_step_is_borne_and_reported(step: str, fault: str, offers: str) -> None:
    town = Town(script=Script(always={step: FAULTS[fault]}, extensions=OFFERS[offers]))
    client = _deliver(town, tls=offers == "secured")
    if fault in LIES:
        assert client.over
    else:
        _check(town, client)
    assert town.network.open_ends(CLIENT) == 0


# fmt: off
DOT = {
    # fault           taken, known to the client
    "450":            (False, False),
    "550":            (False, False),
    "drop before":    (False, False),
    "drop instead":   (True,  False),
    "drop during":    (True,  False),
    "drop after":     (True,  True),
    "half-close before": (False, False),
    "hang":           (False, False),
    "late":           (True,  True),
    "too late":       (True,  False),
    "slow octets":    (True,  True),
    "silent":         (True,  False),
    "garbage":        (True,  False),
    "taken, but 451": (True,  False),
    "bare code":      (True,  True),
}
# fmt: on


@pytest.mark.parametrize("fault", DOT)
def test_at_the_dot_each_fault_means_what_the_table_says(fault: str) -> None:
    town = Town(script=Script(always={"dot": FAULTS[fault]}))
    client = _deliver(town)
    taken, known = DOT[fault]
    assert bool(town.ledger.of("arrived")) is taken
    assert client.delivered is known
    assert bool(town.ledger.of("lost")) is (taken and not known)


def test_a_slow_reply_that_is_cut_off_is_a_lost_one() -> None:
    town = Town(script=Script(always={"dot": FAULTS["slow octets"]}))
    RealClient(town.env, town.network, CONTENT, 2)
    town.run(2 * SECOND)
    assert town.ledger.of("arrived")
    assert not town.ledger.of("lost")
    town.host.calm()
    town.run(SECOND)
    assert town.ledger.of("lost")


def test_a_good_host_takes_a_message_for_all_recipients() -> None:
    town = Town()
    client = _deliver(town)
    assert [verdict.outcome for verdict in client.verdicts] == [Outcome.DELIVERED] * 2
    assert town.ledger.of("arrived") == [("t0", ("r0@example.net", "r1@example.net"), CONTENT)]


def test_greylisting_turns_a_pair_away_until_its_time_is_over() -> None:
    town = Town(script=Script(grey_us=10 * MINUTE))
    assert not _deliver_after(town, 0).delivered
    assert not _deliver_after(town, 5 * MINUTE).delivered
    assert _deliver_after(town, 6 * MINUTE).delivered


def _deliver_after(town: Town, us: int) -> RealClient:
    town.run(us)
    client = RealClient(town.env, town.network, CONTENT, 2)
    town.run(MINUTE)
    return client


def test_addresses_that_do_not_exist_are_refused_and_stay_so_when_the_faults_end() -> None:
    town = Town(script=Script(users={"r0@example.net": UNKNOWN, "r1@example.net": LATER}))
    assert [verdict.outcome for verdict in _deliver(town).verdicts] == [Outcome.FAILED, Outcome.DEFERRED]
    town.host.calm()
    assert [verdict.outcome for verdict in _deliver(town).verdicts] == [Outcome.FAILED, Outcome.DELIVERED]


def test_too_many_sessions_transactions_and_recipients_are_turned_away() -> None:
    town = Town(script=Script(sessions_max=1, transactions_max=1, recipients_max=1))
    client = _deliver(town)
    assert [verdict.code for verdict in client.verdicts] == [250, 452]
    two = [RealClient(town.env, town.network, CONTENT, 1) for _ in range(2)]
    town.run(MINUTE)
    assert sorted(verdict.code for client in two for verdict in client.verdicts) == [250, 421]


def test_a_tarpit_makes_each_reply_late() -> None:
    town = Town(script=Script(tarpit_us=SECOND, extensions=("8BITMIME",)))
    client = RealClient(town.env, town.network, CONTENT, 2)
    town.run(6 * SECOND)
    assert not client.delivered
    town.run(2 * SECOND)
    assert client.delivered


def test_acts_are_for_the_first_occurrences_only() -> None:
    town = Town(script=Script(acts={"mail": (LATER, UNKNOWN)}))
    assert [_deliver(town).verdicts[0].outcome for _ in range(3)] == [Outcome.DEFERRED, Outcome.FAILED, Outcome.DELIVERED]


def test_who_hangs_hangs_up_when_the_faults_end() -> None:
    town = Town(script=Script(always={"mail": HANG}))
    client = RealClient(town.env, town.network, CONTENT, 1)
    town.run(MINUTE)
    assert not client.over
    town.host.calm()
    town.run(SECOND)
    assert client.over
    assert not town.host.sessions


@pytest.mark.parametrize("handshake", ["good", "refused", "silent", "plain"])
def test_every_kind_of_handshake_ends(handshake: str) -> None:
    town = Town(script=Script(extensions=ALL_EXTENSIONS, handshake=handshake))
    client = _deliver(town, tls=True)
    assert client.delivered is (handshake == "good")
    _check(town, client)


def test_octets_behind_the_reply_to_starttls_end_the_session() -> None:
    town = Town(script=Script(extensions=ALL_EXTENSIONS, always={"starttls": Act(reply=b"220 Go\r\n250 injected\r\n")}))
    client = _deliver(town, tls=True)
    assert not client.delivered
    _check(town, client)


def test_a_host_that_dies_forgets_its_sessions_and_comes_back() -> None:
    town = Town()
    client = RealClient(town.env, town.network, CONTENT, 1)
    town.run(3_000)
    town.host.die()
    town.run(HOUR)
    assert client.over
    assert not client.delivered
    town.host.start()
    assert _deliver(town).delivered


@given(seed=st.integers(0, 1 << 30))
@hypothesis_settings(max_examples=150, deadline=None)
def test_drawn_hosts_in_drawn_weather_keep_the_books_straight(seed: int) -> None:
    choices = Choices(seed)
    town = Town(seed=seed, ties=seed, weather=draw_weather(choices.stream("weather")), script=draw_script(choices.stream("script"), faults_per_mille=900))
    client = _deliver(town, tls=bool(seed % 2))
    _check(town, client)
    assert town.network.open_ends(CLIENT) == 0


def test_scripts_of_a_calm_tape_are_good() -> None:
    assert draw_script(Choices(1).stream("x"), faults_per_mille=0).plain
    assert mails()[0].content.endswith(b"Hello.\r\n")
    assert Script().calm().extensions == EXTENSIONS
