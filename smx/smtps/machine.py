"""SMTPS: the SMTP server process as a step machine over many sessions (SX32).

Job
    Speak SMTP (or LMTP) with clients; put the content of messages into CDB; hand envelopes over to QMGR; say 250 when QMGR has taken over.

State
    Sessions by connection, each with a dialogue and at most one transaction; transactions behind their final dot (`submission`), which may outlive
    their session; content in memory within a budget (`content`); what QMGR pushed about admission, and blocks of ids (`admission`).

Events and effects
    Accepted, Received, Drained, TlsStarted, PeerClosed -> Transmit, Pause, Resume, StartTls, Close. Content -> OpenSegment, Append, Sync, Seal, Remove
    on the store "cdb". Told by QMGR: Granted, Admission, Submitted, Secure, Aborted; told to it: Writing, WantBlock, Submit, Secured, Abort, Sealed.
    Told by SMAR: RecipientChecked; told to it: CheckRecipient.

Strategies
    Whether a request is granted is said by a list of deciders (`deciders`): connection and MAIL are decided here from what QMGR pushed, RCPT by one
    question to SMAR. Small messages share segments and syncs; many sessions wait for the same sync. Nothing is accepted from the listeners before
    QMGR has granted ids and SMAR is linked: at start-up clients wait in the kernel's backlog. Each session has one timer, which is checked when it
    fires and not moved with each command.

Invariants
    I2, A1 (asserted where the 250 is said and where Submit is told), I12 (by the dialogue), I16 (sessions_max, the memory budget, the dialogue's
    bounds, UNREAD_OCTETS_MAX), I8 (ids from granted blocks only).

Failures
    QMGR gone: new sessions and messages in hand get 421 (A9). A QMGR of another epoch: this process halts and is started anew, since a recovery may have
    removed what it had open and unreferenced. SMAR gone or silent: 451 at RCPT. No space: 452 for the message. A failed sync or device: Halt (I15).

Standards
    RFC 5321, 2033, 2920, 3030, 3207, 3461, 6531 by smx/smtp/server.py; RFC 1047 for the lost reply.

See also
    smx/smtps/session.py, transaction.py (the table), submission.py, content.py, deciders.py, admission.py, recipients.py, clients.py.
"""

import ipaddress
from collections.abc import Callable
from typing import Any, Final

import msgspec

from smx.cdb.writer import ContentWriter
from smx.config.schema_smtps import SmtpsSettings
from smx.effects import Accept, AnyEffect, Arm, Halt, Note, Tell
from smx.events import (
    Accepted,
    AnyEvent,
    AppendFailed,
    ClockJumped,
    DirectorySynced,
    Drained,
    Expired,
    Linked,
    Listening,
    OpenFailed,
    PeerClosed,
    Received,
    Reconfigured,
    SegmentOpened,
    Started,
    StopRequested,
    Synced,
    SyncFailed,
    TlsStarted,
    Told,
    Unlinked,
)
from smx.ids import session_id
from smx.messages import Aborted, Admission, AnyMessage, Granted, RecipientChecked, Secure, StopAsked, Submitted, Writing
from smx.smtp.reply import clean
from smx.smtp.server import ServerDialogue, ServerSettings
from smx.smtp.states import State
from smx.smtps import admission, recipients, sessions, submission
from smx.smtps.content import tell_sealed
from smx.smtps.service import Service
from smx.smtps.session import Session
from smx.units import MINUTE

STOP_TIMER: Final = "stop"
ROLL_TIMER: Final = "roll"
ROLL_US: Final = 1 * MINUTE  # a segment that holds something is closed at last so long after, so that its space can come back


class Smtps:
    """One process `smtps.NAME.N`."""

    def __init__(self, settings: SmtpsSettings, name: str) -> None:
        self._name: Final = name
        self._out: Final[list[AnyEffect]] = []
        hostname = settings.hostname.encode("utf-8", "backslashreplace")
        self._service: Final = Service(self._out, settings.name, hostname, settings.content_memory_max_octets, settings.content_memory_budget_octets)
        self._settings = settings
        self._dialogue_settings = ServerSettings(hostname)
        self._networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
        self._use(settings)
        self._writer: ContentWriter | None = None
        self._listeners: Final[list[str]] = []
        self._epoch = 0
        self._counter = 0
        self._queue_epoch = 0  # QMGR's, 0 before the first link
        self._serving = False
        self._rolling = False  # the timer that gives the space of idle segments back runs
        self._halted = False
        self._handlers: Final[dict[type[AnyEvent], Callable[[Any, int], None]]] = {
            Started: self._on_started,
            ClockJumped: self._on_clock_jumped,
            Reconfigured: self._on_reconfigured,
            StopRequested: self._on_stop_requested,
            Listening: self._on_listening,
            Linked: self._on_linked,
            Unlinked: self._on_unlinked,
            Told: self._on_told,
            Accepted: self._on_accepted,
            Received: self._on_received,
            Drained: self._on_drained,
            TlsStarted: self._on_tls_started,
            PeerClosed: self._on_peer_closed,
            Expired: self._on_expired,
            **dict.fromkeys((SegmentOpened, OpenFailed, DirectorySynced, AppendFailed, Synced, SyncFailed), self._on_store),
        }
        self._messages: Final[dict[type[AnyMessage], Callable[[Any, int], None]]] = {
            Granted: self._on_granted,
            Admission: self._on_admission,
            Submitted: self._service.submissions.told,
            Secure: self._service.submissions.told,
            Aborted: self._service.submissions.told,
            RecipientChecked: self._service.recipients.answered,
            StopAsked: self._on_stop_requested,
        }

    @property
    def name(self) -> str:
        return self._name

    def step(self, event: AnyEvent, now: int) -> list[AnyEffect]:
        """One fact. Events that do not concern an SMTP server are ignored."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event, now)
            intake = self._service.intake
            if intake.waiting:
                intake.serve(now)
            if self._service.stopping:
                self._halt_when_done()
        effects = self._out[:]
        self._out.clear()
        return effects

    # --- the process

    def _on_started(self, event: Started, now: int) -> None:
        self._epoch = event.epoch
        self._service.wall_offset = event.wall_offset
        self._out.append(Note("started", (event.epoch,)))

    def _on_clock_jumped(self, event: ClockJumped, now: int) -> None:
        self._service.wall_offset = event.wall_offset

    def _on_reconfigured(self, event: Reconfigured, now: int) -> None:
        """New settings count for new sessions; hostname, spool and memory stay as they are until the next start."""
        self._use(msgspec.msgpack.decode(event.settings, type=SmtpsSettings))
        self._service.recipients.forget_answers()

    def _use(self, settings: SmtpsSettings) -> None:
        self._settings = settings
        offered = settings.extensions
        self._dialogue_settings = ServerSettings(
            hostname=self._dialogue_settings.hostname,
            lmtp=settings.protocol == "lmtp",
            starttls=bool(settings.tls.certificate),
            chunking="chunking" in offered,
            smtputf8="smtputf8" in offered,
            dsn="dsn" in offered,
            message_octets_max=settings.message_size_max_octets,
            recipients_max=settings.recipients_max,
            errors_max=settings.errors_max,
            banner=clean(settings.greeting),
        )
        self._networks = tuple(ipaddress.ip_network(network, strict=False) for network in settings.relay_from)
        service = self._service
        service.sessions.io_timeout_us = settings.io_timeout_us
        service.sessions_max = settings.sessions_max
        service.transactions_max = settings.transactions_max
        service.clients.limits = settings.client
        service.tls_context = f"server:{settings.name}"

    def _on_stop_requested(self, event: StopRequested | StopAsked, now: int) -> None:
        """Take nothing new; let transactions end within the grace; 421 to all others."""
        service = self._service
        if service.stopping:
            return
        service.stopping = service.sessions.closing = True
        self._out.append(Note("stopping", ("asked",)))
        self._accept(on=False)
        self._out.append(Arm(STOP_TIMER, 0, now + event.grace_us))
        for session in service.sessions.all():
            service.sessions.proceed(session, now)

    def _on_grace_over(self, now: int, reason: str = "stopped") -> None:
        sessions = self._service.sessions
        for session in sessions.all():
            if session.dialogue.state is not State.TLS:
                session.dialogue.shutdown()
                sessions.proceed(session, now)
            if not session.ended:
                sessions.end(session, "stopped", abort=True)
        self._halt(reason)

    def _halt_when_done(self) -> None:
        if not self._service.sessions and not self._service.submissions:
            self._halt("stopped")

    def _halt(self, reason: str) -> None:
        if self._halted:
            return
        self._halted = True
        if self._writer is not None:
            tell_sealed(self._out, self._writer.close(self._out))
        self._out.append(Halt(reason))

    # --- listeners

    def _on_listening(self, event: Listening, now: int) -> None:
        self._listeners.append(event.listener)
        if self._serving:
            self._out.append(Accept(event.listener, on=True))

    def _accept(self, *, on: bool) -> None:
        for listener in self._listeners:
            self._out.append(Accept(listener, on=on))

    def _serve_when_ready(self) -> None:
        """Once QMGR and SMAR are there for the first time, clients are let in (SX07)."""
        service = self._service
        if not self._serving and service.gate.ready and service.recipients.linked and not service.stopping:
            self._serving = True
            self._accept(on=True)
            self._out.append(Note("ready", (self._epoch,)))

    # --- links

    def _on_linked(self, event: Linked, now: int) -> None:
        if event.process == "smar":
            self._service.recipients.linked = True
            self._serve_when_ready()
        elif event.process == "qmgr":
            if self._queue_epoch not in (0, event.epoch):
                # Its recovery may have taken our segments for those of a dead process. Nothing was said 250 to since the old one went.
                self._on_grace_over(now, "QMGR was started anew")
                return
            self._queue_epoch = event.epoch
            self._service.linked = True
            if self._writer is not None:
                self._out.append(Tell("qmgr", Writing(self._writer.open_segments())))

    def _on_unlinked(self, event: Unlinked, now: int) -> None:
        service = self._service
        if event.process == "smar":
            service.recipients.lost(now)
        elif event.process == "qmgr" and service.linked:
            service.linked = False
            service.gate.lost(now)
            service.submissions.lost(now)  # A9: 421 and close

    def _on_told(self, event: Told, now: int) -> None:
        handler = self._messages.get(type(event.message))
        if handler is not None:
            handler(event.message, now)

    def _on_granted(self, message: Granted, now: int) -> None:
        """The first block comes after QMGR's recovery: from then on our segments cannot be taken for anybody's remains."""
        service = self._service
        service.gate.grant(message)
        if self._writer is None:
            writer = self._writer = ContentWriter(self._epoch, self._settings.cdb_segment_octets)
            service.intake.writer = service.submissions.writer = writer
            writer.start(self._out)
            self._out.append(Tell("qmgr", Writing(writer.open_segments())))
        self._serve_when_ready()

    def _on_admission(self, message: Admission, now: int) -> None:
        self._service.submissions.cut_through_recipients_max = message.cut_through_recipients_max
        self._service.gate.change(message, now)

    # --- connections

    def _on_accepted(self, event: Accepted, now: int) -> None:
        self._counter += 1
        session = Session(
            event.connection,
            session_id(self._epoch, self._counter),
            event.peer_host,
            event.local_host,
            ServerDialogue(self._dialogue_settings),
            may_relay=self._may_relay(event.peer_host),
        )
        self._out.append(Note("session", (session.id, session.client, event.listener)))
        self._service.open(session, now)

    def _may_relay(self, host: str) -> bool:
        """Whether the client's address stands in relay_from. Who can reach a UNIX socket of ours is let in by its mode."""
        if not host:
            return True
        address = ipaddress.ip_address(host.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)

    def _on_received(self, event: Received, now: int) -> None:
        self._service.sessions.received(event.connection, event.data, now)

    def _on_drained(self, event: Drained, now: int) -> None:
        self._service.sessions.drained(event.connection, now)

    def _on_tls_started(self, event: TlsStarted, now: int) -> None:
        sessions = self._service.sessions
        session = sessions.get(event.connection)
        if session is None:
            return
        if event.error:
            sessions.end(session, f"TLS: {event.error}", close=False)
            return
        session.tls = clean(f"{event.version} {event.cipher}".strip())
        session.deadline = now + self._settings.io_timeout_us
        session.dialogue.tls_started()
        sessions.proceed(session, now)

    def _on_peer_closed(self, event: PeerClosed, now: int) -> None:
        sessions = self._service.sessions
        session = sessions.get(event.connection)
        if session is not None:
            sessions.end(session, event.reason or "lost", close=False)

    # --- disk and time

    def _on_store(self, event: AnyEvent, now: int) -> None:
        writer = self._writer
        assert writer is not None
        progress = writer.on_event(self._out, event)
        tell_sealed(self._out, progress.sealed)
        if progress.durable or progress.failed:
            self._service.submissions.progressed(progress, now)
            if not self._rolling:
                self._rolling = True
                self._out.append(Arm(ROLL_TIMER, 0, now + ROLL_US))

    def _on_expired(self, event: Expired, now: int) -> None:
        service = self._service
        if event.timer == sessions.TIMER:
            service.sessions.expired(event.of, now)
        elif event.timer == submission.TIMER:
            service.submissions.expired(now)
        elif event.timer == recipients.TIMER:
            service.recipients.expired(now)
        elif event.timer == admission.TIMER:
            service.gate.expired(now)
        elif event.timer == ROLL_TIMER:
            self._rolling = False
            assert self._writer is not None
            tell_sealed(self._out, self._writer.roll(self._out))
        elif event.timer == STOP_TIMER:
            self._on_grace_over(now)
