"""MCP: starts in reverse order, restarts with back-off and dependants, stops in order."""

import pytest

from smx.config.schema import QmgrSettings, Settings, SmarSettings
from smx.events import BindFailed, Bound
from smx.messages import ProcessGone
from smx.notes import NOTES
from smx.units import MINUTE, SECOND
from tests.mcp.world import World, settings

START_ORDER = ["lda", "smtpc.0", "smar", "qmgr", "smtps.mx.0", "smtps.mx.1"]


def running(some: Settings | None = None) -> World:
    world = World(some or settings())
    world.settle()
    world.pass_time(MINUTE)
    assert world.launches == START_ORDER
    world.launches.clear()
    return world


@pytest.mark.feature("SX01")
@pytest.mark.feature("SX06")
def test_starts_everything_in_the_reverse_order_of_the_file() -> None:
    world = running()
    assert set(world.alive) == set(START_ORDER)
    assert ("ready" in {note.name for note in world.notes}) and not world.halted


@pytest.mark.feature("SX03")
def test_every_socket_is_bound_before_anything_is_launched() -> None:
    world = World(settings(), bind=False)
    assert world.bound == ["smtps.mx:0", "lda:0"]
    assert not world.saving
    world.give(Bound("smtps.mx:0", "127.0.0.1", 25))
    assert not world.saving
    world.give(Bound("lda:0", "/run/lda", 0))
    assert world.saving


def test_sockets_that_cannot_be_bound_halt_with_every_reason() -> None:
    world = World(settings(), bind=False)
    world.give(BindFailed("smtps.mx:0", "permission denied"))
    world.give(BindFailed("lda:0", "no such directory"))
    assert world.halted == "cannot listen on 127.0.0.1 port 25 (smtps.mx): permission denied; cannot listen on /run/lda (lda): no such directory"


@pytest.mark.feature("SX03")
def test_each_process_of_a_section_gets_its_sockets() -> None:
    world = World(settings())
    handed: dict[str, tuple[str, ...]] = {}
    while world.saving or world.starting:
        while world.saving:
            world.save()
        handed |= {launch.process: launch.listeners for launch in world.starting}
        while world.starting:
            process = world.starting[0].process
            world.launch()
            world.say_ready(process)
    assert handed["smtps.mx.0"] == handed["smtps.mx.1"] == ("smtps.mx:0",)
    assert handed["lda"] == ("lda:0",)
    assert handed["qmgr"] == ()


@pytest.mark.feature("SX07")
def test_a_section_waits_until_the_one_before_it_is_ready() -> None:
    world = World(settings())
    for process in START_ORDER[:4]:
        world.save()
        assert [launch.process for launch in world.starting] == [process]
        world.launch()
        assert not world.saving
        world.say_ready(process)


@pytest.mark.feature("SX07")
def test_an_order_in_which_nobody_gets_ready_still_starts_everybody() -> None:
    world = World(settings(start_timeout_us=10 * SECOND))
    for _ in range(8):
        while world.saving:
            world.save()
        while world.starting:
            world.launch()
        for process in [name for name, signal in world.signals.items() if signal == "term"]:
            world.die(process, 0)
        world.pass_time(10 * SECOND)
    assert {"smtps.mx.0", "smtps.mx.1", "qmgr"} <= set(world.alive)
    world.converge()


def test_qmgr_is_never_ended_because_its_recovery_is_long() -> None:
    world = World(settings(start_timeout_us=10 * SECOND))
    while "qmgr" not in world.alive:
        while world.saving:
            world.save()
        process = world.starting[0].process
        world.launch()
        if process != "qmgr":
            world.say_ready(process)
    world.pass_time(60 * MINUTE)
    assert "qmgr" not in world.signals


@pytest.mark.feature("SX04")
@pytest.mark.parametrize("process", ["lda", "smtpc.0", "smar", "smtps.mx.1"])
def test_a_process_that_died_is_started_again_alone(process: str) -> None:
    world = running()
    world.die(process, -9)
    world.settle()
    assert world.launches == []
    world.pass_time(SECOND)
    world.settle()
    assert world.launches == [process]
    world.converge()


@pytest.mark.feature("SX05")
def test_the_death_of_qmgr_ends_its_dependants_and_they_start_after_it() -> None:
    world = running()
    world.die("qmgr", -9)
    assert set(world.signals) == {"smtps.mx.0", "smtps.mx.1", "smtpc.0", "smar"}
    world.pass_time(5 * SECOND)
    assert world.launches == []
    for process in ["smtps.mx.0", "smar", "smtpc.0"]:
        world.die(process, 0)
    assert not world.saving, "one dependant still lives"
    world.die("smtps.mx.1", 0)
    world.save()
    world.launch()
    assert world.launches == ["qmgr"]
    assert not world.saving, "the dependants wait until QMGR serves"
    world.say_ready("qmgr")
    world.settle()
    assert world.launches == ["qmgr", "smtpc.0", "smar", "smtps.mx.0", "smtps.mx.1"]
    assert "lda" in world.alive


@pytest.mark.feature("SX05")
def test_a_dependant_that_ignores_term_is_killed_before_qmgr_starts_again() -> None:
    world = running(settings(stop_timeout_us=5 * SECOND))
    world.die("qmgr", -9)
    for process in ["smtps.mx.0", "smar", "smtpc.0"]:
        world.die(process, 0)
    world.pass_time(5 * SECOND)
    assert world.signals == {"smtps.mx.1": "kill"}
    assert world.launches == []
    world.die("smtps.mx.1", -9)
    world.settle()
    assert world.launches[0] == "qmgr"


def test_a_dependant_that_is_being_launched_when_qmgr_dies_is_ended_first() -> None:
    world = running()
    world.die("smar")
    world.pass_time(SECOND)
    world.save()
    world.die("qmgr")
    world.launch()
    assert world.signals["smar"] == "term"
    world.converge()


def test_the_wait_before_a_restart_doubles_and_begins_anew_after_a_long_life() -> None:
    world = running(settings(restart_min_us=SECOND, restart_max_us=8 * SECOND, restart_reset_us=5 * MINUTE))
    for _ in range(5):
        world.die("lda")
        world.pass_time(8 * SECOND)
        world.settle()
    assert [values[1] for values in world.noted("restarting")] == [SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND, 8 * SECOND]
    world.pass_time(5 * MINUTE)
    world.die("lda")
    assert world.noted("restarting")[-1][1] == SECOND


@pytest.mark.parametrize("restart_min_us", [0, SECOND])
def test_a_storm_of_restarts_is_bounded(restart_min_us: int) -> None:
    world = running(settings(restart_min_us=restart_min_us, restart_max_us=MINUTE))
    hour_ends = world.now + 60 * MINUTE
    while world.now < hour_ends:
        if "qmgr" in world.alive:
            world.die("qmgr")
        world.settle()
        world.pass_time(SECOND)
    assert world.launches.count("qmgr") < 80


def test_processes_that_restart_with_each_other_both_come_back() -> None:
    both = Settings(
        order=("qmgr", "smar"),
        qmgr=QmgrSettings(restart_dependencies=("smar",)),
        smar=SmarSettings(restart_dependencies=("qmgr",)),
    )
    world = World(both)
    world.settle()
    world.die("qmgr")
    world.die("smar")
    for _ in range(3):
        world.settle()
        world.pass_time(MINUTE)
    assert world.ready == {"qmgr", "smar"}


@pytest.mark.feature("SX06")
def test_stops_in_the_order_of_the_file_each_section_dead_before_the_next() -> None:
    world = running()
    world.stop()
    assert set(world.signals) == {"smtps.mx.0", "smtps.mx.1"}
    world.die("smtps.mx.1", 0)
    assert set(world.signals) == {"smtps.mx.0"}
    for dying, next_one in [("smtps.mx.0", "qmgr"), ("qmgr", "smar"), ("smar", "smtpc.0"), ("smtpc.0", "lda")]:
        world.die(dying, 0)
        assert world.signals == {next_one: "term"}
    world.die("lda", 0)
    assert world.halted == "stopped"
    assert not world.saving


def test_a_stop_takes_bounded_time_even_when_nothing_dies() -> None:
    world = running(settings(stop_timeout_us=5 * SECOND))
    world.stop()
    world.pass_time(5 * 2 * 5 * SECOND)
    assert world.halted == "stopped"
    assert len(world.noted("trouble")) == 6


def test_asked_twice_to_stop_everything_is_killed() -> None:
    world = running()
    world.stop()
    world.stop()
    assert set(world.signals.values()) == {"kill"}
    assert set(world.signals) == set(START_ORDER)
    world.settle()
    assert world.halted == "stopped"


def test_a_stop_during_the_start_launches_nothing_more() -> None:
    world = World(settings())
    world.save()
    world.stop()
    world.launch()
    assert world.signals == {"lda": "term"}
    world.die("lda", 0)
    assert world.halted == "stopped"


def test_a_stop_before_the_sockets_are_bound_halts() -> None:
    world = World(settings(), bind=False)
    world.stop()
    assert world.halted == "stopped"


def test_qmgr_is_told_which_processes_are_gone_now_and_on_a_new_link() -> None:
    world = running()
    world.link()
    epoch = world.alive["smtps.mx.0"]
    world.die("smtps.mx.0", -9)
    assert world.told == [ProcessGone("smtps.mx.0", epoch)]
    world.unlink()
    world.die("lda", 1)
    assert len(world.told) == 1
    world.link()
    assert world.told[1:] == [ProcessGone("smtps.mx.0", epoch)], "what is older than QMGR it knows to be gone"


def test_notes_have_the_fields_of_the_table() -> None:
    world = running()
    world.die("qmgr")
    world.converge()
    world.stop()
    world.settle()
    for note in world.notes:
        assert len(note.values) == len(NOTES[note.name].fields), note
    assert {"launched", "exited", "restarting", "started", "ready", "stopping", "halted"} <= {note.name for note in world.notes}
