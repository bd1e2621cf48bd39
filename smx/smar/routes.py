"""Routes: from a domain to the hosts that take its mail (RFC 5321 5.1, SX46; mailer table, SX52; LMTP, SX53).

The rules for MX records, in their order:

    no such domain                       5.1.2 for good
    no answer                            4.4.3, the message waits
    null MX (RFC 7505)                   5.1.10 for good
    no MX record                         the domain itself, as if by MX 0
    sorted by preference; equals drawn   anew for each resolution, so QMGR must not remember the order
    a record is this host                by its name, or by address and port: it and all records that are not better are dropped; none left: 5.4.6 for good
    addresses of each host               in the order of the answer, IPv4 before IPv6 (smtpc.ipv6 = no leaves those out)
    no host has an address               5.4.4 for good, or 4.4.3 when one of them could not be asked

A host whose address could not be found now is left out when another one has some. CNAMEs are followed by whoever asks the DNS.
"""

from typing import Final, NamedTuple

from smx import limits
from smx.config.schema_smar import MailerEntry
from smx.events import DnsRecord
from smx.messages import Host, Protocol, Route
from smx.smar import rulings
from smx.smar.flow import DnsAnswer, DnsQuestion, Flow, ask_dns
from smx.smar.names import literal_address
from smx.smar.rulings import Ruling
from smx.smar.tables import Tables, lot
from smx.units import MINUTE

REMEMBERED_US: Final = 5 * MINUTE  # QMGR remembers no route for longer, so that new settings and new records come into force
LOCALHOST: Final = ("127.0.0.1",)  # RFC 6761 6.3: never asked of the DNS
LOCAL_DESTINATION: Final = "local"


class Found(NamedTuple):
    """A route, or the reason why there is none; true until `expires_at` for the whole domain, unless that is 0."""

    result: Route | Ruling
    expires_at: int


class _Exchange(NamedTuple):
    """One MX host; `addresses` () as long as they are not known."""

    preference: int
    host: str
    addresses: tuple[str, ...] = ()


# --- without the DNS --------------------------------------------------------------------------------------------------------


def local_route(tables: Tables) -> Found:
    """To the LMTP server that delivers here (SX53)."""
    socket = tables.settings.lmtp_socket
    tables.explain("local-delivery", "LMTP to {}", socket)
    return Found(Route(LOCAL_DESTINATION, Protocol.LMTP, (Host(LOCAL_DESTINATION, (socket,), 0),)), tables.now + REMEMBERED_US)


def literal_route(tables: Tables, domain: str) -> Found:
    """To the address that stands in the mailbox itself (RFC 5321 4.1.3): no MX look-up."""
    address = literal_address(domain)
    if not address:
        return Found(rulings.BAD_DOMAIN, tables.now + REMEMBERED_US)
    if tables.is_own((address,), tables.settings.smtp_port):
        tables.explain("self", "{} is an address of this host", address)
        return Found(rulings.LOOP, tables.now + REMEMBERED_US)
    tables.explain("literal", "{} stands in the address", address)
    host = Host(domain, (address,), tables.settings.smtp_port)
    return Found(Route(f"[{address}]", Protocol.SMTP, (host,)), tables.now + REMEMBERED_US)


# --- mailer table -----------------------------------------------------------------------------------------------------------


def mailer_route(tables: Tables, row: MailerEntry) -> Flow[Found]:
    """What a row of the mailer table says (SX52)."""
    tables.explain("mailertable", "{}: {} {}", row.pattern, row.kind, row.path or row.code or f"{row.host}:{row.port}")
    match row.kind:
        case "local":
            return local_route(tables)
        case "error":
            return Found(rulings.configured(row.code, row.text), tables.now + REMEMBERED_US)
        case "lmtp" if row.path:
            host = Host(row.path, (row.path,), 0)
            return Found(Route(f"lmtp:{row.path}", Protocol.LMTP, (host,)), tables.now + REMEMBERED_US)
        case "lmtp":
            return (yield from _host_route(tables, row.host, row.port, Protocol.LMTP))
        case "host":
            return (yield from _host_route(tables, row.host, row.port or tables.settings.smtp_port, Protocol.SMTP))
    found = yield from mx_route(tables, row.host, row.port or tables.settings.smtp_port)
    if isinstance(found.result, Ruling) and found.result.code >= 500 and found.result is not rulings.LOOP:
        return Found(rulings.ROUTE_BROKEN, 0)
    return found


def _host_route(tables: Tables, host: str, port: int, protocol: Protocol) -> Flow[Found]:
    """To this host, by its addresses only."""
    bracketed = f"[{host}]" if protocol is Protocol.SMTP or ":" in host else host
    key = f"{bracketed}:{port}" if protocol is Protocol.LMTP or port != tables.settings.smtp_port else bracketed
    destination = f"lmtp:{key}" if protocol is Protocol.LMTP else key
    literal = literal_address(f"[{host}]") or literal_address(f"[IPv6:{host}]")
    addresses: tuple[str, ...]
    if literal or host == "localhost":
        addresses, expires_at = (literal,) if literal else LOCALHOST, tables.now + REMEMBERED_US
    else:
        (answers,) = yield from _ask_addresses(tables, [host])
        addresses, expires_at = _addresses(answers), _soonest(tables, answers)
    if not addresses:
        failed = any(answer.status == "TEMP" for answer in answers)
        tables.explain("address", "{} has no address{}", host, " now" if failed else "")
        return Found(rulings.DNS_FAILED if failed else rulings.ROUTE_BROKEN, 0)
    if protocol is Protocol.SMTP and (tables.is_own(addresses, port) or (host == tables.hostname and port == tables.settings.smtp_port)):
        tables.explain("self", "{} is this host", host)
        return Found(rulings.LOOP, 0)
    tables.explain("address", "{} port {}: {}", host, port, addresses)
    return Found(Route(destination, protocol, (Host(host, addresses, port),)), expires_at)


# --- MX ---------------------------------------------------------------------------------------------------------------------


def mx_route(tables: Tables, domain: str, port: int) -> Flow[Found]:
    """By the MX records of the domain, or by its addresses when it has none.

    This host is found among them by its name at smtp_port, or by an address and port of ours.
    """
    destination = domain if port == tables.settings.smtp_port else f"{domain}:{port}"
    (answer,) = yield from ask_dns(DnsQuestion(domain, "MX"))
    exchanges = _exchanges(tables, domain, answer)
    if isinstance(exchanges, Ruling):
        return Found(exchanges, 0 if exchanges.code < 500 else _soonest(tables, (answer,)))
    if port == tables.settings.smtp_port:
        exchanges = _cut_at(tables, exchanges, [e.preference for e in exchanges if e.host == tables.hostname])
    if not exchanges:
        return Found(rulings.LOOP, _soonest(tables, (answer,)))
    exchanges = exchanges[: limits.MX_HOSTS_MAX]
    answers = yield from _ask_addresses(tables, [e.host for e in exchanges])
    known = [e._replace(addresses=_addresses(of_host)) for e, of_host in zip(exchanges, answers, strict=True)]
    reachable = [e for e in known if e.addresses]
    expires_at = _soonest(tables, (answer, *(a for of_host in answers for a in of_host)))
    if not reachable:
        failed = any(a.status == "TEMP" for of_host in answers for a in of_host)
        tables.explain("address", "no host of {} has an address{}", domain, " now" if failed else "")
        return Found(rulings.DNS_FAILED, 0) if failed else Found(rulings.UNROUTABLE, expires_at)
    reachable = _cut_at(tables, reachable, [e.preference for e in reachable if tables.is_own(e.addresses, port)])
    if not reachable:
        return Found(rulings.LOOP, expires_at)
    for exchange in reachable:
        tables.explain("address", "{} port {}: {}", exchange.host, port, exchange.addresses)
    equals = len({e.preference for e in reachable}) < len(reachable)
    hosts = tuple(Host(e.host, e.addresses, port) for e in reachable)
    return Found(Route(destination, Protocol.SMTP, hosts), 0 if equals else expires_at)


def _exchanges(tables: Tables, domain: str, answer: DnsAnswer) -> list[_Exchange] | Ruling:
    """The MX hosts, best first, equals in an order drawn by lot; or what the answer means instead."""
    match answer.status:
        case "TEMP":
            tables.explain("dns", "MX of {}: {}", domain, answer.reason or "no answer")
            return rulings.DNS_FAILED
        case "NXDOMAIN":
            tables.explain("dns", "{} does not exist", domain)
            return rulings.NO_DOMAIN
        case "NODATA":
            tables.explain("implicit-mx", "{} has no MX record: the domain itself, as if by MX 0", answer.name)
            return [_Exchange(0, answer.name)]
    records = [record for record in answer.records[: limits.MX_RECORDS_MAX] if record.value]
    if not records:
        tables.explain("null-mx", "{} takes no mail", domain)
        return rulings.NULL_MX
    best: dict[str, int] = {}
    for record in records:
        best[record.value] = min(record.preference, best.get(record.value, record.preference))
    key = tables.draw()
    order = sorted(best.items(), key=lambda item: (item[1], lot(key, item[0])))
    tables.explain("mx", "{}: {}", domain, tuple(f"{preference} {host}" for host, preference in order))
    return [_Exchange(preference, host) for host, preference in order]


def _cut_at(tables: Tables, exchanges: list[_Exchange], own: list[int]) -> list[_Exchange]:
    """Only what is better than this host itself (RFC 5321 5.1, SX46); all when this host is not among them."""
    if not own:
        return exchanges
    limit = min(own)
    tables.explain("self", "this host is among the MX hosts: those from preference {} on are dropped", limit)
    return [e for e in exchanges if e.preference < limit]


# --- addresses ----------------------------------------------------------------------------------------------------------------


def _ask_addresses(tables: Tables, hosts: list[str]) -> Flow[list[tuple[DnsAnswer, ...]]]:
    """The answers about each host, one for each address family, all asked at once."""
    families = tables.families
    answers = yield from ask_dns(*(DnsQuestion(host, family) for host in hosts for family in families))
    width = len(families)
    return [answers[at : at + width] for at in range(0, len(answers), width)]


def _addresses(answers: tuple[DnsAnswer, ...]) -> tuple[str, ...]:
    """The addresses of one host: in the order of the answers (RFC 5321 5.1: "in the order presented"), each family's share bounded."""
    values = [_values(answer.records) for answer in answers if answer.status == "OK"]
    share = limits.MX_HOST_ADDRESSES_MAX // max(len(values), 1)
    return tuple(address for found in values for address in found[:share])


def _values(records: tuple[DnsRecord, ...]) -> list[str]:
    return [record.value for record in records]


def _soonest(tables: Tables, answers: tuple[DnsAnswer, ...]) -> int:
    """When the first of the answers ends to be true, at most REMEMBERED_US from now."""
    return min(tables.now + REMEMBERED_US, *(answer.expires_at for answer in answers))
