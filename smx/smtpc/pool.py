"""Pool: the sessions of SMTPC: all by connection, the idle ones also by whom they lead to (SX21)."""

from collections.abc import Iterator

from smx.smtpc.route import Key
from smx.smtpc.session import Session, State


class Pool:
    """At most `most` sessions. Idle ones are taken last in, first out, so that those which are not needed grow old."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._sessions: dict[int, Session] = {}
        self._idle: dict[int, Session] = {}  # by connection, the one that is idle longest first
        self._idle_of: dict[Key, list[Session]] = {}  # the one that was used last is last

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        """All sessions, as they were when this was asked."""
        return iter(tuple(self._sessions.values()))

    @property
    def full(self) -> bool:
        return len(self._sessions) >= self.most

    def add(self, session: Session) -> None:
        self._sessions[session.connection] = session

    def get(self, connection: int) -> Session | None:
        return self._sessions.get(connection)

    def remove(self, session: Session) -> None:
        if session.state is State.IDLE:
            self.leave_idle(session)
        del self._sessions[session.connection]

    # --- idle ones

    @property
    def any_idle(self) -> bool:
        return bool(self._idle)

    def idle_for(self, key: Key) -> Session | None:
        """An idle session that leads there."""
        same = self._idle_of.get(key)
        return same[-1] if same else None

    def keep(self, session: Session) -> None:
        """It is idle from now on."""
        session.state = State.IDLE
        self._idle[session.connection] = session
        self._idle_of.setdefault(session.candidate.key, []).append(session)

    def leave_idle(self, session: Session) -> None:
        del self._idle[session.connection]
        same = self._idle_of[session.candidate.key]
        same.remove(session)
        if not same:
            del self._idle_of[session.candidate.key]

    def oldest_idle(self) -> Session:
        return next(iter(self._idle.values()))

    def idle(self) -> tuple[Session, ...]:
        return tuple(self._idle.values())
