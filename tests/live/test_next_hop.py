"""A next hop that is down, that puts mail off, that refuses it: deferred on schedule, delivered in the end, or returned (SX26, SX27)."""

import asyncio
import email
import email.policy
from itertools import pairwise
from pathlib import Path

import pytest

from smx.messages import QueueRow
from tests.live.client import connect
from tests.live.installation import Installation, Layout, free_port, to_host
from tests.live.notifications import Bounce, read_bounce
from tests.live.sink import Asked, Sink, never
from tests.live.traffic import LOCAL, SENDER, Attempt, Draft, sender_of

TIMEOUT_S = 40.0
SECOND_US = 1_000_000
LATE_US = 1_500_000  # a timer may fire late on a busy machine, and a new connection takes its time
JITTER = 0.1
RETRY = "retry { min = 1s; max = 3s; jitter_percent = 10; dead_min = 1s; dead_max = 2s; warn = 0; }"
HOST = "host.example"


async def send(installation: Installation, token: str, *recipients: str) -> Attempt:
    attempt = Attempt(token, recipients)
    session = await connect(installation.port)
    try:
        await session.send(Draft(recipients, 500), attempt, lambda attempt: None)
    finally:
        session.close()
    assert attempt.acked_at, f"{attempt.code}"
    return attempt


def layout(port: int, retry: str = RETRY, cut_through: str = "0") -> Layout:
    return Layout(mailertable=((HOST, to_host(port)),), qmgr=f"cut_through = {cut_through}; {retry}")


def busy(asked: Asked) -> bytes:
    return b"450 4.2.1 Busy" if asked.times < 4 else b"250 2.1.5 Ok"


def waiting(installation: Installation) -> list[QueueRow]:
    """What `smx queue ls` shows as deferred."""
    return [row for row in installation.queue() or [] if row.state == "deferred"]


def bounces(installation: Installation) -> list[Bounce]:
    return [bounce for octets in installation.mail(SENDER) if (bounce := read_bounce(octets)) is not None]


@pytest.mark.feature("SX26")
def test_a_host_that_answers_4yz_is_asked_again_on_schedule(tmp_path: Path) -> None:
    """Waits of 1 s, 2 s, 3 s, 3 s, each spread by a tenth at most and never outside of 1 s to 3 s; then it takes the message, once."""

    async def scenario() -> Sink:
        sink = Sink(busy)
        with Installation(tmp_path, layout(await sink.start())) as installation:
            installation.start()
            await asyncio.to_thread(installation.wait_ready)
            await send(installation, "T1", f"a@{HOST}")
            await installation.until(lambda: bool(sink.copies), TIMEOUT_S, "not delivered")
            await installation.until(installation.is_empty, TIMEOUT_S, "the queue is not empty")
        await sink.stop()
        return sink

    sink = asyncio.run(scenario())
    waits = [later.at - earlier.at for earlier, later in pairwise(sink.asked)]
    assert len(waits) == 4
    for wait, base in zip(waits, (1, 2, 3, 3), strict=True):
        low, high = max(1.0, base * (1 - JITTER)) * SECOND_US, min(3.0, base * (1 + JITTER)) * SECOND_US
        assert low - 10_000 <= wait <= high + LATE_US, f"{waits}"
    assert [(copy.token, copy.recipient) for copy in sink.copies] == [("T1", f"a@{HOST}")]


@pytest.mark.feature("SX26")
@pytest.mark.parametrize("cut_through", ["0", "1s"])
def test_mail_for_a_host_that_is_down_waits_and_is_delivered_when_it_returns(tmp_path: Path, cut_through: str) -> None:
    async def scenario() -> tuple[Sink, list[int], list[int]]:
        sink = Sink()
        port = free_port()
        with Installation(tmp_path, layout(port, cut_through=cut_through)) as installation:
            installation.start()
            await asyncio.to_thread(installation.wait_ready)
            await send(installation, "T1", f"a@{HOST}")
            await installation.until(lambda: len(installation.notes("deferred")) == 2, TIMEOUT_S, "not deferred")
            await installation.until(lambda: bool(waiting(installation)), TIMEOUT_S, "not in the queue as deferred")
            assert b"refused" in waiting(installation)[0].reason
            await sink.start(port)
            await installation.until(lambda: bool(sink.copies), TIMEOUT_S, "not delivered")
            await installation.until(installation.is_empty, TIMEOUT_S, "the queue is not empty")
            due = [line.number("next_try") for line in installation.notes("deferred")]
            begun = [line.at for line in installation.notes("begun")]
        await sink.stop()
        return sink, due, begun

    sink, due, begun = asyncio.run(scenario())
    assert len(sink.copies) == 1
    assert len(begun) == len(due) + 1
    for wanted, at in zip(due, begun[1:], strict=True):
        assert wanted - 10_000 <= at <= wanted + LATE_US


@pytest.mark.feature("SX26", "SX27")
def test_mail_that_is_put_off_for_too_long_is_given_up_and_returned(tmp_path: Path) -> None:
    async def scenario() -> tuple[Sink, list[Bounce]]:
        sink = Sink(lambda asked: b"450 4.2.1 Busy")
        retry = "retry { min = 1s; max = 1s; give_up = 3s; attempts_min = 2; warn = 0; }"
        with Installation(tmp_path, layout(await sink.start(), retry)) as installation:
            installation.start()
            await asyncio.to_thread(installation.wait_ready)
            await send(installation, "T1", f"a@{HOST}")
            await installation.until(lambda: bool(bounces(installation)), TIMEOUT_S, "not returned")
            await installation.until(installation.is_empty, TIMEOUT_S, "the queue is not empty")
            found = bounces(installation)
        await sink.stop()
        return sink, found

    sink, found = asyncio.run(scenario())
    age = sink.asked[-1].at - sink.asked[0].at
    assert 3 * SECOND_US - 50_000 <= age <= 4 * SECOND_US + LATE_US
    (bounce,) = found
    assert bounce.complaints == ()
    assert [(one.recipient, one.action) for one in bounce.recipients] == [(f"a@{HOST}", "failed")]


@pytest.mark.feature("SX27")
def test_what_a_host_refuses_for_good_comes_back_as_a_complete_notification(tmp_path: Path) -> None:
    """Every mandatory field of RFC 3464, as Python's email package reads them; null reverse-path; once."""

    async def scenario() -> list[bytes]:
        sink = Sink(never)
        with Installation(tmp_path, layout(await sink.start())) as installation:
            installation.start()
            await asyncio.to_thread(installation.wait_ready)
            await send(installation, "T1", f"a@{HOST}", f"b@{HOST}")
            await installation.until(lambda: bool(installation.mail(SENDER)), TIMEOUT_S, "not returned")
            await installation.until(installation.is_empty, TIMEOUT_S, "the queue is not empty")
            found = installation.mail(SENDER)
        await sink.stop()
        return found

    (octets,) = asyncio.run(scenario())
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert message["return-path"] == "<>"
    assert message["to"] == sender_of("T1")
    assert message.get_content_type() == "multipart/report"
    assert message["content-type"].params["report-type"] == "delivery-status"
    bounce = read_bounce(octets)
    assert bounce is not None
    assert bounce.complaints == ()
    assert bounce.token == "T1"
    assert {(one.recipient, one.action, one.status) for one in bounce.recipients} == {(f"a@{HOST}", "failed", "5.1.1"), (f"b@{HOST}", "failed", "5.1.1")}
    report = octets.replace(b"\r\n", b"\n").partition(b"Content-Type: message/delivery-status")[2]
    assert f"Reporting-MTA: dns; mx.{LOCAL}".encode() in report
    assert b"Diagnostic-Code: smtp; 550 5.1.1 No such user here" in report
