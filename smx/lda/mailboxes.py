"""Mailboxes: from a recipient's address to the directory of a Maildir, such that no address leaves the place that is meant for it.

The pattern of the configuration holds %u (the local part without its detail, in lower case) and %d (the domain). What is put in for
them came from a peer: it must be one ordinary component of a path. Nothing is quoted or replaced: what is not such a component names no user.
"""

import re
from typing import Final

from smx.smtp.address import Mailbox

DELIMITER: Final = b"+"  # detail behind it: user+detail@domain goes to user
COMPONENT_OCTETS_MAX: Final = 120  # a file system takes 255, and a pattern may add something of its own
_FORBIDDEN: Final = frozenset(b"/\\" + bytes(range(33)) + b"\x7f")
_PLACES: Final = re.compile("%[ud]")


def component(octets: bytes) -> str | None:
    """`octets` as one component of a path, or None when they must not be one: empty, too long, hidden, a separator or control in it, not UTF-8."""
    if not 0 < len(octets) <= COMPONENT_OCTETS_MAX or octets.startswith(b".") or not _FORBIDDEN.isdisjoint(octets):
        return None
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return None


def user_of(recipient: Mailbox) -> bytes:
    """The local part without detail, in lower case (mailbox names are matched without regard to case, as RFC 5321 2.4 lets a host decide)."""
    user = recipient.local_part.lower()
    head, _, _ = user.partition(DELIMITER)
    return head or user


class Mailboxes:
    """The pattern, taken apart once."""

    def __init__(self, pattern: str) -> None:
        self._pattern: Final = pattern
        self._needs_domain: Final = "%d" in pattern

    def directory(self, recipient: Mailbox) -> str | None:
        """The Maildir of this recipient; None when its address can have none."""
        user = component(user_of(recipient))
        if user is None:
            return None
        if not self._needs_domain:
            return self._pattern.replace("%u", user)
        domain = component(recipient.domain)
        if domain is None:
            return None
        # In one pass: what was put in is not looked at again.
        return _PLACES.sub(lambda place: user if place[0] == "%u" else domain, self._pattern)
