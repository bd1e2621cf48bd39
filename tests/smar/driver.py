"""A driver for SMAR: answers its questions from a zone and from maps, all within one call, and gives what it told."""

from smx.config.schema_smar import SmarSettings
from smx.effects import AnyEffect, LoadMap, Lookup, Query, Tell
from smx.events import Answered, AnyEvent, DnsRecord, Linked, LookedUp, MapLoaded, Started, Told
from smx.messages import CheckRecipient, RecipientChecked, Resolve, Resolved
from smx.smar.machine import Smar
from smx.units import HOUR, SECOND

Zone = dict[tuple[str, str], str | tuple[str, ...]]
HOUR_US = HOUR


def answer(request: int, found: str | tuple[str, ...], ttl_us: int = HOUR_US, name: str = "") -> Answered:
    """`found` is a status ("" in a zone: no answer ever), or record values; "10 mx.example.org" is an MX record, "0 " the null MX."""
    if isinstance(found, str):
        return Answered(request, found, ttl_us=ttl_us, name=name)
    records = []
    for value in found:
        preference, space, host = value.partition(" ")
        records.append(DnsRecord(int(preference), host) if space else DnsRecord(0, value))
    return Answered(request, "OK", tuple(records), ttl_us, name)


class Driver:
    """SMAR with a clock, a zone and maps. A map that is None is not loaded yet; a str is an error; a dict its rows."""

    def __init__(self, settings: SmarSettings, zone: Zone | None = None, maps: dict[str, dict[str, str] | str | None] | None = None, seed: int = 1) -> None:
        self.smar = Smar(settings)
        self.zone = zone or {}
        self.maps = maps or {}
        self.now = SECOND
        self.queries: list[tuple[str, str]] = []
        self.effects: list[AnyEffect] = []
        self.told: list[tuple[str, RecipientChecked | Resolved]] = []
        self.step(Started(7, seed))
        self.step(Linked("qmgr", 1))
        self.step(Linked("smtps.mx.0", 1))
        self.effects.clear()

    def step(self, event: AnyEvent) -> None:
        """One event, and all events that follow from it."""
        inbox = [event]
        while inbox:
            for effect in self.smar.step(inbox.pop(0), self.now):
                self.effects.append(effect)
                inbox += self._completion(effect)

    def _completion(self, effect: AnyEffect) -> list[AnyEvent]:
        match effect:
            case Query(request, name, kind):
                self.queries.append((name, kind))
                found = self.zone.get((name, kind), "NODATA" if any(n == name for n, _ in self.zone) else "NXDOMAIN")
                return [answer(request, found)] if found else []
            case LoadMap(name):
                rows = self.maps.get(name)
                if isinstance(rows, str):
                    return [MapLoaded(name, (), 0, rows)]
                return [MapLoaded(name, tuple(rows.items()), 1)] if rows is not None else []
            case Lookup(request, name, key):
                rows = self.maps.get(name)
                if not isinstance(rows, dict):
                    return [LookedUp(request, "TEMP")]
                return [LookedUp(request, "OK", rows[key]) if key in rows else LookedUp(request, "NOTFOUND")]
            case Tell(process, message):
                assert isinstance(message, RecipientChecked | Resolved)
                self.told.append((process, message))
        return []

    def check(self, recipient: bytes, *, may_relay: bool = False) -> tuple[int, bytes]:
        """(code, enhanced code) at RCPT."""
        self.step(Told("smtps.mx.0", CheckRecipient(1, recipient, b"s@example.com", "192.0.2.9", may_relay=may_relay)))
        process, told = self.told.pop()
        assert process == "smtps.mx.0"
        assert isinstance(told, RecipientChecked)
        return told.code, told.enhanced

    def resolve(self, recipient: bytes, *, reverse_path: bytes = b"s@example.com", expand: bool = True) -> Resolved:
        self.step(Told("qmgr", Resolve(1, recipient, reverse_path, expand)))
        process, told = self.told.pop()
        assert process == "qmgr"
        assert isinstance(told, Resolved)
        return told

    def hosts(self, recipient: bytes) -> list[tuple[str, tuple[str, ...]]]:
        """(name, addresses) of the route, which there must be."""
        route = self.resolve(recipient).route
        assert route is not None
        return [(host.name, host.addresses) for host in route.hosts]

    def refusal(self, recipient: bytes) -> tuple[int, bytes]:
        """(code, enhanced code) of the verdict, which there must be."""
        verdict = self.resolve(recipient).verdict
        assert verdict is not None
        assert verdict.index == -1
        return verdict.code, verdict.enhanced
