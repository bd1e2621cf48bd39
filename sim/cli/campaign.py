"""`smx-sim campaign STUDY --seeds A..B`: many seeds, on many cores or machines, resumable with --state.

Each failure is told at once, with the one line that repeats it. At the end: counts, the digest of all digests (of the same seeds it is always the
same, however they were cut and ordered), and the markers: rare states that somebody must have reached, or the campaign proves less than it says.

Statuses: 0 nothing broke; 1 something did; 2 wrong options or a state file of another campaign; 130 interrupted.
"""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sim.campaign import CHUNK_SEEDS, Head, Plan, State, StateError, carry_out
from sim.chunks import CRASHED, LIMIT_S, Chunk, Failure, Result
from sim.cli.common import JobsOption, JsonOption, OptionOption, StudyArgument, UsageError, new_app, options_of, print_json, seeds_of, table
from sim.cli.main import EX_INTERRUPTED
from sim.failure import command_of
from sim.studies import Study, find

PLAIN_EVERY_S = 30.0
FAILURES_LISTED = 50

app = new_app("Run a study with many seeds.")


@app.command()
def campaign(
    study: StudyArgument,
    seeds: Annotated[str, typer.Option("--seeds", metavar="A..B", help="From seed A to seed B, both included.")] = "1..100",
    option: OptionOption = None,
    jobs: JobsOption = 1,
    dask: Annotated[str, typer.Option("--dask", metavar="ADDRESS", help="Run on the Dask cluster whose scheduler is there.")] = "",
    state: Annotated[Path | None, typer.Option("--state", metavar="FILE", help="Remember there what was done, and go on from it.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Run each seed twice, under two hash seeds, and compare the digests.")] = False,
    minutes: Annotated[float, typer.Option("--minutes", metavar="M", help="Stop after so long; go on later with --state.")] = 0.0,
    limit: Annotated[float, typer.Option("--limit", metavar="S", help="CPU seconds after which a seed counts as failed; 0: none.", min=0)] = LIMIT_S,
    chunk: Annotated[int, typer.Option("--chunk", metavar="N", help="Seeds in a piece of work.", min=1)] = CHUNK_SEEDS,
    json: JsonOption = False,
) -> None:
    """Run a study with many seeds."""
    chosen = find(study)
    first, last = seeds_of(seeds)
    options = options_of(chosen, option)
    plan = Plan(study=study, first=first, last=last, options=options, jobs=jobs, dask=dask, chunk=chunk, limit_s=limit, verify=verify)
    try:
        done = State(state, Head(study=study, options=plan.options))
        run(plan, done, minutes)
    except StateError as error:
        raise UsageError(str(error)) from error
    except KeyboardInterrupt:
        print("interrupted" + ("; --state goes on from here" if state else ""), file=sys.stderr)
        finish(chosen, plan, done, json=json)
        raise typer.Exit(EX_INTERRUPTED) from None
    if finish(chosen, plan, done, json=json):
        raise typer.Exit(1)


def run(plan: Plan, state: State, minutes: float) -> None:
    """With a bar that moves, or a line now and then where nobody looks. Both go to standard error, so that --json stays clean."""
    begun = time.monotonic()
    already = plan.last + 1 - plan.first - sum(last + 1 - first for first, last in state.missing(plan.first, plan.last))
    with Watch(plan, already) as watch:

        def on_result(chunk: Chunk, result: Result) -> bool:
            watch.advance(chunk, result)
            return not minutes or time.monotonic() - begun < minutes * 60

        carry_out(plan, state, on_result)


class Watch:
    """Tells how far the campaign is, and each failure at once."""

    def __init__(self, plan: Plan, already: int) -> None:
        self._plan = plan
        self._study = find(plan.study)
        self._done = already
        self._run = 0
        self._failed = 0
        self._begun = self._told = time.monotonic()
        self._console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:.1f} a second"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failed]} failed"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(plan.study, total=plan.last + 1 - plan.first, completed=already, rate=0.0, failed=0)

    def __enter__(self) -> "Watch":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self, chunk: Chunk, result: Result) -> None:
        self._done += chunk.count
        self._run += chunk.count
        self._failed += len(result.failures)
        for failure in result.failures:
            self._console.print(f"{command_of(self._study, failure.seed, self._plan.options)}   # {what_broke(failure)}")
        now = time.monotonic()
        rate = self._run / max(now - self._begun, 1e-9)
        self._bar.update(self._task, completed=self._done, rate=rate, failed=self._failed)
        if self._bar.disable and now - self._told > PLAIN_EVERY_S:
            self._told = now
            left = (self._plan.last + 1 - self._plan.first - self._done) / rate
            self._console.print(f"{self._done:,} seeds, {rate:.1f} a second, {self._failed} failed, {left / 60:.0f} minutes left")


def what_broke(failure: Failure) -> str:
    text = failure.text.strip().rpartition("\n")[2] if failure.ids == (CRASHED,) else failure.text
    return f"{' '.join(failure.ids)}: {text}"


def finish(study: Study, plan: Plan, state: State, *, json: bool) -> int:
    """Print what came out; gives the number of failures."""
    total = state.total(plan.first, plan.last)
    never = [marker for marker in study.markers if marker not in total.markers]
    if json:
        print_json(report(plan, state, total, never))
    else:
        show(plan, state, total, never)
    return len(total.failures)


def report(plan: Plan, state: State, total: Result, never: list[str]) -> dict[str, Any]:
    """The object that --json prints."""
    failures = [
        {"seed": failure.seed, "invariants": failure.ids, "what": failure.text, "repeat": command_of(find(plan.study), failure.seed, plan.options)}
        for failure in total.failures
    ]
    return {
        "study": plan.study,
        "options": plan.options,
        "first": plan.first,
        "last": plan.last,
        "seeds": total.seeds,
        "events": total.events,
        "digest": total.digest,
        "simulated_s": total.simulated_us / 1e6,
        "cpu_s": round(total.cpu_s, 3),
        "verified": plan.verify,
        "failures": failures,
        "markers": total.markers,
        "never_reached": never,
        "figures": total.figures,
        "commits": state.commits(),
    }


def show(plan: Plan, state: State, total: Result, never: list[str]) -> None:
    """For people."""
    print(f"{plan.study}, seeds {plan.first}..{plan.last}: {total.seeds:,} run, {len(total.failures):,} failed")
    print(f"digest   {total.digest}{', each seed run twice under two hash seeds' if plan.verify else ''}")
    print(f"events   {total.events:,} in {total.simulated_us / 3.6e9:,.2f} simulated hours and {total.cpu_s:,.1f} CPU seconds")
    print(f"commits  {', '.join(f'{commit} ({seeds:,} seeds)' for commit, seeds in state.commits().items()) or 'none'}")
    if total.seeds:
        table(("figure", "total", "mean"), [(name, round(value), value / total.seeds) for name, value in total.figures.items()], title="")
        table(("marker", "seeds"), list(total.markers.items()))
    print("every marker was reached" if not never else f"never reached: {', '.join(never)}")
    for failure in total.failures[:FAILURES_LISTED]:
        print(f"{command_of(find(plan.study), failure.seed, plan.options)}   # {what_broke(failure)}")
    if len(total.failures) > FAILURES_LISTED:
        print(f"and {len(total.failures) - FAILURES_LISTED:,} more; --json lists all")
