"""Links: Tell between the processes of a machine: frames in order, each way with a latency, Linked and Unlinked at both ends.

What may happen (F24): a link breaks at any instant; then a part of the frames that are under way, from some frame on, is lost, never one in the
middle. A process that died leaves what it had sent before. A link may be slow. A peer of an earlier epoch is refused.
What never happens: a message twice, or out of order within a link; a message of an old link behind the Linked of the new one.
Messages of one instant travel in one frame, as those of one turn of the loop do live.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.environment import Channel
from sim.process import CRASHED, UNPOWERED, Orders, Process
from smx.effects import Note, Tell
from smx.events import Linked, Told, Unlinked
from smx.messages import AnyMessage
from smx.topology import connects_to
from smx.units import MILLISECOND, SECOND

if TYPE_CHECKING:
    from sim.host import Machine

REDIAL_MIN_US: Final = 20 * MILLISECOND
REDIAL_MAX_US: Final = 1 * SECOND


class End:
    """One end of a link: sends to the other one. `sent`: how many frames are under way."""

    __slots__ = ("_channel", "_frame", "_frame_at", "_link", "other", "owner", "sent", "up")

    def __init__(self, link: Link, owner: Process) -> None:
        self.owner = owner
        self.other: End
        self.up = True
        self.sent = 0
        self._link = link
        self._channel = Channel()
        self._frame: list[AnyMessage] | None = None
        self._frame_at = 0

    def tell(self, message: AnyMessage) -> None:
        env = self._link.env
        if self._frame is not None and self._frame_at == env.now:
            self._frame.append(message)
            return
        self._frame = frame = [message]
        self._frame_at = env.now
        self.sent += 1
        env.after(self._channel, self._link.latency(), self._arrive, frame)

    def lose_unsent(self) -> None:
        """The frame of this instant has not been written: the process died before the turn of its loop was over."""
        if self._frame is not None and self._frame_at == self._link.env.now:
            self._frame.clear()

    def _arrive(self, frame: list[AnyMessage]) -> None:
        self.sent -= 1
        if self._frame is frame:
            self._frame = None
        other = self.other
        if not other.up:
            return
        name, process = self.owner.name, other.owner
        for message in frame:
            process.deliver(Told(name, message))

    def hang_up(self) -> None:
        """The owner is gone: the other end sees it behind what was sent."""
        self.up = False
        self._link.env.after(self._channel, self._link.latency(), self.other.drop)

    def drop(self) -> None:
        """This end sees that the link is down."""
        if self.up:
            self.up = False
            self.owner.links.remove(self)


class Link:
    """Both ends, and how long a frame takes."""

    def __init__(self, machine: Machine, one: Process, other: Process) -> None:
        self.env = machine.world.env
        self.slow_us = 0  # more, while the link is clogged
        self._machine = machine
        self.one = End(self, one)
        self.other = End(self, other)
        self.one.other, self.other.other = self.other, self.one

    def latency(self) -> int:
        return self._machine.link_latency() + self.slow_us

    @property
    def up(self) -> bool:
        return self.one.up and self.other.up

    def cut(self) -> None:
        """It breaks now: what is under way is lost, in both directions."""
        for end in (self.one, self.other):
            end.drop()


class Links:
    """The links of one process, by the name of the other."""

    def __init__(self, process: Process) -> None:
        self.ends: dict[str, End] = {}
        self.listening = False
        self._process = process
        self._machine = process.machine
        self._env = process.machine.world.env
        self._epochs: dict[str, int] = {}
        process.links = self
        process.at_start(self._begin)

    def orders(self) -> Orders:
        return {Tell: self.tell}

    def tell(self, effect: Tell) -> None:
        end = self.ends.get(effect.process)
        if end is not None:
            end.tell(effect.message)

    def died(self, how: str) -> None:
        self.listening = False
        for end in list(self.ends.values()):
            if how == CRASHED and self._process.stepping:
                end.lose_unsent()
            if end.up and how != UNPOWERED:
                end.hang_up()
        self.ends.clear()

    def remove(self, end: End) -> None:
        name = end.other.owner.name
        if self.ends.get(name) is end:
            del self.ends[name]
            self._process.deliver(Unlinked(name, end.other.owner.epoch))
            if name in connects_to(self._process.name):
                self._env.later(REDIAL_MIN_US, self._dial, name, REDIAL_MIN_US)

    def _begin(self) -> None:
        self.listening = True
        for name in connects_to(self._process.name):
            self._dial(name, REDIAL_MIN_US)

    def _dial(self, name: str, wait_us: int) -> None:
        """Connect, or try again a little later."""
        process = self._process
        if not process.alive or name in self.ends:
            return
        other = self._machine.processes.get(name)
        if other is None or not other.alive or not other.links.listening or process.epoch < other.links.newest(process.name):
            self._env.later(wait_us, self._dial, name, min(2 * wait_us, REDIAL_MAX_US))
            return
        link = self._machine.new_link(process, other)
        self._env.after(Channel(), link.latency(), self._meet, link)

    def _meet(self, link: Link) -> None:
        """Both have said hello."""
        process, other = link.one.owner, link.other.owner
        if not other.alive or not process.alive or not link.up:
            if process.alive:
                self._dial(other.name, REDIAL_MIN_US)
            return
        if process.paused or other.paused:  # who gets no CPU answers no hello, and would take the new link for the old one
            self._env.later(REDIAL_MIN_US, self._meet, link)
            return
        other.links.add(link.other)
        self.add(link.one)

    def add(self, end: End) -> None:
        peer = end.other.owner
        earlier = self.ends.get(peer.name)
        if earlier is not None:
            self._process.note(Note("trouble", ("link", f"{peer.name}: replaced by a new link")))
            earlier.drop()
        self._epochs[peer.name] = peer.epoch
        self.ends[peer.name] = end
        self._process.deliver(Linked(peer.name, peer.epoch))

    def newest(self, name: str) -> int:
        """The latest epoch in which this process has been seen."""
        return self._epochs.get(name, 0)
