"""No option is only for show: each one's field is read by the code that it is said to rule."""

import ast
from functools import cache
from pathlib import Path

import pytest

import smx
from smx.config.option import Kind, Option
from smx.config.schema import OPTIONS

ROOT = Path(smx.__file__).parent
CONFIG = ROOT / "config"

# Packages in which the options of a section are put to use; live and mcp serve all.
HOMES = {
    "": ("mcp", "live", "smar", "smtps", "cli"),
    "log": ("live",),
    "mcp": ("mcp", "live"),
    "qmgr": ("qmgr",),
    "smtps": ("smtps", "smtp"),
    "smtpc": ("smtpc", "smtp"),
    "smar": ("smar",),
    "lda": ("lda", "smtps"),
}
SHARED = ("live", "mcp")
ELSEWHERE = {
    # option           who reads it instead
    "smtpc.ipv6": ("smar",),
}


@cache
def attributes(package: str) -> frozenset[str]:
    """Names that are read as attributes of something in this package."""
    found = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found.add(node.attr)
    return frozenset(found)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.path)
def test_every_option_is_read_where_it_is_put_to_use(option: Option) -> None:
    assert is_read(option), f"nothing reads {option.field}"


def is_read(option: Option) -> bool:
    homes = (*HOMES[option.section.split(".")[0]], *SHARED, *ELSEWHERE.get(option.path, ()))
    return any(option.field in attributes(package) for package in homes)


@pytest.mark.parametrize("name", ["delay", "delay_max"])
def test_an_option_that_nothing_reads_is_noticed(name: str) -> None:
    assert not is_read(Option("qmgr.throttle", name, Kind.TIME, "pauses that no longer exist"))


def test_every_section_has_a_home() -> None:
    assert {option.section.split(".")[0] for option in OPTIONS} == set(HOMES)
