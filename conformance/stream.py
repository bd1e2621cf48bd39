"""Stream: one TCP or UNIX connection with, at times, TLS on it: octets as they come, half close, reset. TLS is done in memory, when a script says so."""

import asyncio
import errno
import socket
import ssl
import struct
from contextlib import suppress
from typing import Final

from conformance.wire import CLOSED, HALF, RESET, TIMEOUT, Received, Secured

READ_OCTETS: Final = 65_536
SEND_TIMEOUT_S: Final = 60.0
_LINGER_NONE: Final = struct.pack("ii", 1, 0)


async def connect(where: str, source: str, timeout_s: float) -> "Stream":
    """`where`: host:port or the path of a UNIX socket. Raises OSError, TimeoutError."""
    loop = asyncio.get_running_loop()
    host, _, port = where.rpartition(":")
    family = socket.AF_UNIX if where.startswith("/") else socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    connection = socket.socket(family)
    connection.setblocking(False)
    try:
        if source and family != socket.AF_UNIX:
            connection.bind((source, 0))
        await asyncio.wait_for(loop.sock_connect(connection, where if family == socket.AF_UNIX else (host.strip("[]"), int(port))), timeout_s)
    except BaseException:
        connection.close()
        raise
    return Stream(connection)


class Stream:
    """`name`: who is at the other end."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket: Final = connection
        self._loop: Final = asyncio.get_running_loop()
        self._tls: ssl.SSLObject | None = None
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._broken = False
        connection.setblocking(False)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def send(self, octets: bytes) -> None:
        """A peer that is gone, or does not read, shows at the next receive: one that only closed its side takes octets yet, one that is gone does not."""
        try:
            if self._tls is not None:
                self._tls.write(octets)
                octets = self._out.read()
            await asyncio.wait_for(self._loop.sock_sendall(self._socket, octets), SEND_TIMEOUT_S)
        except TimeoutError:
            return
        except (OSError, ssl.SSLError):
            self._broken = True

    async def receive(self, timeout_s: float) -> Received:
        """At least one octet, or how it ended."""
        try:
            async with asyncio.timeout(timeout_s):
                octets = await (self._read() if self._tls is None else self._read_tls(self._tls))
        except TimeoutError:
            return Received(b"", TIMEOUT)
        except (OSError, ssl.SSLError):
            return Received(b"", RESET)
        return Received(octets, "" if octets else RESET if self._broken else CLOSED)

    async def _read(self) -> bytes:
        return await self._loop.sock_recv(self._socket, READ_OCTETS)

    async def _read_tls(self, tls: ssl.SSLObject) -> bytes:
        while True:
            try:
                return tls.read(READ_OCTETS)
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""
            except ssl.SSLWantReadError:
                await self._exchange()

    async def handshake(self, context: ssl.SSLContext, *, server: bool, name: str, timeout_s: float) -> Secured:
        """As server or as client (`name`: that of the server to be checked and sent)."""
        tls = context.wrap_bio(self._in, self._out, server_side=server, server_hostname=None if server else name)
        try:
            async with asyncio.timeout(timeout_s):
                while not await self._shaken(tls):
                    pass
        except TimeoutError:
            return Secured("no answer in time")
        except (OSError, ssl.SSLError) as error:
            with suppress(OSError):
                await self._flush()  # the alert that says why
            return Secured(getattr(error, "verify_message", "") or getattr(error, "reason", "") or str(error) or type(error).__name__)
        self._tls = tls
        return Secured("", tls.version() or "", verified=context.verify_mode == ssl.CERT_REQUIRED)

    async def _shaken(self, tls: ssl.SSLObject) -> bool:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            await self._exchange()
            return False
        await self._flush()
        return True

    async def _flush(self) -> None:
        if self._out.pending:
            await self._loop.sock_sendall(self._socket, self._out.read())

    async def _exchange(self) -> None:
        """What TLS has to say, then one read."""
        await self._flush()
        octets = await self._read()
        if octets:
            self._in.write(octets)
        elif self._in.eof:
            raise OSError(errno.ECONNRESET, "closed")
        else:
            self._in.write_eof()

    def close(self, how: str) -> None:
        with suppress(OSError):
            if how == HALF:
                self._socket.shutdown(socket.SHUT_WR)
                return
            if how == RESET:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
        self._socket.close()
