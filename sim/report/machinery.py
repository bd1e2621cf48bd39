"""Machinery: the lanes of processes, of the disk and of the world: what lives, syncs, fails and has no power, as bars; crashes as marks."""

from collections.abc import Callable
from typing import Final

from sim.chronicle import WORLD, Moment, Record
from sim.facts import Crashed, FaultEnded, FaultInjected, FaultsEnded, Noted
from sim.report.parts import Bar, Canvas
from smx.effects import CommitDeposit, Store, Sync
from smx.events import Deposited, DepositFailed, Stored, Synced, SyncFailed

DISK: Final = "disk"


class Machinery:
    """Takes every moment in order, with what it says in words."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas: Final = canvas
        self._living: dict[str, Bar] = {}
        self._recovering: dict[str, Bar] = {}
        self._syncs: dict[tuple[str, str, int], Bar] = {}
        self._faults: dict[tuple[str, str], Bar] = {}
        self._dark: Bar | None = None

    def take(self, moment: Moment, text: str) -> None:
        what = moment.what
        if type(what) is Record:
            self._record(moment, what)
            return
        handler = _NOTED.get(what.name) if type(what) is Noted else _HANDLERS.get(type(what))
        if handler is not None:
            handler(self, moment, what, text)

    # --- processes and power ----------------------------------------------------------------------------------------

    def _record(self, moment: Moment, record: Record) -> None:
        at, lane = moment.at, moment.lane
        if record.kind == "begins":
            self._living[lane] = self._canvas.bar(lane, at, "alive", f"{lane}, epoch {record.payload}")
        elif record.kind == "ends":
            self._end(lane, at)
        elif lane == "machine" and record.kind == "power loss":
            for process in list(self._living):
                self._end(process, at)
            for key in list(self._syncs):
                self._syncs.pop(key).until = at
            self._dark = self._canvas.bar(WORLD, at, "dark", "no power")
        elif lane == "machine" and record.kind == "power on" and self._dark is not None:
            self._dark.until = at
            self._dark = None

    def _end(self, process: str, at: int) -> None:
        for bars in (self._living, self._recovering):
            bar = bars.pop(process, None)
            if bar is not None:
                bar.until = at
        for key in [key for key in self._syncs if key[0] == process]:
            self._syncs.pop(key).until = at

    # --- the disk ---------------------------------------------------------------------------------------------------

    def _sync(self, moment: Moment, what: Sync, text: str) -> None:
        self._syncs[moment.lane, what.store, what.token] = self._canvas.bar(DISK, moment.at, "sync", f"{moment.lane}: sync of {what.store}")

    def _store(self, moment: Moment, what: Store, text: str) -> None:
        self._syncs[moment.lane, "defedb", what.request] = self._canvas.bar(DISK, moment.at, "sync", f"{moment.lane}: {text}")

    def _deposit(self, moment: Moment, what: CommitDeposit, text: str) -> None:
        self._syncs[moment.lane, "deposit", what.deposit] = self._canvas.bar(DISK, moment.at, "sync", f"{moment.lane}: {text}")

    def _synced(self, moment: Moment, what: Synced | SyncFailed, text: str) -> None:
        self._done(moment, what.store, what.token, f"fails: {what.reason}" if isinstance(what, SyncFailed) else "")

    def _stored(self, moment: Moment, what: Stored, text: str) -> None:
        self._done(moment, "defedb", what.request, what.error)

    def _deposited(self, moment: Moment, what: Deposited | DepositFailed, text: str) -> None:
        self._done(moment, "deposit", what.deposit, "" if type(what) is Deposited else "fails")

    def _done(self, moment: Moment, store: str, number: int, error: str) -> None:
        bar = self._syncs.pop((moment.lane, store, number), None)
        if bar is not None:
            bar.until = moment.at
            bar.text += f": {error}" if error else ", done"

    # --- faults -----------------------------------------------------------------------------------------------------

    def _fault(self, moment: Moment, what: FaultInjected, text: str) -> None:
        self._faults[what.fault, what.place] = self._canvas.bar(WORLD, moment.at, "fault", text)
        if not what.place:
            self._faults.pop((what.fault, what.place)).until = moment.at

    def _fault_ended(self, moment: Moment, what: FaultEnded, text: str) -> None:
        bar = self._faults.pop((what.fault, what.place), None)
        if bar is not None:
            bar.until = moment.at

    def _faults_ended(self, moment: Moment, what: FaultsEnded, text: str) -> None:
        for key in list(self._faults):
            self._faults.pop(key).until = moment.at
        self._canvas.mark(WORLD, moment.at, "", "calm", "calm", text)

    def _crashed(self, moment: Moment, what: Crashed, text: str) -> None:
        lane = WORLD if what.how == "power" else what.process
        self._canvas.mark(lane, moment.at, "", "crash", "power" if what.how == "power" else what.how, text)

    # --- notes ------------------------------------------------------------------------------------------------------

    def _started(self, moment: Moment, what: Noted, text: str) -> None:
        if moment.lane == "qmgr":
            self._recovering["qmgr"] = self._canvas.bar("qmgr", moment.at, "recovering", "recovery")

    def _ready(self, moment: Moment, what: Noted, text: str) -> None:
        bar = self._recovering.pop(moment.lane, None)
        if bar is not None:
            bar.until = moment.at


_HANDLERS: Final[dict[type, Callable[..., None]]] = {
    Sync: Machinery._sync,
    Store: Machinery._store,
    CommitDeposit: Machinery._deposit,
    Synced: Machinery._synced,
    SyncFailed: Machinery._synced,
    Stored: Machinery._stored,
    Deposited: Machinery._deposited,
    DepositFailed: Machinery._deposited,
    FaultInjected: Machinery._fault,
    FaultEnded: Machinery._fault_ended,
    FaultsEnded: Machinery._faults_ended,
    Crashed: Machinery._crashed,
}
_NOTED: Final[dict[str, Callable[..., None]]] = {"started": Machinery._started, "ready": Machinery._ready}
