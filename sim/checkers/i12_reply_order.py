"""I12: replies match commands, also under pipelining (RFC 2920): none without a command, none of the wrong kind, none that overtakes.

The dialogues are followed by sim.spoken.
"""

from sim.duplicates import Outlook
from sim.facts import Fact
from sim.ledger import Ledger
from sim.observer import Handlers, Violation, violate


class RepliesInOrder:
    id = "I12"
    sentence = "each command gets its own reply, in the order of the commands"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self.handlers: Handlers = {}
        ledger.dialogues.on_disorder = self._disorder

    def _disorder(self, at: int, what: str, fact: Fact) -> None:
        violate(self, at, what, fact)

    def finish(self, at: int) -> None:
        pass
