"""The simulated disk: a file system that can lose power, fail and fill up; segments, Maildirs and the real SQLite run on it."""

from sim.disk.errors import DiskError, PowerLoss
from sim.disk.faults import DrawnFaults, Faults, Planned, PlannedFaults
from sim.disk.filesystem import Disk, Operation
from sim.disk.personality import LYING, ORDERED, PERSONALITIES, STRICT, Personality

__all__ = [
    "LYING",
    "ORDERED",
    "PERSONALITIES",
    "STRICT",
    "Disk",
    "DiskError",
    "DrawnFaults",
    "Faults",
    "Operation",
    "Personality",
    "Planned",
    "PlannedFaults",
    "PowerLoss",
]
