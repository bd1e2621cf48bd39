"""QMGR, the queue manager: owns every envelope from acceptance to the last recipient's end (SX08).

Job
    Takes envelopes over from SMTPS and makes them durable, or has them delivered before that (cut-through). Decides what is delivered when,
    and hands it to SMTPC. Keeps what was put off. Tells senders what became of their mail. Tells SMTPS how much may come in. Answers
    operators. After a crash, finds everything again.

State
    IQDB      transactions in memory that are not durable yet                     submission.py
    IBDB      the log: openings, verdicts, expansions, notifications              ibdb.py, records.py
    AQ        recipients that may be delivered now, by destination; bounded       aq.py, window.py
    DEFEDB    rows of deferred and held recipients, on disk                       deferral.py, rows.py
    EDBC      the soonest of these rows in memory; bounded                        edbc.py
    CDB       references to content segments; those mostly dead are given up      smx/cdb/removal.py, relocation.py, copying.py
    hub.py names the parts and what they share. A recipient in memory is in one place at a time (envelopes.Place, I11).

Events and effects
    Told by SMTPS   Submit Abort Secured Sealed Writing WantBlock  -> Tell Submitted Aborted Secure Granted Admission
    Told by SMAR    Resolved                                       -> Tell Resolve
    Told by SMTPC   DotSent Delivered Capacity                     -> Tell Deliver
    Told by MCP     ProcessGone StopAsked                          -> Halt
    Told by a tool  QueueList QueueChange StatusAsked LimitsChanged-> Tell QueueListed QueueChanged Status
    IBDB, CDB       Synced ...                                     -> Append Sync OpenSegment Seal Remove ...
    DEFEDB          Stored Fetched Found                           -> Store Fetch Find
    Expired         cut, queue, tick, copy, stop: five in all      -> Arm

Strategies
    Group commit: what arrives while a Sync or a Store is under way is the next group; load makes groups larger, and no timer is needed.
    The end of each step (`_finish`) does what has become possible: fill AQ, begin deliveries and notifications, write batches, log, arm.
    Nothing is done per message but what the message needs; timers are checked lazily.

Invariants
    Nothing is delivered, granted or answered before recovery has ended (I14); what arrives before is held.
    A Submitted(250) leaves only behind the Synced that covers the opening, or when every recipient is delivered (I2).
    An alias is followed only when its expansion is durable (A7). A row changes only when the verdict is durable (A4).
    The windows, AQ, EDBC, questions, notices and batches are bounded (I11, I16).
    What was in hand at crashes is tried alone, and set aside when it is the cause (A14): poison.py, ward.py.

Failures
    A failed sync or a device error: Halt, at once (I15). A full disk: new mail is refused, verdicts go on (A10). SMAR away: recipients wait for
    routes. SMTPC away: its deliveries are deferred. SMTPS away: what is durable is delivered all the same (RFC 1047).

Standards
    RFC 5321 4.5.4.1 (retry), 4.5.5 (null reverse-path), 6.1 (responsibility); RFC 3461 5.2 and 6 (DSN); RFC 1047 (duplicates).

See also
    durability.md for the rules A1-A16, reliability.md for the invariants; recovery.py; smtps/, smtpc/, smar/.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from smx import events, messages
from smx.config.schema_qmgr import QmgrSettings
from smx.effects import AnyEffect, Arm
from smx.events import AnyEvent
from smx.qmgr.clock import Clock
from smx.qmgr.control import Control
from smx.qmgr.deferral import Deferral
from smx.qmgr.dispatch import Dispatch
from smx.qmgr.expansion import Expansion
from smx.qmgr.gate import Gate
from smx.qmgr.hub import Hub
from smx.qmgr.links import SMTPC, SMTPS, Links
from smx.qmgr.notifier import Notifier
from smx.qmgr.recovery import Recovery
from smx.qmgr.relocation import Relocation
from smx.qmgr.restart import adopt
from smx.qmgr.routes import SMAR, Routes
from smx.qmgr.scheduler import Scheduler
from smx.qmgr.settlement import Settlement
from smx.qmgr.stop import Stop
from smx.qmgr.submission import Submission
from smx.qmgr.tools import Tools
from smx.qmgr.ward import Ward

_SETTINGS = msgspec.msgpack.Decoder(QmgrSettings)
_Handler = Callable[[Any], None]
_Listener = Callable[[str, Any], None]


class Qmgr:
    """The queue manager's step machine."""

    name = "qmgr"

    def __init__(self, settings: QmgrSettings) -> None:
        hub = self._hub = Hub(settings)
        hub.submission = Submission(hub)
        hub.dispatch = Dispatch(hub)
        hub.routes = Routes(hub, hub.dispatch.resolved)
        hub.scheduler = Scheduler(hub)
        hub.settlement = Settlement(hub)
        hub.expansion = Expansion(hub)
        hub.deferral = Deferral(hub)
        hub.notifier = Notifier(hub)
        hub.links = Links(hub)
        hub.gate = Gate(hub)
        hub.tools = Tools(hub)
        hub.control = Control(hub)
        hub.ward = Ward(hub)
        hub.relocation = Relocation(hub)
        hub.clock = Clock(hub)
        self._stop = Stop(hub)
        self._recovery: Recovery | None = None
        self._begun_at = 0
        self._running = False
        self._held: deque[events.Told] = deque()  # what arrived before recovery had ended
        self._armed: dict[str, int] = {}
        self._handlers = self._event_handlers()
        self._listeners = self._message_handlers()

    def step(self, event: AnyEvent, now: int) -> list[AnyEffect]:
        """Take one fact; give orders."""
        hub = self._hub
        hub.now = now
        out: list[AnyEffect] = []
        hub.effects = out
        if not self._running and isinstance(event, _STORE_EVENTS):
            self._recover(event)
        else:
            handler = self._handlers.get(type(event))
            if handler is not None:
                handler(event)
        if self._running:
            self._finish()
        return out

    # --- start ------------------------------------------------------------------------------------------------------

    def _on_started(self, event: events.Started) -> None:
        hub = self._hub
        hub.epoch, hub.seed, hub.wall_offset = event.epoch, event.seed, event.wall_offset
        hub.note("started", event.epoch)
        self._begun_at = hub.now
        settings = hub.settings
        self._recovery = Recovery(event.epoch, settings.ibdb_segment_octets, settings.ibdb_segments_max)
        self._recovery.start(hub.effects)

    def _recover(self, event: AnyEvent) -> None:
        assert self._recovery is not None, "an event before Started"
        result = self._recovery.on_event(self._hub.effects, event)
        if result is None:
            return
        self._recovery = None
        self._running = True
        hub = self._hub
        adopt(hub, result, self._begun_at)
        if result.deferred:
            hub.clock.look()
        hub.gate.start()
        hub.relocation.start()
        for process in hub.links.servers():
            self._welcome(process)
        hub.note("ready", hub.epoch)
        while self._held:
            self._on_told(self._held.popleft())

    # --- the end of a step --------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Do what has become possible."""
        hub = self._hub
        deadline = hub.submission.deadline
        if deadline and deadline <= hub.now:
            hub.submission.expire()
        more = False
        if not hub.stopping:
            hub.deferral.try_from_memory()
            soonest = hub.edbc.soonest()
            if soonest is not None and soonest <= hub.stamp:
                more = hub.dispatch.refill()
            hub.ward.pump()
            hub.scheduler.pump()
            if 0 < hub.relocation.next_at <= hub.now:
                hub.relocation.pump()
            hub.clock.pump()
        hub.notifier.pump()
        hub.deferral.flush()
        if hub.stopping:
            self._stop.advance()
        hub.ibdb.flush(hub.effects)
        hub.references.take(hub.effects)
        if hub.late:
            hub.effects.extend(hub.late)
            hub.late.clear()
        self._arm_timers(more=more)

    def _arm_timers(self, *, more: bool) -> None:
        hub = self._hub
        self._arm("cut", hub.submission.deadline)
        self._arm("tick", max(hub.gate.tick_at, 1))
        self._arm("queue", hub.now if more else self._queue_at())
        if hub.stopping:
            self._arm("stop", self._stop.next_at)
        else:
            self._arm("copy", hub.relocation.next_at)

    def _queue_at(self) -> int:
        """now of the next thing that waits for a time; 0: nothing does. What is due and could not be done in this step waits for something else."""
        hub = self._hub
        at = 0
        for other in (hub.notifier.again_at, hub.deferral.blocked_until, 0 if hub.stopping else hub.ward.next_at):
            if other > hub.now and (not at or other < at):
                at = other
        soonest = hub.edbc.soonest()
        if soonest is not None:
            due = max(soonest - hub.wall_offset, 1)
            if due > hub.now and (not at or due < at):
                at = due
        return at

    def _arm(self, timer: str, at: int) -> None:
        """Checked lazily: a timer that fires too early is armed again; one that is wanted earlier replaces the armed one."""
        if at and at < self._armed.get(timer, at + 1):
            self._armed[timer] = at
            self._hub.effects.append(Arm(timer, 0, at))

    def _on_expired(self, event: events.Expired) -> None:
        self._armed.pop(event.timer, None)
        hub = self._hub
        if event.timer == "tick" and self._running:
            hub.gate.tick()
            hub.ibdb.close_group(hub.effects)
            if not hub.notifier.busy and not hub.relocation.busy:
                for segment in hub.writer.roll(hub.effects):
                    hub.references.sealed(segment)

    # --- links --------------------------------------------------------------------------------------------------------

    def _on_linked(self, event: events.Linked) -> None:
        hub = self._hub
        hub.links.linked(event.process, event.epoch)
        if self._running:
            self._welcome(event.process)

    def _welcome(self, process: str) -> None:
        hub = self._hub
        if process.startswith(SMTPS):
            hub.links.grant(process)
            hub.gate.tell(process)
        elif process == SMAR:
            hub.routes.linked()

    def _on_unlinked(self, event: events.Unlinked) -> None:
        hub = self._hub
        hub.links.unlinked(event.process, event.epoch)
        if not self._running:
            self._held = deque(told for told in self._held if told.process != event.process)
        elif event.process.startswith(SMTPC):
            hub.scheduler.unlinked(event.process)
        elif event.process.startswith(SMTPS):
            hub.submission.unlinked(event.process)

    def _on_told(self, event: events.Told) -> None:
        if not self._running and not isinstance(event.message, messages.StopAsked):
            self._held.append(event)
            return
        listener = self._listeners.get(type(event.message))
        if listener is not None:
            listener(event.process, event.message)

    # --- stores -------------------------------------------------------------------------------------------------------

    def _on_store(self, event: Any) -> None:
        """A completion of one of the two logs."""
        hub = self._hub
        if event.store == "ibdb":
            for then, about in hub.ibdb.on_event(hub.effects, event):
                then(about)
            hub.synced()
        else:
            progress = hub.writer.on_event(hub.effects, event)
            hub.notifier.progress(progress)
            hub.relocation.progress(progress)

    def _on_completed(self, event: Any) -> None:
        """A completion that carries a request number."""
        then = self._hub.requests.pop(event.request, None)
        if then is not None:
            then(event)

    # --- time and settings ----------------------------------------------------------------------------------------------

    def _on_clock_jumped(self, event: events.ClockJumped) -> None:
        """Stamps move, timers do not (F26); nothing expires until it was tried again (A15); no row waits longer because the clock was set back."""
        self._hub.wall_offset = event.wall_offset
        self._hub.jumped_at = self._hub.now
        self._armed.pop("queue", None)
        if self._running:
            self._hub.clock.look()

    def _on_reconfigured(self, event: events.Reconfigured) -> None:
        if self._running:
            self._hub.control.reconfigured(_SETTINGS.decode(event.settings))

    def _on_stop(self, grace_us: int) -> None:
        if self._running:
            self._stop.begin(grace_us)
        else:
            self._hub.halt("stopped during recovery")

    # --- tables -------------------------------------------------------------------------------------------------------

    def _event_handlers(self) -> dict[type, _Handler]:
        handlers: dict[type, _Handler] = {
            events.Started: self._on_started,
            events.Told: self._on_told,
            events.Linked: self._on_linked,
            events.Unlinked: self._on_unlinked,
            events.Expired: self._on_expired,
            events.ClockJumped: self._on_clock_jumped,
            events.Reconfigured: self._on_reconfigured,
            events.StopRequested: lambda event: self._on_stop(event.grace_us),
        }
        handlers |= dict.fromkeys(_LOG_EVENTS, self._on_store)
        handlers |= dict.fromkeys(_REQUEST_EVENTS, self._on_completed)
        return handlers

    def _message_handlers(self) -> dict[type, _Listener]:
        hub = self._hub
        return {
            messages.Submit: hub.submission.submit,
            messages.Abort: lambda process, message: hub.submission.abort(process, message.transaction),
            messages.Secured: lambda process, message: hub.submission.secured(message.transaction),
            messages.Sealed: lambda process, message: hub.references.sealed(message.segment),
            messages.Writing: lambda process, message: hub.links.writing(process, message.segments),
            messages.WantBlock: lambda process, message: hub.links.grant(process),
            messages.Resolved: lambda process, message: hub.routes.resolved(message),
            messages.DotSent: lambda process, message: hub.scheduler.dot_sent(message.delivery),
            messages.Delivered: lambda process, message: hub.scheduler.delivered(message),
            messages.Capacity: lambda process, message: hub.scheduler.capacity(process, message.sessions_max),
            messages.ProcessGone: lambda process, message: hub.links.process_gone(message),
            messages.StopAsked: lambda process, message: self._on_stop(message.grace_us),
            messages.QueueList: hub.tools.listing,
            messages.QueueChange: hub.tools.change,
            messages.StatusAsked: lambda process, message: hub.control.status(process, message.request),
            messages.LimitsChanged: hub.control.change,
        }


_LOG_EVENTS = (events.SegmentOpened, events.OpenFailed, events.DirectorySynced, events.AppendFailed, events.Synced, events.SyncFailed)
_REQUEST_EVENTS = (
    events.Listed,
    events.Scanned,
    events.Readout,
    events.ReadFailed,
    events.SpaceMeasured,
    events.Stored,
    events.Fetched,
    events.Found,
    events.Counted,
)
_STORE_EVENTS = _LOG_EVENTS + _REQUEST_EVENTS
