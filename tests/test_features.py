"""The feature table: a row that claims to be here has a test that shows it, and tests name rows that exist."""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROW = re.compile(r"^\| (SX\d\d) \| .* \| (here|later|partly: [^|]+) \| [^|]+ \|$")


def table() -> dict[str, str]:
    """Feature id -> state, from docs/features.md."""
    lines = (ROOT / "docs" / "features.md").read_text().splitlines()
    return dict(m.groups() for m in map(ROW.match, lines) if m)  # type: ignore[misc]


@cache
def marks() -> dict[str, list[str]]:
    """Feature id -> the tests marked with it; a module-level `pytestmark` counts for the module."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.feature":
                for argument in node.args:
                    assert isinstance(argument, ast.Constant), f"{path}:{node.lineno}: name the rows"
                    found[str(argument.value)].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def test_the_table_has_every_row_once() -> None:
    assert list(table()) == [f"SX{n:02d}" for n in range(1, 74)]


@pytest.mark.parametrize("row", [row for row, state in table().items() if state == "here"])
def test_a_feature_that_is_here_has_a_test(row: str) -> None:
    assert marks().get(row), f"{row} is marked here in docs/features.md, but no test carries @pytest.mark.feature({row!r})"


def test_tests_name_only_rows_that_exist() -> None:
    unknown = {row: where for row, where in marks().items() if row not in table()}
    assert not unknown


@pytest.mark.feature("SX71")
def test_one_command_runs_the_suite() -> None:
    """SX71: `make test` is what CI calls, and it runs the whole suite."""
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^test:.*\n(\t.*\n)*\t.*pytest", makefile, re.M)
    assert "make test" in (ROOT / ".ci" / "run").read_text()
