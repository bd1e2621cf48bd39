"""The content writer's own view of its segments and of the transactions whose content is in them."""

from typing import Final

from smx.cdb.format import SEGMENT_HEADER_OCTETS

BEGIN: Final = SEGMENT_HEADER_OCTETS  # where the first content record of a segment begins


class Segment:
    """A segment of ours, until QMGR was told that it is sealed."""

    __slots__ = ("cover", "dead", "dirty", "end", "held", "named", "number", "octets", "opened", "retired", "sealed", "unanswered", "unsynced")

    def __init__(self, number: int, octets: int) -> None:
        self.number = number
        self.octets = octets  # preallocated
        self.end = BEGIN  # where the next content goes
        self.opened = False
        self.named = False
        self.dirty = False  # appended to since the last Sync was issued
        self.retired = False
        self.sealed = False
        self.dead = False  # could not be opened, or was removed
        self.unanswered = 0  # transactions in it whose client has no answer yet
        self.cover = 0  # the last Sync issued that covers it
        self.held: list[tuple[int, bytes]] = []  # what to append once it is open
        self.unsynced: dict[int, tuple[int, int]] = {}  # transaction -> its extent, until a Sync covered it


class Entry:
    """A transaction whose content is, or is coming, in a segment."""

    __slots__ = ("checksum", "complete", "cover", "failed", "large", "octets", "segment", "wanted")

    def __init__(self, segment: Segment, *, large: bool) -> None:
        self.segment = segment
        self.large = large
        self.octets = 0
        self.checksum = 0
        self.complete = not large
        self.cover = 0  # number of the Sync that makes it durable; 0: its octets still wait for the segment
        self.wanted = False
        self.failed = False
