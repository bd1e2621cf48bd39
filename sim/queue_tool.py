"""Queue tool: asks QMGR what is queued, over a link of its own as `smx queue` does. The answer comes when QMGR has it; who asks looks again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from smx import messages as msg
from smx.events import Linked, Told
from smx.messages import AnyMessage

if TYPE_CHECKING:
    from sim.host import Machine
    from sim.process import Process

NAME: Final = "admin.1"
PAGE: Final = 500
RESTING: Final = ("held", "quarantined")  # an operator has to do something


class _Ear:
    """The tool's end of a link to one QMGR: keeps what it is told."""

    def __init__(self, qmgr: Process) -> None:
        self.qmgr = qmgr
        self.up = True
        self.asked = 0
        self.listed: msg.QueueListed | None = None
        self.figures: dict[str, int] = {}

    def tell(self, message: AnyMessage) -> None:
        if isinstance(message, msg.QueueListed) and message.request == self.asked:
            self.listed = message
        elif isinstance(message, msg.Status):
            self.figures = dict(message.figures)

    def hang_up(self) -> None:
        self.up = False

    def lose_unsent(self) -> None:
        """Nothing is on its way: it hears at once."""


class QueueTool:
    """One question at a time."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._ear: _Ear | None = None
        self._rows: list[msg.QueueRow] = []

    def is_empty(self) -> bool:
        """Whether the last question found nothing that will still be tried; asks the next one. False while QMGR does not serve."""
        listed = self._ear.listed if self._ear is not None and self._ear.up else None
        self._ask(0, -1, PAGE)
        if listed is None and self._ear is not None:
            listed = self._ear.listed
        return listed is not None and not listed.more and all(row.state in RESTING for row in listed.rows)

    @property
    def resting(self) -> bool:
        """The last answer held something that waits for an operator."""
        listed = self._ear.listed if self._ear is not None else None
        return listed is not None and any(row.state in RESTING for row in listed.rows)

    def release(self) -> None:
        """What was set aside may be tried again."""
        ear = self._link()
        if ear is not None:
            ear.listed = None
            ear.qmgr.deliver(Told(NAME, msg.QueueChange(0, "release", msg.Filter(state="quarantined"), who="the operator")))

    def begin_listing(self) -> None:
        """Ask for everything that is queued."""
        self._rows = []
        self._ask(0, -1, PAGE)

    def listing(self) -> tuple[msg.QueueRow, ...] | None:
        """Everything, once the last page has come; None until then."""
        while self._ear is not None and (listed := self._ear.listed) is not None:
            self._rows += listed.rows
            if not listed.more:
                return tuple(self._rows)
            self._ask(self._rows[-1].transaction, self._rows[-1].index, PAGE)
        return None

    def figures(self) -> dict[str, int]:
        """QMGR's own numbers, as the last answer had them; asks anew."""
        ear = self._link()
        if ear is None:
            return {}
        figures = ear.figures
        ear.qmgr.deliver(Told(NAME, msg.StatusAsked(0)))
        return figures

    def _ask(self, after_transaction: int, after_index: int, limit: int) -> None:
        ear = self._link()
        if ear is not None:
            ear.asked += 1
            ear.listed = None
            ear.qmgr.deliver(Told(NAME, msg.QueueList(ear.asked, msg.Filter(), after_transaction, after_index, limit)))

    def _link(self) -> _Ear | None:
        """To the QMGR of the moment; None while there is none that serves."""
        qmgr = self._machine.processes.get("qmgr")
        if qmgr is None or not qmgr.alive or not qmgr.ready:
            self._ear = None
            return None
        if self._ear is None or self._ear.qmgr is not qmgr:
            self._ear = _Ear(qmgr)
            qmgr.links.ends[NAME] = self._ear  # type: ignore[assignment]
            qmgr.deliver(Linked(NAME, 1))
        return self._ear
