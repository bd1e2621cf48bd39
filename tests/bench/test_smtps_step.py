"""What a message costs SMTPS: its step methods alone, fed with the events of whole sessions."""

import time

import pytest

from smx import effects, events, messages
from smx.smtps.machine import Smtps
from smx.units import SECOND
from tests.smtps.world import EPOCH, QUEUE_EPOCH, SETTINGS, WALL

BODY = b"Subject: bench\r\nFrom: a@example.net\r\nTo: b@example.org\r\n\r\n" + b"The quick brown fox jumps over the lazy dog, again and again.....\r\n" * 62
BUDGET_US = 260


def start() -> Smtps:
    smtps = Smtps(SETTINGS, "smtps.mx.0")
    now = 1_000 * SECOND
    out = []
    for event in (
        events.Started(EPOCH, 7, WALL),
        events.Listening("smtps.mx:0", "127.0.0.1", 25),
        events.Linked("smar", 90),
        events.Linked("qmgr", QUEUE_EPOCH),
        events.Told("qmgr", messages.Granted(QUEUE_EPOCH, 1)),
        events.Told("qmgr", messages.Admission(messages.AdmissionState.OPEN)),
    ):
        out += smtps.step(event, now)
    for effect in [effect for effect in out if isinstance(effect, effects.OpenSegment)]:
        for done in smtps.step(events.SegmentOpened("cdb", effect.segment), now):
            if isinstance(done, effects.SyncDirectory):
                smtps.step(events.DirectorySynced("cdb", done.token), now)
    return smtps


def one_session(smtps: Smtps, connection: int, now: int, recipients: int = 1) -> int:
    """A session with one message; the number of events it took."""
    pending: list[events.AnyEvent] = [
        events.Accepted(connection, "smtps.mx:0", "192.0.2.1", 40_000, "192.0.2.25", 25),
        events.Received(connection, b"EHLO client.example\r\n"),
        events.Received(connection, b"MAIL FROM:<a@example.net> SIZE=4200\r\n" + b"RCPT TO:<b@example.org>\r\n" * recipients + b"DATA\r\n"),
        events.Received(connection, BODY + b".\r\n"),
        events.Received(connection, b"QUIT\r\n"),
    ]
    pending.reverse()
    steps = 0
    while pending:
        steps += 1
        for effect in smtps.step(pending.pop(), now):
            kind = type(effect)
            if kind is effects.Tell:
                message = effect.message  # type: ignore[union-attr]
                if type(message) is messages.CheckRecipient:
                    pending.append(events.Told("smar", messages.RecipientChecked(message.request, 250, b"2.1.5", b"ok")))
                elif type(message) is messages.Submit:
                    pending.append(events.Told("qmgr", messages.Submitted(message.envelope.transaction)))
            elif kind is effects.Sync:
                pending.append(events.Synced("cdb", effect.token))  # type: ignore[union-attr]
            elif kind is effects.OpenSegment:
                pending.append(events.SegmentOpened("cdb", effect.segment))  # type: ignore[union-attr]
            elif kind is effects.SyncDirectory:
                pending.append(events.DirectorySynced("cdb", effect.token))  # type: ignore[union-attr]
    return steps


@pytest.mark.bench
def test_a_message_of_4_kib_costs_less_than_its_share() -> None:
    smtps = start()
    now = 2_000 * SECOND
    best = 1e9
    for round_number in range(5):
        began = time.process_time()
        for number in range(1_000):
            one_session(smtps, round_number * 1_000 + number + 1, now + number * 1_000)
        best = min(best, (time.process_time() - began) * 1_000)
    print(f"SMTPS: {best:.0f} us a session with one message of {len(BODY)} octets")
    assert best < BUDGET_US
