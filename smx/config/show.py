"""Settings as text again: in the language itself, with or without the origin of each value, and as JSON."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from smx.config.mailer import format_entry
from smx.config.option import Kind, Option, Section
from smx.config.problems import Place
from smx.config.schema import OPTIONS, SECTIONS, Settings, kind_of_process
from smx.config.text import format_size, format_time, quote

INDENT: Final = "    "
COMMENT_COLUMN: Final = 48
_BARE: Final = (Kind.CHOICE, Kind.NAME, Kind.PROCESS, Kind.FLAGS)


class Shown(Struct, frozen=True):
    """One section with its concrete path ("smtps.mx.listen_socket.0"), its values, and the sections in it."""

    section: Section
    path: str
    name: str
    values: tuple[tuple[Option, Any], ...]
    inner: tuple["Shown", ...]


def value_text(option: Option, value: Any) -> str:
    """A value as the language writes it; the checker reads the same value from it."""
    match option.kind:
        case Kind.PAIRS:
            return _table([(key, quote(text)) for key, text in value])
        case Kind.MAILERS:
            return _table([(entry.pattern, quote(format_entry(entry))) for entry in value])
        case Kind.FLAGS:
            return _flags(option, value)
    if option.many:
        return "{ " + ", ".join(_atom(option, item) for item in value) + " }" if value else "{ }"
    return _atom(option, value)


def _atom(option: Option, value: Any) -> str:
    if option.kind is Kind.TIME:
        return format_time(value)
    if option.kind is Kind.SIZE:
        return format_size(value)
    if option.kind is Kind.ENDPOINT:
        host, port = value
        return quote(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or (option.kind in _BARE and value):
        return str(value)
    return quote(value)


def _flags(option: Option, value: tuple[str, ...]) -> str:
    """All flags off needs the negations, because an empty list leaves the default."""
    return "{ " + ", ".join(value or [f"dont_{choice}" for choice in option.choices]) + " }"


def _table(pairs: list[tuple[str, str]]) -> str:
    return "{ " + " ".join(f"{quote(key)} = {text};" for key, text in pairs) + " }" if pairs else "{ }"


def tree(settings: Settings) -> Shown:
    """The settings section by section: the processes in the file's order, without those that do not run."""
    return _shown(SECTIONS[0], settings, "", settings.order)


def _shown(section: Section, struct: Any, path: str, order: tuple[str, ...]) -> Shown:
    absent = ("address", "port") if section.path == "smtps.listen_socket" and struct.type == "unix" else ()
    values = tuple((o, getattr(struct, o.field)) for o in OPTIONS if o.section == section.path and o.name not in absent)
    inner = [_shown(child, part, where, ()) for child, part, where in _parts(section, struct, path)]
    if not path:
        inner.sort(key=lambda shown: order.index(shown.path) if shown.path in order else -1)
        inner = [shown for shown in inner if not shown.section.process or shown.path in order]
    return Shown(section, path, getattr(struct, "name", ""), values, tuple(inner))


def _parts(section: Section, struct: Any, path: str) -> Iterator[tuple[Section, Any, str]]:
    for child in SECTIONS[1:]:
        if child.path.rpartition(".")[0] != section.path:
            continue
        keyword = child.path.rpartition(".")[2]
        where = f"{path}.{keyword}" if path else keyword
        part = getattr(struct, child.field)
        if not child.repeated:
            yield child, part, where
            continue
        for number, item in enumerate(part):
            yield child, item, f"{where}.{item.name if child.named else number}"


def origin(option: Option, path: str, places: Mapping[str, Place]) -> str:
    """Where a value comes from: `smx.conf:3`, `default`, or what it is derived from."""
    if path in places:
        return str(places[path])
    return option.derived or "default"


def show_text(settings: Settings, places: Mapping[str, Place] | None = None) -> str:
    """The whole configuration with every option; with places, each with its origin as a comment."""
    return "\n".join(_lines(tree(settings), places, "")) + "\n"


def _lines(shown: Shown, places: Mapping[str, Place] | None, indent: str) -> Iterator[str]:
    for option, value in shown.values:
        path = f"{shown.path}.{option.name}" if shown.path else option.name
        if (option.kind is Kind.PATH and not value) or _says_nothing(option, value):
            continue  # absent, and nothing that could be written says so
        line = f"{indent}{option.name} = {value_text(option, value)};"
        yield line if places is None else f"{line:<{COMMENT_COLUMN - 1}} # {origin(option, path, places)}"
    for part in shown.inner:
        keyword = part.section.path.rpartition(".")[2]
        yield f"{indent}{keyword} {part.name} {{" if part.name else f"{indent}{keyword} {{"
        yield from _lines(part, places, indent + INDENT)
        yield f"{indent}}}"


def _says_nothing(option: Option, value: Any) -> bool:
    return value == "" and option.kind in (Kind.NAME, Kind.ADDRESS)


def to_json(settings: Settings, places: Mapping[str, Place] | None = None) -> dict[str, Any]:
    """For --json: the fields with their units in the name; with places, {"value": ..., "origin": ...} for each."""
    return {**_json(tree(settings), places), "order": list(settings.order)}


def _json(shown: Shown, places: Mapping[str, Place] | None) -> dict[str, Any]:
    found: dict[str, Any] = {"name": shown.name} if shown.name else {}
    for option, value in shown.values:
        path = f"{shown.path}.{option.name}" if shown.path else option.name
        plain = _plain(option, value)
        found[option.field] = plain if places is None else {"value": plain, "origin": origin(option, path, places)}
    for part in shown.inner:
        if part.section.repeated:
            found.setdefault(part.section.field, []).append(_json(part, places))
        else:
            found[part.section.field] = _json(part, places)
    return found


def _plain(option: Option, value: Any) -> Any:
    match option.kind:
        case Kind.PAIRS:
            return dict(value)
        case Kind.MAILERS:
            return {entry.pattern: format_entry(entry) for entry in value}
        case Kind.ENDPOINT:
            return [_atom(option, item).strip('"') for item in value]
    return list(value) if isinstance(value, tuple) else value


def explain(option: Option, default: Any) -> dict[str, str]:
    """Everything about one option, as (label, text)."""
    found = {
        "option": option.path,
        "meaning": option.explanation,
        "takes": ("a list of: " if option.many else "") + option.kind.value,
        "default": option.derived or value_text(option, default),
    }
    if option.kind in (Kind.TIME, Kind.SIZE, Kind.INTEGER):
        high = "" if option.high >= 1 << 61 else f" to {_atom(option, option.high)}"
        found["range"] = f"{_atom(option, option.low)}{high}"
    if option.choices:
        found["choices"] = ", ".join(option.choices)
    if option.zero:
        found["0 means"] = option.zero
    process = kind_of_process(option.section)
    if process:
        found["process"] = process
    return found
