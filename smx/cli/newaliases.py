"""`smx-newaliases`: checks the aliases file and says what is in it, as the classic command does.

There is nothing to rebuild: SMAR reads the text itself, and again within a second of a change. What is left of the command is that it
tells errors, with file and line, before a running SMAR refuses the file.

Statuses: 0 the file is good, 64 wrong usage, 65 errors in the file, 66 it cannot be read, 78 no usable configuration. Options of the
classic command that mean nothing here (-v, -o..., -d...) are ignored.
"""

import sys
from typing import Final

from smx.config.load import find_config, load
from smx.config.problems import ConfigError
from smx.live.maps import MapError, read_text
from smx.smar.aliases import parse

EX_OK: Final = 0
EX_USAGE: Final = 64
EX_DATAERR: Final = 65
EX_NOINPUT: Final = 66
EX_CONFIG: Final = 78
USAGE: Final = "usage: smx-newaliases [-C CONFIGURATION] [-oA FILE]"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options = _options(sys.argv[1:] if arguments is None else arguments)
    if options is None:
        print(USAGE, file=sys.stderr)
        return EX_USAGE
    config, path = options
    try:
        path = path or load(find_config(config)).smar.aliases.file
    except ConfigError as error:
        print(error.render(), file=sys.stderr)
        return EX_CONFIG
    if not path:
        print("smx-newaliases: no aliases file is configured (smar, aliases, file)")
        return EX_OK
    return _check(path)


def _options(words: list[str]) -> tuple[str | None, str] | None:
    """(configuration, aliases file); None for wrong usage. Values may be joined to their option or follow it."""
    config, path = None, ""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        for option in ("-oA", "-C"):
            if word.startswith(option):
                value = word[len(option) :] or (rest.pop(0) if rest else "")
                if not value:
                    return None
                config, path = (value, path) if option == "-C" else (config, value)
                break
        else:
            if not word.startswith("-") or word in ("-h", "--help"):
                return None
    return config, path


def _check(path: str) -> int:
    try:
        entries, problems = parse(read_text(path))
    except MapError as error:
        print(f"smx-newaliases: {error}", file=sys.stderr)
        return EX_NOINPUT
    for line, problem in problems:
        print(f"{path}:{line}: {problem}", file=sys.stderr)
    if problems:
        return EX_DATAERR
    octets = [len(entry.targets.encode()) for entry in entries]
    print(f"{path}: {len(entries)} aliases, longest {max(octets, default=0)} bytes, {sum(octets)} bytes total")
    return EX_OK
