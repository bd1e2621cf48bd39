"""Faults beside crashes: links, pauses, clocks, stalls, a full disk, exhausted descriptors, broken maps, partitions; the MTA loses nothing by them."""

import pytest

from sim.facts import FaultInjected
from sim.names import MapTables
from sim.peers.mail import Mail
from sim.process import Guard
from sim.scenario import CONFIGURATION, Scenario, Strike, plain_settings
from sim.world import Outcome
from smx.events import AnyEvent, Expired
from smx.units import DAY, HOUR, MILLISECOND, SECOND
from tests.sim.core.worlds import EXPECTED, LOCAL, MAILS, REMOTE, SINK, Lab, scenario, settle

AT = 3_150 * MILLISECOND  # while the first messages are under way


def run(*strikes: Strike, seed: int = 1, mails: tuple[Mail, ...] = MAILS, of: Scenario | None = None) -> tuple[Lab, Outcome]:
    lab = Lab(of or scenario(*strikes), mails, seed=seed)
    outcome = lab.world.run()
    assert outcome.violations == (), outcome.violations
    assert outcome.finished
    return lab, outcome


@pytest.mark.parametrize("ends", ["smtps.mx.0 qmgr", "smtps.mx.0 smar", "qmgr smar", "smtpc.0 qmgr", "mcp qmgr", ""])
@pytest.mark.parametrize("at_us", [3_002_100, 3_004_100, 3_007_000])
def test_a_link_that_breaks_is_opened_again_and_nothing_is_lost(ends: str, at_us: int) -> None:
    lab, _ = run(*(Strike(kind="cut_link", target=ends, at_us=at_us + step * 137) for step in range(3)))
    assert set(EXPECTED) <= set(lab.arrivals())
    names = ends.split()
    if "smtps.mx.0" in names:
        assert [fact for fact in lab.facts(FaultInjected) if fact.fault == "F24"]


def test_frames_under_way_are_lost_with_their_link() -> None:
    strikes = (Strike(kind="slow_link", at_us=SECOND, amount=5_000), Strike(kind="cut_link", target="smtps.mx.0 qmgr", note="durable", at_us=1_000))
    lab, outcome = run(*strikes)
    assert "frames lost with a link" in outcome.markers
    assert set(EXPECTED) <= set(lab.arrivals())


def test_slow_links_lose_nothing() -> None:
    lab, _ = run(Strike(kind="slow_link", at_us=AT, amount=700 * MILLISECOND))
    assert lab.arrivals() == EXPECTED


@pytest.mark.parametrize("process", ["qmgr", "smar", "lda", "smtpc.0", "smtps.mx.0", "mcp"])
def test_a_process_that_is_paused_for_seconds_goes_on_where_it_was(process: str) -> None:
    lab, _ = run(Strike(kind="pause", target=process, at_us=AT, amount=8 * SECOND), Strike(kind="pause", target=process, at_us=3_004_000, amount=SECOND))
    assert set(EXPECTED) <= set(lab.arrivals())


@pytest.mark.parametrize("by_us", [DAY, -DAY, 2 * SECOND, -30 * SECOND])
def test_a_clock_that_jumps_is_told_to_every_process_within_a_second(by_us: int) -> None:
    lab, _ = run(Strike(kind="jump", at_us=AT, amount=by_us))
    told = [note for note in lab.notes("clock") if note.values == (by_us,)]
    assert {note.process for note in told} == {"mcp", "qmgr", "smar", "lda", "smtpc.0", "smtps.mx.0"}
    assert all(note.at - lab.world.started_at <= AT + SECOND for note in told)
    assert lab.arrivals() == EXPECTED


def test_a_jump_of_less_than_a_second_is_told_to_nobody() -> None:
    lab, _ = run(Strike(kind="jump", at_us=AT, amount=SECOND // 2))
    assert lab.notes("clock") == []


def test_a_process_that_starts_after_the_jump_takes_the_new_time_as_its_own() -> None:
    lab, _ = run(Strike(kind="jump", at_us=AT, amount=HOUR), Strike(kind="kill", target="smar", at_us=5 * SECOND))
    smar = lab.world.machine.processes["smar"]
    assert smar.base == HOUR
    assert smar.wall_told == 0
    assert max(note.epoch for note in lab.notes("started", "smar")) > 1_700_000_000 + 3_600 - 10  # A11: epochs follow the clock upwards


def test_epochs_rise_although_the_clock_jumps_back() -> None:
    lab, _ = run(Strike(kind="jump", at_us=AT, amount=-400 * DAY), Strike(kind="power", at_us=4 * SECOND, amount=SECOND))
    epochs = [note.epoch for note in lab.notes("started")]
    assert epochs == sorted(set(epochs))


def test_while_the_clocks_stand_still_no_timer_fires_and_stamps_repeat() -> None:
    lab = Lab(scenario(Strike(kind="freeze", at_us=AT, amount=4 * SECOND)))
    ticks: list[int] = []
    world = lab.world
    world.begin()
    settle(lab, lambda: "strike freeze" in world.markers)
    world.go_on(world.env.now + 50 * MILLISECOND)
    qmgr = world.machine.processes["qmgr"]
    deliver = qmgr.deliver

    def listen(event: AnyEvent, guard: Guard | None = None) -> None:
        if isinstance(event, Expired):
            ticks.append(world.env.now)
        deliver(event, guard)

    qmgr.deliver = listen
    before = qmgr.now()
    world.go_on(world.env.now + 3 * SECOND)
    assert qmgr.now() == before
    assert ticks == []
    world.go_on(world.started_at + 100 * SECOND)
    outcome = world.finish()
    assert outcome.violations == ()
    assert lab.arrivals() == EXPECTED
    assert [note.values[0] for note in lab.notes("clock", "qmgr")] == [4 * SECOND]


def test_coalesced_timers_fire_late_and_together() -> None:
    grain = 300 * MILLISECOND
    lab = Lab(scenario(Strike(kind="coalesce", amount=grain)), lines=True)
    assert lab.world.run().violations == ()
    assert lab.arrivals() == EXPECTED
    fired = [now for now, _, _, payload in lab.world.trace.entries() if isinstance(payload, tuple) and isinstance(payload[0], Expired)]
    rough = [now for now in fired if now < lab.world.started_at + 15 * SECOND]  # then the faults end
    assert rough
    assert all(now % grain == 0 for now in rough)
    assert not all(now % grain == 0 for now in fired)


def test_a_disk_that_stalls_for_seconds_delays_the_250_and_nothing_else() -> None:
    lab, _ = run(Strike(kind="stall", at_us=3 * SECOND, amount=4 * SECOND))
    first = lab.notes("accepted")[0].at - lab.world.started_at
    assert 7 * SECOND <= first < 8 * SECOND
    assert lab.arrivals() == EXPECTED


def test_a_full_disk_refuses_mail_for_now_and_keeps_what_it_has() -> None:
    settings = plain_settings(CONFIGURATION.replace("min_free = 0;", "min_free = 1MiB;"))
    lab = Lab(scenario(Strike(kind="full", at_us=SECOND, amount=9 * SECOND), settings=settings), gap_us=1_500 * MILLISECOND)  # space is measured every 5 s
    outcome = lab.world.run()
    assert (outcome.violations, outcome.finished) == ((), True)
    assert {note.values[3] for note in lab.notes("refused") if note.values[2] == b"MAIL"} == {452}
    assert set(EXPECTED) <= set(lab.arrivals())


def test_without_descriptors_clients_wait_in_the_backlog() -> None:
    lab, _ = run(Strike(kind="descriptors", at_us=2 * SECOND, amount=16))  # all of them are in use
    assert lab.notes("session")[0].at - lab.world.started_at >= 15 * SECOND
    assert set(EXPECTED) <= set(lab.arrivals())


def test_with_one_descriptor_left_sessions_come_one_after_the_other() -> None:
    lab, _ = run(Strike(kind="descriptors", at_us=2 * SECOND, amount=17))
    assert set(EXPECTED) <= set(lab.arrivals())


def test_a_map_that_cannot_be_read_stands_as_it_was() -> None:
    lab, _ = run(Strike(kind="break_map", target="smar.aliases", at_us=2 * SECOND, amount=SECOND))
    assert [note.values[3] for note in lab.notes("map")][:2] == ["", "input/output error"]
    assert lab.arrivals() == EXPECTED


def test_a_map_that_changes_is_loaded_again() -> None:
    lab = Lab(scenario(), mails=[Mail("t1", ("list@lab.example",))])
    maps: MapTables = lab.world.maps
    lab.world.at(2 * SECOND, maps.change, "smar.aliases", (("list", "carol"),))
    assert lab.world.run().violations == ()
    assert lab.arrivals() == [("t1", "carol@lab.example")]


def test_a_destination_behind_a_partition_gets_its_mail_when_it_heals() -> None:
    lab, _ = run(Strike(kind="partition", target=SINK, at_us=2 * SECOND, amount=6 * SECOND), mails=(Mail("t1", REMOTE), Mail("t2", LOCAL)))
    at = {note.values[0]: note.at for note in lab.notes("closed")}
    assert min(at.values()) < lab.world.started_at + 8 * SECOND < max(at.values())
    assert lab.arrivals() == [("t1", REMOTE[0]), ("t2", LOCAL[0])]


@pytest.mark.parametrize("personality", ["strict", "ordered"])
@pytest.mark.parametrize("fault", ["F7", "F8", "F9", "F11"])
def test_faults_of_the_disk_end_processes_and_lose_nothing(personality: str, fault: str) -> None:
    of = scenario(disk_faults={fault: 30}, personality=personality, calm_at_us=12 * SECOND)
    seen: set[str] = set()
    for seed in range(6):
        lab, outcome = run(of=of, seed=seed)
        seen |= set(outcome.markers)
        assert set(EXPECTED) <= set(lab.arrivals())
    assert f"{fault} happened" in seen


def test_an_unknown_kind_of_strike_is_refused_at_once() -> None:
    with pytest.raises(AssertionError, match="no such strike: earthquake"):
        Lab(scenario(Strike(kind="earthquake"))).world.run()
