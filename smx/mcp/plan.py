"""Plan: what MCP runs, worked out from the settings once: sections, their processes, their sockets, who restarts with whom.

A section of the configuration file (`smtps.mx`, `qmgr`, ...) becomes one process or, for smtps and smtpc, `processes` of them.
All processes of a section share its listening sockets. Order here is the order of the start: the reverse of the file's (SX06).
"""

from typing import Final

from msgspec import Struct

from smx.config.schema import ListenSocket, ProcessSettings, Settings, SmtpcSettings, SmtpsSettings, kind_of_process, process_settings, spool_path

UNIX_MODE: Final = 0o660  # of a UNIX socket: whoever is in the group of the spool may speak to it


class Listener(Struct, frozen=True):
    """One socket to bind. `host` begins with `/` for a UNIX socket (port 0); `mode` belongs to that."""

    name: str  # "smtps.mx:0": the section and the number of the socket in it
    section: str
    host: str
    port: int
    mode: int = 0
    backlog: int = 512


class Section(Struct, frozen=True):
    """One section that runs. `wait`: the start goes on only when its processes are ready (SX07)."""

    name: str
    kind: str
    user: str
    wait: bool
    processes: tuple[str, ...]
    listeners: tuple[str, ...]
    dependants: tuple[str, ...]  # processes that end when one of this section died, and start after it (SX05); never one of its own


def sections(settings: Settings) -> tuple[Section, ...]:
    """The sections in the order of the start."""
    names = tuple(reversed(settings.order))
    bound = listeners(settings)
    made = []
    for name in names:
        part = process_settings(settings, name)
        made.append(
            Section(
                name,
                kind_of_process(name),
                part.user,
                part.start_action == "wait",
                _processes(name, part),
                tuple(listener.name for listener in bound if listener.section == name),
                tuple(process for other in names if other in _closure(settings, name) for process in _processes(other, process_settings(settings, other))),
            )
        )
    return tuple(made)


def processes(settings: Settings) -> tuple[tuple[str, str, str], ...]:
    """(process, section, kind) of every process, in the order of the start."""
    return tuple((process, section.name, section.kind) for section in sections(settings) for process in section.processes)


def section_of_process(process: str) -> str:
    """`smtps.mx` of `smtps.mx.0`, `smtpc` of `smtpc.0`, `qmgr` of `qmgr`."""
    section, _, number = process.rpartition(".")
    return section if section and number.isdecimal() else process


def listeners(settings: Settings) -> tuple[Listener, ...]:
    """The sockets to bind, in the order of the file."""
    bound = []
    for name in settings.order:
        part = process_settings(settings, name)
        if isinstance(part, SmtpsSettings):
            bound += [_listener(name, number, socket) for number, socket in enumerate(part.listen_socket)]
        elif kind_of_process(name) == "lda":
            bound.append(Listener("lda:0", name, settings.lda.socket, 0, UNIX_MODE))
    return tuple(bound)


def link_path(spool: str, process: str) -> str:
    """The UNIX socket on which a process (qmgr, smar) takes links."""
    return f"{spool_path(spool, 'run')}/{process}.sock"


def _listener(section: str, number: int, socket: ListenSocket) -> Listener:
    name = f"{section}:{number}"
    if socket.type == "unix":
        return Listener(name, section, socket.path, 0, UNIX_MODE, socket.backlog)
    return Listener(name, section, socket.address, socket.port, 0, socket.backlog)


def _processes(name: str, part: ProcessSettings) -> tuple[str, ...]:
    if isinstance(part, SmtpsSettings | SmtpcSettings):
        return tuple(f"{name}.{number}" for number in range(part.processes))
    return (name,)


def _closure(settings: Settings, name: str) -> set[str]:
    """The sections that restart with this one, directly or through another; without itself."""
    found: set[str] = set()
    open_names = [name]
    while open_names:
        for dependency in process_settings(settings, open_names.pop()).restart_dependencies:
            for other in settings.order:
                if dependency in (other, kind_of_process(other)) and other not in found:
                    found.add(other)
                    open_names.append(other)
    return found - {name}
