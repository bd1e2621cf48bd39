"""Links: who is linked, who may use which ids, and whose content segments are whose (A3, A11, SX29).

Transaction ids come in blocks. Block 0 of each epoch is QMGR's own, for its DSNs; each SMTPS gets another one when its link opens and
whenever it asks. No block is granted twice in an epoch; when they run out QMGR ends itself, and its next epoch has new ones.

A content segment has a writer. SMTPS says what it has open when its link opens, and seals it one by one. When MCP says that a process
has ended, and its link has ended too (so that its last words were heard), its segments have no writer any more.
"""

from typing import TYPE_CHECKING, Final

from smx.effects import ListStore
from smx.events import Listed
from smx.ids import BLOCK_MAX, SEQUENCE_MAX, epoch_of_segment, transaction_id
from smx.messages import Granted, ProcessGone

if TYPE_CHECKING:
    from smx.qmgr.hub import Hub

SMTPS: Final = "smtps."
SMTPC: Final = "smtpc."


class Links:
    """Processes and their epochs."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self.epochs: dict[str, int] = {}  # of the linked processes
        self._dead: dict[int, None] = {}  # epochs of processes that have ended while their link was open
        self._block = 0  # the last one given out
        self._own_block = 0
        self._own_sequence = 0

    # --- processes ------------------------------------------------------------------------------------------------

    def linked(self, process: str, epoch: int) -> None:
        self.epochs[process] = epoch

    def unlinked(self, process: str, epoch: int) -> None:
        if self.epochs.get(process) == epoch:
            del self.epochs[process]
        if epoch in self._dead:
            del self._dead[epoch]
            self._writer_gone(epoch)

    def process_gone(self, message: ProcessGone) -> None:
        """MCP saw it end. What it said before may still be on its way."""
        if self.epochs.get(message.process) == message.epoch:
            self._dead[message.epoch] = None
        else:
            self._writer_gone(message.epoch)

    def servers(self) -> list[str]:
        """The linked SMTPS processes."""
        return [process for process in self.epochs if process.startswith(SMTPS)]

    # --- content segments -----------------------------------------------------------------------------------------

    def writing(self, process: str, segments: tuple[int, ...]) -> None:
        hub = self._hub
        epoch = self.epochs.get(process, 0)
        own = [segment for segment in segments if epoch_of_segment(segment) == epoch]
        hub.references.writing(epoch, own)

        def listed(event: Listed) -> None:
            """A link that was lost may have taken with it that a segment of which QMGR had never heard was sealed. Later ones may be new."""
            for file in event.files:
                if epoch_of_segment(file.segment) == epoch and file.segment < max(own, default=0) and file.segment not in own:
                    hub.references.sealed(file.segment)

        hub.effects.append(ListStore("cdb", hub.request(listed)))

    def _writer_gone(self, epoch: int) -> None:
        """It may have left segments that nothing ever referred to: look."""
        hub = self._hub
        hub.references.writer_gone(epoch)

        def listed(event: Listed) -> None:
            hub.references.discovered([file.segment for file in event.files])

        hub.effects.append(ListStore("cdb", hub.request(listed)))

    # --- transaction ids ------------------------------------------------------------------------------------------

    def grant(self, process: str) -> None:
        """A fresh block for an SMTPS."""
        block = self._next_block()
        if block is not None:
            self._hub.tell(process, Granted(self._hub.epoch, block))

    def granted(self, block: int) -> bool:
        """Was this block given to an SMTPS?"""
        return 0 < block <= self._block and block != self._own_block

    def own_transaction(self) -> int:
        """A fresh id for a DSN."""
        if self._own_sequence > SEQUENCE_MAX:
            block = self._next_block()
            self._own_block = self._own_block if block is None else block
            self._own_sequence = 0
        self._own_sequence += 1
        return transaction_id(self._hub.epoch, self._own_block, self._own_sequence - 1)

    def _next_block(self) -> int | None:
        if self._block == BLOCK_MAX:
            self._hub.halt("every block of transaction ids of this epoch was given out")
            return None
        self._block += 1
        return self._block
