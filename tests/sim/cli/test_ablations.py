"""ablations and ablate: the commands; what they judge is tested with the mutations."""

import json
from typing import Any

import pytest

import sim.mutations
from sim.mutations import REGISTRY, Result
from tests.sim.cli.toy import Command


def result(name: str, *, caught: bool) -> Result:
    mutation = REGISTRY[name]
    checker = mutation.checker if caught else ""
    return Result(name=name, checker=checker, caught=caught, seeds=2, expected=mutation.checker, violation="it broke" if caught else "")


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All mutations but those in this list are caught, without running any."""
    missed: list[str] = []

    def evaluate_all(names: Any = None, **_: Any) -> list[Result]:
        return [result(name, caught=name not in missed) for name in names or REGISTRY]

    monkeypatch.setattr(sim.mutations, "evaluate_all", evaluate_all)
    return missed


def test_json_is_a_list_of_name_checker_caught_and_seeds(smx_sim: Command, judged: list[str]) -> None:
    name = next(iter(REGISTRY))
    status, out, _ = smx_sim("ablations", name, "--json")
    assert status == 0
    assert json.loads(out) == [{"name": name, "checker": REGISTRY[name].checker, "caught": True, "seeds": 2}]


def test_a_mutation_that_nobody_caught_gives_status_1(smx_sim: Command, judged: list[str]) -> None:
    judged.append(list(REGISTRY)[1])
    status, out, _ = smx_sim("ablations")
    assert status == 1
    assert f"{len(REGISTRY) - 1} of {len(REGISTRY)} mutations are caught; not caught: {judged[0]}" in out


@pytest.mark.parametrize("patch", ["nosuch.module:a=1", "smx.qmgr.ibdb:Nope=1", "smx.ids:id_text=(", "/nowhere.py"])
def test_a_patch_that_does_not_fit_is_told_in_one_line(smx_sim: Command, patch: str) -> None:
    status, out, err = smx_sim("ablate", patch)
    assert (status, out, err.count("\n")) == (2, "", 1)


def test_ablate_tells_who_objected(smx_sim: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    name = next(iter(REGISTRY))
    monkeypatch.setattr(sim.mutations, "ablate", lambda patch, **_: result(name, caught=True))
    assert smx_sim("ablate", "m:a=1") == (0, f"caught by {REGISTRY[name].checker} after 2 seeds: it broke\n", "")
    monkeypatch.setattr(sim.mutations, "ablate", lambda patch, **_: result(name, caught=False))
    status, out, _ = smx_sim("ablate", "m:a=1")
    assert (status, "nobody noticed" in out) == (1, True)
