"""What the suite may import: nothing of the MTA it came with, and cases nothing that touches sockets, clocks or files."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SUITE = sorted((ROOT / "conformance").rglob("*.py"))
ROLES = ("server", "client", "nexthop", "relay", "queue")
SCRIPTS = [path for path in SUITE if path.relative_to(ROOT / "conformance").parts[0] in ROLES]
PURE = [ROOT / "conformance" / f"{name}.py" for name in "wire case context content dialogue needs oracle outcome play reply sanity transcript visit".split()]
LIBRARIES = frozenset("base64 collections enum functools hashlib importlib itertools math msgspec pkgutil re string textwrap traceback typing email".split())


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield str(node.module)


@pytest.mark.parametrize("path", SUITE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_suite_imports_nothing_of_smx_sim_or_tests(path: Path) -> None:
    assert [module for module in imports(path) if module.split(".")[0] in ("smx", "sim", "tests")] == []


@pytest.mark.parametrize("path", [*SCRIPTS, *PURE], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_scripts_and_what_they_use_do_no_input_or_output(path: Path) -> None:
    tops = {module.split(".")[0] for module in imports(path)} - {"conformance"}
    assert tops <= LIBRARIES, tops - LIBRARIES
