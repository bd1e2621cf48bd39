"""What a message costs SMTPC on a session that is used again: its step methods alone."""

import time
import zlib

import pytest

from smx.config.schema import SmtpcSettings
from smx.effects import Connect, Read
from smx.events import AnyEvent, Connected, Linked, Readout, Received, Started, Told
from smx.messages import Content, Deliver, Delivered, DotSent, Host, Protocol, Recipient, Route
from smx.smtpc.machine import Smtpc
from smx.units import SECOND

BODY = b"Received: from a\r\nSubject: bench\r\n\r\n" + b"The quick brown fox jumps over the lazy dog, again and again.....\r\n" * 62
CONTENT = Content(7, 100, len(BODY), zlib.crc32(BODY))
ROUTE = Route("example.net", Protocol.SMTP, (Host("mx.example.net", ("192.0.2.1",), 25),))
BUDGET_US = 150
MESSAGES = 5_000


def order(number: int) -> Told:
    return Told("qmgr", Deliver(number, number, ROUTE, b"me@example.org", (Recipient(0, b"you@example.net"),), CONTENT, keep_us=SECOND))


def start() -> tuple[Smtpc, int]:
    """A client with an open session, and its connection."""
    smtpc = Smtpc(SmtpcSettings(transactions_max=1 << 30), "smtpc.0")
    smtpc.step(Started(1, 2), 0)
    smtpc.step(Linked("qmgr", 5), 0)
    (connect,) = [effect for effect in smtpc.step(order(0), 0) if isinstance(effect, Connect)]
    connection = connect.connection
    smtpc.step(Connected(connection), 0)
    smtpc.step(Received(connection, b"220 mx ESMTP\r\n"), 0)
    offers = Received(connection, b"250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-DSN\r\n250 SIZE 10000000\r\n")
    (read,) = [effect for effect in smtpc.step(offers, 0) if isinstance(effect, Read)]
    smtpc.step(Readout(read.request, BODY), 0)
    return smtpc, connection


@pytest.mark.bench
def test_a_message_on_an_open_session_costs_less_than_its_budget() -> None:
    smtpc, connection = start()
    replies = [Received(connection, b"250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n"), Received(connection, b"250 2.0.0 taken\r\n")]
    for event in replies:
        smtpc.step(event, 0)
    rounds: list[list[AnyEvent]] = [[order(number), Readout(number + 1, BODY), *replies] for number in range(1, MESSAGES + 1)]
    before = time.process_time()
    effects = [effect for round_ in rounds for event in round_ for effect in smtpc.step(event, SECOND)]
    cost_us = (time.process_time() - before) / MESSAGES * 1e6
    tells = [type(getattr(effect, "message", None)) for effect in effects]
    assert tells.count(Delivered) == tells.count(DotSent) == MESSAGES
    print(f"\nSMTPC: {cost_us:.0f} us a message")
    assert cost_us < BUDGET_US
