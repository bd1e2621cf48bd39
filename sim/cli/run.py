"""`smx-sim run STUDY --seed N`: one run of a study; with --trace everything that happened, one line each.

Statuses: 0 every invariant held and the run came to rest; 1 something is broken; 2 the study or an option is unknown.
"""

from pathlib import Path
from typing import Annotated, Final

import typer

from sim.choices import Tape
from sim.chunks import LIMIT_S, RUNAWAY, RunawayError, limited
from sim.cli.common import HtmlOption, JsonOption, LimitOption, OptionOption, SeedOption, StudyArgument, UsageError, new_app, options_of, print_json, write_text
from sim.cli.show import report, show
from sim.failure import command_of, runaway
from sim.studies import Run, Study, find
from sim.studies import run as run_study
from sim.studies.study import Options

LOOK_S: Final = 5.0  # how long to look at a run that makes no end

app = new_app("Run a study with one seed.")


@app.command()
def run(
    study: StudyArgument,
    seed: SeedOption = 0,
    option: OptionOption = None,
    trace: Annotated[bool, typer.Option("--trace", help="Print every event, effect, disk operation and fault.")] = False,
    save: Annotated[Path | None, typer.Option("--save", metavar="TAPE", help="Write what was drawn, for replay and shrink.")] = None,
    json: JsonOption = False,
    html: HtmlOption = None,
    limit: LimitOption = LIMIT_S,
) -> None:
    """Run a study with one seed."""
    chosen = find(study)
    options = options_of(chosen, option)
    done = guarded(chosen, seed, options, None, limit, command_of(chosen, seed, options), keep=trace, json=json)
    if save is not None:
        save_tape(done, save)
    finish(done, trace=trace, json=json, html=html)


def guarded(study: Study, seed: int, options: Options, tape: Tape | None, limit: float, command: str, *, keep: bool = False, json: bool = False) -> Run:
    """A run that must end. When it does not: tells where it stands, and raises typer.Exit."""
    try:
        with limited(limit):
            return run_study(study, seed, options, tape=tape, keep=keep)
    except RunawayError:
        lines = runaway(study, seed, options, tape, min(limit, LOOK_S), command)
    if json:
        violation = {"invariant": RUNAWAY, "sentence": "every run comes to its end", "what": lines[0], "at_us": 0, "facts": []}
        print_json({"study": study.name, "seed": seed, "digest": "", "events": 0, "violations": [violation], "figures": {}, "finished": False, "trace": lines})
    else:
        print("\n".join(lines))
    raise typer.Exit(1)


def save_tape(done: Run, path: Path) -> None:
    """Raises UsageError."""
    try:
        done.tape.save(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def finish(done: Run, *, trace: bool, json: bool, html: Path | None, from_tape: str = "") -> None:
    """What run and replay have in common: print, write, and give the status."""
    if html is not None:
        from sim.report import page

        write_text(html, page(done))
    if json:
        print_json({**report(done), **({"trace": done.trace.lines()} if trace else {})})
    else:
        if trace:
            print(done.trace.legend, *done.trace.lines(), sep="\n", end="\n\n")
        show(done, from_tape=from_tape)
    if done.failed:
        raise typer.Exit(1)
