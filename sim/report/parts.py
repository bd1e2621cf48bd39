"""Parts: what a picture of a run consists of, without coordinates.

lane       the world, each client, each process, the disk, the Maildirs, each host
bar        a process lives, recovers; a sync is under way; a fault lasts; the machine has no power
mark       something happened to a message: its final dot, its envelope is durable, a host took it ...
path       those marks in order: one path from the client to its 250, one for each delivery
arrow      octets of a dialogue
"""

import msgspec


class Bar(msgspec.Struct):
    """`kind`: alive, recovering, sync, fault, dark. `until` -1: still under way at the end."""

    lane: str
    at: int
    until: int
    kind: str
    text: str


class Mark(msgspec.Struct, frozen=True):
    """`message`: the key of a message, "" for what concerns all; `short`: a word for it."""

    lane: str
    at: int
    message: str
    kind: str
    short: str
    text: str


class Arrow(msgspec.Struct, frozen=True):
    """Octets from one lane to another."""

    source: str
    target: str
    at: int
    message: str
    text: str


class Path(msgspec.Struct):
    """`points`: (microseconds, lane) in order."""

    message: str
    kind: str
    points: list[tuple[int, str]]


class Message(msgspec.Struct):
    """A message, or a report about one (its key has a +). `state`: what became of it, in words."""

    key: str
    title: str
    state: str = ""
    broken: bool = False
    story: list[str] = []


class Timeline(msgspec.Struct):
    """`lanes` from above; `until`: the end of the picture; `left_out`: messages that are not drawn."""

    lanes: list[str]
    bars: list[Bar]
    marks: list[Mark]
    arrows: list[Arrow]
    paths: list[Path]
    messages: list[Message]
    until: int
    left_out: int = 0


class Canvas(msgspec.Struct):
    """What is gathered while the moments of a run go by."""

    lanes: dict[str, None] = {}
    bars: list[Bar] = []
    marks: list[Mark] = []

    def bar(self, lane: str, at: int, kind: str, text: str) -> Bar:
        """Begin one; its `until` is set when it is known."""
        bar = Bar(lane, at, -1, kind, text)
        self.bars.append(bar)
        self.lanes.setdefault(lane)
        return bar

    def mark(self, lane: str, at: int, message: str, kind: str, short: str, text: str) -> None:
        self.lanes.setdefault(lane)
        self.marks.append(Mark(lane, at, message, kind, short, text))
