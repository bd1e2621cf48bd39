"""`smx-sim list`: the studies with their questions, options and markers; the checkers; the faults and strikes."""

import inspect
import textwrap
from typing import Annotated, Any, Final

import typer

from sim import studies as known
from sim.checkers import SENTENCES
from sim.cli.common import JsonOption, new_app, print_json, table
from sim.scenario import Strike

WIDTH: Final = 120

app = new_app("Show the studies, the checkers and the faults that there are.")


@app.command()
def show(
    studies: Annotated[bool, typer.Option("--studies", help="Only the studies.")] = False,
    checkers: Annotated[bool, typer.Option("--checkers", help="Only the checkers.")] = False,
    faults: Annotated[bool, typer.Option("--faults", help="Only the strikes: the faults that a scenario can order.")] = False,
    json: JsonOption = False,
) -> None:
    """Show the studies, the checkers and the faults that there are."""
    every = not (studies or checkers or faults)
    if json:
        parts: dict[str, Any] = {"studies": studies_table(), "checkers": SENTENCES, "strikes": strikes_table()}
        print_json({name: part for (name, part), on in zip(parts.items(), (studies, checkers, faults), strict=True) if on or every})
        return
    if studies or every:
        show_studies()
    if checkers or every:
        table(("checker", "invariant"), list(SENTENCES.items()), title="\nCheckers")
    if faults or every:
        table(("strike", "target", "amount"), strikes_table(), title="\nStrikes: faults at an exact place or time")


def studies_table() -> list[dict[str, Any]]:
    """One object a study."""
    return [{"name": study.name, "question": study.question, "options": study.options, "markers": study.markers} for study in map(known.find, known.NAMES)]


def show_studies() -> None:
    """In words."""
    print("Studies")
    for study in map(known.find, known.NAMES):
        print(f"\n{study.name}\n  {study.question}")
        for name, default in study.options.items():
            print(f"  --option {name}={default}")
        if study.markers:
            print(textwrap.fill(f"markers: {', '.join(study.markers)}", WIDTH, initial_indent="  ", subsequent_indent="    "))


def strikes_table() -> list[tuple[str, str, str]]:
    """(kind, target, amount): the table that stands in the docstring of Strike, which is where it is kept."""
    lines = inspect.getdoc(Strike) or ""
    rows = lines[lines.index("kind  ") :].splitlines()
    target, amount = rows[0].index("target"), rows[0].index("amount")
    return [(row[:target].strip(), row[target:amount].strip(), row[amount:].strip()) for row in rows[1:]]
