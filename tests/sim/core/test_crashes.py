"""Crashes: power losses and kills at any boundary, in recovery, again and again; MCP's real logic brings everything back."""

import itertools
from typing import Any

import pytest

from sim.facts import POWER, Crashed, Stopped
from sim.peers.mail import Mail
from sim.scenario import Strike
from sim.world import Outcome
from smx import effects as fx
from smx.events import AnyEvent, Synced
from smx.units import MILLISECOND, SECOND
from tests.sim.core.worlds import EXPECTED, LOCAL, MAILS, Lab, scenario, settle

CHILDREN = ("qmgr", "smar", "lda", "smtpc.0", "smtps.mx.0")
OFF_US = 500 * MILLISECOND


def run(*strikes: Strike, seed: int = 1, **fields: Any) -> tuple[Lab, Outcome]:
    lab = Lab(scenario(*strikes, **fields), seed=seed)
    outcome = lab.world.run()
    assert outcome.violations == (), outcome.violations
    assert outcome.finished
    assert set(EXPECTED) <= set(lab.arrivals())
    return lab, outcome


@pytest.mark.parametrize("process", [*CHILDREN, "mcp"])
@pytest.mark.parametrize("effects", [0, 4, 9])
def test_the_kill_of_any_process_within_a_step_loses_nothing(process: str, effects: int) -> None:
    lab, _ = run(Strike(kind="kill", target=process, at_us=3 * SECOND, by=process if process != "mcp" else "", effects=effects))
    crashed = [(fact.process, fact.how) for fact in lab.facts(Crashed)]
    assert crashed == [(process, "kill")]
    assert len([note for note in lab.notes("started") if note.process == process]) == 2


@pytest.mark.parametrize("effects", range(0, 240, 12))
def test_a_power_loss_at_any_boundary_loses_nothing(effects: int) -> None:
    lab, outcome = run(Strike(kind="power", at_us=3 * SECOND, effects=effects, amount=OFF_US), seed=effects)
    assert [fact.process for fact in lab.facts(Crashed)] == [POWER]
    assert outcome.figures["power_losses"] == 1
    assert len(lab.notes("started", "mcp")) == 2


@pytest.mark.parametrize("operation", range(1, 60, 6))
def test_a_power_loss_inside_an_operation_of_the_disk_loses_nothing(operation: int) -> None:
    _, outcome = run(Strike(kind="cut_disk", at_us=3 * SECOND, amount=operation), seed=operation)
    assert "power failed inside an operation" in outcome.markers


@pytest.mark.parametrize("effects", [0, 3, 7, 12, 18])
def test_a_crash_in_recovery_and_one_in_the_recovery_from_that(effects: int) -> None:
    strikes = (
        Strike(kind="power", at_us=3_200 * MILLISECOND, amount=OFF_US),
        Strike(kind="power", note="recovering", nth=2, by="qmgr", effects=effects, amount=OFF_US),
        Strike(kind="kill", target="qmgr", note="recovering", nth=3, by="qmgr", effects=effects),
    )
    lab, outcome = run(*strikes, seed=effects)
    assert "crash in recovery" in outcome.markers
    assert len(lab.facts(Crashed)) == 3


@pytest.mark.feature("SX05")
def test_when_qmgr_dies_its_dependants_end_before_it_comes_back() -> None:
    lab, _ = run(Strike(kind="kill", target="qmgr", at_us=3_300 * MILLISECOND))
    ended = {fact.process: fact.at for fact in lab.facts(Stopped)}
    second = [note.at for note in lab.notes("started", "qmgr")][1]
    assert set(ended) == {"smar", "smtpc.0", "smtps.mx.0"}
    assert all(at < second for at in ended.values())


def test_when_mcp_dies_its_children_stop_and_the_next_mcp_waits_for_the_lock_of_the_spool() -> None:
    lab, _ = run(Strike(kind="kill", target="mcp", at_us=3_300 * MILLISECOND))
    last_end = max(fact.at for fact in lab.facts(Stopped))
    second = [note.at for note in lab.notes("started", "mcp")][1]
    assert last_end <= second


def test_a_storm_of_restarts_is_bounded() -> None:
    """F19: SMAR dies as soon as it is ready, twelve times."""
    strikes = [Strike(kind="kill", target="smar", note="ready", by="smar", nth=nth) for nth in range(1, 13)]
    lab, _ = run(*strikes, calm_at_us=40 * SECOND)
    starts = [note.at for note in lab.notes("started", "smar")]
    waits = [after - before for before, after in itertools.pairwise(starts)]
    assert len(starts) == 13
    assert max(waits) >= 2 * SECOND  # restart_max
    assert all(wait >= 200 * MILLISECOND for wait in waits)


def test_a_second_qmgr_is_refused_by_the_lock_on_the_queue() -> None:
    _, outcome = run(Strike(kind="second_qmgr", at_us=3 * SECOND))
    assert "second QMGR refused" in outcome.markers


def test_an_orderly_restart_under_load_loses_nothing() -> None:
    lab, _ = run(Strike(kind="stop_mta", at_us=3_300 * MILLISECOND, amount=SECOND))
    assert lab.facts(Crashed) == []


def test_forks_that_fail_are_tried_again() -> None:
    strikes = (Strike(kind="no_fork", at_us=3 * SECOND, amount=3), Strike(kind="kill", target="smtpc.0", at_us=3_100 * MILLISECOND))
    lab, _ = run(*strikes)
    assert [note.values[0] for note in lab.notes("trouble", "mcp")] == ["launch smtpc.0"] * 3


def test_nothing_of_a_dead_process_runs() -> None:
    lab = Lab(scenario(), mails=MAILS)
    world = lab.world
    world.begin()
    settle(lab, lambda: len(lab.notes("accepted")) >= 1)
    dead = list(world.machine.processes.values())
    world.machine.power_loss(2 * SECOND)
    steps: list[AnyEvent] = []

    def run_on(event: AnyEvent, now: int) -> list[fx.AnyEffect]:
        steps.append(event)
        return []

    for process in dead:
        process._step = run_on
    world.go_on(world.env.now + 30 * SECOND)
    assert steps == []
    assert all(not process.alive for process in dead)


def test_dropping_the_sync_of_the_log_is_seen_at_the_250_and_after_the_crash() -> None:
    """The ablation: without the safeguard the checkers speak (I1, I2)."""
    lab = Lab(scenario(Strike(kind="power", note="accepted", nth=4, amount=OFF_US)), seed=5)

    def lie(process: str, effect: fx.AnyEffect) -> list[fx.AnyEffect]:
        if isinstance(effect, fx.Sync) and effect.store == "ibdb" and process == "qmgr":
            machine = lab.world.machine
            lab.world.env.later(0, machine.processes["qmgr"].deliver, Synced(effect.store, effect.token))
            return []
        return [effect]

    lab.world.tamper = lie
    found = {violation.invariant for violation in lab.world.run().violations}
    assert "I2" in found


def test_a_client_that_was_promised_nothing_tries_again_after_the_crash() -> None:
    lab = Lab(scenario(Strike(kind="power", note="submitted", amount=OFF_US)), mails=[Mail("t1", LOCAL)])
    outcome = lab.world.run()
    assert outcome.violations == ()
    assert lab.clients[0].promised
    assert ("t1", LOCAL[0]) in lab.arrivals()


def test_a_message_that_kills_qmgr_each_time_is_set_aside_and_the_others_go_on() -> None:
    """F23, L4: three deaths, then it is quarantined and reported (A14)."""
    lab = Lab(scenario(Strike(kind="poison", target="qmgr", note="submitted", nth=2)))
    outcome = lab.world.run()
    assert (outcome.violations, outcome.finished) == ((), True)
    assert [(fact.process, fact.how) for fact in lab.facts(Crashed)] == [("qmgr", "poison")] * 3
    assert len(lab.notes("quarantined")) == 1
    assert set(lab.arrivals()) == {arrival for arrival in EXPECTED if arrival[0] != "t2"}


def test_a_message_that_kills_smtpc_a_few_times_is_delivered_after_that() -> None:
    lab, _ = run(Strike(kind="poison", target="smtpc", note="submitted", nth=2, amount=2))
    assert [(fact.process, fact.how) for fact in lab.facts(Crashed)] == [("smtpc.0", "poison")] * 2
