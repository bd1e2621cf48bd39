"""`smx-sim shrink FILE`, `smx-sim shrink STUDY --seed N`: makes a failing run small, writes its tape, and tells its story.

What broke first stays the same. The story is a timeline of dialogues and disk in words, with what has to do with the broken message only.
Statuses: 0 it was shrunk as far as it goes; 1 a bound came first (the tape is written all the same); 2 nothing fails there.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sim import studies
from sim.choices import Tape
from sim.chronicle import again
from sim.chunks import LIMIT_S
from sim.cli.common import HtmlOption, JsonOption, OptionOption, SeedOption, UsageError, new_app, options_of, print_json, write_text
from sim.cli.run import guarded, save_tape
from sim.failure import command_of, first_violation, story_of
from sim.shrink import MINUTES, TRIES, Shrinker, Shrunk, trimmed
from sim.studies import Run, find

STORY_LINES = 120

app = new_app("Make a failing run small, and tell its story.")


@app.command()
def shrink(
    file: Annotated[str, typer.Argument(metavar="FILE|STUDY", help="A tape, or a study with --seed.")],
    seed: SeedOption = 0,
    option: OptionOption = None,
    tries: Annotated[int, typer.Option("--tries", metavar="N", help="Run at most so often.", min=1)] = TRIES,
    minutes: Annotated[float, typer.Option("--minutes", metavar="M", help="Stop after so long.")] = MINUTES,
    output: Annotated[Path | None, typer.Option("--output", metavar="TAPE", help="Where the small tape goes; otherwise beside FILE.")] = None,
    whole: Annotated[bool, typer.Option("--whole", help="Tell the whole story, however long.")] = False,
    json: JsonOption = False,
    html: HtmlOption = None,
) -> None:
    """Make a failing run small, and tell its story."""
    failed = failing_run(file, seed, option)
    console = Console(stderr=True, highlight=False, markup=False)

    def progress(tried: int, left: int) -> None:
        if console.is_terminal:
            console.print(f"\r{tried} tries, {left} draws left ", end="")

    shrinker = Shrinker(failed, tries=tries, minutes=minutes, progress=progress)
    shrunk = shrinker.shrink()
    if console.is_terminal:
        console.print()
    path = output or (Path(f"{file}-{seed}.tape") if file in studies.NAMES else Path(file).with_suffix(".small.tape"))
    save_tape(shrunk.run, path)
    if html is not None:
        from sim.report import page

        write_text(html, page(shrunk.run))
    tell(shrunk, shrinker.broken, path, json=json, whole=whole)
    if not shrunk.done:
        sys.stdout.flush()
        raise typer.Exit(1)


def failing_run(file: str, seed: int, option: list[str] | None) -> Run:
    """Raises UsageError when it does not fail."""
    if file in studies.NAMES:
        study = find(file)
        options = options_of(study, option)
        done = guarded(study, seed, options, None, LIMIT_S, command_of(study, seed, options))
    else:
        tape = Tape.load(file)
        done = guarded(find(tape.study), tape.seed, tape.options, tape, LIMIT_S, f"smx-sim replay {file}")
    if not done.failed:
        raise UsageError(f"nothing fails in {file}{f' with seed {seed}' if file in studies.NAMES else ''}: there is nothing to shrink")
    return done


def tell(shrunk: Shrunk, broken: str, path: Path, *, json: bool, whole: bool) -> None:
    """The story, and how small the tape has become."""
    violation = first_violation(shrunk.run)
    lines = story_of(again(shrunk.run), violation)
    options = shrunk.run.tape.options
    if json:
        summary = {"invariant": broken, "before": shrunk.before, "after": shrunk.after, "tries": shrunk.tries, "done": shrunk.done}
        print_json({"study": shrunk.run.study.name, **summary, "options": options, "tape": str(path), "draws": trimmed(shrunk.run.tape).draws, "story": lines})
        return
    print(f"{shrunk.before} draws that are not calm have become {shrunk.after}, in {shrunk.tries} runs{'' if shrunk.done else '; a bound was reached'}")
    print(f"options: {', '.join(f'{name}={value}' for name, value in options.items()) or 'none'}")
    for line in shrunk.run.story:
        print(f"  {line}")
    print("\nthe story:")
    if not whole and len(lines) > STORY_LINES:
        cut = len(lines) - STORY_LINES
        lines = [*lines[: STORY_LINES // 3], f"{'':12}   ... {cut} lines; --whole shows them ...", *lines[-2 * STORY_LINES // 3 :]]
    print("\n".join(lines))
    if violation is not None:
        at = (violation.at - shrunk.run.trace.started_at) / 1e6
        print(f"{at:12.6f} s  {broken + ' IS BROKEN':<14} {violation.what}\n  {broken}: {violation.sentence}")
    print(f"\nrepeat it:\n  smx-sim replay {path}")
