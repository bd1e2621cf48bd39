"""Hub: the state that the parts of QMGR share, and the parts themselves, by name.

A part is a class with one job and a reference to the hub. During a step the parts append to `effects`; what must come behind the
log's own effects (a Deliver behind the Begun that tells of it, A14) goes to `late`. The hub decides nothing.

    submission   what SMTPS says; IQDB; cut-through              deferral      rows of DEFEDB, in batches; the EDBC's disk
    dispatch     from IQDB and EDBC to AQ, and what overflows    notifier      DSNs
    routes       questions to SMAR                               expansion     aliases
    scheduler    from AQ to SMTPC                                links         who is linked, ids, whose segments are whose
    settlement   what becomes of a recipient after a verdict     tools         what operators ask of the queue
    gate         admission: how much SMTPS may take              control       status, limits
    ward         suspects of a crash, tried one at a time        relocation    content of segments that are mostly dead
    clock        rows whose time was reckoned by a wall clock that was set back since
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from smx.cdb.removal import ContentReferences
from smx.cdb.writer import ContentWriter
from smx.config.schema_qmgr import QmgrSettings
from smx.effects import AnyEffect, Halt, Note, Tell
from smx.messages import AnyMessage
from smx.qmgr.admission import AdmissionControl, AdmissionLimits
from smx.qmgr.aq import ActiveQueue
from smx.qmgr.edbc import Edbc
from smx.qmgr.envelopes import Transaction
from smx.qmgr.ibdb import Ibdb
from smx.qmgr.window import WindowLimits

if TYPE_CHECKING:
    from smx.qmgr.clock import Clock
    from smx.qmgr.control import Control
    from smx.qmgr.deferral import Deferral
    from smx.qmgr.dispatch import Dispatch
    from smx.qmgr.expansion import Expansion
    from smx.qmgr.gate import Gate
    from smx.qmgr.links import Links
    from smx.qmgr.notifier import Notifier
    from smx.qmgr.relocation import Relocation
    from smx.qmgr.routes import Routes
    from smx.qmgr.scheduler import Scheduler
    from smx.qmgr.settlement import Settlement
    from smx.qmgr.submission import Submission
    from smx.qmgr.tools import Tools
    from smx.qmgr.ward import Ward


class Hub:
    """Shared by all parts. `ibdb`, `references` and `writer` exist once recovery has ended."""

    # the parts, set once by the machine
    submission: "Submission"
    dispatch: "Dispatch"
    routes: "Routes"
    scheduler: "Scheduler"
    settlement: "Settlement"
    expansion: "Expansion"
    deferral: "Deferral"
    notifier: "Notifier"
    links: "Links"
    gate: "Gate"
    tools: "Tools"
    control: "Control"
    ward: "Ward"
    relocation: "Relocation"
    clock: "Clock"
    ibdb: Ibdb
    references: ContentReferences
    writer: ContentWriter

    def __init__(self, settings: QmgrSettings) -> None:
        self.settings = settings
        self.retry = settings.retry
        self.recipients_max = settings.smtpc.recipients_max
        self.deliveries_max = settings.smtpc.deliveries_max
        self.cut_through_us = settings.cut_through_us
        self.now = 0
        self.epoch = 0
        self.seed = 0
        self.wall_offset = 0
        self.jumped_at = 0  # now of the latest clock jump (A15)
        self.stopping = False
        self.effects: list[AnyEffect] = []
        self.late: list[AnyEffect] = []
        self.transactions: dict[int, Transaction] = {}
        self.requests: dict[int, Callable[[Any], None]] = {}  # who waits for a completion that carries the number
        self._request = 0
        self._until_durable: deque[tuple[int, Callable[[], None]]] = deque()
        smtpc, retry, throttle = settings.smtpc, settings.retry, settings.throttle
        limits = WindowLimits(smtpc.initial_connections, smtpc.max_connections, retry.dead_min_us, retry.dead_max_us)
        self.aq = ActiveQueue(settings.aq_max_entries, settings.aq_new_share_percent, settings.aq_deferred_share_percent, limits)
        self.edbc = Edbc(settings.edbc_max_entries)
        self.admission = AdmissionControl(
            AdmissionLimits(settings.min_free_octets, throttle.slow_free_octets, throttle.spill_rate_max, throttle.descriptors_min, settings.iqdb_max_entries)
        )

    @property
    def stamp(self) -> int:
        """The wall clock: what arrived_at and next_try are compared with."""
        return self.now + self.wall_offset

    def request(self, then: Callable[[Any], None]) -> int:
        """A number for an effect whose completion `then` is to get."""
        self._request += 1
        self.requests[self._request] = then
        return self._request

    def when_durable(self, then: Callable[[], None]) -> None:
        """Call `then` when all that was appended to the log up to now is durable."""
        self._until_durable.append((self.ibdb.position, then))

    def synced(self) -> None:
        """The log has become durable further on."""
        waiting = self._until_durable
        while waiting and waiting[0][0] <= self.ibdb.durable:
            waiting.popleft()[1]()

    def note(self, name: str, *values: int | str | bytes) -> None:
        self.effects.append(Note(name, values))

    def tell(self, process: str, message: AnyMessage) -> None:
        self.effects.append(Tell(process, message))

    def tell_late(self, process: str, message: AnyMessage) -> None:
        """Behind what the log has to write first."""
        self.late.append(Tell(process, message))

    def halt(self, reason: str) -> None:
        """End the process: what is durable will be recovered."""
        self.effects.append(Halt(reason))
