"""Interfaces: the addresses of this host, asked of the kernel: on which of them does a socket of the unspecified address listen (SX46)."""

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from smx.events import Listening

UNSPECIFIED: Final = ("0.0.0.0", "::")
ROUTES: Final = Path("/proc/net/fib_trie")  # `|-- ADDRESS`, in the next line `/32 host LOCAL` for one of our own
INTERFACES6: Final = Path("/proc/net/if_inet6")  # 32 hexadecimal digits, then what the interface is


def listening(sockets: tuple[tuple[str, int], ...]) -> Iterator[Listening]:
    """For SMAR: where the sockets of the unspecified address listen. The others stand in its settings."""
    for host, port in sockets:
        for address in addresses(host) if host in UNSPECIFIED else ():
            yield Listening("smtps", address, port)


def addresses(host: str) -> list[str]:
    """The addresses that a socket of `host` listens on: itself, or all of its family. None where the kernel does not tell (it is not Linux)."""
    match host:
        case "0.0.0.0":
            return local_addresses(_text(ROUTES))
        case "::":
            return [str(ipaddress.IPv6Address(int(line[:32], 16))) for line in _text(INTERFACES6).splitlines()]
    return [host]


def local_addresses(trie: str) -> list[str]:
    """Our own addresses in a table of routes, each once."""
    found: dict[str, None] = {}
    last = ""
    for line in trie.splitlines():
        if "|-- " in line:
            last = line.rpartition(" ")[2]
        elif "/32 host LOCAL" in line:
            found[last] = None
    return list(found)


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except OSError:
        return ""
