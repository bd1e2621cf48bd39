"""Memory: the wire without sockets: cases run against an MTA that is a plain object, in one thread, in virtual time.

    result = run_case(case, target, Reference())

The MTA (`Mta`) is told what happens, and acts through the `Outside` it was given. Time passes only while a script waits, and jumps from one of the MTA's
wakes to the next, so that a case about hours takes milliseconds.
"""

import itertools
from collections.abc import Callable
from typing import Any, Protocol

from conformance import wire
from conformance.case import Case
from conformance.dns import Zones
from conformance.outcome import MissingDependency
from conformance.play import Play
from conformance.runner import Result, context_of, result_of
from conformance.sanity import EXTENSION, extensions
from conformance.target import Delivery, Dns, Limits, Mail, Sources, Target

STEPS_MAX = 100_000
TARGET = Target(
    name="memory",
    hostname="mx.local.test",
    services={"smtp": "memory", "submission": "memory", "lmtp": "memory"},
    mail=Mail(local_domain="local.test", recipients=("alice@local.test", "bob@local.test"), unknown="nobody@local.test", relay_domain="relay.dest.test"),
    sources=Sources(trusted="192.0.2.200", outsider="198.51.100.1"),
    delivery=Delivery(command="memory"),
    dns=Dns(listen="memory"),
    limits=Limits(reply_s=5.0, delivery_s=5.0),
)


class Outside(Protocol):
    """What an MTA can do to the world. `now` in seconds."""

    now: float

    def write(self, connection: int, octets: bytes) -> None: ...
    def shut(self, connection: int) -> None: ...
    def dial(self, address: str) -> int:
        """0 when nobody listens there."""

    def lookup(self, name: str, rrtype: str) -> tuple[str, list[str]]:
        """(failure or "", data of the records of this type)."""


class Mta:
    """The base of an MTA under test; a subclass overrides what it can do. `out` is set before anything else happens."""

    out: Outside

    def connected(self, connection: int, service: str, source: str) -> None:
        """A client is there."""

    def received(self, connection: int, octets: bytes) -> None:
        """Octets on a connection, of a client or of one that was dialled."""

    def ended(self, connection: int) -> None:
        """The other end closed or broke it."""

    def secured(self, connection: int) -> None:
        """The suite is content with the handshake: what follows counts as encrypted."""

    def wake_at(self) -> float | None:
        """When `advance` has to be called next."""
        return None

    def advance(self) -> None:
        """Time is `out.now`."""

    def mailbox(self, recipient: str) -> list[bytes]:
        """What was delivered."""
        return []

    def control(self, hook: str, argument: str) -> int:
        """The exit status of a hook."""
        return 1


class World:
    """What stands around one MTA for several cases: names, addresses, time, connections."""

    def __init__(self, mta: Mta) -> None:
        self.now = 1_000.0
        self.mta = mta
        self.zones = Zones()
        self.inbox: dict[int, bytearray] = {}
        self.shut_by_mta: set[int] = set()
        self.listening: dict[str, tuple[MemoryWire, str]] = {}
        self._numbers = itertools.count(1)
        self._addresses = itertools.count(1)
        mta.out = self

    def number(self) -> int:
        number = next(self._numbers)
        self.inbox[number] = bytearray()
        return number

    def address(self) -> str:
        return f"192.0.2.{next(self._addresses)}"

    # --- Outside

    def write(self, connection: int, octets: bytes) -> None:
        assert connection not in self.shut_by_mta, "nothing is written after the end"
        self.inbox[connection] += octets

    def shut(self, connection: int) -> None:
        self.shut_by_mta.add(connection)

    def dial(self, address: str) -> int:
        if address not in self.listening:
            return 0
        case, host = self.listening[address]
        number = self.number()
        case.waiting.append(wire.Accepted(number, host, "192.0.2.250"))
        return number

    def lookup(self, name: str, rrtype: str) -> tuple[str, list[str]]:
        self.zones.asked.append(wire.Query(name, rrtype))
        failure, records = self.zones.find(name, rrtype)
        return failure, [record.data for record in records if record.rrtype == rrtype]

    # --- time

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass until this holds; False when it did not in so many seconds."""
        end = self.now + seconds
        for _ in range(STEPS_MAX):
            if until():
                return True
            wake = self.mta.wake_at()
            if wake is None or wake > end:
                self.now = end
                return until()
            self.now = max(self.now, wake)
            self.mta.advance()
        raise AssertionError("the MTA wakes again and again")


class MemoryWire:
    """The actions of one case."""

    def __init__(self, world: World, domain: str) -> None:
        self.waiting: list[wire.Accepted] = []
        self._world = world
        self._domain = domain
        self._hosts: dict[str, str] = {}
        self._closed: set[int] = set()
        self._broken: set[int] = set()

    def perform(self, action: wire.Action) -> Any:
        """The result of an action."""
        return getattr(self, f"_{type(action).__name__.lower()}")(action)

    def close(self) -> None:
        for host in self._hosts:
            self._unlisten(wire.Unlisten(host))

    def _open(self, action: wire.Open) -> wire.Opened:
        number = self._world.number()
        self._world.mta.connected(number, action.service, action.source)
        return wire.Opened(number)

    def _send(self, action: wire.Send) -> None:
        if action.connection in self._world.shut_by_mta:
            self._broken.add(action.connection)
        elif action.connection not in self._closed:
            self._world.mta.received(action.connection, action.octets)

    def _receive(self, action: wire.Receive) -> wire.Received:
        world, inbox = self._world, self._world.inbox[action.connection]
        world.wait(action.timeout_s, lambda: bool(inbox) or action.connection in world.shut_by_mta)
        if inbox:
            octets = bytes(inbox)
            inbox.clear()
            return wire.Received(octets)
        if action.connection in self._broken:
            return wire.Received(b"", wire.RESET)
        return wire.Received(b"", wire.CLOSED if action.connection in world.shut_by_mta else wire.TIMEOUT)

    def _close(self, action: wire.Close) -> None:
        if action.connection not in self._closed | self._world.shut_by_mta:
            self._closed.add(action.connection)
            self._world.mta.ended(action.connection)

    def _starttls(self, action: wire.StartTls) -> wire.Secured:
        self._world.inbox[action.connection].clear()  # the handshake
        self._world.mta.secured(action.connection)
        return wire.Secured("", "TLSv1.3")

    def _address(self, host: str) -> str:
        if host not in self._hosts:
            self._hosts[host] = self._world.address()
        return self._hosts[host]

    def _listen(self, action: wire.Listen) -> str:
        address = self._address(action.host)
        self._world.listening[address] = (self, action.host)
        return address

    def _unlisten(self, action: wire.Unlisten) -> None:
        self._world.listening.pop(self._address(action.host), None)

    def _accept(self, action: wire.Accept) -> wire.Accepted | None:
        def came() -> wire.Accepted | None:
            return next((accepted for accepted in self.waiting if accepted.host in action.hosts), None)

        self._world.wait(action.timeout_s, lambda: came() is not None)
        accepted = came()
        if accepted is not None:
            self.waiting.remove(accepted)
        return accepted

    def _setzone(self, action: wire.SetZone) -> None:
        records = []
        for record in action.records:
            data = record.data
            while "{" in data:
                before, _, rest = data.partition("{")
                label, _, after = rest.partition("}")
                data = before + self._address(label) + after
            records.append(wire.Record(record.name, record.rrtype, data, record.ttl_s))
        self._world.zones.replace(self._domain, records)

    def _queries(self, action: wire.Queries) -> tuple[wire.Query, ...]:
        return self._world.zones.queries(action.name)

    def _look(self, action: wire.Look) -> tuple[bytes, ...]:
        def found() -> tuple[bytes, ...]:
            messages = (message.replace(b"\r\n", b"\n") for message in self._world.mta.mailbox(action.recipient))
            return tuple(message for message in messages if action.token.encode() in message)

        self._world.wait(action.timeout_s, lambda: len(found()) >= action.count)
        return found()

    def _control(self, action: wire.Control) -> wire.Controlled:
        return wire.Controlled(self._world.mta.control(action.hook, action.argument))

    def _wait(self, action: wire.Wait) -> None:
        self._world.wait(action.seconds)

    def _now(self, action: wire.Now) -> float:
        return self._world.now

    def _remark(self, action: wire.Remark) -> None:
        return None


def run_case(case: Case, target: Target, mta: Mta | World, offered: dict[str, str] | None = None, token: str = "k0") -> Result:
    """What becomes of a case. `offered`: what EHLO offers; None: asked first."""
    world = mta if isinstance(mta, World) else World(mta)
    if offered is None:
        offered = offers(target, world)
    at = context_of(case, target, offered, token)
    case_wire = MemoryWire(world, at.domain)
    play = Play(case, at, lambda: world.now)
    try:
        action = play.begin()
        while action is not None:
            action = play.answer(case_wire.perform(action))
    except MissingDependency as error:
        play.fail(error)
    finally:
        case_wire.close()
    assert play.verdict is not None
    return result_of(case, play.verdict, play.seconds, tuple(play.entries))


def offers(target: Target, world: World) -> dict[str, str]:
    """The extensions of EHLO."""
    told = [entry.text for entry in run_case(extensions, target, world, {}).transcript if entry.text.startswith(EXTENSION)]
    return {keyword: parameters for keyword, _, parameters in (text.removeprefix(EXTENSION).partition(" ") for text in told)}
