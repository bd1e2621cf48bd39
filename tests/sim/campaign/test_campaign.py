"""Campaigns: the same result however the seeds are cut and whoever runs them; resumed, verified, and told."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from sim import campaign as engine
from sim.campaign import Head, Line, Plan, State, StateError, carry_out, verify_chunk
from sim.chunks import CRASHED, RUNAWAY, Chunk, Result, joined, run_chunk
from sim.studies import Study
from tests.sim.cli.toy import Command


def total(plan: Plan, state: State | None = None) -> Result:
    state = state or State(None, Head(study=plan.study))
    carry_out(plan, state, lambda chunk, result: True)
    return state.total(plan.first, plan.last)


def facts(result: Result) -> dict[str, Any]:
    return {name: getattr(result, name) for name in result.__struct_fields__ if name != "cpu_s"}


def test_the_result_does_not_depend_on_how_the_seeds_are_cut(toy: Study) -> None:
    whole = total(Plan(study="toy", first=1, last=6, options={"lies": True}, chunk=6))
    for chunk in (1, 4):
        assert facts(total(Plan(study="toy", first=1, last=6, options={"lies": True}, chunk=chunk))) == facts(whole)
    assert whole.seeds == 6
    assert whole.markers == {"toy ran": 6}


def test_a_campaign_goes_on_where_it_stopped(toy: Study, tmp_path: Path) -> None:
    path = tmp_path / "state"
    plan = Plan(study="toy", first=1, last=9, chunk=2)
    ran: list[int] = []
    carry_out(plan, State(path, Head(study="toy")), lambda chunk, result: ran.append(chunk.first) or len(ran) < 2)  # type: ignore[func-returns-value]
    assert ran == [1, 3]
    carry_out(plan, State(path, Head(study="toy")), lambda chunk, result: ran.append(chunk.first) or True)  # type: ignore[func-returns-value]
    assert ran == [1, 3, 5, 7, 9]
    state = State(path, Head(study="toy"))
    assert facts(state.total(1, 9)) == facts(total(Plan(study="toy", first=1, last=9)))
    assert sum(state.commits().values()) == 9


def test_a_line_that_a_crash_cut_off_does_not_count(toy: Study, tmp_path: Path) -> None:
    path = tmp_path / "state"
    plan = Plan(study="toy", first=1, last=4, chunk=2)
    carry_out(plan, State(path, Head(study="toy")), lambda chunk, result: True)
    octets = path.read_bytes()
    path.write_bytes(octets[:-10])
    state = State(path, Head(study="toy"))
    assert state.missing(1, 4) == [(3, 4)]
    carry_out(plan, state, lambda chunk, result: True)
    assert State(path, Head(study="toy")).missing(1, 4) == []


@pytest.mark.parametrize(
    ("done", "missing"),
    [([], [(1, 9)]), ([(1, 9)], []), ([(3, 2)], [(1, 2), (5, 9)]), ([(8, 5), (1, 2)], [(3, 7)]), ([(20, 5)], [(1, 9)]), ([(0, 3)], [(3, 9)])],
)
def test_what_is_missing_is_what_no_line_covers(done: list[tuple[int, int]], missing: list[tuple[int, int]]) -> None:
    state = State(None, Head(study="toy"))
    for first, count in done:
        state.add(Line(first=first, count=count, commit="c", result=Result()))
    assert state.missing(1, 9) == missing


@pytest.mark.parametrize("octets", [b"nonsense\n", b'{"study":"other"}\n', b'{"study":"toy","options":{"a":1}}\n', b'{"study":"toy"}\nnonsense\n'])
def test_the_state_of_something_else_is_refused(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "state"
    path.write_bytes(octets)
    with pytest.raises(StateError, match="state"):
        State(path, Head(study="toy"))
    assert path.read_bytes() == octets


def test_an_exception_of_the_simulator_fails_its_seed_only(toy: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.chunks.run", lambda study, seed, options: 1 / (seed - 2))
    found = run_chunk(Chunk(study="toy", first=2, count=1))
    assert found.failures[0].ids == (CRASHED,)
    assert "ZeroDivisionError" in found.failures[0].text


def test_a_run_without_end_fails_its_seed_only(toy: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(study: Study, seed: int, options: Any) -> None:
        while True:
            pass

    monkeypatch.setattr("sim.chunks.run", endless)
    found = run_chunk(Chunk(study="toy", first=1, count=1, limit_s=0.05))
    assert [(failure.ids, failure.text) for failure in found.failures] == [((RUNAWAY,), "no end after 0.05 CPU seconds")]


def test_the_digest_of_digests_is_a_sum() -> None:
    assert joined(["f" * 32, "0" * 31 + "1"]) == "0" * 32
    assert joined(["0" * 31 + "2", "0" * 31 + "3"]) == joined(["0" * 31 + "3", "0" * 31 + "2"])


# --- the command --------------------------------------------------------------------------------------------------------


def test_each_failure_comes_with_the_line_that_repeats_it_and_gives_status_1(smx_sim: Command) -> None:
    status, out, err = smx_sim("campaign", "toy", "--seeds", "1..3", "-o", "lies=true")
    assert status == 1
    line = "smx-sim run toy --seed 3 --option lies=true   # I6: t0 for alice@lab.example arrived 2 times"
    assert line in err
    assert line in out
    assert "never reached: pigs fly" in out


def test_json_tells_counts_failures_markers_and_commits(smx_sim: Command, tmp_path: Path) -> None:
    status, out, _ = smx_sim("campaign", "toy", "--seeds", "1..4", "--state", tmp_path / "state", "--json")
    found = json.loads(out)
    assert status == 0
    assert (found["seeds"], found["failures"], found["never_reached"]) == (4, [], ["pigs fly"])
    assert sum(found["commits"].values()) == 4
    again = json.loads(smx_sim("campaign", "toy", "--seeds", "1..4", "--state", tmp_path / "state", "--json")[1])
    assert again == found


def test_a_state_of_another_campaign_is_told_in_one_line(smx_sim: Command, tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert smx_sim("campaign", "toy", "--seeds", "1..1", "--state", state)[0] == 0
    status, out, err = smx_sim("campaign", "toy", "--seeds", "1..1", "-o", "messages=2", "--state", state)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "another campaign" in err


def test_an_interrupted_campaign_tells_what_it_has(smx_sim: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sim.cli.campaign.carry_out", interrupted)
    status, out, err = smx_sim("campaign", "toy", "--seeds", "1..4")
    assert status == 130
    assert "0 run, 0 failed" in out
    assert "interrupted" in err


def test_minutes_end_a_campaign_behind_a_chunk(smx_sim: Command) -> None:
    found = json.loads(smx_sim("campaign", "toy", "--seeds", "1..9", "--chunk", 2, "--minutes", 1e-9, "--json")[1])
    assert found["seeds"] == 2


def test_processes_of_joblib_give_the_same(smx_sim: Command) -> None:
    words = ("campaign", "crash_storm", "--seeds", "1..2", "--chunk", 1, "--json")
    alone, together = (json.loads(smx_sim(*words, "--jobs", jobs)[1]) for jobs in (1, 2))
    assert alone["digest"] == together["digest"]
    assert alone["events"] == together["events"]


def test_dask_without_its_package_is_told_in_one_line(smx_sim: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    status, _, err = smx_sim("campaign", "toy", "--seeds", "1..2", "--dask", "tcp://127.0.0.1:1")
    assert status == 2
    assert "pip install 'smx[cluster]'" in err


# --- verification -------------------------------------------------------------------------------------------------------


def test_digests_do_not_depend_on_the_hash_seed() -> None:
    found = verify_chunk(Chunk(study="crash_storm", first=1, count=2, keep_digests=True))
    assert not [failure for failure in found.failures if failure.ids == (engine.DIFFERS,)]
    assert len(set(found.digests.values())) == 2


def test_a_digest_that_depends_on_the_process_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_elsewhere", lambda chunk, hash_seed: Result(digests={"1": "aa", "2": hash_seed}))
    found = verify_chunk(Chunk(study="toy", first=1, count=2, keep_digests=True))
    assert [(failure.seed, failure.ids) for failure in found.failures] == [(2, (engine.DIFFERS,))]


def test_two_seeds_with_one_digest_are_found(toy: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "verify_chunk", lambda chunk: Result(seeds=1, digests={str(chunk.first): "same"}))
    found = total(Plan(study="toy", first=1, last=2, chunk=1, verify=True))
    assert [(failure.seed, failure.ids) for failure in found.failures] == [(2, (engine.DIFFERS,))]
    assert "that of seed 1 as well" in found.failures[0].text
