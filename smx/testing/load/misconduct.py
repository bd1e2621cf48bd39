"""Misconduct: what each kind of fault makes a session of the generator do in place of sending something.

`octets` is what should have been sent. Kinds that only take time end with `session.write(octets)`, so that the dialogue goes on; the others leave the
message abandoned. `early` is not here: a session that sends something too early does so where it sends what stands before it.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from smx.testing.load.faults import Fault

if TYPE_CHECKING:
    from smx.testing.load.session import Session

PIECES_MAX: Final = 20
NONSENSE: Final = b"XYZZY this is no command\r\n"
_LINGER_NOT: Final = struct.pack("ii", 1, 0)


def misbehave(session: "Session", fault: Fault, octets: bytes) -> None:
    """Carry the fault out."""
    transport = session.transport
    assert transport is not None
    session.active_at += fault.seconds
    match fault.kind:
        case "vanish":
            session.abandon()
            transport.close()  # what was written before leaves first
        case "reset":
            session.abandon()
            reset(transport)
        case "hang":
            session.hang()
        case "pause":
            asyncio.get_running_loop().call_later(fault.seconds, session.write, octets)
        case "slow":
            dribble(transport, octets, fault.seconds, session.write)
        case "rset":
            session.reset_transaction()
        case "garbage":
            session.insert(NONSENSE, octets)
        case _:
            raise AssertionError(fault)


def reset(transport: asyncio.Transport) -> None:
    """Close with a TCP reset: what the peer has not read yet is lost to it."""
    connection = transport.get_extra_info("socket")
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    transport.abort()


def dribble(transport: asyncio.Transport, octets: bytes, seconds: float, last: Callable[[bytes], None]) -> None:
    """Send a few octets at a time, so that it takes so long; the last piece by `last`."""
    pieces = min(PIECES_MAX, len(octets))
    size = -(-len(octets) // pieces)
    loop = asyncio.get_running_loop()

    def send(at: int) -> None:
        if transport.is_closing():
            return
        piece, after = octets[at : at + size], at + size
        if after >= len(octets):
            last(piece)
        else:
            transport.write(piece)
            loop.call_later(seconds / pieces, send, after)

    send(0)
