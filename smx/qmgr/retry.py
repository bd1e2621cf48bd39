"""Retry: when a deferred recipient is tried again, when its sender is warned, and when it is given up (SX26, RFC 5321 4.5.4.1).

The wait doubles with each attempt from `min_us` to `max_us`. It is spread by a keyed hash of recipient and attempt, so that what
failed together does not come back together (F40), and so that the same run gives the same times.

Giving up needs three things (A15): the mail is older than `give_up_us`, it had at least `attempts_min` attempts, and the last of
them began after the latest jump of the wall clock: a clock that leaps ahead makes no mail old in one moment (F26).
"""

import zlib

from smx.config.schema_qmgr import RetrySettings

_SPAN = 1 << 32


def spread(seed: int, purpose: bytes, *numbers: int) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    text = b"%d/%s/%s" % (seed, purpose, b"/".join(b"%d" % number for number in numbers))
    return zlib.crc32(text) / _SPAN


def delay_us(retry: RetrySettings, attempt: int, unit: float) -> int:
    """The wait after attempt `attempt` (from 1), with `unit` in [0, 1) as its place in the spread. Never outside min_us to max_us."""
    base = min(retry.min_us << min(max(attempt - 1, 0), 40), retry.max_us)
    reach = base * retry.jitter_percent // 100
    low = max(base - reach, min(retry.min_us, retry.max_us))
    high = min(base + reach, retry.max_us)
    return low + int((high - low) * unit)


def next_try(retry: RetrySettings, arrived_at: int, stamp: int, attempt: int, unit: float) -> int:
    """The stamp of the next attempt. An attempt that would fall behind the expiry is made at the expiry, as the last one."""
    at = stamp + delay_us(retry, attempt, unit)
    expiry = arrived_at + retry.give_up_us
    if stamp < expiry < at:
        return max(expiry, stamp + min(retry.min_us, retry.max_us))
    return at


def expired(retry: RetrySettings, arrived_at: int, stamp: int, attempts: int, *, since_jump: bool) -> bool:
    """Is it given up after its latest attempt? `since_jump`: that attempt began after the latest clock jump (A15)."""
    return stamp - arrived_at >= retry.give_up_us and attempts >= retry.attempts_min and since_jump


def warning_due(retry: RetrySettings, arrived_at: int, stamp: int, *, warned: bool) -> bool:
    """Is it time to tell the sender of the delay? Once, and never with `warn_us` 0."""
    return retry.warn_us > 0 and not warned and stamp - arrived_at >= retry.warn_us
