"""The report: self-contained, with every message, crash and violation in it, and times that can be read back."""

import json
import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sim.chronicle import chronicle
from sim.report import page
from sim.report.scale import Scale
from sim.report.timeline import timeline
from sim.studies import Study, find
from sim.studies import run as run_study


def data_of(text: str) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = json.loads(text.partition('<script type="application/json" id="data">')[2].partition("</script>")[0])
    return found


def test_the_file_needs_nothing_else(toy: Study) -> None:
    text = page(run_study(toy, 1))
    assert text.replace("http://www.w3.org/2000/svg", "").count("http") == 0
    assert not re.search(r"\b(src|href)=", text)
    assert text.count("<script") == text.count("</script>") == 2


def test_a_message_goes_from_its_client_to_the_maildir_by_way_of_the_disk(toy: Study) -> None:
    line = timeline(chronicle(toy, 1))
    way_in, delivery = line.paths
    assert [lane for _, lane in way_in.points] == ["198.51.100.1", "smtps.mx.0", "disk", "qmgr", "disk", "qmgr", "smtps.mx.0", "198.51.100.1"]
    assert [lane for _, lane in delivery.points] == ["qmgr", "smtpc.0", "maildir", "smtpc.0", "qmgr", "disk"]
    for path in line.paths:
        assert all(before <= after for (before, _), (after, _) in pairwise(path.points))
    assert line.messages[0].state == "promised, reached one recipient"


def test_lanes_stand_in_the_order_of_the_mail(toy: Study) -> None:
    assert timeline(chronicle(toy, 1)).lanes == ["198.51.100.1", "smtps.mx.0", "smar", "qmgr", "disk", "smtpc.0", "lda", "mcp", "maildir"]


def test_a_power_loss_ends_every_process_and_darkens_the_machine(toy: Study) -> None:
    line = timeline(chronicle(toy, 1, {"strike": "power"}))
    dark = next(bar for bar in line.bars if bar.kind == "dark")
    assert dark.until > dark.at
    assert all(bar.until <= dark.at or bar.at >= dark.until for bar in line.bars if bar.kind in ("alive", "sync", "recovering"))
    assert [mark.short for mark in line.marks if mark.kind == "crash"] == ["power"]


def test_a_violation_is_drawn_and_its_message_marked(toy: Study) -> None:
    text = page(run_study(toy, 3, {"lies": True, "messages": 2}))
    assert 'class="mark violation"' in text
    assert 'class="chip broken" data-m="t0"' in text
    assert 'class="chip" data-m="t1"' in text
    assert "copy number 2" in "\n".join(data_of(text)["stories"]["t0"])


def test_a_storm_is_drawn() -> None:
    run = run_study(find("crash_storm"), 1)
    text = page(run)
    assert len(data_of(text)["stories"]) >= 20
    assert text.count('class="bar alive"') >= 6


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=30))
def test_the_scale_keeps_order_and_can_be_inverted(instants: list[int]) -> None:
    scale = Scale(instants)
    places = [scale(at) for at in sorted(instants)]
    assert all(0 <= before <= after <= 1 for before, after in pairwise(places))
    for at in instants:
        assert abs(scale.instant(scale(at)) - at) <= max(1, at // 10**6)
