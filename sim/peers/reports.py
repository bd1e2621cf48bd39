"""Reports: what clients and hosts say about mail, to whoever keeps the truth (sim.truth)."""

from typing import Any, Protocol


class Reports(Protocol):
    """Said at the instant it happens; `at` in microseconds. A token is submitted once: who tries again takes a new one."""

    def submitted(self, token: str, sender: str, recipients: tuple[str, ...], content: bytes, at: int, notify: tuple[int, ...] = (), /) -> None:
        """The end of the content is being sent. `recipients`: those that RCPT accepted; `content`: unstuffed, with CRLF."""

    def promised(self, token: str, reply: bytes, at: int, /) -> None:
        """The last octet of the 250 to the end of the content was read."""

    def refused(self, token: str, recipients: tuple[str, ...], stage: str, code: int, text: str, at: int, /) -> None:
        """4yz or 5yz was read. `stage`: connect, helo, mail, rcpt, data, dot."""

    def arrived(self, host: str, content: bytes, recipients: tuple[str, ...], at: int, sender: str | None = None, /) -> Any:
        """A host decided to say 250: it is responsible from here on, whatever becomes of its reply. What it returns is given to reply_lost."""

    def reply_lost(self, arrival: Any, at: int, /) -> None:
        """The 250 for this arrival did not get through."""
