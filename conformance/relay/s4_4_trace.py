"""The trace a relay leaves, and the envelope it sends (RFC 5321 4.4, 4.5.5, 3.6.1, C)."""

import re
from typing import Final, NamedTuple

from conformance.case import RELAY, section
from conformance.client.steps import bring_mail, bring_to, mails_of
from conformance.content import fields, values
from conformance.context import Context
from conformance.dialogue import admitted, hello
from conformance.oracle import expect, need
from conformance.outcome import MAY, MUST, MUST_NOT, SHOULD, SHOULD_NOT, check, inconclusive, skip
from conformance.visit import receive_mail
from conformance.wire import Remark, Script

case = section("rfc5321/4.4", RELAY, needs=("dns",))
nulls = section("rfc5321/4.5.5", RELAY, needs=("dns",))
routes = section("rfc5321/3.6.1", RELAY, needs=("dns",))
names = section("rfc5321/5.1", RELAY, needs=("dns",))
closed = section("rfc5321/7.9", RELAY, needs=("outsider",))

DATE: Final = re.compile(r".*;\s*(?:[A-Z][a-z]{2},\s+)?\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d(?::\d\d)?\s+[+-]\d{4}(?:\s+\(.*\))?")


@case("received-is-first", MUST, tests=("5321-4.4-6",))
def received_first(at: Context) -> Script:
    """What a relay adds stands before all that came, and is Received with from, by and a date in its form."""
    mail = yield from bring_mail(at)
    name, _ = fields(mail.content)[0]
    check(name.lower() == "received", f"the first field is {name}")
    value = values(mail.content, "Received")[0]
    check(re.search(r"\bby\s+\S+", value) and DATE.fullmatch(value), f"it says {value!r}")


@case("many-received-are-kept", MUST_NOT, tests=("5321-4.4-6",))
def many_received(at: Context) -> Script:
    """Twenty Received fields are all there afterwards, in their order."""
    old = [f"from h{number}.example by h{number + 1}.example; Mon, 13 Jul 2026 12:00:00 +0000" for number in range(20)]
    mail = yield from bring_mail(at, content="".join(f"Received: {line}\r\n" for line in old).encode() + at.message())
    check(values(mail.content, "Received")[-20:] == old, "they were changed")


@nulls("null-stays-null", SHOULD_NOT, tests=("5321-4.5.5-2b", "5321-C-6"))
def null_stays(at: Context) -> Script:
    """The null reverse-path stays null."""
    mail = yield from bring_mail(at, sender="")
    check(mail.sender == "", f"it became {mail.mail!r}")


@nulls("reverse-path-is-kept", SHOULD_NOT, tests=("5321-C-6",))
def path_kept(at: Context) -> Script:
    """The reverse-path leaves as it came."""
    mail = yield from bring_mail(at)
    check(mail.sender == at.sender, f"it became {mail.mail!r}")


@case("split-by-next-hop", MUST, tests=("5321-2.3.11-1",))
def split_by_hop(at: Context) -> Script:
    """Each next hop of a message sees the recipients that are its own, and the whole content."""
    visits = yield from bring_to(at, ("a", "b", "c"), {})
    mails = mails_of(visits)
    check({path for mail in mails for path in mail.recipients} == {at.remote_at("", local) for local in "abc"}, "recipients are missing")
    check(all(at.token.encode() in mail.content for mail in mails), "content is missing")


class Route(NamedTuple):
    id: str
    route: str


ROUTES: Final = (Route("one-host", "@relay.example"), Route("two-hosts", "@relay.example,@other.example"), Route("itself", "@{self}"))


@routes.table(ROUTES, SHOULD, prefix="route-is-ignored-", tests=("5321-3.6.1-3b", "5321-4.1.1.3-3a"))
def ignored(at: Context, row: Route) -> Script:
    """A route in RCPT ({id}) is ignored: the mail goes to the mailbox at its end (or is refused)."""
    client = yield from admitted(at)
    yield from client.mail()
    reply = yield from client.command(f"RCPT TO:<{row.route.replace('{self}', at.target.hostname)}:{at.remote}>")
    if reply.code >= 400:
        skip(f"routes are refused: {reply}")
    need((yield from client.data()), "250", "the end of data")
    mail = yield from receive_mail(at)
    check(mail.recipients == [at.remote], f"the next hop got {mail.rcpts}")


@routes("own-name-is-taken-off", MUST, tests=("5321-C-5a", "5321-4.1.1.3-3b", "5321-F.2-3", "5321-F.2-4"))
def own_name(at: Context) -> Script:
    """A route that begins with the relay's own name loses it, or all of it; no name of it gets into the reverse-path."""
    client = yield from admitted(at)
    yield from client.mail()
    reply = yield from client.command(f"RCPT TO:<@{at.target.hostname}:{at.remote}>")
    if reply.code >= 400:
        skip(f"routes are refused: {reply}")
    need((yield from client.data()), "250", "the end of data")
    mail = yield from receive_mail(at)
    check(at.target.hostname.encode() not in mail.rcpts[0], f"the next hop got {mail.rcpts}")
    check(mail.sender == at.sender, f"the reverse-path became {mail.mail!r}")


@routes("what-becomes-of-a-route", MAY, tests=("5321-3.6.1-3a", "5321-C-5b"))
def fate(at: Context) -> Script:
    """A route may be ignored, taken off, or refused: a fact."""
    client = yield from admitted(at)
    yield from client.mail()
    reply = yield from client.command(f"RCPT TO:<@relay.example:{at.remote}>")
    yield Remark(f"RCPT with a route: {reply}", "info")


@names("not-completed", MUST_NOT, tests=("5321-5.1-2b",))
def not_completed(at: Context) -> Script:
    """A relay does not complete the unqualified domain of a recipient: it refuses it, or nothing of the sort leaves it."""
    client = yield from admitted(at)
    yield from client.mail()
    reply = yield from client.command("RCPT TO:<someone@unqualified-name>")
    if reply.code >= 400:
        return
    if reply.code != 250:
        inconclusive(str(reply))
    yield Remark(f"an unqualified domain was taken: {reply}")


class Trick(NamedTuple):
    """`path` names a foreign mailbox in disguise. {foreign}: its address, {user} and {domain} its halves, {local}: the target's own domain."""

    id: str
    path: str


TRICKS: Final = (
    Trick("plain", "{foreign}"),
    Trick("percent", "{user}%{domain}@{local}"),
    Trick("percent-at-the-host", "{user}%{domain}@{host}"),
    Trick("bang", "{domain}!{user}@{local}"),
    Trick("quoted-at", '"{foreign}"@{local}'),
    Trick("quoted-percent", '"{user}%{domain}"@{local}'),
    Trick("route", "@{host}:{foreign}"),
    Trick("route-of-two", "@{local},@{host}:{foreign}"),
    Trick("local-domain-as-local-part", "{local}@{domain}"),
    Trick("subdomain", "someone@not.ours.{domain}"),
    Trick("longer-domain", "someone@x{local}.{domain}"),
)


@closed.table(TRICKS, SHOULD, prefix="no-open-relay-", tests=("5321-7.9-1",))
def no_open_relay(at: Context, row: Trick) -> Script:
    """An outsider cannot reach a foreign mailbox by <{path}>: RCPT is refused, or the end of the data is."""
    user, _, domain = at.target.mail.foreign.partition("@")
    path = row.path.format(foreign=at.target.mail.foreign, user=user, domain=domain, local=at.target.mail.local_domain, host=at.target.hostname)
    client = yield from hello(at, outside=True)
    yield from client.mail()
    expect((yield from client.command(f"RCPT TO:<{path}>")), "5yz 4yz", f"RCPT for <{path}>")
