"""Topology: which kind of process listens for links, and which kinds connect to it (contracts of architecture 2).

One row a listening kind. Link sockets lie below SPOOL/run. In embedded mode the same table says who is linked to whom in process.
"""

from typing import Final

LISTENING: Final[dict[str, tuple[str, ...]]] = {
    # listens   kinds that connect to it
    "qmgr": ("smtps", "smtpc", "mcp", "admin"),
    "smar": ("smtps", "qmgr"),
}


def kind_of(process: str) -> str:
    """`smtps` of `smtps.mx.0`."""
    return process.partition(".")[0]


def listens(process: str) -> bool:
    return kind_of(process) in LISTENING


def connects_to(process: str) -> tuple[str, ...]:
    """The processes that this one opens links to."""
    return tuple(listener for listener, kinds in LISTENING.items() if kind_of(process) in kinds)


def may_connect(process: str, listener: str) -> bool:
    """Whether `listener` takes a link from a process of this name."""
    return kind_of(process) in LISTENING.get(kind_of(listener), ())


def socket_path(spool: str, listener: str) -> str:
    return f"{spool}/run/{listener}.sock"
