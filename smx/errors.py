"""Errors: trouble that is expected from outside, with all that a reply, a verdict or a log line needs to say about it.

Three kinds of trouble exist (style 13). A protocol outcome is a value. Expected trouble from outside is an SmxError. Our own bug
is an AssertionError that nobody catches. An SmxError's text is fit for a peer: no paths, ids or addresses of ours in it.
"""

from typing import Final

Enhanced = tuple[int, int, int]  # class, subject, detail (RFC 3463)


class SmxError(Exception):
    """Expected trouble: `code` is the reply code (RFC 5321 4.2), `enhanced` its (class, subject, detail), `text` what a peer may read."""

    def __init__(self, code: int, enhanced: Enhanced, text: str) -> None:
        super().__init__(code, enhanced, text)
        assert 400 <= code <= 599, f"an error has a 4yz or 5yz code, not {code}"
        assert enhanced[0] == code // 100, f"enhanced code {enhanced} contradicts {code} (RFC 2034 4)"
        self.code: Final = code
        self.enhanced: Final = enhanced
        self.text: Final = text

    @property
    def permanent(self) -> bool:
        """True when trying again cannot help: 5yz."""
        return self.code >= 500

    def __str__(self) -> str:
        subject = ".".join(map(str, self.enhanced))
        return f"{self.code} {subject} {self.text}"


class FormatError(SmxError):
    """Octets that do not have the format they should have: an address, a parameter, a record."""
