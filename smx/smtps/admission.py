"""Admission: whether mail may come in now, decided from what QMGR pushed; and the transaction ids it granted (SX23, A11).

    OPEN    MAIL is granted at once
    SLOW    MAIL waits for its turn in a bucket of `rate` tokens a second: senders are held back, none is refused
    CLOSED  MAIL gets the reply that QMGR said

Without a link to QMGR there is no service: 421 (A9). Waiting sessions are at most all sessions (I16).
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from smx.effects import AnyEffect, Arm, Tell
from smx.ids import SEQUENCE_MAX, transaction_id
from smx.messages import Admission, AdmissionState, Granted, WantBlock
from smx.smtp.replies import OVERLOADED, STORAGE_FULL
from smx.smtp.reply import Reply, clean, split_enhanced
from smx.smtp.requests import Mail
from smx.smtps.deciders import WAIT, Decidable, Wait
from smx.smtps.session import Session
from smx.units import SECOND

TIMER: Final = "admission"
BLOCK_LOW: Final = (SEQUENCE_MAX + 1) * 3 // 4  # used up so far, a block asks for its successor
_NOT_YET: Final = Admission(AdmissionState.CLOSED, code=421, enhanced=b"4.3.2", text=b"Service not available, try again later")


class Gate:
    """The decider for MAIL. `resume` leads a session on whose MAIL had to wait."""

    def __init__(self, emit: Callable[[AnyEffect], None]) -> None:
        self._emit: Final = emit
        self._state = _NOT_YET
        self._blocks: Final[deque[tuple[int, int]]] = deque()  # (epoch, block), the first is in use
        self._sequence = 0
        self._asked = False
        self._waiting: Final[deque[Session]] = deque()
        self._next_turn_at = 0  # when the next token falls into the bucket
        self.resume: Callable[[Session, Reply | None, int], None] = _unbound

    @property
    def state(self) -> Admission:
        return self._state

    @property
    def ready(self) -> bool:
        """True when QMGR has granted ids."""
        return bool(self._blocks)

    # --- ids

    def grant(self, granted: Granted) -> None:
        self._blocks.append((granted.epoch, granted.block))
        self._asked = False

    def next_id(self) -> int | None:
        """An id that was never used before (A11, I8); None when the blocks are used up and QMGR is silent."""
        if not self._blocks:
            return None
        epoch, block = self._blocks[0]
        number = transaction_id(epoch, block, self._sequence)
        self._sequence += 1
        if self._sequence >= BLOCK_LOW and len(self._blocks) == 1 and not self._asked:
            self._asked = True
            self._emit(Tell("qmgr", WantBlock()))
        if self._sequence > SEQUENCE_MAX:
            self._sequence = 0
            self._blocks.popleft()
        return number

    def lost(self, now: int) -> None:
        """The link to QMGR is gone: its ids and its word go with it."""
        self._blocks.clear()
        self._sequence = 0
        self._asked = False
        self.change(_NOT_YET, now)

    # --- admission

    def change(self, state: Admission, now: int) -> None:
        """QMGR pushed a new state. Those who wait are let in or refused as it says."""
        self._state = state
        if state.state != AdmissionState.SLOW:
            waiting = list(self._waiting)
            self._waiting.clear()
            for session in waiting:
                self.resume(session, self._refusal(), now)

    def decide(self, session: Session, request: Decidable, now: int) -> Reply | Wait | None:
        """The decider for MAIL."""
        assert isinstance(request, Mail)
        state = self._state
        if state.state == AdmissionState.CLOSED:
            return self._refusal()
        if not self._blocks:
            return OVERLOADED
        if state.block_octets and request.size > state.block_octets:
            return STORAGE_FULL  # RFC 1870 6.1 (SX25)
        if state.state == AdmissionState.SLOW and not self._take_token(now):
            self._waiting.append(session)
            if len(self._waiting) == 1:
                self._emit(Arm(TIMER, 0, self._next_turn_at))
            return WAIT
        return None

    def expired(self, now: int) -> None:
        """Tokens fell into the bucket: let in as many as there are."""
        while self._waiting and self._take_token(now, queued=True):
            self.resume(self._waiting.popleft(), None, now)
        if self._waiting:
            self._emit(Arm(TIMER, 0, self._next_turn_at))

    def forget(self, session: Session) -> None:
        """The session ended."""
        if session in self._waiting:
            self._waiting.remove(session)

    def _take_token(self, now: int, *, queued: bool = False) -> bool:
        """True when a token is there. At most one second's worth is saved up. Nobody overtakes those who wait."""
        if self._waiting and not queued:
            return False
        if now < self._next_turn_at:
            return False
        interval = SECOND // max(1, self._state.rate)
        self._next_turn_at = max(self._next_turn_at, now - SECOND) + interval
        return True

    def _refusal(self) -> Reply | None:
        state = self._state
        if state.state != AdmissionState.CLOSED:
            return None
        enhanced, _ = split_enhanced(state.code, state.enhanced + b" ")
        return Reply(state.code, enhanced, (clean(state.text),))


def _unbound(session: Session, said: Reply | None, now: int) -> None:
    raise AssertionError("no courses")
