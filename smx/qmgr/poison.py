"""Poison: a message that crashes QMGR each time it is in hand is found and set aside, and no other one is (A14, L4).

A Begun record says that a delivery was handed out; a RecoveryBegun, that recovery began to decide. They are not synced: the death of the
process keeps them. What was begun and had not ended at a crash was in hand. Neither the death of an SMTPC counts (its deliveries end as
deferred, with a record) nor an orderly stop (it is recorded).

A crash says little about a message that was in hand with hundreds of others: kill -9, three times in a row, must not set hundreds of good
messages aside. So two numbers are kept, from one verdict of the message to the next:

    crashes   in a row at which it was in hand
    alone     those of them at which nothing else can have been the cause: it was the only one in hand, or the only suspect

    crashes          what is done
    0, 1             delivered as any other
    2 or more        a suspect: tried when no other suspect is in hand, those least often `alone` first (ward.py)
    3, with alone 2  poison: quarantined; the others go on

A message that crashes QMGR each time is poison at the third crash when it is alone, else at the fourth: the second makes a suspect of it,
the third and the fourth find it alone among the suspects. Whoever was in hand with it has had its turn meanwhile: a verdict clears it. A storm of
external kills can set aside one message at a kill at most, and only when it hit that very message twice as the lone suspect, which
comes after all suspects that were hit once.

A suspect that has been in hand for SUSPECT_PATIENCE_US without harm lets the next one begin (its host may be slow): if a crash comes then,
several suspects are in hand and none of them is counted as alone.

Not seen: poison that takes the machine with it (power loss): nothing unsynced is left to tell of it.
"""

from typing import Final

import msgspec

from smx.limits import CRASHES_ALONE_MIN, CRASHES_MAX

SUSPECT_CRASHES: Final = 2


class Suspicion(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Both numbers. They add up: recovery's own crashes over a message count with those of its deliveries."""

    crashes: int = 0
    alone: int = 0

    def plus(self, other: "Suspicion") -> "Suspicion":
        return Suspicion(self.crashes + other.crashes, self.alone + other.alone)

    @property
    def poison(self) -> bool:
        return is_poison(self.crashes, self.alone)


INNOCENT: Final = Suspicion()


def is_suspect(crashes: int) -> bool:
    """In hand at so many crashes in a row that it is tried alone."""
    return crashes >= SUSPECT_CRASHES


def is_poison(crashes: int, alone: int) -> bool:
    """To be quarantined."""
    return crashes >= CRASHES_MAX and alone >= CRASHES_ALONE_MIN
