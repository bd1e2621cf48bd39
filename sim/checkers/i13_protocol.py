"""I13: every dialogue is one that the state tables allow; content ends at CRLF.CRLF only; nothing is left of what came before STARTTLS.

The dialogues are followed by sim.spoken, with the table of smx.smtp.states.
"""

from sim.duplicates import Outlook
from sim.facts import Fact
from sim.ledger import Ledger
from sim.observer import Handlers, Violation, violate


class ProtocolKept:
    id = "I13"
    sentence = "every dialogue is accepted by the state tables, end of data is CRLF.CRLF alone, buffers are empty at STARTTLS"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self.handlers: Handlers = {}
        ledger.dialogues.on_misstep = self._misstep

    def _misstep(self, at: int, what: str, fact: Fact) -> None:
        violate(self, at, what, fact)

    def finish(self, at: int) -> None:
        pass
