"""Each link direction, connection and disk queue is FIFO by construction, in both worlds: one class of assertions, run on each (architecture 1)."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from smx.effects import Accept, AnyEffect, Append, Connect, ListStore, MeasureSpace, OpenSegment, Sync, SyncDirectory, Tell, Transmit
from smx.events import (
    Accepted,
    AnyEvent,
    Connected,
    DirectorySynced,
    Expired,
    Linked,
    Listed,
    Received,
    SegmentOpened,
    SpaceMeasured,
    StopRequested,
    Synced,
    Told,
    Unlinked,
)
from smx.messages import Secure, Secured
from tests.contract.fifo_runtimes import LISTENER, QMGR, SMTPC, SMTPS, Reactions, Runtime, embedded, processes, simulated

MESSAGES = 400
Open = Callable[..., AbstractContextManager[Runtime]]


@pytest.fixture(params=["embedded", "processes", "simulated 0", "simulated 1", "simulated 2", "simulated 3"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens a runtime with these reactions of its puppets. The number is the seed; 0 is calm."""
    name, _, seed = str(request.param).partition(" ")
    if name == "simulated":
        return lambda reactions: simulated(int(seed), reactions)
    return partial(embedded if name == "embedded" else processes, tmp_path)


class TestFifo:
    def test_messages_of_a_link_arrive_in_order_none_lost_none_twice(self, run: Open) -> None:
        with run({}) as runtime:
            runtime.wait(SMTPS, Linked, 1)
            for first in range(0, MESSAGES, 100):
                runtime.order(SMTPS, *(Tell(QMGR, Secured(number)) for number in range(first, first + 100)))
            told = runtime.wait(QMGR, Told, MESSAGES)
        assert [event.message for event in told] == [Secured(number) for number in range(MESSAGES)]

    def test_answers_come_in_the_order_of_the_questions(self, run: Open) -> None:
        def answer(event: AnyEvent) -> list[AnyEffect]:
            return [Tell(event.process, Secure(event.message.transaction))] if isinstance(event, Told) and isinstance(event.message, Secured) else []

        with run({QMGR: answer}) as runtime:
            runtime.wait(SMTPS, Linked, 1)
            runtime.wait(SMTPC, Linked, 1)
            for number in range(MESSAGES):
                runtime.order((SMTPS, SMTPC)[number % 2], Tell(QMGR, Secured(number)))
            heard = {process: runtime.wait(process, Told, MESSAGES // 2) for process in (SMTPS, SMTPC)}
        for place, process in enumerate((SMTPS, SMTPC)):
            assert [event.message.transaction for event in heard[process]] == list(range(place, MESSAGES, 2))  # type: ignore[union-attr]

    def test_what_was_told_before_the_end_comes_before_unlinked(self, run: Open) -> None:
        def last_words(event: AnyEvent) -> list[AnyEffect]:
            return [Tell(QMGR, Secured(number)) for number in range(50)] if isinstance(event, StopRequested) else []

        with run({SMTPS: last_words}) as runtime:
            runtime.wait(SMTPS, Linked, 1)
            runtime.wait(QMGR, Linked, 2)
            runtime.stop(SMTPS)
            runtime.wait(QMGR, Unlinked, 1)
            heard = [event for event in runtime.events(QMGR) if isinstance(event, Told | Unlinked) and event.process == SMTPS]
        assert [event.message for event in heard if isinstance(event, Told)] == [Secured(number) for number in range(50)]
        assert isinstance(heard[-1], Unlinked)

    def test_a_disk_queue_completes_in_the_order_of_the_effects(self, run: Open) -> None:
        with run({}) as runtime:
            runtime.order(QMGR, OpenSegment("ibdb", 1, 4096), SyncDirectory("ibdb", 1))
            runtime.wait(QMGR, DirectorySynced, 1)
            orders: list[AnyEffect] = []
            for token in range(2, 12):
                orders += [Append("ibdb", 1, 16 * token, b"x" * 16), Sync("ibdb", (1,), token)]
                orders += [SyncDirectory("ibdb", 100 + token), ListStore("ibdb", 200 + token), MeasureSpace("ibdb", 300 + token)]
            runtime.order(QMGR, *orders)
            runtime.wait(QMGR, SpaceMeasured, 10)
            ended = [
                getattr(event, "token", 0) or getattr(event, "request", 0)
                for event in runtime.events(QMGR)
                if isinstance(event, Synced | DirectorySynced | Listed | SpaceMeasured)
            ]
        assert ended[1:] == [base + token for token in range(2, 12) for base in (0, 100, 200, 300)]

    def test_completions_come_behind_the_step_that_ordered_them(self, run: Open) -> None:
        with run({}) as runtime:
            runtime.order(QMGR, OpenSegment("ibdb", 1, 4096), Tell(QMGR, Secured(1)), OpenSegment("cdb", 2, 4096))
            opened = runtime.wait(QMGR, SegmentOpened, 2)
        assert [(event.store, event.segment) for event in opened] == [("ibdb", 1), ("cdb", 2)]

    def test_octets_of_a_connection_arrive_in_order_in_both_directions(self, run: Open) -> None:
        def echo(event: AnyEvent) -> list[AnyEffect]:
            return [Transmit(event.connection, event.data)] if isinstance(event, Received) else []

        pieces = [b"%06d\r\n" % number for number in range(5_000)]
        with run({SMTPS: echo}) as runtime:
            runtime.order(SMTPS, Accept(LISTENER, True))
            runtime.order(SMTPC, Connect(-1, runtime.path, 0))
            runtime.wait(SMTPC, Connected, 1)
            runtime.wait(SMTPS, Accepted, 1)
            for first in range(0, len(pieces), 500):
                runtime.order(SMTPC, *(Transmit(-1, piece) for piece in pieces[first : first + 500]))
            wanted, came, count = b"".join(pieces), b"", 1
            while len(came) < len(wanted):
                came = b"".join(event.data for event in runtime.wait(SMTPC, Received, count))
                count = sum(isinstance(event, Received) for event in runtime.events(SMTPC)) + (len(came) < len(wanted))
        assert came == wanted

    def test_links_are_told_before_any_message_of_theirs(self, run: Open) -> None:
        def greet(event: AnyEvent) -> list[AnyEffect]:
            return [Tell(event.process, Secured(7))] if isinstance(event, Linked) else []

        reactions: Reactions = {QMGR: greet, SMTPS: greet, SMTPC: greet}
        with run(reactions) as runtime:
            for process, count in ((SMTPS, 1), (SMTPC, 1), (QMGR, 2)):
                runtime.wait(process, Told, count)
            logs = {process: runtime.events(process) for process in reactions}
        for events in logs.values():
            linked: set[str] = set()
            for event in events:
                if isinstance(event, Linked):
                    linked.add(event.process)
                elif isinstance(event, Told):
                    assert event.process in linked
                assert not isinstance(event, Expired)
