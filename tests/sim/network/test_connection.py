"""One connection: order, pieces, back-pressure, ends, breaks, handshakes."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sim.choices import Choices, Stream
from sim.connection import DRAIN_OCTETS, Connection
from sim.environment import Environment
from sim.handshake import HELLO
from sim.network import Network
from sim.party import END_OF_STREAM, RESET, TIMED_OUT
from sim.weather import CALM, Weather
from smx.units import HOUR, KIB, MIB, MINUTE, SECOND
from tests.sim.network.world import CLIENT, HOST, Ear


class Pair:
    """Two ears and the connection between them."""

    def __init__(self, weather: Weather = CALM, *, seed: int = 1, ties: int = 0, stream: Stream | None = None, echo: bool = False, host: str = HOST) -> None:
        self.env = Environment(0, ties)
        self.network = Network(self.env, stream or Choices(seed).stream("network"), None, weather)
        self.server = Ear(self.env, echo=echo)
        self.client = Ear(self.env)
        port = 0 if host.startswith("/") else 25
        self.network.listen(host, port, self._accept, owner="server")
        self.network.connect(CLIENT, host, port, self.client, owner="client")
        self.env.run(self.env.now + MINUTE)

    def _accept(self, connection: Connection) -> Ear:
        connection.owner = "server"
        self.server.connection = connection
        return self.server

    @property
    def near(self) -> Connection:
        assert self.client.connection is not None
        return self.client.connection

    @property
    def far(self) -> Connection:
        assert self.server.connection is not None
        return self.server.connection

    def run(self, us: int = MINUTE) -> None:
        self.env.run(self.env.now + us)


chunks = st.lists(st.binary(min_size=1, max_size=300), max_size=12)
weathers = st.builds(
    Weather,
    latency_us=st.integers(0, 5_000),
    latency_max_us=st.integers(5_000, 50_000),
    jitter_us=st.sampled_from([0, 1, 40_000]),
    bandwidth=st.sampled_from([0, 1_000, 1_000_000]),
    split_per_mille=st.sampled_from([0, 300, 1000]),
)


@given(weather=weathers, one=chunks, two=chunks, seed=st.integers(0, 1000), gaps=st.lists(st.integers(0, 3_000), max_size=5))
@hypothesis_settings(max_examples=150, deadline=None)
def test_each_direction_is_fifo_whatever_the_weather(weather: Weather, one: list[bytes], two: list[bytes], seed: int, gaps: list[int]) -> None:
    pair = Pair(weather, seed=seed, ties=seed)
    at = 0
    for number, (connection, data) in enumerate([(pair.near, data) for data in one] + [(pair.far, data) for data in two]):
        at += 1 + (gaps[number % len(gaps)] if gaps else 0)
        pair.env.later(at, connection.send, data)
    pair.env.later(at + SECOND, pair.near.close)
    pair.run(HOUR)
    assert pair.server.data == b"".join(one)
    assert pair.client.data == b"".join(two)
    assert pair.server.last == ("closed", END_OF_STREAM)
    assert pair.server.times == sorted(pair.server.times)


def test_in_calm_weather_a_send_is_one_call_and_one_piece() -> None:
    pair = Pair()
    before = pair.env.calls
    pair.near.send(b"hello")
    pair.near.send(b"again")
    pair.run()
    assert pair.env.calls - before == 2
    assert pair.server.pieces == [b"hello", b"again"]
    assert pair.server.times[-1] == MINUTE + CALM.latency_us


@pytest.mark.parametrize("octets", range(12))
@pytest.mark.parametrize("direction", ["to the server", "to the client"])
def test_a_cut_at_any_octet_delivers_exactly_what_came_before_it(octets: int, direction: str) -> None:
    pair = Pair()
    sender, receiver = (pair.near, pair.server) if direction == "to the server" else (pair.far, pair.client)
    sender.cut_after(octets)
    sender.send(b"hello ")
    sender.send(b"world")
    pair.run()
    assert receiver.data == b"hello world"[:octets]
    assert octets >= 11 or pair.client.last == pair.server.last == ("closed", RESET)
    assert pair.near.open is pair.far.open is (octets >= 11)


def test_a_silent_cut_ends_by_a_time_out_of_whoever_sends() -> None:
    pair = Pair(Weather(silent_per_mille=1000))
    pair.near.cut_after(3)
    pair.near.send(b"hello")
    pair.run(10 * MINUTE)
    assert pair.server.data == b"hel"
    assert pair.near.open
    pair.run(10 * MINUTE)
    assert pair.client.last == ("closed", TIMED_OUT)
    assert pair.far.open  # it has sent nothing, so it knows nothing
    pair.far.send(b"anybody there?")
    pair.run(20 * MINUTE)
    assert pair.server.last == ("closed", TIMED_OUT)


def test_close_flushes_and_the_peer_closes_too() -> None:
    pair = Pair()
    pair.near.send(b"bye")
    pair.near.close()
    pair.near.send(b"more")
    pair.run()
    assert pair.server.told == [("received", b"bye"), ("closed", END_OF_STREAM)]
    assert pair.client.told == [("connected", None)]
    assert pair.network.open_ends(HOST) == pair.network.open_ends(CLIENT) == 0


def test_abort_is_a_reset() -> None:
    pair = Pair()
    pair.far.abort()
    pair.run()
    assert pair.client.last == ("closed", RESET)
    assert pair.server.told == []


def test_octets_for_an_end_that_is_closed_are_answered_with_a_reset() -> None:
    pair = Pair()
    pair.far.abort()
    pair.near.send(b"too late")
    pair.run()
    assert pair.client.told == [("connected", None), ("closed", RESET)]


def test_a_half_closed_end_still_reads() -> None:
    pair = Pair()
    pair.far.send(b"on its way")
    pair.near.finish()
    pair.near.send(b"nothing more from here")
    pair.run()
    assert pair.server.told == [("closed", END_OF_STREAM)]
    assert pair.client.told[1:] == [("received", b"on its way"), ("closed", END_OF_STREAM)]


def test_a_peer_that_pauses_holds_the_sender_back_within_a_window() -> None:
    pair = Pair()
    pair.far.pause()
    for _ in range(16):
        pair.near.send(b"x" * 64 * KIB)
    pair.run()
    assert pair.server.data == b""
    assert ("drained", None) not in pair.client.told[3:]
    pair.far.resume()
    pair.run()
    assert len(pair.server.data) == MIB
    assert pair.client.last == ("drained", None)


def test_drained_is_said_after_each_stretch_of_what_was_sent() -> None:
    pair = Pair()
    for number in range(1, 5):
        pair.near.send(b"x" * DRAIN_OCTETS)
        pair.run(SECOND)
        assert pair.client.told.count(("drained", None)) == number
    pair.near.send(b"y" * (DRAIN_OCTETS - 1))
    pair.run(SECOND)
    assert pair.client.told.count(("drained", None)) == 4


def test_bandwidth_takes_its_time() -> None:
    pair = Pair(Weather(latency_us=1000, latency_max_us=1000, bandwidth=1_000_000))
    begun = pair.env.now
    pair.near.send(b"x" * 50_000)
    pair.near.send(b"y" * 50_000)
    pair.run()
    assert [at - begun for at in pair.server.times] == [51_000, 101_000]


def test_a_fin_waits_behind_what_a_paused_peer_has_not_read() -> None:
    pair = Pair()
    pair.far.pause()
    pair.near.send(b"last words")
    pair.near.close()
    pair.run(SECOND)
    assert pair.server.told == []
    pair.far.resume()
    pair.run()
    assert pair.server.told == [("received", b"last words"), ("closed", END_OF_STREAM)]


def test_a_close_with_unread_octets_is_a_reset() -> None:
    pair = Pair()
    pair.far.pause()
    pair.near.send(b"never read")
    pair.run(SECOND)
    pair.far.close()
    pair.run()
    assert pair.client.last == ("closed", RESET)


def test_a_peer_that_takes_nothing_cannot_hold_a_closed_connection_for_ever() -> None:
    pair = Pair()
    pair.far.pause()
    pair.near.send(b"x" * MIB)
    pair.near.close()
    pair.run()
    assert pair.server.told == [("closed", RESET)]


# --- marks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["none", "killed before", "killed after", "paused and killed", "cut", "own abort"])
def test_a_mark_tells_whether_the_octets_before_it_were_read(end: str) -> None:
    pair = Pair()
    told: list[bool] = []
    if end == "paused and killed":
        pair.near.pause()
    if end == "cut":
        pair.far.cut_after(4)
    pair.far.send(b"250 Ok\r\n")
    pair.far.mark(told.append)
    if end == "killed before":
        pair.network.kill_process(CLIENT, "client")
    if end == "own abort":
        pair.far.abort()
    pair.run(SECOND)
    if end in ("killed after", "paused and killed"):
        pair.network.kill_process(CLIENT, "client")
    pair.run()
    assert told == [end in ("none", "killed after", "own abort")]
    assert pair.client.data == {"killed before": b"", "paused and killed": b"", "cut": b"250 "}.get(end, b"250 Ok\r\n")


# --- TLS ----------------------------------------------------------------------------------------------------------------


def _handshake(pair: Pair, *, error: str = "") -> None:
    pair.far.tls_error = error
    pair.far.start_tls(True, pair.server.done)
    pair.near.start_tls(False, pair.client.done)
    pair.run(SECOND)


def test_a_handshake_secures_both_ends_and_octets_pass_after_it() -> None:
    pair = Pair()
    _handshake(pair)
    assert pair.client.last == pair.server.last == ("tls", "")
    assert pair.near.secured
    assert pair.far.secured
    pair.near.send(b"EHLO again")
    pair.run()
    assert pair.server.data == b"EHLO again"


def test_a_refused_handshake_ends_the_connection_at_both_ends() -> None:
    pair = Pair()
    _handshake(pair, error="no shared cipher")
    assert pair.server.last == ("tls", "no shared cipher")
    assert pair.client.last[0] == "tls" and pair.client.last[1]
    assert not pair.near.open
    assert not pair.far.open


@pytest.mark.parametrize("injected", ["client", "server"])
def test_plaintext_in_a_handshake_ends_it(injected: str) -> None:
    pair = Pair()
    if injected == "client":
        pair.far.start_tls(True, pair.server.done)
        pair.near.send(b"MAIL FROM:<>\r\n")
        pair.run(SECOND)
        assert pair.server.told == [("tls", "wrong version number")]
    else:
        pair.near.start_tls(False, pair.client.done)
        pair.far.send(b"250 Ok\r\n")
        pair.run(SECOND)
        assert pair.client.last == ("tls", "wrong version number")


def test_what_was_received_but_not_read_before_a_handshake_is_dropped() -> None:
    pair = Pair()
    pair.far.pause()
    pair.near.send(b"MAIL FROM:<injected@bad.example>\r\n")
    pair.run(SECOND)
    pair.far.resume()
    _handshake(pair)
    assert pair.server.told == [("tls", "")]


def test_a_client_hello_is_garbage_to_a_server_in_plaintext() -> None:
    pair = Pair()
    pair.near.start_tls(False, pair.client.done)
    pair.run(SECOND)
    assert pair.server.data == HELLO
    pair.run()
    assert pair.client.last == ("tls", "handshake timed out")


def test_a_connection_that_breaks_in_a_handshake_says_so_once() -> None:
    pair = Pair()
    pair.near.start_tls(False, pair.client.done)
    pair.far.abort()
    pair.run()
    assert pair.client.told == [("connected", None), ("tls", RESET)]
