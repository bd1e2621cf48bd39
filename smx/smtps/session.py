"""Session: one connection of a client, from Accepted to its end."""

from typing import Final

from smx.smtp.server import ServerDialogue
from smx.smtps.transaction import Transaction


class Session:
    """State of one session; the machine and its parts change it. It has at most one transaction at a time.

    `request` is the request whose deciders have not all spoken, `turn` how many have. `deadline`: when the client has been
    silent for too long. `ended`: nothing may be sent any more.
    """

    __slots__ = (
        "admitted",
        "client",
        "client_address",
        "connection",
        "deadline",
        "dialogue",
        "ended",
        "held",
        "helo",
        "host",
        "id",
        "local_host",
        "may_relay",
        "reading",
        "request",
        "tls",
        "transaction",
        "transactions",
        "turn",
        "unread",
    )

    def __init__(self, connection: int, number: int, host: str, local_host: str, dialogue: ServerDialogue, *, may_relay: bool) -> None:
        self.connection: Final = connection
        self.id: Final = number
        self.host: Final = host  # IP address of the client, "" on a UNIX socket
        self.local_host: Final = local_host
        self.dialogue: Final = dialogue
        self.may_relay: Final = may_relay
        self.client_address: Final = f"[{host or 'local'}]"
        self.client: str = self.client_address  # `name [address]` once the client has said its name
        self.helo: bytes = b""
        self.admitted = False  # counted among the sessions of its address
        self.transaction: Transaction | None = None
        self.transactions = 0  # begun in this session
        self.tls = b""  # version and cipher, for the Received field
        self.request: object = None
        self.turn = 0
        self.deadline = 0
        self.reading = True
        self.held = False  # no more content is taken from it until memory or a segment is free
        self.unread = 0  # octets transmitted that the client may not have taken yet
        self.ended = False
