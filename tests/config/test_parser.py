"""The language: layout, comments, values, includes; and recovery, so that one run tells all syntax errors."""

from pathlib import Path

import pytest

from smx.config.parser import NESTING_MAX, parse, source_of
from smx.config.problems import Problem
from smx.config.tree import Atom, ListNode, Node, OptionNode, SectionNode, TableNode


def read(text: str, path: str = "smx.conf") -> tuple[list[Node], list[Problem]]:
    problems: list[Problem] = []
    return parse(text, source_of(path, text), problems), problems


def plain(nodes: list[Node] | tuple[Node, ...]) -> list[object]:
    """The tree as tuples, lists and dictionaries."""
    return [(n.name, value(n)) if isinstance(n, OptionNode) else (n.keyword, n.name, plain(n.body)) for n in nodes]


def value(node: OptionNode) -> object:
    match node.value:
        case Atom(text=text):
            return text
        case ListNode(items=items):
            return [item.text for item in items]
        case TableNode(pairs=pairs):
            return {key.text: item.text for key, item in pairs}


LAYOUTS = [
    ('x = "a";', [("x", "a")]),
    ("X=a;", [("x", "a")]),
    ("x\n=\na\n;", [("x", "a")]),
    ("x = a; # c\n// c\n/* c\n ** c */ y = b;", [("x", "a"), ("y", "b")]),
    ("x = { };", [("x", [])]),
    ("x = { a };", [("x", ["a"])]),
    ("x = { a, b, };", [("x", ["a", "b"])]),
    ('x = { "k" = "v"; j = w };', [("x", {"k": "v", "j": "w"})]),
    ("SMTPS MX { a = 1; }", [("smtps", "mx", [("a", "1")])]),
    ('smtps "MX" { }', [("smtps", "mx", [])]),
    ("a { b { c = 1; } d = 2; };", [("a", "", [("b", "", [("c", "1")]), ("d", "2")])]),
    (";;", []),
    ('x = "q\\"\\\\\\n\\t";', [("x", 'q"\\\n\t')]),
    ("x = /var/spool; y = [::1]:53; z = 10.0.0.0/8;", [("x", "/var/spool"), ("y", "[::1]:53"), ("z", "10.0.0.0/8")]),
    ("x = a;//c\ny = b;/* c */", [("x", "a"), ("y", "b")]),
    ('x = "# no // comment /* here";', [("x", "# no // comment /* here")]),
    ("x = a;\r\ny = b;\r\n", [("x", "a"), ("y", "b")]),
]


@pytest.mark.feature("SX62")
@pytest.mark.parametrize(("text", "tree"), LAYOUTS)
def test_the_language_is_read(text: str, tree: list[object]) -> None:
    nodes, problems = read(text)
    assert not problems
    assert plain(nodes) == tree


# text, what survives, (line, column) of each error
RECOVERIES = [
    ("a = 1\nb = 2;", [("a", "1"), ("b", "2")], [(1, 6)]),
    ("a = 1", [("a", "1")], [(1, 6)]),
    ("s { a = 1 } b = 2;", [("s", "", [("a", "1")]), ("b", "2")], [(1, 10)]),
    ("a = = 1; b = 2;", [("b", "2")], [(1, 5)]),
    ("= 1; b = 2;", [("b", "2")], [(1, 1)]),
    ("a b c { d = 1; } e = 2;", [("e", "2")], [(1, 5)]),
    ("a = { x y }; b = 2;", [("b", "2")], [(1, 9)]),
    ("a = { x, y; b = 2;", [("b", "2")], [(1, 11)]),
    ("s { a = { k = ; j = 2; }; b = 2; }", [("s", "", [("b", "2")])], [(1, 15)]),
    ("s { a = 1;", [("s", "", [("a", "1")])], [(1, 3)]),
    ("s { t { a = 1;", [("s", "", [("t", "", [("a", "1")])])], [(1, 3), (1, 7)]),
    ("} a = 1; } b = 2;", [("a", "1"), ("b", "2")], [(1, 1), (1, 10)]),
    ("s { a = 1 2; b = 3; } c d e; f = 4;", [("s", "", [("b", "3")]), ("f", "4")], [(1, 11), (1, 27)]),
    ('a = "open; b\nc = 1;', [("a", '"open; b'), ("c", "1")], [(1, 5)]),
    ("a = 1; /* lost", [("a", "1")], [(1, 8)]),
    ("a = ?; b = 2;", [("a", "?"), ("b", "2")], [(1, 5)]),
    ('a = "\\q"; b = 2;', [("a", "q"), ("b", "2")], [(1, 6)]),
    ("a", [], [(1, 2)]),
    ("a = {", [], [(1, 6)]),
    ("exclude x; b = 2;", [("b", "2")], [(1, 1)]),
]


@pytest.mark.feature("SX64")
@pytest.mark.parametrize(("text", "tree", "places"), RECOVERIES)
def test_reading_goes_on_behind_a_syntax_error(text: str, tree: list[object], places: list[tuple[int, int]]) -> None:
    nodes, problems = read(text)
    assert plain(nodes) == tree
    assert sorted((p.place.line, p.place.column) for p in problems) == places


def test_nesting_has_a_bound() -> None:
    nodes, problems = read("a { " * (NESTING_MAX + 5) + "}" * (NESTING_MAX + 5) + " b = 1;")
    assert "too many braces" in problems[0].message
    assert plain(nodes)[-1] == ("b", "1")


def test_an_included_file_stands_where_the_include_stands(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "part.conf").write_text('b = 2; include "more.conf";')
    (tmp_path / "sub" / "more.conf").write_text("c = 3;")
    nodes, problems = read('s { a = 1; include "sub/part.conf"; d = 4; }', str(tmp_path / "smx.conf"))
    assert not problems
    assert plain(nodes) == [("s", "", [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")])]
    section = nodes[0]
    assert isinstance(section, SectionNode)
    assert section.body[1].place.source.path == str(tmp_path / "sub" / "part.conf")


def test_a_pattern_includes_what_matches_in_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.conf").write_text(f"{name} = 1;")
    nodes, problems = read('include "*.conf"; include "none*";', str(tmp_path / "main"))
    assert not problems
    assert plain(nodes) == [("a", "1"), ("b", "1")]


def test_a_file_that_includes_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text('include "b.conf";')
    (tmp_path / "b.conf").write_text('x = 1; include "a.conf";')
    text = (tmp_path / "a.conf").read_text()
    nodes, problems = read(text, str(tmp_path / "a.conf"))
    assert plain(nodes) == [("x", "1")]
    assert [p.message.endswith("includes itself") for p in problems] == [True]


@pytest.mark.parametrize("name", ["missing.conf", ".", "/dev/null", "/dev/zero", "a\\tb"])
def test_what_cannot_be_included_is_told(name: str, tmp_path: Path) -> None:
    _, problems = read(f'include "{name}";', str(tmp_path / "smx.conf"))
    assert ["cannot read" in p.message for p in problems] == [True]
