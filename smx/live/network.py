"""Network: Accept, Connect, Transmit, Pause, Resume, StartTls and Close of one component, over TCP and UNIX sockets.

Numbers     Accepted connections get positive numbers from here, outgoing ones have the negative numbers that the component chose.
Strategies  The listening sockets are accepted from by hand, so that Accept(on=False) leaves clients in the kernel's backlog (back-pressure by
            the peer's own TCP), and so that running out of descriptors pauses accepting for a moment instead of spinning (F21).
Failures    An order for a connection that is gone is ignored: the component learns of the end by an event that may still be in its way.
"""

import asyncio
import errno
import os
import socket
from typing import Final

from smx.effects import Accept, Close, Connect, Pause, Resume, StartTls, Transmit
from smx.events import Accepted, Connected, ConnectFailed, Listening
from smx.live.connection import Connection
from smx.live.device import Orders
from smx.live.listeners import name_of, reachable
from smx.live.runner import Runner
from smx.live.tls import Contexts

ACCEPTS_A_TURN: Final = 64
ACCEPT_PAUSE_S: Final = 0.5
EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
MAPPED: Final = "::ffff:"  # an IPv4 client on an IPv6 socket (RFC 4291 2.5.5.2)


class Network:
    """The connections and listeners of one component. `listeners`: names and sockets that were bound for it."""

    def __init__(self, runner: Runner, listeners: tuple[tuple[str, socket.socket], ...] = (), contexts: Contexts | None = None) -> None:
        self.deliver = runner.deliver
        self.loop = runner.loop
        self.dirty: list[Connection] = []  # to be written at the end of this step
        self._runner = runner
        self._listeners = dict(listeners)
        self._accepting: set[str] = set()
        self._contexts = contexts or {}
        self._connections: dict[int, Connection] = {}
        self._connecting: dict[int, tuple[Connection, asyncio.Task[None]]] = {}
        self._closing: set[Connection] = set()  # flushing, or breaking off
        self._count = 0
        runner.at_start(self._announce)

    def orders(self) -> Orders:
        return {
            Accept: self.accept,
            Connect: self.connect,
            Transmit: self.transmit,
            Pause: self.pause,
            Resume: self.resume,
            StartTls: self.start_tls,
            Close: self.shut,
        }

    def close(self) -> None:
        for name, listener in self._listeners.items():
            self._stop_accepting(name)
            listener.close()
        for connection in [*self._connections.values(), *self._closing]:
            connection.shut = True
            connection.transport.abort()

    def unsent(self) -> int:
        """Octets that closed connections still have to send."""
        return sum(connection.transport.get_write_buffer_size() for connection in (*self._closing, *self._connections.values()))

    def _announce(self) -> None:
        for name, listener in self._listeners.items():
            self.deliver(Listening(name, *name_of(listener)))

    # --- listeners

    def accept(self, effect: Accept) -> None:
        if not effect.on:
            self._stop_accepting(effect.listener)
        elif effect.listener not in self._accepting:
            self._accepting.add(effect.listener)
            listener = self._listeners[effect.listener]
            self.loop.add_reader(listener.fileno(), self._on_acceptable, effect.listener, listener)

    def _stop_accepting(self, name: str) -> None:
        if name in self._accepting:
            self._accepting.discard(name)
            self.loop.remove_reader(self._listeners[name].fileno())

    def _on_acceptable(self, name: str, listener: socket.socket) -> None:
        for _ in range(ACCEPTS_A_TURN):
            if name not in self._accepting:
                return
            try:
                client, address = listener.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    self._runner.host.fail(error)
                    return
                self.loop.remove_reader(listener.fileno())
                self.loop.call_later(ACCEPT_PAUSE_S, self._accept_again, name, listener)
                return
            self._take_in(name, client, address)

    def _accept_again(self, name: str, listener: socket.socket) -> None:
        if name in self._accepting:
            self.loop.add_reader(listener.fileno(), self._on_acceptable, name, listener)

    def _take_in(self, name: str, client: socket.socket, address: object) -> None:
        client.setblocking(False)
        peer_host, peer_port = _host_and_port(address)
        local_host, local_port = ("", 0)
        if client.family != socket.AF_UNIX:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            local_host, local_port = _host_and_port(client.getsockname())
        self._count += 1
        number = self._count

        def opened(connection: Connection) -> None:
            self._connections[number] = connection
            self.deliver(Accepted(number, name, peer_host, peer_port, local_host, local_port))

        self._runner.host.spawn(self._make_transport(Connection(self, number, opened), client))

    async def _make_transport(self, connection: Connection, client: socket.socket) -> None:
        try:
            await self.loop.connect_accepted_socket(lambda: connection, client)
        except OSError:
            client.close()  # gone before it was greeted: nobody was told of it

    # --- outgoing connections

    def connect(self, effect: Connect) -> None:
        assert effect.connection < 0, "numbers of outgoing connections are negative"
        assert effect.connection not in self._connections
        number = effect.connection

        def opened(connection: Connection) -> None:
            del self._connecting[number]
            self._connections[number] = connection
            local = connection.transport.get_extra_info("sockname")
            self.deliver(Connected(number, _host_and_port(local)[0]))

        connection = Connection(self, number, opened)
        self._connecting[number] = connection, self._runner.host.spawn(self._connect(effect, connection))

    async def _connect(self, effect: Connect, connection: Connection) -> None:
        try:
            if effect.host.startswith("/"):
                with reachable(effect.host) as path:
                    await self.loop.create_unix_connection(lambda: connection, path)
            else:
                source = (effect.source, 0) if effect.source else None
                await self.loop.create_connection(lambda: connection, effect.host, effect.port, local_addr=source)
        except OSError as error:
            if self._connecting.pop(effect.connection, None) is not None:
                self.deliver(ConnectFailed(effect.connection, _connect_reason(error)))

    # --- connections

    def transmit(self, effect: Transmit) -> None:
        connection = self._connections.get(effect.connection)
        if connection is None or not effect.data:
            return
        if not connection.waiting:
            self.dirty.append(connection)
        connection.waiting.append(effect.data)

    def flush(self) -> None:
        """The end of a step: write what it transmitted."""
        for connection in self.dirty:
            if connection.waiting:
                connection.send()
        self.dirty.clear()

    def pause(self, effect: Pause) -> None:
        if (connection := self._connections.get(effect.connection)) is not None:
            connection.pause()

    def resume(self, effect: Resume) -> None:
        if (connection := self._connections.get(effect.connection)) is not None:
            connection.resume()

    def start_tls(self, effect: StartTls) -> None:
        if (connection := self._connections.get(effect.connection)) is None:
            return
        if connection.waiting:
            connection.send()
        connection.start_tls(self._contexts[effect.context], server_side=effect.server_side, server_name=effect.server_name)

    def shut(self, effect: Close) -> None:
        connecting = self._connecting.pop(effect.connection, None)
        if connecting is not None:
            connecting[0].shut = True
            connecting[1].cancel()
            return
        if (connection := self._connections.get(effect.connection)) is None:
            return
        if connection.waiting and not effect.abort:
            connection.send()
        connection.waiting = []
        connection.close(abort=effect.abort)

    def forget(self, connection: Connection) -> None:
        """Said by a connection that delivers nothing more; its transport may still have something to send."""
        self._connections.pop(connection.number, None)
        self._closing.add(connection)

    def gone(self, connection: Connection) -> None:
        """Said by a connection whose transport has ended."""
        self._closing.discard(connection)


def _host_and_port(address: object) -> tuple[str, int]:
    """("192.0.2.1", 25) of a socket's address; ("", 0) for UNIX sockets."""
    if not isinstance(address, tuple):
        return "", 0
    host = str(address[0])
    return host.removeprefix(MAPPED) if "." in host else host, int(address[1])


def _connect_reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)
