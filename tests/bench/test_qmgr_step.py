"""What a message costs QMGR: its step method alone, from Submit to the durable verdict, with 20 messages in each group of the log."""

import time
from collections import deque

import pytest

from smx import effects, events, messages
from smx.config.schema_qmgr import QmgrSettings
from smx.events import AnyEvent
from smx.ids import transaction_id
from smx.messages import Envelope, Recipient, Verdict
from tests.qmgr.world import SMTPC, SMTPS, World

GROUP = 20
MESSAGES = 20_000
BUDGET_US = 100


class Meter:
    """Feeds a booted QMGR; only its steps are timed."""

    def __init__(self, *, cut_through: bool) -> None:
        self.world = World(QmgrSettings(min_free_octets=0)).boot()
        self.content = self.world.content(1)
        self.cut_through = cut_through
        self.seconds = 0.0
        self.steps = 0

    def group(self, first: int) -> None:
        pending: deque[AnyEvent] = deque(self.submit(first + place) for place in range(GROUP))
        syncs: deque[AnyEvent] = deque()
        while pending or syncs:
            event = pending.popleft() if pending else syncs.popleft()
            began = time.perf_counter()
            out = self.world.qmgr.step(event, self.world.now)
            self.seconds += time.perf_counter() - began
            self.steps += 1
            for effect in out:
                if isinstance(effect, effects.Sync):
                    syncs.append(events.Synced(effect.store, effect.token))
                elif isinstance(effect, effects.Tell):
                    pending.extend(self.answer(effect.message))
                elif not isinstance(effect, (effects.Append, effects.Note, effects.Arm)):
                    pending.extend(self.world.disk.apply(effect))

    def submit(self, number: int) -> AnyEvent:
        world = self.world
        identity = transaction_id(world.epoch, world.blocks[-1], number)
        envelope = Envelope(identity, b"sender@client.example", (Recipient(0, b"a@sink.example"),), self.content, world.now + world.wall, client="client")
        return events.Told(SMTPS, messages.Submit(envelope, not self.cut_through))

    def answer(self, message: messages.AnyMessage) -> list[AnyEvent]:
        if isinstance(message, messages.Deliver):
            verdict = Verdict(0, messages.Outcome.DELIVERED, 250, b"2.0.0", b"OK queued as 1234", "host [192.0.2.1]")
            return [events.Told(SMTPC, messages.Delivered(message.delivery, (verdict,)))]
        if isinstance(message, messages.Resolve):
            return [events.Told("smar", self.world.answer(message))]
        return []


@pytest.mark.bench
@pytest.mark.parametrize("cut_through", [False, True], ids=["durable", "cut-through"])
def test_a_message_costs_qmgr_less_than_its_budget(cut_through: bool) -> None:
    meter = Meter(cut_through=cut_through)
    meter.group(100)
    meter.seconds, meter.steps = 0.0, 0
    for first in range(200, 200 + MESSAGES, GROUP):
        meter.world.now += 5_000
        meter.group(first)
    cost = meter.seconds / MESSAGES * 1e6
    print(f"\nqmgr, {'cut-through' if cut_through else 'durable'}: {cost:.1f} us a message, {meter.steps / MESSAGES:.2f} steps")
    assert cost < BUDGET_US
