"""Weather: what the network does to connections, as numbers (F38 and the transport's part of F29, F36, F37), and swizzling.

Weather is drawn on when a connection is opened and when octets are sent; a change concerns connections opened afterwards. What calm
weather never does: lose a connection, split what was sent in one piece, delay one piece more than another.
"""

from typing import TYPE_CHECKING, Final

import msgspec

from smx.units import SECOND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.choices import Stream
    from sim.environment import Environment
    from sim.network import Network


class Weather(msgspec.Struct, frozen=True, gc=False):
    """Per mille are chances. Times in microseconds, sizes in octets."""

    latency_us: int = 1_000  # one way, between two hosts: drawn once a pair, from latency_us to latency_max_us
    latency_max_us: int = 1_000
    jitter_us: int = 0  # drawn anew for each piece; it never reorders
    bandwidth: int = 0  # octets a second and direction of a connection; 0: what is sent arrives in one piece
    split_per_mille: int = 0  # of what is sent: cut into pieces at any octet
    cut_per_mille: int = 0  # of connections: break at a drawn octet of a drawn direction
    cut_octets_max: int = 4_096  # of those: where, at most
    silent_per_mille: int = 500  # of those: nobody is told, the octets just vanish (else both ends see a reset)
    syn_lost_per_mille: int = 0  # of attempts to connect: the first packet is lost, the next one leaves a second later
    tls_fails_per_mille: int = 0  # of handshakes
    crash_resets_per_mille: int = 500  # of connections of a machine that dies: the peer is told at once (else when it sends to the machine after its start)


CALM: Final = Weather()
INTERNET: Final = Weather(latency_us=2_000, latency_max_us=80_000, jitter_us=1_000, bandwidth=1_250_000, split_per_mille=50)
ROUGH: Final = Weather(
    latency_us=500,
    latency_max_us=150_000,
    jitter_us=20_000,
    split_per_mille=200,
    cut_per_mille=60,
    syn_lost_per_mille=30,
    tls_fails_per_mille=50,
)


def draw_weather(stream: "Stream") -> Weather:
    """A network for one seed: calm by default, each kind of trouble in about a third of the seeds (swarm)."""
    latency = stream.between(500, 20_000)
    return Weather(
        latency_us=latency,
        latency_max_us=latency + (stream.between(0, 150_000) if stream.chance(400) else 0),
        jitter_us=stream.between(1, 30_000) if stream.chance(300) else 0,
        bandwidth=stream.pick((0, 10_000_000, 1_250_000, 64_000)) if stream.chance(250) else 0,
        split_per_mille=stream.between(1, 400) if stream.chance(350) else 0,
        cut_per_mille=stream.between(1, 150) if stream.chance(350) else 0,
        cut_octets_max=stream.pick((4_096, 300, 40_000)),
        syn_lost_per_mille=stream.between(1, 100) if stream.chance(200) else 0,
        tls_fails_per_mille=stream.between(1, 300) if stream.chance(200) else 0,
    )


class Swizzle:
    """Clogs hosts one by one, then unclogs them in another order (F38), again and again until it is stopped."""

    def __init__(self, env: "Environment", network: "Network", stream: "Stream", hosts: "Sequence[str]", *, gap_us: int = 5 * SECOND) -> None:
        self._env: Final = env
        self._network: Final = network
        self._stream: Final = stream
        self._hosts: Final = list(hosts)
        self._gap_us: Final = gap_us
        self._plan: list[tuple[bool, str]] = []
        self._stopped = False

    def start(self) -> None:
        self._wait()

    def stop(self) -> None:
        """Unclog everything; nothing is clogged after that."""
        self._stopped = True
        self._network.heal(tuple(self._hosts))

    def _wait(self) -> None:
        self._env.later(self._stream.between(self._gap_us // 4, 2 * self._gap_us), self._next)

    def _next(self) -> None:
        if self._stopped:
            return
        if not self._plan:
            self._plan = self._round()
        clog, host = self._plan.pop(0)
        if clog:
            self._network.partition((host,))
        else:
            self._network.heal((host,))
        self._wait()

    def _round(self) -> list[tuple[bool, str]]:
        """A drawn subset is clogged in a drawn order and unclogged in another one."""
        chosen = [host for host in self._hosts if not self._stream.chance(400)] or self._hosts[:1]
        return [(True, host) for host in _mixed(self._stream, chosen)] + [(False, host) for host in _mixed(self._stream, chosen)]


def _mixed(stream: "Stream", hosts: list[str]) -> list[str]:
    """A permutation; the draws 0, 0, 0 ... leave the order as it is."""
    left = list(hosts)
    return [left.pop(stream.below(len(left))) for _ in hosts]
