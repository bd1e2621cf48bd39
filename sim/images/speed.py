"""Speed: crash images a second on one core, for `smx-sim bench`."""

import time
from collections.abc import Iterator

from sim.images.log import LogSeed
from sim.images.queue import Queue
from sim.images.result import Result
from sim.images.scene import Life, first_life
from sim.images.seen import Seen
from sim.images.workloads import exhaustive


def log(seconds: float) -> tuple[int, float]:
    """(distinct images that were recovered, CPU seconds), in about so long: depth "log", random histories, everything included."""
    images = seed = 0
    begun = time.process_time()
    while (spent := time.process_time() - begun) < seconds:
        images += LogSeed(seed).run().images
        seed += 1
    return images, spent


def queue(seconds: float) -> tuple[int, float]:
    """The same at depth "queue": real SQLite, whole recovery of QMGR. The first lives are played before."""
    images = 0
    spent = 0.0
    for life in _lives():
        begun = time.process_time()
        result = Result("queue")
        Queue(result, Seen(), max_subset=4, torn=False).run(life)
        spent += time.process_time() - begun
        images += result.images
        if spent >= seconds:
            break
    return images, spent


def _lives() -> Iterator[Life]:
    for workload in exhaustive(2):
        life = first_life(workload)
        life.world.run()
        yield life


def speed(seconds: float = 5.0) -> dict[str, float]:
    """Images a second by depth."""
    return {name: images / spent for name, (images, spent) in (("log", log(seconds)), ("queue", queue(seconds)))}
