"""Cut-through: may a message be acknowledged without ever being made durable? (A12, SX24)

The content was appended, not synced, and deliveries have begun. Each recipient is delivered, failed, deferred, or still in flight
(which includes: not begun). The table says what to do for every combination; nothing else decides.

    delivered  failed  deferred  in flight   step
    all        none    none      none        DELIVERED   250; nothing was made durable, and nothing need be
    none       all     none      none        FAILED      one recipient: its 5yz; several: SECURE
    none       none    none      all         WAIT        until the deadline, then SECURE
    some       none    none      some        WAIT        until the deadline, then SECURE
    any        any     any       any         SECURE      one was deferred, or one of several failed: it cannot end well any more

SECURE: the content is synced; then one record holds the envelope and the verdicts so far, those in flight marked; then 250.
"""

from enum import IntEnum
from typing import Final


class Step(IntEnum):
    WAIT = 1
    DELIVERED = 2
    FAILED = 3
    SECURE = 4


class Part(IntEnum):
    """How many of the recipients."""

    NONE = 0
    SOME = 1
    ALL = 2


_NONE: Final = Part.NONE
_SOME: Final = Part.SOME
_ALL: Final = Part.ALL

# (delivered, failed, deferred, in flight) of all combinations in which each recipient is counted once
# fmt: off
TABLE: Final[dict[tuple[Part, Part, Part, Part], Step]] = {
    (_ALL,  _NONE, _NONE, _NONE): Step.DELIVERED,
    (_NONE, _ALL,  _NONE, _NONE): Step.FAILED,
    (_NONE, _NONE, _ALL,  _NONE): Step.SECURE,
    (_NONE, _NONE, _NONE, _ALL):  Step.WAIT,
    (_SOME, _SOME, _NONE, _NONE): Step.SECURE,
    (_SOME, _NONE, _SOME, _NONE): Step.SECURE,
    (_SOME, _NONE, _NONE, _SOME): Step.WAIT,
    (_NONE, _SOME, _SOME, _NONE): Step.SECURE,
    (_NONE, _SOME, _NONE, _SOME): Step.SECURE,
    (_NONE, _NONE, _SOME, _SOME): Step.SECURE,
    (_SOME, _SOME, _SOME, _NONE): Step.SECURE,
    (_SOME, _SOME, _NONE, _SOME): Step.SECURE,
    (_SOME, _NONE, _SOME, _SOME): Step.SECURE,
    (_NONE, _SOME, _SOME, _SOME): Step.SECURE,
    (_SOME, _SOME, _SOME, _SOME): Step.SECURE,
}
# fmt: on


def part(count: int, total: int) -> Part:
    if count == 0:
        return Part.NONE
    return Part.ALL if count == total else Part.SOME


def decide(total: int, delivered: int, failed: int, deferred: int, *, late: bool) -> Step:
    """What to do with a message of `total` recipients. `late`: its deadline has passed, or there is no time for it."""
    in_flight = total - delivered - failed - deferred
    assert total > 0
    assert min(delivered, failed, deferred, in_flight) >= 0
    step = TABLE[part(delivered, total), part(failed, total), part(deferred, total), part(in_flight, total)]
    if step is Step.FAILED and total > 1:
        return Step.SECURE
    if step is Step.WAIT and late:
        return Step.SECURE
    return step
