"""I6: duplicates only where a crash or a lost reply explains them (A13), and each such event explains one further copy.

Copies are not merged: who stands in an envelope twice, or by name and behind an alias, gets one copy for each (RFC 5321 3.9 leaves that open).

What is known at once is objected to at once: a recipient whose final verdict was synced goes out again. Copies are counted at the end, when the
set that the crashes put at risk is known (sim.duplicates). Notifications are counted by their Message-ID.
"""

from sim.duplicates import ANYBODY, Outlook
from sim.facts import Arrived, Bounced, Fact, Noted, Ordered
from sim.ledger import FINAL, Ledger, Pair, Place, about
from sim.observer import Handlers, Violation, violate


class BoundedDuplicates:
    id = "I6"
    sentence = "no copy arrives twice, unless a crash or a lost reply fell into the window of its delivery"

    def __init__(self, ledger: Ledger, outlook: Outlook) -> None:
        self.violations: list[Violation] = []
        self._ledger = ledger
        self._outlook = outlook
        self._final: dict[Place, Noted] = {}  # the latest final verdict, not synced yet
        self._done: dict[Place, Noted] = {}
        self._copies: dict[Pair, list[Arrived]] = {}
        self._notices: dict[tuple[str, str, str, str, str], list[Bounced]] = {}
        self.handlers: Handlers = {
            Arrived: self._on_arrived,
            Bounced: self._on_bounced,
            Ordered: self._on_ordered,
            "verdict": self._on_verdict,
            "recorded": self._on_recorded,
        }

    # --- what was done goes out again ---------------------------------------------------------------------------------

    def _on_verdict(self, fact: Noted) -> None:
        place = (fact.values[0], fact.values[1])
        if fact.values[3] in FINAL:
            self._final[place] = fact
        else:
            self._final.pop(place, None)  # that of a QMGR which died with it: this one tried again

    def _on_recorded(self, fact: Noted) -> None:
        transaction, index, attempt = fact.values
        verdict = self._final.pop((transaction, index), None)
        if verdict is not None and verdict.values[2] == attempt:
            self._done[transaction, index] = verdict

    def _on_ordered(self, fact: Ordered) -> None:
        if self._ledger.unsafe or self._ledger.lossy:
            return
        for index in fact.indices:
            verdict = self._done.get((fact.transaction, index))
            if verdict is not None:
                violate(self, fact.at, f"recipient {index} was {verdict.values[3]} for good, recorded, and goes out again", verdict, fact)

    # --- copies ---------------------------------------------------------------------------------------------------------

    def _on_arrived(self, fact: Arrived) -> None:
        self._copies.setdefault((fact.token, fact.recipient), []).append(fact)

    def _on_bounced(self, fact: Bounced) -> None:
        self._notices.setdefault((fact.token, fact.recipient, fact.kind, fact.message_id, fact.to), []).append(fact)

    def finish(self, at: int) -> None:
        if self._ledger.unsafe:
            return
        doubled = [(pair, copies) for pair, copies in self._copies.items() if len(copies) > 1]
        repeated = [(key, copies) for key, copies in self._notices.items() if len(copies) > 1]
        if not doubled and not repeated:
            return
        risks = self._outlook.risks()
        for pair, copies in doubled:
            places = self._places(copies, pair[1])
            self._judge(f"{pair[0]} for {pair[1]}", pair, copies, self._asked(copies, pair[1]) - 1 + self._allowed(places, risks))
        for (token, recipient, _, message_id, to), notices in repeated:
            original = about(message_id)
            own = self._ledger.notifications_about(original)
            if self._ledger.lossy and not own:
                continue  # which transactions they were is lost with the log's last lines
            allowed = self._allowed([(notification, index) for notification in own for index in (0, ANYBODY)], risks)
            self._judge(f"the notification {message_id} to {to}", (token, recipient), notices, allowed)

    def _places(self, copies: list[Arrived], recipient: str) -> list[Place]:
        places: dict[Place, None] = {}
        for transaction in dict.fromkeys(copy.transaction for copy in copies):
            places.update(dict.fromkeys(self._ledger.places(transaction, recipient)))
            places[transaction, ANYBODY] = None
        return list(places)

    def _asked(self, copies: list[Arrived], recipient: str) -> int:
        """How many copies the envelopes ask for."""
        envelopes = [self._ledger.envelopes.get(transaction) for transaction in dict.fromkeys(copy.transaction for copy in copies)]
        return max((envelope.places(recipient) for envelope in envelopes if envelope is not None), default=1) or 1

    def _allowed(self, places: list[Place], risks: dict[Place, int]) -> int:
        """Further copies that crashes explain. A lossy log says which recipients, but not how often."""
        found = sum(risks.get(place, 0) for place in places)
        return 1 << 30 if found and self._ledger.lossy else found

    def _judge(self, what: str, pair: Pair, copies: list[Arrived] | list[Bounced], allowed: int) -> None:
        further = len(copies) - 1
        allowed += self._ledger.lost_replies.get(pair, 0)
        if further > allowed:
            facts: tuple[Fact, ...] = tuple(copies)
            violate(self, copies[allowed + 1].at, f"{what} arrived {len(copies)} times, and {allowed} further copies are explained", *facts)
