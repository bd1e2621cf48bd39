"""Studies: questions to the simulator. One file a study; each gives STUDY. `find` imports only the one that is asked for."""

from importlib import import_module
from typing import Final

from sim.studies.study import OptionError, Run, Setting, Study, run

NAMES: Final = ("crash_storm", "crash_points", "slow_destination", "dns_outage", "thundering_herd", "overload", "full_disk", "clock_jump", "load")

__all__ = ["NAMES", "OptionError", "Run", "Setting", "Study", "find", "run"]


def find(name: str) -> Study:
    """The study of this name. Raises OptionError when there is none."""
    if name not in NAMES:
        raise OptionError(f"there is no study {name!r}; there are {', '.join(NAMES)}")
    study: Study = import_module(f"sim.studies.{name}").STUDY
    return study
