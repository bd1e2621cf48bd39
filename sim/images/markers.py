"""Markers: the rare states in which a search has cut a life. A search is only worth its name if it was there."""

from typing import Final

from sim.facts import Arrived, Fact, Noted, Promised, Refused, Submitted
from sim.images.result import Result
from sim.images.scene import Life

NOTES: Final = ("deferred", "bounced", "expanded", "relocated", "closed", "unbounced", "copied", "quarantined")
MARKERS: Final = (
    "between dot and 250",
    "arrived, verdict not recorded",
    "inside a commit of SQLite",
    "inside a commit of a Maildir",
    "torn end",
    "crash in recovery",
    "deferred",
    "bounced",
    "expanded",
    "relocated",
    "closed",
)


class Moment:
    """What is known at a boundary of a life, fact by fact."""

    def __init__(self) -> None:
        self.unanswered: set[str] = set()
        self.arrived: set[int] = set()
        self.notes: dict[str, None] = {}

    def read(self, facts: list[Fact]) -> None:
        for fact in facts:
            match fact:
                case Submitted():
                    self.unanswered.add(fact.token)
                case Promised() | Refused():
                    self.unanswered.discard(fact.token)
                case Arrived():
                    self.arrived.add(fact.transaction)
                case Noted(name="recorded"):
                    self.arrived.discard(fact.values[0])
                case Noted():
                    if fact.name in NOTES:
                        self.notes[fact.name] = None


def mark(life: Life, result: Result) -> None:
    """Say where the boundaries of a life were."""
    moment = Moment()
    facts, read = life.world.truth.facts or [], 0
    folder = ""
    for boundary in life.boundaries:
        moment.read(facts[read : boundary.facts])
        read = boundary.facts
        if moment.unanswered:
            result.mark("between dot and 250")
        if moment.arrived:
            result.mark("arrived, verdict not recorded")
        if boundary.operation is not None:
            before, folder = folder, boundary.operation.path.rpartition("/")[0]
            if folder == before and folder.endswith("/defedb"):
                result.mark("inside a commit of SQLite")
            elif "/tmp" in boundary.operation.path:
                result.mark("inside a commit of a Maildir")
    for name in moment.notes:
        result.mark(name)
