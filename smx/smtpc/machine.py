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
    smx/smtpc/session.py, smx/smtpc/route.py, smx/smtp/client.py.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from smx import limits
from smx.config.schema_smtpc import SmtpcSettings
from smx.effects import AnyEffect, Arm, Close, Connect, Disarm, Halt, Note, StartTls, Tell, Transmit
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
from smx.messages import Capacity, Deliver, Delivered, DotSent, Outcome, Protocol, StopAsked, Verdict
from smx.smtp.client import ClientDialogue
from smx.smtp.plan import (
    STAGE_END,
    STAGE_MAIL,
    STAGE_TLS,
    TLS_NONE,
    TLS_OPPORTUNISTIC,
    ClientSettings,
    ContentSent,
    ContentWanted,
    SessionReady,
    TlsWanted,
    TransactionDone,
)
from smx.smtp.plan import Verdict as Decision
from smx.smtp.states import Stage
from smx.smtpc.content import Contents
from smx.smtpc.patience import TIMER, is_over, timeouts_of, wait
from smx.smtpc.pool import Pool
from smx.smtpc.route import candidates, transaction
from smx.smtpc.session import Delivery, Session, State
from smx.units import SECOND

QMGR: Final = "qmgr"
LINGER_US: Final = 2 * SECOND  # a session is kept so long when QMGR says nothing of it
UNSAID_MAX: Final = limits.DELIVERIES_MAX  # results that wait for a link to their QMGR
TIMER_IDLE: Final = "idle"
TIMER_STOP: Final = "stop"


class Smtpc:
    """The client's machine. `name` is the process name: `smtpc.0`."""

    def __init__(self, settings: SmtpcSettings, name: str = "smtpc.0") -> None:
        self.name: Final = name
        self._pool = Pool(settings.sessions_max)
        self._contents = Contents()
        self._deliveries: dict[Delivery, None] = {}  # in hand, in the order of their arrival
        self._waiting: deque[Delivery] = deque()
        self._unsaid: deque[tuple[int, Delivered]] = deque(maxlen=UNSAID_MAX)  # (epoch of its QMGR, result)
        self._last_connection = 0
        self._qmgr_epoch = 0  # 0: no link
        self._sweep_at = 0  # when the idle timer rings, 0: not armed
        self._stopping = False
        self._halted = False
        self._effects: list[AnyEffect] = []
        self._configure(settings)
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
        effects = self._effects = []
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event, now)
            if self._waiting:
                self._serve_waiting(now)
            if self._stopping:
                self._halt_when_done()
        return effects

    # --- the process ----------------------------------------------------------------------------------------------------

    def _configure(self, settings: SmtpcSettings) -> None:
        self._settings = settings
        self._timeouts = timeouts_of(settings.timeouts)
        self._pool.most = settings.sessions_max
        helo = settings.helo.encode()
        self._dialogues = {(lmtp, tls): ClientSettings(helo, lmtp=lmtp, tls=tls) for lmtp in (False, True) for tls in (TLS_NONE, TLS_OPPORTUNISTIC)}

    def _on_started(self, event: Started, now: int) -> None:
        self._effects.append(Note("started", (event.epoch,)))
        self._effects.append(Note("ready", (event.epoch,)))

    def _on_reconfigured(self, event: Reconfigured, now: int) -> None:
        self._configure(msgspec.msgpack.decode(event.settings, type=SmtpcSettings))
        self._tell_capacity()

    def _on_linked(self, event: Linked, now: int) -> None:
        if event.process != QMGR:
            return
        self._qmgr_epoch = event.epoch
        self._tell_capacity()
        for epoch, delivered in self._unsaid:
            if epoch == event.epoch:
                self._effects.append(Tell(QMGR, delivered))
        self._unsaid.clear()

    def _tell_capacity(self) -> None:
        if self._qmgr_epoch:
            self._effects.append(Tell(QMGR, Capacity(0 if self._stopping else self._settings.sessions_max)))

    def _on_unlinked(self, event: Unlinked, now: int) -> None:
        """QMGR will try again all that was in hand: drop what has made no copy yet."""
        if event.process != QMGR or event.epoch != self._qmgr_epoch:
            return
        self._qmgr_epoch = 0
        self._waiting.clear()
        self._deliveries = {delivery: None for delivery in self._deliveries if delivery.dot_sent}
        for session in self._pool:
            if session.delivery is not None and not session.delivery.dot_sent:
                session.delivery = None
                session.hard = True
                self._end_session(session)

    def _on_told(self, event: Told, now: int) -> None:
        message = event.message
        if type(message) is Deliver:
            self._on_deliver(message, now)
        elif type(message) is StopAsked:
            self._stop(message.grace_us, now)

    def _on_stop_requested(self, event: StopRequested, now: int) -> None:
        self._stop(event.grace_us, now)

    def _stop(self, grace_us: int, now: int) -> None:
        """Take nothing new, finish what is in hand, quit what is idle."""
        if self._stopping:
            return
        self._stopping = True
        self._effects.append(Note("stopping", ("asked",)))
        self._effects.append(Arm(TIMER_STOP, 0, now + grace_us))
        self._tell_capacity()
        while self._waiting:
            self._defer(self._waiting.popleft(), b"the SMTP client is being stopped")
        for session in self._pool.idle():
            self._quit(session, now)

    def _on_grace_over(self, now: int) -> None:
        for session in self._pool:
            if session.dialogue is not None:
                self._abort(session, b"the SMTP client was stopped")
                self._pump(session, now)
            elif session.delivery is not None:
                delivery, session.delivery = session.delivery, None
                session.hard = True
                self._end_session(session)
                self._defer(delivery, b"the SMTP client was stopped")

    def _halt_when_done(self) -> None:
        if not self._pool and not self._deliveries and not self._halted:
            self._halted = True
            self._effects.append(Halt("stopped"))

    # --- deliveries -----------------------------------------------------------------------------------------------------

    def _on_deliver(self, order: Deliver, now: int) -> None:
        delivery = Delivery(order, self._qmgr_epoch, candidates(order.route, ipv6=self._settings.ipv6))
        self._deliveries[delivery] = None
        if self._stopping:
            self._defer(delivery, b"the SMTP client is being stopped")
        elif not delivery.candidates:
            self._finish(delivery, delivery.verdicts_of_failure(), connected=False)
        else:
            self._begin(delivery, now)

    def _begin(self, delivery: Delivery, now: int) -> None:
        """On an idle session of one of its hosts, else on a new connection, else when there is room for one."""
        if self._pool.any_idle:
            for position in range(delivery.position, len(delivery.candidates)):
                session = self._pool.idle_for(delivery.candidates[position].key)
                if session is not None:
                    delivery.position = position
                    self._reuse(session, delivery, now)
                    return
        self._connect(delivery, now)

    def _reuse(self, session: Session, delivery: Delivery, now: int) -> None:
        self._pool.leave_idle(session)
        session.state = State.OPEN
        session.delivery = delivery
        delivery.reused = delivery.connected = True
        self._begin_transaction(session, delivery)
        self._contents.prefetch(session, self._effects)
        self._pump(session, now)

    def _begin_transaction(self, session: Session, delivery: Delivery) -> None:
        assert session.dialogue is not None
        session.used += 1
        session.rewind(delivery)
        session.dialogue.begin(transaction(delivery.order))

    def _connect(self, delivery: Delivery, now: int) -> None:
        if self._pool.full:
            if not self._pool.any_idle:
                self._wait(delivery)
                return
            oldest = self._pool.oldest_idle()
            self._quit(oldest, now)
            self._end_session(oldest)  # QUIT is sent, its reply is not awaited: the slot is needed
        self._last_connection -= 1
        session = Session(self._last_connection, delivery.candidate, delivery)
        self._pool.add(session)
        _, address, port = session.candidate.key
        self._effects.append(Connect(session.connection, address, port, self._source(address)))
        wait(session, now, self._settings.timeouts.connect_us, self._effects)

    def _source(self, address: str) -> str:
        if address.startswith("/"):
            return ""
        return self._settings.bind_inet6 if ":" in address else self._settings.bind_inet

    def _wait(self, delivery: Delivery) -> None:
        """All sessions are in use, some perhaps by QUIT: it comes next, within a bound (I16)."""
        if len(self._waiting) < limits.DELIVERIES_MAX:
            self._waiting.append(delivery)
        else:
            self._defer(delivery, b"too many deliveries at a time")

    def _serve_waiting(self, now: int) -> None:
        while self._waiting and (self._pool.any_idle or not self._pool.full):
            self._begin(self._waiting.popleft(), now)

    def _defer(self, delivery: Delivery, text: bytes) -> None:
        """The delivery ends here, and no host is at fault."""
        delivery.failure = (Outcome.DEFERRED, 0, b"4.3.2", text, "")
        self._finish(delivery, delivery.verdicts_of_failure(), connected=True)

    def _next_candidate(self, delivery: Delivery, now: int) -> None:
        """This address did not take it (RFC 5321 5.1)."""
        delivery.position += 1
        delivery.plain = False
        if delivery.position < len(delivery.candidates) and not self._stopping:
            self._begin(delivery, now)
        else:
            self._finish(delivery, delivery.verdicts_of_failure(), connected=delivery.connected)

    def _finish(self, delivery: Delivery, verdicts: tuple[Verdict, ...], *, connected: bool) -> None:
        """The one place where a delivery ends."""
        assert len(verdicts) == len(delivery.order.recipients), "one verdict for each recipient"
        del self._deliveries[delivery]
        delivered = Delivered(delivery.order.delivery, verdicts, connected, delivery.reused)
        if self._qmgr_epoch == delivery.epoch:
            self._effects.append(Tell(QMGR, delivered))
        elif self._qmgr_epoch == 0:
            self._unsaid.append((delivery.epoch, delivered))

    # --- the connection -------------------------------------------------------------------------------------------------

    def _on_connected(self, event: Connected, now: int) -> None:
        session = self._pool.get(event.connection)
        if session is None:
            return
        delivery = session.delivery
        assert delivery is not None
        protocol, address, _ = session.candidate.key
        lmtp = protocol == Protocol.LMTP
        tls = self._settings.tls and not lmtp and not delivery.plain and not address.startswith("/")
        session.state = State.OPEN
        session.dialogue = ClientDialogue(self._dialogues[lmtp, TLS_OPPORTUNISTIC if tls else TLS_NONE])
        self._begin_transaction(session, delivery)
        wait(session, now, self._timeouts[Stage.GREETING], self._effects)

    def _on_connect_failed(self, event: ConnectFailed, now: int) -> None:
        session = self._pool.get(event.connection)
        if session is not None:
            session.gone = True
            self._on_unreachable(session, event.reason, now)

    def _on_unreachable(self, session: Session, reason: str, now: int) -> None:
        delivery, session.delivery = session.delivery, None
        assert delivery is not None
        text = f"cannot connect to {session.remote}: {reason}".encode("utf-8", "backslashreplace")
        delivery.failed(Outcome.DEFERRED, 0, b"4.4.1", text[: limits.REPLY_TEXT_OCTETS_MAX], "")
        self._end_session(session)
        self._next_candidate(delivery, now)

    def _on_received(self, event: Received, now: int) -> None:
        session = self._pool.get(event.connection)
        if session is None or session.dialogue is None:
            return
        data = event.data
        session.dialogue.receive(data)
        self._pump(session, now, progress=b"\n" in data)

    def _on_tls_started(self, event: TlsStarted, now: int) -> None:
        session = self._pool.get(event.connection)
        if session is None or session.dialogue is None:
            return
        if event.error:
            session.gone = True
            session.dialogue.tls_failed(event.error.encode("utf-8", "backslashreplace"))
        else:
            session.dialogue.tls_started()
        self._pump(session, now)

    def _on_peer_closed(self, event: PeerClosed, now: int) -> None:
        session = self._pool.get(event.connection)
        if session is None or session.dialogue is None:
            return
        session.gone = True
        reason = f"connection lost: {event.reason}" if event.reason else "connection closed by the server"
        session.dialogue.lost(reason.encode("utf-8", "backslashreplace"))
        self._pump(session, now)

    def _pump(self, session: Session, now: int, *, progress: bool = True) -> None:
        """Do what the dialogue asks for, send what it has to say, then see how the session goes on."""
        dialogue = session.dialogue
        assert dialogue is not None
        while (event := dialogue.next_event()) is not None:
            if isinstance(event, ContentWanted):
                self._on_content_wanted(session)
            elif isinstance(event, ContentSent):
                self._on_content_sent(session)
            elif isinstance(event, TransactionDone):
                self._on_transaction_done(session, event, now)
            elif isinstance(event, SessionReady):
                self._on_session_ready(session)
            elif isinstance(event, TlsWanted):
                self._flush(session)
                self._effects.append(StartTls(session.connection, False, "client", session.candidate.name))
            else:  # SessionClosed
                session.over = True
        sent = self._flush(session)
        if session.over:
            self._end_session(session)
        elif session.done:
            session.done = False
            self._keep_or_quit(session, now)
        elif progress or sent:
            wait(session, now, self._timeouts[dialogue.stage], self._effects)

    def _flush(self, session: Session) -> bool:
        assert session.dialogue is not None
        data = session.dialogue.data_to_send()
        if not data or session.gone:
            return False
        self._effects.append(Transmit(session.connection, data))
        return True

    def _on_session_ready(self, session: Session) -> None:
        if session.delivery is not None:
            session.delivery.connected = True
            self._contents.prefetch(session, self._effects)

    # --- the content ------------------------------------------------------------------------------------------------------

    def _on_content_wanted(self, session: Session) -> None:
        session.wanted = True
        if session.chunk is not None or session.left == 0:
            self._feed(session)
        else:
            self._contents.read_on(session, self._effects)

    def _on_readout(self, event: Readout, now: int) -> None:
        session = self._contents.session_of(event.request)
        if session is None:
            return
        session.take(event.data)
        if session.wanted:
            self._feed(session)
            self._pump(session, now)

    def _feed(self, session: Session) -> None:
        """Hand the stretch that was read to the dialogue; with the last one comes the end, if the checksum agrees (I5)."""
        dialogue, delivery = session.dialogue, session.delivery
        assert dialogue is not None
        assert delivery is not None
        chunk, session.chunk = session.chunk or b"", None
        if session.left == 0 and session.crc != delivery.order.content.checksum:
            self._abort(session, b"content is damaged: its checksum does not agree")  # QMGR sees by the text what to do
            return
        dialogue.send_content(chunk)
        if session.left == 0:
            session.wanted = False
            dialogue.end_content()

    def _abort(self, session: Session, text: bytes) -> None:
        """The connection is closed at once, before the dot where it was not sent: the server gets no half of a message."""
        assert session.dialogue is not None
        session.hard = session.aborted = True
        session.dialogue.abort(text)

    def _on_read_failed(self, event: ReadFailed, now: int) -> None:
        session = self._contents.session_of(event.request)
        if session is None:
            return
        if event.missing:
            self._abort(session, b"content is missing")
        else:
            self._abort(session, b"cannot read the content now: " + event.reason.encode("utf-8", "backslashreplace"))
        self._pump(session, now)

    def _on_drained(self, event: Drained, now: int) -> None:
        """The stretch before has left: the next one."""
        session = self._pool.get(event.connection)
        if session is None or not session.wanted:
            return
        self._contents.read_on(session, self._effects)
        wait(session, now, self._timeouts[Stage.CONTENT], self._effects)

    def _on_content_sent(self, session: Session) -> None:
        """The dot goes out; from here on a copy may exist (A13)."""
        delivery = session.delivery
        assert delivery is not None
        order = delivery.order
        self._flush(session)
        delivery.dot_sent = True
        self._effects.append(Note("dot", (order.delivery, order.transaction, session.remote)))
        self._effects.append(Tell(QMGR, DotSent(order.delivery)))

    # --- results ------------------------------------------------------------------------------------------------------------

    def _on_transaction_done(self, session: Session, event: TransactionDone, now: int) -> None:
        delivery, session.delivery = session.delivery, None
        self._contents.drop(session)
        session.done = event.reusable
        assert delivery is not None
        session.keep_us = min(self._settings.idle_keep_us, delivery.order.keep_us or LINGER_US)
        decisions = event.verdicts
        last = decisions[-1]
        if last.stage == STAGE_END and last.code:
            self._effects.append(Note("replied", (delivery.order.delivery, delivery.order.transaction, last.code, last.text)))
        elif not session.aborted and not delivery.dot_sent and self._try_elsewhere(session, delivery, decisions, now):
            return
        self._finish(delivery, delivery.verdicts_of(decisions, session.remote), connected=True)

    def _try_elsewhere(self, session: Session, delivery: Delivery, decisions: tuple[Decision, ...], now: int) -> bool:
        """Nothing of the message was sent, and the host, not the message, is the reason: another connection or another host."""
        if not all(map(_host_at_fault, decisions)):
            return False
        first = decisions[0]
        if session.used > 1:  # it was idle too long
            delivery.reused = False
            self._connect(delivery, now)
        elif first.stage == STAGE_TLS and not delivery.plain:
            delivery.plain = True
            self._connect(delivery, now)
        else:
            delivery.failed(first.outcome, first.code, first.enhanced, first.text, session.remote)
            self._next_candidate(delivery, now)
        return True

    # --- idle sessions ------------------------------------------------------------------------------------------------------

    def _keep_or_quit(self, session: Session, now: int) -> None:
        """A transaction is over and the session is good for another one."""
        assert session.dialogue is not None
        if self._stopping or not session.keep_us or session.used >= self._settings.transactions_max or not session.dialogue.idle:
            self._quit(session, now)
            return
        self._pool.keep(session)
        session.deadline = 0
        session.idle_until = now + session.keep_us
        if not self._sweep_at or session.idle_until < self._sweep_at:
            self._arm_sweep(session.idle_until)

    def _quit(self, session: Session, now: int) -> None:
        assert session.dialogue is not None
        if session.state is State.IDLE:
            self._pool.leave_idle(session)
        session.state = State.QUITTING
        session.dialogue.quit()
        self._pump(session, now)

    def _arm_sweep(self, at: int) -> None:
        self._sweep_at = at
        self._effects.append(Arm(TIMER_IDLE, 0, at))

    def _sweep(self, now: int) -> None:
        """Quit what has been idle for long enough."""
        self._sweep_at = 0
        for session in self._pool.idle():
            if session.idle_until <= now:
                self._quit(session, now)
        if self._pool.any_idle:
            self._arm_sweep(min(session.idle_until for session in self._pool.idle()))

    def _end_session(self, session: Session) -> None:
        """The one place where a session ends."""
        if session.ended:
            return
        assert session.delivery is None, "a session ends after its delivery"
        session.ended = True
        self._pool.remove(session)
        self._contents.drop(session)
        if session.armed:
            self._effects.append(Disarm(TIMER, session.connection))
        if not session.gone:
            self._effects.append(Close(session.connection, session.hard))

    # --- time -----------------------------------------------------------------------------------------------------------

    def _on_expired(self, event: Expired, now: int) -> None:
        if event.timer == TIMER:
            session = self._pool.get(event.of)
            if session is not None:
                self._on_session_timer(session, now)
        elif event.timer == TIMER_IDLE:
            self._sweep(now)
        elif event.timer == TIMER_STOP:
            self._on_grace_over(now)

    def _on_session_timer(self, session: Session, now: int) -> None:
        if not is_over(session, now, self._effects):
            return
        session.hard = True
        if session.dialogue is None:
            self._on_unreachable(session, "timed out", now)
        else:
            session.dialogue.expired()
            self._pump(session, now)


def _host_at_fault(decision: Decision) -> bool:
    """The host did not come as far as to judge the message."""
    if decision.stage <= STAGE_TLS:
        return True
    return decision.stage == STAGE_MAIL and decision.outcome == Outcome.DEFERRED and decision.code in (0, 421)
