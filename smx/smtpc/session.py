"""Session and delivery: what SMTPC keeps of one connection, and of one order of QMGR.

session     has a delivery   what is going on
CONNECTING  yes              the connection is being opened
OPEN        yes              the dialogue is under way
IDLE        no               kept for the next delivery to the same host (SX21)
QUITTING    no               QUIT was said
"""

import zlib
from enum import IntEnum
from typing import Final

from smx.messages import Deliver, Outcome, Verdict
from smx.smtp.client import ClientDialogue
from smx.smtp.plan import Verdict as Decision
from smx.smtpc.route import Candidate

Failure = tuple[int, int, bytes, bytes, str]  # outcome, code, enhanced code, text, remote
NO_ADDRESS: Final[Failure] = (Outcome.DEFERRED, 0, b"4.4.4", b"no usable address", "")


class State(IntEnum):
    CONNECTING = 0
    OPEN = 1
    IDLE = 2
    QUITTING = 3


class Delivery:
    """One Deliver on its way. `position`: the candidate being tried. `failure`: the best reason so far why no host took it."""

    __slots__ = ("candidates", "connected", "dot_sent", "epoch", "failure", "order", "plain", "position", "reused")

    def __init__(self, order: Deliver, epoch: int, candidates: list[Candidate]) -> None:
        self.order = order
        self.epoch = epoch  # of the QMGR that ordered it
        self.candidates = candidates
        self.position = 0
        self.plain = False  # TLS failed with this candidate: without it now
        self.connected = False  # some host took us as far as the end of EHLO
        self.reused = False
        self.dot_sent = False
        self.failure: Failure | None = None

    @property
    def candidate(self) -> Candidate:
        return self.candidates[self.position]

    def failed(self, outcome: int, code: int, enhanced: bytes, text: bytes, remote: str) -> None:
        """No host up to this one took it. A host that may come back counts more than one that will not."""
        if outcome == Outcome.DEFERRED or self.failure is None:
            self.failure = (outcome, code, enhanced, text, remote)

    def verdicts_of_failure(self) -> tuple[Verdict, ...]:
        outcome, code, enhanced, text, remote = self.failure or NO_ADDRESS
        return tuple(Verdict(recipient.index, outcome, code, enhanced, text, remote) for recipient in self.order.recipients)

    def verdicts_of(self, decisions: tuple[Decision, ...], remote: str) -> tuple[Verdict, ...]:
        """What the dialogue decided, with QMGR's recipient indices."""
        recipients = self.order.recipients
        return tuple([Verdict(recipients[each.recipient].index, each.outcome, each.code, each.enhanced, each.text, remote) for each in decisions])


class Session:
    """One connection. `deadline` is 0 when nothing is awaited; `armed` is when the timer will ring, 0 when it is not armed."""

    __slots__ = (
        "aborted",
        "armed",
        "candidate",
        "chunk",
        "connection",
        "crc",
        "deadline",
        "delivery",
        "dialogue",
        "done",
        "ended",
        "gone",
        "hard",
        "idle_until",
        "keep_us",
        "left",
        "over",
        "read_at",
        "remote",
        "request",
        "state",
        "used",
        "wanted",
    )

    def __init__(self, connection: int, candidate: Candidate, delivery: Delivery) -> None:
        self.connection = connection
        self.candidate = candidate
        self.remote = candidate.remote
        self.state = State.CONNECTING
        self.delivery: Delivery | None = delivery
        self.dialogue: ClientDialogue | None = None
        self.used = 0  # transactions that were begun
        self.deadline = 0
        self.armed = 0
        self.idle_until = 0
        self.keep_us = 0  # how long it may be idle
        self.done = False  # a transaction ended in this step and the session may be used again
        self.over = False  # the dialogue is over: close after what is to be sent
        self.ended = False  # no longer in the table
        self.gone = False  # the connection is closed already
        self.hard = False  # close without waiting: the peer does not take what we send, or must not believe that it got all
        self.aborted = False  # we gave up, and the host is not at fault
        self.request = 0  # the Read that is under way, 0: none
        self.read_at = 0
        self.left = 0  # octets of the content that were not read yet
        self.crc = 0
        self.chunk: bytes | None = None  # read, not sent yet
        self.wanted = False  # the dialogue takes content

    def rewind(self, delivery: Delivery) -> None:
        """Begin a delivery's content."""
        content = delivery.order.content
        self.request = 0
        self.read_at = content.offset
        self.left = content.octets
        self.crc = 0
        self.chunk = None
        self.wanted = False

    def take(self, octets: bytes) -> None:
        """Keep what was read, and reckon its checksum (I5)."""
        self.request = 0
        self.chunk = octets
        self.read_at += len(octets)
        self.left -= len(octets)
        self.crc = zlib.crc32(octets, self.crc)
