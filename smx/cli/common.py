"""What the commands share: the --config and --json options, loading, and output."""

import os
import shutil
import sys
from typing import Annotated, Any

import msgspec
import typer

from smx.config.check import Checked
from smx.config.load import examine, find_config
from smx.config.problems import ConfigError
from smx.config.schema import Settings

ConfigOption = Annotated[
    str | None,
    typer.Option("--config", "-c", metavar="FILE", help="The configuration; otherwise $SMX_CONFIG, ./lab/smx.conf or /etc/smx/smx.conf."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def new_app(explanation: str, *, group: bool = False) -> typer.Typer:
    """A Typer with our manners: plain help, no completion commands, no decorated tracebacks. A group without a command shows its help."""
    return typer.Typer(help=explanation, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=group)


def checked_config(config: str | None) -> tuple[str, Checked]:
    """(path, outcome) of the configuration to use; ConfigError when there is none or it cannot be read."""
    path = find_config(config)
    return path, examine(path)


def load_config(config: str | None) -> Settings:
    """The settings to use, warnings told on standard error; ConfigError when they cannot be used."""
    _, checked = checked_config(config)
    if not checked.usable:
        raise ConfigError(checked.problems)
    for problem in checked.problems:
        print(problem.render(), file=sys.stderr)
    return checked.settings


def print_json(value: Any) -> None:
    """One JSON document on standard output, indented."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def program(name: str = "smx") -> str:
    """What the reader types for a command of ours (smx, smx-sendmail): its bare name when PATH finds this installation, else its path."""
    directory = os.path.dirname(sys.executable)
    path = os.path.join(directory, name)
    found = shutil.which(name)
    if found is not None and os.path.realpath(found) == os.path.realpath(path):
        return name
    if not os.access(path, os.X_OK):
        return f"{sys.executable} -m smx" if name == "smx" else name
    here = os.path.relpath(path)
    return path if here.startswith("..") else here


def fail(message: str, status: int) -> typer.Exit:
    """Tell it on standard error; raise what comes back."""
    print(message, file=sys.stderr)
    return typer.Exit(status)
