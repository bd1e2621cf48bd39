"""Deliveries: takes each order of QMGR to a connection, lets the dialogue run there, and sees what came of it. The strategies stand in machine.py."""

from collections import deque
from typing import Final

from smx import limits
from smx.config.schema_smtpc import SmtpcSettings
from smx.effects import AnyEffect, Arm, Close, Connect, Disarm, Note, StartTls, Tell, Transmit
from smx.messages import Deliver, Delivered, DotSent, Outcome, Protocol, Verdict
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
from smx.smtpc.content import Contents, feed
from smx.smtpc.patience import TIMER, timeouts_of, wait
from smx.smtpc.pool import Pool
from smx.smtpc.reports import QMGR, Reports
from smx.smtpc.route import candidates, transaction
from smx.smtpc.session import Delivery, Session, State
from smx.units import SECOND

LINGER_US: Final = 2 * SECOND  # a session is kept so long when QMGR says nothing of it
TIMER_IDLE: Final = "idle"


class Deliveries:
    """All that are in hand, and their sessions. `effects` is the list of the step that is under way."""

    def __init__(self, settings: SmtpcSettings) -> None:
        self.effects: list[AnyEffect] = []
        self.pool: Final = Pool(settings.sessions_max)
        self.contents: Final = Contents()
        self.reports: Final = Reports()
        self.in_hand: dict[Delivery, None] = {}  # those that QMGR waits for, in the order of their arrival
        self.waiting: Final[deque[Delivery]] = deque()  # for a session
        self.stopping = False
        self._last_connection = 0
        self._sweep_at = 0  # when the idle timer rings, 0: not armed
        self.configure(settings)

    def configure(self, settings: SmtpcSettings) -> None:
        """Sessions under way keep what they began with."""
        self.settings = settings
        self.timeouts = timeouts_of(settings.timeouts)
        self.pool.most = settings.sessions_max
        helo = settings.helo.encode()
        self._dialogues = {(lmtp, tls): ClientSettings(helo, lmtp=lmtp, tls=tls) for lmtp in (False, True) for tls in (TLS_NONE, TLS_OPPORTUNISTIC)}

    # --- which connection takes it ------------------------------------------------------------------------------------------

    def deliver(self, order: Deliver, now: int) -> None:
        """Begin it, or answer at once why not."""
        delivery = Delivery(order, self.reports.epoch, candidates(order.route, ipv6=self.settings.ipv6))
        self.in_hand[delivery] = None
        if self.stopping:
            self.defer(delivery, b"the SMTP client is being stopped")
        elif not delivery.candidates:
            self._finish(delivery, delivery.verdicts_of_failure(), connected=False)
        else:
            self._begin(delivery, now)

    def _begin(self, delivery: Delivery, now: int) -> None:
        """On an idle session of one of its hosts, else on a new connection, else when there is room for one."""
        if self.pool.any_idle:
            for position in range(delivery.position, len(delivery.candidates)):
                session = self.pool.idle_for(delivery.candidates[position].key)
                if session is not None:
                    delivery.position = position
                    self._reuse(session, delivery, now)
                    return
        self._connect(delivery, now)

    def _reuse(self, session: Session, delivery: Delivery, now: int) -> None:
        self.pool.leave_idle(session)
        session.state = State.OPEN
        session.delivery = delivery
        delivery.reused = delivery.connected = True
        self._begin_transaction(session, delivery)
        self.contents.prefetch(session, self.effects)
        self.go_on(session, now)

    def _begin_transaction(self, session: Session, delivery: Delivery) -> None:
        assert session.dialogue is not None
        session.used += 1
        session.rewind(delivery)
        session.dialogue.begin(transaction(delivery.order))

    def _connect(self, delivery: Delivery, now: int) -> None:
        if self.pool.full:
            if not self.pool.any_idle:
                self._wait(delivery)
                return
            oldest = self.pool.oldest_idle()
            self.quit(oldest, now)
            self.end_session(oldest)  # QUIT is sent, its reply is not awaited: the slot is needed
        self._last_connection -= 1
        session = Session(self._last_connection, delivery.candidate, delivery)
        self.pool.add(session)
        _, address, port = session.candidate.key
        self.effects.append(Connect(session.connection, address, port, self._source(address)))
        wait(session, now, self.settings.timeouts.connect_us, self.effects)

    def _source(self, address: str) -> str:
        if address.startswith("/"):
            return ""
        return self.settings.bind_inet6 if ":" in address else self.settings.bind_inet

    def _wait(self, delivery: Delivery) -> None:
        """All sessions are in use, some perhaps by QUIT: it comes next, within a bound (I16)."""
        if len(self.waiting) < limits.DELIVERIES_MAX:
            self.waiting.append(delivery)
        else:
            self.defer(delivery, b"too many deliveries at a time")

    def serve_waiting(self, now: int) -> None:
        """As many as there are sessions for."""
        while self.waiting and (self.pool.any_idle or not self.pool.full):
            self._begin(self.waiting.popleft(), now)

    def defer(self, delivery: Delivery, text: bytes) -> None:
        """The delivery ends here, and no host is at fault."""
        delivery.failure = (Outcome.DEFERRED, 0, b"4.3.2", text, "")
        self._finish(delivery, delivery.verdicts_of_failure(), connected=True)

    def _next_candidate(self, delivery: Delivery, now: int) -> None:
        """This address did not take it (RFC 5321 5.1)."""
        delivery.position += 1
        delivery.plain = False
        if delivery.position < len(delivery.candidates) and not self.stopping:
            self._begin(delivery, now)
        else:
            self._finish(delivery, delivery.verdicts_of_failure(), connected=delivery.connected)

    def _finish(self, delivery: Delivery, verdicts: tuple[Verdict, ...], *, connected: bool) -> None:
        """The one place where a delivery ends."""
        assert len(verdicts) == len(delivery.order.recipients), "one verdict for each recipient"
        del self.in_hand[delivery]
        delivered = Delivered(delivery.order.delivery, verdicts, connected, delivery.reused)
        self.reports.say(delivery.epoch, delivered, self.effects)

    def unreachable(self, session: Session, reason: str, now: int) -> None:
        """The connection could not be opened."""
        delivery, session.delivery = session.delivery, None
        assert delivery is not None
        text = f"cannot connect to {session.remote}: {reason}".encode("utf-8", "backslashreplace")
        delivery.failed(Outcome.DEFERRED, 0, b"4.4.1", text[: limits.REPLY_TEXT_OCTETS_MAX], "")
        self.end_session(session)
        self._next_candidate(delivery, now)

    # --- the dialogue -------------------------------------------------------------------------------------------------------

    def begin_dialogue(self, session: Session, now: int) -> None:
        """The connection is open: the greeting comes next."""
        delivery = session.delivery
        assert delivery is not None
        protocol, address, _ = session.candidate.key
        lmtp = protocol == Protocol.LMTP
        tls = self.settings.tls and not lmtp and not delivery.plain and not address.startswith("/")
        session.state = State.OPEN
        session.dialogue = ClientDialogue(self._dialogues[lmtp, TLS_OPPORTUNISTIC if tls else TLS_NONE])
        self._begin_transaction(session, delivery)
        wait(session, now, self.timeouts[Stage.GREETING], self.effects)

    def go_on(self, session: Session, now: int, *, progress: bool = True) -> None:
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
                self.effects.append(StartTls(session.connection, False, "client", session.candidate.name))
            else:  # SessionClosed
                session.over = True
        sent = self._flush(session)
        if session.over:
            self.end_session(session)
        elif session.done:
            session.done = False
            self._keep_or_quit(session, now)
        elif progress or sent:
            wait(session, now, self.timeouts[dialogue.stage], self.effects)

    def _flush(self, session: Session) -> bool:
        assert session.dialogue is not None
        data = session.dialogue.data_to_send()
        if not data or session.gone:
            return False
        self.effects.append(Transmit(session.connection, data))
        return True

    def _on_session_ready(self, session: Session) -> None:
        if session.delivery is not None:
            session.delivery.connected = True
            self.contents.prefetch(session, self.effects)

    def _on_content_wanted(self, session: Session) -> None:
        session.wanted = True
        if session.chunk is not None or session.left == 0:
            feed(session)
        else:
            self.contents.read_on(session, self.effects)

    def _on_content_sent(self, session: Session) -> None:
        """The dot goes out; from here on a copy may exist (A13)."""
        delivery = session.delivery
        assert delivery is not None
        order = delivery.order
        self._flush(session)
        delivery.dot_sent = True
        self.effects.append(Note("dot", (order.delivery, order.transaction, session.remote)))
        self.effects.append(Tell(QMGR, DotSent(order.delivery)))

    # --- results ------------------------------------------------------------------------------------------------------------

    def _on_transaction_done(self, session: Session, event: TransactionDone, now: int) -> None:
        delivery, session.delivery = session.delivery, None
        self.contents.drop(session)
        session.done = event.reusable
        assert delivery is not None
        session.keep_us = min(self.settings.idle_keep_us, delivery.order.keep_us or LINGER_US)
        decisions = event.verdicts
        last = decisions[-1]
        if last.stage == STAGE_END and last.code:
            self.effects.append(Note("replied", (delivery.order.delivery, delivery.order.transaction, last.code, last.text)))
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

    # --- the ends of sessions -----------------------------------------------------------------------------------------------

    def _keep_or_quit(self, session: Session, now: int) -> None:
        """A transaction is over and the session is good for another one."""
        assert session.dialogue is not None
        if self.stopping or not session.keep_us or session.used >= self.settings.transactions_max or not session.dialogue.idle:
            self.quit(session, now)
            return
        self.pool.keep(session)
        session.deadline = 0
        session.idle_until = now + session.keep_us
        if not self._sweep_at or session.idle_until < self._sweep_at:
            self._arm_sweep(session.idle_until)

    def quit(self, session: Session, now: int) -> None:
        """Say QUIT; the session ends with its reply."""
        assert session.dialogue is not None
        if session.state is State.IDLE:
            self.pool.leave_idle(session)
        session.state = State.QUITTING
        session.dialogue.quit()
        self.go_on(session, now)

    def _arm_sweep(self, at: int) -> None:
        self._sweep_at = at
        self.effects.append(Arm(TIMER_IDLE, 0, at))

    def sweep(self, now: int) -> None:
        """Quit what has been idle for long enough."""
        self._sweep_at = 0
        for session in self.pool.idle():
            if session.idle_until <= now:
                self.quit(session, now)
        if self.pool.any_idle:
            self._arm_sweep(min(session.idle_until for session in self.pool.idle()))

    def end_session(self, session: Session) -> None:
        """The one place where a session ends."""
        if session.ended:
            return
        assert session.delivery is None, "a session ends after its delivery"
        session.ended = True
        self.pool.remove(session)
        self.contents.drop(session)
        if session.armed:
            self.effects.append(Disarm(TIMER, session.connection))
        if not session.gone:
            self.effects.append(Close(session.connection, session.hard))


def _host_at_fault(decision: Decision) -> bool:
    """The host did not come as far as to judge the message."""
    if decision.stage <= STAGE_TLS:
        return True
    return decision.stage == STAGE_MAIL and decision.outcome == Outcome.DEFERRED and decision.code in (0, 421)
