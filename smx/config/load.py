"""Finding and loading the configuration: the one call of everybody who needs Settings."""

import os
from collections.abc import Mapping
from typing import Final

from smx.config.check import Checked, check
from smx.config.parser import read_text, source_of
from smx.config.problems import ConfigError, Place, Problem, Source
from smx.config.schema import Settings

VARIABLE: Final = "SMX_CONFIG"
USUAL_PATHS: Final = ("lab/smx.conf", "/etc/smx/smx.conf")


def find_config(given: str | None = None, environment: Mapping[str, str] = os.environ) -> str:
    """The path to use: the given one, $SMX_CONFIG, ./lab/smx.conf, /etc/smx/smx.conf. ConfigError when there is none."""
    named = given or environment.get(VARIABLE)
    if named:
        return named
    for path in USUAL_PATHS:
        if os.path.exists(path):
            return path
    message = f"no configuration: give --config FILE or set {VARIABLE}; looked for {' and '.join(USUAL_PATHS)}. `smx init lab --profile lab` writes one"
    raise ConfigError((Problem(Place(Source("smx.conf", "", ()), 0, 0), message),))


def examine(path: str) -> Checked:
    """Everything that can be said about a configuration. ConfigError only when it cannot be read at all."""
    try:
        text = read_text(path)
    except OSError as error:
        raise ConfigError((Problem(Place(Source(path, "", ()), 0, 0), f"cannot read it: {error.strerror or error}"),)) from None
    return check(text, source_of(path, text))


def load(path: str) -> Settings:
    """The settings of a file; ConfigError (with everything that is wrong) when they cannot be used."""
    return _settings(examine(path))


def load_text(text: str, path: str = "smx.conf", *, look_at_files: bool = True) -> Settings:
    """The settings of a text, as if it stood in path."""
    return _settings(check(text, source_of(path, text), look_at_files=look_at_files))


def _settings(checked: Checked) -> Settings:
    if not checked.usable:
        raise ConfigError(checked.problems)
    return checked.settings
