"""The dependency rules of the architecture, read off the source with `ast`: what may import what."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SMX = ROOT / "smx"

# What runs outside of the pure core: it may do I/O. Everything else in smx is pure.
IMPURE = (
    "smx/live/",
    "smx/admin/",
    "smx/cli/",
    "smx/testing/",
    "smx/defedb/sqlite.py",
    "smx/config/parser.py",
    "smx/config/check",
    "smx/config/load.py",
    "smx/config/spool.py",
    "smx/config/profiles.py",
    "smx/config/problems.py",
    "smx/__main__.py",
)
PURE_LIBRARIES = frozenset(
    "msgspec bisect collections dataclasses datetime email enum functools hashlib heapq ipaddress itertools json re string struct typing zlib".split()
)
FOUNDATION = ("units", "limits", "errors", "ids", "codec", "messages", "effects", "events", "notes", "component", "recording", "topology")
PROCESSES = ("smtps", "smtpc", "smar", "qmgr", "mcp", "lda", "filters")
SHARED = (*FOUNDATION, "smtp", "cdb", "defedb", "config")

# Who may import which package of smx, besides itself: imports point left only (architecture 4.2).
ALLOWED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(FOUNDATION, FOUNDATION),
    "smtp": FOUNDATION,
    "config": (*FOUNDATION, "smtp"),
    "cdb": (*FOUNDATION, "smtp"),
    "defedb": FOUNDATION,
    **dict.fromkeys(PROCESSES, SHARED),
    "factory": (*SHARED, *PROCESSES),
}


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py")) if (ROOT / folder).exists() else []


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted module) of each import, `from x import y` as x.y when x is a package of ours."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.lineno, str(node.module)
            if node.module == "smx":
                for alias in node.names:
                    yield node.lineno, f"smx.{alias.name}"


def is_pure(path: Path) -> bool:
    name = path.relative_to(ROOT).as_posix()
    return not name.startswith(IMPURE)


PURE = [path for path in sources("smx") if is_pure(path)]


@pytest.mark.parametrize("path", PURE, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_the_core_imports_only_pure_libraries(path: Path) -> None:
    for line, module in imports(path):
        top = module.split(".")[0]
        if top in ("smx", "__future__"):
            continue
        assert top in PURE_LIBRARIES, f"{path}:{line}: the core must not import {module}"


@pytest.mark.parametrize("path", PURE, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_point_left_only(path: Path) -> None:
    parts = path.relative_to(SMX).with_suffix("").parts
    package = parts[0]
    if package == "__init__":
        return
    for line, module in imports(path):
        names = module.split(".")
        if names[0] != "smx" or len(names) == 1:
            continue
        target = names[1]
        assert target == package or target in ALLOWED[package], f"{path}:{line}: {package} must not import {module}"
        if target == "config" and package != "config":
            assert names[2:3] and names[2].startswith(("schema", "mailer", "option")), f"{path}:{line}: only the schema of config is pure"


@pytest.mark.parametrize("path", PURE, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_the_core_reads_no_clock_and_draws_no_random_number(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in ("hash", "open", "print", "input", "id"), f"{path}:{node.lineno}: {name}() in the core"
            assert not name.endswith((".now", ".utcnow", ".today")), f"{path}:{node.lineno}: {name}() reads a clock"


@pytest.mark.parametrize("path", PURE, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_set_is_iterated_where_its_order_could_reach_an_effect(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        iterated = [node.iter] if isinstance(node, ast.For | ast.comprehension) else []
        for expression in iterated:
            assert not isinstance(expression, ast.Set | ast.SetComp), f"{path}: iterates over a set display"
            call = ast.unparse(expression.func) if isinstance(expression, ast.Call) else ""
            assert call not in ("set", "frozenset"), f"{path}: iterates over {call}()"


def test_smx_never_imports_the_simulator_or_the_conformance_suite() -> None:
    for path in sources("smx"):
        for line, module in imports(path):
            assert module.split(".")[0] not in ("sim", "conformance", "simpy", "tests"), f"{path}:{line}: {module}"


def test_the_simulator_never_imports_the_live_runtime() -> None:
    for path in sources("sim"):
        for line, module in imports(path):
            assert not module.startswith("smx.live"), f"{path}:{line}: {module}"


def test_conformance_imports_nothing_of_ours() -> None:
    for path in sources("conformance"):
        for line, module in imports(path):
            assert module.split(".")[0] not in ("smx", "sim"), f"{path}:{line}: {module}"


HEAVY = ("lark", "typer", "rich", "email", "structlog")


@pytest.mark.parametrize("module", ["smx.smtps.machine", "smx.smtpc.machine", "smx.live.child"])
def test_children_import_only_what_they_need(module: str) -> None:
    """Architecture 4.6: 17 MB a process instead of 34. A fresh interpreter says what came with the module."""
    import subprocess

    code = f"import sys, {module}; print(' '.join(sorted({{m.split('.')[0] for m in sys.modules}})))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    assert not set(loaded) & set(HEAVY), f"{module} brings {sorted(set(loaded) & set(HEAVY))}"
