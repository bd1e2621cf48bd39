"""Hosts and listeners: who can be reached, who waits, and what dies with a process or a machine."""

import pytest

from sim.choices import Choices
from sim.connection import Connection
from sim.environment import Environment
from sim.network import BACKLOG_MAX, Network
from sim.party import END_OF_STREAM, RESET, TIMED_OUT
from sim.weather import ROUGH, Swizzle, Weather, draw_weather
from smx.units import HOUR, MINUTE, SECOND
from tests.sim.network.world import CLIENT, HOST, Ear

PLACE = (HOST, 25)


class World:
    def __init__(self, weather: Weather | None = None) -> None:
        self.env = Environment(0)
        self.choices = Choices(1)
        self.network = Network(self.env, self.choices.stream("network"), None, weather or Weather())
        self.served: list[Ear] = []

    def accept(self, connection: Connection) -> Ear:
        ear = Ear(self.env, echo=True)
        ear.connection = connection
        connection.owner = "server"
        self.served.append(ear)
        return ear

    def dial(self, place: tuple[str, int] = PLACE, source: str = CLIENT, owner: str = "client") -> Ear:
        ear = Ear(self.env)
        self.network.connect(source, *place, ear, owner=owner)
        return ear

    def run(self, us: int = 5 * MINUTE) -> None:
        self.env.run(self.env.now + us)


# --- reaching a host ----------------------------------------------------------------------------------------------------


def test_a_host_that_lives_refuses_a_port_that_nobody_listens_to() -> None:
    world = World()
    world.network.known(HOST)
    ear = world.dial()
    world.run()
    assert ear.told == [("refused", "connection refused")]


def test_a_host_that_is_dead_is_met_with_silence_until_the_attempt_times_out() -> None:
    world = World()
    ear = world.dial()
    world.run(2 * MINUTE)
    assert ear.told == []
    world.run(10 * SECOND)
    assert ear.told == [("refused", TIMED_OUT)]


def test_an_attempt_that_is_given_up_says_nothing() -> None:
    world = World()
    ear = Ear(world.env)
    connection = world.network.connect(CLIENT, *PLACE, ear)
    world.run(SECOND)
    connection.abort()
    world.network.listen(*PLACE, world.accept)
    world.run()
    assert ear.told == []
    assert world.served == []


def test_a_host_that_comes_back_is_reached_by_the_next_packet() -> None:
    world = World()
    ear = world.dial()
    world.run(2 * SECOND)
    world.network.listen(*PLACE, world.accept)
    world.run(3 * SECOND)
    assert ear.told == [("connected", None)]


def test_a_lost_first_packet_costs_a_second() -> None:
    world = World(Weather(syn_lost_per_mille=1000))
    world.network.listen(*PLACE, world.accept)
    ear = world.dial()
    world.run(SECOND // 2)
    world.network.weather = Weather()
    assert ear.told == []
    world.run(SECOND)
    assert ear.told == [("connected", None)]


def test_a_unix_socket_is_near_and_meets_no_weather() -> None:
    world = World(Weather(latency_us=50_000, latency_max_us=50_000, cut_per_mille=1000, split_per_mille=1000, syn_lost_per_mille=1000, jitter_us=1000))
    world.network.listen("/spool/run/lda.sock", 0, world.accept)
    ear = world.dial(("/spool/run/lda.sock", 0))
    world.run(SECOND)
    assert ear.connection is not None
    ear.connection.send(b"LHLO x\r\n" * 1000)
    begun = world.env.now
    world.run(SECOND)
    assert ear.pieces == [b"LHLO x\r\n" * 1000]
    assert ear.times[-1] - begun < 100


def test_a_unix_socket_that_is_not_there_is_no_such_file() -> None:
    world = World()
    ear = world.dial(("/spool/run/lda.sock", 0))
    world.run(SECOND)
    assert ear.told == [("refused", "no such file or directory")]


# --- accepting ------------------------------------------------------------------------------------------------------------


def test_connections_wait_in_the_backlog_with_what_they_have_said() -> None:
    world = World()
    world.network.listen(*PLACE)
    ear = world.dial()
    world.run(SECOND)
    assert ear.connection is not None
    ear.connection.send(b"early")
    world.run(MINUTE)
    assert world.served == []
    world.network.accepting(*PLACE, True, world.accept, owner="server")
    world.run(SECOND)
    assert world.served[0].data == b"early"
    assert ear.data == b"early"
    world.network.accepting(*PLACE, False, owner="server")
    world.dial()
    world.run()
    assert len(world.served) == 1


def test_a_full_backlog_is_silent_and_clients_come_again() -> None:
    world = World()
    world.network.listen(*PLACE)
    ears = [world.dial() for _ in range(BACKLOG_MAX + 5)]
    world.run(SECOND // 2)
    assert sum(ear.told == [("connected", None)] for ear in ears) == BACKLOG_MAX
    world.network.accepting(*PLACE, True, world.accept)
    world.run()
    assert all(ear.told == [("connected", None)] for ear in ears)
    assert len(world.served) == len(ears)


def test_without_a_backlog_it_is_refused() -> None:
    world = World()
    world.network.listen(*PLACE, backlog_on=False)
    ear = world.dial()
    world.run()
    assert ear.told == [("refused", "connection refused")]


def test_who_leaves_the_backlog_is_forgotten() -> None:
    world = World()
    world.network.listen(*PLACE)
    ear = world.dial()
    world.run(SECOND)
    assert ear.connection is not None
    ear.connection.abort()
    world.run(SECOND)
    world.network.accepting(*PLACE, True, world.accept)
    world.run()
    assert world.served == []


def test_a_process_without_descriptors_is_asked_again() -> None:
    world = World()
    free = [False]
    world.network.listen(*PLACE, lambda connection: world.accept(connection) if free[0] else None)
    ear = world.dial()
    world.run(2 * SECOND)
    assert ear.told == [("connected", None)]
    assert world.served == []
    free[0] = True
    world.run(SECOND)
    assert len(world.served) == 1


def test_closing_the_listening_socket_resets_what_waits() -> None:
    world = World()
    world.network.listen(*PLACE)
    ear = world.dial()
    world.run(SECOND)
    world.network.unlisten(*PLACE)
    late = world.dial()
    world.run()
    assert ear.last == ("closed", RESET)
    assert late.told == [("refused", "connection refused")]


def test_two_processes_share_a_listening_socket() -> None:
    world = World()
    takers: list[str] = []
    world.network.listen(*PLACE)
    for owner in ("smtps.mx.0", "smtps.mx.1"):

        def accept(connection: Connection, owner: str = owner) -> Ear:
            takers.append(owner)
            return world.accept(connection)

        world.network.accepting(*PLACE, True, accept, owner=owner)
    for _ in range(40):
        world.dial()
    world.run()
    assert set(takers) == {"smtps.mx.0", "smtps.mx.1"}
    world.network.kill_process(HOST, "smtps.mx.0")
    takers.clear()
    world.dial()
    world.run()
    assert takers == ["smtps.mx.1"]


# --- partitions -----------------------------------------------------------------------------------------------------------


def test_during_a_partition_nothing_passes_and_afterwards_everything_does() -> None:
    world = World()
    world.network.listen(*PLACE, world.accept)
    ear = world.dial()
    world.run(SECOND)
    assert ear.connection is not None
    world.network.partition((HOST,))
    ear.connection.send(b"one ")
    late = world.dial()
    world.run(MINUTE)
    ear.connection.send(b"two")
    world.run(MINUTE)
    assert world.served[0].data == b""
    assert late.told == []
    world.network.heal((HOST,))
    world.run(3 * MINUTE)
    assert ear.data == b"one two"
    assert late.told == [("refused", TIMED_OUT)]  # its seventh packet left in the partition, and it has no more


def test_a_partition_that_lasts_ends_in_a_time_out() -> None:
    world = World()
    world.network.listen(*PLACE, world.accept)
    ear = world.dial()
    world.run(SECOND)
    assert ear.connection is not None
    world.network.partition((HOST,))
    ear.connection.send(b"hello?")
    world.run(16 * MINUTE)
    assert ear.last == ("closed", TIMED_OUT)
    world.network.heal()
    world.run()
    assert world.served[0].data == b""


def test_hosts_of_one_partition_can_talk() -> None:
    world = World()
    world.network.listen(*PLACE, world.accept)
    world.network.partition((HOST, "198.51.100.9"))
    inside, outside = world.dial(source="198.51.100.9"), world.dial()
    world.run(SECOND)
    assert inside.told == [("connected", None)]
    assert outside.told == []


def test_a_close_during_a_partition_is_heard_after_it() -> None:
    world = World()
    world.network.listen(*PLACE, world.accept)
    ear = world.dial()
    world.run(SECOND)
    assert ear.connection is not None
    world.network.partition((HOST,))
    ear.connection.send(b"bye")
    ear.connection.close()
    world.run(MINUTE)
    assert world.served[0].told == []
    world.network.heal()
    world.run()
    assert world.served[0].told == [("received", b"bye"), ("closed", END_OF_STREAM)]


def test_swizzling_clogs_hosts_and_leaves_none_clogged_when_it_stops() -> None:
    world = World()
    hosts = [f"192.0.2.{number}" for number in range(1, 6)]
    for host in hosts:
        world.network.listen(host, 25, world.accept)
    swizzle = Swizzle(world.env, world.network, world.choices.stream("swizzle"), hosts)
    swizzle.start()
    reached = []
    for _ in range(30):
        ears = [world.dial((host, 25)) for host in hosts]
        world.run(SECOND // 2)
        reached.append(sum(bool(ear.told) for ear in ears))
        world.run(5 * SECOND)
    assert min(reached) < len(hosts)
    assert max(reached) == len(hosts)
    swizzle.stop()
    ears = [world.dial((host, 25)) for host in hosts]
    world.run(SECOND)
    assert all(ear.told for ear in ears)


# --- deaths -----------------------------------------------------------------------------------------------------------------


def test_the_kernel_closes_what_a_killed_process_held() -> None:
    world = World()
    world.network.listen(*PLACE, world.accept)
    ears = [world.dial() for _ in range(3)]
    world.run(SECOND)
    world.network.kill_process(HOST, "server")
    world.run()
    assert [ear.last for ear in ears] == [("closed", END_OF_STREAM)] * 3
    assert [ear.told for ear in world.served] == [[]] * 3
    assert world.network.listens(*PLACE)


def test_killing_a_client_process_cancels_what_it_was_dialling() -> None:
    world = World()
    world.network.listen(*PLACE, world.accept)
    ear = world.dial(owner="smtpc.0")
    world.network.kill_process(CLIENT, "smtpc.0")
    world.run()
    assert ear.told == []


@pytest.mark.parametrize("per_mille", [0, 1000])
def test_a_machine_that_dies_is_silent_or_resets(per_mille: int) -> None:
    world = World(Weather(crash_resets_per_mille=per_mille))
    world.network.listen(*PLACE, world.accept)
    idle, busy = world.dial(), world.dial()
    world.run(SECOND)
    world.network.kill_machine(HOST)
    assert busy.connection is not None
    busy.connection.send(b"hello?")
    world.run(MINUTE)
    assert [ear.told for ear in world.served] == [[], []]
    if per_mille:
        assert idle.last == busy.last == ("closed", RESET)
        return
    assert idle.told == busy.told == [("connected", None)]
    late = world.dial()
    world.network.start_machine(HOST)
    world.run(HOUR)
    assert busy.last == ("closed", RESET)  # retransmitted to a machine that knows nothing of it
    assert idle.told == [("connected", None)]
    assert late.told == [("refused", "connection refused")]


def test_a_dead_machine_that_stays_dead_is_given_up() -> None:
    world = World(Weather(crash_resets_per_mille=0))
    world.network.listen(*PLACE, world.accept)
    ear = world.dial()
    world.run(SECOND)
    world.network.kill_machine(HOST)
    assert ear.connection is not None
    ear.connection.send(b"hello?")
    world.run(15 * MINUTE)
    assert len(ear.told) == 1
    world.run(MINUTE)
    assert ear.last == ("closed", TIMED_OUT)


def test_both_ends_of_a_unix_connection_die_with_the_machine() -> None:
    world = World()
    world.network.listen("/spool/run/lda.sock", 0, world.accept)
    ear = world.dial(("/spool/run/lda.sock", 0))
    world.run(SECOND)
    assert world.network.open_ends(CLIENT) == 2
    world.network.kill_machine(CLIENT)
    world.run()
    assert world.network.open_ends(CLIENT) == 0
    assert ear.last == ("connected", None)
    assert world.served[0].told == []


def test_after_calm_no_break_that_was_drawn_before_happens() -> None:
    world = World(Weather(cut_per_mille=1000, cut_octets_max=10))
    world.network.listen(*PLACE, world.accept)
    ears = [world.dial() for _ in range(20)]
    world.run(SECOND)
    world.network.partition((HOST,))
    world.network.calm()
    for ear in ears:
        assert ear.connection is not None
        ear.connection.send(b"a long enough line\r\n")
    world.run()
    assert all(ear.data == b"a long enough line\r\n" for ear in ears)


def test_every_drawn_weather_is_valid_and_most_are_calm() -> None:
    weathers = [draw_weather(Choices(seed).stream("weather")) for seed in range(200)]
    assert 60 < sum(not weather.cut_per_mille for weather in weathers) < 190
    assert all(weather.latency_us <= weather.latency_max_us for weather in weathers)
    assert ROUGH.cut_per_mille
