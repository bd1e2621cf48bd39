"""Content: reads what a session has to send, a stretch at a time, and compares the checksum before the last one is handed out (I5, I16)."""

from typing import Final

from smx.effects import AnyEffect, Read
from smx.smtpc.session import Session
from smx.units import KIB

CHUNK_OCTETS: Final = 64 * KIB  # in flight in one session; a peer that takes 364 octets a second is not too slow for it (RFC 5321 4.5.3.2.5)
STORE: Final = "cdb"


class Contents:
    """The reads under way, by request."""

    def __init__(self) -> None:
        self._reads: dict[int, Session] = {}
        self._last_request = 0

    def prefetch(self, session: Session, effects: list[AnyEffect]) -> None:
        """Content of one stretch is read while the server thinks about MAIL and RCPT."""
        if 0 < session.left <= CHUNK_OCTETS and session.request == 0:
            self._read(session, effects)

    def read_on(self, session: Session, effects: list[AnyEffect]) -> None:
        """The next stretch, unless it is being read, or was read and not sent, or there is none."""
        if session.left and session.request == 0 and session.chunk is None:
            self._read(session, effects)

    def _read(self, session: Session, effects: list[AnyEffect]) -> None:
        assert session.delivery is not None
        self._last_request += 1
        session.request = self._last_request
        self._reads[session.request] = session
        segment = session.delivery.order.content.segment
        effects.append(Read(STORE, session.request, segment, session.read_at, min(session.left, CHUNK_OCTETS)))

    def session_of(self, request: int) -> Session | None:
        """Whose read this was; None when nobody waits for it any more."""
        session = self._reads.pop(request, None)
        if session is not None:
            session.request = 0
        return session

    def drop(self, session: Session) -> None:
        """The session needs no more content."""
        if session.request:
            self._reads.pop(session.request, None)
            session.request = 0
        session.chunk = None
        session.wanted = False
        session.left = 0


def feed(session: Session) -> None:
    """Hand the stretch that was read to the dialogue; with the last one comes the end, if the checksum agrees (I5)."""
    dialogue, delivery = session.dialogue, session.delivery
    assert dialogue is not None
    assert delivery is not None
    chunk, session.chunk = session.chunk or b"", None
    if session.left == 0 and session.crc != delivery.order.content.checksum:
        abort(session, b"content is damaged: its checksum does not agree")  # QMGR sees by the text what to do
        return
    dialogue.send_content(chunk)
    if session.left == 0:
        session.wanted = False
        dialogue.end_content()


def abort(session: Session, text: bytes) -> None:
    """The connection is closed at once, before the dot where it was not sent: the server gets no half of a message."""
    assert session.dialogue is not None
    session.hard = session.aborted = True
    session.dialogue.abort(text)
