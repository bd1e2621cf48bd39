"""Sightings: which rare states a run has reached ("sometimes" markers): proof that what must hold there was tested there.

A crash falls into a window when what had been said last about a message or a delivery was

    submission      submitted, and not yet durable                    cut-through   begun, and not durable (A12)
    answer          durable, and the 250 not yet sent (A9)            expansion     expanded, and the alias not recorded (A7)
    dot             the final dot, and no reply to it                 notification  failed, and the sender not yet told with a record (A6)
    reply           the peer's reply, and our record not synced (A13)
"""

from collections.abc import Callable
from typing import Any, Final

from sim.facts import POWER, Crashed, FaultInjected, Noted, Refused
from sim.ledger import words
from sim.observer import Handlers

BETWEEN_REPLY_AND_RECORD: Final = "between the peer's 250 and our record"
WINDOWS: Final = {
    "submission": "between submission and its record",
    "answer": "between the record and our 250",
    "dot": "between dot and 250",
    "reply": BETWEEN_REPLY_AND_RECORD,
    "cut-through": "in the window of cut-through",
    "expansion": "in the window of an expansion",
    "notification": "in the window of a notification",
}
SEEN: Final = (
    *WINDOWS.values(),
    "torn tail",
    "spilled",
    "relocated",
    "copied forward",
    "poison set aside",
    "a full disk refused mail",
    "a destination died",
    "a destination came back",
    "the sync of a log failed",
    "the wall clock jumped over the expiry",
)
QMGR: Final = ("qmgr", POWER)


class Sightings:
    """An observer of facts; `mark` is told the name of each state that is reached."""

    def __init__(self, mark: Callable[[str], None], give_up_us: int) -> None:
        self._mark = mark
        self._give_up_us = give_up_us
        self._open: dict[str, dict[Any, None]] = {name: {} for name in WINDOWS}
        self._durable: dict[int, None] = {}
        self.handlers: Handlers = {
            Crashed: self._on_crashed,
            Refused: self._on_refused,
            FaultInjected: self._on_fault,
            "submitted": self._on_submitted,
            "durable": self._on_durable,
            "accepted": lambda fact: self._close("answer", fact.values[1]),
            "begun": self._on_begun,
            "dot": lambda fact: self._begin("dot", fact.values[0]),
            "replied": self._on_replied,
            "verdict": self._on_verdict,
            "recorded": self._on_recorded,
            "expanded": lambda fact: self._begin("expansion", fact.values[:2]),
            "bounced": lambda fact: self._close("notification", fact.values[0]),
            "unbounced": lambda fact: self._close("notification", fact.values[0]),
            "closed": lambda fact: self._close("cut-through", fact.values[0]),
            "damaged": self._on_damaged,
            "quarantined": lambda fact: mark("poison set aside") if "crashes" in words(fact.values[2]) else None,
            "destination": lambda fact: mark("a destination died" if fact.values[1] == "dead" else "a destination came back"),
            "clock": self._on_clock,
            "spilled": lambda _: mark("spilled"),
            "relocated": lambda _: mark("relocated"),
            "copied": lambda _: mark("copied forward"),
        }

    def _begin(self, window: str, key: Any) -> None:
        self._open[window][key] = None

    def _close(self, window: str, key: Any) -> None:
        self._open[window].pop(key, None)

    # --- messages and deliveries --------------------------------------------------------------------------------------

    def _on_submitted(self, fact: Noted) -> None:
        self._begin("submission", fact.values[0])

    def _on_durable(self, fact: Noted) -> None:
        transaction = fact.values[0]
        self._durable[transaction] = None
        self._close("submission", transaction)
        self._close("cut-through", transaction)
        self._begin("answer", transaction)

    def _on_begun(self, fact: Noted) -> None:
        if fact.values[1] not in self._durable:
            self._begin("cut-through", fact.values[1])

    def _on_replied(self, fact: Noted) -> None:
        self._close("dot", fact.values[0])
        if fact.values[2] < 300:
            self._begin("reply", fact.values[1])

    def _on_verdict(self, fact: Noted) -> None:
        if fact.values[3] == "failed":
            self._begin("notification", fact.values[0])

    def _on_recorded(self, fact: Noted) -> None:
        self._close("reply", fact.values[0])
        self._close("expansion", fact.values[:2])

    # --- what goes wrong ------------------------------------------------------------------------------------------------

    def _on_crashed(self, fact: Crashed) -> None:
        process = fact.process
        for window, keys in self._open.items():
            if not keys:
                continue
            if process in QMGR or (window in ("dot", "reply") and process.startswith("smtpc")) or (window == "answer" and process.startswith("smtps")):
                self._mark(WINDOWS[window])
                keys.clear()

    def _on_refused(self, fact: Refused) -> None:
        if fact.code == 452 and "4.3.1" in fact.text:
            self._mark("a full disk refused mail")

    def _on_fault(self, fact: FaultInjected) -> None:
        if fact.fault in ("F7", "F8") and fact.process:
            self._mark("the sync of a log failed")

    def _on_damaged(self, fact: Noted) -> None:
        if words(fact.values[4]).startswith("torn end"):
            self._mark("torn tail")

    def _on_clock(self, fact: Noted) -> None:
        if fact.values[0] > self._give_up_us:
            self._mark("the wall clock jumped over the expiry")
