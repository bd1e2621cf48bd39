"""`smx bench`: a small load through a live relay."""

from pathlib import Path

import msgspec
import pytest

from smx.cli import bench
from smx.cli.main import main


def test_it_tells_what_a_message_costs_in_each_process_stored_first_and_cut_through(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    profiles = tmp_path / "profiles"
    assert main(["bench", "--messages", "100", "--sessions", "5", "--keep", "--profile", str(profiles), "--json"]) == 0
    told = msgspec.json.decode(capfd.readouterr().out)
    assert [load["way"] for load in told["loads"]] == ["stored first", "cut-through"]
    for load in told["loads"]:
        assert load["messages_per_s"] > 0
        for kind in ("smtps", "qmgr", "smtpc"):
            assert load["user"][kind] + load["system"][kind] > 0, kind
    assert told["ipc_us"] > 0
    assert {path.name for path in (profiles / "cut-through").iterdir()} >= {"qmgr.txt", "smtpc.0.html", "smtps.local.0.txt"}


def test_the_table_has_a_row_a_process(capsys: pytest.CaptureFixture[str]) -> None:
    result = bench.Result("stored first", 1234.0, {"smtps": 100.4}, {"smtps": 20.4})
    bench._show([result], 30.0)
    lines = capsys.readouterr().out.splitlines()
    assert "                       SMTPS" not in lines
    assert next(line for line in lines if line.startswith("SMTPS")).split()[1:] == ["100", "+", "20", "=", "121"]
    assert next(line for line in lines if line.startswith("messages/s")).endswith("1,234")
