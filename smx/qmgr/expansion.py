"""Expansion: an alias is followed once; others take the recipient's place in the same transaction (A7).

    the transaction's opening is in IBDB     Expanded: closes the alias, opens the others
    the alias lives in DEFEDB only           Opened again, with what is known of the recipients in memory, and the same Expanded within

The record is durable before any of the others is handed out, so the alias is never followed twice: what SMAR said is never asked for again.
A message that is not durable yet is made so first (cut-through cannot record an expansion).

An alias of more than EXPANSION_RECIPIENTS_MAX addresses cannot be followed. Several aliases of one message that together stand for more are
followed one after the other: those that do not fit are deferred. So a message in memory, its copy in the log and each message between two
processes are bounded (I16).

NOTIFY, ORCPT and ENVID follow RFC 3461 5.2.7: one address or several with the same reverse-path inherit them (without SUCCESS when several:
the sender is told "expanded"); behind an owner alias (a list) they get none of them.
"""

from typing import TYPE_CHECKING, Final

import msgspec

from smx.limits import EXPANSION_RECIPIENTS_MAX
from smx.messages import Outcome, Recipient, Resolved, Verdict
from smx.qmgr.envelopes import Entry, Place, Transaction
from smx.qmgr.notifications import Fate, inherited
from smx.qmgr.records import Expanded, VerdictRecord
from smx.qmgr.settlement import Then

if TYPE_CHECKING:
    from smx.qmgr.hub import Hub

REOPENED_SHIFT: Final = 20  # a transaction without opening does not know how many recipients it had: each alias has indices of its own
_TOO_MANY: Final = Verdict(-1, Outcome.FAILED, 554, b"5.3.4", b"the alias stands for too many recipients")
_TOO_MANY_NOW: Final = Verdict(-1, Outcome.DEFERRED, 452, b"4.5.3", b"the aliases of this message stand for too many recipients at once")


class Expansion:
    """Follows aliases."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub

    def expand(self, entry: Entry, answer: Resolved) -> None:
        """SMAR said what the address stands for."""
        hub = self._hub
        transaction = entry.transaction
        if transaction.cut is not None:
            hub.submission.hindered(entry)
            return
        addresses = tuple(dict.fromkeys(answer.expansion))
        assert addresses, "an answer without route, verdict or expansion"
        if len(addresses) > EXPANSION_RECIPIENTS_MAX:
            hub.settlement.attempted(entry, _TOO_MANY, 0, hub.now)
            return
        if len(addresses) + sum(len(expanded.recipients) for expanded in transaction.expansions) > EXPANSION_RECIPIENTS_MAX:
            hub.settlement.attempted(entry, _TOO_MANY_NOW, 0, hub.now)
            return
        listed = answer.reverse_path is not None and answer.reverse_path != entry.reverse_path
        fate = Fate.LISTED if listed else Fate.EXPANDED if len(addresses) > 1 else Fate.FORWARDED
        reverse_path = answer.reverse_path if listed and answer.reverse_path is not None else entry.reverse_path
        recipients = self._recipients(entry, addresses, fate)
        record, then = hub.settlement.expanded(entry, fate)
        override = reverse_path if reverse_path != transaction.envelope.reverse_path else None
        expanded = Expanded(transaction.id, entry.recipient.index, recipients, override, entry.attempt)
        children = self._add(transaction, recipients, reverse_path)
        transaction.expansions = (*transaction.expansions, expanded)
        if transaction.recorded:
            self._write(entry, expanded, record, then, children)
        else:
            self._reopen(entry, children, then)

    def _recipients(self, entry: Entry, addresses: tuple[bytes, ...], fate: Fate) -> tuple[Recipient, ...]:
        hub = self._hub
        transaction = entry.transaction
        first = transaction.next_index if transaction.recorded else (entry.recipient.index + 1) << REOPENED_SHIFT
        notify, orcpt = 0, b""
        if fate is not Fate.LISTED:
            notify, orcpt = inherited(entry.recipient.notify, several=fate is Fate.EXPANDED), entry.recipient.orcpt
        recipients = tuple([Recipient(first + place, address, notify, orcpt) for place, address in enumerate(addresses)])
        for recipient in recipients:
            hub.note("expanded", *entry.key, entry.recipient.address, recipient.address)
            hub.note("recipient", entry.transaction.id, recipient.index, recipient.address, recipient.orcpt, recipient.notify)
        return recipients

    def _add(self, transaction: Transaction, recipients: tuple[Recipient, ...], reverse_path: bytes) -> list[Entry]:
        children = []
        for recipient in recipients:
            child = transaction.add(recipient, reverse_path)
            child.expand = False
            child.place = Place.SETTLING
            children.append(child)
        return children

    def _write(self, entry: Entry, expanded: Expanded, record: VerdictRecord, then: Then, children: list[Entry]) -> None:
        hub = self._hub
        key = entry.key if entry.row else None
        hub.ibdb.append(expanded, (self._durable, (None if record.owed else (entry, then), children)), key)
        if record.owed:
            hub.settlement.write(entry, record, then)

    def _reopen(self, entry: Entry, children: list[Entry], then: Then) -> None:
        """The transaction has no opening any more: give it one. Recipients that are rows only do not stand in it, and stay rows."""
        hub = self._hub
        transaction = entry.transaction
        new = {child.recipient.index for child in children}
        accepted = []
        earlier: dict[bytes | None, list[Recipient]] = {}
        for other in transaction.entries.values():
            if other.recipient.index in new:
                continue
            if other.expand:
                accepted.append(other.recipient)
            else:
                earlier.setdefault(other.override, []).append(other.recipient)
        transaction.envelope = msgspec.structs.replace(transaction.envelope, recipients=tuple(accepted))
        before = tuple([Expanded(transaction.id, entry.recipient.index, tuple(group), path) for path, group in earlier.items()])
        transaction.expansions = (*before, *transaction.expansions)
        transaction.recorded = True
        hub.references.add(transaction.content.segment)
        hub.ibdb.append(transaction.opened(), (self._durable, ((entry, then), children)), transaction.id)

    def _durable(self, made: tuple[tuple[Entry, Then] | None, list[Entry]]) -> None:
        """Now the others may be handed out."""
        parent, children = made
        for child in children:
            child.place = Place.INCOMING
        if parent is not None:
            parent[1](parent[0])
        if children:
            self._hub.dispatch.enter(children[0].transaction)
