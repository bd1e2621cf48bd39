"""Epoch file: SPOOL/mcp/epoch holds the last epoch that was given to any process, in decimal (A11).

It is durable before the process that uses the epoch exists: written beside, synced, renamed, and the directory synced.
"""

import os
from pathlib import Path

from smx.config.schema import spool_path
from smx.ids import EPOCH_MAX

NAME = "epoch"


class DamagedEpochFileError(Exception):
    """The file holds no epoch: to begin again from the clock could give ids a second time."""


def read_epoch(spool: str) -> int:
    """The last epoch; 0 when none was ever given. Raises DamagedEpochFileError."""
    path = Path(spool_path(spool, "mcp"), NAME)
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return 0
    if not text.endswith(b"\n") or not text[:-1].isdigit() or int(text) > EPOCH_MAX:
        raise DamagedEpochFileError(f"{path} does not hold an epoch; write into it a number greater than any epoch in the log")
    return int(text)


def save_epoch(spool: str, epoch: int) -> None:
    """Make `epoch` the last one, durably. Raises OSError."""
    directory = spool_path(spool, "mcp")
    fresh = f"{directory}/{NAME}.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, b"%d\n" % epoch)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(fresh, f"{directory}/{NAME}")
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
