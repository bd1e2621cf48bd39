"""Mutations of content: how it is written, kept, read and removed (A1, A3, A5, A10)."""

from typing import Any

import msgspec

from sim.mutations.mutation import mutation
from smx import effects
from smx.events import Synced
from smx.lda.deposits import DELIVERED
from smx.smtp.reply import Reply
from smx.smtps.transaction import Fact


@mutation("content-submitted-before-sync", "A1 I2", "smx.smtps.submission:Submissions._sync", scene="plain", checker="I2")
def _content_submitted_before_sync(original: Any) -> Any:
    """SMTPS submits as soon as the sync of the content is ordered."""

    def sync(self: Any, transaction: Any, now: int) -> None:
        if not self.writer.want_sync(self._out, transaction.id):
            self.writer._wanted.pop(transaction.id, None)
        transaction.durable = True
        self._happened(transaction, Fact.SYNCED, now)

    return sync


@mutation("content-directory-not-synced", "A1 I2", "smx.cdb.writer:ContentWriter._name", scene="plain", checker="I2")
def _content_directory_not_synced(original: Any) -> Any:
    """A content segment counts as named as soon as it is open."""

    def name(self: Any, out: Any) -> None:
        for _, segment in self._unnamed:
            segment.named = True
        self._unnamed.clear()

    return name


@mutation("content-sync-of-nothing", "A1 I2", "smx.cdb.writer:ContentWriter._sync", scene="plain", checker="I2")
def _content_sync_of_nothing(original: Any) -> Any:
    """The sync of content names no segment."""

    def sync(self: Any, out: Any) -> None:
        count = len(out)
        original(self, out)
        if len(out) > count:
            out[-1] = effects.Sync(out[-1].store, (), out[-1].token)

    return sync


@mutation("failed-content-sync-believed", "A10 I15", "smx.cdb.writer:ContentWriter._on_sync_failed", scene="content-sync-fails", checker="I2")
def _failed_content_sync_believed(original: Any) -> Any:
    """A failed sync of content is taken for one that succeeded."""

    def on_sync_failed(self: Any, out: Any, event: Any, failed: Any) -> None:
        self._on_synced(out, Synced("cdb", event.token), failed)

    return on_sync_failed


@mutation("sealed-is-removed", "A3 I10", "smx.cdb.removal:ContentReferences.take", scene="deferred-long", checker="I10")
def _sealed_is_removed(original: Any) -> Any:
    """A content segment goes when its writer has sealed it, whatever refers to it."""

    def take(self: Any, out: Any) -> None:
        for segment in self._candidates:
            if segment not in self._open:
                out.append(effects.Remove("cdb", segment))
        self._candidates.clear()

    return take


@mutation("content-never-removed", "A3 I10", "smx.cdb.removal:ContentReferences.sealed", scene="plain", checker="I10")
def _content_never_removed(original: Any) -> Any:
    """QMGR does not hear that a writer has sealed a segment: its space never comes back."""
    return lambda self, segment: None


@mutation("abandoned-content-stays", "A5 I10", "smx.cdb.writer:ContentWriter._discard", scene="large", checker="I10")
def _abandoned_content_stays(original: Any) -> Any:
    """The segment of a large message that came to nothing is not removed."""

    def discard(self: Any, out: Any, segment: Any) -> None:
        segment.dead = True
        del self._segments[segment.number]
        self._release_held(segment)

    return discard


@mutation("dot-lines-not-counted", "A5 I5", "smx.smtps.content:stored_facts", scene="plain", checker="I3")
def _dot_lines_not_counted(original: Any) -> Any:
    """The facts of content say that no line begins with a dot: nothing is stuffed on the way out."""

    def stored_facts(facts: Any, trace: bytes) -> Any:
        return msgspec.structs.replace(original(facts, trace), dot_lines=0)

    return stored_facts


@mutation("damaged-content-delivered", "A1 I5", "smx.smtpc.deliveries:feed", scene="content-damage", checker="I5")
def _damaged_content_delivered(original: Any) -> Any:
    """SMTPC does not compare the checksum of what it has read before it sends the dot."""

    def feed(session: Any) -> None:
        if session.left == 0:
            session.crc = session.delivery.order.content.checksum
        original(session)

    return feed


@mutation("no-space-for-good", "A10 I15", "smx.smtp.replies:STORAGE_FULL", scene="full-disk", checker="I15")
def _no_space_for_good(original: Any) -> Any:
    """A message that finds no space is refused for good."""
    return Reply(552, (5, 3, 1), original.lines)


@mutation("no-space-unnoticed", "A10 I10", "smx.cdb.writer:ContentWriter._on_append_failed", scene="content-finds-no-space", checker="I10")
def _no_space_unnoticed(original: Any) -> Any:
    """An append of content that found no space counts as done."""
    return lambda self, out, event, failed: None


@mutation("rows-not-counted", "A3 I10", "smx.qmgr.recovery:Recovery._end", scene="kill-with-rows", checker="I10")
def _rows_not_counted(original: Any) -> Any:
    """Recovery does not count the rows of DEFEDB as references to content: it removes content that deferred mail needs."""

    def end(self: Any, result: Any) -> Any:
        self._counts.clear()
        for transaction in result.transactions:
            segment = transaction.envelope.content.segment
            self._counts[segment] = self._counts.get(segment, 0) + 1
        return original(self, result)

    return end


@mutation("maildir-not-synced", "A5 I3", "sim.disk.deposits:Deposits._sync_file", scene="power-behind-local", checker="I3")
def _maildir_not_synced(original: Any) -> Any:
    """A message is renamed into new/ without a sync of its file."""
    return lambda self, deposit: None


@mutation("maildir-directory-not-synced", "A5 I1", "sim.disk.filesystem:Disk.sync_directory", scene="power-behind-local", checker="I1")
def _maildir_directory_not_synced(original: Any) -> Any:
    """The name of a message in new/ is not synced before the LDA says 250."""

    def sync_directory(self: Any, path: Any, upto: Any = None) -> Any:
        if isinstance(path, str) and path.endswith("/new"):
            return None
        return original(self, path) if upto is None else original(self, path, upto)

    return sync_directory


@mutation("copies-answered-before-sync", "A5 I1", "smx.lda.deposits:Deposits._commit", scene="power-behind-local", checker="I1")
def _copies_answered_before_sync(original: Any) -> Any:
    """The LDA says 250 when it has ordered the commit of a copy."""

    def commit(self: Any, message: Any) -> None:
        original(self, message)
        done = self._done
        said: list[Any] = []

        def once(message: Any, now: int) -> None:
            if not any(message is other for other in said):
                said.append(message)
                done(message, now)

        self._done = once
        for deposit in message.deposits:
            deposit.reply = deposit.reply or DELIVERED

    return commit
