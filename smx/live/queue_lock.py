"""Queue lock: QMGR's exclusive lock on the queue, SPOOL/ibdb/lock, for as long as it lives (F22). The file tells whose it is.

It is the last defence: two QMGRs on one IBDB would each overwrite what the other acknowledged. The lock ends with the process, however it ends.
"""

import fcntl
import os
from typing import Final

from smx.config.schema import spool_path

NAME: Final = "lock"


class QueueHeldError(Exception):
    """Another QMGR has the queue."""


def take(spool: str) -> int:
    """The descriptor that holds the lock; close it to give the queue up. Raises QueueHeldError, which says who holds it."""
    path = f"{spool_path(spool, 'ibdb')}/{NAME}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise QueueHeldError(f"the queue {spool} is in use by the process {holder}") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    return descriptor
