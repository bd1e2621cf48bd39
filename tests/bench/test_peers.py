"""The comparison with other servers: its order, its ratios, and the page that it writes."""

from pathlib import Path
from typing import Any

import pytest

from tests.bench import growth_report, peers_report
from tests.bench.peers import order
from tests.bench.peers_plan import ADAPTER, PEERS, TRIALS

RUNS: list[dict[str, Any]] = [
    {"round": number, "trial": "kept", "peer": peer, "msgs_per_s": rate, "cpu_ms_per_msg": cpu, "queued_ok": True, "version": peer}
    for number, peer, rate, cpu in (
        (1, "smx", 4000.0, 0.3),
        (1, "postfix", 1000.0, 1.2),
        (2, "smx", 5500.0, 0.3),
        (2, "postfix", 1100.0, 1.0),
        (3, "smx", 9000.0, 0.2),
        (3, "postfix", 1000.0, 1.0),
        (4, "smx", 1.0, 0.2),  # nothing to compare with
    )
]


def test_each_round_measures_every_server_once_and_begins_with_another_one() -> None:
    met = list(order(len(PEERS), TRIALS[:1], PEERS))
    for number in range(1, len(PEERS) + 1):
        assert sorted(peer.name for round_number, _, peer in met if round_number == number) == sorted(
            peer.name for peer in PEERS if peer.name in TRIALS[0].peers
        )
    first = [next(peer.name for round_number, _, peer in met if round_number == number) for number in range(1, len(PEERS) + 1)]
    assert len(set(first)) == len(TRIALS[0].peers)


def test_every_server_of_a_trial_is_known() -> None:
    assert {name for trial in TRIALS for name in (*trial.peers, *trial.special)} <= {peer.name for peer in PEERS}
    assert Path(ADAPTER).stat().st_mode & 0o111


def test_ratios_are_those_of_the_rounds_in_which_both_were_measured() -> None:
    assert peers_report.ratios(RUNS, "kept", "smx", "msgs_per_s") == [4.0, 5.0, 9.0]
    assert peers_report.ratios(RUNS, "kept", "smx", "cpu_ms_per_msg") == pytest.approx([0.2, 0.25, 0.3])


def test_a_figure_lies_at_a_path() -> None:
    assert peers_report.figure({"dot_ms": {"p50": 1.5}}, "dot_ms.p50") == 1.5
    assert peers_report.figure({"dot_ms": None}, "dot_ms.p50") is None


def test_the_page_gets_claims_and_tables_between_its_marks_and_the_chart_is_drawn(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{peers_report.BEGIN}\nold\n{peers_report.END}\nafter\n")
    for _ in range(2):  # written twice it is the same
        peers_report.write({"date": "2026-11-24", "machine": "a machine", "rounds": 3, "runs": RUNS}, page, tmp_path / "peers.svg")
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| accept, sessions kept | 5.00 (4.00 to 9.00) | at least 4, aim 6 | yes |" in text
    assert text.count("| postfix |") == 1
    assert (tmp_path / "peers.svg").stat().st_size > 1_000


def test_growth_has_a_table_for_each_trial_that_was_run(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{growth_report.BEGIN}\n{growth_report.END}\n")
    rows = [{"queued": 1_000, "cpu_us": 300.0, "start_s": 1.0}, {"queued": 1_000_000, "cpu_us": 330.0, "start_s": 2.0}, {"queued": 5, "first_delivery_s": 0.5}]
    growth_report.write({"date": "2026-11-24", "machine": "a machine", "queue": rows}, page, tmp_path / "growth.svg")
    assert "| 1,000,000 | 2.00 |" in page.read_text()
    assert "destinations" not in page.read_text()
