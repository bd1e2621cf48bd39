"""Checkers: one file for each invariant of reliability.md, in its order. A checker sees facts only (sim.facts), so it judges simulated and live runs alike.

REGISTRY maps the id of each invariant to its checker. `make` builds those that are asked for, on one ledger and one outlook that they share.
"""

from collections.abc import Callable, Iterable
from typing import Final

from sim.checkers.i01_no_loss import NoLoss
from sim.checkers.i02_durable import DurableAt250
from sim.checkers.i03_no_phantom import NoPhantom
from sim.checkers.i04_envelope import EnvelopeKept
from sim.checkers.i05_content import ContentIntact
from sim.checkers.i06_duplicates import BoundedDuplicates
from sim.checkers.i07_bounce_once import BounceOnce
from sim.checkers.i08_ids import IdsUnique
from sim.checkers.i09_log import LogDiscipline
from sim.checkers.i10_orphans import NoOrphans
from sim.checkers.i11_single_owner import SingleOwner
from sim.checkers.i12_reply_order import RepliesInOrder
from sim.checkers.i13_protocol import ProtocolKept
from sim.checkers.i14_recovery import RecoveryIdempotent
from sim.checkers.i15_honest_failure import HonestFailure
from sim.checkers.i16_bounds import BoundsKept
from sim.checkers.l01_queue_drains import QueueDrains
from sim.checkers.l02_recovery_time import RecoveryTime
from sim.checkers.l03_no_herd import NoHerd
from sim.checkers.l04_poison import PoisonSetAside
from sim.checkers.l05_goodput import GoodputReturns
from sim.checkers.l06_isolation import SlowIsAlone
from sim.checkers.l07_shutdown import ShutdownEnds
from sim.duplicates import Outlook
from sim.ledger import Ledger
from sim.observer import Checker

_CHECKERS: Final = (
    NoLoss,
    DurableAt250,
    NoPhantom,
    EnvelopeKept,
    ContentIntact,
    BoundedDuplicates,
    BounceOnce,
    IdsUnique,
    LogDiscipline,
    NoOrphans,
    SingleOwner,
    RepliesInOrder,
    ProtocolKept,
    RecoveryIdempotent,
    HonestFailure,
    BoundsKept,
    QueueDrains,
    RecoveryTime,
    NoHerd,
    PoisonSetAside,
    GoodputReturns,
    SlowIsAlone,
    ShutdownEnds,
)

REGISTRY: Final[dict[str, Callable[[Ledger, Outlook], Checker]]] = {checker.id: checker for checker in _CHECKERS}
SENTENCES: Final[dict[str, str]] = {checker.id: checker.sentence for checker in _CHECKERS}


def make(ledger: Ledger, outlook: Outlook, ids: Iterable[str] | None = None) -> list[Checker]:
    """Fresh checkers, in the order of the registry; None: all. Raises KeyError for an id that no checker has."""
    wanted = set(REGISTRY) if ids is None else set(ids)
    unknown = wanted - set(REGISTRY)
    if unknown:
        raise KeyError(f"no checker has the id {', '.join(sorted(unknown))}; there are {', '.join(REGISTRY)}")
    return [checker(ledger, outlook) for name, checker in REGISTRY.items() if name in wanted]
