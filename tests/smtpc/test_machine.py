"""SMTPC: what it does with good hosts, bad hosts, content, idle sessions, links and stops."""

import pytest

from smx.config.schema import ClientTimeouts, SmtpcSettings
from smx.effects import Close, Connect, Halt, Note, Tell, Transmit
from smx.events import Linked, Told, Unlinked
from smx.messages import Delivered, DotSent, Outcome, Protocol, Route
from smx.smtpc.content import CHUNK_OCTETS
from smx.smtpc.deliveries import LINGER_US
from smx.units import MINUTE, SECOND
from tests.smtpc.peer import Behaviour
from tests.smtpc.world import MESSAGE, World

LARGE = b"Subject: large\r\n\r\n" + b"".join(b"%070d\r\n" % number for number in range(10_000))
TLS = (*Behaviour().offers, "STARTTLS")


def test_a_message_is_delivered_with_its_octets_and_the_reply_of_the_host() -> None:
    world = World(a=Behaviour())
    number = world.deliver("a", recipients=3)
    assert [verdict.outcome for verdict in world.verdicts(number)] == [Outcome.DELIVERED] * 3
    verdict = world.verdicts(number)[0]
    assert (verdict.code, verdict.enhanced, verdict.text, verdict.remote) == (250, b"2.0.0", b"taken", "mx0.example.net [a]")
    assert world.taken["a"][0].content == MESSAGE
    assert world.taken["a"][0].recipients == [b"user0@example.net", b"user1@example.net", b"user2@example.net"]
    assert world.taken["a"][0].reverse_path == b"me@example.org"
    assert world.dots == [number]
    notes = [effect.name for effect in world.trail if isinstance(effect, Note)]
    assert notes == ["started", "ready", "dot", "replied"]


def test_a_host_without_dsn_relays() -> None:
    world = World(a=Behaviour(offers=()))
    assert world.verdict(world.deliver("a")).outcome == Outcome.RELAYED


def test_recipients_have_their_own_verdicts() -> None:
    world = World(a=Behaviour(refused=frozenset([b"user1@example.net"])))
    number = world.deliver("a", recipients=3)
    assert [(verdict.index, verdict.outcome, verdict.code) for verdict in world.verdicts(number)] == [
        (3, Outcome.DELIVERED, 250),
        (4, Outcome.FAILED, 550),
        (5, Outcome.DELIVERED, 250),
    ]


@pytest.mark.parametrize("offers", [("PIPELINING", "DSN"), ("DSN",), ("PIPELINING", "CHUNKING", "DSN"), ("CHUNKING", "DSN")])
@pytest.mark.parametrize("message", [MESSAGE, LARGE], ids=["small", "large"])
def test_content_arrives_whole_by_data_and_by_bdat(offers: tuple[str, ...], message: bytes) -> None:
    world = World(a=Behaviour(offers=offers))
    assert world.verdict(world.deliver("a", message=message)).outcome == Outcome.DELIVERED
    assert world.taken["a"][0].content == message


def test_small_content_goes_out_together_with_the_dot() -> None:
    world = World(a=Behaviour())
    world.deliver("a")
    last = [effect.data for effect in world.trail if isinstance(effect, Transmit)][-1]
    assert last.endswith(b"body\r\n.\r\n")
    assert last.startswith(b"Received")


def test_on_an_idle_session_the_whole_envelope_is_one_transmit() -> None:
    world = World(a=Behaviour())
    world.deliver("a")
    world.trail.clear()
    world.deliver("a")
    sent = [effect.data for effect in world.trail if isinstance(effect, Transmit)]
    assert [data.count(b"\r\n") for data in sent[:1]] == [3]
    assert len(sent) == 2


def test_no_more_content_is_in_flight_than_one_stretch_when_the_peer_does_not_read() -> None:
    world = World(a=Behaviour(swallow=True))
    number = world.deliver("a", message=LARGE)
    verdict = world.verdict(number)
    assert (verdict.outcome, verdict.code) == (Outcome.DEFERRED, 0)
    assert b"timed out" in verdict.text
    assert max(world.unread.values()) <= CHUNK_OCTETS + 1000
    assert world.dots == []
    assert world.taken["a"] == []


def test_damaged_content_is_never_sent_to_its_end() -> None:
    for message in (MESSAGE, LARGE):
        world = World(a=Behaviour())
        world.deliver("a", message=message, run=False)
        offset = world.orders[1].content.offset
        world.store[offset] = message[:-4] + b"X\r\n" + message[-1:]
        world.run()
        verdict = world.verdict(1)
        assert (verdict.outcome, verdict.code, verdict.enhanced) == (Outcome.DEFERRED, 0, b"4.3.0")
        assert verdict.text.startswith(b"content is damaged")
        assert world.taken["a"] == []
        assert world.dots == []
        assert [effect.abort for effect in world.trail if isinstance(effect, Close)] == [True]


@pytest.mark.parametrize(("missing", "text"), [(True, b"content is missing"), (False, b"cannot read the content now: EIO")])
def test_content_that_cannot_be_read_defers_and_breaks_off(missing: bool, text: bytes) -> None:
    world = World(a=Behaviour())
    world.read_error = (missing, "EIO")
    verdict = world.verdict(world.deliver("a"))
    assert (verdict.outcome, verdict.text, verdict.enhanced) == (Outcome.DEFERRED, text, b"4.3.0")
    assert world.taken["a"] == []


# --- hosts


def test_the_next_address_is_tried_when_one_cannot_be_reached() -> None:
    world = World(a=Behaviour(connect="refuse"), b=Behaviour(connect="hang"), c=Behaviour())
    number = world.deliver("a", "b", "c")
    assert world.verdict(number).outcome == Outcome.DELIVERED
    assert world.verdict(number).remote == "mx2.example.net [c]"
    assert world.delivered[number].connected


@pytest.mark.parametrize("action", ["450", "550", "421", "garbage", "drop", "half", "hang"])
@pytest.mark.parametrize("step", ["greeting", "ehlo"])
def test_the_next_address_is_tried_when_a_host_does_not_greet(step: str, action: str) -> None:
    world = World(a=Behaviour(faults={step: action}), b=Behaviour())
    number = world.deliver("a", "b")
    assert world.verdict(number).outcome == Outcome.DELIVERED


def test_no_reachable_host_defers_and_blames_the_destination() -> None:
    world = World(a=Behaviour(connect="refuse"), b=Behaviour(connect="hang"))
    number = world.deliver("a", "b", recipients=2)
    assert [verdict.outcome for verdict in world.verdicts(number)] == [Outcome.DEFERRED] * 2
    assert world.verdicts(number)[0].text == b"cannot connect to mx1.example.net [b]: timed out"
    assert world.verdicts(number)[0].enhanced == b"4.4.1"
    assert not world.delivered[number].connected


def test_hosts_that_all_refuse_for_good_fail_but_one_that_may_come_back_defers() -> None:
    world = World(a=Behaviour(faults={"greeting": "550"}), b=Behaviour(connect="refuse"))
    assert world.verdict(world.deliver("a")).outcome == Outcome.FAILED
    assert world.verdict(world.deliver("a", "b")).outcome == Outcome.DEFERRED
    assert world.verdict(world.deliver("b", "a")).outcome == Outcome.DEFERRED


def test_a_refused_sender_is_not_taken_to_another_host() -> None:
    world = World(a=Behaviour(faults={"mail": "550"}), b=Behaviour())
    assert world.verdict(world.deliver("a", "b")).outcome == Outcome.FAILED
    assert "b" not in world.connections


def test_a_route_without_an_address_defers() -> None:
    world = World(SmtpcSettings(ipv6=False))
    number = world.deliver("2001:db8::1")
    assert world.verdict(number).outcome == Outcome.DEFERRED
    assert not world.delivered[number].connected


def test_attempts_are_bounded() -> None:
    world = World(a=Behaviour(connect="refuse"))
    world.deliver(*["a"] * 50)
    assert sum(isinstance(effect, Connect) for effect in world.trail) == 12


def test_connections_are_made_from_the_configured_addresses() -> None:
    settings = SmtpcSettings(bind_inet="192.0.2.1", bind_inet6="2001:db8::1")
    world = World(settings, hosts={"192.0.2.9": Behaviour(), "::1": Behaviour(), "/run/lda": Behaviour(lmtp=True)})
    world.deliver("192.0.2.9")
    world.deliver("::1")
    world.deliver("/run/lda", protocol=Protocol.LMTP)
    assert [effect.source for effect in world.trail if isinstance(effect, Connect)] == ["192.0.2.1", "2001:db8::1", ""]


# --- TLS


def test_tls_is_used_when_offered() -> None:
    world = World(a=Behaviour(offers=TLS))
    assert world.verdict(world.deliver("a")).outcome == Outcome.DELIVERED
    assert [peer.tls for peer in world.peers.values()] == [True]


def test_a_failed_handshake_is_followed_by_one_attempt_without_tls() -> None:
    world = World(a=Behaviour(offers=TLS, handshake="bad certificate"))
    assert world.verdict(world.deliver("a")).outcome == Outcome.DELIVERED
    assert [peer.tls for peer in world.peers.values()] == [False, False]


@pytest.mark.parametrize("action", ["drop", "half", "garbage", "hang", "450", "550"])
def test_trouble_at_starttls_does_not_prevent_delivery(action: str) -> None:
    world = World(a=Behaviour(offers=TLS, faults={"starttls": action}))
    assert world.verdict(world.deliver("a")).outcome == Outcome.DELIVERED


def test_tls_is_not_asked_for_when_switched_off() -> None:
    world = World(SmtpcSettings(tls=False), a=Behaviour(offers=TLS))
    assert world.verdict(world.deliver("a")).outcome == Outcome.DELIVERED
    assert [peer.tls for peer in world.peers.values()] == [False]


# --- LMTP


def test_lmtp_over_a_unix_socket_gives_each_recipient_its_own_reply() -> None:
    world = World(hosts={"/run/lda": Behaviour(lmtp=True, offers=("PIPELINING",), refused=frozenset([b"user0@example.net"]))})
    number = world.deliver("/run/lda", protocol=Protocol.LMTP, recipients=3)
    assert [verdict.outcome for verdict in world.verdicts(number)] == [Outcome.FAILED, Outcome.DELIVERED, Outcome.DELIVERED]
    assert world.verdicts(number)[1].remote == "/run/lda"


# --- reuse


@pytest.mark.feature("SX21")
def test_the_next_delivery_takes_the_open_session() -> None:
    world = World(a=Behaviour(), b=Behaviour())
    first, second = world.deliver("a"), world.deliver("b", "a")
    assert world.connections == {"a": 1}
    assert not world.delivered[first].reused
    assert world.delivered[second].reused
    assert len(world.taken["a"]) == 2


@pytest.mark.feature("SX21")
def test_a_session_is_kept_after_refused_recipients() -> None:
    world = World(a=Behaviour(refused=frozenset([b"user0@example.net"])))
    world.deliver("a")
    assert [verdict.outcome for verdict in world.verdicts(world.deliver("a", recipients=2))] == [Outcome.FAILED, Outcome.DELIVERED]
    assert world.connections == {"a": 1}


@pytest.mark.feature("SX21")
def test_a_session_is_quitted_when_it_was_idle_long_enough() -> None:
    for keep_us, kept_us in ((SECOND, SECOND), (MINUTE, 10 * SECOND), (0, LINGER_US)):
        world = World(a=Behaviour())
        world.deliver("a", keep_us=keep_us)
        world.pass_time(kept_us - 1)
        assert b"QUIT" not in next(iter(world.peers.values())).commands
        world.pass_time(1)
        assert next(iter(world.peers.values())).commands[-1] == b"QUIT"
        world.pass_time(MINUTE)
        assert not world.open
        assert not world.timers


@pytest.mark.feature("SX21")
def test_transactions_in_one_session_are_bounded() -> None:
    world = World(SmtpcSettings(transactions_max=3), a=Behaviour())
    for _ in range(7):
        world.deliver("a")
    assert world.connections == {"a": 3}


def test_sessions_are_not_kept_when_idle_keep_is_zero() -> None:
    world = World(SmtpcSettings(idle_keep_us=0), a=Behaviour())
    world.deliver("a", keep_us=SECOND)
    world.pass_time(0)
    assert not world.open


@pytest.mark.parametrize("behaviour", [Behaviour(transactions_max=1), Behaviour(close_idle=True)], ids=["421", "closed"])
def test_an_idle_session_that_the_host_gave_up_is_replaced_by_a_fresh_one(behaviour: Behaviour) -> None:
    world = World(a=behaviour)
    for _ in range(3):
        assert world.verdict(world.deliver("a")).outcome == Outcome.DELIVERED
    assert world.connections == {"a": 3}


def test_a_session_that_breaks_at_a_new_transaction_is_replaced_once() -> None:
    world = World(a=Behaviour())
    world.deliver("a")
    for peer in world.peers.values():
        peer.faults = {"mail": "drop"}
    assert world.verdict(world.deliver("a")).outcome == Outcome.DELIVERED
    assert world.connections == {"a": 2}


@pytest.mark.parametrize("action", ["450", "550", "421", "garbage", "drop", "half", "hang"])
@pytest.mark.parametrize("pipelining", [True, False])
def test_a_refused_rset_costs_a_connection_and_no_message(action: str, pipelining: bool) -> None:
    """The transaction before was refused as a whole; the next one has nothing to do with that."""
    offers = ("PIPELINING", "8BITMIME") if pipelining else ("8BITMIME",)
    world = World(a=Behaviour(offers=offers, refused=frozenset([b"user0@example.net"]), faults={"rset": action}))
    assert world.verdict(world.deliver("a")).outcome == Outcome.FAILED
    assert [verdict.outcome for verdict in world.verdicts(world.deliver("a", recipients=2))] == [Outcome.FAILED, Outcome.RELAYED]
    assert world.connections == {"a": 2}
    assert len(world.taken["a"]) == 1


def test_sessions_are_bounded_and_the_longest_idle_makes_room() -> None:
    world = World(SmtpcSettings(sessions_max=2), a=Behaviour(), b=Behaviour(), c=Behaviour())
    for address in ("a", "b", "c", "b"):
        assert world.verdict(world.deliver(address)).outcome == Outcome.DELIVERED
    assert world.connections == {"a": 1, "b": 1, "c": 1}
    assert world.most_open == 2


def test_deliveries_beyond_the_sessions_wait_for_one() -> None:
    world = World(SmtpcSettings(sessions_max=2), a=Behaviour(), b=Behaviour())
    for number in range(9):
        world.deliver("ab"[number % 2], run=False)
    world.run()
    assert all(world.verdict(number).outcome == Outcome.DELIVERED for number in world.orders)
    assert world.most_open <= 2


# --- time


@pytest.mark.parametrize(
    ("step", "waited_us"),
    [("greeting", 2), ("ehlo", 3), ("mail", 4), ("rcpt", 5), ("data", 6), ("dot", 8)],
)
def test_each_step_has_its_time_out(step: str, waited_us: int) -> None:
    timeouts = ClientTimeouts(*[seconds * SECOND for seconds in (1, 2, 3, 4, 5, 6, 7, 8, 9)])
    world = World(SmtpcSettings(timeouts=timeouts), a=Behaviour(offers=("DSN",), faults={step: "hang"}))
    before = world.now
    number = world.deliver("a")
    assert world.now - before == waited_us * SECOND
    assert b"timed out" in world.verdict(number).text


def test_one_octet_now_and_then_does_not_hold_a_session() -> None:
    world = World(a=Behaviour(faults={"ehlo": "hang"}))
    world.deliver("a", run=False)
    for _ in range(1000):
        if world.delivered:
            break
        while world.events:
            world.give(world.events.popleft())
        world.ring() if min(world.timers.values()) <= world.now else None
        world.now += MINUTE
        world.peers[-1].output = b"2"
        world.answer(-1)
    assert world.now < 1_700_000_000 * SECOND + 10 * MINUTE


def test_a_steady_session_needs_no_timer_for_each_message() -> None:
    world = World(a=Behaviour())
    for _ in range(5):
        world.deliver("a")
    world.trail.clear()
    for _ in range(10):
        world.deliver("a")
    assert [type(effect).__name__ for effect in world.trail if type(effect).__name__ in ("Arm", "Disarm")] == []


# --- QMGR and the stop


def test_capacity_is_said_on_each_link() -> None:
    world = World(SmtpcSettings(sessions_max=17))
    assert world.capacity == 17


def test_when_qmgr_is_lost_what_made_no_copy_is_dropped() -> None:
    world = World(a=Behaviour(faults={"mail": "hang"}))
    world.deliver("a", run=False)
    while world.events:
        world.give(world.events.popleft())
    world.give(Unlinked("qmgr", 5))
    assert not world.open
    world.give(Linked("qmgr", 5))
    assert world.delivered == {}


def test_when_qmgr_is_lost_behind_the_dot_the_result_goes_to_the_same_qmgr_only() -> None:
    for epoch, reported in ((5, 1), (6, 0)):
        world = World(a=Behaviour())
        world.deliver("a", run=False)
        while not world.dots:
            world.give(world.events.popleft())
        world.give(Unlinked("qmgr", 5))
        while world.events:
            world.give(world.events.popleft())
        assert world.delivered == {}
        world.give(Linked("qmgr", epoch))
        assert len(world.delivered) == reported


def test_a_stop_finishes_what_is_in_hand_quits_and_halts() -> None:
    world = World(a=Behaviour(), b=Behaviour())
    world.deliver("b")
    world.deliver("a", run=False)
    world.stop()
    world.deliver("a", run=False)
    world.run()
    assert world.verdict(2).outcome == Outcome.DELIVERED
    assert world.verdict(3).text == b"the SMTP client is being stopped"
    assert world.delivered[3].connected
    assert world.halted
    assert isinstance(world.trail[-1], Halt)
    assert world.capacity == 0


@pytest.mark.parametrize("step", ["connect", "greeting", "mail", "dot"])
def test_a_stop_takes_no_longer_than_its_grace(step: str) -> None:
    world = World(a=Behaviour(connect="hang") if step == "connect" else Behaviour(faults={step: "hang"}))
    world.deliver("a", run=False)
    while world.events:
        world.give(world.events.popleft())
    before = world.now
    world.stop(5 * SECOND)
    world.run()
    assert world.verdict(1).outcome == Outcome.DEFERRED
    assert world.halted
    assert world.now == before + 5 * SECOND


def test_an_empty_client_halts_at_once() -> None:
    world = World()
    world.stop()
    assert world.halted


def test_nothing_is_said_of_a_delivery_behind_its_end() -> None:
    world = World(a=Behaviour())
    world.deliver("a")
    tells = [effect.message for effect in world.trail if isinstance(effect, Tell)]
    assert [type(message) for message in tells[1:]] == [DotSent, Delivered]


def test_a_delivery_with_an_empty_route_ends() -> None:
    world = World()
    number = world.deliver()
    assert world.orders[number].route == Route("example.net", Protocol.SMTP, ())
    assert world.verdict(number).text == b"no usable address"
    world.give(Told("qmgr", DotSent(99)))
