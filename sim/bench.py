"""Bench: how fast the simulator is, on one core: crash images, whole storms, and hours of a server at a steady rate.

Each figure is the best of several rounds, by CPU time, so that another process on the machine does not count. What is measured:

    images log      recoveries of the envelope log from different crash images, a second
    images queue    the same with the whole of QMGR and the real SQLite, a second
    storms          seeds of crash_storm, with every checker, a second
    server hours    simulated hours of a server that takes 10 messages a second, of CPU cost as measured, with no checker, in a CPU minute
"""

import os
import platform
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Final

import msgspec

from sim.campaign import commit_here
from sim.choices import Choices
from sim.costs import Times
from sim.scenario import Scenario
from sim.studies import find, run
from sim.studies.internet import LOCAL, add_domain, send
from sim.truth import Truth
from sim.workload import SMALL, Poisson, Workload, dealt
from sim.world import World
from smx.units import SECOND

ROUNDS: Final = 3
SECONDS: Final = 5.0
RATE: Final = 10  # messages a second
LOAD_SECONDS: Final = 60
CLIENTS: Final = 20
IMAGES: Final = "sim.images.speed"


class Figure(msgspec.Struct, frozen=True):
    """`value` in `unit`: the best of `rounds`; `goal`: what was aimed at."""

    name: str
    value: float
    unit: str
    goal: float
    rounds: tuple[float, ...]


class Bench(msgspec.Struct, frozen=True):
    """`machine`: the facts without which no number means anything."""

    machine: dict[str, str]
    figures: list[Figure]


def measure(*, rounds: int = ROUNDS, seconds: float = SECONDS, only: str = "", progress: Callable[[Figure], None] | None = None) -> Bench:
    """All figures, or those whose name contains `only`. Each round takes about so many seconds."""
    figures = []
    for name, unit, goal, one_round in _TABLE:
        if only not in name or (name.startswith("images") and find_spec(IMAGES) is None):
            continue
        values = tuple(one_round(seconds) for _ in range(rounds))
        figure = Figure(name, max(values), unit, goal, values)
        figures.append(figure)
        if progress is not None:
            progress(figure)
    return Bench(machine(), figures)


def machine() -> dict[str, str]:
    """What this is measured on."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit_here(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or "unknown"


# --- rounds -----------------------------------------------------------------------------------------------------------------


def images_log(seconds: float) -> float:
    """Crash images a second, on the log alone."""
    images, spent = import_module(IMAGES).log(seconds)
    return float(images / spent)


def images_queue(seconds: float) -> float:
    """Crash images a second, with SQLite and QMGR."""
    images, spent = import_module(IMAGES).queue(seconds)
    return float(images / spent)


def storms(seconds: float) -> float:
    """Seeds a second. All rounds run the same seeds, so far as they come."""
    study = find("crash_storm")
    begun = time.process_time()
    seeds = 0
    while (spent := time.process_time() - begun) < seconds or not seeds:
        seeds += 1
        run(study, seeds)
    return seeds / spent


def server_hours(seconds: float) -> float:
    """Simulated hours in a CPU minute. `seconds` makes the simulated stretch longer, not the round exactly so long."""
    stretch = max(2, round(LOAD_SECONDS * seconds / SECONDS))
    world = loaded_world(stretch)
    begun = time.process_time()
    world.run()
    return stretch / 3600 / ((time.process_time() - begun) / 60)


def loaded_world(stretch: int) -> World:
    """A server that takes RATE messages a second for so many seconds; most are local, the rest goes to four domains."""
    choices = Choices(1)
    world = World(Scenario(name="bench", times=Times(scale=1.0), settle_us=SECOND), choices, truth=Truth(()))
    domains = [add_domain(world, number)[0] for number in range(4)]
    workload = Workload(destinations=(LOCAL, *domains), arrivals=Poisson(SECOND // RATE), sizes=SMALL)
    mails = workload.mails(choices.stream("workload"), stretch * RATE)
    for number, own in enumerate(dealt(mails, CLIENTS)):
        send(world, own, number)
    return world


_TABLE: Final[tuple[tuple[str, str, float, Callable[[float], float]], ...]] = (
    # name             unit                      goal      a round
    ("images log", "images a second", 20_000.0, images_log),
    ("images queue", "images a second", 2_000.0, images_queue),
    ("storms", "seeds a second", 50.0, storms),
    ("server hours", "hours a CPU minute", 8.0, server_hours),
)
