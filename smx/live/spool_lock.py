"""Spool lock: one MCP a spool. The lock file tells who holds it.

The lock is a flock on an open file, and every child of MCP inherits that open file: so the lock is free only when MCP *and* all of its
children have ended. When MCP was killed, a new one waits here until the old children, which saw their pipe end, are gone (F22).
"""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

POLL_S: Final = 0.05


class SpoolHeldError(Exception):
    """Another smx runs on this spool. `pid` of its MCP, 0 when that is not known."""

    def __init__(self, spool: str, pid: int, text: str) -> None:
        super().__init__(text)
        self.spool = spool
        self.pid = pid


def take(spool: str, wait_s: float) -> int:
    """The descriptor that holds the lock: to be handed to the children, never closed. Waits only for what a dead MCP has left behind."""
    descriptor = os.open(lock_path(spool), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = holder(spool)
            if pid and is_alive(pid):
                os.close(descriptor)
                raise SpoolHeldError(spool, pid, f"smx is running already on {spool}: its MCP has the process id {pid}") from None
            if time.monotonic() >= until:
                os.close(descriptor)
                raise SpoolHeldError(spool, 0, f"processes of an earlier smx still run on {spool}; their MCP (process id {pid}) is gone") from None
            time.sleep(POLL_S)
            continue
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        return descriptor


def holder(spool: str) -> int:
    """The process id in the lock file; 0 when there is none."""
    try:
        return int(Path(lock_path(spool)).read_text().strip() or 0)
    except (OSError, ValueError):
        return 0


def is_alive(pid: int) -> bool:
    """Whether a process of this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def lock_path(spool: str) -> str:
    return f"{spool}/mcp/lock"
