"""Facts: all that a checker may know of a run, simulated or live. Values without behaviour, in order of time.

A checker judges facts and nothing else, so the same checkers judge a world of the simulator and the event log of a live run (sim.eventlog).
Words: a token names one message as one client sends it once (its content has a field `X-Token: TOKEN`); who sends the same mail again takes
a new token, so that every further copy is the MTA's doing. `at` is microseconds: of the simulated clock, or of the wall.

    who says it              facts
    clients                  Submitted Promised Refused
    hosts and Maildirs       Arrived ReplyLost Bounced
    every component          Noted
    the world: processes     Crashed Stopped
    the world: what it sees  Ordered Sent250 Spoke TlsBegan Hung Compared Bound
    the world: what it does  FaultInjected FaultEnded FaultsEnded Healed Phase
    the world: at the end    QueueSeen Leftovers
    the world: at the start  Configured
"""

from typing import Any, Final

from msgspec import Struct

from smx.messages import QueueRow

POWER: Final = "power"  # Crashed.process when the whole machine lost its power


class Fact(Struct, frozen=True, gc=False):
    """`at` in microseconds."""

    at: int


# --- clients --------------------------------------------------------------------------------------------------------


class Submitted(Fact, frozen=True):
    """The final dot (or BDAT LAST) left the client: a copy may arrive from now on. `recipients`: those that RCPT accepted.

    `notify`: one messages.Notify for each of them, or () when none was given.
    """

    token: str
    sender: str  # "" is the null reverse-path
    recipients: tuple[str, ...]
    notify: tuple[int, ...] = ()


class Promised(Fact, frozen=True):
    """The client has read the last octet of the 250 to the end of the content. `transaction`: the id in its text, 0 for none."""

    token: str
    transaction: int


class Refused(Fact, frozen=True):
    """The client has read 4yz or 5yz. `stage`: connect, helo, mail, rcpt, data, dot. `recipients`: those that it concerns."""

    token: str
    recipients: tuple[str, ...]
    stage: str
    code: int
    text: str = ""


# --- hosts and Maildirs -----------------------------------------------------------------------------------------------


class Arrived(Fact, frozen=True):
    """A host decided to say 250, or a Maildir made the message visible: it is responsible now, whether or not its reply gets through.

    `transaction`: from our Received field, 0 when it has none. `sender`: MAIL's, or Return-Path; None when not known.
    `fault`: "" when the octets are those that were sent behind our trace fields; "short" when only their beginning came; else what is wrong.
    """

    token: str
    recipient: str
    host: str
    transaction: int = 0
    sender: str | None = None
    fault: str = ""


class ReplyLost(Fact, frozen=True):
    """The 250 behind an Arrived did not get through: the connection ended before its last octet was read, or the host said something else."""

    token: str
    recipient: str
    host: str


class Bounced(Fact, frozen=True):
    """A DSN arrived and reports on one recipient; `kind` is its Action: failed, delayed, delivered, relayed, expanded.

    `token`: that of the message it is about. `to`: who got it, `sender` its reverse-path. `complaints`: what RFC 3464 misses in it.
    """

    token: str
    recipient: str
    kind: str
    message_id: str
    to: str = ""
    sender: str = ""
    complaints: tuple[str, ...] = ()


# --- components and processes -----------------------------------------------------------------------------------------


class Noted(Fact, frozen=True):
    """A Note effect: `name` and `values` as in the table of smx.notes, ids as numbers. `epoch`: that of the process."""

    process: str
    epoch: int
    name: str
    values: tuple[Any, ...]


class Crashed(Fact, frozen=True):
    """A process ended, and not in order. `process` POWER: every process of the machine at once, and all that was not synced.

    `how`: kill (from outside), power, halt (a Halt effect while no stop was asked), bug (an exception), poison (F23; `transaction` says of what).
    """

    process: str
    epoch: int = 0
    how: str = "kill"
    transaction: int = 0


class Stopped(Fact, frozen=True):
    """A process ended in order."""

    process: str
    epoch: int = 0


# --- what the world sees -------------------------------------------------------------------------------------------------


class Ordered(Fact, frozen=True):
    """QMGR handed a delivery to an SMTPC (Tell of a Deliver, behind the note `begun`). `epoch`: QMGR's."""

    epoch: int
    delivery: int
    transaction: int
    destination: str
    indices: tuple[int, ...]
    attempt: int = 0  # that of its recipients; 0: not known
    process: str = ""  # the SMTPC; "": not known


class Sent250(Fact, frozen=True):
    """An SMTPS handed the last octet of the 250 for a message to the socket (its note `accepted`).

    `durable`: whether a power loss at this instant, in its worst form, still leaves envelope and content, or everything was delivered;
    None: not looked at.
    """

    process: str
    transaction: int
    durable: bool | None = None


class Spoke(Fact, frozen=True):
    """Octets of a dialogue, in the order in which our process saw them. `connection` is unique in the run.

    `process`: smtps.*, lda (servers) or smtpc.* (a client). `ours` True: our process transmitted them; False: it received them.
    """

    connection: int
    process: str
    ours: bool
    data: bytes
    lmtp: bool = False


class TlsBegan(Fact, frozen=True):
    """The handshake on this connection is over: what follows is inside TLS (`good`), or the connection is gone."""

    connection: int
    good: bool = True


class Hung(Fact, frozen=True):
    """The connection is gone, whoever closed it."""

    connection: int


class Compared(Fact, frozen=True):
    """Two recoveries that must agree were compared (I14). `what`: "recovery again", "crash in recovery" ..."""

    what: str
    equal: bool
    difference: str = ""


class Bound(Fact, frozen=True):
    """A sample of something bounded (I11, I16). `name`: such as "smtps.mx.0 octets of session 5", `limit` what the configuration allows."""

    name: str
    value: int
    limit: int


# --- what the world does ------------------------------------------------------------------------------------------------


class FaultInjected(Fact, frozen=True):
    """A fault of reliability.md happened. `process`, `epoch`: whom it hit directly (F7, F8: who was told SyncFailed, when it was told).

    `place`: path, host or domain. `must_show`: the damage lies in octets that count: somebody has to report it (F9, F10).
    """

    fault: str
    text: str = ""
    place: str = ""
    process: str = ""
    epoch: int = 0
    must_show: bool = False


class FaultEnded(Fact, frozen=True):
    """A fault that lasts (F11, F12, F37, F38) is over at this place."""

    fault: str
    place: str = ""


class FaultsEnded(Fact, frozen=True):
    """The liveness phase begins: every host and every disk is well, no process is killed any more."""


class Healed(Fact, frozen=True):
    """A destination can be reached again after it could not (L3)."""

    destination: str


class Phase(Fact, frozen=True):
    """The run enters a phase; "steady" and "judged" are compared by L5."""

    name: str


# --- start and end ---------------------------------------------------------------------------------------------------------


class Configured(Fact, frozen=True):
    """A number of the configuration that checkers compare with; times in microseconds. Names as in smx.conf: "qmgr.retry.max"."""

    name: str
    value: int


class QueueSeen(Fact, frozen=True):
    """What QMGR says is queued. `final`: at the end of the run, when the world is calm."""

    rows: tuple[QueueRow, ...]
    final: bool = True


class Leftovers(Fact, frozen=True):
    """What is left on disk at the end. `files`: names of content segments; `writers`: epochs of the living processes that write content.

    `rows`: rows in DEFEDB. `octets` used by the spool, and how many it may use when the queue is empty (`baseline`; 0: not measured).
    """

    files: tuple[str, ...]
    writers: tuple[int, ...]
    rows: int = 0
    octets: int = 0
    baseline: int = 0


AnyFact = (
    Submitted
    | Promised
    | Refused
    | Arrived
    | ReplyLost
    | Bounced
    | Noted
    | Crashed
    | Stopped
    | Ordered
    | Sent250
    | Spoke
    | TlsBegan
    | Hung
    | Compared
    | Bound
    | FaultInjected
    | FaultEnded
    | FaultsEnded
    | Healed
    | Phase
    | Configured
    | QueueSeen
    | Leftovers
)
