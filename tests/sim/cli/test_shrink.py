"""shrink: what broke first still breaks first, with as little as possible."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.choices import Tape
from sim.shrink import Shrinker, smallest, trimmed
from sim.studies import Study
from sim.studies import run as run_study
from tests.sim.cli.toy import LIE_FROM, Command


def test_only_the_draw_that_matters_is_left_and_it_is_as_small_as_it_can_be(toy: Study) -> None:
    failed = run_study(toy, 3, {"lies": True, "messages": 4})
    shrunk = Shrinker(failed).shrink()
    assert shrunk.done
    assert shrunk.run.tape.options["messages"] == 1
    draws = trimmed(shrunk.run.tape).draws
    assert set(draws) == {"toy"}
    assert [number for number in draws["toy"] if number] == [LIE_FROM]
    assert shrunk.run.outcome.violations[0].invariant == failed.outcome.violations[0].invariant == "I6"
    assert shrunk.after == 1 < shrunk.before


def test_the_small_tape_is_written_and_fails_in_the_same_way(smx_sim: Command, tmp_path: Path) -> None:
    tape, small, page = tmp_path / "a.tape", tmp_path / "a.small.tape", tmp_path / "a.html"
    assert smx_sim("run", "toy", "--seed", 3, "-o", "lies=true", "--save", tape)[0] == 1
    status, out, _ = smx_sim("shrink", tape, "--html", page)
    assert status == 0
    assert f"smx-sim replay {small}" in out
    assert "takes t0 for alice@lab.example, copy number 2" in out
    assert "C: MAIL FROM:<sender@lab.example>" in out
    assert "THE POWER FAILS" not in out
    assert "I6 IS BROKEN" in out
    assert page.exists()
    replayed = json.loads(smx_sim("replay", small, "--json")[1])
    assert [violation["invariant"] for violation in replayed["violations"]] == ["I6"]


def test_a_bound_ends_it_with_status_1_and_what_was_reached_is_written(smx_sim: Command, tmp_path: Path) -> None:
    small = tmp_path / "b.tape"
    status, out, _ = smx_sim("shrink", "toy", "--seed", 3, "-o", "lies=true", "--tries", 1, "--output", small, "--json")
    assert status == 1
    assert json.loads(out)["done"] is False
    assert Tape.load(small).study == "toy"


def test_a_study_is_shrunk_by_its_seed(smx_sim: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, _ = smx_sim("shrink", "toy", "--seed", 3, "-o", "lies=true", "--json")
    found = json.loads(out)
    assert status == 0
    assert found["invariant"] == "I6"
    assert found["tape"] == "toy-3.tape"
    assert Path("toy-3.tape").exists()


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
def test_smallest_finds_the_boundary(low: int, width: int, boundary: int) -> None:
    high = low + width
    edge = min(max(boundary, low), high)
    assert smallest(low, high, lambda number: number >= edge) == edge


def test_calm_draws_at_the_end_of_a_tape_go_without_saying() -> None:
    assert trimmed(Tape(draws={"a": [0, 3, 0, 0], "b": [0], "c": []})).draws == {"a": [0, 3]}
