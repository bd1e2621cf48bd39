"""`smx-sim replay FILE`: the run of a tape: one that `run --save` wrote, that `shrink` made smaller, or that somebody edited.

A tape that is too short goes on with calm choices; a number that is too large counts as the largest. Statuses as of run.
"""

from pathlib import Path
from typing import Annotated

import typer

from sim.choices import Tape, TapeError
from sim.chunks import LIMIT_S
from sim.cli.common import HtmlOption, JsonOption, LimitOption, new_app
from sim.cli.run import finish, guarded
from sim.studies import find

app = new_app("Run what a tape says.")

TapeArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A tape.")]


@app.command()
def replay(
    file: TapeArgument,
    trace: Annotated[bool, typer.Option("--trace", help="Print every event, effect, disk operation and fault.")] = False,
    json: JsonOption = False,
    html: HtmlOption = None,
    limit: LimitOption = LIMIT_S,
) -> None:
    """Run what a tape says."""
    tape = Tape.load(file)
    if not tape.study:
        raise TapeError(f"{file} does not say of which study it is a tape")
    done = guarded(find(tape.study), tape.seed, tape.options, tape, limit, f"smx-sim replay {file}", keep=trace, json=json)
    finish(done, trace=trace, json=json, html=html, from_tape=str(file))
