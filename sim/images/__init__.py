"""Crash images: each disk that a power loss may leave, recovered and judged, at three depths of one enumeration.

    boundaries   every operation of the disk in the life of a workload, those inside of commits of SQLite and Maildirs included; and every moment at
                 which somebody outside learns something
    survivors    at each boundary, every subset of what is not durable, up to combinations of more than a few parts (sim.disk.images)
    depths       "log": the reading of the envelope log alone; "queue": the whole recovery of QMGR, with the real SQLite; "full": the whole MTA goes
                 on from the image until its queue is empty, and every checker judges the two lives

An image counts when recovery ran on it and it differs from every image before.

    workloads.py   what happens in the first life, as data
    scene.py       the world of a first life, cut at every boundary; the world that goes on from an image
    history.py     what was written into the log, record by record, and what any image of it must give
    reading.py     depth "log"
    writer.py      long random histories of a log, without a world
    queue.py       depth "queue"
    full.py        depth "full"
    seen.py        which images have been counted, in bounded memory
    search.py      one workload at one depth
    campaign.py    millions of images, to be interrupted and resumed
"""

from sim.images.campaign import Campaign, campaign
from sim.images.result import Found, Result
from sim.images.search import DEPTHS, search
from sim.images.speed import speed
from sim.images.workloads import Workload, exhaustive, find, special

__all__ = ["DEPTHS", "Campaign", "Found", "Result", "Workload", "campaign", "exhaustive", "find", "search", "special", "speed"]
