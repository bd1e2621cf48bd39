"""Each mutation is caught: somebody objects with it, nobody without it. And each rule and each checker has one that proves it awake."""

import pytest

from sim.checkers import REGISTRY as CHECKERS
from sim.mutations import REGISTRY, SCENES, evaluate
from sim.mutations.evaluate import judge_product
from sim.mutations.patching import locate, split

RULES = [f"A{number}" for number in range(1, 17)]
INVARIANTS = [*(f"I{number}" for number in range(1, 17)), *(f"L{number}" for number in range(1, 8))]
SEEDS_MAX = 10


@pytest.mark.parametrize("name", REGISTRY)
def test_a_mutation_is_caught_by_the_checker_that_is_expected(name: str) -> None:
    result = evaluate(REGISTRY[name], SEEDS_MAX)
    assert result.caught, result
    assert result.checker == result.expected, result


@pytest.mark.parametrize("scene", SCENES)
def test_a_scene_is_silent_without_a_mutation(scene: str) -> None:
    for seed in range(2):
        assert not judge_product(scene, seed).checker, judge_product(scene, seed)


def test_there_are_at_least_sixty() -> None:
    assert len(REGISTRY) >= 60


@pytest.mark.parametrize("rule", [*RULES, *INVARIANTS])
def test_each_rule_is_broken_by_a_mutation(rule: str) -> None:
    assert [name for name, mutation in REGISTRY.items() if rule in mutation.breaks]


@pytest.mark.parametrize("checker", INVARIANTS)
def test_each_checker_is_the_first_to_object_to_a_mutation(checker: str) -> None:
    assert [name for name, mutation in REGISTRY.items() if mutation.checker == checker]


def test_a_mutation_says_what_it_changes_and_where() -> None:
    for name, mutation in REGISTRY.items():
        locate(mutation.where)
        assert split(mutation.where)[0].startswith(("smx.", "sim.disk.")), name
        assert mutation.scene in SCENES, name
        assert mutation.checker in CHECKERS, name
        assert set(mutation.breaks) <= {*RULES, *INVARIANTS}, name
        assert mutation.what.endswith(".") and len(mutation.what) > 20, name
