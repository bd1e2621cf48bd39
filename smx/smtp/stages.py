"""Stages: for each stage of a client session (states.Stage) how long it may take, and what verdicts call it."""

from typing import Final

from smx import limits
from smx.smtp.plan import STAGE_DATA, STAGE_END, STAGE_GREETING, STAGE_HELO, STAGE_MAIL, STAGE_RCPT, STAGE_TLS
from smx.smtp.states import Stage

# RFC 5321 4.5.3.2; 0: nothing is awaited
TIMEOUTS: Final = {
    Stage.GREETING: limits.GREETING_TIMEOUT_US,
    Stage.EHLO: limits.HELO_TIMEOUT_US,
    Stage.HELO: limits.HELO_TIMEOUT_US,
    Stage.STARTTLS: limits.STARTTLS_TIMEOUT_US,
    Stage.IDLE: 0,
    Stage.MAIL: limits.MAIL_TIMEOUT_US,
    Stage.RCPT: limits.RCPT_TIMEOUT_US,
    Stage.DATA: limits.DATA_INITIATION_TIMEOUT_US,
    Stage.CONTENT: limits.DATA_BLOCK_TIMEOUT_US,
    Stage.END: limits.DATA_TERMINATION_TIMEOUT_US,
    Stage.DISCARD: limits.DATA_TERMINATION_TIMEOUT_US,
    Stage.RSET: limits.RSET_TIMEOUT_US,
    Stage.QUIT: limits.QUIT_TIMEOUT_US,
}

# plan.Verdict.stage
STAGES: Final = {
    Stage.GREETING: STAGE_GREETING,
    Stage.EHLO: STAGE_HELO,
    Stage.HELO: STAGE_HELO,
    Stage.STARTTLS: STAGE_TLS,
    Stage.IDLE: STAGE_MAIL,
    Stage.MAIL: STAGE_MAIL,
    Stage.RCPT: STAGE_RCPT,
    Stage.DATA: STAGE_DATA,
    Stage.CONTENT: STAGE_DATA,
    Stage.END: STAGE_END,
    Stage.DISCARD: STAGE_DATA,
    Stage.RSET: STAGE_MAIL,
    Stage.QUIT: STAGE_MAIL,
}
