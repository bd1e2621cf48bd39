"""Connection: one end of a simulated TCP or UNIX connection. What one end sends, the other end's party receives later, in order.

May happen     pieces of any size at any later time; a break at any octet, told to both ends, to one, or to nobody; a peer that takes nothing.
Never happens  reordering, loss or damage inside a connection, a piece after the end: TCP hides these, so the world above need not see them.

Strategies  While nothing is in the way a send is one call of `env.after`: no queue, no draw, no copy. Anything else (bandwidth, splitting, a
            peer that has paused, a partition, a cut to come) sets `_slow`, and the octets go through a queue and a window.
            Drained is said by the rule of smx.live.connection: after each DRAIN_OCTETS sent, once little of it is unsent.
            The end of the peer's stream closes this end too, as the live runtime does; only `finish` leaves an end half-closed.
            A TLS handshake is three turns of control items between the ends; octets in plaintext that come in between end it (F34).
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from sim.handshake import CLIENT_HELLO, HELLO, Done, Handshake
from sim.party import END_OF_STREAM, RESET, TIMED_OUT, Party
from smx.units import KIB, SECOND

if TYPE_CHECKING:
    from sim.environment import Handle
    from sim.network import Network

DRAIN_OCTETS: Final = 64 * KIB  # as smx.live.connection
WATER_LOW: Final = 16 * KIB
WINDOW: Final = 128 * KIB  # octets on the way and in the receiver's buffer
LINGER_US: Final = 30 * SECOND
TCP_TIMEOUT_US: Final = 924 * SECOND  # 15 retransmissions
RETRANSMITS_MAX: Final = 10


class Mark:
    """Travels behind octets, and tells whether the process at the other end has read them."""

    __slots__ = ("tell", "to")

    def __init__(self, to: "Connection", tell: Callable[[bool], None]) -> None:
        self.to = to
        self.tell = tell

    def __call__(self) -> None:
        self.to._on_mark(self)


class Connection:
    """One end. `owner` names the process that holds it ("" : nobody's). `open`: its party may still hear of it."""

    __slots__ = (
        "_blackhole",
        "_channel",
        "_clogged",
        "_cut_in",
        "_deliver",
        "_finished",
        "_free_at",
        "_gone",
        "_handshake",
        "_held",
        "_impaired",
        "_in_flight",
        "_network",
        "_paused",
        "_queue",
        "_queued",
        "_reading",
        "_since",
        "_slow",
        "_stalled",
        "bandwidth",
        "env",
        "home",
        "latency_us",
        "local_host",
        "local_port",
        "number",
        "open",
        "other",
        "owner",
        "party",
        "peer_host",
        "peer_port",
        "secured",
        "tls_error",
    )

    def __init__(self, network: "Network", number: int, local: tuple[str, int], peer: tuple[str, int], home: str, latency_us: int) -> None:
        self.number: Final = number
        self.local_host, self.local_port = local
        self.peer_host, self.peer_port = peer
        self.home: Final = home  # the host whose machine holds this end
        self.owner = ""
        self.open = True
        self.party: Party
        self.other: Connection
        self.latency_us = latency_us
        self.bandwidth = 0
        self._network: Final = network
        self.env: Final = network.env
        self._channel: Final = network.env.channel()  # of what this end sends
        self._deliver: Callable[[bytes], None]
        self._queue: deque[bytes | Callable[[], None]] = deque()
        self._queued = 0
        self._since = 0  # octets sent since Drained was said
        self._in_flight = 0
        self._free_at = 0
        self._cut_in = -1  # octets that still pass in this direction, -1: all
        self._blackhole = False
        self._clogged = False
        self._impaired = False
        self._slow = False
        self._reading = False
        self._paused = False
        self._held: deque[tuple[bytes, int] | Callable[[], None]] = deque()
        self._finished = False  # this end has sent FIN
        self._gone = False  # the machine of this end died with it
        self._stalled: Handle | None = None
        self.secured = False  # inside TLS
        self.tls_error = ""  # why this end, as a server, refuses a handshake
        self._handshake: Handshake | None = None  # that is under way

    def __repr__(self) -> str:
        return f"<{self.local_host}:{self.local_port} > {self.peer_host}:{self.peer_port}>"

    # --- orders of the party ----------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Octets for the other end. Without effect on a connection that is over."""
        if not self.open or not data or self._finished:
            return
        if not self.owner and self._network.trace is not None:
            self._network.trace.record(self.env.now, self.local_host, "sends", data)
        self._since += len(data)
        if self._slow or self._since >= DRAIN_OCTETS:
            self._send_slowly(data)
        else:
            self.env.after(self._channel, self.latency_us, self._deliver, data)

    def close(self) -> None:
        """Send what was sent, then FIN. Nothing more is heard of this connection here."""
        if self.open:
            unread = self._unread()
            self._shut()
            self._control(self.other._on_reset_by_peer if unread else self.other._on_fin)
            self._finished = True
            if self._queue:
                self.env.later(LINGER_US, self._on_linger_over)

    def abort(self) -> None:
        """RST: what was sent and has not left is dropped."""
        if self.open:
            self._shut()
            self._drop_queue()
            self._control(self.other._on_reset_by_peer)
            self._finished = True

    def finish(self) -> None:
        """FIN, but go on reading: a half-closed connection."""
        if self.open and not self._finished:
            self._control(self.other._on_fin)
            self._finished = True

    def mark(self, tell: Callable[[bool], None]) -> None:
        """`tell(True)` when all that was sent until now has been read; `tell(False)` when it never will be. Said once, perhaps much later."""
        if self.open and not self._finished:
            self._control(Mark(self.other, tell))
        else:
            tell(False)

    def pause(self) -> None:
        """Read no more: the other end is held back once the window is full."""
        if self.open and not self._paused:
            self._paused = True
            self._look()
            self.other._look()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._look()
            self.other._look()
            if self._held:
                self.env.after(self.other._channel, 0, self._give_held)

    def start_tls(self, server_side: bool, done: Done) -> None:
        """A handshake begins now. `done` is said once: with an error the connection is over."""
        assert not self.secured and self._handshake is None, "TLS within TLS"
        if self.open:
            self._drop_held()  # F34: what was received and not yet given is dropped
            self._handshake = Handshake(self, done)
            self._look()
            if not server_side:
                self.turn(CLIENT_HELLO)

    # --- sending ----------------------------------------------------------------------------------------------------------

    def _send_slowly(self, data: bytes) -> None:
        self._queue.append(data)
        self._queued += len(data)
        self._slow = True
        self._pump()

    def _control(self, item: Callable[[], None]) -> None:
        """Something that is not octets, in line behind them."""
        if self._slow:
            self._queue.append(item)
            self._pump()
        else:
            self.env.after(self._channel, self.latency_us, item)

    def _pump(self) -> None:
        """Send from the queue what the path and the window let pass."""
        queue = self._queue
        while queue and not self._clogged and not self._blackhole:
            item = queue[0]
            if not isinstance(item, bytes):
                queue.popleft()
                self.env.after(self._channel, self._delay(0), item)
                continue
            room = WINDOW - self._in_flight
            if room <= 0:
                break
            piece = self._network.piece(item) if self._impaired else item
            if len(piece) > room:
                piece = piece[:room]
            if 0 <= self._cut_in < len(piece):
                piece = piece[: self._cut_in]
                self._put(piece)
                self._sever()
                return
            queue.popleft()
            if len(piece) < len(item):
                queue.appendleft(item[len(piece) :])
            if self._cut_in >= 0:
                self._cut_in -= len(piece)
            self._put(piece)
        self._after_pump()

    def _put(self, piece: bytes) -> None:
        """Onto the wire."""
        if piece:
            self._queued -= len(piece)
            self._in_flight += len(piece)
            self.env.after(self._channel, self._delay(len(piece)), self.other._on_counted, piece)

    def _delay(self, octets: int) -> int:
        delay = self.latency_us
        if self._impaired:
            delay += self._network.jitter()
            if self.bandwidth:
                self._free_at = max(self._free_at, self.env.now) + octets * SECOND // self.bandwidth
                delay += self._free_at - self.env.now
        return delay

    def _after_pump(self) -> None:
        if self._queue and (self._clogged or self._blackhole):
            self._stall()
        if self._since >= DRAIN_OCTETS and self._queued <= WATER_LOW and self.open:
            self._since = 0
            self.env.later(0, self._say_drained)
        self._look()

    def _say_drained(self) -> None:
        if self.open:
            self.party.drained()

    def _look(self) -> None:
        """Which ways are open?"""
        self._slow = self._impaired or self._clogged or self._blackhole or self.other._paused or bool(self._queue)
        self._reading = self.open and not self._paused and not self._held and self._handshake is None

    def _drop_queue(self) -> None:
        dropped, self._queue, self._queued = self._queue, deque(), 0
        for item in dropped:
            if isinstance(item, Mark):
                item.tell(False)

    # --- receiving --------------------------------------------------------------------------------------------------------

    def _on_octets(self, data: bytes) -> None:
        if self._reading:
            self.party.received(data)
        else:
            self._on_octets_unread(data, 0)

    def _on_counted(self, data: bytes) -> None:
        """From the other end's window."""
        if self._reading:
            self._taken(len(data))
            self.party.received(data)
        else:
            self._on_octets_unread(data, len(data))

    def _on_octets_unread(self, data: bytes, counted: int) -> None:
        if not self.open:
            self._taken(counted)
            self._on_unwanted()
        elif self._handshake is not None:
            self._taken(counted)
            self._handshake.fail("wrong version number")  # F34: plaintext where TLS is due
        else:
            self._held.append((data, counted))
            self._reading = False

    def _taken(self, octets: int) -> None:
        """The receiver has read them: the window of the sender opens, and it learns that after a latency."""
        other = self.other
        other._in_flight -= octets
        if octets and other._queue:
            self.env.later(self.latency_us, other._pump)

    def _give_held(self) -> None:
        while self._held and not self._paused and self.open:
            item = self._held.popleft()
            if isinstance(item, Mark):
                item.tell(self.open)
            elif not isinstance(item, tuple):
                item()
            else:
                data, counted = item
                self._taken(counted)
                self.party.received(data)
        self._look()

    def _unread(self) -> bool:
        return any(isinstance(item, tuple) for item in self._held)

    def _on_mark(self, mark: Mark) -> None:
        if self.open and (self._held or self._paused):
            self._held.append(mark)
        else:
            mark.tell(self.open)

    def _drop_held(self) -> None:
        dropped, self._held = self._held, deque()
        for item in dropped:
            if isinstance(item, Mark):
                item.tell(False)

    def _on_unwanted(self) -> None:
        """Octets for an end that is no more: the kernel answers with a reset, a dead machine not at all."""
        other = self.other
        if not other.open:
            return
        if self._gone and not self._network.is_up(self.home):
            other._stall()
        else:
            self.env.after(self._channel, self.latency_us, other._on_reset_by_peer)

    # --- ends -------------------------------------------------------------------------------------------------------------

    def _shut(self) -> None:
        self.open = False
        self._reading = False
        self._drop_held()
        self._network.forget(self)
        if self._handshake is not None:
            self._handshake.stop()

    def _on_fin(self) -> None:
        if not self.open:
            return
        if self._held or self._paused:
            self._held.append(self._on_fin_read)
            self._reading = False
        else:
            self._on_fin_read()

    def _on_fin_read(self) -> None:
        if self.open:
            self._lost(END_OF_STREAM)
            if not self._finished:
                self._control(self.other._on_fin)
                self._finished = True

    def _on_reset_by_peer(self) -> None:
        self._on_reset(RESET)

    def _on_reset(self, reason: str) -> None:
        """The connection broke: no octet of it passes any more."""
        if self.open:
            self._drop_queue()
            self._lost(reason)

    def _lost(self, reason: str) -> None:
        self._shut()
        if self._handshake is not None:
            self._handshake.done(reason, "", "")
        else:
            self.party.closed(reason)

    def _on_linger_over(self) -> None:
        """The peer takes nothing: cut it off (I16)."""
        if self._queue and not self._clogged:
            self._drop_queue()
            self.env.after(self._channel, self.latency_us, self.other._on_reset_by_peer)

    def vanish(self, *, told: bool) -> None:
        """The machine of this end died. `told`: the other end sees a reset now; else it finds out when it sends."""
        self._gone = True
        self._drop_queue()
        self._shut()
        if told:
            self.env.after(self._channel, self.latency_us, self.other._on_reset_by_peer)

    # --- breaks of the path -------------------------------------------------------------------------------------------------

    def impair(self, *, bandwidth: int, impaired: bool) -> None:
        self.bandwidth = bandwidth
        self._impaired = impaired or bandwidth > 0 or self._cut_in >= 0
        self._look()

    def cut_after(self, octets: int) -> None:
        """The connection breaks when so many octets have gone in this direction; -1: it does not."""
        self._cut_in = octets
        self._impaired = self._impaired or octets >= 0
        self._look()

    def clog(self, on: bool) -> None:
        """A partition begins or ends. What is on the wire already arrives."""
        if self._clogged == on:
            return
        self._clogged = on
        self._look()
        if not on and self._queue:
            self._stop_retransmitting()
            self.env.later(self._network.retransmit_us(), self._pump)

    def _sever(self) -> None:
        """The drawn octet was reached (F29, F36)."""
        told = self._network.cut_is_told(self)
        self._drop_queue()
        self.other._drop_queue()
        self._cut_in = -1
        if told:
            self.env.after(self._channel, self.latency_us, self.other._on_reset_by_peer)
            self.env.after(self.other._channel, self.latency_us, self._on_reset_by_peer)
        else:
            for end in (self, self.other):
                end._blackhole = True
                end._look()
            self._stall()

    def end_silence(self) -> None:
        """A silent break is told, the silent death of the machine at the other end too."""
        if self._blackhole or (self.open and self.other._gone):
            self.env.later(0, self._on_reset, RESET)

    def _stall(self) -> None:
        """Nothing is acknowledged any more: retransmit for a quarter of an hour, then give up."""
        if self._stalled is None and self.open:
            self._stalled = self.env.later(SECOND, self._on_retransmit, 1)

    def _stop_retransmitting(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _on_retransmit(self, count: int) -> None:
        self._stalled = None
        if not self.open:
            return
        if self.other._gone and self._network.is_up(self.other.home) and not self._clogged:
            self._on_reset(RESET)  # the machine is there again and knows nothing of this connection
        elif count >= RETRANSMITS_MAX:
            self._on_reset(TIMED_OUT)
        else:
            gap = SECOND << count if count < RETRANSMITS_MAX - 1 else TCP_TIMEOUT_US - (SECOND << count)
            self._stalled = self.env.later(gap, self._on_retransmit, count + 1)

    # --- TLS ----------------------------------------------------------------------------------------------------------------

    def turn(self, turn: str) -> None:
        """A turn of the handshake, for the other end."""
        self._control(partial(self.other._on_turn, turn))

    def _on_turn(self, turn: str) -> None:
        if self.open and self._handshake is not None:
            self._handshake.take(turn)
        elif turn == CLIENT_HELLO:
            self._on_octets(HELLO)

    def refuses_handshake(self) -> str:
        """Why, "" when this end does not."""
        return self.tls_error or self._network.handshake_error()

    def handshake_done(self) -> None:
        self._handshake = None
        self.secured = True
        self._look()

    def handshake_failed(self) -> None:
        """This end closes; its party hears of the handshake, not of the connection."""
        self._shut()
        self._control(self.other._on_fin)
        self._finished = True


def pair(one: Connection, two: Connection) -> None:
    """They are the two ends of one connection."""
    one.other, two.other = two, one
    one._deliver, two._deliver = two._on_octets, one._on_octets
