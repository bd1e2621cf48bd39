"""Mutations of delivery: which recipients go where, how many at a time, and what is made of the answers (I1, I4, I11, A12, L3, L6)."""

from typing import Any

import msgspec

from sim.mutations.mutation import mutation
from smx.effects import Transmit
from smx.messages import Submitted
from smx.qmgr.cut_through import Step
from smx.qmgr.envelopes import Place
from smx.qmgr.records import Offset
from smx.smtp.client_replies import _on_delivered
from smx.smtps.transaction import Fact, Stage


@mutation("verdicts-mixed-up", "I1", "smx.qmgr.scheduler:Scheduler.delivered", scene="plain", checker="I1")
def _verdicts_mixed_up(original: Any) -> Any:
    """A delivery's verdicts are given to its recipients in the wrong order."""

    def delivered(self: Any, result: Any) -> None:
        indices = [verdict.index for verdict in result.verdicts]
        verdicts = tuple(msgspec.structs.replace(verdict, index=index) for verdict, index in zip(result.verdicts, reversed(indices), strict=True))
        original(self, msgspec.structs.replace(result, verdicts=verdicts))

    return delivered


@mutation("refused-recipient-is-delivered", "I1", "smx.smtp.client_replies:_on_rcpt_refused", scene="plain", checker="I1")
def _refused_recipient_is_delivered(original: Any) -> Any:
    """A recipient that the host refused shares the fate of those that it took."""

    def on_rcpt_refused(dialogue: Any, reply: Any, index: int) -> None:
        if not dialogue.accepted:
            original(dialogue, reply, index)

    return on_rcpt_refused


@mutation("refusal-of-the-dot-ignored", "I1", "smx.smtp.client_replies:_on_end_refused", scene="lost-replies", checker="I1")
def _refusal_of_the_dot_ignored(original: Any) -> Any:
    """A message that the host refused at its end counts as taken."""

    def on_end_refused(dialogue: Any, reply: Any, index: int) -> None:
        _on_delivered(dialogue, reply, index)

    return on_end_refused


@mutation("late-recipients-forgotten", "I1", "smx.qmgr.aq:ActiveQueue.take", scene="plain", checker="L1")
def _late_recipients_forgotten(original: Any) -> Any:
    """A delivery carries the first recipient of its message only, and the others count as carried."""

    def take(self: Any, destination: Any, recipients_max: int) -> Any:
        route, entries = original(self, destination, recipients_max)
        return route, entries[:1]

    return take


@mutation("window-off-by-one", "I11", "smx.qmgr.window:Window.room", scene="crowd", checker="I11")
def _window_off_by_one(original: Any) -> Any:
    """One delivery more than allowed may be under way to a destination."""

    def room(self: Any, now: int) -> bool:
        if self.dead_until:
            found: bool = original(self, now)
            return found
        return bool(self.in_flight <= self._limit and self.in_flight <= self._limits.maximum)

    return room


@mutation("deliveries-unbounded", "I11 I16", "smx.qmgr.scheduler:Scheduler.pump", scene="crowd", checker="I11")
def _deliveries_unbounded(original: Any) -> Any:
    """deliveries_max is not obeyed."""

    def pump(self: Any) -> None:
        self._hub.deliveries_max = 1 << 30
        original(self)

    return pump


@mutation("two-deliveries-at-once", "I11", "smx.qmgr.scheduler:Scheduler._begin", scene="plain", checker="I11")
def _two_deliveries_at_once(original: Any) -> Any:
    """Each order goes to SMTPC twice."""

    def begin(self: Any, destination: Any, carrier: Any) -> None:
        original(self, destination, carrier)
        last = self._hub.late[-1]
        twin = msgspec.structs.replace(last.message, delivery=last.message.delivery + (1 << 20))
        self._hub.late.append(msgspec.structs.replace(last, message=twin))

    return begin


@mutation("dead-is-never-probed", "L3 L1", "smx.qmgr.window:Window._bury", scene="dead-destination", checker="L1")
def _dead_is_never_probed(original: Any) -> Any:
    """A dead destination is not tried any more."""

    def bury(self: Any, now: int, spread: float) -> None:
        original(self, now, spread)
        self.dead_until = now + (1 << 60)

    return bury


@mutation("herd-on-revival", "L3", "smx.qmgr.window:Window.ended", scene="dead-destination", checker="L3")
def _herd_on_revival(original: Any) -> Any:
    """A destination that comes back gets as many connections as any may have."""

    def ended(self: Any, ending: Any, now: int, spread: float) -> bool:
        dead = self.dead_until
        found: bool = original(self, ending, now, spread)
        if dead and not self.dead_until:
            self._limit = self._limits.maximum
        return found

    return ended


@mutation("herd-of-probes", "L3", "smx.qmgr.window:Window.room", scene="dead-destination", checker="L3")
def _herd_of_probes(original: Any) -> Any:
    """When the back-off of a dead destination is over, any number of deliveries probe it at once."""

    def room(self: Any, now: int) -> bool:
        if self.dead_until:
            return bool(now >= self.dead_until)
        found: bool = original(self, now)
        return found

    return room


@mutation("slow-destination-takes-all", "L6", "smx.qmgr.aq:ActiveQueue.crowded", scene="slow-destination", checker="L6")
def _slow_destination_takes_all(original: Any) -> Any:
    """One destination may fill the active queue."""
    return lambda self, destination: False


@mutation("begun-not-written", "A14 L4", "smx.qmgr.records:Begun", scene="poison", checker="L4")
def _begun_not_written(original: Any) -> Any:
    """The log does not say that a delivery was handed out: at a crash nobody is suspected."""
    return lambda transaction, indices, suspect=False: Offset(0)


@mutation("poison-never-quarantined", "A14 L4", "smx.qmgr.poison:is_poison", scene="poison", checker="L4")
def _poison_never_quarantined(original: Any) -> Any:
    """A message that crashes QMGR each time is delivered once more, and once more."""
    return lambda crashes, alone: False


@mutation("poison-suspected-at-once", "A14 L4", "smx.qmgr.poison:is_poison", scene="kill-behind-begun", checker="L4")
def _poison_suspected_at_once(original: Any) -> Any:
    """Whatever was in hand at one crash is set aside."""
    return lambda crashes, alone: crashes >= 1


# --- cut-through ------------------------------------------------------------------------------------------------------------


@mutation("cut-through-says-delivered", "A12 I2", "smx.qmgr.cut_through:decide", scene="cut-through", checker="I2")
def _cut_through_says_delivered(original: Any) -> Any:
    """250 is said when the first recipient is delivered; the others are still under way."""

    def decide(total: int, delivered: int, failed: int, deferred: int, *, late: bool) -> Step:
        step: Step = original(total, delivered, failed, deferred, late=late)
        return Step.DELIVERED if delivered else step

    return decide


@mutation("cut-through-not-secured", "A12 I2", "smx.qmgr.submission:Submission._secure", scene="cut-through", checker="I2")
def _cut_through_not_secured(original: Any) -> Any:
    """At the deadline 250 is said although nothing was made durable."""

    def secure(self: Any, transaction: Any) -> None:
        if not transaction.cut.asked:
            transaction.cut.asked = True
            self._hub.tell(transaction.owner, Submitted(transaction.id, delivered=True))

    return secure


@mutation("cut-through-verdicts-forgotten", "A12 I6", "smx.qmgr.submission:Submission.secured", scene="cut-through", checker="I6")
def _cut_through_verdicts_forgotten(original: Any) -> Any:
    """The record that opens a message late does not hold the verdicts that came before it: those recipients are tried again."""

    def secured(self: Any, number: int) -> None:
        transaction = self._hub.transactions.get(number)
        if transaction is not None and transaction.cut is not None:
            for entry, _, _ in transaction.cut.ended:
                self._hub.aq.leave(entry)
                entry.place = Place.INCOMING
            transaction.cut.ended.clear()
        original(self, number)

    return secured


@mutation("cut-through-of-what-failed", "A12 I1", "smx.qmgr.cut_through:decide", scene="cut-through", checker="I2")
def _cut_through_of_what_failed(original: Any) -> Any:
    """When every recipient has ended, 250 is said, also for those that failed or were put off."""

    def decide(total: int, delivered: int, failed: int, deferred: int, *, late: bool) -> Step:
        if delivered + failed + deferred == total:
            return Step.DELIVERED
        step: Step = original(total, delivered, failed, deferred, late=late)
        return step if late else Step.WAIT

    return decide


# --- the client ---------------------------------------------------------------------------------------------------------------


@mutation("client-speaks-before-the-greeting", "I13", "smx.smtpc.deliveries:Deliveries.begin_dialogue", scene="plain", checker="I13")
def _client_speaks_before_the_greeting(original: Any) -> Any:
    """SMTPC says EHLO as soon as the connection is open."""

    def begin_dialogue(self: Any, session: Any, now: int) -> None:
        original(self, session, now)
        self.effects.append(Transmit(session.connection, b"NOOP\r\n"))

    return begin_dialogue


@mutation("dots-not-stuffed", "I5", "smx.smtp.data:DotStuffer.feed", scene="plain", checker="I3")
def _dots_not_stuffed(original: Any) -> Any:
    """The client doubles no leading dot."""

    def feed(self: Any, octets: bytes) -> bytes:
        self._dots = False
        found: bytes = original(self, octets)
        return found

    return feed


@mutation("content-cut-short", "I5 I3", "smx.smtp.data:DotStuffer.feed", scene="plain", checker="I5")
def _content_cut_short(original: Any) -> Any:
    """The last octets of a message are not sent."""

    def feed(self: Any, octets: bytes) -> bytes:
        found: bytes = original(self, octets[:-4])
        return found

    return feed


@mutation("cut-through-content-not-synced", "A12 I2", "smx.smtps.submission:Submissions._sync", scene="cut-through", checker="I2")
def _cut_through_content_not_synced(original: Any) -> Any:
    """SMTPS says Secured without a sync of the content."""

    def sync(self: Any, transaction: Any, now: int) -> None:
        if transaction.stage is Stage.SECURING:
            transaction.durable = True
            self._happened(transaction, Fact.SYNCED, now)
        else:
            original(self, transaction, now)

    return sync
