"""What the commands share: manners, options, tables and JSON."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from sim.choices import TapeError
from sim.studies import OptionError, Study


class UsageError(Exception):
    """The command cannot be carried out as it was given; the text is one line."""


USAGE_ERRORS: Final = (UsageError, OptionError, TapeError)

StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="A study; `smx-sim list` shows them.")]
SeedOption = Annotated[int, typer.Option("--seed", metavar="N", help="The seed from which everything is drawn.")]
OptionOption = Annotated[list[str] | None, typer.Option("--option", "-o", metavar="NAME=VALUE", help="An option of the study; may be repeated.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
HtmlOption = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a report with the timeline of the run, for a browser.")]
LimitOption = Annotated[float, typer.Option("--limit", metavar="S", help="CPU seconds after which the run counts as endless; 0: none.", min=0)]
JobsOption = Annotated[int, typer.Option("--jobs", "-j", metavar="J", help="Processes at a time; 0: one for each core.")]


def new_app(explanation: str) -> typer.Typer:
    """A Typer with our manners: plain help, no completion commands, no decorated tracebacks."""
    return typer.Typer(help=explanation, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def print_json(value: Any) -> None:
    """One JSON document on standard output, indented."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def options_of(study: Study, given: Iterable[str] | None) -> dict[str, Any]:
    """NAME=VALUE words as the values that the study takes, all options in place. Raises OptionError."""
    values: dict[str, Any] = {}
    for word in given or ():
        name, equals, text = word.partition("=")
        if not equals:
            raise OptionError(f"--option {word}: an option is NAME=VALUE")
        values[name] = _value(study, name, text)
    return study.checked(values)


def _value(study: Study, name: str, text: str) -> Any:
    """The text as a value of the same kind as the default."""
    default = study.options.get(name)
    if name not in study.options or isinstance(default, str):
        return text
    if isinstance(default, bool) and text in ("yes", "no", "on", "off"):
        return text in ("yes", "on")
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise OptionError(f"{study.name}: {name}={text}: the default is {default!r}, a value looks like that") from error
    return float(value) if isinstance(default, float) and type(value) is int else value


def seeds_of(text: str) -> tuple[int, int]:
    """The first and the last seed of "A..B" (both belong to it), or of a single "A". Raises UsageError."""
    first, dots, last = text.partition("..")
    try:
        low, high = int(first), int(last if dots else first)
    except ValueError:
        raise UsageError(f"--seeds {text}: a range of seeds looks like 1..500") from None
    if low < 0 or high < low:
        raise UsageError(f"--seeds {text}: the first seed must not be negative, nor behind the last")
    return low, high


def write_text(path: Path, text: str) -> None:
    """Raises UsageError."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "") -> None:
    """On standard output: with rules and colours where people look, aligned columns where programs do. Numbers stand to the right."""
    texts = [[_cell(value) for value in row] for row in rows]
    right = [all(isinstance(value, int | float) and not isinstance(value, bool) for value in column) for column in zip(*rows, strict=True)] if texts else []
    if sys.stdout.isatty():
        _rich_table(headers, texts, right, title)
        return
    widths = [max(len(line[column]) for line in [list(headers), *texts]) for column in range(len(headers))]
    if title:
        print(title)
    for line in [list(headers), *texts]:
        cells = [cell.rjust(width) if right and right[column] else cell.ljust(width) for column, (cell, width) in enumerate(zip(line, widths, strict=True))]
        print("  ".join(cells).rstrip())


def _rich_table(headers: Sequence[str], texts: list[list[str]], right: list[bool], title: str) -> None:
    from rich import box

    shown = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD)
    for column, header in enumerate(headers):
        shown.add_column(header, justify="right" if right and right[column] else "left", overflow="fold")
    for line in texts:
        shown.add_row(*line)
    Console(highlight=False, markup=False).print(shown)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    return f"{value:,}" if type(value) is int else str(value)
