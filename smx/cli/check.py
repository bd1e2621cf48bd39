"""`smx check`: everything that is wrong with the configuration (SX64) and the spool (SX69). Status 0, 77 for the spool, 78 for the configuration."""

import sys

import typer

from smx.cli.common import ConfigOption, JsonOption, checked_config, new_app, print_json
from smx.cli.main import EX_CONFIG, EX_NOPERM
from smx.config.check import Checked
from smx.config.problems import ConfigError
from smx.config.spool import SpoolProblem, inspect

app = new_app("Tell everything that is wrong with the configuration and the spool.")


@app.command()
def check(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Tell everything that is wrong with the configuration and the spool."""
    try:
        path, checked = checked_config(config)
    except ConfigError as error:
        if not json:
            raise
        print_json({"usable": False, "problems": [problem.to_builtins() for problem in error.problems], "spool": []})
        raise typer.Exit(EX_CONFIG) from None
    spool = inspect(checked.settings) if checked.usable else []
    if json:
        _print_json(path, checked, spool)
    else:
        _print_text(path, checked, spool)
    if not checked.usable:
        raise typer.Exit(EX_CONFIG)
    if spool:
        raise typer.Exit(EX_NOPERM)


def _print_json(path: str, checked: Checked, spool: list[SpoolProblem]) -> None:
    print_json(
        {
            "config": path,
            "usable": checked.usable,
            "problems": [problem.to_builtins() for problem in checked.problems],
            "spool": [{"path": problem.path, "message": problem.message, "remedy": problem.remedy} for problem in spool],
        }
    )


def _print_text(path: str, checked: Checked, spool: list[SpoolProblem]) -> None:
    for problem in checked.problems:
        print(problem.render(), file=sys.stderr)
    for found in spool:
        print(f"spool: {found.render()}", file=sys.stderr)
    errors = sum(not problem.warning for problem in checked.problems)
    if errors:
        print(f"{path}: {errors} error{'s' if errors > 1 else ''}", file=sys.stderr)
    elif not spool:
        print(f"{path}: good; processes: {', '.join(checked.settings.order)}")
