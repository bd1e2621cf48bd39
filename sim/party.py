"""Party: who holds an end of a connection, and what it is told."""

from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from sim.connection import Connection

END_OF_STREAM: Final = "end of stream"
RESET: Final = "connection reset by peer"
TIMED_OUT: Final = "connection timed out"


class Party(Protocol):
    """Who holds an end of a connection. Never called again after its own close() or abort(), or after closed() and refused()."""

    def connected(self, connection: "Connection") -> None:
        """For the end that dialled."""

    def refused(self, reason: str) -> None:
        """The connection was not opened."""

    def received(self, data: bytes) -> None: ...

    def drained(self) -> None: ...

    def closed(self, reason: str) -> None:
        """The peer closed ("end of stream"), or the connection broke."""


class Deaf:
    """A party that listens to nothing."""

    def connected(self, connection: "Connection") -> None:
        pass

    def refused(self, reason: str) -> None:
        pass

    def received(self, data: bytes) -> None:
        pass

    def drained(self) -> None:
        pass

    def closed(self, reason: str) -> None:
        pass


NOBODY: Final[Any] = Deaf()
