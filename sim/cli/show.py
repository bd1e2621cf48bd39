"""What came out of a run, as text and as JSON."""

from typing import Any

import msgspec

from sim.failure import command_of, explain
from sim.observer import Violation
from sim.studies import Run


def report(run: Run) -> dict[str, Any]:
    """The object that --json prints."""
    outcome = run.outcome
    return {
        "study": run.study.name,
        "seed": run.seed,
        "options": run.tape.options,
        "digest": outcome.digest,
        "events": outcome.events,
        "violations": [_violation(violation, run.trace.started_at) for violation in outcome.violations],
        "figures": outcome.figures,
        "markers": outcome.markers,
        "finished": outcome.finished,
        "ended_at_us": outcome.ended_at_us,
        "story": run.story,
        "bugs": outcome.bugs,
    }


def _violation(violation: Violation, started_at: int) -> dict[str, Any]:
    facts = [{"kind": type(fact).__name__, **_plain(fact)} for fact in violation.facts]
    return {"invariant": violation.invariant, "sentence": violation.sentence, "what": violation.what, "at_us": violation.at - started_at, "facts": facts}


def _plain(value: Any) -> Any:
    """Octets become text, as in a log line."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    return value


def show(run: Run, *, from_tape: str = "") -> None:
    """For people."""
    outcome = run.outcome
    print(f"{run.study.name}, {f'tape {from_tape}' if from_tape else f'seed {run.seed}'}")
    for line in run.story:
        print(f"  {line}")
    print(f"digest   {outcome.digest}")
    print(f"events   {outcome.events:,} in {outcome.ended_at_us / 1e6:,.3f} simulated seconds")
    width = max(map(len, outcome.figures), default=0)
    print("figures  " + "\n         ".join(f"{name:<{width}}  {value:,.10g}" for name, value in outcome.figures.items()))
    print(f"markers  {', '.join(outcome.markers) or 'none'}")
    if not run.failed:
        print("no invariant is broken")
        return
    command = f"smx-sim replay {from_tape}" if from_tape else command_of(run.study, run.seed, run.tape.options)
    print("\n" + "\n".join(explain(run, command)))
