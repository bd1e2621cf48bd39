"""Notifications: which DSN a recipient's fate asks for, and who gets it (RFC 3461 5.2 and 6, SX27, SX28).

The rules are this table; `due` reads it. NOTIFY is a set of SUCCESS, FAILURE, DELAY, or NEVER, or was not given.

    fate       what happened                                         DSN when NOTIFY holds   not given   source
    DELIVERED  in a mailbox (LMTP)                                   SUCCESS                 no          5.2.3 (a)-(c)
    PASSED     taken by a server that sends DSNs itself              never                   no          5.2.1: the parameters went along
    RELAYED    taken by a server without DSN                         SUCCESS                 no          5.2.2 (b), (c)
    EXPANDED   an alias with several recipients was followed         SUCCESS                 no          5.2.7.3 (c)
    LISTED     an alias with an owner: the reverse-path changed      SUCCESS ("delivered")   no          5.2.7.1
    FORWARDED  an alias with one recipient was followed              never                   no          5.2.7.2: the parameters go along
    DELAYED    an unusual time has passed                            DELAY                   yes         5.2.5 (a)-(c)
    FAILED     it cannot be delivered                                FAILURE                 yes         5.2.6 (a)-(c)

No DSN is ever sent to the null reverse-path (RFC 3461 6.1, RFC 5321 4.5.5; I7). A failure of such a message is told to
`double_bounce_to` (a double bounce, SX28) unless it was itself on the way there, or NOTIFY=NEVER was given: then nobody is told. What is on
the way there is marked in its envelope (`server`), since an alias may give it another recipient.
"""

from enum import IntEnum
from typing import Final

from smx.messages import Notify, Outcome, Protocol


class Fate(IntEnum):
    """What a recipient's sender may want to know."""

    DELIVERED = 1
    PASSED = 2
    RELAYED = 3
    EXPANDED = 4
    LISTED = 5
    FORWARDED = 6
    DELAYED = 7
    FAILED = 8


OUR_OWN: Final = "qmgr"  # `server` of a notification that QMGR made
DOUBLE_BOUNCE: Final = "qmgr double bounce"  # of one that went to double_bounce_to instead of a sender
_NO_KEYWORD: Final = Notify(0)

# fmt: off
# fate: (the NOTIFY keyword that asks for a DSN, whether one is due when NOTIFY was not given)
RULES: Final[dict[Fate, tuple[Notify, bool]]] = {
    Fate.DELIVERED: (Notify.SUCCESS, False),
    Fate.PASSED:    (_NO_KEYWORD,    False),
    Fate.RELAYED:   (Notify.SUCCESS, False),
    Fate.EXPANDED:  (Notify.SUCCESS, False),
    Fate.LISTED:    (Notify.SUCCESS, False),
    Fate.FORWARDED: (_NO_KEYWORD,    False),
    Fate.DELAYED:   (Notify.DELAY,   True),
    Fate.FAILED:    (Notify.FAILURE, True),
}
# fmt: on


def due(fate: Fate, notify: int) -> bool:
    """Do the recipient's NOTIFY parameters ask for a DSN of this fate?"""
    keyword, by_default = RULES[fate]
    if notify == Notify.DEFAULT:
        return by_default
    return bool(notify & keyword) and not notify & Notify.NEVER


def fate_of(outcome: int, protocol: int) -> Fate:
    """The fate of a recipient that a delivery took off our hands. LMTP is final delivery: the report is ours (RFC 2033 4.2)."""
    if protocol == Protocol.LMTP:
        return Fate.DELIVERED
    return Fate.RELAYED if outcome == Outcome.RELAYED else Fate.PASSED


def addressee(fate: Fate, notify: int, reverse_path: bytes, forward_path: bytes, double_bounce_to: bytes, *, server: str = "") -> bytes:
    """The address that is told; b"" when nobody is. `server`: the envelope's."""
    if not due(fate, notify):
        return b""
    if reverse_path:
        return reverse_path
    if fate is not Fate.FAILED or forward_path == double_bounce_to or server == DOUBLE_BOUNCE:
        return b""
    return double_bounce_to


def inherited(notify: int, *, several: bool) -> int:
    """NOTIFY of the recipients an alias became (RFC 3461 5.2.7.2, 5.2.7.3 (c)): SUCCESS is dropped when there are several.

    When SUCCESS was all that was asked for, nothing is left to ask for: NEVER, since an empty NOTIFY would ask for failures.
    """
    if not several or not notify & Notify.SUCCESS:
        return notify
    return notify & ~Notify.SUCCESS or Notify.NEVER
