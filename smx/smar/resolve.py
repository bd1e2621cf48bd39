"""Resolve: where does this recipient go? The order of the rules (SX51); the first that matches decides:

    1. postmaster without domain    is postmaster of this host
    2. aliases (SX50)               once, unless expansion is off: new recipients, all of them at once (A7)
    3. local domain
       a. mailer table (SX52)       rows for exactly this address or domain
       b. postmaster                goes to the configured postmaster
       c. map of local users        not in it: 5.1.1
       d.                           LMTP to the local delivery agent (SX53)
    4. mailer table (SX52)          the address, the domain, the longest .suffix, `*`
    5. address literal              to that address, no MX
    6. MX records (SX46)

Right-hand sides of aliases and of the mailer table may name parts of the address by macros (smx.config.mailer_macros).

Errors of a route are verdicts: deferred (4yz) or failed (5yz), with the same texts that RCPT would get.
"""

from smx.messages import Resolve, Resolved
from smx.smar import rulings
from smx.smar.aliases import Expansion, expand
from smx.smar.check import check_user
from smx.smar.flow import Flow
from smx.smar.names import POSTMASTER, Name, split
from smx.smar.routes import Found, literal_route, local_route, mailer_route, mx_route
from smx.smar.rulings import Ruling
from smx.smar.tables import Tables


def resolve(tables: Tables, question: Resolve) -> Flow[Resolved]:
    """The answer to a Resolve: route, expansion or verdict."""
    try:
        name = split(question.recipient)
    except ValueError:
        return _refused(question, rulings.BAD_DOMAIN)
    if not name.domain:
        if name.local.lower() != POSTMASTER:
            return _refused(question, rulings.BAD_ADDRESS)
        tables.explain("postmaster", "postmaster without domain is postmaster@{}", tables.hostname)
        name = Name(name.local, tables.hostname)
    local = tables.is_local(name.domain)
    if question.expand:
        expansion = yield from _expanded(tables, name, local=local)
        if isinstance(expansion, Ruling):
            return _refused(question, expansion)
        if expansion is not None:
            return _expansion(question, expansion)
    found = yield from _local(tables, name) if local else _remote(tables, name)
    return _answer(tables, question, name, found)


def _expanded(tables: Tables, name: Name, *, local: bool) -> Flow[Expansion | Ruling | None]:
    """Rules 2 and 3b: what the address stands for; None: for itself."""
    if not local and not tables.foreign_aliases:
        return None
    ready = yield from tables.aliases_ready()
    if not ready:
        tables.explain("alias", "the aliases cannot be read")
        return rulings.MAP_FAILED
    expansion = expand(tables, name)
    if expansion is None and local and name.local.lower() == POSTMASTER and f"{POSTMASTER}@{name.domain}" != tables.postmaster:
        tables.explain("postmaster", "goes to {}", tables.settings.postmaster)
        return Expansion((tables.settings.postmaster,), "")
    return expansion


def _local(tables: Tables, name: Name) -> Flow[Found]:
    """Rule 3."""
    tables.explain("local-domain", "{} is local", name.domain)
    row = tables.mailer(name, local=True)
    if row is not None:
        return (yield from mailer_route(tables, row))
    if name.local.lower() != POSTMASTER:
        ruling = yield from check_user(tables, name)
        if ruling.code >= 300:
            return Found(ruling, 0)
    return local_route(tables)


def _remote(tables: Tables, name: Name) -> Flow[Found]:
    """Rules 4 to 6."""
    row = tables.mailer(name, local=False)
    if row is not None:
        return (yield from mailer_route(tables, row))
    if name.domain.startswith("["):
        return literal_route(tables, name.domain)
    return (yield from mx_route(tables, name.domain, tables.settings.smtp_port))


def _answer(tables: Tables, question: Resolve, name: Name, found: Found) -> Resolved:
    """QMGR may remember it for the domain as long as it is true for all its local parts."""
    until = found.expires_at if found.expires_at > tables.now and tables.uniform(name.domain) else 0
    domain = question.recipient.rpartition(b"@")[2] if until else b""
    if isinstance(found.result, Ruling):
        return Resolved(question.request, verdict=rulings.verdict(found.result), cache_until=until, domain=domain)
    return Resolved(question.request, route=found.result, cache_until=until, domain=domain)


def _refused(question: Resolve, ruling: Ruling) -> Resolved:
    return Resolved(question.request, verdict=rulings.verdict(ruling))


def _expansion(question: Resolve, expansion: Expansion) -> Resolved:
    """The null reverse-path stays null, even for a list with an owner (I4)."""
    owner = expansion.owner.encode() if expansion.owner and question.reverse_path else None
    return Resolved(question.request, expansion=tuple(address.encode() for address in expansion.addresses), reverse_path=owner)
