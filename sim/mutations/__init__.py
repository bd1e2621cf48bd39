"""Mutations: one behaviour of the product changed at a time, from outside, each with the scene in which a checker must object.

They judge the judges: a checker that lets a mutation pass has a hole. REGISTRY has all of them, SCENES the small worlds in which they show.
"""

from sim.mutations import (
    content,
    deferral,
    delivery,
    expansion,
    log,
    pressure,
    processes,
    reception,
    recovery,
    scenes_calm,
    scenes_crash,
    scenes_process,
    scenes_recovery,
    scenes_storage,
)
from sim.mutations.evaluate import Result, evaluate, evaluate_all
from sim.mutations.mutation import REGISTRY, Mutation, applied
from sim.mutations.own import ablate
from sim.mutations.patching import PatchError
from sim.mutations.scenes import SCENES, Scene

TABLES = (log, content, recovery, deferral, expansion, delivery, reception, processes, pressure)
STAGES = (scenes_calm, scenes_crash, scenes_process, scenes_recovery, scenes_storage)

__all__ = ["REGISTRY", "SCENES", "STAGES", "TABLES", "Mutation", "PatchError", "Result", "Scene", "ablate", "applied", "evaluate", "evaluate_all"]
