"""Addresses: recipients made of a pattern such as u%d@d%d.example, with a user's number and a domain's."""

import math
import random
from typing import Final

from smx.testing.load.draws import Draw
from smx.testing.load.options import LoadOptions

TRIES: Final = 100  # for a recipient that the message does not have yet
_ONE: Final = Draw("series", 1, 1)


def parse_pattern(text: str) -> str:
    """ValueError unless it is a mailbox with at most one %d on each side."""
    local, at, domain = text.rpartition("@")
    if not (at and local and domain) or not text.isascii() or any(octet in text for octet in " <>\r\n\t"):
        raise ValueError(f"expected a mailbox such as u%d@d%d.example, not {text!r}")
    for side in (local, domain):
        if side.count("%d") > 1 or "%" in side.replace("%d", ""):
            raise ValueError(f"expected at most one %d, and no other %, on each side of the @ in {text!r}")
    return text


def distinct(options: LoadOptions) -> int:
    """How many different recipients can come."""
    users, domains = _series(options)
    if users.kind == domains.kind == "series":
        return math.lcm(users.high, domains.high)
    return users.high * domains.high


def _series(options: LoadOptions) -> tuple[Draw, Draw]:
    """(users, domains), one where the pattern has no place for a number."""
    local, _, domain = options.to.rpartition("@")
    return options.users if "%d" in local else _ONE, options.domains if "%d" in domain else _ONE


class Addresses:
    """Gives the recipients of one message after the other."""

    def __init__(self, options: LoadOptions, stream: random.Random) -> None:
        local, _, domain = options.to.encode().rpartition(b"@")
        users, domains = _series(options)
        self._local = local.partition(b"%d") if b"%d" in local else None
        self._domain = domain.partition(b"%d") if b"%d" in domain else None
        self._fixed_local, self._fixed_domain = local, domain
        self._user = users.sampler(stream)
        self._number = domains.sampler(stream)

    def one(self) -> bytes:
        """The next recipient."""
        local = b"%b%d%b" % (self._local[0], self._user(), self._local[2]) if self._local else self._fixed_local
        domain = b"%b%d%b" % (self._domain[0], self._number(), self._domain[2]) if self._domain else self._fixed_domain
        return b"%b@%b" % (local, domain)

    def some(self, count: int) -> tuple[bytes, ...]:
        """So many different ones; fewer when chance does not give them in time."""
        if count == 1:
            return (self.one(),)
        found: dict[bytes, None] = {}
        for _ in range(count + TRIES):
            found[self.one()] = None
            if len(found) == count:
                break
        return tuple(found)
