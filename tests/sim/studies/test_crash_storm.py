"""crash_storm: no promise is broken, whatever fails; each seed is as wild as a seed has to be; the same seed is the same run."""

from collections import Counter

import pytest

from sim.choices import Choices
from sim.facts import Crashed, Fact, FaultInjected, Noted, Refused
from sim.studies import find, run
from sim.studies.crash_storm import CRASHES_MIN, MESSAGES_MIN, RECIPIENTS_MIN
from sim.studies.sightings import SEEN, WINDOWS, Sightings
from sim.studies.storm import FAMILIES, FAMILIES_MIN, Storm
from sim.studies.study import Run
from smx.units import DAY

SHORT = range(20)
CI = range(100, 600)
STUDY = find("crash_storm")


def complaints(result: Run) -> list[str]:
    """Why a seed failed: each with the command that repeats it."""
    found = [violation.render() for violation in result.outcome.violations] + list(result.outcome.bugs)
    if not result.outcome.finished:
        found.append("it did not come to rest")
    return [f"smx-sim run crash_storm --seed {result.seed}: {text}" for text in found]


def wild_enough(result: Run) -> bool:
    figures = result.outcome.figures
    return (
        figures["messages"] >= MESSAGES_MIN
        and figures["recipients"] >= RECIPIENTS_MIN
        and figures["crashes"] >= CRASHES_MIN
        and figures["crashes_in_recovery"] >= 1
        and figures["families"] >= FAMILIES_MIN
    )


@pytest.mark.parametrize("seed", SHORT)
def test_a_storm_breaks_no_promise(seed: int) -> None:
    result = run(STUDY, seed)
    assert complaints(result) == []
    assert wild_enough(result)


def test_each_seed_has_its_messages_crashes_and_families() -> None:
    poor = [seed for seed in range(30, 60) if not wild_enough(run(STUDY, seed))]
    assert poor == []


def test_the_same_seed_is_the_same_run_and_its_tape_repeats_it() -> None:
    first = run(STUDY, 7)
    assert run(STUDY, 7).outcome == first.outcome
    assert run(STUDY, tape=first.tape).outcome == first.outcome
    assert run(STUDY, 8).outcome.digest != first.outcome.digest


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_five_hundred_storms_break_no_promise() -> None:
    """The slice that CI runs. Rare states have to be reached, or the storm has become tame."""
    seen: Counter[str] = Counter()
    for seed in CI:
        result = run(STUDY, seed)
        assert complaints(result) == []
        assert wild_enough(result)
        seen.update(result.outcome.markers)
    assert set(WINDOWS.values()) <= set(seen)
    assert len(set(STUDY.markers) - set(seen)) <= 3


def test_every_family_is_drawn_and_none_always() -> None:
    drawn = Counter(family for seed in range(200) for family in Storm(Choices(seed), MESSAGES_MIN).families)
    assert set(drawn) == set(FAMILIES)
    assert all(80 < count < 200 for count in drawn.values())


def test_the_calm_tape_is_a_storm_of_few_faults() -> None:
    """Draws of 0 are the calm choice, so that shrinking goes towards it."""
    storm = Storm(Choices.replay(Choices(0).tape().changed("storm", [])), MESSAGES_MIN)
    scenario = storm.scenario()
    assert len(storm.families) == FAMILIES_MIN
    assert scenario.disk_faults == {}
    assert len(scenario.strikes) <= 8


# --- sightings ------------------------------------------------------------------------------------------------------------


def seen_in(*facts: Fact) -> set[str]:
    found: set[str] = set()
    sightings = Sightings(found.add, 5 * DAY)
    for fact in facts:
        handler = sightings.handlers.get(fact.name if isinstance(fact, Noted) else type(fact))
        if handler is not None:
            handler(fact)
    return found


def note(name: str, *values: object) -> Noted:
    return Noted(0, "qmgr", 1, name, values)


T = 1 << 40
SUBMITTED = note("submitted", T, 1, b"", 1, 1, 1, 1, "")
DURABLE = note("durable", T)
ACCEPTED = note("accepted", 1, T, 1, 1)
BEGUN = note("begun", 9, T, "x.example", 1, 1)
DOT = note("dot", 9, T, "mx")
REPLIED = note("replied", 9, T, 250, b"Ok")
FAILED = note("verdict", T, 0, 1, "failed", 550, b"", "")
RECORDED = note("recorded", T, 0, 1)
BOUNCED = note("bounced", T, "failed", T + 1, 1, b"")
EXPANDED = note("expanded", T, 0, b"list@l", b"a@l")
STORED = (SUBMITTED, DURABLE, ACCEPTED, BEGUN)


@pytest.mark.parametrize(
    ("window", "opened", "closed"),
    [
        ("submission", [SUBMITTED], [DURABLE, ACCEPTED]),
        ("answer", [SUBMITTED, DURABLE], [ACCEPTED]),
        ("cut-through", [BEGUN], [DURABLE, ACCEPTED]),
        ("dot", [*STORED, DOT], [note("replied", 9, T, 450, b"")]),
        ("reply", [*STORED, DOT, REPLIED], [RECORDED]),
        ("notification", [*STORED, FAILED], [BOUNCED]),
        ("expansion", [SUBMITTED, DURABLE, ACCEPTED, EXPANDED], [RECORDED]),
    ],
)
@pytest.mark.parametrize("who", ["power", "qmgr"])
def test_a_crash_is_seen_in_its_window_and_only_there(window: str, opened: list[Noted], closed: list[Noted], who: str) -> None:
    crash = Crashed(0, who, 1, "kill")
    assert WINDOWS[window] in seen_in(*opened, crash)
    assert seen_in(*opened, *closed, crash) == set()


@pytest.mark.parametrize(
    ("fact", "marker"),
    [
        (Refused(0, "t", (), "mail", 452, "4.3.1 Insufficient storage"), "a full disk refused mail"),
        (FaultInjected(0, "F7", process="qmgr", epoch=1), "the sync of a log failed"),
        (note("damaged", "ibdb", 1, 0, 1, "torn end: crc"), "torn tail"),
        (note("clock", 6 * DAY), "the wall clock jumped over the expiry"),
        (note("quarantined", T, 0, "3 crashes with it in hand"), "poison set aside"),
        (note("destination", "x.example", "dead", b""), "a destination died"),
        (note("destination", "x.example", "alive", b""), "a destination came back"),
        *[(note(name), marker) for name, marker in (("spilled", "spilled"), ("relocated", "relocated"), ("copied", "copied forward"))],
    ],
)
def test_what_is_seen_is_marked(fact: Fact, marker: str) -> None:
    assert seen_in(fact) == {marker}
    assert marker in SEEN
