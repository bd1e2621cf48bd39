"""From the tree of a configuration to Settings; everything that is wrong is reported at once, each with its place and what was expected (SX64).

Options that could not be read keep their default and are remembered in `failed`, so that the cross-checks, which come last, do not complain
about what follows from an error that has been reported already.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Final

from msgspec import Struct

from smx.config import check_files, crosscheck
from smx.config.derive import derive
from smx.config.mailer import parse_entry
from smx.config.option import Kind, Option, Section, default_of
from smx.config.parser import parse
from smx.config.problems import Place, Problem, Source, in_order
from smx.config.schema import OPTIONS, SECTIONS, Settings
from smx.config.tree import Atom, ListNode, Node, OptionNode, SectionNode, TableNode
from smx.config.values import NEGATION, apply_flags, convert, parse_name

_SECTION: Final = {section.path: section for section in SECTIONS}
_OPTION: Final = {(option.section, option.name): option for option in OPTIONS}


class Checked(Struct):
    """The outcome: settings are complete even when there are errors (then with defaults), places tell where each given option stands.

    Keys of places: "qmgr.retry.min", "smtps.mx.listen_socket.0.port", and the sections themselves ("qmgr", "smtps.mx").
    """

    settings: Settings
    problems: tuple[Problem, ...]
    places: dict[str, Place]

    @property
    def usable(self) -> bool:
        """Whether there is no error; warnings do not count."""
        return all(problem.warning for problem in self.problems)


def check(text: str, source: Source, *, look_at_files: bool = True) -> Checked:
    """Parse and check one configuration. look_at_files: also read the certificates, maps and accounts that it names."""
    builder = _Builder()
    nodes = parse(text, source, builder.problems)
    complete = not builder.problems
    values = builder.section(_SECTION[""], nodes, "")
    values["order"] = tuple(builder.order)
    settings = derive(Settings(**values), builder.places)
    scene = crosscheck.Scene(settings, builder.places, frozenset(builder.failed), Place(source, 0, 0), complete)
    problems = builder.problems + crosscheck.complaints(scene)
    if look_at_files:
        problems += check_files.complaints(scene)
    return Checked(settings, in_order(problems), builder.places)


def suggest(word: str, candidates: Iterable[str]) -> str:
    """`; did you mean "...?"`, or nothing."""
    close = get_close_matches(word[:64], sorted(set(candidates)), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


class _Builder:
    """Turns nodes into the values of the Structs."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.places: dict[str, Place] = {}
        self.failed: set[str] = set()
        self.order: list[str] = []

    def section(self, section: Section, nodes: Iterable[Node], prefix: str) -> dict[str, Any]:
        """The given fields of one section; prefix is its concrete path ("smtps.mx")."""
        values: dict[str, Any] = {}
        for node in nodes:
            if isinstance(node, OptionNode):
                self._option(section, node, prefix, values)
            else:
                self._subsection(section, node, prefix, values)
        return values

    def _option(self, section: Section, node: OptionNode, prefix: str, values: dict[str, Any]) -> None:
        option = _OPTION.get((section.path, node.name))
        if option is None:
            self._unknown(section, node.name, node.place, "option")
            return
        path = _join(prefix, node.name)
        if not self._first(path, node.place, node.name):
            return
        try:
            values[option.field] = self._value(option, node.value, default_of(section.struct, option.field))
        except _ReportedError:
            self.failed.add(path)

    def _subsection(self, parent: Section, node: SectionNode, prefix: str, values: dict[str, Any]) -> None:
        section = _SECTION.get(_join(parent.path, node.keyword))
        if section is None or not node.keyword:
            self._unknown(parent, node.keyword, node.place, "section")
            return
        name = self._name_of(section, node)
        if name is None:
            return
        path = _join(prefix, node.keyword)
        if section.named:
            path = f"{path}.{name}"
        elif section.repeated:
            path = f"{path}.{len(values.get(section.field, ()))}"
        if not self._first(path, node.place, f"{node.keyword} {name}" if name else node.keyword):
            return
        if section.process:
            self.order.append(path)
        inner = self.section(section, node.body, path)
        if section.named:
            inner["name"] = name
        built = section.struct(**inner)
        values[section.field] = (*values.get(section.field, ()), built) if section.repeated else built

    def _name_of(self, section: Section, node: SectionNode) -> str | None:
        """The name of a section, empty when it takes none; None after a complaint that leaves nothing to call it by."""
        if not section.named:
            if node.name:
                self._complain(node.place, f"section {node.keyword} takes no name")
            return ""
        try:
            if node.name:
                return parse_name(node.name)
            self._complain(node.place, f"section {node.keyword} needs a name: {node.keyword} NAME {{ ... }}")
        except ValueError as error:
            self._complain(node.place, f"name of section {node.keyword}: {error}")
        self.failed.add(section.path)
        return None

    def _first(self, path: str, place: Place, shown: str) -> bool:
        """Remember the place; a second one is an error."""
        before = self.places.setdefault(path, place)
        if before is not place:
            self._complain(place, f"{shown} is given twice; first at {before}")
        return before is place

    def _unknown(self, section: Section, name: str, place: Place, what: str) -> None:
        options = [option.name for option in OPTIONS if option.section == section.path]
        sections = [other.path.rpartition(".")[2] for other in SECTIONS if other.path and _parent(other.path) == section.path]
        where = f"section {section.path}" if section.path else "the top of the file"
        if what == "option" and name in sections:
            self._complain(place, f"{name} is a section: {name} {{ ... }}")
        elif what == "section" and name in options:
            self._complain(place, f"{name} is an option: {name} = value;")
        else:
            hint = suggest(name, sections if what == "section" else options) or self._elsewhere(name, what)
            self._complain(place, f'{where} has no {what} "{_shorten(name)}"{hint}')

    def _elsewhere(self, name: str, what: str) -> str:
        """Where a name that is unknown here does exist."""
        if what == "option":
            homes = [option.section for option in OPTIONS if option.name == name]
        else:
            homes = [_parent(section.path) for section in SECTIONS if section.path.rpartition(".")[2] == name]
        if what == "section" and homes == [""]:
            return "; it belongs to the top of the file: is a } missing above?"
        return f"; it belongs {_in_section(homes[0])}" if homes else ""

    def _value(self, option: Option, value: Atom | ListNode | TableNode, default: Any) -> Any:
        match option.kind:
            case Kind.PAIRS | Kind.MAILERS:
                return self._table(option, value)
            case Kind.FLAGS:
                return self._flags(option, self._items(option, value), value.place, default)
        if option.many:
            return self._list(option, self._items(option, value))
        if isinstance(value, Atom):
            return self._atom(option, value)
        self._complain(value.place, f"{option.name} takes one value, not a list")
        raise _ReportedError

    def _items(self, option: Option, value: Atom | ListNode | TableNode) -> tuple[Atom, ...]:
        if isinstance(value, TableNode):
            self._complain(value.place, f"{option.name} takes a list {{ a, b }}, not a table")
            raise _ReportedError
        return (value,) if isinstance(value, Atom) else value.items

    def _list(self, option: Option, atoms: tuple[Atom, ...]) -> tuple[Any, ...]:
        found: dict[Any, None] = {}
        bad = False
        for atom in atoms:
            try:
                item = self._atom(option, atom)
            except _ReportedError:
                bad = True
                continue
            if item in found:
                self._complain(atom.place, f"{_shorten(atom.text)} stands twice in this list", warning=True)
            found[item] = None
        if bad:
            raise _ReportedError
        return tuple(found)

    def _flags(self, option: Option, atoms: tuple[Atom, ...], place: Place, default: tuple[str, ...]) -> tuple[str, ...]:
        allowed = [*option.choices, *(NEGATION + choice for choice in option.choices)]
        flags = [self._choice(option, atom, allowed) for atom in atoms]
        try:
            return apply_flags(default, flags)
        except ValueError as error:
            self._complain(place, f"{option.name}: {error}")
            raise _ReportedError from None

    def _choice(self, option: Option, atom: Atom, allowed: Iterable[str]) -> str:
        text = atom.text.lower()
        if text not in allowed:
            hint = suggest(text, allowed)
            self._complain(atom.place, f"{option.name}: expected {_any_of(option.choices)}{hint}")
            raise _ReportedError
        return text

    def _atom(self, option: Option, atom: Atom) -> Any:
        if option.kind is Kind.CHOICE:
            return self._choice(option, atom, option.choices)
        try:
            return convert(option, atom.text, atom.place.source.directory)
        except ValueError as error:
            self._complain(atom.place, f"{option.name}: {error}")
            raise _ReportedError from None

    def _table(self, option: Option, value: Atom | ListNode | TableNode) -> tuple[Any, ...]:
        if isinstance(value, Atom) or (isinstance(value, ListNode) and value.items):
            self._complain(value.place, f'{option.name} takes a table: {{ "key" = "value"; }}')
            raise _ReportedError
        rows: dict[str, Any] = {}
        bad = False
        for key, item in value.pairs if isinstance(value, TableNode) else ():
            folded = key.text.lower()
            if folded in rows:
                self._complain(key.place, f'key "{_shorten(folded)}" stands twice in this table')
                bad = True
                continue
            try:
                rows[folded] = self._row(option, folded, key, item)
            except _ReportedError:
                rows[folded], bad = None, True
        if bad:
            raise _ReportedError
        return tuple(rows.values())

    def _row(self, option: Option, folded: str, key: Atom, item: Atom) -> Any:
        if option.kind is Kind.PAIRS:
            return (folded, self._choice(option, item, option.choices) if option.choices else item.text)
        place = key.place
        try:
            parse_entry(folded, "local")
            place = item.place
            return parse_entry(folded, item.text)
        except ValueError as error:
            self._complain(place, f"{option.name}: {error}")
            raise _ReportedError from None

    def _complain(self, place: Place, message: str, *, warning: bool = False) -> None:
        self.problems.append(Problem(place, message, warning))


class _ReportedError(Exception):
    """The problem with this value has been recorded."""


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _in_section(path: str) -> str:
    return f"in section {path}" if path else "to the top of the file"


def _any_of(choices: tuple[str, ...]) -> str:
    return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"


def _shorten(text: str) -> str:
    shown = text if len(text) <= 60 else text[:57] + "..."
    return shown if shown.isprintable() else ascii(shown)[1:-1]
