"""No power loss at any operation of the disk loses what was acknowledged; and each safeguard, switched off, is missed at once."""

import pytest

from sim.images import Result, Workload, exhaustive, search, special
from sim.images.markers import MARKERS
from tests.sim.images.ablations import ABLATIONS, removed_before_the_rows

ONE = [*special(), *exhaustive(1)]
PAIRS = [workload for workload in exhaustive(2) if len(workload.kinds) == 2]
TWO = PAIRS[::23]  # some of them; the campaign takes all
NESTED = [workload for workload in ONE if workload.name in ("local", "deferred", "failed", "expanded", "deferred + cut-through", "deferred, large + copying")]
COPIED = next(workload for workload in ONE if workload.waste_octets == 0)
DEFERRED = Workload(("deferred",))


def name(workload: Workload) -> str:
    return workload.name


def broken(result: Result) -> set[str]:
    """The rules that images broke."""
    return {found.rule for found in result.found if not found.where.endswith("no crash")}


def sound(result: Result) -> None:
    assert not result.found, "\n".join(found.render() for found in result.found[:3])


@pytest.mark.feature("SX10", "SX11", "SX15")
@pytest.mark.parametrize("workload", [*ONE, *TWO], ids=name)
def test_no_image_of_the_log_is_misread(workload: Workload) -> None:
    """A2, A4, I9: every subset of what is not durable, and the last write torn, at each operation on the log."""
    result = search(workload, "log", torn=True)
    sound(result)
    assert result.images > 10  # what is cut through leaves nothing in the log
    assert result.markers["torn end"] > 5


@pytest.mark.feature("SX10", "SX11", "SX15")
@pytest.mark.parametrize("workload", [*ONE, *TWO], ids=name)
def test_qmgr_finds_again_whoever_was_promised_anything(workload: Workload) -> None:
    """I1, I2, I6, I14: the whole recovery with the real SQLite, on every image inside its commits too."""
    result = search(workload, "queue", every=2 if len(workload.kinds) == 1 else 6)
    sound(result)
    assert result.images > 20


@pytest.mark.parametrize("workload", NESTED, ids=name)
def test_a_crash_inside_recovery_changes_nothing(workload: Workload) -> None:
    """I14: crash at each operation of recovery, then recover, equals recover: for some images, in the campaign for more."""
    result = search(workload, "queue", every=4, nested_every=10)
    sound(result)
    assert result.nested_images > 60


@pytest.mark.feature("SX10", "SX11", "SX15")
@pytest.mark.parametrize("workload", ONE, ids=name)
def test_the_mta_goes_on_from_an_image_to_an_empty_queue(workload: Workload) -> None:
    """All invariants, over both lives: for one image in ten, in the campaign for each."""
    result = search(workload, "full", every=10)
    sound(result)
    assert result.images > 5


@pytest.mark.parametrize("workload", NESTED[:3], ids=name)
def test_the_mta_goes_on_from_a_crash_inside_recovery(workload: Workload) -> None:
    """All invariants, over three lives."""
    result = search(workload, "full", every=120, nested_every=3)
    sound(result)
    assert result.nested_images > 20


@pytest.mark.campaign
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("workload", [*ONE, *PAIRS], ids=name)
def test_no_image_and_no_crash_inside_its_recovery_breaks_an_invariant(workload: Workload) -> None:
    alone = len(workload.kinds) == 1
    sound(search(workload, "queue", torn=True, nested_every=1 if alone else 20))
    sound(search(workload, "full", every=1 if alone else 10, nested_every=5))


def test_the_searches_reach_the_rare_states() -> None:
    reached: set[str] = set()
    for workload in (Workload(("local",)), DEFERRED, Workload(("failed",)), Workload(("expanded",)), COPIED):
        reached |= search(workload, "log").markers.keys()
    reached |= search(DEFERRED, "queue", every=20, nested_every=5).markers.keys()
    assert reached >= set(MARKERS)


# --- ablations: the safeguard is switched off, the search must object --------------------------------------------------


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_a_missing_safeguard_is_noticed(ablation: str) -> None:
    prepare, rule = ABLATIONS[ablation]
    assert rule in broken(search(DEFERRED, "full", every=8, prepare=prepare))


@pytest.mark.parametrize("ablation", ["no sync of IBDB", "reply before the sync of IBDB", "no sync of the directory", "IBDB segment removed early"])
def test_a_missing_safeguard_of_the_log_is_noticed_by_the_recovery_of_qmgr_alone(ablation: str) -> None:
    assert "I1" in broken(search(DEFERRED, "queue", every=4, prepare=ABLATIONS[ablation][0]))


def test_a_segment_that_goes_before_its_rows_were_changed_is_noticed() -> None:
    assert "A1" in broken(search(COPIED, "full", every=4, prepare=removed_before_the_rows))
