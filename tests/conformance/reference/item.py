"""Item: a message in the queue, for the recipients of one domain."""

from dataclasses import dataclass

from tests.conformance.reference.envelope import Envelope
from tests.conformance.reference.grammar import Path


@dataclass
class Item:
    """`next_try` is None while it is under way. `remote`: the host that it was brought to last; `knows_dsn`: that host offers DSN."""

    envelope: Envelope
    domain: str
    content: bytes
    created: float
    next_try: float | None
    remote: str = ""
    knows_dsn: bool = False

    @property
    def waiting(self) -> list[Path]:
        return [path for path, _ in self.envelope.recipients]

    def forget(self, path: Path) -> None:
        self.envelope.recipients = [pair for pair in self.envelope.recipients if pair[0] != path]
