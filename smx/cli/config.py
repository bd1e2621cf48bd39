"""`smx config show` and `smx config explain`: what is in force, where it comes from, what it means (BX19)."""

from typing import Annotated

import typer

from smx.cli.common import ConfigOption, JsonOption, checked_config, fail, new_app, print_json
from smx.cli.main import EX_USAGE
from smx.config.check import suggest
from smx.config.manual import markdown
from smx.config.option import Option, default_of
from smx.config.problems import ConfigError
from smx.config.schema import OPTIONS, SECTIONS, Settings, SmtpsSettings
from smx.config.show import explain, show_text, to_json

app = new_app("Show the configuration in force, explain an option.", group=True)

_STRUCT = {section.path: section.struct for section in SECTIONS}


@app.command("show")
def show(
    config: ConfigOption = None,
    json: JsonOption = False,
    origin: Annotated[bool, typer.Option("--origin", help="Tell where each value comes from: file:line, default, or what it follows from.")] = False,
    defaults: Annotated[bool, typer.Option("--defaults", help="Show the defaults, without any file.")] = False,
) -> None:
    """Show every option with the value in force."""
    if defaults:
        settings, places = Settings(smtps=(SmtpsSettings(),), order=("smtps.mx", "qmgr", "smtpc", "lda", "smar")), {}
    else:
        _, checked = checked_config(config)
        if not checked.usable:
            raise ConfigError(checked.problems)
        settings, places = checked.settings, checked.places
    if json:
        print_json(to_json(settings, places if origin else None))
    else:
        print(show_text(settings, places if origin else None), end="")


@app.command("explain")
def explain_option(
    name: Annotated[str, typer.Argument(help="An option: qmgr.retry.min, or just min; or a section.")] = "",
    json: JsonOption = False,
    every: Annotated[bool, typer.Option("--all", help="Every option there is.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="The manual, with --all: docs/configuration.md.")] = False,
) -> None:
    """Tell what an option means, what it takes, and its default."""
    if bool(name) == every or (as_markdown and (json or not every)):
        raise fail("smx config explain: give the name of an option, or --all; --markdown goes with --all", EX_USAGE)
    if as_markdown:
        print(markdown(), end="")
        return
    found = list(OPTIONS) if every else find_options(name.lower())
    if not found:
        hint = suggest(name.lower(), [option.path for option in OPTIONS] + [option.name for option in OPTIONS])
        raise fail(f'there is no option "{name}"{hint}', EX_USAGE)
    rows = [explain(option, default_of(_STRUCT[option.section], option.field)) for option in found]
    if json:
        print_json(rows)
        return
    print("\n\n".join("\n".join(f"{label:<8} {text}" for label, text in row.items()) for row in rows))


def find_options(name: str) -> list[Option]:
    """By full path; else all options of that name; else all options of a section of that path, or of that name."""
    by_path = [option for option in OPTIONS if option.path == name]
    by_name = [option for option in OPTIONS if option.name == name]
    by_section = [option for option in OPTIONS if option.section == name]
    return by_path or by_name or by_section or [option for option in OPTIONS if option.section.endswith(f".{name}")]
