"""`smx run`: the whole MTA until Ctrl-C, as processes under MCP or, with --embedded, in one process.

Status 0 after an orderly stop; 69 (embedded) or 71 a socket cannot be bound, 70 a bug, 73 the spool cannot be made, 75 the spool is in use or a
component ended the run, 77 (embedded) a port needs root, 78 the configuration cannot be used.
"""

import errno
import shlex
import shutil
import sys
import traceback
from typing import Annotated, Final

import typer

from smx import __version__
from smx.cli.common import ConfigOption, fail, load_config, new_app, program
from smx.cli.main import EX_NOPERM
from smx.config.load import find_config
from smx.config.schema import Settings
from smx.mcp.plan import processes

EX_UNAVAILABLE: Final = 69
EX_SOFTWARE: Final = 70
EX_TEMPFAIL: Final = 75
Port = tuple[str, int]

app = new_app("Run the whole MTA until Ctrl-C or SIGTERM.")


@app.command()
def run(
    config: ConfigOption = None,
    embedded: Annotated[bool, typer.Option("--embedded", help="All components in one process: for tests, notebooks, debugging.")] = False,
    record: Annotated[str, typer.Option("--record", metavar="DIR", help="Record every event and effect of each process into DIR, to replay them.")] = "",
) -> None:
    """Run the whole MTA until Ctrl-C or SIGTERM."""
    path = find_config(config)
    settings = load_config(path)
    status = _run_embedded(path, settings, record) if embedded else _run_processes(path, settings, record)
    if status:
        raise typer.Exit(status)
    print(f"smx has stopped in order; what is in the queue waits in {settings.spool}")


def _run_processes(path: str, settings: Settings, record: str) -> int:
    from smx.live import supervisor

    return supervisor.run(settings, record, lambda: _tell(path, settings, "under MCP"))


def _run_embedded(path: str, settings: Settings, record: str) -> int:
    from smx.live.embedded import run_embedded
    from smx.live.host import HaltedError, StopTimedOutError
    from smx.live.queue_lock import QueueHeldError
    from smx.live.spool_lock import SpoolHeldError

    try:
        return run_embedded(settings, record, lambda mta: _tell(path, settings, "in one process"))
    except (SpoolHeldError, QueueHeldError, HaltedError, StopTimedOutError) as error:
        raise fail(f"smx: {error}", EX_TEMPFAIL) from None
    except OSError as error:
        raise fail(f"smx: {_explain(error)}", EX_NOPERM if error.errno == errno.EACCES else EX_UNAVAILABLE) from None
    except Exception:
        traceback.print_exc()
        raise fail("smx: a bug ended the run", EX_SOFTWARE) from None


def _explain(error: OSError) -> str:
    """What is in the way, and what to do."""
    match error.errno:
        case errno.EADDRINUSE:
            return f"{error.filename} is in use by another program: stop that one, or choose another in listen_socket"
        case errno.EACCES:
            return f"no permission for {error.filename}: ports below 1024 and directories of others need root"
    return str(error)


def _tell(path: str, settings: Settings, how: str) -> None:
    """What runs where, and what to try."""
    sys.stdout.write(banner(path, settings, how))
    sys.stdout.flush()


def banner(path: str, settings: Settings, how: str) -> str:
    """The text that `smx run` prints when all is ready."""
    ports = bound(settings)
    lines = [f"smx {__version__} runs {how}: {', '.join(process for process, _, _ in processes(settings))}"]
    lines += [f"  {name:<12} {where}" for name, where in _places(settings, ports)]
    lines += [f"  {'spool':<12} {settings.spool}", f"  {'log':<12} {'standard error' if settings.log.file == '-' else settings.log.file}"]
    lines += ["try", *(f"  {line}" for line in _trials(path, settings, ports)), "Ctrl-C stops it in order."]
    return "\n".join(lines) + "\n"


def bound(settings: Settings) -> dict[str, Port]:
    """Address of each SMTP listener, as it was bound."""
    from smx.live import submit_file

    return submit_file.bound(settings.spool)


def _places(settings: Settings, ports: dict[str, Port]) -> list[tuple[str, str]]:
    places = [(name.partition(":")[0], f"{_host(host)}:{port}" if port else host) for name, (host, port) in ports.items()]
    if "lda" in settings.order:
        places.append(("lda", f"{settings.lda.socket}, Maildirs {settings.lda.maildirs}"))
    return places


def _trials(path: str, settings: Settings, ports: dict[str, Port]) -> list[str]:
    """Three things to do next; they work as they are printed, from the directory in which smx was started."""
    domain = (settings.smar.local_domains or (settings.hostname,))[0]
    mailbox = f"postmaster@{domain}"
    trials = [f"{program()} queue ls --config {shlex.quote(path)}"]
    for host, port in ports.values():
        if port:
            host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
            return [_by_tool(path, host, port, mailbox), _by_python(host, port, mailbox), *trials]
    return trials


def _by_tool(path: str, host: str, port: int, mailbox: str) -> str:
    """swaks where it is installed, else our own command."""
    if shutil.which("swaks"):
        return f"swaks --server {_host(host)}:{port} --to {mailbox}"
    return f"echo hello | {program('smx-sendmail')} -C {shlex.quote(path)} {mailbox}"


def _by_python(host: str, port: int, mailbox: str) -> str:
    code = f'import smtplib; smtplib.SMTP("{host}", {port}).sendmail("{mailbox}", ["{mailbox}"], "Subject: hello\\n\\nhello\\n")'
    return f"python3 -c '{code}'"


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
