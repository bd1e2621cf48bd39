"""Failure: what a run that failed tells: what broke, the one command that repeats it, and the last events that have to do with it."""

from typing import Final

import msgspec

from sim.choices import Choices, Tape
from sim.chronicle import Chronicle, Moment, Record, again
from sim.chunks import RUNAWAY, RunawayError, limited
from sim.concern import Concern, Links
from sim.facts import Fact, Noted
from sim.lines import effect_line, event_line, payload_line
from sim.observer import Violation
from sim.story import story
from sim.studies import Run, Study
from sim.studies.study import UNFINISHED, Options
from sim.trace import Trace
from sim.truth import Truth
from smx import notes
from smx.effects import Effect, Note

EVENTS_SHOWN: Final = 20
VIOLATIONS_SHOWN: Final = 5
WIDTH: Final = 200
UNFINISHED_ID: Final = "UNFINISHED"


def command_of(study: Study, seed: int, options: Options) -> str:
    """The one line that repeats a run."""
    words = [f"--option {name}={_text(value)}" for name, value in options.items() if study.options.get(name) != value]
    return " ".join(["smx-sim run", study.name, f"--seed {seed}", *words])


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def broken_ids(run: Run) -> list[str]:
    """The ids of what is broken, the first one first, none twice."""
    ids = dict.fromkeys(violation.invariant for violation in run.outcome.violations)
    return list(ids) or ([] if run.outcome.finished else [UNFINISHED_ID])


def explain(run: Run, command: str) -> list[str]:
    """Lines for people. The run is repeated to learn its events."""
    told = again(run)
    started_at = run.trace.started_at
    lines = []
    for violation in run.outcome.violations[:VIOLATIONS_SHOWN]:
        lines += [
            f"{violation.invariant} is broken at {(violation.at - started_at) / 1e6:.6f} s: {violation.what}",
            f"  {violation.invariant}: {violation.sentence}",
        ]
    if len(run.outcome.violations) > VIOLATIONS_SHOWN:
        lines.append(f"and {len(run.outcome.violations) - VIOLATIONS_SHOWN} more")
    if not run.outcome.finished:
        lines.append(UNFINISHED)
    for bug in run.outcome.bugs:
        lines += bug.rstrip().splitlines()
    lines += ["repeat it:", f"  {command}", f"the last {EVENTS_SHOWN} events that have to do with it:"]
    return lines + [f"  {line}" for line in last_events(told, first_violation(run))]


def runaway(study: Study, seed: int, options: Options, tape: Tape | None, seconds: float, command: str) -> list[str]:
    """Lines about a run that makes no end: where it is after so many CPU seconds, and what happens there."""
    choices = Choices(seed) if tape is None else Choices.replay(tape)
    trace = Trace(ring=EVENTS_SHOWN)
    setting = study.build(choices, trace, Truth(()), study.checked(options if tape is None else tape.options))
    try:
        with limited(seconds):
            setting.world.run()
    except RunawayError:
        pass
    at = (setting.world.env.now - trace.started_at) / 1e6
    lines = [f"{RUNAWAY}: no end after {seconds:g} CPU seconds: it is at {at:.6f} s, with {trace.events:,} events", "repeat it:", f"  {command}"]
    return [*lines, "the last events:", *(f"  {line[:WIDTH]}" for line in trace.lines(EVENTS_SHOWN))]


def first_violation(run: Run) -> Violation | None:
    return run.outcome.violations[0] if run.outcome.violations else None


def concerning(told: Chronicle, violation: Violation | None) -> tuple[list[Moment], Links]:
    """The moments that have to do with a violation, up to it; all when there is none."""
    links = Links(told.moments)
    if violation is None:
        return told.moments, links
    until = violation.at - told.run.trace.started_at
    return [moment for moment in Concern.of(violation, links).relevant(told.moments) if moment.at <= until], links


def last_events(told: Chronicle, violation: Violation | None, count: int = EVENTS_SHOWN) -> list[str]:
    """Of the moments that have to do with the violation, the last ones, as lines of a trace."""
    return [line_of(moment) for moment in concerning(told, violation)[0][-count:]]


def story_of(told: Chronicle, violation: Violation | None) -> list[str]:
    """The same in words, from the beginning."""
    moments, links = concerning(told, violation)
    return story(moments, told.moments, links)


def line_of(moment: Moment) -> str:
    """In the form of sim.trace; `=` marks a fact."""
    what = moment.what
    if isinstance(what, Noted):
        text = f"= {effect_line(Note(what.name, what.values))}" if what.name in notes.NOTES else f"= {what.name} {payload_line(what.values)}"
    elif isinstance(what, Fact):
        fields = [f"{name}={value!r}" for name in what.__struct_fields__ if name != "at" and (value := getattr(what, name)) not in ("", 0, ())]
        text = f"= {type(what).__name__}({', '.join(fields)})"
    elif isinstance(what, Record):
        text = f"* {what.kind} {payload_line(what.payload)}"
    elif isinstance(what, Effect):
        text = f"  < {effect_line(what)}"  # type: ignore[arg-type]
    else:
        text = f"> {event_line(what)}"
    line = f"{moment.at / 1e6:13.6f} {moment.lane:<12} {text}".rstrip()
    return line if len(line) <= WIDTH else f"{line[:WIDTH]}..."
