"""Listeners: sockets that are bound and listen, TCP and UNIX.

A UNIX socket is made beside its path with the right mode and then renamed over it, so that nobody ever finds it missing or too open. Paths
longer than the kernel's 107 octets are reached through the directory's descriptor.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

BACKLOG: Final = 512
PATH_OCTETS_MAX: Final = 107  # sun_path without its final NUL
UNIX_MODE: Final = 0o660


def bind(host: str, port: int, mode: int = 0, backlog: int = BACKLOG) -> socket.socket:
    """A listening socket: of an IP address and port (0: any free one), or of a UNIX path with `mode` (0: 0660).

    Raises OSError: EADDRINUSE when somebody listens there already, EACCES for a port that only root may bind, and so on.
    """
    if host.startswith("/"):
        return _bind_unix(host, mode or UNIX_MODE, backlog)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(backlog)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _bind_unix(path: str, mode: int, backlog: int) -> socket.socket:
    if is_alive(path):
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), path)
    fresh = f"{path}.{os.getpid()}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with reachable(fresh) as address:
            _unlink(fresh)
            listener.bind(address)
        os.chmod(fresh, mode)
        listener.listen(backlog)
        listener.setblocking(False)
        os.rename(fresh, path)
    except OSError:
        listener.close()
        _unlink(fresh)
        raise
    return listener


def is_alive(path: str) -> bool:
    """True when somebody listens on this UNIX socket."""
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with reachable(path) as address:
            probe.connect(address)
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    except BlockingIOError:  # its backlog is full
        return True
    finally:
        probe.close()
    return True


@contextmanager
def reachable(path: str) -> Iterator[str]:
    """An address for this UNIX path that fits into sun_path while the context lasts."""
    if len(os.fsencode(path)) <= PATH_OCTETS_MAX:
        yield path
        return
    directory, name = os.path.split(path)
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)


def is_trusted(peer: socket.socket) -> bool:
    """True when the process behind a UNIX socket runs as our user, as root, or with our group (SO_PEERCRED).

    Root trusts everybody: a tool that root runs has to reach a QMGR with a user of its own, and who may listen is up to the modes of the spool.
    """
    if os.geteuid() == 0:
        return True
    _, uid, gid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return uid in (0, os.geteuid()) or gid == os.getegid()


def name_of(listener: socket.socket) -> tuple[str, int]:
    """Host and port as in Listening: the path and 0 for a UNIX socket."""
    name = listener.getsockname()
    return (name, 0) if isinstance(name, str) else (name[0], name[1])


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
