"""The smx command: finds the module of a command in a table, imports it, and hands over the arguments.

A module has either `app`, a typer.Typer, or `main(arguments) -> exit status`, for commands whose start-up time counts. Nothing but the chosen
module is imported: `smx run` must not pay for the tables of `smx queue`. Exit statuses are those of sysexits.h.

Diagnostics: a configuration that cannot be used is told on standard error, with every error in it; the status is 78.
"""

import sys
from importlib import import_module
from typing import Final

from smx import __version__

EX_USAGE: Final = 64
EX_CANTCREAT: Final = 73
EX_NOPERM: Final = 77
EX_CONFIG: Final = 78
CLICK_USAGE: Final = 2  # what typer says where sysexits.h says 64

# (command, module, what it does), in the order of the help
COMMANDS: Final[tuple[tuple[str, str, str], ...]] = (
    ("init", "smx.cli.init", "write a commented configuration that works"),
    ("run", "smx.cli.run", "run the whole MTA until Ctrl-C"),
    ("check", "smx.cli.check", "tell everything that is wrong with the configuration and the spool"),
    ("config", "smx.cli.config", "show the configuration in force, explain an option"),
    ("queue", "smx.cli.queue", "show and change the queue; status and limits"),
    ("route", "smx.cli.route", "show where mail to an address would go, and why"),
    ("bench", "smx.cli.bench", "what a message costs here, in CPU microseconds, by process"),
    ("replay", "smx.cli.replay", "replay what `smx run --record` wrote, and compare"),
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if words else EX_USAGE
    if words[0] == "--version":
        return _version()
    module = next((row[1] for row in COMMANDS if row[0] == words[0]), None)
    if module is None:
        print(_unknown(words[0]), file=sys.stderr)
        return EX_USAGE
    return _run(module, words[0], words[1:])


def _run(module_name: str, command: str, arguments: list[str]) -> int:
    module = import_module(module_name)
    problems = import_module("smx.config.problems")
    try:
        if hasattr(module, "app"):
            module.app(args=arguments, prog_name=f"smx {command}")
            return 0
        status: int = module.main(arguments)
        return status
    except problems.ConfigError as error:
        print(error.render(), file=sys.stderr)
        return EX_CONFIG
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        return EX_USAGE if status == CLICK_USAGE else status


def overview() -> str:
    """The help without a command."""
    width = max(len(name) for name, _, _ in COMMANDS)
    rows = [f"  {name:<{width}}  {explanation}" for name, _, explanation in COMMANDS]
    return "\n".join(["usage: smx COMMAND [ARGUMENTS]", "", *rows, "", "smx COMMAND --help tells more; smx --version tells the version."])


def _version() -> int:
    print(f"smx {__version__}")
    return 0


def _unknown(word: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, [name for name, _, _ in COMMANDS], n=1)
    hint = f'; did you mean "{close[0]}"?' if close else "; smx --help lists them"
    return f'smx: there is no command "{word}"{hint}'
