"""Checks that concern several options at once: ranges that contradict each other, names that lead nowhere, an open relay, a socket taken twice.

Each check is a generator over the settings; it yields (path of the option to point at, message). Nothing here touches a file.
"""

import ipaddress
from collections.abc import Callable, Iterator
from typing import Any, Final

from msgspec import Struct

from smx.config.problems import Place, Problem
from smx.config.schema import ListenSocket, Settings, kind_of_process, spool_path
from smx.config.text import format_size, format_time
from smx.units import DAY, HOUR, MINUTE

Complaint = tuple[str, str]
UNIX_PATH_OCTETS_MAX: Final = 107  # sun_path of unix(7), without its NUL

# The first must not be larger than the second.
ORDERED: Final = (
    ("qmgr.smtpc.initial_connections", "qmgr.smtpc.max_connections"),
    ("qmgr.smtpc.max_connections", "qmgr.smtpc.deliveries_max"),
    ("qmgr.retry.min", "qmgr.retry.max"),
    ("qmgr.retry.max", "qmgr.retry.give_up"),
    ("qmgr.retry.warn", "qmgr.retry.give_up"),
    ("qmgr.retry.dead_min", "qmgr.retry.dead_max"),
    ("qmgr.min_free", "qmgr.throttle.slow_free"),
    ("smar.dns_cache.ttl_min", "smar.dns_cache.ttl_max"),
    ("mcp.restart_min", "mcp.restart_max"),
    ("smtps.*.content_memory_max", "smtps.*.content_memory_budget"),
    ("smtps.*.content_memory_max", "smtps.*.cdb_segment_octets"),
)

# Below these RFC 5321 is not kept; it is a warning, because tests want it.
RFC_MINIMA: Final = (
    ("smtps.*.io_timeout", 5 * MINUTE, "RFC 5321 4.5.3.2.7 asks for 5 minutes"),
    ("smtps.*.recipients_max", 100, "RFC 5321 4.5.3.1.8 asks for 100"),
    ("smtpc.timeouts.greeting", 5 * MINUTE, "RFC 5321 4.5.3.2.1 asks for 5 minutes"),
    ("smtpc.timeouts.mail", 5 * MINUTE, "RFC 5321 4.5.3.2.2 asks for 5 minutes"),
    ("smtpc.timeouts.rcpt", 5 * MINUTE, "RFC 5321 4.5.3.2.3 asks for 5 minutes"),
    ("smtpc.timeouts.data", 2 * MINUTE, "RFC 5321 4.5.3.2.4 asks for 2 minutes"),
    ("smtpc.timeouts.block", 3 * MINUTE, "RFC 5321 4.5.3.2.5 asks for 3 minutes"),
    ("smtpc.timeouts.dot", 10 * MINUTE, "RFC 5321 4.5.3.2.6 asks for 10 minutes"),
    ("qmgr.retry.give_up", 4 * DAY, "RFC 5321 4.5.4.1 asks for 4 to 5 days"),
    ("qmgr.retry.warn", HOUR, "mail that waits for greylisting is not delayed yet"),
)


class Scene(Struct, frozen=True):
    """What the checks look at: the settings, where the given options stand, which of them could not be read, the file as a whole."""

    settings: Settings
    places: dict[str, Place]
    failed: frozenset[str]
    top: Place
    complete: bool = True  # no statement was dropped for its syntax

    def place(self, path: str) -> Place:
        """Of an option, else of its section, else the file as a whole."""
        while path and path not in self.places:
            path = path.rpartition(".")[0]
        return self.places.get(path, self.top)

    def value(self, path: str) -> Any:
        """The value of a concrete path like smtps.mx.io_timeout."""
        found: Any = self.settings
        for word in path.split("."):
            if isinstance(found, tuple):
                found = next(item for item in found if item.name == word)
                continue
            found = next(getattr(found, field) for field in (word, f"{word}_us", f"{word}_octets") if hasattr(found, field))
        return found

    def expand(self, pattern: str) -> list[str]:
        """`smtps.*.x` for each server; other paths stay."""
        return [pattern.replace("*", server.name) for server in self.settings.smtps] if "*" in pattern else [pattern]


def complaints(scene: Scene) -> list[Problem]:
    """What all the checks say, without what follows from an option that could not be read."""
    errors = [(path, message, False) for check in CHECKS for path, message in check(scene)]
    warnings = [(path, message, True) for check in WARNINGS for path, message in check(scene)]
    return [Problem(scene.place(path), message, warning) for path, message, warning in errors + warnings if path not in scene.failed]


def _required(scene: Scene) -> Iterator[Complaint]:
    if not scene.complete:
        return
    if "hostname" not in scene.places:
        yield "", 'hostname must be given: hostname = "mx.example.org";'
    kinds = {kind_of_process(process) for process in scene.settings.order}
    for kind in ("smtps", "qmgr", "smar", "smtpc"):
        if kind not in kinds and kind not in scene.failed:
            yield "", f"there is no section {kind}{' NAME' if kind == 'smtps' else ''}; an empty one takes the defaults"
    for server in scene.settings.smtps:
        if not server.listen_socket:
            yield f"smtps.{server.name}", f"smtps {server.name} has no listen_socket {{ ... }}: nobody could connect"


def _hostname(scene: Scene) -> Iterator[Complaint]:
    """RFC 5321 2.3.5: a fully-qualified name; localhost is for tests."""
    host = scene.settings.hostname
    if host != "localhost" and ("." not in host or host.replace(".", "").isdigit()):
        yield "hostname", f'hostname: expected a full name like "{host if not host.replace(".", "").isdigit() else "mx"}.example.org"'


def _ordered(scene: Scene) -> Iterator[Complaint]:
    for low_pattern, high_pattern in ORDERED:
        for low, high in zip(scene.expand(low_pattern), scene.expand(high_pattern), strict=True):
            if scene.value(low) > scene.value(high) and not {low, high} & scene.failed:
                path, other = (low, high) if low in scene.places else (high, low)
                relation = "larger" if path == low else "smaller"
                yield path, f"{path} ({_show(scene, path)}) is {relation} than {other} ({_show(scene, other)})"


def _show(scene: Scene, path: str) -> str:
    value = scene.value(path)
    if path.endswith(("_connections", "deliveries_max")):
        return str(value)
    sized = any(word in path for word in ("octets", "content_memory", "free"))
    return format_size(value) if sized else format_time(value)


def _shares(scene: Scene) -> Iterator[Complaint]:
    qmgr = scene.settings.qmgr
    if qmgr.aq_new_share_percent + qmgr.aq_deferred_share_percent > 100:
        path = "qmgr.aq_new_share_percent" if "qmgr.aq_new_share_percent" in scene.places else "qmgr.aq_deferred_share_percent"
        yield path, "aq_new_share_percent and aq_deferred_share_percent are more than 100 together"


def _open_relay(scene: Scene) -> Iterator[Complaint]:
    """A server that strangers can reach must not relay for all the world."""
    for server in scene.settings.smtps:
        reachable = any(not ipaddress.ip_address(socket.address).is_loopback for socket in server.listen_socket if socket.type != "unix")
        networks = [ipaddress.ip_network(network) for network in server.relay_from]
        collapsed: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = [
            *ipaddress.collapse_addresses(n for n in networks if n.version == 4),
            *ipaddress.collapse_addresses(n for n in networks if n.version == 6),
        ]
        world = next((network for network in collapsed if network.prefixlen == 0), None)
        if reachable and world is not None:
            yield f"smtps.{server.name}.relay_from", f"relay_from covers {world} and the server listens beyond loopback: anybody could send to anybody"


def _listeners(scene: Scene) -> Iterator[Complaint]:
    taken: list[tuple[ListenSocket, str]] = []
    for server in scene.settings.smtps:
        for number, socket in enumerate(server.listen_socket):
            path = f"smtps.{server.name}.listen_socket.{number}"
            yield from _listener(socket, path, server.protocol, scene)
            if any(f"{path}.{name}" in scene.failed for name in ("type", "address", "port", "path")):
                continue
            same = next((where for other, where in taken if _collide(socket, other)), None)
            if same is not None:
                yield path, f"this socket is the same as the one at {scene.place(same)}"
            taken.append((socket, path))


def _listener(socket: ListenSocket, path: str, protocol: str, scene: Scene) -> Iterator[Complaint]:
    if socket.type == "unix":
        for name in ("address", "port"):
            if f"{path}.{name}" in scene.places:
                yield f"{path}.{name}", f"a socket of type unix has no {name}"
        if not socket.path and f"{path}.path" not in scene.failed:
            yield path, "a socket of type unix needs a path"
        return
    if f"{path}.path" in scene.places:
        yield f"{path}.path", f"a socket of type {socket.type} has no path"
    version = 4 if socket.type == "inet" else 6
    if ipaddress.ip_address(socket.address).version != version:
        yield f"{path}.address", f"a socket of type {socket.type} needs an IPv{version} address"
    if protocol == "lmtp" and socket.port == 25:
        yield path, "LMTP must not be spoken on port 25 (RFC 2033 5)"


def _collide(one: ListenSocket, other: ListenSocket) -> bool:
    if one.type != other.type:
        return False
    if one.type == "unix":
        return one.path == other.path
    wild = {"0.0.0.0", "::"}
    return one.port != 0 and one.port == other.port and (one.address == other.address or bool({one.address, other.address} & wild))


def _domains(scene: Scene) -> Iterator[Complaint]:
    smar = scene.settings.smar
    for domain in smar.relay_domains:
        if domain in smar.local_domains:
            yield "smar.relay_domains", f"{domain} is in local_domains as well: mail is either delivered here or sent on"


def _own_mail(scene: Scene) -> Iterator[Complaint]:
    """RFC 5321 4.5.1: a host that delivers mail takes that for its own postmaster. A host without local domains delivers none."""
    smar, host = scene.settings.smar, scene.settings.hostname
    taken = (*smar.local_domains, *smar.relay_domains)
    below = any(domain.startswith(".") and host.endswith(domain) for domain in smar.relay_domains)
    if "." in host and smar.local_domains and host not in taken and not below:
        yield "smar.local_domains", f"the hostname {host} is not in local_domains: mail to postmaster@{host} would be refused (550), RFC 5321 4.5.1"


def _local_delivery(scene: Scene) -> Iterator[Complaint]:
    if "lda" in scene.settings.order or "smar.lmtp_socket" in scene.places or "smar" not in scene.settings.order:
        return
    smar = scene.settings.smar
    how = "add a section lda { }, or smar.lmtp_socket for another LMTP server"
    if smar.local_domains:
        given = "smar.local_domains" in scene.places
        yield "smar.local_domains", f"mail for {smar.local_domains[0]} has nowhere to go: {how}" + ("" if given else ", or say local_domains = { };")
    elif any(entry.kind == "local" for entry in smar.mailertable):
        yield "smar.mailertable", f'"local" leads nowhere: {how}'


def _maps(scene: Scene) -> Iterator[Complaint]:
    smar = scene.settings.smar
    names = [entry.name for entry in smar.map]
    if smar.local_user_map and smar.local_user_map.lower() not in names:
        known = f" (there is {', '.join(names)})" if names else f": map {smar.local_user_map} {{ type = file; file = ...; }}"
        yield "smar.local_user_map", f"there is no map {smar.local_user_map}{known}"
    for entry in smar.map:
        path = f"smar.map.{entry.name}"
        if entry.type == "inline" and entry.file:
            yield f"{path}.file", "a map of type inline has no file"
        if entry.type != "inline" and entry.entries:
            yield f"{path}.entries", f"a map of type {entry.type} has no entries here"
        if entry.type != "inline" and not entry.file and f"{path}.file" not in scene.failed:
            yield path, f"a map of type {entry.type} needs a file"


def _processes(scene: Scene) -> Iterator[Complaint]:
    order = scene.settings.order
    known = {*order, *(kind_of_process(process) for process in order)}
    for process in order:
        for other in scene.value(f"{process}.restart_dependencies"):
            if other not in known and f"{process}.restart_dependencies" in scene.places:
                yield f"{process}.restart_dependencies", f'there is no process "{other}" (there is {", ".join(sorted(known))})'
    for module, _ in scene.settings.log.levels:
        if module not in known | {"mcp"}:
            yield "log.levels", f'there is no module "{module}" (there is {", ".join(sorted(known | {"mcp"}))})'


def _socket_paths(scene: Scene) -> Iterator[Complaint]:
    settings = scene.settings
    paths = {"lda.socket": settings.lda.socket, "smar.lmtp_socket": settings.smar.lmtp_socket}
    for server in settings.smtps:
        paths.update({f"smtps.{server.name}.listen_socket.{n}.path": socket.path for n, socket in enumerate(server.listen_socket)})
    if "lda" not in settings.order:
        del paths["lda.socket"]
    elif "smar.lmtp_socket" not in scene.places:
        del paths["smar.lmtp_socket"]  # the same
    users = {f"{spool_path(settings.spool, 'run')}/{name}.sock": f"the link to {name.upper()}" for name in ("qmgr", "smar")}
    blamed: set[str] = set()
    for option, path in paths.items():
        length = len(path.encode(errors="backslashreplace"))
        pointed = option if option in scene.places else "spool"
        if length > UNIX_PATH_OCTETS_MAX and pointed not in blamed:
            blamed.add(pointed)
            yield pointed, f"the path of a UNIX socket has at most {UNIX_PATH_OCTETS_MAX} octets; {option} has {length}"
        if path and option != "smar.lmtp_socket":
            other = users.setdefault(path, option)
            if other != option and not other.startswith("smtps."):  # two servers: _listeners tells
                yield option, f"{option} is the path of {other} as well"


def _addresses(scene: Scene) -> Iterator[Complaint]:
    smtpc = scene.settings.smtpc
    for name, address, version in (("bind_inet", smtpc.bind_inet, 4), ("bind_inet6", smtpc.bind_inet6, 6)):
        if address and ipaddress.ip_address(address).version != version:
            yield f"smtpc.{name}", f"{name} needs an IPv{version} address"


def _texts(scene: Scene) -> Iterator[Complaint]:
    if "%u" not in scene.settings.lda.maildirs:
        yield "lda.maildirs", "maildirs needs %u, or all users would share one Maildir"
    if len(scene.settings.smar.recipient_delimiter) > 1:
        yield "smar.recipient_delimiter", "recipient_delimiter is one character, or empty"


def _rfc_minima(scene: Scene) -> Iterator[Complaint]:
    for pattern, minimum, why in RFC_MINIMA:
        for path in scene.expand(pattern):
            if path in scene.places and 0 < scene.value(path) < minimum:
                yield path, f"{path.rpartition('.')[2]}: {why}"


WARNINGS: Final[tuple[Callable[[Scene], Iterator[Complaint]], ...]] = (_own_mail, _rfc_minima)
CHECKS: Final[tuple[Callable[[Scene], Iterator[Complaint]], ...]] = (
    _required,
    _hostname,
    _ordered,
    _shares,
    _open_relay,
    _listeners,
    _domains,
    _local_delivery,
    _maps,
    _processes,
    _socket_paths,
    _addresses,
    _texts,
)
