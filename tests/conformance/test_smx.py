"""smx is judged: the server role over sockets, some cases twice in another order; what it does not follow has a reason in its expected-results file."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from conformance.case import SERVER, catalogue
from conformance.expected import GOOD, judge, load
from conformance.outcome import PASS
from conformance.profiles import running
from conformance.runner import Options, Run, run
from conformance.target import Target

EXPECTED: Final = load(Path(__file__).parents[2] / "docs" / "conformance" / "expected-smx.toml")
FAST: Final = [case for case in catalogue() if SERVER in case.roles and not case.slow and not case.alone]
SOME: Final = random.Random(5321).sample(FAST, 120)


@pytest.fixture(scope="module")
def smx() -> Iterator[Target]:
    with running("smx") as target:
        yield target


def verdicts(found: Run) -> dict[str, str]:
    return {result.id: result.outcome for result in found.results}


@pytest.mark.timeout(120)
def test_smx_as_a_server_fails_nothing_and_warns_only_where_a_reason_is_written(smx: Target) -> None:
    found = run(smx, FAST)
    judgement = judge(found.results, EXPECTED, strict=True)
    assert [(result.id, result.outcome, result.reason) for result in judgement.troubles] == []
    assert judgement.status == GOOD
    assert sum(result.outcome == PASS for result in found.results) >= 600


@pytest.mark.timeout(120)
def test_verdicts_are_the_same_in_another_order_and_one_at_a_time(smx: Target) -> None:
    shuffled = run(smx, SOME, Options(seed=1))
    assert verdicts(run(smx, SOME, Options(seed=2, parallel=1))) == verdicts(shuffled)
