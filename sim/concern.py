"""Concern: which of all that happened has to do with one violation: its messages, their deliveries and dialogues, and every crash and fault."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from sim import contents
from sim.chronicle import Moment, Record
from sim.facts import (
    Arrived,
    Compared,
    Configured,
    Crashed,
    Fact,
    FaultEnded,
    FaultInjected,
    FaultsEnded,
    Hung,
    Leftovers,
    Noted,
    Promised,
    QueueSeen,
    Spoke,
    Stopped,
    Submitted,
    TlsBegan,
)
from sim.observer import Violation
from smx import notes
from smx.effects import Append, Arm, Disarm, Store, Sync
from smx.events import Expired, Stored, Synced, SyncFailed
from smx.ids import TEXT_OCTETS, id_number, id_text

WORLD: Final = (Crashed, Stopped, FaultInjected, FaultEnded, FaultsEnded, Compared)  # they concern everybody
NEVER: Final = (Configured, QueueSeen, Leftovers, TlsBegan, Hung, Arm, Disarm, Expired)
WORLD_NOTES: Final = ("recovering", "recovered", "damaged", "quarantined", "halted", "trouble")
WORLD_LANES: Final = ("strike", "fault", "machine", "world")
_FOREIGN: Final = 0


class Links:
    """How the names of one message hang together, learned from the whole run: token, transaction, deliveries, reports."""

    def __init__(self, moments: Iterable[Moment]) -> None:
        self.transactions: Final[dict[str, list[int]]] = {}  # token -> transactions
        self.tokens: Final[dict[int, str]] = {}
        self.deliveries: Final[dict[int, int]] = {}  # delivery -> transaction
        self.reports: Final[dict[int, int]] = {}  # transaction of a DSN -> that which it is about
        for moment in moments:
            learn = _LEARN.get(type(moment.what))
            if learn is not None:
                learn(self, moment.what)

    def _join(self, token: str, transaction: int) -> None:
        self.transactions.setdefault(token, [])
        if transaction and transaction not in self.tokens:
            self.tokens[transaction] = token
            self.transactions[token].append(transaction)

    def _submitted(self, fact: Submitted) -> None:
        self._join(fact.token, _FOREIGN)

    def _named(self, fact: Promised | Arrived) -> None:
        if fact.token:
            self._join(fact.token, fact.transaction)

    def _noted(self, fact: Noted) -> None:
        if fact.name == "bounced":
            self.reports[fact.values[2]] = fact.values[0]
        elif fact.name == "begun":
            self.deliveries[fact.values[0]] = fact.values[1]

    def _written(self, effect: Append) -> None:
        """Content names its token and, in our Received field, its transaction."""
        at = effect.data.find(b"Received: ") if effect.store == "cdb" else -1
        if at >= 0:
            read = contents.read(effect.data[at:])
            if read.token and read.transaction and not contents.is_report(effect.data[at:]):
                self._join(read.token, read.transaction)


_LEARN: Final[dict[type, Any]] = {Submitted: Links._submitted, Promised: Links._named, Arrived: Links._named, Noted: Links._noted, Append: Links._written}


class Concern:
    """Messages by token and transaction; `processes`: those whose every step concerns, when no message does."""

    def __init__(self, links: Links, tokens: Iterable[str] = (), transactions: Iterable[int] = (), processes: Iterable[str] = ()) -> None:
        self.links: Final = links
        self.tokens: Final = set(tokens)
        self.transactions: Final = set(transactions)
        self.tokens.update(links.tokens[number] for number in self.transactions if number in links.tokens)
        for token in sorted(self.tokens):
            self.transactions.update(links.transactions.get(token, ()))
        self.transactions.update(report for report, about in links.reports.items() if about in self.transactions)
        self.deliveries: Final = {delivery for delivery, transaction in links.deliveries.items() if transaction in self.transactions}
        self.processes: Final = set() if self.tokens or self.transactions else set(processes)
        self.everything: Final = not (self.tokens or self.transactions or self.processes)
        self._needles: Final = _needles(self.tokens, self.transactions)

    @staticmethod
    def of(violation: Violation, links: Links) -> "Concern":
        """Of what its facts and its words name."""
        tokens, transactions, processes = [], [], []
        for fact in violation.facts:
            tokens.append(getattr(fact, "token", ""))
            transactions.append(getattr(fact, "transaction", 0))
            processes.append(getattr(fact, "process", ""))
            if type(fact) is Noted:
                transactions += [value for field, value in _fields(fact) if field == "transaction"]
        for word in violation.what.replace(",", " ").replace(":", " ").replace("'", " ").split():
            if word in links.transactions:
                tokens.append(word)
            elif len(word) == TEXT_OCTETS:
                transactions += _number(word)
        return Concern(links, filter(None, tokens), filter(None, transactions), filter(None, processes))

    def relevant(self, moments: Sequence[Moment]) -> Iterator[Moment]:
        """Those that concern, in order."""
        spoken = self.spoken(moments)
        watch = _Pending()
        for number, moment in enumerate(moments):
            what = moment.what
            if isinstance(what, NEVER):
                continue
            if number in spoken or watch.ends(moment) or self._touches(moment):
                watch.began(moment)
                yield moment
            elif watch.begins(moment):
                yield moment

    def _touches(self, moment: Moment) -> bool:
        what = moment.what
        if isinstance(what, Record):
            return moment.lane in WORLD_LANES or what.kind in ("begins", "ends") or _is_fault(what.kind)
        if isinstance(what, WORLD):
            return True
        if self.everything or moment.lane in self.processes:
            return True
        if isinstance(what, Noted):
            return what.name in WORLD_NOTES or any(self._means(field, value) for field, value in _fields(what))
        if isinstance(what, Spoke):
            return False
        if isinstance(what, Fact):
            return getattr(what, "token", "") in self.tokens or getattr(what, "transaction", 0) in self.transactions
        return self._mentions(what)

    def _means(self, field: str, value: Any) -> bool:
        return (field in ("transaction", "notification") and value in self.transactions) or (field == "delivery" and value in self.deliveries)

    def _mentions(self, value: Any) -> bool:
        """Whether a structure names one of the messages anywhere."""
        if isinstance(value, bytes):
            return any(needle in value for needle in self._needles)
        if isinstance(value, tuple):
            return any(self._mentions(part) for part in value)
        if isinstance(value, msgspec.Struct):
            for name in value.__struct_fields__:
                part = getattr(value, name)
                if self._means(name, part) or (isinstance(part, bytes | tuple | msgspec.Struct) and self._mentions(part)):
                    return True
        return False

    def spoken(self, moments: Sequence[Moment]) -> set[int]:
        """The numbers of those moments that are a part of a dialogue about one of the messages: from MAIL on until the next one."""
        found: set[int] = set()
        parts: dict[int, list[int]] = {}
        hits: set[int] = set()
        for number, moment in enumerate(moments):
            if type(moment.what) is not Spoke:
                continue
            connection, data = moment.what.connection, moment.what.data
            if b"MAIL FROM:" in data[:256].upper() and moment.what.ours == moment.what.process.startswith("smtpc"):
                self._end(connection, parts, hits, found)
            parts.setdefault(connection, []).append(number)
            if self._mentions(data):
                hits.add(connection)
        for connection in list(parts):
            self._end(connection, parts, hits, found)
        return found

    @staticmethod
    def _end(connection: int, parts: dict[int, list[int]], hits: set[int], found: set[int]) -> None:
        numbers = parts.pop(connection, [])
        if connection in hits:
            hits.discard(connection)
            found.update(numbers)


class _Pending:
    """What was written for a message and is not durable yet: the sync that makes it so concerns as well, and its end."""

    def __init__(self) -> None:
        self._written: dict[tuple[str, str], set[int]] = {}
        self._syncs: set[tuple[str, str, int]] = set()

    def began(self, moment: Moment) -> None:
        what = moment.what
        if isinstance(what, Append):
            self._written.setdefault((moment.lane, what.store), set()).add(what.segment)
        elif isinstance(what, Store):
            self._syncs.add((moment.lane, "defedb", what.request))

    def begins(self, moment: Moment) -> bool:
        what = moment.what
        if not isinstance(what, Sync):
            return False
        if not self._written.get((moment.lane, what.store), set()).intersection(what.segments):
            return False
        self._written[moment.lane, what.store].clear()
        self._syncs.add((moment.lane, what.store, what.token))
        return True

    def ends(self, moment: Moment) -> bool:
        what = moment.what
        if isinstance(what, Synced | SyncFailed):
            key = (moment.lane, what.store, what.token)
        elif isinstance(what, Stored):
            key = (moment.lane, "defedb", what.request)
        else:
            return False
        known = key in self._syncs
        self._syncs.discard(key)
        return known


def _needles(tokens: Iterable[str], transactions: Iterable[int]) -> tuple[bytes, ...]:
    """Octets that give a message away: its token in content, its id as text and in a record of the log."""
    found = [b"X-Token: " + token.encode() + b"\r\n" for token in tokens]
    for number in transactions:
        found += [id_text(number).encode(), b"\xcf" + number.to_bytes(8, "big")]
    return tuple(found)


def _fields(fact: Noted) -> Iterator[tuple[str, Any]]:
    """Names and values of a note, as they are."""
    kind = notes.NOTES.get(fact.name)
    for field, value in zip(kind.fields if kind is not None else (), fact.values, strict=False):
        yield field.partition(":")[0], value


def _number(word: str) -> list[int]:
    try:
        return [id_number(word)]
    except ValueError:
        return []


def _is_fault(kind: str) -> bool:
    return kind[:1] == "F" and kind[1:2].isdigit()
