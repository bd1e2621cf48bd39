"""Replay: a recording from disk against the components as they are now (BX25)."""

from pathlib import Path

from smx.component import Component
from smx.live.factory import make_component
from smx.recording import Header, ReplayReport
from smx.recording import replay as replay_octets


def replay(path: str) -> ReplayReport:
    """Replay one file. Raises NotARecordingError, OSError."""
    return replay_octets(Path(path).read_bytes(), component_of)


def component_of(header: Header) -> Component:
    """A new component like the recorded one."""
    return make_component(header.process, header.settings)
