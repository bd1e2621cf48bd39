"""`smx-sim ablate MODULE:PATCH`: a mutation of your own: does any checker see the difference?

    smx-sim ablate 'smx.qmgr.ibdb:Ibdb._sync=lambda self, out: None'    an expression; `original` is what it replaces
    smx-sim ablate smx.qmgr.ibdb:Ibdb._sync@mine.py                     mine.py defines patch(original) -> replacement
    smx-sim ablate mine.py                                              mine.py defines patch() -> a context manager

Statuses: 0 a checker objected, and was silent without the mutation; 1 nobody noticed; 2 the patch does not fit.
"""

from typing import Annotated

import typer

from sim.cli.ablations import SeedsOption
from sim.cli.common import JsonOption, UsageError, new_app, print_json

app = new_app("Try a mutation of your own.")


@app.command()
def ablate(
    patch: Annotated[str, typer.Argument(metavar="MODULE:PATCH", help="MODULE:ATTRIBUTE=EXPRESSION, MODULE:ATTRIBUTE@FILE.py or FILE.py.")],
    seeds: SeedsOption = 10,
    scene: Annotated[list[str] | None, typer.Option("--scene", metavar="NAME", help="Only in this scene; may be repeated.")] = None,
    json: JsonOption = False,
) -> None:
    """Try a mutation of your own."""
    from sim.mutations import SCENES, PatchError
    from sim.mutations import ablate as evaluate

    unknown = [name for name in scene or () if name not in SCENES]
    if unknown:
        raise UsageError(f"there is no scene {unknown[0]!r}; there are {', '.join(SCENES)}")
    try:
        result = evaluate(patch, seeds=seeds, scenes=scene or None)
    except PatchError as error:
        raise UsageError(str(error)) from error
    if json:
        print_json(result.row(full=True))
    elif result.caught:
        print(f"caught by {result.checker} after {result.seeds} {'seed' if result.seeds == 1 else 'seeds'}: {result.violation}")
    elif not result.silent:
        print(f"{result.checker} objects, but it does so without the mutation as well: {result.violation}")
    else:
        print(f"nobody noticed in {result.seeds} seeds of each scene")
    if not result.caught:
        raise typer.Exit(1)
