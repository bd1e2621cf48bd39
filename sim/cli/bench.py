"""`smx-sim bench`: how fast the simulator is on one core of this machine: the best of several rounds, by CPU time."""

from typing import Annotated

import typer

from sim.bench import ROUNDS, SECONDS, Figure, measure
from sim.cli.common import JsonOption, new_app, print_json, table

app = new_app("Measure how fast the simulator is.")


@app.command()
def bench(
    rounds: Annotated[int, typer.Option("--rounds", metavar="N", help="The best of so many counts.", min=1)] = ROUNDS,
    seconds: Annotated[float, typer.Option("--seconds", metavar="S", help="About how long a round takes.", min=0.01)] = SECONDS,
    only: Annotated[str, typer.Option("--only", metavar="NAME", help="Only the figures with this in their name.")] = "",
    json: JsonOption = False,
) -> None:
    """Measure how fast the simulator is."""
    done = measure(rounds=rounds, seconds=seconds, only=only)
    if json:
        print_json(done)
        return
    for name, fact in done.machine.items():
        print(f"{name:<10} {fact}")
    table(("figure", "best", "unit", "goal", "rounds"), [row(figure) for figure in done.figures])


def row(figure: Figure) -> tuple[str, float, str, float, str]:
    return figure.name, figure.value, figure.unit, figure.goal, "  ".join(f"{value:,.2f}" for value in figure.rounds)
