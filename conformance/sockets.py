"""Sockets: the wire of real life: a Stage for a whole run (name server, addresses, mailboxes, hooks), a SocketWire for the actions of one case."""

import asyncio
import itertools
import random
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, Final

from conformance import wire
from conformance.certificates import server_context
from conformance.dns import Server, Zones
from conformance.mailbox import Mailboxes
from conformance.outcome import MissingDependency
from conformance.stream import Stream, connect
from conformance.target import Target

BACKLOG: Final = 32
OUTPUT_MAX: Final = 2000


class Stage:
    """Use as an asynchronous context manager. `dns_error`: why the name server could not be started."""

    def __init__(self, target: Target) -> None:
        self.target: Final = target
        self.zones: Final = Zones()
        self.mailboxes: Final = Mailboxes(target.delivery)
        self.dns_error = ""
        self._server: Final = Server(self.zones)
        self._addresses: Final = _addresses(target.dns.addresses)

    async def __aenter__(self) -> "Stage":
        if self.target.dns.listen:
            host, _, port = self.target.dns.listen.rpartition(":")
            try:
                await self._server.start(host, int(port))
            except OSError as error:
                self.dns_error = f"the name server cannot listen on {self.target.dns.listen}: {error.strerror}"
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._server.stop()

    def address(self) -> str:
        """One that no other host of this run has."""
        return next(self._addresses)

    async def control(self, hook: str, argument: str, timeout_s: float) -> wire.Controlled:
        """Run a hook of the target file. KeyError when there is none: a need says so before."""
        command = self.target.control[hook].replace("{argument}", argument)
        process = await asyncio.create_subprocess_shell(
            command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), timeout_s)
        except TimeoutError:
            process.kill()
            return wire.Controlled(-1, f"not done after {timeout_s:g} s")
        return wire.Controlled(process.returncode or 0, output.decode("utf-8", "backslashreplace")[-OUTPUT_MAX:])


def _addresses(prefix: str) -> Iterator[str]:
    """prefix.x.y; each run begins somewhere else, as targets remember hosts that did not answer."""
    start = random.SystemRandom().randrange(250 * 250)
    for number in itertools.count(start):
        yield f"{prefix}.{number // 250 % 250 + 2}.{number % 250 + 1}"


class SocketWire:
    """The connections, hosts and zone of one case. `close` must be called at its end."""

    def __init__(self, stage: Stage, domain: str) -> None:
        self._stage: Final = stage
        self._domain: Final = domain
        self._streams: dict[int, Stream] = {}
        self._guests: set[int] = set()
        self._host_names: dict[int, str] = {}
        self._hosts: dict[str, str] = {}
        self._listeners: dict[str, tuple[socket.socket, asyncio.Task[None]]] = {}
        self._waiting: list[wire.Accepted] = []
        self._came: Final = asyncio.Event()
        self._numbers: Final = itertools.count(1)
        self._acts: Final[dict[type, Callable[[Any], Awaitable[Any]]]] = {
            wire.Open: self._open,
            wire.Send: self._send,
            wire.Receive: self._receive,
            wire.Close: self._close,
            wire.StartTls: self._start_tls,
            wire.Listen: self._listen,
            wire.Unlisten: self._unlisten,
            wire.Accept: self._accept,
            wire.SetZone: self._set_zone,
            wire.Queries: self._queries,
            wire.Look: self._look,
            wire.Control: self._control,
            wire.Wait: self._wait,
            wire.Now: self._now,
            wire.Remark: self._remark,
        }

    async def perform(self, action: wire.Action) -> Any:
        """Carry out an action; gives its result (see `conformance.wire`). Raises MissingDependency."""
        return await self._acts[type(action)](action)

    async def close(self) -> None:
        """Nothing of this case is left open."""
        for host in list(self._listeners):
            await self._unlisten(wire.Unlisten(host))
        for stream in self._streams.values():
            stream.close(wire.CLOSE)

    # --- as client

    async def _open(self, action: wire.Open) -> wire.Opened:
        try:
            stream = await connect(self._stage.target.services[action.service], action.source, action.timeout_s)
        except TimeoutError:
            return wire.Opened(0, wire.TIMEOUT)
        except OSError as error:
            return wire.Opened(0, error.strerror or str(error))
        return wire.Opened(self._kept(stream))

    def _kept(self, stream: Stream) -> int:
        number = next(self._numbers)
        self._streams[number] = stream
        return number

    async def _send(self, action: wire.Send) -> None:
        await self._streams[action.connection].send(action.octets)

    async def _receive(self, action: wire.Receive) -> wire.Received:
        return await self._streams[action.connection].receive(action.timeout_s)

    async def _close(self, action: wire.Close) -> None:
        self._streams[action.connection].close(action.how)

    async def _start_tls(self, action: wire.StartTls) -> wire.Secured:
        stream, tls = self._streams[action.connection], self._stage.target.tls
        if action.connection in self._guests:
            name = self._host_names[action.connection]
            context = server_context(action.certificate, name, tls.suite_ca, action.version_max)
            return await stream.handshake(context, server=True, name="", timeout_s=action.timeout_s)
        return await stream.handshake(_client_context(tls.ca), server=False, name=self._stage.target.hostname, timeout_s=action.timeout_s)

    # --- as server

    def _address(self, host: str) -> str:
        if host not in self._hosts:
            self._hosts[host] = self._stage.address()
        return self._hosts[host]

    async def _listen(self, action: wire.Listen) -> str:
        address, port = self._address(action.host), self._stage.target.dns.remote_port
        if action.host not in self._listeners:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((address, port))
                listener.listen(BACKLOG)
            except OSError as error:
                listener.close()
                raise MissingDependency(f"cannot listen on {address}:{port}: {error.strerror}") from error
            listener.setblocking(False)
            self._listeners[action.host] = (listener, asyncio.create_task(self._take(action.host, listener)))
        return address

    async def _take(self, host: str, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while True:
                connection, peer = await loop.sock_accept(listener)
                number = self._kept(Stream(connection))
                self._guests.add(number)
                self._host_names[number] = f"{host}.{self._domain}"
                self._waiting.append(wire.Accepted(number, host, peer[0]))
                self._came.set()

    async def _unlisten(self, action: wire.Unlisten) -> None:
        self._address(action.host)
        if action.host in self._listeners:
            listener, task = self._listeners.pop(action.host)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            listener.close()

    async def _accept(self, action: wire.Accept) -> wire.Accepted | None:
        with suppress(TimeoutError):
            async with asyncio.timeout(action.timeout_s):
                while True:
                    for accepted in self._waiting:
                        if accepted.host in action.hosts:
                            self._waiting.remove(accepted)
                            return accepted
                    self._came.clear()
                    await self._came.wait()
        return None

    async def _set_zone(self, action: wire.SetZone) -> None:
        if self._stage.dns_error:
            raise MissingDependency(self._stage.dns_error)
        self._stage.zones.replace(self._domain, [wire.Record(record.name, record.rrtype, self._filled(record.data), record.ttl_s) for record in action.records])

    def _filled(self, data: str) -> str:
        """Addresses for {host}."""
        while (start := data.find("{")) >= 0:
            end = data.index("}", start)
            data = data[:start] + self._address(data[start + 1 : end]) + data[end + 1 :]
        return data

    async def _queries(self, action: wire.Queries) -> tuple[wire.Query, ...]:
        return self._stage.zones.queries(action.name)

    # --- the target and time

    async def _look(self, action: wire.Look) -> tuple[bytes, ...]:
        return await self._stage.mailboxes.look(action.recipient, action.token, action.count, action.timeout_s)

    async def _control(self, action: wire.Control) -> wire.Controlled:
        return await self._stage.control(action.hook, action.argument, action.timeout_s)

    async def _wait(self, action: wire.Wait) -> None:
        await asyncio.sleep(action.seconds)

    async def _now(self, action: wire.Now) -> float:
        return time.monotonic()

    async def _remark(self, action: wire.Remark) -> None:
        return None


def _client_context(authority: str) -> ssl.SSLContext:
    """With an authority the chain and the name are checked; without, nothing is."""
    if authority:
        return ssl.create_default_context(cafile=authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
