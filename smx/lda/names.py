"""Names: the file name of a message in a Maildir, `time.unique.host` as its inventor asks: never given twice, whatever the clock does (I8)."""

import hashlib
from typing import Final

from smx.units import SECOND

HOST_OCTETS_MAX: Final = 180  # a file name has 255 octets at most, and readers append flags


class Names:
    """Gives names. Unique are: the epoch and the counter within it; the hash keeps two spools that share a Maildir apart."""

    def __init__(self, hostname: str, epoch: int, seed: int) -> None:
        self._host: Final = hostname.replace("/", "\\057").replace(":", "\\072")[:HOST_OCTETS_MAX]
        self._epoch: Final = epoch
        self._key: Final = (seed & (1 << 64) - 1).to_bytes(8, "little")
        self._counter = 0

    def next(self, stamp: int) -> str:
        """A new name; `stamp` is wall-clock time in microseconds."""
        self._counter += 1
        unique = hashlib.blake2b(b"maildir %d %d" % (self._epoch, self._counter), digest_size=5, key=self._key).hexdigest()
        return f"{stamp // SECOND}.E{self._epoch:x}Q{self._counter}R{unique}.{self._host}"
