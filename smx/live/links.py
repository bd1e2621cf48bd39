"""Links: Tell between processes, over UNIX stream sockets below SPOOL/run or, in embedded mode, through the host's inbox.

Job         open the links that topology.py names and keep them open (back-off), say Linked, Told and Unlinked, carry out Tell
State       the link of each linked process; the newest epoch seen of each process
Strategies  Messages of one loop turn leave in one frame with one write. A new link of a process replaces its old one.
Failures    A damaged frame, another version, an older epoch (F24), a stranger behind the socket, or a peer that lets LINK_BACKLOG_OCTETS_MAX
            pile up: the link is closed, and both sides see Unlinked. What was told and not yet read is lost then; the components know.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final, Protocol, cast

from smx.effects import Note, Tell
from smx.events import Linked, Told, Unlinked
from smx.limits import LINK_BACKLOG_OCTETS_MAX
from smx.live.device import Orders
from smx.live.listeners import is_trusted, reachable
from smx.live.runner import Runner
from smx.live.wire import Hello, Reader, WireError, Writer, round_trip
from smx.messages import AnyMessage
from smx.topology import connects_to, kind_of, may_connect, socket_path

REDIAL_MIN_S: Final = 0.02
REDIAL_MAX_S: Final = 1.0


class Link(Protocol):
    """One way to a process."""

    epoch: int

    def tell(self, message: AnyMessage) -> None: ...

    def hang_up(self) -> None:
        """Flush, then close; nothing is delivered to this side any more."""
        ...

    def unsent(self) -> int: ...


class Links:
    """The links of one component. `listener`: the bound socket on which others connect; `dial`: connect to those that listen."""

    def __init__(self, runner: Runner, listener: socket.socket | None = None, *, dial: bool = True) -> None:
        self.runner = runner
        self._listener = listener
        self._links: dict[str, Link] = {}
        self._epochs: dict[str, int] = {}
        self._open: set[SocketLink] = set()  # every one whose transport has not ended
        self._server: asyncio.AbstractServer | None = None
        self._dial = connects_to(runner.process) if dial else ()
        runner.at_start(self._begin)

    def orders(self) -> Orders:
        return {Tell: self.tell}

    def tell(self, effect: Tell) -> None:
        link = self._links.get(effect.process)
        if link is not None:
            link.tell(effect.message)

    def unsent(self) -> int:
        return sum(link.unsent() for link in self._links.values())

    def hang_up(self) -> None:
        """The component halted: whoever is linked sees Unlinked, after what was told."""
        for link in list(self._links.values()):
            link.hang_up()

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._listener is not None:
            self._listener.close()
        for link in list(self._open):
            link.abort()

    def _begin(self) -> None:
        if self._listener is not None:
            self.runner.host.spawn(self._listen(self._listener))
        for process in self._dial:
            self.runner.host.spawn(self._keep_dialling(process))

    async def _listen(self, listener: socket.socket) -> None:
        self._server = await self.runner.loop.create_unix_server(lambda: SocketLink(self, ""), sock=listener)

    async def _keep_dialling(self, process: str) -> None:
        path = socket_path(self.runner.spool, process)
        wait = REDIAL_MIN_S
        while self.runner.halted is None:
            link = SocketLink(self, process)
            try:
                with reachable(path) as address:
                    await self.runner.loop.create_unix_connection(lambda link=link: link, address)  # type: ignore[misc]
                await link.ended.wait()
            except OSError:
                pass  # nobody listens yet, or any more: dial again
            wait = REDIAL_MIN_S if link.process else min(2 * wait, REDIAL_MAX_S)
            await asyncio.sleep(wait)

    # --- called by links

    def met(self, link: SocketLink) -> None:
        """A peer is there; it has not said yet who it is."""
        self._open.add(link)

    def parted(self, link: SocketLink) -> None:
        """The transport has ended."""
        self._open.discard(link)

    def introduce(self, link: SocketLink, hello: Hello, expected: str) -> None:
        """A peer said who it is. Raises WireError when it must not be linked."""
        allowed = hello.process == expected if expected else may_connect(hello.process, self.runner.process)
        if not allowed:
            raise WireError(f"no link with {hello.process!r} here")
        tool = kind_of(hello.process) == "admin"  # tools have no epoch
        if not tool and hello.epoch < self._epochs.get(hello.process, 0):
            raise WireError(f"{hello.process} speaks from epoch {hello.epoch}, already seen: {self._epochs[hello.process]}")
        earlier = self._links.get(hello.process)
        if isinstance(earlier, SocketLink):
            earlier.drop("replaced by a new link")
        if not tool:
            self._epochs[hello.process] = hello.epoch
        link.process, link.epoch = hello.process, hello.epoch
        self.add(hello.process, link, hello.epoch)

    def add(self, process: str, link: Link, epoch: int) -> None:
        self.runner.deliver(self.put(process, link, epoch))

    def put(self, process: str, link: Link, epoch: int) -> Linked:
        """The link is up; what is to be said of it."""
        self._links[process] = link
        return Linked(process, epoch)

    def remove(self, process: str, link: Link) -> None:
        """The link is down: said once."""
        if self._links.get(process) is link:
            del self._links[process]
            self.runner.deliver(Unlinked(process, link.epoch))

    def unlink_local(self, process: str) -> None:
        if (link := self._links.get(process)) is not None:
            self.remove(process, link)

    def forget(self, link: SocketLink) -> None:
        if link.process:
            self.remove(link.process, link)

    def trouble(self, text: str) -> None:
        self.runner.note(Note("trouble", ("link", text)))


class SocketLink(asyncio.Protocol):
    """A link over a socket. `expected`: the process that was dialled, or "" for one that connected to us."""

    def __init__(self, links: Links, expected: str) -> None:
        self.process = ""  # the peer's name, once it said hello
        self.epoch = 0
        self.ended = asyncio.Event()
        self._links = links
        self._expected = expected
        self._deliver = links.runner.deliver
        self._reader = Reader()
        self._writer = Writer(links.runner.process, links.runner.epoch)
        self._transport: asyncio.Transport
        self._open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._links.met(self)
        if not is_trusted(transport.get_extra_info("socket")):
            self.drop("refused: another user behind the socket")
            return
        self._transport.write(self._writer.hello)

    def data_received(self, data: bytes) -> None:
        try:
            for messages in self._reader.feed(data):
                if not self.process:
                    self._on_hello()
                for message in messages:
                    if self._open:
                        self._deliver(Told(self.process, message))
                if not self._open:
                    return
        except WireError as error:
            self.drop(str(error))

    def _on_hello(self) -> None:
        hello = self._reader.peer
        assert hello is not None
        self._links.introduce(self, hello, self._expected)

    def connection_lost(self, error: Exception | None) -> None:
        self._end()
        self._links.parted(self)
        self.ended.set()

    def tell(self, message: AnyMessage) -> None:
        if not self._writer.waiting_octets:
            self._links.runner.loop.call_soon(self._flush)
        self._writer.add(message)
        if self._writer.waiting_octets > LINK_BACKLOG_OCTETS_MAX:
            self._flush()

    def _flush(self) -> None:
        """The end of a loop turn: one frame, unless the peer has not read for too long."""
        if not self._open or not self._writer.waiting_octets:
            return
        if self._transport.get_write_buffer_size() > LINK_BACKLOG_OCTETS_MAX:
            self.drop("does not read")
            return
        self._transport.write(self._writer.frames())

    def unsent(self) -> int:
        return self._writer.waiting_octets + self._transport.get_write_buffer_size()

    def hang_up(self) -> None:
        self._flush()
        self._open = False
        self._transport.close()

    def abort(self) -> None:
        """The host ends: nothing more is sent or said."""
        self._open = False
        self._transport.abort()

    def drop(self, reason: str) -> None:
        """Close at once, and say why."""
        if self._open:
            self._links.trouble(f"{self.process or self._expected or 'unknown peer'}: {reason}")
            self._end()
            self._transport.abort()

    def _end(self) -> None:
        if self._open:
            self._open = False
            self._links.forget(self)


class LocalLink:
    """A link within a host: what is told goes to the other's inbox. With `encode` it goes there through MessagePack."""

    def __init__(self, owner: Links, other: Links, *, encode: bool) -> None:
        self.epoch = other.runner.epoch
        self._owner = owner
        self._other = other
        self._encode = encode
        self._process = owner.runner.process
        self._deliver = other.runner.deliver

    def tell(self, message: AnyMessage) -> None:
        self._deliver(Told(self._process, round_trip(message) if self._encode else message))

    def hang_up(self) -> None:
        self._other.unlink_local(self._process)
        self._owner.unlink_local(self._other.runner.process)

    def unsent(self) -> int:
        return 0


def join(one: Links, other: Links, *, encode: bool = False) -> None:
    """Link two components of the same host. After both were Started. Both are Linked before either is Told anything."""
    linked = [links.put(peer.runner.process, LocalLink(links, peer, encode=encode), peer.runner.epoch) for links, peer in ((one, other), (other, one))]
    one.runner.host.enqueue_together([(one.runner, linked[0]), (other.runner, linked[1])])
