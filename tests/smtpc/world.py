"""A world for SMTPC: peers by address, a content store, timers; every Deliver is checked to end in exactly one Delivered."""

import random
import zlib
from collections import deque

from smx.config.schema import SmtpcSettings
from smx.effects import AnyEffect, Arm, Close, Connect, Disarm, Halt, Note, Read, StartTls, Tell, Transmit
from smx.events import (
    AnyEvent,
    Connected,
    ConnectFailed,
    Drained,
    Expired,
    Linked,
    PeerClosed,
    ReadFailed,
    Readout,
    Received,
    Started,
    StopRequested,
    TlsStarted,
    Told,
)
from smx.messages import Capacity, Content, Deliver, Delivered, DotSent, Host, Outcome, Protocol, Recipient, Route, Verdict
from smx.notes import NOTES
from smx.smtpc.content import CHUNK_OCTETS
from smx.smtpc.machine import Smtpc
from smx.units import SECOND
from tests.smtpc.peer import Behaviour, Peer, Taken
from tests.worlds.timers import Timers, set_timer, take_due

MESSAGE = b"Received: from a\r\nSubject: x\r\n\r\n.dot\r\nbody\r\n"
GOOD = (Outcome.DELIVERED, Outcome.RELAYED)


def content_of(message: bytes, offset: int = 100) -> Content:
    return Content(7, offset, len(message), zlib.crc32(message), dot_lines=int(message.startswith(b".") or b"\r\n." in message))


class World:
    def __init__(
        self, settings: SmtpcSettings | None = None, *, cuts: random.Random | None = None, hosts: dict[str, Behaviour] | None = None, **named: Behaviour
    ) -> None:
        self.settings = settings or SmtpcSettings(helo="client.example.org", tls=True)
        self.smtpc = Smtpc(self.settings, "smtpc.0")
        self.cuts = cuts
        self.behaviours = named | (hosts or {})
        self.taken: dict[str, list[Taken]] = {}
        self.connections: dict[str, int] = {}
        self.peers: dict[int, Peer] = {}
        self.address_of: dict[int, str] = {}
        self.open: set[int] = set()
        self.closing: set[int] = set()  # the peer has closed, SMTPC does not know yet
        self.most_open = 0
        self.unread: dict[int, int] = {}  # octets of a peer that reads nothing
        self.now = 1_700_000_000 * SECOND
        self.timers: Timers = {}
        self.events: deque[AnyEvent] = deque()
        self.store: dict[int, bytes] = {}  # offset in segment 7: octets; 100 is MESSAGE
        self.read_error: tuple[bool, str] | None = None
        self.orders: dict[int, Deliver] = {}
        self.delivered: dict[int, Delivered] = {}
        self.dots: list[int] = []
        self.trail: list[AnyEffect] = []
        self.halted = False
        self.told = 0
        self.transmitted: dict[int, int] = {}
        self.capacity = -1
        self.give(Started(1, 2))
        self.give(Linked("qmgr", 5))

    # --- driving

    def route(self, *addresses: str, protocol: Protocol = Protocol.SMTP) -> Route:
        hosts = tuple(Host(f"mx{number}.example.net", (address,), 0 if address.startswith("/") else 25) for number, address in enumerate(addresses))
        return Route("example.net", protocol, hosts)

    def deliver(
        self, *addresses: str, recipients: int = 1, message: bytes = MESSAGE, protocol: Protocol = Protocol.SMTP, keep_us: int = 0, run: bool = True
    ) -> int:
        number = len(self.orders) + 1
        offset = 100 + sum(len(octets) for octets in self.store.values())
        self.store[offset] = message
        people = tuple(Recipient(index + 3, b"user%d@example.net" % index) for index in range(recipients))
        order = Deliver(
            number, 1000 + number, self.route(*addresses, protocol=protocol), b"me@example.org", people, content_of(message, offset), keep_us=keep_us
        )
        self.orders[number] = order
        self.give(Told("qmgr", order))
        if run:
            self.run()
        return number

    def give(self, event: AnyEvent) -> None:
        if self.halted:
            return
        if isinstance(event, PeerClosed) or (isinstance(event, TlsStarted) and event.error):
            self.open.discard(event.connection)
        for effect in self.smtpc.step(event, self.now):
            self.trail.append(effect)
            self.carry_out(effect)

    def run(self, *, patience: int = 10_000) -> None:
        """Until nothing happens any more: every delivery has ended or nothing but idle timers is left."""
        for _ in range(patience):
            if self.events:
                self.give(self.events.popleft())
            elif len(self.delivered) < len(self.orders) and self.timers:
                self.ring()
            else:
                return
        raise AssertionError("no end")

    def ring(self) -> None:
        """The next timer."""
        self.ring_until(max(self.timers.values()))

    def ring_until(self, until: int) -> bool:
        """The next timer, if it rings up to then."""
        due = take_due(self.timers, until)
        if due is not None:
            self.now = max(self.now, due[0])
            self.give(Expired(*due[1]))
        return due is not None

    def pass_time(self, us: int) -> None:
        until = self.now + us
        self.run()
        while self.ring_until(until):
            self.run()
        self.now = until

    # --- carrying out

    def carry_out(self, effect: AnyEffect) -> None:
        assert not self.halted
        match effect:
            case Tell(process, message):
                assert process == "qmgr"
                self.on_told(message)
            case Connect(connection, host):
                self.connect(connection, host)
            case Transmit(connection, data):
                assert connection in self.open, "nothing is sent on a closed connection"
                assert data
                self.transmit(connection, data)
            case StartTls(connection, server_side, context, name):
                assert (server_side, context) == (False, "client")
                assert name.startswith("mx")
                self.start_tls(connection)
            case Close(connection):
                self.close(connection)
            case Read(store, request, segment, offset, octets):
                assert (store, segment) == ("cdb", 7)
                assert 0 < octets <= CHUNK_OCTETS
                self.read(request, offset, octets)
            case Arm() | Disarm():
                set_timer(self.timers, effect)
            case Note(name, values):
                assert len(values) == len(NOTES[name].fields)
            case Halt():
                self.halted = True
            case _:
                raise AssertionError(f"SMTPC does not do this: {effect}")

    def on_told(self, message: object) -> None:
        match message:
            case Delivered(delivery):
                assert delivery not in self.delivered, "one Delivered for each Deliver"
                order = self.orders[delivery]
                assert [verdict.index for verdict in message.verdicts] == [recipient.index for recipient in order.recipients]
                self.delivered[delivery] = message
                self.check_truth(order, message)
            case DotSent(delivery):
                assert delivery not in self.dots
                last = self.trail[-2]
                assert isinstance(last, Note)
                assert last.name == "dot"
                before = self.trail[-3]
                assert isinstance(before, Transmit)
                self.dots.append(delivery)
            case Capacity(most):
                self.capacity = most
            case _:
                raise AssertionError(f"SMTPC does not say this: {message}")

    def check_truth(self, order: Deliver, delivered: Delivered) -> None:
        """Never `delivered` without a 2yz to the dot, for that recipient and with those octets (I3, I5)."""
        message = self.store[order.content.offset]
        taken = [each for several in self.taken.values() for each in several if each.content == message]
        for verdict, recipient in zip(delivered.verdicts, order.recipients, strict=True):
            if verdict.outcome in GOOD:
                assert verdict.code // 100 == 2
                assert any(recipient.address in each.recipients and any(code // 100 == 2 for code in each.codes) for each in taken)
            else:
                assert verdict.outcome in (Outcome.DEFERRED, Outcome.FAILED)
                assert verdict.text

    def connect(self, connection: int, host: str) -> None:
        assert connection < 0
        self.address_of[connection] = host
        behaviour = self.behaviours[host]
        self.open.add(connection)
        self.most_open = max(self.most_open, len(self.open))
        if behaviour.connect == "refuse":
            self.open.discard(connection)
            self.events.append(ConnectFailed(connection, "connection refused"))
        elif behaviour.connect == "ok":
            self.connections[host] = self.connections.get(host, 0) + 1
            self.peers[connection] = Peer(behaviour, faulty=self.connections[host] <= behaviour.times, taken=self.taken.setdefault(host, []))
            self.events.append(Connected(connection))
            self.answer(connection)

    def transmit(self, connection: int, data: bytes) -> None:
        self.transmitted[connection] = self.transmitted.get(connection, 0) + len(data)
        peer = self.peers[connection]
        peer.feed(data)
        self.answer(connection)
        if peer.hung:
            self.unread[connection] = self.unread.get(connection, 0) + len(data)
        elif self.transmitted[connection] >= CHUNK_OCTETS:
            self.transmitted[connection] = 0
            self.events.append(Drained(connection))

    def answer(self, connection: int) -> None:
        peer = self.peers[connection]
        data, peer.output = peer.output, b""
        while data:
            size = self.cuts.randrange(1, len(data) + 1) if self.cuts else len(data)
            self.events.append(Received(connection, data[:size]))
            data = data[size:]
        if peer.closed and connection not in self.closing:
            self.closing.add(connection)
            self.events.append(PeerClosed(connection, ""))

    def start_tls(self, connection: int) -> None:
        peer = self.peers[connection]
        assert peer.handshaking
        peer.handshaking = False
        error = "" if peer.behaviour.handshake == "ok" else peer.behaviour.handshake
        peer.tls = not error
        if error:
            peer.closed = True
            self.closing.add(connection)
        self.events.append(TlsStarted(connection, error))

    def close(self, connection: int) -> None:
        self.open.discard(connection)
        self.events = deque(event for event in self.events if getattr(event, "connection", None) != connection)

    def read(self, request: int, offset: int, octets: int) -> None:
        if self.read_error is not None:
            self.events.append(ReadFailed(request, *self.read_error))
            return
        start = max(at for at in self.store if at <= offset)
        data = self.store[start][offset - start : offset - start + octets]
        assert len(data) == octets
        self.events.append(Readout(request, data))

    # --- asking

    def verdicts(self, number: int) -> tuple[Verdict, ...]:
        return self.delivered[number].verdicts

    def verdict(self, number: int) -> Verdict:
        (verdict,) = self.verdicts(number)
        return verdict

    def stop(self, grace_us: int = 10 * SECOND) -> None:
        self.give(StopRequested(grace_us))
