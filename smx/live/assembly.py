"""Assembly: gives the runner of each kind of process the devices that its component orders from. One row a kind.

Imports happen inside: a process pays only for its own devices (dependency rule 6).
"""

import socket
from collections.abc import Callable
from typing import Final

from smx.factory import decoded
from smx.live.links import Links
from smx.live.listeners import bind
from smx.live.runner import Runner
from smx.live.timers import Timers
from smx.live.tls import Contexts
from smx.topology import kind_of, listens, socket_path

Listeners = tuple[tuple[str, socket.socket], ...]

DEVICES: Final[dict[str, tuple[str, ...]]] = {
    # kind     devices beside timers and links
    "qmgr": ("segments", "readers", "defedb"),
    "smar": ("names",),
    "smtps": ("network", "segments"),
    "smtpc": ("network", "readers"),
    "lda": ("network", "deposits"),
}


def assemble(runner: Runner, settings: bytes, listeners: Listeners = (), *, dial: bool = True) -> None:
    """Attach all devices that a process of this name needs. `dial`: open links to other processes (not in embedded mode).

    Raises OSError when a socket is in use or a certificate cannot be read.
    """
    runner.attach(Timers(runner))
    attach_links(runner, dial=dial)
    for device in DEVICES[kind_of(runner.process)]:
        _ATTACH[device](runner, settings, listeners)


def attach_links(runner: Runner, *, dial: bool = True) -> Links:
    """The links of a process; those that listen get their socket below SPOOL/run."""
    listener = bind(socket_path(runner.spool, runner.process), 0) if listens(runner.process) else None
    links = Links(runner, listener, dial=dial)
    runner.attach(links)
    return links


def _attach_network(runner: Runner, settings: bytes, listeners: Listeners) -> None:
    from smx.live.network import Network

    runner.attach_network(Network(runner, listeners, _contexts(kind_of(runner.process), settings)))


def _contexts(kind: str, settings: bytes) -> Contexts:
    """The TLS contexts that a component may name."""
    from smx.config.schema_smtpc import SmtpcSettings
    from smx.config.schema_smtps import SmtpsSettings
    from smx.live import tls

    if kind == "smtpc" and decoded(settings, SmtpcSettings).tls:
        return {tls.CLIENT: tls.client_context()}
    if kind == "smtps":
        server = decoded(settings, SmtpsSettings)
        if server.tls.certificate:
            return {f"server:{server.name}": tls.server_context(server.tls)}
    return {}


def _attach_segments(runner: Runner, settings: bytes, listeners: Listeners) -> None:
    from smx.live.segments import Segments

    runner.attach(Segments(runner, ("ibdb", "cdb") if kind_of(runner.process) == "qmgr" else ("cdb",)))


def _attach_readers(runner: Runner, settings: bytes, listeners: Listeners) -> None:
    from smx.live.readers import Readers

    runner.attach(Readers(runner))


def _attach_defedb(runner: Runner, settings: bytes, listeners: Listeners) -> None:
    from smx.live.defedb import Defedb

    runner.attach(Defedb(runner))


def _attach_deposits(runner: Runner, settings: bytes, listeners: Listeners) -> None:
    from smx.live.deposits import Deposits

    runner.attach(Deposits(runner))


def _attach_names(runner: Runner, settings: bytes, listeners: Listeners) -> None:
    from smx.config.schema_smar import SmarSettings
    from smx.live.dns import Dns
    from smx.live.maps import Maps

    own = decoded(settings, SmarSettings)
    runner.attach(Dns(runner, own))
    runner.attach(Maps(runner, own))
    runner.at_start(lambda: _tell_addresses(runner, own.own_addresses))


def _tell_addresses(runner: Runner, sockets: tuple[tuple[str, int], ...]) -> None:
    from smx.live.interfaces import listening

    for event in listening(sockets):
        runner.deliver(event)


_ATTACH: Final[dict[str, Callable[[Runner, bytes, Listeners], None]]] = {
    "network": _attach_network,
    "segments": _attach_segments,
    "readers": _attach_readers,
    "defedb": _attach_defedb,
    "deposits": _attach_deposits,
    "names": _attach_names,
}
