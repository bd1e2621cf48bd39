"""Sessions: the connections of one process: octets in and out, back-pressure either way, silence, and the end (I16)."""

from collections.abc import Callable
from typing import Final

from smx.effects import AnyEffect, Arm, Close, Disarm, Note, Pause, Resume, Transmit
from smx.smtp.replies import IDLE_TOO_LONG, SHUTTING_DOWN
from smx.smtp.requests import Request
from smx.smtp.states import State
from smx.smtps.session import Session

TIMER: Final = "session"
# Transmitted to a client that does not read: it is served no more until the runtime says Drained, which it does after each 64 KiB.
UNREAD_OCTETS_MAX: Final = 64 * 1024


class Sessions:
    """All sessions by connection. `handle` gets each request of a client; `on_end` is told that a session is over."""

    def __init__(self, out: list[AnyEffect], handle: Callable[[Session, Request, int], None], on_end: Callable[[Session], None]) -> None:
        self._emit: Final = out.append
        self._handle: Final = handle
        self._on_end: Final = on_end
        self._sessions: Final[dict[int, Session]] = {}
        self.io_timeout_us = 0
        self.closing = False  # the process stops: sessions without a transaction get 421

    def __len__(self) -> int:
        return len(self._sessions)

    def add(self, session: Session, now: int) -> None:
        """A new session; its timer runs until its end (one Arm for all its commands)."""
        self._sessions[session.connection] = session
        session.deadline = now + self.io_timeout_us
        self._emit(Arm(TIMER, session.connection, session.deadline))

    def get(self, connection: int) -> Session | None:
        return self._sessions.get(connection)

    def all(self) -> list[Session]:
        return list(self._sessions.values())

    def received(self, connection: int, octets: bytes, now: int) -> None:
        """The client sent something."""
        session = self._sessions.get(connection)
        if session is not None:
            session.deadline = now + self.io_timeout_us
            session.dialogue.receive(octets)
            self.proceed(session, now)

    def drained(self, connection: int, now: int) -> None:
        """The client has read what was said."""
        session = self._sessions.get(connection)
        if session is not None:
            session.unread = 0
            self.proceed(session, now)

    def expired(self, connection: int, now: int) -> None:
        """The timer fired. A client that waits for us is not silent; one that does not read its replies is."""
        session = self._sessions.get(connection)
        if session is None:
            return
        reads = session.unread < UNREAD_OCTETS_MAX
        if reads and (session.dialogue.pending is not None or session.held):
            session.deadline = now + self.io_timeout_us
        if session.deadline > now:
            self._emit(Arm(TIMER, connection, session.deadline))
        elif session.dialogue.state is State.TLS or not reads:
            self.end(session, "silent", abort=True)
        else:
            session.dialogue.shutdown(IDLE_TOO_LONG)  # RFC 5321 4.5.3.2.7
            self.proceed(session, now)

    def proceed(self, session: Session, now: int) -> None:
        """Serve what the client has sent so far, as far as it can be served now, and say what is to be said."""
        if session.ended:
            return
        dialogue = session.dialogue
        if session.unread < UNREAD_OCTETS_MAX and not session.held:
            dialogue.resume()
            handle = self._handle
            while (request := dialogue.next_request()) is not None:
                handle(session, request, now)
            if session.ended:
                return
        if dialogue.state is State.TLS:
            return  # nothing may be said in the middle of a handshake
        if self.closing and session.transaction is None:
            dialogue.shutdown(SHUTTING_DOWN)
        self.flush(session)
        if dialogue.closed:
            self.end(session, "closed")
            return
        reading = dialogue.want_reading()
        if reading is not session.reading:
            session.reading = reading
            self._emit(Resume(session.connection) if reading else Pause(session.connection))

    def flush(self, session: Session) -> None:
        """Transmit the replies that are ready."""
        octets = session.dialogue.data_to_send()
        if octets:
            self._emit(Transmit(session.connection, octets))
            session.unread += len(octets)
            if session.unread >= UNREAD_OCTETS_MAX:
                session.dialogue.pause()

    def end(self, session: Session, reason: str, *, close: bool = True, abort: bool = False) -> None:
        """The session is over; what is transmitted already will still be sent, unless `abort`."""
        session.ended = True
        session.request = None
        del self._sessions[session.connection]
        self._emit(Disarm(TIMER, session.connection))
        if close:
            self._emit(Close(session.connection, abort))
        self._on_end(session)
        self._emit(Note("ended", (session.id, reason)))
