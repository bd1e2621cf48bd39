"""Mutations of the envelope log: what is written, when it counts as durable, and when it may go (A2, A3, A10, A13)."""

from typing import Any

from sim.mutations.mutation import mutation
from smx import codec, effects
from smx.messages import Submitted
from smx.qmgr.records import VerdictRecord


@mutation("submitted-before-sync", "A1 I2", "smx.qmgr.submission:Submission._record", scene="plain", checker="I2")
def _submitted_before_sync(original: Any) -> Any:
    """QMGR answers Submitted when the opening was appended, without waiting for its group."""

    def record(self: Any, transaction: Any, thens: Any, states: Any = ()) -> None:
        original(self, transaction, thens, states)
        self._hub.tell(transaction.owner, _submitted(transaction))

    def _submitted(transaction: Any) -> Any:
        return Submitted(transaction.id)

    return record


@mutation("sync-of-nothing", "A2 I2", "smx.qmgr.ibdb:Ibdb._sync", scene="plain", checker="I2")
def _sync_of_nothing(original: Any) -> Any:
    """The Sync of a group names no segment: its end says nothing about the group."""

    def sync(self: Any, out: Any) -> None:
        original(self, out)
        out[-1] = effects.Sync(out[-1].store, (), out[-1].token)

    return sync


@mutation("log-directory-not-synced", "A2 I2", "smx.qmgr.ibdb:Ibdb._on_opened", scene="plain", checker="I2")
def _log_directory_not_synced(original: Any) -> Any:
    """A log segment is used as soon as it is open, though its name is not durable."""

    def on_opened(self: Any, out: Any, event: Any) -> None:
        original(self, out, event)
        if self._spare is not None and self._spare.opened:
            out.pop()
            self._spare.named = True
            self._drain()

    return on_opened


@mutation("failed-sync-retried", "A10 I15", "smx.qmgr.ibdb:Ibdb._on_sync_failed", scene="log-sync-fails", checker="I15")
def _failed_sync_retried(original: Any) -> Any:
    """After a failed sync of the log QMGR asks for the same sync once more, and believes it."""

    def on_sync_failed(self: Any, out: Any, event: Any) -> None:
        self._token += 1
        out.append(effects.Sync("ibdb", tuple(self._chain), self._token))

    return on_sync_failed


@mutation("verdict-not-recorded", "A13 I6", "smx.qmgr.settlement:Settlement.write", scene="kill-behind-verdict", checker="I6")
def _verdict_not_recorded(original: Any) -> Any:
    """The verdict of a delivery is not written: the recipient is closed in memory alone."""

    def write(self: Any, entry: Any, record: Any, then: Any) -> None:
        if record.outcome == 1 or record.outcome == 2:  # delivered, relayed
            then(entry)
        else:
            original(self, entry, record, then)

    return write


@mutation("recorded-before-sync", "A13 I6", "smx.qmgr.ibdb:Ibdb.append", scene="power-behind-recorded", checker="I6")
def _recorded_before_sync(original: Any) -> Any:
    """A verdict counts as recorded as soon as it is appended, and no sync is asked for."""

    def append(self: Any, record: Any, then: Any = None, key: Any = None, *, lazy: bool = False) -> int:
        if type(record) is VerdictRecord and record.outcome in (1, 2) and then is not None:
            position: int = original(self, record, None, key, lazy=True)
            then[0](then[1])
        else:
            position = original(self, record, then, key, lazy=lazy)
        return position

    return append


@mutation("log-removed-early", "A3 I9", "smx.qmgr.ibdb:Ibdb._retire_oldest", scene="turnover", checker="I9")
def _log_removed_early(original: Any) -> Any:
    """A log segment goes when a newer one is in use, whatever is still open in it."""

    def retire_oldest(self: Any) -> None:
        for segment, pins in self._pins.items():
            if segment != self._current:
                for key in pins:
                    self._where.pop(key, None)
                pins.clear()
        original(self)

    return retire_oldest


@mutation("copy-forward-forgets", "A3 I9", "smx.qmgr.ibdb:Ibdb._copy_forward", scene="turnover", checker="I9")
def _copy_forward_forgets(original: Any) -> Any:
    """An opening that lags is taken for copied forward, and is not."""

    def copy_forward(self: Any) -> None:
        for key in list(self._pins[self._chain[0]]):
            self.release(key)

    return copy_forward


@mutation("damage-is-a-torn-tail", "A2 I1", "smx.qmgr.recovery_log:LogReader._on_gap", scene="log-damage", checker="I1")
def _damage_is_a_torn_tail(original: Any) -> Any:
    """Damage below the durable offset is taken for the torn end of the log: nothing behind it is read."""

    def on_gap(self: Any, segment: int, gap: Any) -> None:
        self._durable = (0, 0)
        self._grow = lambda durable: None
        original(self, segment, gap)

    return on_gap


@mutation("damage-in-silence", "I9 A2 I15", "smx.qmgr.recovery_log:LogReader._quarantine", scene="log-damage", checker="I9")
def _damage_in_silence(original: Any) -> Any:
    """Damage below the durable offset is skipped, and nobody is told."""
    return lambda self, segment, gap: None


@mutation("checksum-of-records-ignored", "A2 I9", "smx.codec:decode", scene="log-damage", checker="I9")
def _checksum_of_records_ignored(original: Any) -> Any:
    """The checksum of a log record is not compared."""

    def decode(octets: Any, offset: int, scope: int, sequence: Any = None, *, base: int = 0) -> Any:
        found = original(octets, offset, scope, sequence, base=base)
        if isinstance(found, codec.Damage) and found.fault is codec.Fault.CRC:
            _, _, kind, length, _, number = codec._HEAD.unpack_from(octets, offset)
            end = offset + codec.HEADER_OCTETS
            return codec.Record(kind, bytes(octets[end : end + length]), number, base + offset, base + end + length)
        return found

    return decode


@mutation("durable-offset-not-written", "A2 I1", "smx.qmgr.ibdb:Ibdb._state", scene="log-damage", checker="I1")
def _durable_offset_not_written(original: Any) -> Any:
    """A group does not say what was durable when it was written: damage there looks like a torn end."""

    def state(self: Any) -> None:
        self._stated = self._durable_offset

    return state


@mutation("no-space-for-the-log-is-fatal", "A10 I15", "smx.qmgr.ibdb:Ibdb._on_open_failed", scene="full-disk", checker="I15")
def _no_space_for_the_log_is_fatal(original: Any) -> Any:
    """When no spare log segment can be opened because the disk is full, QMGR ends itself."""

    def on_open_failed(self: Any, out: Any, event: Any) -> None:
        out.append(effects.Halt("no space for a spare segment"))

    return on_open_failed
