"""Handshake: TLS as delay and outcome: three turns between the ends of a connection, and what ends it early (F34).

    client: CLIENT_HELLO      server: SERVER_HELLO, or ALERT when it refuses      client: FINISHED

Nothing is encrypted. What matters is kept: octets in plaintext that come in between, a peer that does not answer, and one that answers in plaintext.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from smx.units import SECOND

if TYPE_CHECKING:
    from sim.connection import Connection

TIMEOUT_US: Final = 30 * SECOND  # as smx.live.connection
HELLO: Final = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # how a client's first octets look to somebody who expects SMTP
VERSION: Final = "TLSv1.3"
CIPHER: Final = "TLS_AES_256_GCM_SHA384"

CLIENT_HELLO: Final = "client hello"
SERVER_HELLO: Final = "server hello"
FINISHED: Final = "finished"
ALERT: Final = "alert"

Done = Callable[[str, str, str], None]  # error, "" when it went well; version; cipher


class Handshake:
    """The one that is under way at an end. `done` is said once, unless the end is closed before."""

    __slots__ = ("_end", "_timer", "done")

    def __init__(self, end: "Connection", done: Done) -> None:
        self.done: Final = done
        self._end: Final = end
        self._timer: Final = end.env.later(TIMEOUT_US, self._on_timeout)

    def stop(self) -> None:
        self._timer.cancel()

    def take(self, turn: str) -> None:
        """A turn of the other end."""
        if turn == CLIENT_HELLO:
            error = self._end.refuses_handshake()
            self._end.turn(ALERT if error else SERVER_HELLO)
            if error:
                self.fail(error)
        elif turn == SERVER_HELLO:
            self._end.turn(FINISHED)
            self._succeed()
        elif turn == FINISHED:
            self._succeed()
        else:
            self.fail("tlsv1 alert handshake failure")

    def fail(self, error: str) -> None:
        self._end.handshake_failed()
        self.done(error, "", "")

    def _succeed(self) -> None:
        self.stop()
        self._end.handshake_done()
        self.done("", VERSION, CIPHER)

    def _on_timeout(self) -> None:
        self.fail("handshake timed out")
