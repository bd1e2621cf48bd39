"""Costs: how long things take in a simulated machine: the CPU for an event, the disk for a sync, a link for a frame, a fork for a process.

Service times come from measurements of the real `step` methods (`sim.calibrate` writes costs.json, with date and machine) and of real devices.
`scale` 0 switches the CPU off: every step is over at once, as studies of crashes want it; 1 charges what was measured.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from smx.events import AnyEvent, Received, Told
from smx.units import KIB, MILLISECOND

LARGE_OCTETS: Final = 8 * KIB  # a piece of content from which on each octet counts
MEASURED: Final = Path(__file__).with_name("costs.json")


class Times(msgspec.Struct, frozen=True):
    """Of the devices, in microseconds. Where two are given a draw decides between them; the smaller is the calm one."""

    sync_min_us: int = 300
    sync_max_us: int = 300
    syncs_at_once: int = 1  # that the disk works on at a time; what comes meanwhile waits and, in a log, becomes the next group
    scan_us_per_mib: int = 1_000  # reading in recovery
    link_min_us: int = 30
    link_max_us: int = 30
    launch_us: int = 60 * MILLISECOND  # from fork to Started
    exit_us: int = 200  # until MCP hears of an end
    scale: float = 0.0  # of the measured CPU times
    writeback_us: int = 0  # the kernel makes everything durable so often by itself; 0: never, the worst case, and the list of what is pending grows
    cores: int = 0  # shared by all processes of a machine; 0: each has its own


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """costs.json. `step_us`: "qmgr Submit" -> microseconds; `octet_ns`: of content that is received, by kind; `other_us`: for what is not in it."""

    date: str = ""
    machine: str = ""
    python: str = ""
    step_us: dict[str, float] = {}
    octet_ns: dict[str, float] = {}
    other_us: float = 10.0


def name_of(event: AnyEvent) -> str:
    """What an event counts as: its class, or that of the message it brings."""
    return type(event.message).__name__ if isinstance(event, Told) else type(event).__name__


class Costs:
    """What each event costs a process of one kind."""

    def __init__(self, measured: Measured, scale: float = 1.0) -> None:
        self._measured = measured
        self._scale = scale
        self._known: dict[tuple[str, type], int] = {}

    def of(self, kind: str, event: AnyEvent) -> int:
        """Microseconds of CPU."""
        cause = type(event.message) if type(event) is Told else type(event)
        cost = self._known.get((kind, cause))
        if cost is None:
            microseconds = self._measured.step_us.get(f"{kind} {name_of(event)}", self._measured.other_us)
            cost = self._known[kind, cause] = round(microseconds * self._scale)
        if type(event) is Received and len(event.data) > LARGE_OCTETS:
            cost += round(len(event.data) * self._measured.octet_ns.get(kind, 0.0) * self._scale / 1000)
        return cost


@lru_cache(maxsize=8)
def load(path: str = str(MEASURED)) -> Measured:
    """The measured costs. Raises OSError or msgspec.ValidationError."""
    return msgspec.json.decode(Path(path).read_bytes(), type=Measured)
