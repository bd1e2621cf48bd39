"""What the simulator may import: the core, configuration and DEFEDB of smx, never the live runtime; chance comes from one module, the clock from none."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "sim").rglob("*.py"))
RANDOM = {"sim/choices.py"}
# What runs inside of a simulated world; the rest (campaigns, commands, reports) looks at the real clock to say how fast it is.
MODULES = (
    "environment choices trace lines costs process timers links sockets dialogues stores device names supervision host world scenario strikes poison "
    "mailboxes queue_tool durability network connection handshake weather dns workload party facts truth ledger observer duplicates contents spoken"
)
INSIDE = (*(f"sim/{name}.py" for name in MODULES.split()), "sim/disk/", "sim/peers/", "sim/checkers/")
FORBIDDEN = ("smx.live", "smx.admin", "smx.cli", "smx.testing", "tests", "conformance", "asyncio", "socket", "secrets", "uuid")


def imported(path: str) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", SOURCES)
def test_a_module_of_the_simulator_imports_only_what_keeps_it_deterministic(path: str) -> None:
    for name in imported(path):
        assert not any(name == forbidden or name.startswith(forbidden + ".") for forbidden in FORBIDDEN), name
        top = name.partition(".")[0]
        assert top != "random" or path in RANDOM, f"{path} draws by itself; streams come from sim.choices"
        assert top != "time" or not path.startswith(INSIDE), f"{path} looks at the real clock"


@pytest.mark.parametrize("path", SOURCES)
def test_no_module_of_the_simulator_orders_by_hash_or_address(path: str) -> None:
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "hash", f"{path}:{node.lineno}: hash() differs from run to run"


def test_smx_does_not_know_the_simulator() -> None:
    for path in (ROOT / "smx").rglob("*.py"):
        names = list(imported(path.relative_to(ROOT).as_posix()))
        assert not any(name == "sim" or name.startswith(("sim.", "simpy")) for name in names), path
