"""Sockets: Accept, Connect, Transmit, Pause, Resume, StartTls and Close of one process, on the simulated network.

Numbers     Accepted connections get positive numbers from here, outgoing ones have the negative numbers that the component chose.
Strategies  What one step transmits on a connection is joined and sent at the end of the step, as live. So when the process is killed inside a
            step, or the power fails there, nothing that this step transmitted leaves (A13 depends on it: the note of a dot comes first).
            A process that has no descriptors left leaves clients in the backlog, and its connects fail (F21).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.process import IN_ORDER, UNPOWERED, Orders, Process
from smx.effects import Accept, Close, Connect, Pause, Resume, StartTls, Transmit
from smx.events import Accepted, Connected, ConnectFailed, Drained, Listening, PeerClosed, Received, TlsStarted

if TYPE_CHECKING:
    from sim.connection import Connection

ENDING_MAX: Final = 1_024  # of the latest ends; those before have been read long ago
NO_DESCRIPTORS: Final = "too many open files"


class Socket:
    """Our end of a connection, as the network's party. `shut`: Close was carried out; what still waits in the inbox is dropped."""

    __slots__ = ("_sockets", "connection", "number", "shut", "waiting")

    def __init__(self, sockets: Sockets, number: int, connection: Connection | None = None) -> None:
        self._sockets = sockets
        self.number = number
        self.connection = connection
        self.shut = False
        self.waiting: list[bytes] = []

    def connected(self, connection: Connection) -> None:
        self.connection = connection
        self._sockets.process.deliver(Connected(self.number, connection.local_host), self)

    def refused(self, reason: str) -> None:
        self._sockets.forget(self)
        self._sockets.process.deliver(ConnectFailed(self.number, reason), self)

    def received(self, data: bytes) -> None:
        if len(data) > self._sockets.largest:
            self._sockets.largest = len(data)
        self._sockets.process.deliver(Received(self.number, data), self)

    def drained(self) -> None:
        self._sockets.process.deliver(Drained(self.number), self)

    def closed(self, reason: str) -> None:
        self._sockets.forget(self)
        self._sockets.process.deliver(PeerClosed(self.number, reason), self)

    def tls_done(self, error: str, version: str, cipher: str) -> None:
        if error:
            self._sockets.forget(self)
        self._sockets.process.deliver(TlsStarted(self.number, error, version, cipher), self)


class Sockets:
    """The connections and listeners of one process. `listeners`: (name, host, port) of what was bound for it."""

    def __init__(self, process: Process, listeners: tuple[tuple[str, str, int], ...] = ()) -> None:
        machine = process.machine
        self.process = process
        self._machine = machine
        self._network = machine.world.network
        self._env = machine.world.env
        self._listeners = {name: (host, port) for name, host, port in listeners}
        self._open: dict[int, Socket] = {}
        self._ending: dict[int, Socket] = {}  # over, but what they said last may still wait in the inbox
        self._dirty: list[Socket] = []
        self._accepting: set[str] = set()
        self._count = 0
        self.largest = 0  # octets that came in one piece
        process.flush = self.flush
        process.sockets = self
        process.at_start(self._announce)

    def orders(self) -> Orders:
        return {
            Accept: self.accept,
            Connect: self.connect,
            Transmit: self.transmit,
            Pause: self.pause,
            Resume: self.resume,
            StartTls: self.start_tls,
            Close: self.close,
        }

    def died(self, how: str) -> None:
        if how == UNPOWERED:
            return
        if how == IN_ORDER:
            self.flush()
            for socket in list(self._open.values()):
                if socket.connection is not None:
                    socket.connection.close()
        self._network.kill_process(self._machine.address, self.process.name)
        self._open.clear()

    def __len__(self) -> int:
        return len(self._open)

    # --- listeners ----------------------------------------------------------------------------------------------------

    def _announce(self) -> None:
        for name, (host, port) in self._listeners.items():
            self.process.deliver(Listening(name, host, port))

    def accept(self, effect: Accept) -> None:
        name, process = effect.listener, self.process.name
        host, port = self._listeners[name]
        if not effect.on:
            self._accepting.discard(name)
            self._network.accepting(host, port, False, owner=process)
        elif name not in self._accepting:
            self._accepting.add(name)
            self._network.accepting(host, port, True, lambda connection: self._take_in(name, connection), owner=process)

    def _take_in(self, name: str, connection: Connection) -> Socket | None:
        """A client; None when there is no descriptor for it: it waits in the backlog, and the network asks again (F21)."""
        if self._exhausted():
            return None
        self._count += 1
        socket = self._open[self._count] = Socket(self, self._count, connection)
        connection.owner = self.process.name
        connection.party = socket  # the component may transmit on it before the network hears who holds it
        if self._listeners[name][0].startswith("/"):
            accepted = Accepted(socket.number, name, "", 0)
        else:
            accepted = Accepted(socket.number, name, connection.peer_host, connection.peer_port, connection.local_host, connection.local_port)
        self.process.deliver(accepted, socket)
        return socket

    def _exhausted(self) -> bool:
        return self._machine.descriptors_free(self.process) == 0

    # --- connections --------------------------------------------------------------------------------------------------

    def connect(self, effect: Connect) -> None:
        assert effect.connection < 0, "numbers of outgoing connections are negative"
        assert effect.connection not in self._open
        socket = self._open[effect.connection] = Socket(self, effect.connection)
        if self._exhausted():
            self._env.later(0, socket.refused, NO_DESCRIPTORS)
            return
        socket.connection = self._network.connect(effect.source or self._machine.address, effect.host, effect.port, socket, owner=self.process.name)

    def transmit(self, effect: Transmit) -> None:
        socket = self._open.get(effect.connection)
        if socket is None:
            return
        if not socket.waiting:
            self._dirty.append(socket)
        socket.waiting.append(effect.data)

    def flush(self) -> None:
        """The end of a step."""
        if not self._dirty:
            return
        dirty, self._dirty = self._dirty, []
        for socket in dirty:
            waiting = socket.waiting
            if waiting and socket.connection is not None:
                socket.waiting = []
                socket.connection.send(waiting[0] if len(waiting) == 1 else b"".join(waiting))

    def pause(self, effect: Pause) -> None:
        socket = self._open.get(effect.connection)
        if socket is not None and socket.connection is not None:
            socket.connection.pause()

    def resume(self, effect: Resume) -> None:
        socket = self._open.get(effect.connection)
        if socket is not None and socket.connection is not None:
            socket.connection.resume()

    def start_tls(self, effect: StartTls) -> None:
        socket = self._open.get(effect.connection)
        if socket is None or socket.connection is None:
            return
        self.flush()
        connection = socket.connection
        socket.shut = True  # F34: plaintext that waits in the inbox is dropped
        fresh = self._open[effect.connection] = Socket(self, effect.connection, connection)
        connection.party = fresh
        connection.start_tls(effect.server_side, fresh.tls_done)

    def close(self, effect: Close) -> None:
        socket = self._open.pop(effect.connection, None)
        if socket is None:
            ended = self._ending.pop(effect.connection, None)
            if ended is not None:
                ended.shut = True
            return
        socket.shut = True
        connection, waiting = socket.connection, socket.waiting
        socket.waiting = []
        if connection is None:
            return
        if effect.abort:
            connection.abort()
            return
        if waiting:
            connection.send(b"".join(waiting))
        connection.close()

    def forget(self, socket: Socket) -> None:
        """The connection is over. While the process is busy Close must still be able to drop what waits in the inbox."""
        self._open.pop(socket.number, None)
        if not self.process.idle and not socket.shut:
            self._ending[socket.number] = socket
            if len(self._ending) > ENDING_MAX:
                del self._ending[next(iter(self._ending))]
