"""Connection: one TCP or UNIX connection of a component, as an asyncio protocol whose callbacks call `step`.

States      plain -> (StartTls) handshake -> secured; `shut` once Close was carried out or the peer is gone: no event after that.
Strategies  Transmits of one step are joined and written once. Drained is said after each DRAIN_OCTETS that were transmitted, once the transport
            holds little of them: so a component that counts what it transmits may stop at that number and wait, and never waits in vain.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from smx.events import AnyEvent, Drained, PeerClosed, Received, TlsStarted
from smx.live.tls import TlsLayer
from smx.units import KIB

if TYPE_CHECKING:
    from smx.live.network import Network

DRAIN_OCTETS: Final = 64 * KIB
WATER_HIGH: Final = DRAIN_OCTETS - 1
WATER_LOW: Final = 16 * KIB
HANDSHAKE_TIMEOUT_S: Final = 30.0
LINGER_S: Final = 30.0  # a peer that does not take what was transmitted before Close is cut off


class Connection(asyncio.Protocol):
    """`number`: the component's name for it. `opened` is called once the transport is there."""

    def __init__(self, network: Network, number: int, opened: Callable[[Connection], None]) -> None:
        self.number = number
        self.transport: asyncio.Transport
        self.waiting: list[bytes] = []  # transmitted in this step
        self.shut = False
        self._network = network
        self._deliver: Callable[[AnyEvent], None] = network.deliver
        self._loop = network.loop
        self._opened = opened
        self._congested = False
        self._paused = False
        self._held = b""
        self._since_drained = 0
        self._tls: TlsLayer | None = None
        self._handshake_timer: asyncio.TimerHandle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None

    # --- callbacks of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self.shut:  # closed before it was there
            self.transport.abort()
            return
        self.transport.set_write_buffer_limits(WATER_HIGH, WATER_LOW)
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        if self.shut:
            return
        if self._paused:
            self._hold(data)
        elif self._tls is None:
            self._deliver(Received(self.number, data))
        elif self._tls.established:
            self._on_secured_data(self._tls, data)
        else:
            self._on_handshake_data(self._tls, data)

    def eof_received(self) -> bool:
        self._lost("end of stream")
        self._close_transport()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._lost(_reason(error))
        self._network.gone(self)
        if self._linger_timer is not None:
            self._linger_timer.cancel()

    def pause_writing(self) -> None:
        self._congested = True

    def resume_writing(self) -> None:
        self._congested = False
        self._drained()

    # --- orders

    def send(self) -> None:
        """Write what was transmitted in this step."""
        waiting = self.waiting
        data = waiting[0] if len(waiting) == 1 else b"".join(waiting)
        self.waiting = []
        if self._tls is None:
            self.transport.write(data)
        else:
            self._tls.send(data)
        self._since_drained += len(data)
        if self._since_drained >= DRAIN_OCTETS and not self._congested:
            self._since_drained = 0
            self._loop.call_soon(self._drained)

    def pause(self) -> None:
        if not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
            if self._held:
                self._loop.call_soon(self._give_held)

    def start_tls(self, context: ssl.SSLContext, *, server_side: bool, server_name: str) -> None:
        """Every octet from here on belongs to the handshake."""
        assert self._tls is None, "TLS within TLS"
        self._held = b""
        self._tls = TlsLayer(context, self.transport.write, server_side=server_side, server_name=server_name)
        self._handshake_timer = self._loop.call_later(HANDSHAKE_TIMEOUT_S, self._handshake_failed, "handshake timed out")
        if not server_side:
            self._loop.call_soon(self._on_handshake_data, self._tls, b"")

    def close(self, *, abort: bool) -> None:
        """Flush and close, or break off; no event follows."""
        self._shut()
        if abort:
            self.transport.abort()
            return
        if self._tls is not None and self._tls.established and not self.transport.is_closing():
            self._tls.finish()
        self._close_transport()

    # --- inside

    def _hold(self, data: bytes) -> None:
        """Octets in spite of a pause: uvloop begins to read after connection_made, whatever was said in it. Said again, it listens."""
        self._held += data
        self.transport.resume_reading()
        self.transport.pause_reading()

    def _give_held(self) -> None:
        held, self._held = self._held, b""
        if held:
            self.data_received(held)

    def _close_transport(self) -> None:
        """Flush and close; a peer that does not read cannot hold the descriptor for ever (I16)."""
        if self._linger_timer is None and self.transport.get_write_buffer_size():
            self._linger_timer = self._loop.call_later(LINGER_S, self.transport.abort)
        self.transport.close()

    def _on_handshake_data(self, tls: TlsLayer, data: bytes) -> None:
        if self.shut:
            return
        try:
            if not tls.handshake(data):
                return
        except ssl.SSLError as error:
            self._handshake_failed(tls_reason(error))
            return
        self._stop_handshake_timer()
        self._deliver(TlsStarted(self.number, "", tls.version, tls.cipher))
        if not self.shut:
            self._on_secured_data(tls, b"")  # what came in one piece with the end of the handshake

    def _handshake_failed(self, reason: str) -> None:
        self._shut()
        self._deliver(TlsStarted(self.number, reason))
        self._close_transport()

    def _on_secured_data(self, tls: TlsLayer, data: bytes) -> None:
        try:
            plain, ended = tls.receive(data)
        except ssl.SSLError as error:
            self._lost(tls_reason(error))
            self.transport.abort()
            return
        if plain:
            self._deliver(Received(self.number, plain))
        if ended and not self.shut:
            self._lost("end of stream")
            self._close_transport()

    def _lost(self, reason: str) -> None:
        """The peer is gone: the last event."""
        if self.shut:
            return
        handshaking = self._handshake_timer is not None
        self._shut()
        self._deliver(TlsStarted(self.number, reason) if handshaking else PeerClosed(self.number, reason))

    def _drained(self) -> None:
        self._since_drained = 0
        if not self.shut:
            self._deliver(Drained(self.number))

    def _shut(self) -> None:
        self.shut = True
        self._network.forget(self)
        self._stop_handshake_timer()

    def _stop_handshake_timer(self) -> None:
        if self._handshake_timer is not None:
            self._handshake_timer.cancel()
            self._handshake_timer = None


def _reason(error: Exception | None) -> str:
    """What became of the connection, for a log line or a verdict."""
    if error is None:
        return "end of stream"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__


def tls_reason(error: ssl.SSLError) -> str:
    """The library's own name of the trouble: `WRONG_VERSION_NUMBER`, `CERTIFICATE_VERIFY_FAILED`."""
    return (error.reason or str(error)).replace("_", " ").lower()
