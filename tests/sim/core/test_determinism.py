"""Same seed, same run: equal digests in one process and under any PYTHONHASHSEED; another seed, or one other service time, is another run."""

import json
import os
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from sim import costs
from sim.choices import Tape
from sim.costs import Times
from sim.scenario import Scenario, Strike
from sim.weather import ROUGH
from smx.units import MILLISECOND, SECOND
from tests.sim.core.worlds import MAILS, Lab, scenario

SEEDS = 40
VARIED = Times(sync_min_us=200, sync_max_us=5_000, link_min_us=20, link_max_us=400)


def rough(seed: int, **fields: Any) -> Scenario:
    """Crashes, a rough network and a faulty disk."""
    strikes = (
        Strike(kind="power", at_us=3 * SECOND, effects=40 + seed, amount=500 * MILLISECOND),
        Strike(kind="kill", target="qmgr", note="recovering", nth=2, effects=seed % 20, by="qmgr"),
        Strike(kind="cut_link", at_us=4 * SECOND),
    )
    return scenario(*strikes, **{"times": VARIED, "weather": ROUGH, "disk_faults": {"F7": 3, "F9": 3}, "calm_at_us": 20 * SECOND, **fields})


def result(seed: int, **fields: Any) -> tuple[str, int]:
    outcome = Lab(rough(seed, **fields), MAILS, seed=seed).world.run()
    return outcome.digest, outcome.events


@pytest.fixture(scope="module")
def results() -> list[tuple[str, int]]:
    return [result(seed) for seed in range(SEEDS)]


def test_the_same_seed_gives_the_same_digest(results: list[tuple[str, int]]) -> None:
    assert [result(seed) for seed in range(SEEDS)] == results


def test_different_seeds_give_different_digests(results: list[tuple[str, int]]) -> None:
    assert len({digest for digest, _ in results}) == SEEDS


@pytest.mark.parametrize("hash_seed", ["1", "4711"])
def test_the_digests_do_not_depend_on_the_seed_of_hashes(results: list[tuple[str, int]], hash_seed: str) -> None:
    code = "import json\nfrom tests.sim.core.test_determinism import result\nprint(json.dumps([result(seed) for seed in range(8)]))"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.getcwd()}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert [tuple(each) for each in json.loads(run.stdout)] == results[:8]


def test_a_tape_replays_to_the_same_digest(results: list[tuple[str, int]]) -> None:
    lab = Lab(rough(3), MAILS, seed=3)
    lab.world.run()
    tape = msgspec.json.decode(msgspec.json.encode(lab.world.choices.tape("test")), type=Tape)
    again = Lab(rough(3), MAILS, tape=tape).world.run()
    assert (again.digest, again.events) == results[3]


def test_an_empty_tape_is_the_calm_run_of_the_same_scenario() -> None:
    calm = Lab(scenario(), MAILS, tape=Tape()).world.run()
    assert calm.violations == ()
    assert calm.digest == Lab(scenario(), MAILS, tape=Tape(seed=99)).world.run().digest


def test_one_changed_service_time_changes_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    charged = Times(scale=1.0, cores=2)
    first = Lab(scenario(times=charged)).world.run().digest
    assert Lab(scenario(times=charged)).world.run().digest == first
    measured = costs.load()
    other = msgspec.structs.replace(measured, step_us={**measured.step_us, "qmgr Submit": measured.step_us["qmgr Submit"] + 1})
    monkeypatch.setattr(costs, "load", lambda: other)
    assert Lab(scenario(times=charged)).world.run().digest != first


def test_a_tie_that_is_broken_the_other_way_is_another_run() -> None:
    """Calm, without latencies: only the order of simultaneous events can differ."""
    still = Times(sync_min_us=0, sync_max_us=0, link_min_us=0, link_max_us=0)
    digests = {Lab(scenario(times=still), MAILS, tape=Tape(draws={"ties": [ties]}), gap_us=0).world.run().digest for ties in range(8)}
    assert len(digests) == 8
