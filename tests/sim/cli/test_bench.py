"""bench: figures with the facts of the machine."""

import json

from tests.sim.cli.toy import Command


def test_bench_tells_the_best_of_its_rounds_and_the_machine(smx_sim: Command) -> None:
    status, out, _ = smx_sim("bench", "--rounds", 2, "--seconds", 0.01, "--only", "s", "--json")
    assert status == 0
    found = json.loads(out)
    assert found["machine"]["python"]
    names = [figure["name"] for figure in found["figures"]]
    assert names[-2:] == ["storms", "server hours"]
    for figure in found["figures"]:
        assert figure["value"] == max(figure["rounds"]) > 0
        assert len(figure["rounds"]) == 2


def test_bench_prints_a_table(smx_sim: Command) -> None:
    out = smx_sim("bench", "--rounds", 1, "--seconds", 0.01, "--only", "server")[1]
    assert "processor" in out
    assert "hours a CPU minute" in out
