"""duplicates: the exact set at one instant, and how large it is over the run (A13)."""

import json
from pathlib import Path

from tests.sim.cli.toy import Command


def test_the_distribution_covers_the_run_and_its_worst_instant_has_that_many(smx_sim: Command) -> None:
    found = json.loads(smx_sim("duplicates", "toy", "-o", "messages=3", "--json")[1])
    assert sum(row["share"] for row in found["distribution"]) > 0.999
    assert found["most"] >= 1
    worst = next(span for span in found["spans"] if span["size"] == found["most"])
    middle = (worst["at"] + worst["lasted"] / 2) / 1e6
    at = json.loads(smx_sim("duplicates", "toy", "-o", "messages=3", "--at", middle, "--json")[1])
    assert len(at["recipients"]) == found["most"]
    assert at["recipients"][0]["message"] == "t0"
    assert at["recipients"][0]["recipient"] == "alice@lab.example"


def test_nothing_is_at_risk_before_the_first_dot(smx_sim: Command) -> None:
    status, out, _ = smx_sim("duplicates", "toy", "--at", "1.0")
    assert (status, out) == (0, "a crash of power at 1.000000 s may repeat 0 deliveries\n")


def test_the_death_of_smtps_repeats_nothing(smx_sim: Command) -> None:
    found = json.loads(smx_sim("duplicates", "toy", "--json")[1])
    at = (found["most_at_us"] + 1) / 1e6
    assert len(json.loads(smx_sim("duplicates", "toy", "--at", at, "--process", "smtpc.0", "--json")[1])["recipients"]) == 1
    assert json.loads(smx_sim("duplicates", "toy", "--at", at, "--process", "smtps.mx.0", "--json")[1])["recipients"] == []


def test_the_table_names_the_command_for_the_set_and_the_plot_is_drawn(smx_sim: Command, tmp_path: Path) -> None:
    status, out, _ = smx_sim("duplicates", "toy", "--plot", tmp_path / "risk.svg")
    assert status == 0
    assert "smx-sim duplicates toy --seed 0 --at" in out
    assert "<svg" in (tmp_path / "risk.svg").read_text()


def test_a_plot_that_cannot_be_drawn_is_told_in_one_line(smx_sim: Command) -> None:
    status, _, err = smx_sim("duplicates", "toy", "--plot", "risk.cake")
    assert (status, err.count("\n")) == (2, 1)
