"""Forward-paths in RCPT, along the grammar (RFC 5321 4.1.2, 4.1.3, appendix C), and that all ways to quote a local-part mean the same mailbox."""

from typing import Final, NamedTuple

from conformance.case import SERVER, section
from conformance.content import values
from conformance.context import Context
from conformance.dialogue import delivered_one, hello, reach
from conformance.oracle import expect, need
from conformance.outcome import MAY, MUST, MUST_NOT, SHOULD, check, inconclusive
from conformance.server.steps import SYNTAX_CODES, is_open, placed, takes_mail, understood
from conformance.wire import Remark, Script

case = section("rfc5321/4.1.2", SERVER)
routes = section("rfc5321/C", SERVER)
transactions = section("rfc5321/3.3", SERVER)

GRAMMAR: Final = ("5321-4.1.2-n1a",)
LITERAL_4: Final = ("5321-4.1.3-n1", "5321-4.1.2-n1a")
LITERAL_6: Final = ("5321-4.1.3-n2", "5321-4.1.2-n1a")
ROUTE: Final = ("5321-4.1.1.3-2a", "5321-3.3-5a", "5321-4.1.2-1a", "5321-F.2-1", "5321-C-3a")
CHARACTER: Final = ("5321-4.1.2-9",)
FORM: Final = ("5321-4.1.4-14b",)


class Path(NamedTuple):
    id: str
    path: str
    what: str
    tests: tuple[str, ...] = GRAMMAR
    level: str = MUST


# Literals: what their form is, is a MUST; that a site does not allow them, and says so with 501, cannot be told from that.
GOOD: Final = (
    Path("dots", "<a.b.c.d@LOCAL>", "a local-part of several atoms"),
    Path("plus", "<no-such+detail@LOCAL>", "a plus sign"),
    Path("all-atext", "<!#$%&'*+-/=?^_`{|}~@LOCAL>", "every sign that may stand in an atom"),
    Path("quoted-space", '<"no such"@LOCAL>', "a space in quotes"),
    Path("quoted-at", '<"a@b"@LOCAL>', "an at sign in quotes"),
    Path("quoted-close", '<"a>b"@LOCAL>', "a closing bracket in quotes"),
    Path("quoted-quote", '<"a\\"b"@LOCAL>', "a quote behind a backslash"),
    Path("quoted-backslash", '<"a\\\\b"@LOCAL>', "a backslash behind a backslash"),
    Path("domain-hyphens", "<user@a--b.LOCAL>", "hyphens within a label"),
    Path("domain-digits", "<user@3com.LOCAL>", "a label that begins with a digit"),
    Path("ipv4", "<no-such@[192.0.2.1]>", "an IPv4 literal", LITERAL_4, SHOULD),
    Path("ipv6", "<no-such@[IPv6:2001:db8::1]>", "an IPv6 literal", LITERAL_6, SHOULD),
    Path("ipv6-v4", "<no-such@[IPv6:::ffff:192.0.2.1]>", "an IPv6 literal that ends with an IPv4 address", LITERAL_6, SHOULD),
    Path("local-part-64", f"<{'n' * 64}@LOCAL>", "a local-part of 64 octets", ("5321-4.5.3.1.1-n1", "5321-4.1.2-n1a")),
    Path("route", "<@hop.example:USER@LOCAL>", "a source route of one host", ROUTE),
    Path("route-two", "<@hop.example,@hop2.example:USER@LOCAL>", "a source route of two hosts", ROUTE),
    Path("route-own-host", "<@LOCAL:USER@LOCAL>", "a source route over the server itself", ROUTE),
)


@case.table(GOOD, prefix="rcpt-good-")
def good_path(at: Context, row: Path) -> Script:
    """{path} has {what}: the form is that of a forward-path, so it is taken, or refused for what it names, not for its form."""
    client = yield from reach(at, "mail")
    understood((yield from client.command(f"RCPT TO:{placed(at, row.path)}")), f"RCPT with {row.what}", refusal=True)
    yield from is_open(client)


class BadPath(NamedTuple):
    id: str
    line: str
    what: str
    level: str = SHOULD
    tests: tuple[str, ...] = FORM


BAD: Final = (
    BadPath("space-in-local-part", "RCPT TO:<USER x@LOCAL>", "a space outside of quotes"),
    BadPath("two-ats", "RCPT TO:<USER@x@LOCAL>", "a second at sign"),
    BadPath("comma", "RCPT TO:<USER,x@LOCAL>", "a comma in an atom"),
    BadPath("parenthesis", "RCPT TO:<USER(x)@LOCAL>", "parentheses"),
    BadPath("inner-bracket", "RCPT TO:<<USER@LOCAL>>", "brackets within brackets"),
    BadPath("text-after-quotes", 'RCPT TO:<"USER"x@LOCAL>', "an atom behind a quoted string"),
    BadPath("unclosed-quote", 'RCPT TO:<"USER@LOCAL>', "a quoted string that does not end"),
    BadPath("tab", "RCPT TO:<USER\t@LOCAL>", "a tab", MUST, CHARACTER),
    BadPath("control", "RCPT TO:<USER\x07@LOCAL>", "a control character", MUST, CHARACTER),
    BadPath("nul", "RCPT TO:<USER\x00@LOCAL>", "a NUL", MUST, CHARACTER),
    BadPath("domain-underscore", "RCPT TO:<USER@under_score.LOCAL>", "an underscore in the domain", MUST, CHARACTER),
    BadPath("no-path", "RCPT", "no argument at all"),
    BadPath("no-to", "RCPT <USER@LOCAL>", "no TO:"),
    BadPath("from", "RCPT FROM:<USER@LOCAL>", "FROM: instead of TO:"),
    BadPath("no-colon", "RCPT TO <USER@LOCAL>", "no colon"),
    BadPath("empty", "RCPT TO:", "nothing after TO:"),
    BadPath("null", "RCPT TO:<>", "the null path, which is for MAIL only"),
    BadPath("no-brackets", "RCPT TO:USER@LOCAL", "no brackets"),
    BadPath("no-closing", "RCPT TO:<USER@LOCAL", "no closing bracket"),
    BadPath("no-domain", "RCPT TO:<USER@>", "no domain after the at sign"),
    BadPath("no-local-part", "RCPT TO:<@LOCAL>", "no local-part"),
    BadPath("leading-dot", "RCPT TO:<.USER@LOCAL>", "a dot at the beginning of the local-part"),
    BadPath("trailing-dot", "RCPT TO:<USER.@LOCAL>", "a dot at the end of the local-part"),
    BadPath("two-dots", "RCPT TO:<USER..x@LOCAL>", "two dots in a row"),
    BadPath("domain-two-dots", "RCPT TO:<USER@x..LOCAL>", "two dots in a row in the domain"),
    BadPath("domain-leading-dot", "RCPT TO:<USER@.LOCAL>", "a dot at the beginning of the domain"),
    BadPath("text-after", "RCPT TO:<USER@LOCAL>junk", "text right behind the path"),
    BadPath("two-paths", "RCPT TO:<USER@LOCAL>,<USER@LOCAL>", "two paths"),
    BadPath("ipv4-256", "RCPT TO:<USER@[127.0.0.256]>", "an IPv4 literal with 256"),
    BadPath("ipv6-nine", "RCPT TO:<USER@[IPv6:1:2:3:4:5:6:7:8:9]>", "an IPv6 literal of nine groups"),
    BadPath("literal-open", "RCPT TO:<USER@[127.0.0.1>", "a literal that does not end"),
    BadPath("route-only", "RCPT TO:<@hop.example:>", "a source route without a mailbox"),
)


@case.table(BAD, prefix="rcpt-bad-")
def bad_path(at: Context, row: BadPath) -> Script:
    """{line} has {what}: refused, the transaction stays as it was, and the good twin is taken."""
    client = yield from reach(at, "mail")
    reply = yield from client.command(placed(at, row.line))
    expect(reply, "501 5yz", f"RCPT with {row.what}")
    if not client.ended and reply.code != 421:
        expect((yield from client.command(f"RCPT TO:<{at.recipient}>")), "250 251", "the good twin")
        yield from takes_mail(client)


class Quoting(NamedTuple):
    id: str
    quote: str
    how: str
    tests: tuple[str, ...] = ("5321-4.1.2-5a",)


QUOTINGS: Final = (
    Quoting("quotes", '"{0}{1}"', "in quotes"),
    Quoting("first-letter-pair", '"\\{0}{1}"', "in quotes with a backslash before its first letter", ("5321-4.1.2-5a", "5321-4.1.2-n2")),
)


@case.table(QUOTINGS, MUST, prefix="same-mailbox-", needs=("delivery",))
def same_mailbox(at: Context, row: Quoting) -> Script:
    """A local-part {how} names the same mailbox as without: where that is taken, this is as well, and mail for it comes into that mailbox."""
    user, _, domain = at.recipient.rpartition("@")
    client = yield from hello(at)
    yield from client.mail()
    yield from client.rcpt()
    expect((yield from client.command("RSET")), "250", "RSET")
    yield from client.mail()
    expect((yield from client.command(f"RCPT TO:<{row.quote.format(user[0], user[1:])}@{domain}>")), "250 251", f"RCPT with a local-part {row.how}")
    yield from takes_mail(client)
    yield from delivered_one(at)


@case("domain-any-case", MUST, tests=("5321-2.4-n2",), needs=("delivery",))
def domain_any_case(at: Context) -> Script:
    """The domain of a recipient is the same in any case of its letters."""
    user, _, domain = at.recipient.rpartition("@")
    client = yield from hello(at)
    yield from client.mail()
    expect((yield from client.command(f"RCPT TO:<{user}@{domain.upper()}>")), "250 251", "RCPT with the domain in capitals")
    yield from takes_mail(client)
    yield from delivered_one(at)


@routes("route-ignored", SHOULD, tests=("5321-3.3-5b", "5321-4.1.1.3-2b", "5321-4.1.2-1c", "5321-F.2-2"), needs=("delivery",))
def route_ignored(at: Context) -> Script:
    """A source route is taken off and the mailbox at its end is used."""
    client = yield from hello(at)
    yield from client.mail()
    reply = yield from client.command(f"RCPT TO:<@hop.example,@hop2.example:{at.recipient}>")
    check(200 <= reply.code < 300, f"the route is declined: {reply}")
    yield from takes_mail(client)
    yield from delivered_one(at)


@routes("route-may-be-declined", MAY, tests=("5321-3.3-5c", "5321-3.6.1-2"))
def route_declined(at: Context) -> Script:
    """Relaying along a route may be declined: what is done is recorded."""
    client = yield from reach(at, "mail")
    reply = yield from client.command(f"RCPT TO:<@hop.example:{at.recipient}>")
    yield Remark(f"a source route in RCPT: {reply}", "info")


@routes("route-no-open-relay", MUST_NOT, tests=("5321-C-3a",), needs=("outsider",))
def route_no_relay(at: Context) -> Script:
    """A route over the server is no way around its refusal to relay for strangers: it is understood, and refused, or the domain at its end is refused."""
    client = yield from hello(at, outside=True)
    yield from client.mail()
    local = at.recipient.rpartition("@")[2]
    reply = yield from client.command(f"RCPT TO:<@{local}:{at.target.mail.foreign}>")
    expect(reply, "4yz 5yz", "a foreign recipient behind a route, from a stranger")
    check(reply.code not in SYNTAX_CODES, f"the form of a route was not understood: {reply}", SHOULD)


@routes("percent-no-open-relay", SHOULD, tests=("5321-7.9-1",), needs=("outsider",))
def percent_no_relay(at: Context) -> Script:
    """user%elsewhere@local-domain from a stranger is a local name, or refused: it is not sent on to elsewhere."""
    client = yield from hello(at, outside=True)
    yield from client.mail()
    user, _, domain = at.target.mail.foreign.rpartition("@")
    local = at.recipient.rpartition("@")[2]
    reply = yield from client.command(f"RCPT TO:<{user}%{domain}@{local}>")
    if 200 <= reply.code < 300:
        inconclusive("accepted; where it goes cannot be seen")
    expect(reply, "4yz 5yz", "a recipient with a per cent sign, from a stranger")


@routes("route-in-mail", MUST, tests=("5321-C-3a", "5321-4.1.2-1a"), needs=("delivery",))
def route_in_mail(at: Context) -> Script:
    """A source route in MAIL is taken, and the return path of the delivered message names the mailbox at its end."""
    client = yield from hello(at)
    need((yield from client.command(f"MAIL FROM:<@hop.example:{at.sender}>")), "250", "MAIL with a route")
    yield from client.rcpt()
    yield from takes_mail(client)
    message = yield from delivered_one(at)
    if not values(message, "Return-Path"):
        inconclusive("the delivered message has no Return-Path (see rfc5321/4.4/return-path)")
    check(any(at.sender in value for value in values(message, "Return-Path")), f"Return-Path is {values(message, 'Return-Path')}")


@transactions("foreign-recipient-declined", MAY, tests=("5321-3.3-6", "5321-3.6.1-2"), needs=("outsider",))
def foreign_declined(at: Context) -> Script:
    """A recipient of another system may be declined: what a stranger hears is recorded."""
    client = yield from hello(at, outside=True)
    yield from client.mail()
    reply = yield from client.command(f"RCPT TO:<{at.target.mail.foreign}>")
    yield Remark(f"a foreign recipient from a stranger: {reply}", "info")
