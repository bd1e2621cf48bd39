"""`smx init`: writes a commented configuration that passes `smx check`, and makes its spool."""

import os
from typing import Annotated

import typer

from smx.cli.common import fail, new_app, program
from smx.cli.main import EX_CANTCREAT, EX_USAGE
from smx.config.load import load
from smx.config.problems import ConfigError
from smx.config.profiles import CONFIG_NAME, PROFILES, Choices, write
from smx.config.spool import prepare
from smx.config.values import parse_address

app = new_app("Write a commented configuration that works.")


@app.command()
def init(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="Where smx.conf and everything that belongs to it goes.")],
    profile: Annotated[str, typer.Option(help="lab = a whole host to play with; relay = everything to one next hop.")] = "lab",
    if_missing: Annotated[bool, typer.Option("--if-missing", help="Do nothing when DIR has a configuration.")] = False,
    hostname: Annotated[str, typer.Option(help="Name of this host.")] = "",
    next_hop: Annotated[str, typer.Option(metavar="HOP", help='Where mail to others goes: "[host]:port", or "host:port" for its MX.')] = "",
    address: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; lab 2525, relay 25 unless given.", min=0, max=65535)] = 0,
) -> None:
    """Write a commented configuration that works, and make its spool."""
    path = os.path.join(directory, CONFIG_NAME)
    if if_missing and os.path.lexists(path):
        print(f"{path} is there already")
        return
    if profile not in PROFILES:
        raise fail(f"smx init: there is no profile {profile}; there is {' and '.join(PROFILES)}", EX_USAGE)
    try:
        files = PROFILES[profile](Choices(hostname, next_hop, parse_address(address), port))
    except ValueError as error:
        raise fail(f"smx init: {error}", EX_USAGE) from None
    try:
        for written in write(directory, files):
            print(f"wrote {written}")
        prepare(load(path))
    except OSError as error:
        raise fail(f"smx init: {error.filename}: {error.strerror}", EX_CANTCREAT) from None
    except ConfigError as error:
        raise fail(f"{error.render()}\nsmx init: what was chosen does not fit together; correct {path}", EX_USAGE) from None
    print(f"next: {program()} run --config {path}")
