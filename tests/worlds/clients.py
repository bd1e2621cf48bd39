"""Clients of a world's server: what each was sent, whether it is read from and open; and a message as a client pipelines it."""

from smx import effects
from smx.effects import AnyEffect


class Clients:
    """By connection."""

    def __init__(self) -> None:
        self.sent: dict[int, bytearray] = {}
        self.reading: dict[int, bool] = {}
        self.closed: set[int] = set()

    def connect(self, connection: int) -> None:
        self.sent[connection] = bytearray()
        self.reading[connection] = True

    def carry_out(self, effect: AnyEffect) -> None:
        """Transmit, Close, Pause, Resume; others do not concern them."""
        match effect:
            case effects.Transmit(connection, data):
                assert connection not in self.closed, "nothing is sent on a closed connection"
                self.sent.setdefault(connection, bytearray()).extend(data)
            case effects.Close(connection, _):
                self.closed.add(connection)
            case effects.Pause(connection):
                self.reading[connection] = False
            case effects.Resume(connection):
                self.reading[connection] = True
            case _:
                pass

    def said(self, connection: int = 1) -> str:
        """What the client has got since the last call."""
        text = self.sent[connection].decode()
        self.sent[connection].clear()
        return text

    def codes(self, connection: int = 1) -> str:
        """The codes of the last lines of the replies since the last call: `250 250 354`."""
        return " ".join(line[:3] for line in self.said(connection).splitlines() if line[3:4] == " ")


def mail(*recipients: bytes, body: bytes = b"Subject: hi\r\n\r\nhello\r\n", sender: bytes = b"a@example.net") -> bytes:
    """A whole pipelined message, without the greeting."""
    wanted = recipients or (b"b@example.org",)
    return b"MAIL FROM:<%b>\r\n" % sender + b"".join(b"RCPT TO:<%b>\r\n" % address for address in wanted) + b"DATA\r\n" + body + b".\r\n"
