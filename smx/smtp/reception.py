"""Reception: the content of one transaction as the server takes it: counted, bounded, and judged at its end."""

from typing import Final

from smx import limits
from smx.smtp import replies
from smx.smtp.data import Census
from smx.smtp.facts import ContentFacts
from smx.smtp.reply import Reply
from smx.smtp.settings import ServerSettings
from smx.smtp.states import State


class Reception:
    """The content so far. Beyond its limits it is read over as it comes, and refused at its end (RFC 1870 6.3)."""

    __slots__ = ("_census", "_hops_max", "_octets_max")

    def __init__(self, settings: ServerSettings) -> None:
        self._census: Final = Census()
        self._octets_max: Final = settings.message_octets_max
        self._hops_max: Final = settings.hops_max

    def take(self, octets: bytes, *, dots: bool = True) -> bool:
        """Count the next octets; True when they are to be handed out. `dots` as in Census.add."""
        census = self._census
        if census.header_exceeded or not self.has_room(len(octets)):
            census.octets += len(octets)
            return False
        census.add(octets, dots=dots)
        return not census.header_exceeded

    def has_room(self, octets: int) -> bool:
        """True when so many octets more are within the limit."""
        return self._census.octets + octets <= self._octets_max

    @property
    def endless(self) -> bool:
        """So far beyond the limit that nobody should wait for the end (F31)."""
        return self._census.octets > self._octets_max + limits.CONTENT_DISCARDED_OCTETS_MAX

    def judge(self) -> ContentFacts | Reply:
        """The content is complete: its facts, or the reply that refuses it."""
        census = self._census
        if not self.has_room(0):
            return replies.SIZE_EXCEEDED
        if census.header_exceeded:
            return replies.HEADER_EXCEEDED
        facts = census.facts()
        if facts.bare:
            return replies.CONTENT_BARE  # F33, I13
        if facts.hops > self._hops_max:
            return replies.HOPS_EXCEEDED
        return facts


class Chunk:
    """The chunk of a BDAT that is being read."""

    __slots__ = ("last", "left", "refusal", "state_after")

    def __init__(self, octets: int, *, last: bool) -> None:
        self.left: int = octets
        self.last: Final = last
        self.refusal: Reply | None = None  # it is read over, and refused with this
        self.state_after: State = State.BDAT  # of one that is refused
