"""Mutations of aliases and notifications (A6, A7)."""

from typing import Any

import msgspec

from sim.mutations.mutation import mutation
from smx.messages import Notify
from smx.qmgr.notifier import _closing


@mutation("expansion-not-recorded", "A7 I6", "smx.qmgr.expansion:Expansion._write", scene="kill-behind-expanded", checker="I6")
def _expansion_not_recorded(original: Any) -> Any:
    """What an alias stands for is not written: after a crash it is asked for again."""

    def write(self: Any, entry: Any, expanded: Any, record: Any, then: Any, children: Any) -> None:
        self._durable(((entry, then), children))

    return write


@mutation("expansion-before-sync", "A7 I4", "smx.qmgr.expansion:Expansion._write", scene="plain", checker="I4")
def _expansion_before_sync(original: Any) -> Any:
    """The recipients that an alias stands for are handed out before its record is synced."""

    def write(self: Any, entry: Any, expanded: Any, record: Any, then: Any, children: Any) -> None:
        hub = self._hub
        hub.ibdb.append(expanded, (self._durable, ((entry, then), [])))
        self._durable((None, children))

    return write


@mutation("expansion-adds-a-stranger", "A7 I4", "smx.qmgr.expansion:Expansion._add", scene="plain", checker="I4")
def _expansion_adds_a_stranger(original: Any) -> Any:
    """One of the recipients that an alias stands for gets another address than the one that was recorded."""

    def add(self: Any, transaction: Any, recipients: Any, reverse_path: bytes) -> Any:
        changed = msgspec.structs.replace(recipients[-1], address=b"carol@lab.example")
        return original(self, transaction, (*recipients[:-1], changed), reverse_path)

    return add


@mutation("notification-not-synced", "A6 I10", "smx.qmgr.notifier:Notifier._compose", scene="power-behind-bounced", checker="I10")
def _notification_not_synced(original: Any) -> Any:
    """A DSN is opened before its content is synced."""

    def compose(self: Any, notice: Any) -> None:
        original(self, notice)
        if self._syncing.pop(notice.dsn, None) is not None:
            self._hub.writer._wanted.clear()
            self._hub.effects[:] = [effect for effect in self._hub.effects if not (type(effect).__name__ == "Sync" and effect.store == "cdb")]
            self._hub.writer._done = self._hub.writer._issued
            self._record(notice)

    return compose


@mutation("notification-in-two-records", "A6 I1", "smx.qmgr.notifier:Notifier._record", scene="kill-behind-bounced", checker="I1")
def _notification_in_two_records(original: Any) -> Any:
    """One record closes the recipients; another one, a group later, opens the DSN."""

    def record(self: Any, notice: Any) -> None:
        hub = self._hub
        closing = [_closing(entry) for entry in notice.entries]
        notice.entries, kept = [], notice.entries

        def then_open(made: Any) -> None:
            original(self, notice)
            notice.entries = kept
            hub.ibdb.flush(hub.effects)

        if not closing or notice.quarantine:
            notice.entries = kept
            original(self, notice)
            return
        for verdict in closing[:-1]:
            hub.ibdb.append(verdict)
        hub.ibdb.append(closing[-1], (then_open, None))

    return record


@mutation("notification-not-owed", "A6 I1", "smx.qmgr.settlement:Settlement._owe", scene="kill-behind-failed", checker="I1")
def _notification_not_owed(original: Any) -> Any:
    """The verdict that a DSN is due for does not say so: a crash before the DSN loses it."""

    def owe(self: Any, entry: Any, outcome: int, kind: Any, action: Any, to: bytes) -> Any:
        entry.record = msgspec.structs.replace(original(self, entry, outcome, kind, action, to), owed=0)
        return entry.record

    return owe


@mutation("notification-twice", "A6 I7", "smx.qmgr.notifier:Notifier.add", scene="plain", checker="I7")
def _notification_twice(original: Any) -> Any:
    """A failure is reported in two DSNs."""

    def add(self: Any, entry: Any, kind: Any, action: Any, to: bytes, *, quarantine: str = "") -> None:
        original(self, entry, kind, action, to, quarantine=quarantine)
        notice = self._waiting.pop((entry.transaction.id, int(kind), to, quarantine))
        self._waiting[notice.key] = notice
        twin = type(notice)(notice.key, notice.kind, to, notice.envelope, notice.own, notice.double, quarantine, notice.attempt + 1, notice.reports)
        twin.warned = [entry.recipient.index]
        self._hub.references.add(notice.envelope.content.segment)
        self._line.append(twin)

    return add


@mutation("bounce-of-a-bounce", "I7", "smx.qmgr.notifications:addressee", scene="double-bounce", checker="I7")
def _bounce_of_a_bounce(original: Any) -> Any:
    """The failure of a double bounce is reported to the postmaster again."""

    def addressee(fate: Any, notify: int, reverse_path: bytes, forward_path: bytes, double_bounce_to: bytes, *, server: str = "") -> bytes:
        found: bytes = original(fate, notify, reverse_path, b"", double_bounce_to)
        return found

    return addressee


@mutation("never-means-nothing", "I7", "smx.qmgr.notifications:due", scene="plain", checker="I7")
def _never_means_nothing(original: Any) -> Any:
    """NOTIFY=NEVER is not obeyed."""

    def due(fate: Any, notify: int) -> bool:
        found: bool = original(fate, 0 if notify & Notify.NEVER else notify)
        return found

    return due


@mutation("failure-told-to-nobody", "I1", "smx.qmgr.notifications:addressee", scene="plain", checker="I1")
def _failure_told_to_nobody(original: Any) -> Any:
    """No sender is ever told of a failure."""
    return lambda *args, **kwargs: b""


@mutation("notification-with-reverse-path", "I4", "smx.qmgr.scheduler:Scheduler._deliver", scene="plain", checker="I4")
def _notification_with_reverse_path(original: Any) -> Any:
    """The null reverse-path is replaced by the postmaster's address on the way out."""

    def deliver(self: Any, number: int, route: Any, entries: Any, destination: Any) -> Any:
        made = original(self, number, route, entries, destination)
        return made if made.reverse_path else msgspec.structs.replace(made, reverse_path=b"postmaster@lab.example")

    return deliver
