"""Check: may this client send to this recipient? Asked once a RCPT; the answer is the reply.

The rules, in this order; the first that matches decides:

    postmaster without domain, or of a local domain   valid (RFC 5321 4.5.1)
    a domain that cannot be one                       553 5.1.3, 550 5.1.2
    an `error:` row of the mailer table               its reply
    local domain: alias, with or without +detail      valid (SX50)
    local domain: no map of local users               valid
    local domain: in the map, with or without +detail valid (SX49)
    local domain: not in the map                      550 5.1.1; 451 4.3.0 when a table could not be read
    one of relay_domains                              valid
    an alias of a whole address                       valid, where the flag local_domains is off
    a client that may relay                           valid
    all else                                          550 5.7.1

Where a recipient is valid because of its domain alone, SMTPS may remember that for a while.
"""

from typing import Final

from smx.messages import CheckRecipient, RecipientChecked
from smx.smar import rulings
from smx.smar.flow import Flow
from smx.smar.names import POSTMASTER, Name, literal_address, split
from smx.smar.rulings import Ruling
from smx.smar.tables import Tables
from smx.units import MINUTE

REMEMBERED_US: Final = MINUTE


def check(tables: Tables, question: CheckRecipient) -> Flow[RecipientChecked]:
    """The reply to RCPT."""
    ruling = yield from _ruling(tables, question)
    _, at, domain = question.recipient.rpartition(b"@")
    if ruling is rulings.VALID and at and tables.uniform(split(question.recipient).domain):
        return RecipientChecked(question.request, *ruling, tables.now + REMEMBERED_US, domain)
    return RecipientChecked(question.request, *ruling)


def _ruling(tables: Tables, question: CheckRecipient) -> Flow[Ruling]:
    try:
        name = split(question.recipient)
    except ValueError:
        return rulings.BAD_DOMAIN
    if not name.domain:
        if name.local.lower() == POSTMASTER:
            tables.explain("postmaster", "postmaster without domain is always valid")
            return rulings.VALID
        return rulings.BAD_ADDRESS
    if name.domain.startswith("[") and not literal_address(name.domain):
        return rulings.BAD_DOMAIN
    local = tables.is_local(name.domain)
    row = tables.mailer(name, local=local)
    if row is not None and row.kind == "error":
        tables.explain("mailertable", "{}: error {} {}", row.pattern, row.code, row.text)
        return rulings.configured(row.code, row.text)
    if local:
        tables.explain("local-domain", "{} is local", name.domain)
        return (yield from check_local(tables, name))
    if tables.is_relayed(name.domain):
        tables.explain("relay-domain", "mail for {} is taken from anywhere", name.domain)
        return rulings.VALID
    ready = (yield from tables.aliases_ready()) if tables.foreign_aliases else True
    alias = tables.alias(name, local=False)
    if alias is not None:
        tables.explain("alias", "{}: {}", *alias)
        return rulings.VALID
    if question.may_relay:
        tables.explain("relay-client", "this client may send anywhere")
        return rulings.VALID
    tables.explain("relay-denied", "{} is neither local nor relayed, and this client may not relay", name.domain)
    return rulings.RELAY_DENIED if ready else rulings.MAP_FAILED


def check_local(tables: Tables, name: Name) -> Flow[Ruling]:
    """Whether a local domain has this user."""
    if name.local.lower() == POSTMASTER:
        tables.explain("postmaster", "postmaster is always valid")
        return rulings.VALID
    ready = yield from tables.aliases_ready()
    alias = tables.alias(name, local=True)
    if alias is not None:
        tables.explain("alias", "{}: {}", *alias)
        return rulings.VALID
    ruling = yield from check_user(tables, name)
    return rulings.MAP_FAILED if ruling.code >= 500 and not ready else ruling


def check_user(tables: Tables, name: Name) -> Flow[Ruling]:
    """Whether the map of local users has the local part (SX49)."""
    users = tables.settings.local_user_map
    if not users:
        tables.explain("user-map", "there is none: every local part is valid")
        return rulings.VALID
    status = yield from tables.has_user(name.local)
    tables.explain("user-map", "{} in {}: {}", name.local, users, status)
    if status == "OK":
        return rulings.VALID
    return rulings.UNKNOWN_USER if status == "NOTFOUND" else rulings.MAP_FAILED
