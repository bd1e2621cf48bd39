"""Tables: what the settings and the maps say, in the form in which flows look it up.

Everything here is answered from memory, except maps that live elsewhere (`passwd` without a file): those are asked by a Lookup.
Keys of maps and aliases fold case, as local parts of local users do.
"""

import hashlib
from typing import Final

from msgspec.structs import replace

from smx.config.mailer_macros import DOMAIN, MACRO_BEGIN, USER, macros_in, with_values
from smx.config.schema_smar import MailerEntry, SmarSettings
from smx.events import MapLoaded
from smx.limits import DOMAIN_OCTETS_MAX, REPLY_TEXT_OCTETS_MAX
from smx.smar.flow import Flow, MapAnswer, MapWanted, ask_map
from smx.smar.names import Name, literal_address, macro_values, same_address, without_detail

ALIASES_MAP: Final = "smar.aliases"  # no map of the configuration can have a dot in its name


class Map:
    """One map. `rows` is None while no version has been loaded; `settled` once the first attempt has ended; `remote` ones are asked."""

    __slots__ = ("name", "remote", "rows", "settled")

    def __init__(self, name: str, rows: dict[str, str] | None = None, *, remote: bool = False) -> None:
        self.name = name
        self.rows = rows
        self.remote = remote
        self.settled = remote or rows is not None


def _maps(settings: SmarSettings) -> dict[str, Map]:
    maps = {}
    for entry in settings.map:
        name = entry.name.lower()
        if entry.type == "inline":
            maps[name] = Map(name, {key.lower(): value for key, value in entry.entries})
        else:
            maps[name] = Map(name, remote=entry.type == "passwd" and not entry.file)
    if settings.aliases.file:
        maps[ALIASES_MAP] = Map(ALIASES_MAP)
    return maps


class Tables:
    """All that a resolution may look at. `trail` collects (rule, what matched) for `smx route --explain` (BX12); None: nobody asks."""

    def __init__(self, settings: SmarSettings, trail: list[tuple[str, str]] | None = None) -> None:
        self.settings = settings
        self.trail = trail
        self.now = 0
        self.seed = 0
        self.hostname = settings.hostname.lower()
        self.postmaster = settings.postmaster.lower()
        self.families = ("A", "AAAA")
        self.local_domains = frozenset(domain.lower() for domain in settings.local_domains)
        self.relay_domains = frozenset(domain.lower() for domain in settings.relay_domains)
        self._local_literals = frozenset(address for domain in settings.local_domains if (address := literal_address(domain)))
        self._own = {(address, settings.smtp_port) for address in self._local_literals}
        for host, port in settings.own_addresses:
            self.add_own_address(host, port)
        self.maps = _maps(settings)
        self._mailers = {entry.pattern.lower(): entry for entry in settings.mailertable}
        self._addressed = frozenset(pattern.rpartition("@")[2] for pattern in self._mailers if "@" in pattern)
        self._aliases_by_local_part = "localpart" in settings.aliases.flags
        self.foreign_aliases = ALIASES_MAP in self.maps and "local_domains" not in settings.aliases.flags
        self._macros = {pattern: macros_in(_right_hand_side(entry)) for pattern, entry in self._mailers.items() if MACRO_BEGIN in _right_hand_side(entry)}
        self._draws = 0

    def explain(self, rule: str, template: str, *values: object) -> None:
        """A line of the trail, when there is one: the rule's name, and what matched."""
        if self.trail is not None:
            self.trail.append((rule, template.format(*(" ".join(v) if isinstance(v, tuple) else v for v in values))))

    # --- domains ----------------------------------------------------------------------------------------------------------

    def is_local(self, domain: str) -> bool:
        """One of local_domains; literals of the same address are the same."""
        return domain in self.local_domains or (domain.startswith("[") and literal_address(domain) in self._local_literals)

    def is_relayed(self, domain: str) -> bool:
        """One of relay_domains; a row `.example.org` there means everything below it."""
        return bool(self.relay_domains) and (domain in self.relay_domains or any(suffix in self.relay_domains for suffix in suffixes(domain)))

    def add_own_address(self, host: str, port: int) -> None:
        """Where this host takes mail (SX46); the unspecified address says nothing of where that is."""
        if host not in ("", "0.0.0.0", "::"):
            self._own.add((same_address(host), port))

    def is_own(self, addresses: tuple[str, ...], port: int) -> bool:
        """Whether one of these leads back here. The port counts: another server may share our address."""
        own = self._own
        return any((address, port) in own for address in addresses)

    def mailer(self, name: Name, *, local: bool) -> MailerEntry | None:
        """The row of the mailer table: the address, the domain, the longest `.suffix`, `*` (SX52). For local domains only the first two.

        Macros in it are filled in (SX51); where that leads to nothing that can be used the row is an error.
        """
        row = self._row(name, local=local)
        if row is None or row.pattern.lower() not in self._macros:
            return row
        return _filled(row, macro_values(name, self.settings.recipient_delimiter))

    def _row(self, name: Name, *, local: bool) -> MailerEntry | None:
        table = self._mailers
        if not table:
            return None
        found = table.get(f"{name.local.lower()}@{name.domain}") if name.domain in self._addressed else None
        found = found or table.get(name.domain)
        if found or local:
            return found
        if not name.domain.startswith("["):
            for suffix in suffixes(name.domain):
                if suffix in table:
                    return table[suffix]
        return table.get("*")

    def uniform(self, domain: str) -> bool:
        """Whether every local part of this domain goes the same way, so that QMGR may remember the route for all of them."""
        if domain in self._addressed or self._goes_by_local_part(domain):
            return False
        if not self.is_local(domain):
            return not self.foreign_aliases
        return ALIASES_MAP not in self.maps and not self.settings.local_user_map and self.postmaster == f"postmaster@{domain}"

    def _goes_by_local_part(self, domain: str) -> bool:
        """Whether macros make the row of this domain another one for each local part."""
        if not self._macros:
            return False
        row = self._row(Name("", domain), local=self.is_local(domain))
        return row is not None and bool(self._macros.get(row.pattern.lower(), frozenset()) - {DOMAIN})

    # --- maps -----------------------------------------------------------------------------------------------------------------

    def loaded(self, event: MapLoaded) -> None:
        """Take a new version of a map; when it could not be read the earlier one stands."""
        known = self.maps.get(event.map)
        if known is None or known.remote:
            return
        known.settled = True
        if not event.error:
            known.rows = {key.lower(): value for key, value in event.rows}

    def lookup(self, name: str, key: str) -> Flow[MapAnswer]:
        """The value of a key of a map: OK, NOTFOUND or TEMP."""
        known = self.maps.get(name)
        if known is None:
            return MapAnswer("TEMP", "")
        if known.remote:
            return (yield from ask_map(name, key))
        if not known.settled:
            yield (MapWanted(name),)
        if known.rows is None:
            return MapAnswer("TEMP", "")
        value = known.rows.get(key.lower())
        return MapAnswer("NOTFOUND", "") if value is None else MapAnswer("OK", value)

    def has_user(self, local: str) -> Flow[str]:
        """OK, NOTFOUND or TEMP: whether the map of local users has this local part, or it without its detail (SX49)."""
        answer = yield from self.lookup(self.settings.local_user_map.lower(), local)
        if answer.status == "NOTFOUND":
            base = without_detail(local, self.settings.recipient_delimiter)
            if base:
                answer = yield from self.lookup(self.settings.local_user_map.lower(), base)
        return answer.status

    def aliases_ready(self) -> Flow[bool]:
        """Wait for the aliases; False when they cannot be read."""
        known = self.maps.get(ALIASES_MAP)
        if known is None:
            return True
        if not known.settled:
            yield (MapWanted(ALIASES_MAP),)
        return known.rows is not None

    def alias(self, name: Name, *, local: bool) -> tuple[str, str] | None:
        """(key, targets) of the first key that the aliases have (SX50): address, address without detail, and for local domains the local part,
        the local part without detail."""
        known = self.maps.get(ALIASES_MAP)
        if known is None or not known.rows or not (local or self.foreign_aliases):
            return None
        rows = known.rows
        base = without_detail(name.local, self.settings.recipient_delimiter).lower()
        for suffix in (f"@{name.domain}", "") if local and self._aliases_by_local_part else (f"@{name.domain}",):
            for part in (name.local.lower(), base):
                value = rows.get(part + suffix) if part else None
                if value is not None:
                    return part + suffix, value
        return None

    def owner(self, key: str) -> str:
        """The key of the alias that gets the errors of a list: `owner-` and its name; "" when there is none."""
        known = self.maps.get(ALIASES_MAP)
        owner = "owner-" + key
        return owner if known is not None and known.rows and owner in known.rows and not key.startswith("owner-") else ""

    # --- chance -------------------------------------------------------------------------------------------------------------

    def draw(self) -> bytes:
        """The key of the next random choice: seed, purpose, number."""
        self._draws += 1
        return b"%d/mx/%d/" % (self.seed, self._draws)


def _right_hand_side(entry: MailerEntry) -> str:
    """All of it in which a macro may stand."""
    return f"{entry.host} {entry.path} {entry.text}"


def _filled(row: MailerEntry, values: dict[str, str]) -> MailerEntry:
    """The row for one recipient. Octets of a peer reach a reply as visible ASCII only, and a path as one component of it."""
    if row.kind == "error":
        text = with_values(row.text, values).encode("ascii", "backslashreplace").decode()
        return replace(row, text="".join(letter if letter.isprintable() else "?" for letter in text)[:REPLY_TEXT_OCTETS_MAX])
    if row.path:
        component = {USER: values[USER].lower(), DOMAIN: values[DOMAIN]}
        if all(_is_component(value) for value in component.values()):
            return replace(row, path=with_values(row.path, component))
        return replace(row, kind="error", code="5.1.1", text="No such user")
    if values[DOMAIN].startswith("["):
        return replace(row, kind="error", code="4.3.5", text="The route configured for this domain needs a name, not an address")
    return replace(row, host=with_values(row.host, values))


def _is_component(text: str) -> bool:
    """One ordinary component of a path: no separator, nothing hidden, nothing that does not print."""
    return bool(text) and len(text.encode()) <= DOMAIN_OCTETS_MAX and text.isprintable() and "/" not in text and " " not in text and text[0] != "."


def lot(key: bytes, host: str) -> bytes:
    """What decides among hosts of equal preference: a hash keyed by the draw."""
    return hashlib.blake2b(key + host.encode("utf-8"), digest_size=8).digest()


def suffixes(domain: str) -> list[str]:
    """`.example.org`, `.org` of mx.example.org: what it lies below, the longest first."""
    found = []
    at = domain.find(".")
    while at >= 0:
        found.append(domain[at:])
        at = domain.find(".", at + 1)
    return found
