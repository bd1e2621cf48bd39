"""A world for the real components on a plain loop: no sockets, no processes, no clock; it can be cut after every effect.

One World is one life of the machine, from power-on to a cut. It carries the effects out one by one, in order, and calls
`on_boundary` between any two of them, so that a test can take the images a power loss could leave there. What is outside of the
machine (clients, other hosts, what they have seen) lives in `Outside` and survives every cut.

May happen: any component's effects interleave with another's only at event boundaries, in FIFO order; timers fire in order.
Never happens: loss or reordering on a link or a connection; a slow disk. Those are the simulator's to study.
"""

import heapq
from collections import deque
from collections.abc import Callable
from typing import Protocol

from smx import effects as fx
from smx import events as ev
from smx.component import Component
from smx.messages import AnyMessage
from smx.units import SECOND
from tests.crash.disk import Disk

WALL_OFFSET = 1_700_000_000 * SECOND


End = tuple[str, int]  # (process, connection number)


class Endpoint(Protocol):
    """The other side of a connection: a scripted client or host. Each method gives the octets to send back."""

    closed: bool

    def opened(self) -> bytes: ...

    def received(self, data: bytes) -> bytes: ...

    def lost(self) -> None: ...


class World:
    """The machine: components, their inbox, timers, connections, and the disk below them."""

    def __init__(self, components: list[Component], disk: Disk, *, epoch: int, hosts: dict[tuple[str, int], Callable[[], Endpoint]], seed: int = 7) -> None:
        self.components = {component.name: component for component in components}
        self.disk = disk
        self.hosts = hosts
        self.now = epoch * 1000 * SECOND
        self.epochs = {name: epoch + index for index, name in enumerate(self.components)}
        self.inbox: deque[tuple[str, ev.AnyEvent]] = deque()
        self.timers: dict[tuple[str, str, int], int] = {}
        self.alarms: list[tuple[int, int, tuple[str, str, int]]] = []
        self.ends: dict[End, End | Endpoint] = {}
        self.accepting: dict[str, str] = {}
        self.notes: list[tuple[str, fx.Note]] = []
        self.halted = ""
        self.on_boundary: Callable[[str, fx.AnyEffect], None] = lambda _process, _effect: None
        self.tamper: Callable[[str, fx.AnyEffect], list[fx.AnyEffect]] = lambda _process, effect: [effect]
        self._numbers = 0
        self._waiting: deque[tuple[str, Endpoint]] = deque()
        self._order = 0
        self.unsealed: set[int] = set()  # content segments that writers of this life hold open
        self.deposits: dict[int, tuple[str, bytearray]] = {}
        self.on_note: Callable[[fx.Note], None] = lambda _note: None
        self.on_deposit: Callable[[str, bytes], None] = lambda _directory, _content: None
        self.records: dict[str, tuple[tuple[int, str], ...]] = {}
        for name in self.components:
            self.post(name, ev.Started(self.epochs[name], seed, WALL_OFFSET))
        self._listen("lda", "lda:0")
        self._listen("smtps.mx.0", "smtps.mx:0")
        self._link()

    # --- life ---------------------------------------------------------------------------------------------------------

    def post(self, process: str, event: ev.AnyEvent) -> None:
        self.inbox.append((process, event))

    def tell(self, sender: str, process: str, message: AnyMessage) -> None:
        """A message of a process that is not here, such as a queue tool."""
        self.post(process, ev.Linked(sender, 1))
        self.post(process, ev.Told(sender, message))

    def run(self, *, until: Callable[[], bool] = lambda: False, horizon_us: int = 0, steps_max: int = 20_000) -> None:
        """Steps until nothing is left to do (or `until`), letting time pass up to `horizon_us` from now for timers."""
        end = self.now + horizon_us
        for _ in range(steps_max):
            if self.halted or until():
                return
            if not self.inbox and not self._pass_time(end):
                return
            if self.inbox:
                process, event = self.inbox.popleft()
                self._step(process, event)
        raise AssertionError(f"the world does not come to rest: {list(self.inbox)[:3]}")

    def _pass_time(self, end: int) -> bool:
        while self.alarms:
            at, _, key = self.alarms[0]
            if self.timers.get(key) != at:
                heapq.heappop(self.alarms)
                continue
            if at > end:
                return False
            heapq.heappop(self.alarms)
            del self.timers[key]
            self.now = max(self.now, at)
            self.post(key[0], ev.Expired(key[1], key[2]))
            return True
        return False

    def _step(self, process: str, event: ev.AnyEvent) -> None:
        for ordered in self.components[process].step(event, self.now):
            for effect in self.tamper(process, ordered):
                if self.halted:
                    return
                self._carry_out(process, effect)
                self.on_boundary(process, effect)

    # --- effects --------------------------------------------------------------------------------------------------------

    def _carry_out(self, process: str, effect: fx.AnyEffect) -> None:
        match effect:
            case fx.Tell():
                if effect.process in self.components:  # what is told to a queue tool is only seen by `tamper`
                    self.post(effect.process, ev.Told(process, effect.message))
            case fx.Note():
                self.notes.append((process, effect))
                self.on_note(effect)
            case fx.Halt():
                self.halted = f"{process}: {effect.reason}"
            case fx.Arm():
                key = (process, effect.timer, effect.of)
                self.timers[key] = effect.at
                self._order += 1
                heapq.heappush(self.alarms, (effect.at, self._order, key))
            case fx.Disarm():
                self.timers.pop((process, effect.timer, effect.of), None)
            case fx.Accept() | fx.Connect() | fx.Transmit() | fx.Close() | fx.Pause() | fx.Resume() | fx.StartTls():
                self._network(process, effect)
            case fx.Query():
                records = self.records.get(f"{effect.rrtype} {effect.name}", ())
                found = tuple(ev.DnsRecord(preference, value) for preference, value in records)
                self.post(process, ev.Answered(effect.request, "OK" if found else "NXDOMAIN", found, 3600 * SECOND, effect.name))
            case fx.LoadMap():
                self.post(process, ev.MapLoaded(effect.map, (("list@lab.example", "alice, bob"), ("list", "alice, bob")), 1))
            case fx.Lookup():
                self.post(process, ev.LookedUp(effect.request, "NOTFOUND"))
            case fx.OpenDeposit():
                self.deposits[effect.deposit] = (effect.directory, bytearray())
            case fx.WriteDeposit():
                self.deposits[effect.deposit][1].extend(effect.data)
            case fx.DropDeposit():
                self.deposits.pop(effect.deposit, None)
            case fx.CommitDeposit():
                directory, data = self.deposits.pop(effect.deposit)
                self.on_deposit(directory, bytes(data))
                self.post(process, ev.Deposited(effect.deposit))
            case _:
                self._watch_segments(effect)
                for event in self.disk.apply(effect):
                    self.post(process, event)

    def _watch_segments(self, effect: fx.AnyEffect) -> None:
        if isinstance(effect, fx.OpenSegment) and effect.store == "cdb":
            self.unsealed.add(effect.segment)
        elif isinstance(effect, fx.Seal) and effect.store == "cdb":
            self.unsealed.discard(effect.segment)

    def _network(self, process: str, effect: fx.AnyEffect) -> None:
        match effect:
            case fx.Accept():
                if effect.on:
                    self.accepting[effect.listener] = process
                    waiting, self._waiting = self._waiting, deque()
                    for listener, client in waiting:
                        self.dial(listener, client)
                else:
                    self.accepting.pop(effect.listener, None)
            case fx.Connect():
                self._connect(process, effect)
            case fx.Transmit():
                self._transmit((process, effect.connection), effect.data)
            case fx.Close():
                self._close((process, effect.connection))
            case _:
                pass

    def _connect(self, process: str, effect: fx.Connect) -> None:
        here = (process, effect.connection)
        if effect.host.startswith("/"):
            number = self._number()
            self.ends[here] = ("lda", number)
            self.ends["lda", number] = here
            self.post(process, ev.Connected(effect.connection))
            self.post("lda", ev.Accepted(number, "lda:0", "", 0))
            return
        make = self.hosts.get((effect.host, effect.port))
        if make is None:
            self.post(process, ev.ConnectFailed(effect.connection, "connection refused"))
            return
        script = make()
        self.ends[here] = script
        self.post(process, ev.Connected(effect.connection, "192.0.2.1"))
        greeting = script.opened()
        if greeting:
            self.post(process, ev.Received(effect.connection, greeting))

    def dial(self, listener: str, client: Endpoint) -> None:
        """A client from loopback; it waits in the backlog until the listener accepts."""
        process = self.accepting.get(listener)
        if process is None:
            self._waiting.append((listener, client))
            return
        number = self._number()
        self.ends[process, number] = client
        self.post(process, ev.Accepted(number, listener, "127.0.0.1", 40000 + number, "127.0.0.1", 25))
        self._say((process, number), client.opened())

    def _transmit(self, here: End, data: bytes) -> None:
        other = self.ends.get(here)
        if other is None:
            return
        if isinstance(other, tuple):
            self.post(other[0], ev.Received(other[1], data))
        else:
            self._say(here, other.received(data))
            if other.closed:
                self.ends.pop(here, None)
                self.post(here[0], ev.PeerClosed(here[1]))
        self.post(here[0], ev.Drained(here[1]))

    def _say(self, there: End, data: bytes) -> None:
        if data:
            self.post(there[0], ev.Received(there[1], data))

    def _close(self, here: End) -> None:
        other = self.ends.pop(here, None)
        self.inbox = deque(item for item in self.inbox if not (item[0] == here[0] and getattr(item[1], "connection", None) == here[1]))
        if isinstance(other, tuple):
            self.ends.pop(other, None)
            self.post(other[0], ev.PeerClosed(other[1]))
        elif other is not None:
            other.lost()

    # --- birth ------------------------------------------------------------------------------------------------------------

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _listen(self, process: str, listener: str) -> None:
        if process in self.components:
            self.post(process, ev.Listening(listener, "127.0.0.1", 25))

    def _link(self) -> None:
        for one, other in (("qmgr", "smar"), ("smtps.mx.0", "qmgr"), ("smtps.mx.0", "smar"), ("smtpc.0", "qmgr")):
            if one in self.components and other in self.components:
                self.post(one, ev.Linked(other, self.epochs[other]))
                self.post(other, ev.Linked(one, self.epochs[one]))
