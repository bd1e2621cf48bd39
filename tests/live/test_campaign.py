"""A real smx under load while its processes are killed: no acknowledged message is lost, copies only where the log foretells them (SX15, I1, I6, I10)."""

import asyncio
import os
import secrets
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.live.campaign import Campaign, Size
from tests.live.report import Findings, complain, examine
from tests.live.windows import WINDOWS

HITS_MIN = 3  # of each window, in the full campaign
IN_HAND_PERCENT_MIN = 80
MINUTE_S = 60


def run(directory: Path, size: Size, capsys: pytest.CaptureFixture[str] | None) -> Findings:
    """The campaign and its table. With `capsys` progress goes to the terminal."""

    def say(text: str) -> None:
        if capsys is not None:
            with capsys.disabled():
                print(text, flush=True)
        else:
            print(text, flush=True)

    say(f"campaign of {size.messages} messages and {size.kills} kills, seed {size.seed}")
    outcome = asyncio.run(Campaign(directory, size, say).run())
    findings = examine(outcome, directory / "smx.log")
    say(findings.table)
    return findings


@pytest.mark.feature("SX04", "SX15", "SX32")
@pytest.mark.timeout(150)
def test_a_short_campaign_of_kills_loses_nothing(tmp_path: Path) -> None:
    """The same as below, short, from a fixed seed."""
    findings = run(tmp_path, Size(300, 8, "slice"), None)
    assert not complain(findings), f"{complain(findings)}\n{findings.table}"


@pytest.mark.live
@pytest.mark.feature("SX15")
@pytest.mark.timeout(90 * MINUTE_S)
def test_a_long_campaign_of_kills_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """SMX_LIVE_MESSAGES, SMX_LIVE_KILLS and SMX_LIVE_SEED change what it does; it prints its seed. What it leaves is kept when it fails."""
    setting = os.environ.get
    size = Size(int(setting("SMX_LIVE_MESSAGES", "10000")), int(setting("SMX_LIVE_KILLS", "200")), setting("SMX_LIVE_SEED", secrets.token_hex(4)))
    directory = Path(tempfile.mkdtemp(prefix=f"smx-campaign-{size.seed}-"))
    findings = run(directory, size, capsys)
    assert not complain(findings), f"{complain(findings)}\nlog and spool are kept in {directory}"
    shutil.rmtree(directory)
    assert findings.in_hand_percent >= IN_HAND_PERCENT_MIN
    if size.kills >= 100:
        assert all(findings.windows[window] >= HITS_MIN for window in WINDOWS), findings.windows
