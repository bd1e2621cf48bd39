"""thundering_herd: who comes back is not run over, and gets all that waited (F39, L3)."""

import pytest

from sim.facts import Healed
from sim.studies import find, run
from sim.studies.thundering_herd import INITIAL
from tests.sim.studies.runs import figures, markers, silent

SEEDS = (0, 1, 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_backlog_drains_without_a_herd(seed: int) -> None:
    found = figures("thundering_herd", seed)
    assert found["backlog"] > 100
    assert found["drained, s"] < 120
    assert found["connections at once, at most"] <= INITIAL + found["backlog"] / 10


def test_while_it_is_dead_it_is_only_probed() -> None:
    found = figures("thundering_herd", 0)
    assert found["attempts while dead"] < found["backlog"] / 4
    assert {"declared dead", "probed while dead", "came back by a probe"} <= set(markers("thundering_herd", 0))


def test_other_mail_does_not_notice() -> None:
    found = figures("thundering_herd", 0)
    assert found["others after p95 ms"] < 2 * found["others meanwhile p95 ms"] + 5


def test_the_checkers_hear_of_the_return() -> None:
    done = run(find("thundering_herd"), 3, {"backlog": 30}, keep=True)
    assert done.outcome.violations == ()
    assert done.truth.facts is not None
    assert [fact.destination for fact in done.truth.facts if isinstance(fact, Healed)] == ["d0.example"]
    assert silent("thundering_herd", 0).tape.draws["study"]
