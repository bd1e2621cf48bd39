"""A commented configuration file from the option tables: what a profile sets is active, every other option stands there as a comment."""

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from smx.config.option import Option, Section, default_of
from smx.config.schema import OPTIONS, SECTIONS
from smx.config.show import INDENT, value_text

COMMENT_COLUMN: Final = 56


class Template(Struct, frozen=True):
    """chosen: option path (as in OPTIONS) -> text of the value; names: section path -> NAME; order: the top sections that stand in the file."""

    head: str
    chosen: Mapping[str, str]
    names: Mapping[str, str]
    order: tuple[str, ...]
    notes: Mapping[str, str] = {}  # section path -> comment lines at its begin


def fill(template: Template) -> str:
    """The text of the file."""
    lines = [*_comment(template.head, ""), "", *_options(SECTIONS[0], template, "")]
    for path in template.order:
        lines += ["", *_section(_find(path), template, "")]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _find(path: str) -> Section:
    return next(section for section in SECTIONS if section.path == path)


def _comment(text: str, indent: str) -> Iterator[str]:
    for line in text.splitlines():
        yield f"{indent}# {line}" if line else f"{indent}#"


def _options(section: Section, template: Template, indent: str) -> Iterator[str]:
    for option in OPTIONS:
        if option.section == section.path:
            yield _option(option, section, template.chosen.get(option.path), indent)


def _option(option: Option, section: Section, chosen: str | None, indent: str) -> str:
    explanation = option.explanation
    if chosen is not None:
        line = f"{indent}{option.name} = {chosen};"
    elif option.derived:
        line = f"{indent}# {option.name} = ...;"
        explanation += f" (default: {option.derived})"
    else:
        line = f"{indent}# {option.name} = {value_text(option, default_of(section.struct, option.field))};"
    return f"{line:<{COMMENT_COLUMN}} # {explanation}" if len(line) <= COMMENT_COLUMN else f"{indent}# {explanation}\n{line}"


def _section(section: Section, template: Template, indent: str) -> Iterator[str]:
    keyword = section.path.rpartition(".")[2]
    name = template.names.get(section.path, "")
    opening = f"{indent}{keyword} {name} {{" if name else f"{indent}{keyword} {{"
    yield f"{opening:<{COMMENT_COLUMN}} # {section.explanation}"
    yield from _comment(template.notes.get(section.path, ""), indent + INDENT)
    yield from _options(section, template, indent + INDENT)
    for child in SECTIONS:
        if child.path and child.path.rpartition(".")[0] == section.path and (not child.named or child.path in template.names):
            yield from _section(child, template, indent + INDENT)
    yield f"{indent}}}"
