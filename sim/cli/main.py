"""The smx-sim command: finds the module of a command in a table, imports it, and hands over the arguments.

Nothing but the chosen module is imported. Exit statuses: 0 all is well; 1 an invariant is broken, a digest differs, or a mutation was not caught;
2 the command cannot be carried out: an unknown study or option, a tape that cannot be read.

Diagnostics: what is wrong with the arguments is told on standard error, in one line.
"""

import os
import sys
from importlib import import_module
from typing import Final

EX_BROKEN: Final = 1
EX_USAGE: Final = 2
EX_INTERRUPTED: Final = 130

# (command, module, what it does), in the order of the help
COMMANDS: Final[tuple[tuple[str, str, str], ...]] = (
    ("list", "sim.cli.list", "show the studies, the checkers and the faults that there are"),
    ("run", "sim.cli.run", "run a study with one seed"),
    ("campaign", "sim.cli.campaign", "run a study with many seeds, on many cores or machines"),
    ("images", "sim.cli.images", "recover crash images: of one workload, or by the million"),
    ("replay", "sim.cli.replay", "run what a tape says"),
    ("shrink", "sim.cli.shrink", "make a failing tape small, and tell its story"),
    ("duplicates", "sim.cli.duplicates", "show what a crash may deliver twice"),
    ("ablations", "sim.cli.ablations", "switch each safeguard off, and see which checker objects"),
    ("ablate", "sim.cli.ablate", "the same with a mutation of your own"),
    ("bench", "sim.cli.bench", "measure how fast the simulator is"),
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if words else EX_USAGE
    module = next((row[1] for row in COMMANDS if row[0] == words[0]), None)
    if module is None:
        print(_unknown(words[0]), file=sys.stderr)
        return EX_USAGE
    return _run(module, words[0], words[1:])


def _run(module: str, command: str, arguments: list[str]) -> int:
    from sim.cli.common import USAGE_ERRORS

    try:
        import_module(module).app(args=arguments, prog_name=f"smx-sim {command}")
        return 0
    except USAGE_ERRORS as error:
        print(f"smx-sim {command}: {error}", file=sys.stderr)
        return EX_USAGE
    except BrokenPipeError:  # `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)


def overview() -> str:
    """The help without a command."""
    width = max(len(name) for name, _, _ in COMMANDS)
    rows = [f"  {name:<{width}}  {explanation}" for name, _, explanation in COMMANDS]
    return "\n".join(["usage: smx-sim COMMAND [ARGUMENTS]", "", *rows, "", "smx-sim COMMAND --help tells more."])


def _unknown(word: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, [name for name, _, _ in COMMANDS], n=1)
    hint = f'; did you mean "{close[0]}"?' if close else "; smx-sim --help lists them"
    return f'smx-sim: there is no command "{word}"{hint}'


if __name__ == "__main__":
    sys.exit(main())
