"""A live run, recorded, replays to identical effects in every process, MCP included; and a change of one octet of one event does not (BX25)."""

import asyncio
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from smx import codec
from smx.events import Received
from smx.live.replay import recordings, replay
from smx.recording import STEP, ReplayReport
from tests.live.recorded_run import Run, record
from tests.live.tampering import Outcome, Tape

MESSAGES = 2_000
TAMPERED = 200
NOTICED_PERCENT_MIN = 50
EVERY_KIND = {"mcp", "qmgr", "smar", "lda", "smtpc", "smtps"}
ROOT = Path(__file__).resolve().parents[2]


def replay_all(run: Run) -> dict[str, ReplayReport]:
    """Every recording of the run, by its file's name."""
    return {Path(path).name: replay(path) for path in recordings(str(run.directory))}


def check(run: Run, messages: int) -> dict[str, ReplayReport]:
    """The run was what it should be, and all of it replays."""
    assert run.stop_status == 0
    assert run.acknowledged >= messages
    assert run.deferrals and run.notifications
    reports = replay_all(run)
    assert {report.header.process.partition(".")[0] for report in reports.values()} == EVERY_KIND
    lives = Counter(report.header.process for report in reports.values())
    assert all(lives[process] >= 2 for process in run.killed), lives
    assert all(report.identical for report in reports.values()), "\n".join(report.render() for report in reports.values())
    return reports


def tamper(run: Run, seed: str, count: int) -> list[Outcome]:
    argv = [sys.executable, "-m", "tests.live.tampering", seed, str(count), str(run.directory)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return [msgspec.json.decode(line, type=Outcome) for line in done.stdout.splitlines()]


def table(reports: dict[str, ReplayReport], outcomes: list[Outcome]) -> str:
    """What the run and the changes came to."""
    lines = [f"{name}: {report.render()}" for name, report in reports.items()]
    how = Counter(outcome.noticed or outcome.why or "unexplained" for outcome in outcomes)
    lines.append(f"{len(outcomes)} events changed by one bit: {', '.join(f'{number} {name}' for name, number in how.most_common())}")
    silent = Counter(f"{outcome.process.partition('.')[0]} {outcome.field} ({outcome.why or 'unexplained'})" for outcome in outcomes if not outcome.noticed)
    lines += [f"  without influence: {number:4} {field}" for field, number in silent.most_common()]
    return "\n".join(lines)


def judge(outcomes: list[Outcome]) -> None:
    """Each change is noticed: by the checksum, or with that made right by the replay, unless it has no influence on any effect.

    For one in a hundred the kind of that may be unknown: a value that means the same as another, of which no row tells yet.
    """
    assert all(outcome.crc for outcome in outcomes)
    holes = [outcome for outcome in outcomes if not outcome.noticed and not outcome.why]
    assert len(holes) * 100 <= len(outcomes), "\n".join(map(repr, holes))
    noticed = sum(1 for outcome in outcomes if outcome.noticed)
    assert noticed * 100 >= NOTICED_PERCENT_MIN * len(outcomes)


def check_torn(run: Run, directory: Path) -> None:
    """What a process that is killed within its last write leaves: the rest counts, and it is told."""
    killed = sorted(run.directory.glob(f"{run.killed[0]}.*.rec"))[0]
    cut = directory / killed.name
    cut.write_bytes(killed.read_bytes()[:-7])
    whole, report = replay(str(killed)), replay(str(cut))
    assert report.identical
    assert report.torn > 0
    assert report.steps == whole.steps - 1
    assert "torn record" in report.render()


def check_changed(run: Run, directory: Path) -> None:
    """One letter of the first MAIL command, in the file: with its checksum made right the step differs, without that the file is damaged there."""
    tape = Tape(str(sorted(run.directory.glob("smtps.*.rec"))[0]))
    pairs = zip(tape.steps, tape.records(), strict=True)
    record = next(record for step, record in pairs if isinstance(step.event, Received) and step.event.data.startswith(b"MAIL FROM:<sender"))
    payload = record.payload.replace(b"<sender", b"<tender", 1)
    right = codec.encode(STEP, payload, tape.header.epoch, record.sequence)
    wrong = tape.octets[record.offset : record.offset + codec.HEADER_OCTETS] + payload
    reports = []
    for changed in (right, wrong):
        path = directory / "changed.rec"
        path.write_bytes(tape.octets[: record.offset] + changed + tape.octets[record.end :])
        reports.append(replay(str(path)))
    assert not any(report.identical for report in reports)
    assert {report.steps for report in reports} == {record.sequence - 1}
    assert reports[0].difference is not None
    assert reports[0].difference.step.number == record.sequence
    assert reports[1].damage == codec.Damage(record.offset, codec.Fault.CRC)


@pytest.mark.timeout(150)
@pytest.mark.feature("SX04")
def test_a_recorded_run_with_a_kill_replays_to_identical_effects_and_a_changed_one_does_not(tmp_path: Path) -> None:
    run = asyncio.run(record(tmp_path, MESSAGES, ("qmgr",)))
    reports = check(run, MESSAGES)
    outcomes = tamper(run, "replay", TAMPERED)
    print(table(reports, outcomes))
    judge(outcomes)
    check_torn(run, tmp_path)
    check_changed(run, tmp_path)


@pytest.mark.live
@pytest.mark.timeout(1800)
def test_a_long_recorded_run_with_many_kills_replays_to_identical_effects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = asyncio.run(record(tmp_path, 5 * MESSAGES, ("smtpc.0", "smtps.mx.0", "qmgr", "lda", "smar", "smtpc.1", "qmgr")))
    reports = check(run, 5 * MESSAGES)
    outcomes = tamper(run, "long", 5 * TAMPERED)
    with capsys.disabled():
        print(table(reports, outcomes))
    judge(outcomes)
