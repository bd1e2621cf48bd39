"""QMGR as a whole: short stories from Submit to the last recipient's end."""

from itertools import pairwise

import pytest

from smx import events, messages
from smx.config.schema_qmgr import QmgrSettings, RetrySettings
from smx.messages import Notify, Outcome, Protocol, Recipient, Resolved, Verdict
from smx.units import HOUR, MINUTE, SECOND
from tests.qmgr.world import DEFERRED, FAILED, SMTPC, SMTPS, World, route

SETTINGS = QmgrSettings(hostname="mx.example.org", ibdb_segment_octets=1 << 16, cdb_segment_octets=1 << 16, min_free_octets=0)


def booted(settings: QmgrSettings = SETTINGS) -> World:
    return World(settings).boot()


@pytest.mark.feature("SX08")
def test_a_message_is_acknowledged_delivered_and_forgotten() -> None:
    world = booted()
    transaction = world.submit(b"a@sink.example")
    assert world.take(messages.Submitted) == [messages.Submitted(transaction)]
    assert world.delivered == [(transaction, b"a@sink.example")]
    assert world.noted("closed") == [(transaction,)]
    assert not world.qmgr._hub.transactions
    assert not world.disk.rows


@pytest.mark.feature("SX12")
def test_a_run_without_failures_never_writes_to_defedb() -> None:
    world = booted()
    stores = []
    world.disk.fail = lambda effect: stores.append(effect) if type(effect).__name__ == "Store" else None
    for _ in range(50):
        world.submit(b"a@sink.example", b"b@other.example")
    assert len(world.delivered) == 100
    assert stores == []


def test_the_answer_leaves_only_behind_the_sync_that_covers_the_envelope() -> None:
    world = booted()
    world.hold_stores.add("ibdb")
    transaction = world.submit(b"a@sink.example")
    assert not world.answers(messages.Submitted)
    assert not world.seen
    world.release()
    assert world.take(messages.Submitted) == [messages.Submitted(transaction)]
    assert world.noted("durable") == [(transaction,)]


def test_many_submissions_share_one_sync() -> None:
    world = booted()
    world.replies[b"*"] = None
    world.hold_stores.add("ibdb")
    for _ in range(20):
        world.submit(b"a@sink.example")
    assert len(world.held) == 1
    world.release()
    assert len(world.held) == 1
    world.release()
    assert len(world.answers(messages.Submitted)) == 20


def test_a_submit_said_again_is_answered_again_and_delivered_once() -> None:
    world = booted()
    world.replies[b"*"] = None
    envelope = world.envelope(b"a@sink.example")
    world.tell(SMTPS, messages.Submit(envelope))
    world.tell(SMTPS, messages.Submit(envelope))
    world.finish()
    world.tell(SMTPS, messages.Submit(envelope))
    assert world.take(messages.Submitted) == [messages.Submitted(envelope.transaction)] * 3
    assert len(world.delivered) == 1


@pytest.mark.feature("SX19")
def test_recipients_of_one_destination_go_in_one_delivery() -> None:
    world = booted(QmgrSettings(hostname="mx", min_free_octets=0))
    world.submit(*[b"%d@sink.example" % number for number in range(250)], b"a@other.example")
    sizes = sorted(len(deliver.recipients) for deliver in world.seen)
    assert sizes == [1, 50, 100, 100]


@pytest.mark.feature("SX19")
def test_recipients_of_a_domain_without_common_routes_still_share_a_delivery() -> None:
    world = booted()
    for address in (b"a@local.example", b"b@local.example", b"c@local.example"):
        world.resolve[address] = lambda question: Resolved(question.request, route("local", Protocol.LMTP))
    world.submit(b"a@local.example", b"b@local.example", b"c@local.example")
    world.submit(b"a@local.example", b"b@local.example", b"c@local.example")
    assert [len(deliver.recipients) for deliver in world.seen] == [3, 3]


@pytest.mark.feature("SX26")
def test_a_deferred_recipient_is_tried_again_and_delivered() -> None:
    world = booted()
    world.replies[b"a@sink.example"] = DEFERRED
    transaction = world.submit(b"a@sink.example", b"b@sink.example")
    assert list(world.disk.rows) == [(transaction, 0)]
    assert not world.qmgr._hub.transactions  # it lives in DEFEDB only
    assert len(world.qmgr._hub.edbc) == 1
    del world.replies[b"a@sink.example"]
    world.advance(4 * MINUTE)
    assert len(world.seen) == 1
    world.advance(2 * MINUTE)
    assert len(world.seen) == 2
    assert world.seen[1].recipients == (Recipient(0, b"a@sink.example"),)
    assert not world.disk.rows
    assert world.noted("closed") == [(transaction,)]


@pytest.mark.feature("SX26")
def test_waits_double_between_the_least_and_the_greatest() -> None:
    retry = RetrySettings(min_us=5 * MINUTE, max_us=HOUR, warn_us=0, jitter_percent=10)
    world = booted(QmgrSettings(min_free_octets=0, retry=retry))
    world.replies[b"*"] = DEFERRED
    world.submit(b"a@sink.example")
    times = [world.now]
    while len(world.seen) < 8:
        count = len(world.seen)
        world.until(lambda count=count: len(world.seen) > count, within=2 * HOUR)  # type: ignore[misc]
        times.append(world.now)
    waits = [(later - earlier) / MINUTE for earlier, later in pairwise(times)]
    for wait, base in zip(waits, (5, 10, 20, 40, 60, 60, 60), strict=True):
        assert max(5, base * 0.9) <= wait <= min(60, base * 1.1)


@pytest.mark.feature("SX26", "SX27")
def test_mail_that_is_too_old_is_returned() -> None:
    retry = RetrySettings(min_us=10 * MINUTE, max_us=HOUR, give_up_us=3 * HOUR, warn_us=0)
    world = booted(QmgrSettings(min_free_octets=0, retry=retry))
    world.replies[b"a@sink.example"] = DEFERRED
    transaction = world.submit(b"a@sink.example")
    began = world.now
    world.until(lambda: world.noted("bounced"), within=10 * HOUR)
    assert 3 * HOUR <= world.now - began <= 3 * HOUR + MINUTE
    assert not world.disk.rows
    assert world.seen[-1].reverse_path == b""
    assert [one.address for one in world.seen[-1].recipients] == [b"sender@client.example"]
    assert (transaction,) in world.noted("closed")


def test_a_clock_that_leaps_ahead_expires_nothing_that_was_not_tried_since() -> None:
    world = booted(QmgrSettings(min_free_octets=0, retry=RetrySettings(warn_us=0, attempts_min=1)))
    world.replies[b"a@sink.example"] = None
    world.submit(b"a@sink.example")
    world.wall += 100 * 24 * HOUR
    world.give(events.ClockJumped(world.wall))
    world.finish(reply=DEFERRED)  # this attempt began before the leap
    assert not world.noted("bounced")
    world.until(lambda: len(world.deliveries) == 1)
    world.finish(reply=DEFERRED)
    assert len(world.noted("bounced")) == 1


@pytest.mark.feature("SX26")
def test_the_sender_is_warned_of_a_delay_once() -> None:
    world = booted()
    world.replies[b"a@sink.example"] = DEFERRED
    world.submit(b"a@sink.example")
    world.advance(24 * HOUR)
    warnings = [values for values in world.noted("bounced") if values[1] == "delayed"]
    assert len(warnings) == 1
    assert world.delivered[-1][1] == b"sender@client.example"
    assert len(world.disk.rows) == 1


@pytest.mark.feature("SX27")
def test_a_failure_is_told_to_the_sender_with_a_null_reverse_path() -> None:
    world = booted()
    world.replies[b"a@sink.example"] = FAILED
    transaction = world.submit(b"a@sink.example", b"b@sink.example")
    (original, kind, dsn, recipients, to) = world.noted("bounced")[0]
    assert (original, kind, recipients, to) == (transaction, "failed", 1, b"sender@client.example")
    deliver = world.seen[-1]
    assert deliver.transaction == dsn
    assert deliver.reverse_path == b""
    content = deliver.content
    text = bytes(world.disk.names["cdb"][content.segment].view()[content.offset : content.offset + content.octets])
    assert b"multipart/report" in text
    assert b"a@sink.example" in text
    assert b"550" in text
    assert b"Subject: test" in text  # the returned message
    assert world.noted("closed")[-1] == (dsn,)
    assert (transaction,) in world.noted("closed")


@pytest.mark.feature("SX28")
def test_a_notification_that_bounces_goes_to_the_fixed_address_and_then_nowhere() -> None:
    world = booted(QmgrSettings(min_free_octets=0, double_bounce_to="boss@home.example"))
    world.replies.update({b"a@sink.example": FAILED, b"sender@client.example": FAILED, b"boss@home.example": FAILED})
    world.submit(b"a@sink.example")
    assert [values[4] for values in world.noted("bounced")] == [b"sender@client.example", b"boss@home.example"]
    assert len(world.noted("unbounced")) == 1
    assert not world.qmgr._hub.transactions
    assert all(deliver.reverse_path == b"" for deliver in world.seen[1:])


@pytest.mark.feature("SX28")
def test_a_double_bounce_through_an_alias_that_fails_ends() -> None:
    world = booted(QmgrSettings(min_free_octets=0, double_bounce_to="boss@home.example"))
    world.resolve[b"boss@home.example"] = lambda question: Resolved(question.request, expansion=(b"a@sink.example", b"b@sink.example"))
    world.replies[b"*"] = FAILED
    world.submit(b"a@sink.example", sender=b"")
    assert [values[4] for values in world.noted("bounced")] == [b"boss@home.example"]
    assert len(world.noted("unbounced")) == 2
    assert not world.qmgr._hub.transactions


def test_nobody_is_told_of_a_failure_with_notify_never() -> None:
    world = booted()
    world.replies[b"a@sink.example"] = FAILED
    world.submit(Recipient(0, b"a@sink.example", Notify.NEVER))
    assert not world.noted("bounced")
    assert len(world.noted("unbounced")) == 1
    assert not world.qmgr._hub.transactions


def test_success_is_told_when_asked_for_and_final_delivery_was_ours() -> None:
    world = booted()
    world.resolve[b"a@local.example"] = lambda question: Resolved(question.request, route("local", Protocol.LMTP))
    world.submit(Recipient(0, b"a@local.example", Notify.SUCCESS), Recipient(1, b"b@sink.example", Notify.SUCCESS))
    assert [values[1] for values in world.noted("bounced")] == ["delivered"]
    assert [(one[1], one[3]) for one in world.noted("verdict")][:2] == [(0, "delivered"), (1, "delivered")]


def test_an_alias_is_expanded_once_and_durably_before_anybody_else_gets_it() -> None:
    world = booted()
    world.resolve[b"list@local.example"] = lambda question: Resolved(question.request, expansion=(b"a@x.example", b"b@y.example"))
    world.hold_stores.add("ibdb")
    transaction = world.submit(b"list@local.example")
    world.release()
    assert not world.seen
    world.release()
    assert sorted(one.address for deliver in world.seen for one in deliver.recipients) == [b"a@x.example", b"b@y.example"]
    assert sorted(one.index for deliver in world.seen for one in deliver.recipients) == [1, 2]
    world.hold_stores.clear()
    world.release()
    assert world.noted("closed") == [(transaction,)]


def test_an_owner_alias_changes_the_reverse_path_and_drops_the_senders_parameters() -> None:
    world = booted()
    world.resolve[b"list@local.example"] = lambda question: Resolved(question.request, expansion=(b"a@x.example",), reverse_path=b"owner-list@local.example")
    world.replies[b"a@x.example"] = FAILED
    world.submit(Recipient(0, b"list@local.example", Notify.SUCCESS | Notify.FAILURE, b"rfc822;list@local.example"), envid=b"QQ")
    first = world.seen[0]
    assert (first.reverse_path, first.envid) == (b"owner-list@local.example", b"")
    assert first.recipients == (Recipient(1, b"a@x.example"),)
    assert [(values[1], values[4]) for values in world.noted("bounced")] == [
        ("delivered", b"sender@client.example"),
        ("failed", b"owner-list@local.example"),
    ]


def test_a_deferred_alias_expands_later_although_its_transaction_has_no_opening_any_more() -> None:
    world = booted()
    later = Verdict(-1, Outcome.DEFERRED, 451, b"4.4.3", b"no answer")
    world.resolve[b"list@local.example"] = lambda question: Resolved(question.request, verdict=later)
    world.replies[b"c@z.example"] = DEFERRED
    transaction = world.submit(b"list@local.example", b"c@z.example")
    assert len(world.disk.rows) == 2
    world.resolve[b"list@local.example"] = lambda question: Resolved(question.request, expansion=(b"a@x.example", b"b@y.example"))
    world.replies[b"a@x.example"] = DEFERRED
    world.advance(7 * MINUTE)
    addresses = [one.address for deliver in world.seen for one in deliver.recipients]
    assert sorted(addresses) == [b"a@x.example", b"b@y.example", b"c@z.example", b"c@z.example"]
    assert len(world.disk.rows) == 2  # c again, and a
    world.replies.clear()
    world.resolve.clear()
    world.advance(HOUR)
    assert not world.disk.rows
    assert world.noted("closed") == [(transaction,)]
    assert len([one for one in world.delivered if one[1] == b"b@y.example"]) == 1
    assert len([one for one in world.delivered if one[1] == b"a@x.example"]) == 1


@pytest.mark.feature("SX20")
def test_a_dead_destination_gets_one_probe_at_a_time_and_its_mail_waits() -> None:
    world = booted()
    world.dead.add("sink.example")
    for _ in range(40):
        world.submit(b"a@sink.example")
    assert [values[1] for values in world.noted("destination")] == ["dead"]
    attempts = len(world.seen)
    assert attempts <= 10
    assert len(world.disk.rows) == 40
    world.advance(10 * MINUTE)
    assert len(world.disk.rows) == 40
    assert len(world.seen) - attempts <= 5
    world.dead.clear()
    world.advance(3 * HOUR)
    assert not world.disk.rows
    assert len(world.delivered) == 40
    assert [values[1] for values in world.noted("destination")][-1] == "alive"


def test_a_lost_smtpc_defers_its_deliveries_and_work_goes_on_with_the_next() -> None:
    world = booted()
    world.replies[b"*"] = None
    world.submit(b"a@sink.example")
    world.give(events.Unlinked(SMTPC, world.epoch + 2))
    assert len(world.disk.rows) == 1
    world.replies.clear()
    world.give(events.Linked(SMTPC, world.epoch + 5))
    world.tell(SMTPC, messages.Capacity(10))
    world.advance(10 * MINUTE)
    assert not world.disk.rows
    assert len(world.delivered) == 1


def test_questions_are_asked_again_when_smar_comes_back() -> None:
    world = booted()
    world.silent_smar = True
    world.submit(b"a@sink.example")
    world.give(events.Unlinked("smar", world.epoch + 3))
    world.silent_smar = False
    assert not world.seen
    world.give(events.Linked("smar", world.epoch + 9))
    assert len(world.delivered) == 1


def test_damaged_content_is_quarantined_and_its_sender_told_once() -> None:
    world = booted()
    world.replies[b"a@sink.example"] = (Outcome.DEFERRED, 0, b"4.3.0", b"content damaged")
    transaction = world.submit(b"a@sink.example")
    assert [row.state for row in world.disk.rows.values()] == [2]
    assert [values[:3] for values in world.noted("bounced")] and world.noted("bounced")[0][1] == "failed"
    assert world.noted("quarantined")[0][0] == transaction
    world.advance(10 * HOUR)
    assert len(world.noted("bounced")) == 1


def test_a_full_defedb_keeps_recipients_in_the_log_and_tries_again() -> None:
    world = booted()
    world.replies[b"a@sink.example"] = DEFERRED
    world.disk.fail = lambda effect: [events.Stored(effect.request, "full", True)] if type(effect).__name__ == "Store" else None  # type: ignore[union-attr]
    transaction = world.submit(b"a@sink.example")
    assert transaction in world.qmgr._hub.transactions
    world.disk.fail = None
    world.advance(11 * SECOND)
    assert list(world.disk.rows) == [(transaction, 0)]
    assert transaction not in world.qmgr._hub.transactions


def test_a_device_error_of_defedb_ends_the_process() -> None:
    world = booted()
    world.replies[b"a@sink.example"] = DEFERRED
    world.disk.fail = lambda effect: [events.Stored(effect.request, "disk I/O error")] if type(effect).__name__ == "Store" else None  # type: ignore[union-attr]
    world.submit(b"a@sink.example")
    assert world.halted


def test_an_orderly_stop_hands_back_what_is_under_way_and_halts_when_all_is_durable() -> None:
    world = booted()
    world.replies[b"*"] = None
    world.submit(b"a@sink.example")
    world.give(events.StopRequested(10 * SECOND))
    assert world.halted == ""
    refused = world.envelope(b"b@sink.example")
    world.tell(SMTPS, messages.Submit(refused))
    assert [one.code for one in world.answers(messages.Submitted)] == [250, 421]
    world.advance(8 * SECOND)
    assert str(world.halted) == "stopped"
    assert len(world.disk.rows) == 1


def test_a_stop_without_work_is_immediate() -> None:
    world = booted()
    world.submit(b"a@sink.example")
    world.give(events.StopRequested(10 * SECOND))
    assert str(world.halted) == "stopped"


def test_ids_of_another_epoch_and_ids_never_granted_are_refused() -> None:
    world = booted()
    good = world.envelope(b"a@sink.example")
    for number, code in ((good.transaction - (1 << 31), 451), (good.transaction + (5 << 16), 451)):
        strange = messages.Envelope(number, b"", good.recipients, good.content, good.arrived_at)
        world.tell(SMTPS, messages.Submit(strange))
        assert [one.code for one in world.take(messages.Submitted)] == [code]


@pytest.mark.feature("SX29")
def test_no_block_is_granted_twice_and_block_zero_never() -> None:
    world = booted()
    for _ in range(5):
        world.tell(SMTPS, messages.WantBlock())
    world.give(events.Linked("smtps.mx.1", 77))
    assert world.blocks == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.feature("SX67")
def test_what_is_in_the_queue_can_be_rebuilt_from_the_log_alone() -> None:
    world = booted()
    world.replies.update({b"later@x.example": DEFERRED, b"never@x.example": FAILED, b"hangs@y.example": None})
    world.resolve[b"list@l.example"] = lambda question: Resolved(question.request, expansion=(b"a@x.example", b"later@x.example"))
    world.submit(b"ok@x.example", b"later@x.example", b"never@x.example")
    world.submit(b"list@l.example", b"hangs@y.example", sender=b"other@client.example")
    rebuilt: dict[tuple[object, object], tuple[object, ...]] = {}
    senders: dict[object, tuple[object, ...]] = {}
    for note in world.notes:
        match note.name, note.values:
            case "submitted", (transaction, _, sender, _, octets, segment, offset, client):
                senders[transaction] = (sender, octets, segment, offset, client)
            case "recipient", (transaction, index, address, *_):
                rebuilt[transaction, index] = (address, *senders[transaction])
            case "verdict", (transaction, index, _, "delivered" | "relayed" | "failed", *_):
                del rebuilt[transaction, index]
            case "expanded" | "removed", (transaction, index, *_):
                rebuilt.pop((transaction, index), None)
    listed = world.ask(messages.QueueList(1, messages.Filter()), messages.QueueListed).rows
    assert len(listed) == 3
    assert rebuilt == {(row.transaction, row.index): (row.recipient, row.reverse_path, row.octets, row.segment, row.offset, row.client) for row in listed}


def test_aliases_that_are_too_much_together_are_followed_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """I16: what a transaction is in memory, and in one record of the log, is bounded."""
    monkeypatch.setattr("smx.qmgr.expansion.EXPANSION_RECIPIENTS_MAX", 3)
    world = World(QmgrSettings(min_free_octets=0, retry=RetrySettings(min_us=5 * MINUTE, warn_us=0))).boot()
    for name in (b"one", b"two"):
        world.resolve[name + b"@l.example"] = lambda question: Resolved(
            question.request, expansion=tuple(b"%b%d@x.example" % (question.recipient[:3], n) for n in range(2))
        )
    transaction = world.submit(b"one@l.example", b"two@l.example")
    assert sorted(world.delivered) == [(transaction, b"one0@x.example"), (transaction, b"one1@x.example")]
    assert [values[4:6] for values in world.noted("verdict") if values[1] == 1] == [(452, b"the aliases of this message stand for too many recipients at once")]
    world.advance(10 * MINUTE)
    assert len(world.delivered) == 4
    assert not world.disk.rows


def test_an_alias_that_stands_for_too_many_is_refused_with_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smx.qmgr.expansion.EXPANSION_RECIPIENTS_MAX", 3)
    world = World(QmgrSettings(min_free_octets=0)).boot()
    world.resolve[b"all@l.example"] = lambda question: Resolved(question.request, expansion=tuple(b"%d@x.example" % n for n in range(4)))
    world.submit(b"all@l.example")
    assert next(values[3:6] for values in world.noted("verdict")) == ("failed", 554, b"the alias stands for too many recipients")
    assert len(world.noted("bounced")) == 1
