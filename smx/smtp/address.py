"""Mailbox: an address in canonical form, and its forms for output (RFC 5321 4.1.2)."""

import re
from typing import Final

import msgspec

ATEXT: Final = rb"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-"
_NEEDS_NO_QUOTES: Final = re.compile(rb"[%b\x80-\xff]++(?:\.[%b\x80-\xff]++)*+" % (ATEXT, ATEXT))


class Mailbox(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=30):
    """`local_part` without quotes and backslashes, its case kept; `domain` in lower case, or an address literal with its brackets.

    `<Postmaster>` has an empty domain. Both empty: the null reverse-path.
    """

    local_part: bytes
    domain: bytes

    @property
    def is_null(self) -> bool:
        """True for `<>`."""
        return not self.local_part and not self.domain

    @property
    def address(self) -> bytes:
        """Without angle brackets, with the least quoting possible (RFC 5321 4.1.2); b"" for the null reverse-path."""
        if not self.domain:
            return self.local_part
        return b"%b@%b" % (quoted(self.local_part), self.domain)

    @property
    def path(self) -> bytes:
        """With angle brackets: `<local@domain>`, `<postmaster>` or `<>`."""
        return b"<%b>" % self.address

    @property
    def ascii_only(self) -> bool:
        """False when the address can only be sent with SMTPUTF8 (RFC 6531)."""
        return self.local_part.isascii() and self.domain.isascii()


NULL_MAILBOX: Final = Mailbox(b"", b"")
POSTMASTER: Final = Mailbox(b"postmaster", b"")


def quoted(local_part: bytes) -> bytes:
    """The local part as it is sent: a dot-string where that is possible, else a quoted string with the fewest backslashes."""
    if _NEEDS_NO_QUOTES.fullmatch(local_part):
        return local_part
    return b'"%b"' % local_part.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
