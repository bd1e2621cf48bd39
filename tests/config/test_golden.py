"""What a reader sees of a bad configuration, word for word: golden/*.conf gives golden/*.txt.

After a change that is meant: `SMX_GOLDEN=write pytest tests/config/test_golden.py`, then read the difference.
"""

import os
from pathlib import Path

import pytest

from smx.config.check import check
from smx.config.parser import source_of

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.feature("SX64")
@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.conf")), ids=lambda p: p.stem)
def test_the_messages_are_these(path: Path) -> None:
    text = path.read_text()
    checked = check(text, source_of(path.name, text, "/etc/smx"), look_at_files=False)
    shown = "".join(f"{problem.render()}\n" for problem in checked.problems)
    if os.environ.get("SMX_GOLDEN") == "write":
        path.with_suffix(".txt").write_text(shown)
    assert shown == path.with_suffix(".txt").read_text()
