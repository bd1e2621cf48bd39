"""Session and message of the LDA: one LMTP connection, and the message it is handing over."""

from typing import Final

from smx.smtp.address import Mailbox
from smx.smtp.facts import ContentFacts
from smx.smtp.reply import Reply
from smx.smtp.server import ServerDialogue


class Deposit:
    """One recipient's copy. `number` is 0 until its file is begun; `reply` is None until its fate is known."""

    __slots__ = ("directory", "name", "number", "recipient", "reply")

    def __init__(self, recipient: Mailbox, directory: str) -> None:
        self.recipient: Final = recipient
        self.directory: Final = directory
        self.number = 0
        self.name = ""
        self.reply: Reply | None = None


class Message:
    """A transaction: the recipients so far and the content, which is kept in memory until the files are begun.

    `begun`: the deposits are open, what comes is written at once. `facts` is not None once the content is complete.
    """

    __slots__ = ("begun", "chunks", "deposits", "facts", "octets", "reverse_path", "session", "session_id", "waiting")

    def __init__(self, session: "Session", reverse_path: bytes) -> None:
        self.session: Session | None = session
        self.session_id: Final = session.id
        self.reverse_path: Final = reverse_path
        self.deposits: Final[list[Deposit]] = []
        self.chunks: list[bytes] = []
        self.octets = 0
        self.begun = False
        self.waiting = False
        self.facts: ContentFacts | None = None


class Session:
    """One connection. `deadline`: when the client has been silent for too long; `unread`: octets it may not have taken yet."""

    __slots__ = ("connection", "deadline", "dialogue", "id", "message", "reading", "unread")

    def __init__(self, connection: int, number: int, dialogue: ServerDialogue) -> None:
        self.connection: Final = connection
        self.id: Final = number
        self.dialogue: Final = dialogue
        self.message: Message | None = None
        self.deadline = 0
        self.reading = True
        self.unread = 0
