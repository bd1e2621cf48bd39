"""LDA: the local delivery agent as a step machine: an LMTP server that delivers into Maildirs (SX53).

Job
    Take a message from SMTPC with any number of recipients, put a copy into the Maildir of each, and say for each of them what became of it.

State
    Sessions, their messages, and the copies that are being written. Nothing outlives the process: until 250 the message is QMGR's.

Events and effects
    Accepted, Received, Drained, PeerClosed -> Transmit, Pause, Resume, Close. Content -> OpenDeposit, WriteDeposit, CommitDeposit, DropDeposit;
    Deposited, DepositFailed -> one reply for each recipient (RFC 2033 4.2).

Strategies
    Octets are stored as they came, with CRLF, behind Return-Path and Delivered-To; a Return-Path that the message brought along is left out. 250 is said
    only after Deposited: the file is synced, renamed into new/ and its directory synced. A crash before that leaves at most a file in tmp/, which every
    reader ignores. A client that is gone after the final dot changes nothing: copies are committed, and the next attempt may be a duplicate (RFC 1047).

Invariants
    I1 (250 only after Deposited), I3 (half a message is never renamed into new/), I12 (replies in the order of recipients), I16 (memory by
    sessions_max and the dialogue's bounds, files by DEPOSITS_MAX).

Failures
    No space: 452 4.2.2 for that recipient. Another failure of the file system: 451 4.3.0. An address that can have no Maildir: 550 5.1.1.
    More sessions than sessions_max: 421.

Standards
    RFC 2033 (LMTP), RFC 5321 4.4 (Return-path), the Maildir rules of its inventor.

See also
    smx/lda/deposits.py, smx/smtp/server.py; smx/smtpc is its usual client, and any LMTP server can take its place.
"""

from typing import Final

from smx import limits
from smx.config.schema_lda import LdaSettings
from smx.effects import Accept, AnyEffect, Arm, Close, Disarm, Halt, Note, Pause, Resume, Transmit
from smx.events import (
    Accepted,
    AnyEvent,
    ClockJumped,
    Deposited,
    DepositFailed,
    Drained,
    Expired,
    Listening,
    PeerClosed,
    Received,
    Started,
    StopRequested,
)
from smx.ids import session_id
from smx.lda.deposits import Deposits
from smx.lda.mailboxes import Mailboxes
from smx.lda.names import Names
from smx.lda.session import Deposit, Message, Session
from smx.smtp.replies import IDLE_TOO_LONG, NO_SUCH_USER, SHUTTING_DOWN, TOO_MANY_SESSIONS
from smx.smtp.reply import Reply, render
from smx.smtp.requests import (
    Closing,
    ContentBegin,
    ContentChunk,
    ContentEnd,
    ContentRefused,
    Helo,
    Mail,
    Noticed,
    Quit,
    Rcpt,
    Refused,
    Request,
    StartTls,
    TransactionReset,
)
from smx.smtp.server import ServerDialogue, ServerSettings
from smx.units import MICROSECOND

UNREAD_OCTETS_MAX: Final = 64 * 1024  # transmitted to a client that does not read: then it is served no more until it does


class Lda:
    """The process `lda`."""

    def __init__(self, settings: LdaSettings) -> None:
        self._settings: Final = settings
        self._dialogue_settings: Final = ServerSettings(
            hostname=settings.hostname.encode("utf-8", "backslashreplace"),
            lmtp=True,
            dsn=False,  # QMGR reports what was delivered here
            message_octets_max=limits.MESSAGE_OCTETS_CEILING,
            recipients_max=limits.RECIPIENTS_PER_DELIVERY_MAX,
            banner=b"smx lda",
        )
        self._mailboxes: Final = Mailboxes(settings.maildirs)
        self._out: Final[list[AnyEffect]] = []
        self._emit: Final = self._out.append
        self._deposits: Final = Deposits(self._emit, self._on_done, self._on_begun, create=settings.create)
        self._sessions: Final[dict[int, Session]] = {}
        self._listeners: Final[list[str]] = []
        self._epoch = 0
        self._counter = 0
        self._stopping = False
        self._handlers: Final = {
            Started: self._on_started,
            ClockJumped: self._on_clock_jumped,
            Listening: self._on_listening,
            StopRequested: self._on_stop_requested,
            Accepted: self._on_accepted,
            Received: self._on_received,
            Drained: self._on_drained,
            PeerClosed: self._on_peer_closed,
            Deposited: self._on_deposited,
            DepositFailed: self._on_deposit_failed,
            Expired: self._on_expired,
        }
        self._requests: Final = {
            Helo: self._accept,
            Mail: self._on_mail,
            Rcpt: self._on_rcpt,
            ContentBegin: self._accept,
            ContentChunk: self._on_chunk,
            ContentEnd: self._on_content_end,
            ContentRefused: self._on_dropped,
            TransactionReset: self._on_dropped,
            Quit: self._on_dropped,
            Closing: self._on_dropped,
            Refused: self._ignore,
            Noticed: self._ignore,
            StartTls: self._refuse_tls,
        }

    @property
    def name(self) -> str:
        return "lda"

    def step(self, event: AnyEvent, now: int) -> list[AnyEffect]:
        """One fact; events that do not concern the LDA are ignored."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event, now)  # type: ignore[operator]  # each handler takes the events of its key
        effects = self._out[:]
        self._out.clear()
        return effects

    # --- the process

    def _on_started(self, event: Started, now: int) -> None:
        self._epoch = event.epoch
        self._deposits.wall_offset = event.wall_offset
        self._deposits.start(Names(self._settings.hostname, event.epoch, event.seed))
        self._emit(Note("started", (event.epoch,)))
        self._emit(Note("ready", (event.epoch,)))

    def _on_clock_jumped(self, event: ClockJumped, now: int) -> None:
        self._deposits.wall_offset = event.wall_offset

    def _on_listening(self, event: Listening, now: int) -> None:
        self._listeners.append(event.listener)
        self._emit(Accept(event.listener, on=True))

    def _on_stop_requested(self, event: StopRequested, now: int) -> None:
        """Messages in hand may end within the grace; all others get 421."""
        if self._stopping:
            return
        self._stopping = True
        self._emit(Note("stopping", ("asked",)))
        for listener in self._listeners:
            self._emit(Accept(listener, on=False))
        self._emit(Arm("stop", 0, now + event.grace_us * MICROSECOND))
        for session in list(self._sessions.values()):
            if session.message is None:
                session.dialogue.shutdown(SHUTTING_DOWN)
                self._proceed(session, now)
        self._halt_when_idle()

    def _halt_when_idle(self) -> None:
        if self._stopping and not self._sessions and not self._deposits.busy:
            self._emit(Halt("stopped"))

    # --- connections

    def _on_accepted(self, event: Accepted, now: int) -> None:
        if self._stopping or len(self._sessions) >= self._settings.sessions_max:
            self._emit(Transmit(event.connection, render(SHUTTING_DOWN if self._stopping else TOO_MANY_SESSIONS)))
            self._emit(Close(event.connection))
            return
        self._counter += 1
        session = Session(event.connection, session_id(self._epoch, self._counter), ServerDialogue(self._dialogue_settings))
        self._sessions[event.connection] = session
        self._emit(Note("session", (session.id, event.peer_host, event.listener)))
        session.deadline = now + self._settings.io_timeout_us
        self._emit(Arm("session", event.connection, session.deadline))
        session.dialogue.greet()
        self._proceed(session, now)

    def _on_received(self, event: Received, now: int) -> None:
        session = self._sessions.get(event.connection)
        if session is not None:
            session.deadline = now + self._settings.io_timeout_us
            session.dialogue.receive(event.data)
            self._proceed(session, now)

    def _on_drained(self, event: Drained, now: int) -> None:
        session = self._sessions.get(event.connection)
        if session is not None:
            session.unread = 0
            self._proceed(session, now)

    def _on_peer_closed(self, event: PeerClosed, now: int) -> None:
        session = self._sessions.get(event.connection)
        if session is not None:
            self._end(session, "lost", now)

    def _on_expired(self, event: Expired, now: int) -> None:
        if event.timer == "stop":
            self._emit(Halt("stopped"))  # files in tmp/ are nobody's mail; no reply was given for them
            return
        session = self._sessions.get(event.of)
        if session is None:
            return
        if session.dialogue.pending is not None or (session.message is not None and session.message.waiting):
            session.deadline = now + self._settings.io_timeout_us  # it waits for us
        if session.deadline > now:
            self._emit(Arm("session", event.of, session.deadline))
        elif session.unread >= UNREAD_OCTETS_MAX:
            self._end(session, "does not read", now, abort=True)
        else:
            session.dialogue.shutdown(IDLE_TOO_LONG)
            self._proceed(session, now)

    def _proceed(self, session: Session, now: int) -> None:
        """Serve what the client has sent so far, as far as it can be served now; say what is to be said."""
        dialogue = session.dialogue
        message = session.message
        if session.unread < UNREAD_OCTETS_MAX and not (message is not None and message.waiting):
            dialogue.resume()
            while (request := dialogue.next_request()) is not None:
                self._requests[type(request)](session, request, now)  # type: ignore[operator]
            if self._sessions.get(session.connection) is not session:
                return  # it ended on the way
        if octets := dialogue.data_to_send():
            self._emit(Transmit(session.connection, octets))
            session.unread += len(octets)
            if session.unread >= UNREAD_OCTETS_MAX:
                dialogue.pause()
        if dialogue.closed:
            self._emit(Close(session.connection))
            self._end(session, "closed", now, close=False)
            return
        reading = dialogue.want_reading()
        if reading is not session.reading:
            session.reading = reading
            self._emit(Resume(session.connection) if reading else Pause(session.connection))

    def _end(self, session: Session, reason: str, now: int, *, close: bool = True, abort: bool = False) -> None:
        """The session is over. A complete message goes on without it; an incomplete one is dropped."""
        del self._sessions[session.connection]
        self._emit(Disarm("session", session.connection))
        if close:
            self._emit(Close(session.connection, abort))
        message = session.message
        if message is not None:
            message.session = None
            session.message = None
            if message.facts is None:
                self._deposits.drop(message, now)
        self._emit(Note("ended", (session.id, reason)))
        self._halt_when_idle()

    # --- requests of the client

    def _accept(self, session: Session, request: Request, now: int) -> None:
        session.dialogue.accept()

    def _ignore(self, session: Session, request: Request, now: int) -> None:
        """A fact that needs no answer."""

    def _refuse_tls(self, session: Session, request: StartTls, now: int) -> None:
        raise AssertionError("STARTTLS is not offered")

    def _on_mail(self, session: Session, request: Mail, now: int) -> None:
        session.message = Message(session, request.reverse_path.address)
        session.dialogue.accept()

    def _on_rcpt(self, session: Session, request: Rcpt, now: int) -> None:
        message = session.message
        assert message is not None
        directory = self._mailboxes.directory(request.forward_path)
        if directory is None:
            session.dialogue.answer(NO_SUCH_USER)
            return
        message.deposits.append(Deposit(request.forward_path, directory))
        session.dialogue.accept()

    def _on_chunk(self, session: Session, request: ContentChunk, now: int) -> None:
        message = session.message
        assert message is not None
        self._deposits.write(message, request.octets, now)
        if message.waiting:
            session.dialogue.pause()

    def _on_content_end(self, session: Session, request: ContentEnd, now: int) -> None:
        assert session.message is not None
        self._deposits.complete(session.message, request.facts, now)

    def _on_dropped(self, session: Session, request: Request, now: int) -> None:
        message = session.message
        if message is not None:
            session.message = None
            self._deposits.drop(message, now)

    # --- deposits

    def _on_deposited(self, event: Deposited, now: int) -> None:
        self._deposits.deposited(event.deposit, now)

    def _on_deposit_failed(self, event: DepositFailed, now: int) -> None:
        self._deposits.failed(event, now)

    def _on_begun(self, message: Message, now: int) -> None:
        if message.session is not None:
            self._proceed(message.session, now)

    def _on_done(self, message: Message, now: int) -> None:
        """Every copy has its fate: one reply for each recipient, in their order (RFC 2033 4.2, I12)."""
        session = message.session
        if session is not None:
            session.message = None
            replies: list[Reply] = []
            for deposit in message.deposits:
                assert deposit.reply is not None
                replies.append(deposit.reply)
            session.dialogue.answer_recipients(tuple(replies))
            if self._stopping:
                session.dialogue.shutdown(SHUTTING_DOWN)
            self._proceed(session, now)
        self._halt_when_idle()
