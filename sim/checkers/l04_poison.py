"""L4: a message that crashes a process each time is set aside after a few crashes (A14), no other one is, and the others go on."""

from typing import Final

from sim.duplicates import Outlook
from sim.facts import Crashed, Noted
from sim.ledger import Ledger, words
from sim.observer import Handlers, Violation, violate
from smx.limits import CRASHES_MAX

POISON: Final = "crashes"  # in the reason of such a note
CRASHES_MOST: Final = CRASHES_MAX + 3  # in hand with others twice, alone in its turn twice, and once more where a recovery was cut short


class PoisonSetAside:
    id = "L4"
    sentence = "a poison message is quarantined after n crashes, and the others proceed"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self._in_hand: dict[int, set[int]] = {}  # transaction -> epochs of QMGR that handed it out
        self._recovering: set[int] = set()  # epochs: a death within recovery counts for whatever recovery had in hand
        self._crashes: dict[int, list[Crashed]] = {}  # transaction -> crashes that it caused
        self.handlers: Handlers = {
            Crashed: self._on_crashed,
            "begun": self._on_begun,
            "recovering": self._on_recovering,
            "recovered": self._on_recovered,
            "quarantined": self._on_quarantined,
        }

    def _on_begun(self, fact: Noted) -> None:
        self._in_hand.setdefault(fact.values[1], set()).add(fact.epoch)

    def _on_recovering(self, fact: Noted) -> None:
        self._recovering.add(fact.epoch)

    def _on_recovered(self, fact: Noted) -> None:
        self._recovering.discard(fact.epoch)

    def _on_quarantined(self, fact: Noted) -> None:
        transaction, _, reason = fact.values
        if POISON not in words(reason):
            return
        epochs = self._in_hand.get(transaction, set()) | (self._recovering - {fact.epoch})
        if len(epochs - {fact.epoch}) < CRASHES_MAX:
            violate(self, fact.at, f"set aside as poison after {len(epochs - {fact.epoch})} crashes that found it in hand", fact)

    def _on_crashed(self, fact: Crashed) -> None:
        if fact.how != "poison" or not fact.transaction:
            return
        crashes = self._crashes.setdefault(fact.transaction, [])
        crashes.append(fact)
        if len(crashes) == CRASHES_MOST + 1:
            violate(self, fact.at, f"one message has crashed {fact.process} {len(crashes)} times and is not set aside", *crashes)

    def finish(self, at: int) -> None:
        pass
