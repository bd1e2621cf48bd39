"""Patience: how long a peer may take, with one timer a session that is armed rarely (RFC 5321 4.5.3.2).

A deadline moves with every step of a dialogue, the timer does not: when it rings too early it is armed again for the deadline of that moment. It is armed anew
only when a deadline comes to lie before it.
"""

from typing import Final

from smx.config.schema_smtpc import ClientTimeouts
from smx.effects import AnyEffect, Arm
from smx.smtp.states import Stage
from smx.smtpc.session import Session

TIMER: Final = "session"


def timeouts_of(timeouts: ClientTimeouts) -> dict[Stage, int]:
    """How long each stage of the dialogue may take; 0: nothing is awaited."""
    return {
        Stage.GREETING: timeouts.greeting_us,
        Stage.EHLO: timeouts.helo_us,
        Stage.HELO: timeouts.helo_us,
        Stage.STARTTLS: timeouts.helo_us,
        Stage.IDLE: 0,
        Stage.MAIL: timeouts.mail_us,
        Stage.RCPT: timeouts.rcpt_us,
        Stage.DATA: timeouts.data_us,
        Stage.CONTENT: timeouts.block_us,
        Stage.END: timeouts.dot_us,
        Stage.DISCARD: timeouts.dot_us,
        Stage.RSET: timeouts.mail_us,
        Stage.QUIT: timeouts.quit_us,
    }


def wait(session: Session, now: int, timeout_us: int, effects: list[AnyEffect]) -> None:
    """Something must happen within this time; 0: nothing needs to."""
    if not timeout_us:
        session.deadline = 0
        return
    session.deadline = now + timeout_us
    if not session.armed or session.deadline < session.armed:
        session.armed = session.deadline
        effects.append(Arm(TIMER, session.connection, session.deadline))


def is_over(session: Session, now: int, effects: list[AnyEffect]) -> bool:
    """The timer rang: True when the time is up; else it is armed again where it is needed."""
    session.armed = 0
    if not session.deadline:
        return False
    if now >= session.deadline:
        return True
    session.armed = session.deadline
    effects.append(Arm(TIMER, session.connection, session.deadline))
    return False
