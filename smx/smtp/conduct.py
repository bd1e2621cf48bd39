"""Conduct: how much misbehaviour one server session bears, and the 421 that ends it when it is too much (I16, F31, F32).

Everything is counted since the last accepted message, which forgives what went before it.
"""

from typing import Final

from smx import limits
from smx.smtp import replies
from smx.smtp.reply import Reply
from smx.smtp.settings import ServerSettings


class Conduct:
    """Counters of one session. Each method counts one thing and returns the reply that ends the session, None while it is borne."""

    __slots__ = ("_errors", "_innocent", "_junk", "_refusals", "_settings")

    def __init__(self, settings: ServerSettings) -> None:
        self._settings: Final = settings
        self.forgive()

    def forgive(self) -> None:
        """A message was accepted."""
        self._errors: int = 0
        self._refusals: int = 0
        self._junk: int = 0
        self._innocent: int = 0

    def error(self) -> Reply | None:
        """A command that no client should send."""
        self._errors += 1
        return replies.ERRORS_EXCEEDED if self._errors > self._settings.errors_max else None

    def refusal(self, reply: Reply) -> Reply | None:
        """The role refused a command: guessing of addresses when it is permanent."""
        if not reply.permanent:
            return self.innocent()
        self._refusals += 1
        return replies.REFUSALS_EXCEEDED if self._refusals > self._settings.refusals_max else None

    def junk(self) -> Reply | None:
        """A command that brings no mail."""
        self._junk += 1
        return replies.JUNK_EXCEEDED if self._junk > self._settings.junk_commands_max else None

    def innocent(self) -> Reply | None:
        """A refusal that a client with good manners may meet under pipelining."""
        self._innocent += 1
        return replies.ERRORS_EXCEEDED if self._innocent > limits.INNOCENT_REFUSALS_MAX else None
