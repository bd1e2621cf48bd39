"""`smx replay`: identical recordings, changed ones, torn ones, and files that are none (BX25)."""

import json
from pathlib import Path

import msgspec
import pytest

from smx.cli.main import main
from smx.cli.replay import EX_DATAERR, EX_DIFFERENT, EX_NOINPUT
from smx.config.schema import LdaSettings
from smx.effects import AnyEffect, Note
from smx.events import AnyEvent, Listening, Started, StopRequested
from smx.lda.machine import Lda
from smx.recording import Writer

EVENTS: tuple[AnyEvent, ...] = (Started(7, 1), Listening("lda:0", "/run/lda.sock", 0), StopRequested(5))


def recorded(path: Path, change: AnyEffect | None = None) -> Path:
    """A recording of an LDA; `change` stands in place of the effects of its last step."""
    writer = Writer("lda", 7, msgspec.msgpack.encode(LdaSettings()), 0)
    lda = Lda(LdaSettings())
    octets = writer.header
    for number, event in enumerate(EVENTS):
        effects = lda.step(event, number)
        octets += writer.step(event, number, [change] if change is not None and event is EVENTS[-1] else effects)
    path.write_bytes(octets)
    return path


def test_identical_recordings_are_told_in_a_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded(tmp_path / "lda.7.rec")
    recorded(tmp_path / "lda.8.rec")
    (tmp_path / "notes.txt").write_text("no recording")
    assert main(["replay", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all("lda epoch 7: 3 steps and" in line and line.endswith("effects identical") for line in lines)


def test_the_first_difference_is_shown_with_both_sides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(recorded(tmp_path / "lda.7.rec", Note("stopping", ("otherwise",))))
    assert main(["replay", path]) == EX_DIFFERENT
    out = capsys.readouterr().out
    assert "step 3 differs" in out
    assert "recorded  Note(name='stopping', values=('otherwise',))" in out
    assert "replayed  Note(name='stopping', values=('asked',))" in out


def test_json_has_numbers_and_the_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(recorded(tmp_path / "a.rec")), str(recorded(tmp_path / "b.rec", Note("stopping", ("otherwise",))))]
    assert main(["replay", "--json", *paths]) == EX_DIFFERENT
    same, other = json.loads(capsys.readouterr().out)
    assert same["identical"] and same["events"] == 3 and same["effects"] > 3 and same["difference"] is None
    assert (other["identical"], other["events"], other["difference"]["step"]) == (False, 2, 3)
    assert other["difference"]["recorded"] == ["Note(name='stopping', values=('otherwise',))"]


def test_a_torn_record_is_told_and_is_no_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = recorded(tmp_path / "lda.7.rec")
    path.write_bytes(path.read_bytes()[:-3])
    assert main(["replay", str(path)]) == 0
    assert "2 steps" in (out := capsys.readouterr().out) and "then a torn record of" in out


def test_other_files_have_a_status_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.rec"
    other.write_bytes(b"nothing of the kind, but long enough to be looked at")
    assert main(["replay", str(other)]) == EX_DATAERR
    assert "not a recording" in capsys.readouterr().err
    assert main(["replay", str(tmp_path / "missing.rec")]) == EX_NOINPUT
    assert "No such file" in capsys.readouterr().err
