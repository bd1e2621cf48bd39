"""Message: the content of a generated message, and the token that tells it from all others.

The token stands in the field X-Load-Token and in Message-ID: the run's name, a dot, the number of the message. It is searched for in the first
64 KiB of what arrives, behind the trace fields of whoever relayed it.
"""

from typing import Final

from smx.smtp.data import DotStuffer
from smx.units import KIB

TOKEN_FIELD: Final = b"X-Load-Token: "
HEAD_OCTETS_MAX: Final = 64 * KIB  # in which the token is searched for
_MARK: Final = b"\n" + TOKEN_FIELD
_LINE: Final = b"The quick brown fox jumps over the lazy dog, again and again..\r\n"  # 64 octets
_BASE_OCTETS: Final = 64 * KIB


class Composer:
    """Makes contents. `body`: the octets of a body of the user's; empty: made up, of the size that is asked for."""

    def __init__(self, sender: bytes, hostname: bytes, date: bytes, body: bytes = b"") -> None:
        self._head = b"From: <%b>\r\nSubject: load\r\nDate: %b\r\nMIME-Version: 1.0\r\nTo: <" % (sender, date)
        if not body.isascii():
            self._head = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n" + self._head
        self._middle = b"@" + hostname + b">\r\n" + TOKEN_FIELD
        self._given = canonical(body)
        self._base = _LINE * (_BASE_OCTETS // len(_LINE))
        self.eight_bit = not body.isascii()

    def compose(self, token: bytes, recipient: bytes, octets: int) -> bytes:
        """A content of so many octets, with CRLF, not stuffed; at least its header section. No line of a made-up body begins with a dot."""
        head = b"%b%b>\r\nMessage-ID: <%b%b%b\r\n\r\n" % (self._head, recipient, token, self._middle, token)
        if self._given:
            return head + self._given
        return head + self._body(octets - len(head))

    def stuffed(self, content: bytes) -> bytes:
        """As DATA needs it, with the final dot."""
        if not self._given:
            return content + b".\r\n"
        stuffer = DotStuffer()
        return stuffer.feed(content) + stuffer.finish()

    def _body(self, octets: int) -> bytes:
        if octets < 2:
            return b""
        while len(self._base) < octets:
            self._base += self._base
        over = octets % len(_LINE)
        if over == 1:  # a cut here would leave a CR alone: the last line gets an octet more
            return self._base[: octets - 3] + b".\r\n"
        return self._base[: octets - 2] + b"\r\n" if over else self._base[:octets]


def canonical(body: bytes) -> bytes:
    """With CRLF as line ends, and one at the end (RFC 5321 2.3.8)."""
    body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if body and not body.endswith(b"\n"):
        body += b"\n"
    return body.replace(b"\n", b"\r\n")


def token_of(head: bytes) -> bytes:
    """The token of a message; b"" when it has none, as one that another generator made."""
    at = head.find(_MARK)
    if at < 0:
        return head[len(TOKEN_FIELD) :].partition(b"\r\n")[0] if head.startswith(TOKEN_FIELD) else b""
    at += len(_MARK)
    return head[at : head.find(b"\r\n", at)]
