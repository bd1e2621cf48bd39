"""Mutations of what is put off: verdicts, rows of DEFEDB, their cache, retries, expiry (A4, A8, A15)."""

from typing import Any

import msgspec

from sim.mutations.mutation import mutation
from smx.effects import Store
from smx.messages import Outcome
from smx.qmgr import submission
from smx.qmgr.envelopes import Place
from smx.qmgr.notifications import Fate
from smx.qmgr.records import Closing, Moved
from smx.qmgr.recovery_table import Decision


@mutation("attempt-not-counted", "A4 I11", "smx.qmgr.settlement:Settlement.attempted", scene="plain", checker="I11")
def _attempt_not_counted(original: Any) -> Any:
    """The number of a recipient's attempt stays what it was."""

    def attempted(self: Any, entry: Any, verdict: Any, protocol: int, began_at: int) -> None:
        if entry.attempt:
            entry.attempt -= 1
        original(self, entry, verdict, protocol, began_at)

    return attempted


@mutation(
    "deferred-is-closed", "A4 I9", "smx.qmgr.recovery_table:_LOOKUP[(True, LastVerdict.DEFERRED, RowSeen.NONE)]", scene="kill-behind-deferred", checker="I1"
)
def _deferred_is_closed(original: Any) -> Any:
    """Recovery drops a deferred recipient whose row was not stored yet."""
    return (Decision.CLOSE, "")


@mutation(
    "row-trusted-over-verdict", "A4 I6", "smx.qmgr.recovery_table:_LOOKUP[(False, LastVerdict.FINAL, RowSeen.OLDER)]", scene="kill-behind-retried", checker="I6"
)
def _row_trusted_over_verdict(original: Any) -> Any:
    """Recovery believes a row although a final verdict of a later attempt stands in the log."""
    return (Decision.ROW, "")


@mutation("stale-rows-stay", "A4 I6", "smx.qmgr.deferral:Deferral.flush", scene="kill-twice-behind-retried", checker="I6")
def _stale_rows_stay(original: Any) -> Any:
    """The row of a recipient whose final verdict is durable is not deleted."""

    def flush(self: Any) -> None:
        before = len(self._hub.effects)
        original(self)
        for place, effect in enumerate(self._hub.effects):
            if place >= before and type(effect) is Store:
                self._hub.effects[place] = msgspec.structs.replace(effect, gone=())

    return flush


@mutation("spill-lost", "A8 I1", "smx.qmgr.deferral:Deferral.spill", scene="overflow", checker="I1")
def _spill_lost(original: Any) -> Any:
    """What does not fit in the active queue is forgotten."""

    def spill(self: Any, entry: Any, next_try: int) -> None:
        self._hub.settlement.gone(entry)

    return spill


@mutation("cache-skips-rows", "A4 L1", "smx.qmgr.edbc:Edbc.fetched", scene="overflow", checker="L1")
def _cache_skips_rows(original: Any) -> Any:
    """The first row of each page that comes from the disk is passed over."""

    def fetched(self: Any, rows: Any, *, more: bool) -> None:
        original(self, rows[1:] if len(rows) > 1 else rows, more=more)

    return fetched


@mutation("active-queue-unbounded", "A8 I16", "smx.qmgr.aq:ActiveQueue.__init__", scene="full-queue", checker="I16")
def _active_queue_unbounded(original: Any) -> Any:
    """aq_max_entries is not obeyed."""

    def init(self: Any, entries_max: int, *others: Any) -> None:
        original(self, 10 * entries_max, *others)

    return init


@mutation("incoming-unbounded", "A8 I16", "smx.qmgr.submission:Submission._refusal", scene="slow-syncs", checker="I16")
def _incoming_unbounded(original: Any) -> Any:
    """Any number of recipients is taken into memory before they are durable."""

    def refusal(self: Any, envelope: Any) -> Any:
        found = original(self, envelope)
        return None if found is submission._NO_ROOM else found

    return refusal


@mutation("expired-after-one-attempt", "A15 L1", "smx.qmgr.retry:expired", scene="expiry", checker="L1")
def _expired_after_one_attempt(original: Any) -> Any:
    """Mail is given up by its age alone, however seldom it was tried, and although the clock has just jumped."""
    return lambda retry, arrived_at, stamp, attempts, *, since_jump: stamp - arrived_at >= retry.give_up_us


@mutation("expired-early", "A15 L1", "smx.qmgr.retry:expired", scene="expiry-without-jump", checker="L1")
def _expired_early(original: Any) -> Any:
    """Mail is given up at half of its age."""
    return lambda retry, arrived_at, stamp, attempts, *, since_jump: stamp - arrived_at >= retry.give_up_us // 2 and attempts >= retry.attempts_min


@mutation("never-expires", "A15 L1", "smx.qmgr.retry:expired", scene="expiry-without-jump", checker="L1")
def _never_expires(original: Any) -> Any:
    """Mail is never given up."""
    return lambda *args, **kwargs: False


@mutation("expired-without-notification", "A15 I1", "smx.qmgr.settlement:Settlement._fail", scene="expiry", checker="I1")
def _expired_without_notification(original: Any) -> Any:
    """Mail that is given up is closed, and its sender never hears of it."""

    def fail(self: Any, entry: Any, outcome: int) -> Any:
        if outcome != Closing.EXPIRED:
            return original(self, entry, outcome)
        self._hub.aq.leave(entry)
        entry.place = Place.SETTLING
        return self._record(entry, outcome), self.closed

    return fail


@mutation("retries-without-back-off", "L1", "smx.qmgr.retry:delay_us", scene="plain", checker="L1")
def _retries_without_back_off(original: Any) -> Any:
    """The wait between two attempts does not grow: it is next to nothing."""
    return lambda retry, attempt, unit: 1000


@mutation("failure-is-success", "A4 I1", "smx.qmgr.settlement:Settlement.conclude", scene="plain", checker="I1")
def _failure_is_success(original: Any) -> Any:
    """A recipient that failed for good is closed as if it had been delivered."""

    def conclude(self: Any, entry: Any, protocol: int, *, since_jump: bool) -> Any:
        if entry.verdict.outcome == Outcome.FAILED:
            return self._deliver(entry, Outcome.FAILED, Fate.PASSED)
        return original(self, entry, protocol, since_jump=since_jump)

    return conclude


@mutation("moved-too-early", "A4 I9", "smx.qmgr.settlement:Settlement.write", scene="power-behind-put-off", checker="I1")
def _moved_too_early(original: Any) -> Any:
    """Moved is written together with the verdict, before there is a row."""

    def write(self: Any, entry: Any, record: Any, then: Any) -> None:
        original(self, entry, record, then)
        if record.outcome == Outcome.DEFERRED:
            self._hub.ibdb.append(Moved(entry.transaction.id, ((entry.recipient.index, entry.attempt),)))

    return write
