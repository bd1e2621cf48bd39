"""`smx-sim ablations`: switches the safeguards of the product off, one after the other, and tells which checker objected and how soon.

A mutation is caught when a checker objects with it and everything is silent on the same seeds without it. Statuses: 0 all were caught; 1 some were not.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sim.cli.common import JobsOption, JsonOption, UsageError, new_app, print_json, table

if TYPE_CHECKING:
    from sim.mutations import Result

app = new_app("Switch each safeguard off, and see which checker objects.")

SeedsOption = Annotated[int, typer.Option("--seeds", metavar="N", help="Give up on a mutation after so many seeds.", min=1)]


@app.command()
def ablations(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these mutations.")] = None,
    seeds: SeedsOption = 10,
    jobs: JobsOption = 1,
    full: Annotated[bool, typer.Option("--full", help="Say what each mutation does, and where.")] = False,
    json: JsonOption = False,
) -> None:
    """Switch each safeguard off, and see which checker objects."""
    from sim.mutations import REGISTRY, evaluate_all

    unknown = [name for name in names or () if name not in REGISTRY]
    if unknown:
        raise UsageError(f"there is no mutation {unknown[0]!r}; `smx-sim ablations` without a name shows all {len(REGISTRY)}")
    console = Console(stderr=True, highlight=False, markup=False)

    def progress(result: "Result", done: int, total: int) -> None:
        if console.is_terminal:
            console.print(f"{done}/{total} {result.name}: {result.checker or 'not caught'}")

    results = evaluate_all(names or None, jobs=jobs or -1, seeds=seeds, progress=progress)
    missed = [result.name for result in results if not result.caught]
    if json:
        print_json([result.row(full=full) for result in results])
    else:
        show(results, full=full)
        print(f"\n{len(results) - len(missed)} of {len(results)} mutations are caught" + (f"; not caught: {', '.join(missed)}" if missed else ""))
    if missed:
        sys.stdout.flush()
        raise typer.Exit(1)


def show(results: "Sequence[Result]", *, full: bool) -> None:
    """The table."""
    headers = ["mutation", "checker", "expected", "caught", "seeds", "breaks"]
    rows = [[one.name, one.checker or "-", one.expected, "yes" if one.caught else "NO", one.seeds, " ".join(one.breaks)] for one in results]
    if full:
        headers += ["where", "what"]
        rows = [[*row, one.where, one.what] for row, one in zip(rows, results, strict=True)]
    table(headers, rows)
