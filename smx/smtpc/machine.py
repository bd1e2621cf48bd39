"""SMTPC: the SMTP client as a step machine. QMGR orders deliveries; each ends with exactly one Delivered, whatever the network does.

Job
    Deliver: one transaction to one destination, by SMTP or LMTP, to the first of its addresses that takes it; a verdict for each recipient.
State
    Sessions by connection, the idle ones also by (protocol, address, port); deliveries by their number; a queue of deliveries for which
    there is no session yet.
Events and effects
    Told(Deliver): Transmit on an idle session, or Connect. Connected, Received, TlsStarted: the dialogue (smx.smtp.client) goes on. Readout:
    content goes out. Drained: the next stretch of content is read. Expired: a peer was silent for too long. PeerClosed: what is undecided is
    deferred. Told(StopAsked), StopRequested: what is in hand is finished, idle sessions are quitted, then Halt.
Strategies
    - Sessions are kept (SX21) for as long as QMGR says with the delivery, or LINGER_US, and idle_keep at most. The most recently used one is
      taken first; the one that is idle longest is closed when a slot is needed.
    - A session that was idle may be closed by the server at any moment: when it breaks before the first reply to a new transaction, or answers
      421 to it, the delivery goes to a fresh connection, once.
    - The next address is tried (RFC 5321 5.1) when a connection cannot be opened, when greeting or EHLO are refused or not answered, and when
      the session ends (421, lost, silent) at MAIL: nothing of the message was sent then. At most CANDIDATES_MAX addresses.
    - Where no address took it the recipients fail for good only if every host refused for good; one that may come back defers them.
    - STARTTLS is used when offered, without checking the certificate; when the handshake fails the same address is tried once more without
      TLS: opportunistic TLS must not make delivery worse than it was without (RFC 7435). Never over a UNIX socket.
    - Content is read in stretches of CHUNK_OCTETS, the next one only when the one before has left the runtime's buffer (I16). Content of at most
      one stretch is read while the server still answers MAIL and RCPT, and goes out together with the dot.
    - The checksum is reckoned on the way and compared before the last stretch is handed out: on damage the connection is closed before the
      dot, and the verdict says `content is damaged` (I5).
    - One timer a session, armed rarely and checked when it rings (RFC 5321 4.5.3.2). Only a complete line, or our own sending, counts as progress:
      a server that sends one octet now and then does not hold a session for ever.
    - The link to QMGR is lost: QMGR counts everything in hand as deferred. Deliveries whose dot was not sent are dropped here as well, so that no copy
      is made beside the later attempt. Those whose dot was sent are finished, and reported when a link to the same QMGR (the same epoch) comes back.
Invariants
    One Delivered for each Deliver. Never `delivered` without a 2yz reply to the end of the content. DotSent leaves right behind the dot (A13).
Failures
    Whatever a peer does is a verdict. A lost connection after the dot defers: a copy may exist (I6).
Standards
    RFC 5321, 2033, 2920, 3030, 3207 and those of smx.smtp.client.
    Not done: recognising ourselves by the name in a greeting (RFC 5321 says nothing of it, and load balancers share a name); loops end by the MX
    rule in SMAR and by the count of Received fields.
See also
    smx/smtpc/deliveries.py (the work itself), session.py, route.py, content.py, patience.py, reports.py; smx/smtp/client.py.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from smx.config.schema_smtpc import SmtpcSettings
from smx.effects import AnyEffect, Arm, Halt, Note, Tell
from smx.events import (
    AnyEvent,
    Connected,
    ConnectFailed,
    Drained,
    Expired,
    Linked,
    PeerClosed,
    ReadFailed,
    Readout,
    Received,
    Reconfigured,
    Started,
    StopRequested,
    TlsStarted,
    Told,
    Unlinked,
)
from smx.messages import Capacity, Deliver, StopAsked
from smx.smtp.states import Stage
from smx.smtpc.content import abort, feed
from smx.smtpc.deliveries import TIMER_IDLE, Deliveries
from smx.smtpc.patience import TIMER, is_over, wait
from smx.smtpc.reports import QMGR
from smx.smtpc.session import Session

TIMER_STOP: Final = "stop"


class Smtpc:
    """The client's machine. `name` is the process name: `smtpc.0`."""

    def __init__(self, settings: SmtpcSettings, name: str = "smtpc.0") -> None:
        self.name: Final = name
        self._work: Final = Deliveries(settings)
        self._pool: Final = self._work.pool
        self._reports: Final = self._work.reports
        self._halted = False
        self._handlers: dict[type, Callable[[Any, int], None]] = {
            Started: self._on_started,
            StopRequested: self._on_stop_requested,
            Reconfigured: self._on_reconfigured,
            Connected: self._on_connected,
            ConnectFailed: self._on_connect_failed,
            Received: self._on_received,
            Drained: self._on_drained,
            TlsStarted: self._on_tls_started,
            PeerClosed: self._on_peer_closed,
            Linked: self._on_linked,
            Unlinked: self._on_unlinked,
            Told: self._on_told,
            Readout: self._on_readout,
            ReadFailed: self._on_read_failed,
            Expired: self._on_expired,
        }

    def step(self, event: AnyEvent, now: int) -> list[AnyEffect]:
        work = self._work
        effects = work.effects = []
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event, now)
            if work.waiting:
                work.serve_waiting(now)
            if work.stopping:
                self._halt_when_done()
        return effects

    # --- the process ----------------------------------------------------------------------------------------------------

    def _on_started(self, event: Started, now: int) -> None:
        self._work.effects += (Note("started", (event.epoch,)), Note("ready", (event.epoch,)))

    def _on_reconfigured(self, event: Reconfigured, now: int) -> None:
        self._work.configure(msgspec.msgpack.decode(event.settings, type=SmtpcSettings))
        self._tell_capacity()

    def _on_linked(self, event: Linked, now: int) -> None:
        if event.process != QMGR:
            return
        self._reports.epoch = event.epoch
        self._tell_capacity()
        self._reports.say_unsaid(self._work.effects)

    def _tell_capacity(self) -> None:
        work = self._work
        if self._reports.epoch:
            work.effects.append(Tell(QMGR, Capacity(0 if work.stopping else work.settings.sessions_max)))

    def _on_unlinked(self, event: Unlinked, now: int) -> None:
        """QMGR will try again all that was in hand: drop what has made no copy yet."""
        if event.process != QMGR or event.epoch != self._reports.epoch:
            return
        work = self._work
        self._reports.epoch = 0
        work.waiting.clear()
        work.in_hand = {delivery: None for delivery in work.in_hand if delivery.dot_sent}
        for session in self._pool:
            if session.delivery is not None and not session.delivery.dot_sent:
                session.delivery = None
                session.hard = True
                work.end_session(session)

    def _on_told(self, event: Told, now: int) -> None:
        message = event.message
        if type(message) is Deliver:
            self._work.deliver(message, now)
        elif type(message) is StopAsked:
            self._stop(message.grace_us, now)

    def _on_stop_requested(self, event: StopRequested, now: int) -> None:
        self._stop(event.grace_us, now)

    def _stop(self, grace_us: int, now: int) -> None:
        """Take nothing new, finish what is in hand, quit what is idle."""
        work = self._work
        if work.stopping:
            return
        work.stopping = True
        work.effects += (Note("stopping", ("asked",)), Arm(TIMER_STOP, 0, now + grace_us))
        self._tell_capacity()
        while work.waiting:
            work.defer(work.waiting.popleft(), b"the SMTP client is being stopped")
        for session in self._pool.idle():
            work.quit(session, now)

    def _on_grace_over(self, now: int) -> None:
        for session in self._pool:
            if session.dialogue is not None:
                abort(session, b"the SMTP client was stopped")
                self._work.go_on(session, now)
            elif session.delivery is not None:
                delivery, session.delivery = session.delivery, None
                session.hard = True
                self._work.end_session(session)
                self._work.defer(delivery, b"the SMTP client was stopped")

    def _halt_when_done(self) -> None:
        if not self._pool and not self._work.in_hand and not self._halted:
            self._halted = True
            self._work.effects.append(Halt("stopped"))

    # --- connections and content ------------------------------------------------------------------------------------------

    def _on_connected(self, event: Connected, now: int) -> None:
        session = self._pool.get(event.connection)
        if session is not None:
            self._work.begin_dialogue(session, now)

    def _on_connect_failed(self, event: ConnectFailed, now: int) -> None:
        session = self._pool.get(event.connection)
        if session is not None:
            session.gone = True
            self._work.unreachable(session, event.reason, now)

    def _on_received(self, event: Received, now: int) -> None:
        session = self._pool.get(event.connection)
        if session is None or session.dialogue is None:
            return
        data = event.data
        session.dialogue.receive(data)
        self._work.go_on(session, now, progress=b"\n" in data)

    def _on_tls_started(self, event: TlsStarted, now: int) -> None:
        session = self._pool.get(event.connection)
        if session is None or session.dialogue is None:
            return
        if event.error:
            session.gone = True
            session.dialogue.tls_failed(event.error.encode("utf-8", "backslashreplace"))
        else:
            session.dialogue.tls_started()
        self._work.go_on(session, now)

    def _on_peer_closed(self, event: PeerClosed, now: int) -> None:
        session = self._pool.get(event.connection)
        if session is None or session.dialogue is None:
            return
        session.gone = True
        reason = f"connection lost: {event.reason}" if event.reason else "connection closed by the server"
        session.dialogue.lost(reason.encode("utf-8", "backslashreplace"))
        self._work.go_on(session, now)

    def _on_readout(self, event: Readout, now: int) -> None:
        session = self._work.contents.session_of(event.request)
        if session is None:
            return
        session.take(event.data)
        if session.wanted:
            feed(session)
            self._work.go_on(session, now)

    def _on_read_failed(self, event: ReadFailed, now: int) -> None:
        session = self._work.contents.session_of(event.request)
        if session is None:
            return
        if event.missing:
            abort(session, b"content is missing")
        else:
            abort(session, b"cannot read the content now: " + event.reason.encode("utf-8", "backslashreplace"))
        self._work.go_on(session, now)

    def _on_drained(self, event: Drained, now: int) -> None:
        """The stretch before has left: the next one."""
        session = self._pool.get(event.connection)
        if session is None or not session.wanted:
            return
        work = self._work
        work.contents.read_on(session, work.effects)
        wait(session, now, work.timeouts[Stage.CONTENT], work.effects)

    # --- time -----------------------------------------------------------------------------------------------------------

    def _on_expired(self, event: Expired, now: int) -> None:
        if event.timer == TIMER:
            session = self._pool.get(event.of)
            if session is not None:
                self._on_session_timer(session, now)
        elif event.timer == TIMER_IDLE:
            self._work.sweep(now)
        elif event.timer == TIMER_STOP:
            self._on_grace_over(now)

    def _on_session_timer(self, session: Session, now: int) -> None:
        if not is_over(session, now, self._work.effects):
            return
        session.hard = True
        if session.dialogue is None:
            self._work.unreachable(session, "timed out", now)
        else:
            session.dialogue.expired()
            self._work.go_on(session, now)
