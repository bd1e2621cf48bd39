"""Transaction: one message on its way in, from MAIL to the reply at the end of data, and the table of its last part.

What happens after the final dot is a table of stages and facts. Its rows are the whole of A1, A9 and A12 on this side:

    stage      what the transaction waits for
    OPEN       recipients, content
    SYNCING    the sync of its content; nothing was submitted
    SUBMITTED  QMGR's answer; the content is durable
    OFFERED    QMGR's answer to the offer of cut-through; the content is written, not synced
    SECURING   the sync that QMGR asked for
    ABORTING   QMGR's word that it has forgotten the message, or that it keeps it
    DONE       nothing: a reply was given, or nobody is left to get one
"""

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from smx.messages import Content, Recipient
from smx.smtp.reply import Reply
from smx.smtp.requests import Mail

if TYPE_CHECKING:
    from smx.smtps.session import Session


class Stage(IntEnum):
    OPEN = 0
    SYNCING = 1
    SUBMITTED = 2
    OFFERED = 3
    SECURING = 4
    ABORTING = 5
    DONE = 6


class Fact(IntEnum):
    """What can happen to a transaction after the final dot."""

    SYNCED = 0  # the sync that covers its content is done
    TAKEN = 1  # Submitted, 250: the envelope is durable
    DELIVERED = 2  # Submitted, 250, delivered: every recipient has it
    REFUSED = 3  # Submitted, 4yz or 5yz: nothing is kept
    SECURE = 4  # QMGR wants the content synced
    IMPATIENT = 5  # QMGR has not answered for submit_timeout
    FORGOTTEN = 6  # Aborted: nothing is kept
    KEPT = 7  # Aborted, kept: QMGR owns the message
    SPOILED = 8  # its content could not be written: no space
    UNLINKED = 9  # QMGR is gone


class Act(IntEnum):
    """What is done about it."""

    NOTHING = 0
    SUBMIT = 1
    SYNC = 2  # then Secured
    SECURED = 3  # tell QMGR so
    ABORT = 4
    ACCEPT = 5  # 250
    REFUSE = 6  # the reply in `refusal`
    CLOSE = 7  # 421, and the session ends (A9)
    IMPOSSIBLE = 8  # a bug, of ours or of QMGR: the process ends


# fmt: off
_ = Act.NOTHING
_X = Act.IMPOSSIBLE
TABLE: Final[dict[Stage, dict[Fact, tuple[Stage, Act]]]] = {
    Stage.SYNCING: {
        Fact.SYNCED:    (Stage.SUBMITTED, Act.SUBMIT),    # A1: content before envelope
        Fact.TAKEN:     (Stage.SYNCING,   _X),            # nothing was submitted
        Fact.DELIVERED: (Stage.SYNCING,   _X),
        Fact.REFUSED:   (Stage.SYNCING,   _X),
        Fact.SECURE:    (Stage.SYNCING,   _X),
        Fact.IMPATIENT: (Stage.SYNCING,   _X),            # patience begins with Submit
        Fact.FORGOTTEN: (Stage.SYNCING,   _X),
        Fact.KEPT:      (Stage.SYNCING,   _X),
        Fact.SPOILED:   (Stage.DONE,      Act.REFUSE),    # A10: 452, this message only
        Fact.UNLINKED:  (Stage.DONE,      Act.CLOSE),
    },
    Stage.SUBMITTED: {
        Fact.SYNCED:    (Stage.SUBMITTED, _X),
        Fact.TAKEN:     (Stage.DONE,      Act.ACCEPT),
        Fact.DELIVERED: (Stage.DONE,      Act.ACCEPT),
        Fact.REFUSED:   (Stage.DONE,      Act.REFUSE),
        Fact.SECURE:    (Stage.SUBMITTED, _),             # it is secured already
        Fact.IMPATIENT: (Stage.ABORTING,  Act.ABORT),
        Fact.FORGOTTEN: (Stage.SUBMITTED, _X),            # nobody aborted
        Fact.KEPT:      (Stage.SUBMITTED, _X),
        Fact.SPOILED:   (Stage.SUBMITTED, _X),            # what is durable was written
        Fact.UNLINKED:  (Stage.DONE,      Act.CLOSE),
    },
    Stage.OFFERED: {
        Fact.SYNCED:    (Stage.OFFERED,   _X),
        Fact.TAKEN:     (Stage.OFFERED,   _X),            # I2: an envelope is not durable before its content is
        Fact.DELIVERED: (Stage.DONE,      Act.ACCEPT),    # A12
        Fact.REFUSED:   (Stage.DONE,      Act.REFUSE),
        Fact.SECURE:    (Stage.SECURING,  Act.SYNC),
        Fact.IMPATIENT: (Stage.ABORTING,  Act.ABORT),
        Fact.FORGOTTEN: (Stage.OFFERED,   _X),
        Fact.KEPT:      (Stage.OFFERED,   _X),
        Fact.SPOILED:   (Stage.ABORTING,  Act.ABORT),     # A9: no 4yz before QMGR has confirmed
        Fact.UNLINKED:  (Stage.DONE,      Act.CLOSE),
    },
    Stage.SECURING: {
        Fact.SYNCED:    (Stage.SUBMITTED, Act.SECURED),
        Fact.TAKEN:     (Stage.SECURING,  _X),
        Fact.DELIVERED: (Stage.DONE,      Act.ACCEPT),    # the last delivery ended meanwhile
        Fact.REFUSED:   (Stage.DONE,      Act.REFUSE),
        Fact.SECURE:    (Stage.SECURING,  _),
        Fact.IMPATIENT: (Stage.ABORTING,  Act.ABORT),
        Fact.FORGOTTEN: (Stage.SECURING,  _X),
        Fact.KEPT:      (Stage.SECURING,  _X),
        Fact.SPOILED:   (Stage.ABORTING,  Act.ABORT),
        Fact.UNLINKED:  (Stage.DONE,      Act.CLOSE),
    },
    Stage.ABORTING: {
        Fact.SYNCED:    (Stage.ABORTING,  _),             # of the sync that was under way
        Fact.TAKEN:     (Stage.DONE,      Act.ACCEPT),    # it crossed our Abort
        Fact.DELIVERED: (Stage.DONE,      Act.ACCEPT),
        Fact.REFUSED:   (Stage.DONE,      Act.REFUSE),
        Fact.SECURE:    (Stage.ABORTING,  _),
        Fact.IMPATIENT: (Stage.ABORTING,  _X),
        Fact.FORGOTTEN: (Stage.DONE,      Act.REFUSE),
        Fact.KEPT:      (Stage.DONE,      Act.ACCEPT),    # RFC 1047: one copy, and the client knows
        Fact.SPOILED:   (Stage.ABORTING,  _),
        Fact.UNLINKED:  (Stage.DONE,      Act.CLOSE),
    },
}
# fmt: on
del _, _X


class Transaction:
    """State of one transaction. `session` becomes None when the client is gone after the final dot (A9)."""

    __slots__ = (
        "arrived_at",
        "chunks",
        "client",
        "content",
        "durable",
        "hops",
        "id",
        "mail",
        "memory",
        "octets",
        "protocol",
        "recipients",
        "refusal",
        "session",
        "session_id",
        "stage",
        "stream",
        "submitted",
        "trace",
    )

    def __init__(self, number: int, session: "Session", mail: Mail) -> None:
        self.id: Final = number
        self.session: Session | None = session
        self.session_id: Final = session.id
        self.client: Final = session.client
        self.mail: Final = mail
        self.recipients: Final[list[Recipient]] = []
        self.stage = Stage.OPEN
        self.arrived_at = 0  # stamp of the end of data
        self.trace = b""  # our Received field
        self.chunks: list[bytes] = []  # content in memory, the trace field first
        self.octets = 0  # of content so far, the trace field included
        self.memory = 0  # octets taken of the budget
        self.stream = False  # it goes into a segment of its own
        self.content: Content | None = None  # where it lies in CDB
        self.durable = False  # the sync that covers `content` is done
        self.submitted = False  # QMGR was told of it
        self.hops = 0
        self.protocol = ""
        self.refusal: Reply | None = None  # the reply if it comes to nothing
