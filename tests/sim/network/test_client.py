"""Clients: each manner against a host and against the real server dialogue; what they remember is exact (F29, F30)."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sim.choices import Choices
from sim.peers.client import CHUNKED, LOCK_STEP, PIPELINED, STEPS, Manner
from sim.peers.crowd import VANISH_HOW, VANISH_STEPS, VANISH_WHEN, draw_manner
from sim.peers.mail import Mail, stuffed
from sim.peers.script import ALL_EXTENSIONS, FAULTS, GOING, LATER, LIES, UNKNOWN, Act, Script, draw_script
from sim.weather import draw_weather
from smx.messages import Notify
from smx.smtp.server import ServerSettings
from smx.units import HOUR, MINUTE, SECOND
from tests.sim.network.dialogues import RealServer
from tests.sim.network.world import HOST, TARGET, Town, mails

BODY = b".dot\r\n..two\r\nplain\r\n"
MANNERS = {
    "lock step": LOCK_STEP,
    "pipelined": PIPELINED,
    "chunked": CHUNKED,
    "small chunks": Manner(chunked=True, chunk_octets=7),
    "HELO": Manner(hello="HELO"),
    "STARTTLS": Manner(starttls=True),
    "one a session": Manner(per_session=1),
    "thinking": Manner(think_us=SECOND),
    "octet by octet": Manner(drip_us=100),
}


def _check(town: Town) -> None:
    """What must be true whatever happened."""
    submitted, promised, arrived = (town.ledger.tokens(what) for what in ("submitted", "promised", "arrived"))
    assert len(submitted) == len(set(submitted)), "a token is submitted once"
    assert len(promised) == len(set(promised))
    assert set(promised) <= set(arrived), "what was promised was taken"
    assert set(arrived) <= set(submitted), "what was taken was submitted"
    recipients = dict(town.ledger.of("submitted"))
    for token, names, content in town.ledger.of("arrived"):
        assert names == recipients[token]
        assert content.endswith(BODY)
    dots = {token for token, _, stage, _ in town.ledger.of("refused") if stage == "dot"}
    assert not dots & set(promised)


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("real", [False, True], ids=["host", "real server"])
def test_each_manner_gets_its_mail_through(manner: str, real: bool) -> None:
    town = Town(script=Script(extensions=ALL_EXTENSIONS))
    taken: list[tuple[bytes, list[bytes]]] = []
    if real:
        town.host.stop()
        settings = ServerSettings(b"mx.lab.example", starttls=True)
        town.network.listen(*TARGET, lambda connection: RealServer(connection, taken, settings))
    client = town.client(*mails(3, body=BODY), manner=MANNERS[manner])
    town.run()
    assert client.finished
    assert [mail.token for mail in client.promised] == town.ledger.tokens("promised") == ["t0", "t1", "t2"]
    assert client.sessions == (3 if manner == "one a session" else 1)
    if real:
        assert [content for content, _ in taken] == [mail.content for mail in mails(3, body=BODY)]
    else:
        _check(town)


@pytest.mark.parametrize("how", VANISH_HOW)
@pytest.mark.parametrize("when", VANISH_WHEN)
@pytest.mark.parametrize("step", VANISH_STEPS)
def test_who_vanishes_at_any_step_comes_again_and_remembers_what_it_was_told(step: str, when: str, how: str) -> None:
    town = Town(script=Script(extensions=ALL_EXTENSIONS))
    client = town.client(*mails(2, body=BODY), manner=Manner(vanish=step, vanish_when=when, vanish_how=how, starttls=step == "starttls"))
    town.run()
    assert client.finished
    _check(town)
    assert {mail.token.partition(".")[0] for mail in client.promised} == {"t0", "t1"}
    if step == "dot":
        assert ("t0" in town.ledger.tokens("arrived")) is (when != "part")
        if how in ("reset", "close") and when == "sent":
            assert town.ledger.of("lost") == [("t0",)]


def test_the_last_octet_of_the_250_makes_the_promise() -> None:
    for octets in range(30):
        town = Town()
        town.client(*mails(1, body=BODY), manner=Manner(tries_max=1))
        town.run(5_500)  # greeting and the reply to EHLO are on their way
        (session,) = town.host.sessions.values()
        reply = b"250 2.0.0 Taken\r\n"
        town.host.script = Script(always={"dot": Act(reply=reply)})
        session._connection.cut_after(len(b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n354 Go ahead\r\n") + octets)
        town.run()
        assert bool(town.ledger.of("promised")) is (octets >= len(reply)), octets
        assert bool(town.ledger.of("lost")) is (octets < len(reply))
        assert town.ledger.tokens("arrived") == ["t0"]


@pytest.mark.parametrize("step", ["connect", "ehlo", "mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize(("act", "again"), [(LATER, True), (GOING, True), (UNKNOWN, False)])
def test_what_is_refused_for_now_is_tried_again_under_a_new_token(step: str, act: Act, again: bool) -> None:
    town = Town(script=Script(acts={step: (act, act) if step == "rcpt" else (act,)}))
    client = town.client(*mails(1, body=BODY))
    town.run()
    _check(town)
    assert client.finished
    if again or step == "ehlo":
        assert len(client.promised) == 1
        assert len(town.ledger.tokens("arrived")) == 1
        assert (client.promised[0].token == "t0") is (step in ("connect", "ehlo"))
    else:
        assert [mail.token for mail in client.rejected] == ["t0"]
        assert town.ledger.tokens("arrived") == []


def test_only_the_recipients_that_were_put_off_are_tried_again() -> None:
    town = Town(script=Script(users={"r0@example.net": UNKNOWN}, acts={"rcpt": (LATER,)}))
    client = town.client(*mails(1, 3, body=BODY))
    town.run()
    assert town.ledger.of("submitted") == [("t0", ("r2@example.net",)), ("t0.1", ("r1@example.net",))]
    assert len(client.promised) == 2


def test_a_host_that_is_never_there_is_given_up() -> None:
    town = Town()
    town.host.stop()
    client = town.client(*mails(2), manner=Manner(tries_max=3, retry_us=SECOND))
    town.run()
    assert client.finished
    assert len(client.given_up) == 2
    assert client.sessions == 3


def test_mail_added_later_is_sent() -> None:
    town = Town()
    client = town.client()
    town.run(MINUTE)
    assert client.finished
    client.add(Mail("late", ("r0@example.net",)))
    town.run(MINUTE)
    assert town.ledger.tokens("promised") == ["late"]


@given(seed=st.integers(0, 1 << 30))
@hypothesis_settings(max_examples=150, deadline=None)
def test_drawn_clients_hosts_and_weather_keep_the_books_straight(seed: int) -> None:
    choices = Choices(seed)
    script = draw_script(choices.stream("script"))
    town = Town(seed=seed, ties=seed, weather=draw_weather(choices.stream("weather")), script=script)
    manners = choices.stream("manners")
    for number in range(3):
        messages = [Mail(f"c{number}m{index}", ("a@example.net", "b@example.net"), body=BODY) for index in range(3)]
        town.client(*messages, manner=draw_manner(manners, faults_per_mille=500, starttls=True))
    town.run(2 * HOUR)
    town.network.calm()
    town.host.calm()
    town.run(12 * HOUR)
    assert all(client.finished for client in town.clients)
    _check(town)
    assert town.network.open_ends(HOST) == 0


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in LIES])
@pytest.mark.parametrize("step", ["connect", "ehlo", "mail", "rcpt", "data", "bdat", "dot", "quit"])
@pytest.mark.parametrize("manner", ["pipelined", "small chunks"])
def test_every_fault_at_every_step_is_survived_once(step: str, fault: str, manner: str) -> None:
    town = Town(script=Script(acts={step: (FAULTS[fault],)}, extensions=ALL_EXTENSIONS))
    client = town.client(*mails(2, body=BODY), manner=MANNERS[manner])
    town.run(20 * HOUR)
    assert client.finished
    _check(town)
    assert not client.given_up


def test_contents_are_stuffed_and_carry_their_token() -> None:
    mail = Mail("t7", ("a@b.example",), parameters="NOTIFY=SUCCESS,DELAY", body=BODY)
    assert stuffed(mail.content).endswith(b"\r\n\r\n..dot\r\n...two\r\nplain\r\n.\r\n")
    assert b"\r\nX-Token: t7\r\n" in mail.content
    assert mail.notify == (Notify.SUCCESS | Notify.DELAY,)
    assert mail.again(("x@y.example",)).again(("x@y.example",)).token == "t7.2"
    assert set(VANISH_STEPS) <= set(STEPS)
