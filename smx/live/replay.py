"""Replay: a recording from disk against the components as they are now (BX25)."""

from pathlib import Path
from typing import Final

from smx.component import Component
from smx.factory import make_component
from smx.recording import Header, ReplayReport
from smx.recording import replay as replay_octets

SUFFIX: Final = ".rec"


def replay(path: str) -> ReplayReport:
    """Replay one file. Raises NotARecordingError, OSError."""
    return replay_octets(Path(path).read_bytes(), component_of)


def component_of(header: Header) -> Component:
    """A new component like the recorded one."""
    return make_component(header.process, header.settings)


def recordings(path: str) -> list[str]:
    """The recordings in a directory, in the order of their names; a file is itself."""
    if not Path(path).is_dir():
        return [path]
    return [str(file) for file in sorted(Path(path).iterdir()) if file.suffix == SUFFIX]
