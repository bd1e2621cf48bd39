"""Child spec: what MCP gives a child process: its name, epoch, settings and sockets, as MessagePack in an anonymous file that it inherits."""

import os
import sys
from typing import Final

import msgspec

MODULE: Final = "smx.live.child"


class Handed(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A listening socket, by the number of its inherited descriptor."""

    name: str
    fd: int
    host: str
    port: int


class ChildSpec(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """settings: the Settings Struct of the process as MessagePack; log: LogSettings likewise.

    life_fd: read end of a pipe that MCP holds open while it lives. status_fd: write end of a pipe; the child says `ready` into it.
    record: directory for the recording, "" for none.
    """

    kind: str
    process: str
    epoch: int
    seed: int
    settings: bytes
    log: bytes
    spool: str
    listeners: tuple[Handed, ...]
    life_fd: int
    status_fd: int
    record: str = ""


def command(spec: ChildSpec) -> tuple[list[str], int]:
    """(argv, descriptor): pass the descriptor on with those that the spec names, then close it."""
    descriptor = os.memfd_create("smx", 0)
    os.write(descriptor, msgspec.msgpack.encode(spec))
    return [sys.executable, "-m", MODULE, spec.process, str(descriptor)], descriptor


def read_spec(descriptor: int) -> ChildSpec:
    """In the child: what `command` put there. Closes the descriptor."""
    size = os.fstat(descriptor).st_size
    octets = os.pread(descriptor, size, 0)
    os.close(descriptor)
    return msgspec.msgpack.decode(octets, type=ChildSpec)
