"""Scheduling in QMGR: bounds, fairness, affinity, routes (SX16-SX20, L3, L6)."""

from collections import Counter

import pytest

from smx import events, messages
from smx.config.schema_qmgr import QmgrSettings, QmgrSmtpcSettings, RetrySettings
from smx.messages import Outcome, Recipient, Resolved, Verdict
from smx.units import HOUR, MINUTE, SECOND
from tests.qmgr.world import DEFERRED, SMTPC, World, route

SMALL = QmgrSettings(min_free_octets=0, aq_max_entries=32, edbc_max_entries=16, retry=RetrySettings(warn_us=0))


class Watched(World):
    """Asserts the windows at each Deliver, from outside."""

    def _told(self, process: str, message: messages.AnyMessage) -> None:
        super()._told(process, message)
        if isinstance(message, messages.Deliver):
            flight = Counter(deliver.route.destination for _, deliver in self.deliveries.values())
            limits = self.qmgr._hub.aq.limits
            assert max(flight.values(), default=0) <= limits.maximum
            assert len(self.deliveries) <= self.qmgr._hub.deliveries_max


@pytest.mark.feature("SX20")
def test_concurrency_starts_slowly_and_grows_with_success() -> None:
    world = Watched(QmgrSettings(min_free_octets=0, smtpc=QmgrSmtpcSettings(initial_connections=2, max_connections=6))).boot()
    world.replies[b"*"] = None
    for _ in range(60):
        world.submit(b"a@sink.example")
    widths = []
    while world.deliveries:
        widths.append(len(world.deliveries))
        world.finish(reply=(Outcome.DELIVERED, 250, b"2.0.0", b"OK"))
    assert widths[:6] == [2, 3, 4, 5, 6, 6]
    assert max(widths) == 6
    assert len(world.delivered) == 60


def test_no_more_deliveries_are_under_way_than_the_settings_and_the_client_allow() -> None:
    world = Watched(QmgrSettings(min_free_octets=0, smtpc=QmgrSmtpcSettings(deliveries_max=7))).boot()
    world.replies[b"*"] = None
    for number in range(20):
        world.submit(b"a@d%d.example" % number)
    assert len(world.deliveries) == 7
    world.tell(SMTPC, messages.Capacity(3))
    for _ in range(5):
        world.finish()
    assert len(world.deliveries) == 3


def test_a_slow_destination_does_not_delay_the_others() -> None:
    world = Watched(QmgrSettings(min_free_octets=0, aq_max_entries=50)).boot()
    world.replies[b"a@slow.example"] = None
    for number in range(100):
        world.submit(b"a@slow.example")
        before = len(world.delivered)
        world.submit(b"a@fast%d.example" % number)
        assert len(world.delivered) == before + 1, "it waited for another destination (L6)"
    assert len(world.qmgr._hub.aq) <= 50


def test_destinations_take_turns() -> None:
    world = Watched(QmgrSettings(min_free_octets=0, smtpc=QmgrSmtpcSettings(deliveries_max=1))).boot()
    world.replies[b"*"] = None
    for name in (b"x", b"y", b"z"):
        for _ in range(4):
            world.submit(b"a@" + name + b".example")
    order = []
    while world.deliveries:
        order.append(next(iter(world.deliveries.values()))[1].route.destination[0])
        world.finish()
    assert order[0] == "x"
    assert Counter(order) == {"x": 4, "y": 4, "z": 4}
    assert max(len(set(order[place : place + 3])) for place in range(9)) == 3
    assert order[1:10] == ["x", "y", "z"] * 3 or order[1:10] == ["y", "z", "x"] * 3


@pytest.mark.feature("SX16", "SX18")
def test_a_backlog_far_larger_than_every_bound_is_delivered_in_bounded_memory() -> None:
    world = Watched(SMALL).boot()
    world.replies[b"*"] = DEFERRED
    transactions = [world.submit(b"a@d%d.example" % (number % 40)) for number in range(200)]
    hub = world.qmgr._hub
    world.advance(2 * MINUTE)
    assert len(world.disk.rows) == 200
    world.replies.clear()
    for _ in range(4 * 60):
        world.advance(MINUTE)
        assert len(hub.aq) <= 32
        assert len(hub.edbc) <= 16
        assert len(hub.transactions) <= 64
        if not world.disk.rows:
            break
    assert sorted(number for number, _ in world.delivered) == sorted(transactions)


@pytest.mark.feature("SX17")
def test_a_large_backlog_does_not_stall_new_mail() -> None:
    world = Watched(SMALL).boot()
    world.replies[b"*"] = DEFERRED
    for number in range(300):
        world.submit(b"a@old%d.example" % number)
    world.replies[b"*"] = None  # every old destination hangs from now on
    world.advance(HOUR)
    hub = world.qmgr._hub
    assert hub.aq.deferred_count > 0
    assert hub.aq.room(deferred=False) > 0
    world.replies[b"new@fresh.example"] = (Outcome.DELIVERED, 250, b"2.0.0", b"OK")
    transaction = world.submit(b"new@fresh.example")
    assert world.delivered == [(transaction, b"new@fresh.example")]


@pytest.mark.feature("SX18")
def test_retry_times_are_honoured_with_a_backlog_larger_than_the_cache() -> None:
    world = Watched(SMALL).boot()
    world.replies[b"*"] = DEFERRED
    due: dict[int, int] = {}
    for number in range(100):
        world.submit(b"a@d%d.example" % number)
        world.advance(SECOND)
    for row in world.disk.rows.values():
        due[row.transaction] = row.next_try - world.wall
    world.replies.clear()
    world.seen.clear()
    tried: dict[int, int] = {}
    while len(tried) < 100:
        world.until(lambda: len(world.seen) > len(tried))
        for deliver in world.seen[len(tried) :]:
            tried[deliver.transaction] = world.now
    for transaction, at in tried.items():
        assert 0 <= at - due[transaction] <= SECOND


def test_the_overflow_of_a_slow_destination_is_put_off_once_or_twice_not_again_and_again() -> None:
    world = Watched(SMALL).boot()
    stored: Counter[int] = Counter()
    real = world.disk.apply

    def apply(effect: object) -> list[events.AnyEvent]:
        if type(effect).__name__ == "Store":
            stored.update(row.transaction for row in effect.rows)  # type: ignore[attr-defined]
        return real(effect)  # type: ignore[arg-type]

    world.disk.apply = apply  # type: ignore[method-assign]
    world.replies[b"*"] = None
    for _ in range(300):
        world.submit(b"a@slow.example")
    for _ in range(400):  # five a second
        for _ in range(5):
            if world.deliveries:
                world.finish(reply=(Outcome.DELIVERED, 250, b"2.0.0", b"OK"))
        world.advance(SECOND)
    assert len(world.delivered) == 300
    assert not world.disk.rows
    assert sum(stored.values()) / len(stored) < 4


def test_all_deliveries_of_a_destination_go_to_one_client_and_only_its_own_move() -> None:
    world = World(QmgrSettings(min_free_octets=0)).boot()
    for number in (1, 2):
        world.give(events.Linked(f"smtpc.{number}", 50 + number))
        world.tell(f"smtpc.{number}", messages.Capacity(100))
    world.replies[b"*"] = None

    def owners() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for number in range(30):
            for _ in range(2):
                world.submit(b"a@d%d.example" % number)
        for process, deliver in world.deliveries.values():
            found.setdefault(deliver.route.destination, set()).add(process)
        while world.deliveries:
            world.finish()
        return found

    first = owners()
    assert all(len(processes) == 1 for processes in first.values())
    assert len(set.union(*first.values())) == 3
    world.give(events.Unlinked("smtpc.1", 51))
    second = owners()
    for destination, processes in first.items():
        if processes != {"smtpc.1"}:
            assert second[destination] == processes


def test_one_question_serves_a_whole_domain_until_the_answer_is_stale() -> None:
    world = World(QmgrSettings(min_free_octets=0)).boot()
    questions: list[bytes] = []
    real = world.answer
    world.answer = lambda question: questions.append(question.recipient) or real(question)  # type: ignore[func-returns-value, method-assign]
    for _ in range(10):
        world.submit(b"a@x.example", b"b@x.example")
    assert questions == [b"a@x.example"]
    world.advance(2 * MINUTE)
    world.submit(b"c@x.example")
    assert questions == [b"a@x.example", b"c@x.example"]


def test_recipients_that_wait_for_an_answer_that_is_not_common_ask_for_themselves() -> None:
    world = World(QmgrSettings(min_free_octets=0)).boot()
    world.silent_smar = True
    world.submit(Recipient(0, b"a@l.example"), Recipient(1, b"b@l.example"), Recipient(2, b"c@l.example"))
    hub = world.qmgr._hub
    assert hub.routes.outstanding == 1
    world.tell("smar", Resolved(1, route("local")))
    assert hub.routes.outstanding == 2
    world.tell("smar", Resolved(2, verdict=Verdict(-1, Outcome.FAILED, 550, b"5.1.1", b"no such user")))
    world.tell("smar", Resolved(3, route("local")))
    assert [len(deliver.recipients) for deliver in world.seen[:1]] == [2]
    world.tell("smar", Resolved(3, route("local")))  # said twice: ignored
    world.tell("smar", Resolved(99, route("local")))  # never asked: ignored
    assert len(world.noted("verdict")) == 3


def test_a_refusal_by_smar_is_the_recipients_failure() -> None:
    world = World(QmgrSettings(min_free_octets=0)).boot()
    verdict = Verdict(-1, Outcome.FAILED, 556, b"5.1.10", b"The domain takes no mail")
    world.resolve[b"a@null.example"] = lambda question: Resolved(question.request, verdict=verdict)
    transaction = world.submit(b"a@null.example")
    assert world.noted("verdict")[0] == (transaction, 0, 1, "failed", 556, b"The domain takes no mail", "")
    assert len(world.noted("bounced")) == 1


@pytest.mark.feature("SX20")
def test_a_healed_destination_gets_its_backlog_without_a_herd() -> None:
    world = Watched(QmgrSettings(min_free_octets=0, smtpc=QmgrSmtpcSettings(initial_connections=3, max_connections=10), retry=RetrySettings(warn_us=0))).boot()
    world.dead.add("sink.example")
    for _ in range(200):
        world.submit(b"a@sink.example")
    world.advance(HOUR)
    assert len(world.disk.rows) == 200
    world.dead.clear()
    before = len(world.seen)
    world.replies[b"*"] = None
    world.until(lambda: world.deliveries, within=3 * HOUR)
    assert len(world.deliveries) == 1  # the probe
    world.finish(reply=(Outcome.DELIVERED, 250, b"2.0.0", b"OK"))
    assert len(world.deliveries) <= 3
    world.replies.clear()
    while world.deliveries:
        world.finish()
    world.advance(6 * HOUR)
    assert not world.disk.rows
    assert len(world.seen) - before == 200
