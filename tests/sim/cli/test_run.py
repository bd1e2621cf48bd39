"""run and replay: the same seed, the same digest; what a failure tells."""

import json
from pathlib import Path
from typing import Any

import pytest

from sim.choices import Tape
from sim.chronicle import Record, chronicle
from sim.failure import EVENTS_SHOWN
from sim.studies import Study
from sim.studies import run as run_study
from smx.effects import Effect
from tests.sim.cli.toy import STUDY, Command


def as_json(smx_sim: Command, *words: Any) -> dict[str, Any]:
    status, out, err = smx_sim(*words, "--json")
    assert status in (0, 1), err
    found: dict[str, Any] = json.loads(out)
    return found


def test_run_gives_digest_events_violations_and_figures(smx_sim: Command) -> None:
    found = as_json(smx_sim, "run", "toy", "--seed", 3)
    assert {"study", "seed", "options", "digest", "events", "violations", "figures", "markers", "finished"} <= set(found)
    assert found["seed"] == 3
    assert found["violations"] == []
    assert found["events"] > 100
    assert found["options"] == {"messages": 1, "lies": False, "strike": "", "factor": 1.5, "spins": False}


def test_the_same_seed_has_the_same_digest_and_another_seed_another(smx_sim: Command) -> None:
    digests = [as_json(smx_sim, "run", "toy", "--seed", seed)["digest"] for seed in (3, 3, 4)]
    assert digests[0] == digests[1] != digests[2]


def test_options_are_read_as_their_defaults_are(smx_sim: Command) -> None:
    found = as_json(smx_sim, "run", "toy", "-o", "messages=2", "-o", "lies=yes", "-o", "strike=kill", "-o", "factor=2")
    assert found["options"] == {"messages": 2, "lies": True, "strike": "kill", "factor": 2.0, "spins": False}


def test_a_tape_repeats_the_run(smx_sim: Command, tmp_path: Path) -> None:
    tape = tmp_path / "a.tape"
    saved = as_json(smx_sim, "run", "toy", "--seed", 5, "-o", "messages=2", "--save", tape)
    replayed = as_json(smx_sim, "replay", tape)
    assert replayed == saved


def test_trace_prints_a_legend_and_each_event_and_does_not_change_the_digest(smx_sim: Command) -> None:
    plain = as_json(smx_sim, "run", "toy", "--seed", 1)
    traced = as_json(smx_sim, "run", "toy", "--seed", 1, "--trace")
    assert traced["digest"] == plain["digest"]
    assert sum(" < " in line or " > " in line or " * " in line for line in traced["trace"]) == plain["events"]
    out = smx_sim("run", "toy", "--seed", 1, "--trace")[1]
    assert "time (seconds)  lane" in out
    assert "Note submitted" in out


def test_a_failing_seed_tells_what_broke_how_to_repeat_it_and_the_last_events_about_it(smx_sim: Command) -> None:
    status, out, _ = smx_sim("run", "toy", "--seed", 3, "-o", "lies=true", "-o", "messages=3")
    assert status == 1
    assert "I6 is broken at " in out
    assert "I6: no copy arrives twice" in out
    assert "\n  smx-sim run toy --seed 3 --option messages=3 --option lies=true\n" in out
    events = out.partition("events that have to do with it:\n")[2].splitlines()
    assert len(events) == EVENTS_SHOWN
    assert any("= Arrived(token='t0'" in line for line in events)
    assert not any("X-Token: t1" in line or "X-Token: t2" in line for line in events)


def test_a_chronicle_has_the_digest_of_the_plain_run(toy: Study) -> None:
    for strike in ("", "kill", "power"):
        plain = run_study(toy, 2, {"strike": strike})
        told = chronicle(toy, 2, {"strike": strike})
        assert told.run.outcome.digest == plain.outcome.digest


def test_a_chronicle_has_no_effect_that_a_crash_forestalled(toy: Study) -> None:
    told = chronicle(toy, 2, {"strike": "kill"})
    own = [moment for moment in told.moments if moment.lane == "smtpc.0"]
    ends = next(number for number, moment in enumerate(own) if isinstance(moment.what, Record) and moment.what.kind == "ends")
    begins = next(number for number, moment in enumerate(own) if number > ends and isinstance(moment.what, Record) and moment.what.kind == "begins")
    assert not any(isinstance(moment.what, Effect) and moment.at > own[ends].at for moment in own[ends:begins])
    carried_out = sum(isinstance(moment.what, Effect) for moment in told.moments)
    ordered = sum(len(payload[1]) for _, _, kind, payload in told.run.trace.entries() if kind == "")
    assert carried_out < ordered


def test_html_is_written(smx_sim: Command, tmp_path: Path) -> None:
    page = tmp_path / "run.html"
    assert smx_sim("run", "toy", "--html", page)[0] == 0
    assert page.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("words", [("run", "toy", "-o", "spins=true", "--seed", 3), ("replay", "TAPE")])
def test_a_run_that_makes_no_end_is_stopped_and_tells_where_it_stands(smx_sim: Command, tmp_path: Path, words: tuple[Any, ...]) -> None:
    tape = tmp_path / "spins.tape"
    Tape(study="toy", seed=3, options={**STUDY.options, "spins": True}).save(tape)
    words = tuple(tape if word == "TAPE" else word for word in words)
    status, out, _ = smx_sim(*words, "--limit", 0.3)
    assert status == 1
    assert "RUNAWAY: no end after 0.3 CPU seconds: it is at 3.500000 s" in out
    assert f"\n  smx-sim {words[0]} " in out
    assert "* spins" in out
    found = as_json(smx_sim, *words, "--limit", 0.3)
    assert (found["finished"], found["violations"][0]["invariant"]) == (False, "RUNAWAY")
