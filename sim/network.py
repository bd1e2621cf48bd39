"""Network: hosts, listeners and connections of the simulated world, and what breaks them (F20, F21, F29, F36-F38).

A host is an address. It is dead until something listens there or `known` is said: a dead host answers nothing, a living one refuses what it
does not listen to. A host that begins with `/` is a UNIX socket (port 0): it is near, and nothing ever happens to it but the end of its process.

May happen     connections that wait in a backlog until somebody accepts, that are refused, or time out; partitions, during which nothing passes
               and nobody is told; machines that die with all their connections; breaks by the weather (sim.weather).
Never happens  a connection to the wrong host, or two answers to one attempt.

Who listens    A listening socket outlives the process that accepts on it, as MCP's sockets do: `accepting` says which process (its `owner`) takes
               connections now; with several of them a draw decides.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from sim.connection import Connection, pair
from sim.party import NOBODY, RESET, TIMED_OUT, Party
from sim.weather import CALM, Weather
from smx.units import SECOND

if TYPE_CHECKING:
    from sim.choices import Stream
    from sim.environment import Environment
    from sim.trace import Trace

__all__ = ["Accept", "Connection", "Network", "Party"]

BACKLOG_MAX: Final = 128
SYN_ATTEMPTS_MAX: Final = 7  # 1 + 2 + 4 + ... seconds: 127 in all
ACCEPT_PAUSE_US: Final = SECOND // 2  # after an accept that found no descriptor (F21)
UNIX_LATENCY_US: Final = 20
UNIX_HOST: Final = "/"
EPHEMERAL: Final = 32_768

Accept = Callable[[Connection], Party | None]  # None: no descriptor is left, the connection stays in the backlog
Place = tuple[str, int]  # host and port


class Listener:
    """A listening socket: `acceptors` by the process that accepts, `backlog`: connections that wait for one."""

    def __init__(self, place: Place, *, backlog_on: bool) -> None:
        self.place = place
        self.backlog_on = backlog_on
        self.acceptors: dict[str, Accept] = {}
        self.backlog: dict[int, Connection] = {}
        self.half_open = 0  # handshakes of TCP that are under way


class _Waiting:
    """The party of a connection that nobody has accepted yet."""

    def __init__(self, listener: Listener, connection: Connection) -> None:
        self._listener = listener
        self._connection = connection

    def closed(self, reason: str) -> None:
        self._listener.backlog.pop(self._connection.number, None)


class Counts(msgspec.Struct):
    """What happened, for figures and for "sometimes" markers."""

    connections: int = 0
    refused: int = 0
    timed_out: int = 0
    cuts: int = 0
    partitions: int = 0
    backlogged: int = 0


class Network:
    """All of it. `stream`: the draws; `trace` gets one record a fault, and one for each piece that no process of ours sent."""

    def __init__(self, env: "Environment", stream: "Stream", trace: "Trace | None" = None, weather: Weather = CALM) -> None:
        self.env: Final = env
        self.trace: Final = trace
        self.counts: Final = Counts()
        self.weather = weather
        self._stream: Final = stream
        self._listeners: dict[Place, Listener] = {}
        self._ends: dict[str, dict[int, Connection]] = {}  # open ends of each host
        self._up: dict[str, bool] = {}
        self._islands: dict[str, int] = {}  # hosts of different islands cannot talk
        self._islands_made = 0
        self._clogged: dict[int, Connection] = {}
        self._latencies: dict[tuple[str, str], int] = {}
        self._numbers = 0
        self._ports = EPHEMERAL

    # --- hosts and listeners ----------------------------------------------------------------------------------------------

    def known(self, host: str) -> None:
        """The host lives: it refuses connections to ports that nobody listens to."""
        self._up.setdefault(host, True)

    def is_up(self, host: str) -> bool:
        return self._up.get(host, False)

    def listen(self, host: str, port: int, accept: Accept | None = None, *, backlog_on: bool = True, owner: str = "") -> None:
        """Bind and listen. With `accept` it is called for each connection; else `accepting` says who takes them."""
        self.known(host)
        listener = Listener((host, port), backlog_on=backlog_on)
        assert listener.place not in self._listeners, "the address is in use"
        self._listeners[listener.place] = listener
        if accept is not None:
            listener.acceptors[owner] = accept

    def listens(self, host: str, port: int) -> bool:
        return (host, port) in self._listeners

    def accepting(self, host: str, port: int, on: bool, accept: Accept | None = None, owner: str = "") -> None:
        """A process begins or ends to accept. What waits in the backlog is given to it, one after the other, from now on."""
        listener = self._listeners.get((host, port))
        if listener is None:
            return
        if not on:
            listener.acceptors.pop(owner, None)
            return
        assert accept is not None
        listener.acceptors[owner] = accept
        if listener.backlog:
            self.env.later(0, self._serve_backlog, listener)

    def unlisten(self, host: str, port: int) -> None:
        """Close the listening socket: what waits for it sees a reset."""
        listener = self._listeners.pop((host, port), None)
        if listener is not None:
            for connection in list(listener.backlog.values()):
                connection.abort()

    def _serve_backlog(self, listener: Listener) -> None:
        for number, connection in list(listener.backlog.items()):
            if not listener.acceptors:
                return
            if number in listener.backlog:
                del listener.backlog[number]
                if not self._take_in(listener, connection):
                    return

    def _take_in(self, listener: Listener, connection: Connection) -> bool:
        """An established connection goes to a process, or to the backlog. False: nobody could take it."""
        if listener.acceptors:
            accept = next(iter(listener.acceptors.values())) if len(listener.acceptors) == 1 else self._stream.pick(list(listener.acceptors.values()))
            party = accept(connection)
            if party is not None:
                connection.party = party
                connection.resume()
                return True
            self.env.later(ACCEPT_PAUSE_US, self._serve_backlog, listener)
        self.counts.backlogged += 1
        connection.party = _Waiting(listener, connection)  # type: ignore[assignment]  # it is paused: nothing but its end is said
        listener.backlog[connection.number] = connection
        return False

    # --- connecting ---------------------------------------------------------------------------------------------------------

    def connect(self, source_host: str, host: str, port: int, party: Party, owner: str = "") -> Connection:
        """Dial. The party hears connected or refused; close() or abort() before that: neither."""
        latency = self._latency(source_host, host)
        source = (source_host, self._ephemeral() if port else 0)
        connection = self._end(source, (host, port), latency, source_host)
        connection.party = party
        connection.owner = owner
        connection.other = connection  # nobody yet: what it would send goes nowhere
        self.env.after(connection._channel, latency, self._on_syn, connection, 0)
        return connection

    def _end(self, local: Place, peer: Place, latency_us: int, home: str) -> Connection:
        self._numbers = number = self._numbers + 1
        end = Connection(self, number, local, peer, home, latency_us)
        ends = self._ends.get(home)
        if ends is None:
            ends = self._ends[home] = {}
        ends[number] = end
        return end

    def _ephemeral(self) -> int:
        self._ports = self._ports + 1 if self._ports < 60_999 else EPHEMERAL
        return self._ports

    def _latency(self, one: str, two: str) -> int:
        if two.startswith(UNIX_HOST):
            return UNIX_LATENCY_US
        key = (one, two) if one <= two else (two, one)
        latency = self._latencies.get(key)
        if latency is None:
            weather = self.weather
            latency = self._latencies[key] = self._stream.between(weather.latency_us, weather.latency_max_us)
        return latency

    def _on_syn(self, dialling: Connection, attempt: int) -> None:
        """The first packet of an attempt is at the other host, or is not."""
        if not dialling.open:
            return
        place = dialling.peer_host, dialling.peer_port
        host = dialling.peer_host
        unix = host.startswith(UNIX_HOST)
        listener = self._listeners.get(place)
        silent = not unix and (
            not self.is_up(host)
            or not self._talk(dialling.local_host, host)
            or (listener is not None and len(listener.backlog) + listener.half_open >= BACKLOG_MAX)
            or self._stream.chance(self.weather.syn_lost_per_mille)
        )
        if silent:
            if attempt + 1 < SYN_ATTEMPTS_MAX:
                self.env.later(SECOND << attempt, self._on_syn, dialling, attempt + 1)
            else:
                self.env.later(SECOND << attempt, self._refuse, dialling, TIMED_OUT)
        elif listener is None or not (listener.acceptors or listener.backlog_on):
            reason = "no such file or directory" if unix and listener is None else "connection refused"
            self.env.later(dialling.latency_us, self._refuse, dialling, reason)
        else:
            self._open(dialling, listener)

    def _refuse(self, dialling: Connection, reason: str) -> None:
        if dialling.open:
            if reason is TIMED_OUT:
                self.counts.timed_out += 1
            else:
                self.counts.refused += 1
            self._record(dialling.local_host, "refused", f"{dialling.peer_host}:{dialling.peer_port} {reason}")
            dialling._shut()
            dialling.party.refused(reason)

    def _open(self, dialling: Connection, listener: Listener) -> None:
        """SYN-ACK goes back; then the last packet of the handshake makes it an established connection here as well."""
        home = dialling.home if dialling.peer_host.startswith(UNIX_HOST) else dialling.peer_host
        served = self._end(listener.place, (dialling.local_host, dialling.local_port), dialling.latency_us, home)
        served.party = NOBODY
        served._paused = True  # until somebody accepts it
        pair(dialling, served)
        listener.half_open += 1
        self._weather_on(dialling, served)
        self.env.after(served._channel, served.latency_us, self._on_syn_ack, dialling, served, listener)

    def _on_syn_ack(self, dialling: Connection, served: Connection, listener: Listener) -> None:
        if not dialling.open or not served.open:
            listener.half_open -= 1
            served.abort()
            self._refuse(dialling, RESET)  # its machine is gone
            return
        self.counts.connections += 1
        self.env.after(dialling._channel, dialling.latency_us, self._on_established, served, listener)
        dialling._look()
        dialling.party.connected(dialling)

    def _on_established(self, served: Connection, listener: Listener) -> None:
        listener.half_open -= 1
        if served.open:
            if self._listeners.get(listener.place) is listener:
                self._take_in(listener, served)
            else:
                served.abort()

    # --- weather ------------------------------------------------------------------------------------------------------------

    def _weather_on(self, dialling: Connection, served: Connection) -> None:
        """What is decided when a connection is opened."""
        if not dialling.peer_port:
            return
        weather, stream = self.weather, self._stream
        for end in (dialling, served):
            if weather.bandwidth or weather.split_per_mille or weather.jitter_us:
                end.impair(bandwidth=weather.bandwidth, impaired=bool(weather.split_per_mille or weather.jitter_us))
        if stream.chance(weather.cut_per_mille):
            end = stream.pick((served, dialling))
            end.cut_after(stream.between(0, weather.cut_octets_max))
        if self._islands and not self._talk(dialling.local_host, dialling.peer_host):
            self._clog(dialling)
            self._clog(served)

    def piece(self, data: bytes) -> bytes:
        """How much of it goes in one piece."""
        stream = self._stream
        if len(data) < 2 or not stream.chance(self.weather.split_per_mille):
            return data
        return data[: stream.pick((len(data) - stream.between(1, len(data) - 1), 1, 536))]

    def jitter(self) -> int:
        return self._stream.below(self.weather.jitter_us + 1)

    def cut_is_told(self, end: Connection) -> bool:
        """A connection breaks now; do its ends hear of it?"""
        self.counts.cuts += 1
        told = not self._stream.chance(self.weather.silent_per_mille)
        self._record(end.local_host, "cut", f"{end.peer_host} {'reset' if told else 'silent'}")
        return told

    def handshake_error(self) -> str:
        return "sslv3 alert handshake failure" if self._stream.chance(self.weather.tls_fails_per_mille) else ""

    def retransmit_us(self) -> int:
        """How long after a partition the first packet is sent again."""
        return self._stream.between(0, SECOND)

    def calm(self) -> None:
        """Faults end: calm weather, no partitions, no break that was drawn for later; silent breaks are heard of now."""
        latency = self.weather.latency_us
        self.weather = Weather(latency_us=latency, latency_max_us=latency)
        self.heal()
        for ends in list(self._ends.values()):
            for end in list(ends.values()):
                end.cut_after(-1)
                end.end_silence()

    # --- partitions -----------------------------------------------------------------------------------------------------------

    def partition(self, hosts: tuple[str, ...]) -> None:
        """Nothing passes between these hosts and all others (F38); among themselves they can talk."""
        self._islands_made += 1
        self.counts.partitions += 1
        self._record("network", "partition", " ".join(hosts))
        for host in hosts:
            self._islands[host] = self._islands_made
        for host in hosts:
            for end in list(self._ends.get(host, {}).values()):
                if not end.peer_host.startswith(UNIX_HOST) and not self._talk(host, end.peer_host):
                    self._clog(end)
                    self._clog(end.other)

    def heal(self, hosts: tuple[str, ...] | None = None) -> None:
        """These hosts, or all, can talk to every host that is in no partition."""
        for host in tuple(self._islands) if hosts is None else hosts:
            self._islands.pop(host, None)
        self._record("network", "heal", " ".join(hosts or ("*",)))
        for end in list(self._clogged.values()):
            if self._talk(end.local_host, end.peer_host):
                del self._clogged[end.number]
                end.clog(False)

    def _talk(self, one: str, two: str) -> bool:
        return not self._islands or self._islands.get(one, 0) == self._islands.get(two, 0)

    def _clog(self, end: Connection) -> None:
        self._clogged[end.number] = end
        end.clog(True)

    # --- deaths -----------------------------------------------------------------------------------------------------------------

    def kill_process(self, host: str, owner: str) -> None:
        """The kernel closes what the process held. Its listening sockets stay: they are of whoever bound them."""
        for place, listener in self._listeners.items():
            if place[0] == host or place[0].startswith(UNIX_HOST):
                listener.acceptors.pop(owner, None)
        for end in self._ends_of(host):
            if end.owner == owner:
                end.close()

    def kill_machine(self, host: str) -> None:
        """Power loss: its sockets are gone, nobody says so; connecting to it is met with silence. Its UNIX sockets: unlisten them."""
        self._up[host] = False
        self._record(host, "machine dies", "")
        for place in [place for place in self._listeners if place[0] == host]:
            del self._listeners[place]
        for end in self._ends_of(host):
            end.vanish(told=self._stream.chance(self.weather.crash_resets_per_mille))

    def start_machine(self, host: str) -> None:
        """It is there again, and knows nothing of what was."""
        self._up[host] = True

    def _ends_of(self, host: str) -> list[Connection]:
        """Open ends on this machine, those of UNIX sockets too."""
        return list(self._ends.get(host, {}).values())

    def forget(self, end: Connection) -> None:
        """Said by an end that is over."""
        self._ends[end.home].pop(end.number, None)

    def open_ends(self, host: str) -> int:
        """How many connections of a host are open: its descriptors (I16)."""
        return len(self._ends.get(host, {}))

    def _record(self, lane: str, kind: str, text: str) -> None:
        if self.trace is not None:
            self.trace.record(self.env.now, lane, kind, text)
