"""`smx-sim images`: crash images of one workload, or a campaign of millions, resumable with --state.

    smx-sim images --list                                    the workloads
    smx-sim images "failed, deferred" --depth queue          every image of one workload
    smx-sim images --count 10000000 --jobs 0 --state FILE    the exhaustive part, then random histories of the log until there are so many

Statuses: 0 nothing broke; 1 something did; 2 wrong options or a state file of another campaign; 130 interrupted.
"""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from sim.campaign import StateError
from sim.cli.common import JobsOption, JsonOption, SeedOption, UsageError, new_app, print_json, table
from sim.cli.main import EX_INTERRUPTED
from sim.images import DEPTHS, Campaign, Result, campaign, exhaustive, find, search, special
from sim.images.campaign import Line

EVERY_S = 15.0
FOUND_SHOWN = 20

app = new_app("Recover crash images: of one workload, or by the million.")


@app.command()
def images(
    workload: Annotated[str, typer.Argument(metavar="[WORKLOAD]", help="A workload; --list shows them. Without one: a campaign.")] = "",
    listing: Annotated[bool, typer.Option("--list", help="Show the workloads.")] = False,
    depth: Annotated[str, typer.Option("--depth", metavar="DEPTH", help="Of a workload: log, queue or full.")] = "queue",
    torn: Annotated[bool, typer.Option("--torn", help="Of a workload: also with the last write cut short.")] = False,
    nested: Annotated[int, typer.Option("--nested", metavar="N", help="Of a workload: cut the recovery of each N-th image as well; 0: of none.")] = 0,
    seed: SeedOption = 0,
    count: Annotated[int, typer.Option("--count", metavar="N", help="Of a campaign: so many different images.")] = 100_000,
    messages: Annotated[int, typer.Option("--messages", metavar="N", help="Of a campaign: workloads of up to so many messages.", min=0, max=3)] = 3,
    jobs: JobsOption = 1,
    state: Annotated[Path | None, typer.Option("--state", metavar="FILE", help="Of a campaign: remember there what was done, and go on from it.")] = None,
    minutes: Annotated[float, typer.Option("--minutes", metavar="M", help="Of a campaign: stop after so long; go on later with --state.")] = 0.0,
    json: JsonOption = False,
) -> None:
    """Recover crash images: of one workload, or by the million."""
    if listing:
        for one in (*special(), *exhaustive()):
            print(one.name)
        return
    if workload:
        broken = show(run_workload(workload, depth, torn=torn, nested=nested, seed=seed), json=json)
    else:
        broken = run_campaign(count, jobs, state, messages, minutes, json=json)
    if broken:
        raise typer.Exit(1)


def run_workload(name: str, depth: str, *, torn: bool, nested: int, seed: int) -> Result:
    """All images of one workload. Raises UsageError."""
    if depth not in DEPTHS:
        raise UsageError(f"--depth {depth}: it is one of {', '.join(DEPTHS)}")
    try:
        found = find(name)
    except KeyError:
        raise UsageError(f"there is no workload {name!r}; --list shows them") from None
    return search(found, depth, torn=torn, nested_every=nested, seed=seed)


def show(result: Result, *, json: bool) -> bool:
    """Whether anything broke."""
    if json:
        print_json(result)
    else:
        print(f"depth {result.depth}: {result.boundaries:,} boundaries, {result.images:,} images, {result.nested_images:,} inside recoveries")
        print(f"markers: {', '.join(sorted(result.markers)) or 'none'}")
        for found in result.found[:FOUND_SHOWN]:
            print(found.render())
        print(f"{len(result.found)} broken")
    return bool(result.found)


def run_campaign(count: int, jobs: int, state: Path | None, messages: int, minutes: float, *, json: bool) -> bool:
    """Until there are enough images, or the time is up. Raises UsageError."""
    begun = said = time.monotonic()

    def progress(done: Campaign, line: Line) -> bool:
        nonlocal said
        now = time.monotonic()
        for text in line.found[:3]:
            print(text, file=sys.stderr)
        if now - said > EVERY_S:
            said = now
            print(f"{done.images:,} of {count:,} images, {len(done.found())} broken", file=sys.stderr)
        return not minutes or now - begun < minutes * 60

    try:
        done = campaign(count, jobs, state, messages_max=messages, progress=progress)
    except StateError as error:
        raise UsageError(str(error)) from error
    except KeyboardInterrupt:
        print("interrupted" + ("; --state goes on from here" if state else ""), file=sys.stderr)
        raise typer.Exit(EX_INTERRUPTED) from None
    return show_campaign(done, json=json)


def show_campaign(done: Campaign, *, json: bool) -> bool:
    """Whether anything broke."""
    found = done.found()
    cpu = sum(line.cpu_s for line in done.lines)
    if json:
        print_json({"images": done.images, "depths": done.by_depth(), "markers": done.markers(), "commits": done.commits(), "cpu_s": cpu, "found": found})
        return bool(found)
    table(("depth", "images"), [*done.by_depth().items(), ("together", done.images)])
    table(("marker", "times"), list(done.markers().items()))
    table(("commit", "images"), list(done.commits().items()))
    for text in found[:FOUND_SHOWN]:
        print(text)
    print(f"{len(found)} broken, {cpu:,.0f} CPU seconds")
    return bool(found)
