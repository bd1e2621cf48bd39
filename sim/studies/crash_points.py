"""crash_points: does a power loss at any operation of the disk, whatever of the unsynced survives, ever cost acknowledged mail?

The seed is the number of the workload: of up to three messages over what may become of a recipient, with and without cut-through; first those
beyond the alphabet (sim.images.workloads). The first life is played and cut at every boundary; each image is recovered at the depth that the
option says: "log" (the reading of the log alone), "queue" (QMGR with SQLite), "full" (the whole MTA goes on until its queue is empty), or "all".
"""

from typing import Any, Final

from sim.choices import Choices
from sim.images.markers import MARKERS
from sim.images.result import Found, Result
from sim.images.scene import Life, furnished, scenario_of
from sim.images.search import DEPTHS, search_in
from sim.images.workloads import Workload, exhaustive, special
from sim.observer import Violation
from sim.studies.study import OptionError, Options, Setting, Study
from sim.trace import Trace
from sim.truth import Truth
from sim.world import Outcome, World

ALL: Final = "all"
SENTENCE: Final = "whatever a power loss leaves, recovery finds all that was acknowledged, and nothing else"


def workload_of(seed: int) -> Workload:
    """The workload that a seed stands for; behind the last one they begin anew."""
    workloads = [*special(), *exhaustive()]
    return workloads[seed % len(workloads)]


class CrashPoints(World):
    """A world that, when its life is over, is cut everywhere. `result`: what came out of it."""

    def __init__(self, workload: Workload, choices: Choices, trace: Trace, truth: Truth, options: Options) -> None:
        super().__init__(scenario_of(workload), choices, trace, truth)
        self.result = Result(options["depth"])
        self._options = options
        self._life: Life = furnished(self, workload, choices.seed)

    def finish(self) -> Outcome:
        """The end of the first life, and the judgement of all others."""
        outcome = super().finish()
        chosen = self._options
        for depth in DEPTHS if chosen["depth"] == ALL else (chosen["depth"],):
            options: dict[str, Any] = {name: chosen[name] for name in ("max_subset", "torn", "every", "nested_every")}
            self.result.add(search_in(self._life, depth, **options))
        for name in self.result.markers:
            self.mark(name)
        violations = [*outcome.violations, *(_violation(found, self.env.now) for found in self.result.found)]
        fields = {name: getattr(outcome, name) for name in outcome.__struct_fields__}
        return Outcome(**{**fields, "violations": tuple(violations), "markers": tuple(sorted(self.markers))})

    def image_figures(self) -> dict[str, float]:
        """What was looked at."""
        result = self.result
        return {"boundaries": result.boundaries, "images": result.images, "nested_images": result.nested_images}


def _violation(found: Found, at: int) -> Violation:
    return Violation(found.rule, SENTENCE, at, f"{found.what}; {found.where}")


def build(choices: Choices, trace: Trace, truth: Truth, options: Options) -> Setting:
    if options["depth"] not in (*DEPTHS, ALL):
        raise OptionError(f"crash_points: depth is one of {', '.join((*DEPTHS, ALL))}, not {options['depth']!r}")
    if truth.facts is None:
        truth.facts = []  # the past of every life that goes on
    workload = workload_of(choices.seed)
    world = CrashPoints(workload, choices, trace, truth, options)
    return Setting(world, world.image_figures, [f"workload: {workload.name}"])


STUDY: Final = Study(
    name="crash_points",
    question="Does a power loss at any operation of the disk, whatever of the unsynced survives, ever cost acknowledged mail?",
    build=build,
    options={"depth": ALL, "max_subset": 4, "torn": False, "every": 10, "nested_every": 20},
    markers=MARKERS,
)
