"""Mutations under pressure: admission, overload (A8, A10, L5)."""

from typing import Any

from sim.mutations.mutation import mutation


@mutation("admission-stays-shut", "L5 A8", "smx.qmgr.admission:_closed_by", scene="overload", checker="L5")
def _admission_stays_shut(original: Any) -> Any:
    """Once mail had to be refused, it is refused for ever."""

    def closed_by(limits: Any, measures: Any, earlier: Any) -> Any:
        return earlier or original(limits, measures, earlier)

    return closed_by
