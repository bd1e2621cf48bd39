"""Whom the processes and tools trust behind a UNIX socket of the spool."""

import os
import socket
import struct
from typing import cast

import pytest

from smx.live.listeners import is_trusted


class PeerOf:
    """Stands for a socket whose other end belongs to this user and group."""

    def __init__(self, uid: int, gid: int) -> None:
        self._credentials = struct.pack("3i", 1, uid, gid)

    def getsockopt(self, level: int, option: int, octets: int) -> bytes:
        assert (level, option, octets) == (socket.SOL_SOCKET, socket.SO_PEERCRED, len(self._credentials))
        return self._credentials


@pytest.mark.parametrize(
    ("own", "peer", "trusted"),
    [
        ((500, 60), (500, 61), True),  # our user
        ((500, 60), (501, 60), True),  # our group: that of the spool
        ((500, 60), (0, 0), True),  # MCP
        ((500, 60), (501, 61), False),
        ((0, 0), (501, 61), True),  # a tool of root asks a QMGR that has a user of its own
    ],
)
def test_our_user_our_group_and_root_are_trusted_and_root_trusts_all(
    monkeypatch: pytest.MonkeyPatch, own: tuple[int, int], peer: tuple[int, int], trusted: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: own[0])
    monkeypatch.setattr(os, "getegid", lambda: own[1])
    assert is_trusted(cast(socket.socket, PeerOf(*peer))) is trusted
