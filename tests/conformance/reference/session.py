"""Session: what a server knows of one connection."""

from dataclasses import dataclass, field

from tests.conformance.reference.envelope import Envelope


@dataclass
class Session:
    """`state`: connected, greeted, mail, rcpt, data, sent, reset, quit; handshake, auth; chunk (octets of one are due), chunks (the next one is).

    `inbox`: what was not read yet. `deadline`: when patience ends. `content` to `before`: of BDAT.
    """

    connection: int
    service: str
    source: str
    is_trusted: bool
    state: str = "connected"
    name: str = ""
    protocol: str = "SMTP"
    inbox: bytes = b""
    is_overlong: bool = False
    is_secured: bool = False
    user: str = ""
    content: bytes = b""
    chunk_left: int = 0
    is_last: bool = False
    refused: bool = False
    before: str = ""
    envelope: Envelope = field(default_factory=Envelope)
    deadline: float = 0.0

    def clear(self) -> None:
        """No transaction is open (RFC 5321 4.1.1.5)."""
        self.envelope = Envelope()
        self.content = b""
        self.state = "greeted" if self.name else "connected"

    @property
    def is_binary(self) -> bool:
        """RFC 3030 3."""
        return self.envelope.parameters.get("BODY", "").upper() == "BINARYMIME"
