"""Admission at MAIL: open, slow, closed; blocks of ids; and the clocks behind them."""

import pytest

from smx import messages
from smx.effects import AnyEffect, Arm
from smx.ids import SEQUENCE_MAX
from smx.messages import Admission, AdmissionState
from smx.smtps.admission import Gate
from smx.smtps.patience import Patience
from smx.units import SECOND
from tests.smtps.world import QUEUE_EPOCH, World
from tests.worlds.clients import mail

EHLO = b"EHLO client.example\r\n"


def greeted(world: World, *connections: int) -> World:
    for connection in connections or (1,):
        world.connect(connection)
        world.send(EHLO, connection)
        world.said(connection)
    return world


@pytest.mark.feature("SX25")
def test_closed_is_452_at_mail_in_qmgrs_words_and_opens_again() -> None:
    world = greeted(World())
    world.tell(Admission(AdmissionState.CLOSED))
    world.send(b"MAIL FROM:<a@example.net>\r\n")
    assert world.said() == "452 4.3.1 Insufficient system storage\r\n"
    world.tell(Admission(AdmissionState.CLOSED, code=451, enhanced=b"4.3.2", text=b"Recovering"))
    world.send(b"MAIL FROM:<a@example.net>\r\n")
    assert world.said() == "451 4.3.2 Recovering\r\n"
    world.tell(Admission(AdmissionState.OPEN))
    world.send(mail())
    assert world.codes() == "250 250 354 250"


@pytest.mark.feature("SX25")
def test_closed_refuses_nothing_that_has_begun() -> None:
    world = greeted(World())
    world.send(b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\n")
    world.tell(Admission(AdmissionState.CLOSED))
    world.send(b"DATA\r\n\r\nhi\r\n.\r\n")
    assert world.codes() == "250 250 354 250"


@pytest.mark.feature("SX23")
def test_slow_holds_mail_back_at_the_given_rate_and_refuses_none() -> None:
    clients = tuple(range(1, 31))
    world = greeted(World(), *clients)
    world.tell(Admission(AdmissionState.SLOW, rate=5))
    for client in clients:
        world.send(b"MAIL FROM:<a@example.net>\r\n", client)
    granted = []
    for _ in range(8):
        granted.append(sum(world.codes(client) == "250" for client in clients))
        world.advance(SECOND)
    assert granted[0] <= 6
    assert granted[1:5] == [5, 5, 5, 5]
    assert sum(granted) == 30


@pytest.mark.feature("SX23")
def test_those_who_wait_are_let_in_when_it_opens_and_refused_when_it_closes() -> None:
    for state, expected in ((AdmissionState.OPEN, "250"), (AdmissionState.CLOSED, "452")):
        clients = (1, 2, 3, 4, 5, 6, 7, 8)
        world = greeted(World(), *clients)
        world.tell(Admission(AdmissionState.SLOW, rate=1))
        for client in clients:
            world.send(b"MAIL FROM:<a@example.net>\r\n", client)
        waiting = [client for client in clients if not world.sent[client]]
        assert len(waiting) >= 6
        world.hang_up(waiting[0])
        world.tell(Admission(state))
        assert {world.codes(client) for client in waiting[1:]} == {expected}


def test_a_message_larger_than_the_room_is_452_at_mail_or_at_its_end() -> None:
    world = greeted(World())
    world.tell(Admission(AdmissionState.OPEN, block_octets=1_000))
    world.send(b"MAIL FROM:<a@example.net> SIZE=1001\r\n" + mail(body=b"z" * 900 + b"\r\n" + b"z" * 900 + b"\r\n") + mail())
    assert world.codes() == "452 250 250 354 452 250 250 354 250"


def test_when_many_sessions_are_open_and_it_is_closed_new_ones_get_421() -> None:
    world = World()
    world.tell(Admission(AdmissionState.CLOSED))
    greeted(world, *range(1, 10))
    world.smtps._service.sessions_max = 10
    world.connect(10)
    assert world.said(10).startswith("421 Too busy")


def test_a_block_asks_for_the_next_at_three_quarters_and_ids_go_on_without_a_gap() -> None:
    out: list[AnyEffect] = []
    gate = Gate(out.append)
    assert gate.next_id() is None
    gate.grant(messages.Granted(QUEUE_EPOCH, 1))
    seen = []
    for _ in range(SEQUENCE_MAX + 1):
        seen.append(gate.next_id())
        if len(seen) < (SEQUENCE_MAX + 1) * 3 // 4:
            assert not out
    assert len(out) == 1
    assert gate.next_id() is None  # QMGR is slow
    gate.grant(messages.Granted(QUEUE_EPOCH, 7))
    seen += [gate.next_id() for _ in range(10)]
    assert None not in seen
    assert len(set(seen)) == len(seen)


def test_without_ids_mail_is_451_and_with_a_lost_link_old_ids_are_forgotten() -> None:
    world = greeted(World())
    gate = world.smtps._service.gate
    gate._blocks.clear()
    world.send(b"MAIL FROM:<a@example.net>\r\n")
    assert world.said().startswith("451 4.3.2")


def test_patience_is_one_timer_and_ends_in_the_order_of_the_beginnings() -> None:
    out: list[AnyEffect] = []
    patience = Patience(out.append, "wait", 10)
    for key, now in ((1, 0), (2, 3), (3, 5), (2, 6)):
        patience.begin(key, now)
    assert out == [Arm("wait", 0, 10)]
    patience.end(1)
    assert patience.expired(10) == []
    assert out[1:] == [Arm("wait", 0, 15)]
    assert patience.expired(15) == [3]
    assert patience.expired(16) == [2]
    assert len(out) == 3
    patience.begin(4, 20)
    assert out[3:] == [Arm("wait", 0, 30)]
