"""Reverse-paths in MAIL, along the grammar (RFC 5321 4.1.2, 4.1.3): what has its form is taken, what has not is refused, and the good twin is taken."""

from typing import Final, NamedTuple

from conformance.case import SERVER, section
from conformance.context import Context
from conformance.dialogue import hello
from conformance.oracle import expect
from conformance.outcome import MUST, SHOULD
from conformance.server.steps import is_idle, placed, understood
from conformance.wire import Script

case = section("rfc5321/4.1.2", SERVER)
order = section("rfc5321/4.1.4", SERVER)

GRAMMAR: Final = ("5321-4.1.2-n1a", "5321-3.3-n1")
LITERAL_4: Final = ("5321-4.1.3-n1", "5321-4.1.2-n1a")
LITERAL_6: Final = ("5321-4.1.3-n2", "5321-4.1.2-n1a")
ROUTE: Final = ("5321-4.1.2-1a", "5321-F.2-1", "5321-C-3a")
CHARACTER: Final = ("5321-4.1.2-9", "5321-4.1.4-13a", "5321-4.1.4-13b")
FORM: Final = ("5321-4.1.4-13a", "5321-4.1.4-13b")
LABEL: Final = "l" * 63


class Path(NamedTuple):
    id: str
    path: str
    what: str
    tests: tuple[str, ...] = GRAMMAR
    level: str = MUST


# Literals: what their form is, is a MUST; that a site does not allow them, and says so with 501, cannot be told from that.
GOOD: Final = (
    Path("plain", "<user@DOMAIN>", "a plain mailbox"),
    Path("null", "<>", "the null path"),
    Path("one-letter", "<a@DOMAIN>", "a local-part of one letter"),
    Path("dots", "<a.b.c.d@DOMAIN>", "a local-part of several atoms"),
    Path("digits", "<123456@DOMAIN>", "a local-part of digits"),
    Path("plus", "<user+detail@DOMAIN>", "a plus sign"),
    Path("equals", "<list-user=host.example@DOMAIN>", "an equals sign, as return paths of lists have it"),
    Path("all-atext", "<!#$%&'*+-/=?^_`{|}~@DOMAIN>", "every sign that may stand in an atom"),
    Path("leading-sign", "<-user@DOMAIN>", "a hyphen at the beginning", level=SHOULD),  # sites refuse what a program may take for an option
    Path("capitals", "<User.NAME@DOMAIN>", "capitals"),
    Path("quoted", '<"user"@DOMAIN>', "a quoted local-part that needs no quotes"),
    Path("quoted-space", '<"a b"@DOMAIN>', "a space in quotes"),
    Path("quoted-at", '<"a@b"@DOMAIN>', "an at sign in quotes"),
    Path("quoted-brackets", '<"<a>"@DOMAIN>', "angle brackets in quotes"),
    Path("quoted-close", '<"a>b"@DOMAIN>', "a closing bracket in quotes"),
    Path("quoted-comma-colon", '<"@a,@b:c"@DOMAIN>', "what looks like a route, in quotes"),
    Path("quoted-dots", '<".a..b."@DOMAIN>', "dots in quotes where an atom could have none"),
    Path("quoted-quote", '<"a\\"b"@DOMAIN>', "a quote behind a backslash"),
    Path("quoted-backslash", '<"a\\\\b"@DOMAIN>', "a backslash behind a backslash"),
    Path("quoted-needless-pair", '<"\\u\\s\\e\\r"@DOMAIN>', "backslashes before letters"),
    Path("quoted-empty", '<""@DOMAIN>', "an empty quoted local-part"),
    Path("domain-capitals", "<user@DOMAIN>", "a domain in capitals", ("5321-2.4-n2",)),
    Path("domain-digits", "<user@3com.DOMAIN>", "a label that begins with a digit"),
    Path("domain-hyphens", "<user@a--b.DOMAIN>", "hyphens within a label"),
    Path("domain-label-63", f"<user@{LABEL}.DOMAIN>", "a label of 63 octets"),
    Path("domain-one-letter", "<user@x.DOMAIN>", "a label of one letter"),
    Path("ipv4", "<user@[192.0.2.1]>", "an IPv4 literal", LITERAL_4, SHOULD),
    Path("ipv4-ends", "<user@[255.0.255.0]>", "an IPv4 literal of the least and the largest numbers", LITERAL_4, SHOULD),
    Path("ipv6-full", "<user@[IPv6:2001:db8:1:2:3:4:5:6]>", "an IPv6 literal with all groups", LITERAL_6, SHOULD),
    Path("ipv6-short", "<user@[IPv6:2001:db8::1]>", "an IPv6 literal with ::", LITERAL_6, SHOULD),
    Path("ipv6-tail", "<user@[IPv6:2001:db8::]>", "an IPv6 literal that ends with ::", LITERAL_6, SHOULD),
    Path("ipv6-v4", "<user@[IPv6:::ffff:192.0.2.1]>", "an IPv6 literal that ends with an IPv4 address", LITERAL_6, SHOULD),
    Path("ipv6-v4-full", "<user@[IPv6:2001:db8:0:0:0:0:192.0.2.1]>", "an IPv6 literal of six groups and an IPv4 address", LITERAL_6, SHOULD),
    Path("ipv6-tag-case", "<user@[ipv6:2001:db8::1]>", "an IPv6 literal with its tag in small letters", LITERAL_6, SHOULD),
    Path("route", "<@hop.example:user@DOMAIN>", "a source route of one host", ROUTE),
    Path("route-two", "<@hop.example,@hop2.example:user@DOMAIN>", "a source route of two hosts", ROUTE),
)


@case.table(GOOD, prefix="mail-good-")
def good_path(at: Context, row: Path) -> Script:
    """{path} has {what}: the form is that of a reverse-path, so it is taken."""
    client = yield from hello(at)
    path = placed(at, row.path)
    path = path.replace("<user@", "<USER@").upper() if row.id == "domain-capitals" else path
    understood((yield from client.command(f"MAIL FROM:{path}")), f"MAIL with {row.what}")
    expect((yield from client.command(f"RCPT TO:<{at.recipient}>")), "250 251", "RCPT afterwards")


class BadPath(NamedTuple):
    id: str
    line: str
    what: str
    level: str = SHOULD
    tests: tuple[str, ...] = FORM


BAD: Final = (
    # octets that stand where the grammar has no place for them
    BadPath("space-in-local-part", "MAIL FROM:<a b@DOMAIN>", "a space outside of quotes"),
    BadPath("two-ats", "MAIL FROM:<a@b@DOMAIN>", "a second at sign"),
    BadPath("comma", "MAIL FROM:<a,b@DOMAIN>", "a comma in an atom"),
    BadPath("semicolon", "MAIL FROM:<a;b@DOMAIN>", "a semicolon in an atom"),
    BadPath("parenthesis", "MAIL FROM:<a(b)@DOMAIN>", "parentheses in an atom"),
    BadPath("bracket", "MAIL FROM:<a[b]@DOMAIN>", "brackets in an atom"),
    BadPath("backslash", "MAIL FROM:<a\\@DOMAIN>", "a backslash outside of quotes"),
    BadPath("inner-bracket", "MAIL FROM:<<a@DOMAIN>>", "brackets within brackets"),
    BadPath("quote-in-atom", 'MAIL FROM:<a"b@DOMAIN>', "a quote within an atom"),
    BadPath("text-after-quotes", 'MAIL FROM:<"a"b@DOMAIN>', "an atom behind a quoted string"),
    BadPath("unclosed-quote", 'MAIL FROM:<"a@DOMAIN>', "a quoted string that does not end"),
    BadPath("tab", "MAIL FROM:<a\tb@DOMAIN>", "a tab outside of quotes", MUST, CHARACTER),
    BadPath("tab-quoted", 'MAIL FROM:<"a\tb"@DOMAIN>', "a tab in quotes", MUST, CHARACTER),
    BadPath("control-quoted", 'MAIL FROM:<"a\x01b"@DOMAIN>', "a control character in quotes", MUST, CHARACTER),
    BadPath("control", "MAIL FROM:<a\x07b@DOMAIN>", "a control character", MUST, CHARACTER),
    BadPath("nul", "MAIL FROM:<a\x00b@DOMAIN>", "a NUL", MUST, CHARACTER),
    BadPath("delete", "MAIL FROM:<a\x7fb@DOMAIN>", "a DEL", MUST, CHARACTER),
    BadPath("domain-underscore", "MAIL FROM:<a@under_score.DOMAIN>", "an underscore in the domain", MUST, CHARACTER),
    BadPath("domain-slash", "MAIL FROM:<a@b/c.DOMAIN>", "a slash in the domain", MUST, CHARACTER),
    BadPath("domain-space", "MAIL FROM:<a@b c.DOMAIN>", "a space in the domain", MUST, CHARACTER),
    # forms that the grammar has not
    BadPath("no-path", "MAIL", "no argument at all"),
    BadPath("no-from", "MAIL <a@DOMAIN>", "no FROM:"),
    BadPath("to", "MAIL TO:<a@DOMAIN>", "TO: instead of FROM:"),
    BadPath("no-colon", "MAIL FROM <a@DOMAIN>", "no colon"),
    BadPath("empty", "MAIL FROM:", "nothing after FROM:"),
    BadPath("no-brackets", "MAIL FROM:a@DOMAIN", "no brackets"),
    BadPath("no-opening", "MAIL FROM:a@DOMAIN>", "no opening bracket"),
    BadPath("no-closing", "MAIL FROM:<a@DOMAIN", "no closing bracket"),
    BadPath("no-domain", "MAIL FROM:<a@>", "no domain after the at sign"),
    BadPath("no-local-part", "MAIL FROM:<@DOMAIN>", "no local-part"),
    BadPath("only-at", "MAIL FROM:<@>", "an at sign alone"),
    BadPath("space-in-null", "MAIL FROM:< >", "a space in the null path"),
    BadPath("leading-dot", "MAIL FROM:<.a@DOMAIN>", "a dot at the beginning of the local-part"),
    BadPath("trailing-dot", "MAIL FROM:<a.@DOMAIN>", "a dot at the end of the local-part"),
    BadPath("two-dots", "MAIL FROM:<a..b@DOMAIN>", "two dots in a row in the local-part"),
    BadPath("domain-two-dots", "MAIL FROM:<a@b..DOMAIN>", "two dots in a row in the domain"),
    BadPath("domain-leading-dot", "MAIL FROM:<a@.DOMAIN>", "a dot at the beginning of the domain"),
    BadPath("domain-trailing-dot", "MAIL FROM:<a@DOMAIN.>", "a dot at the end of the domain"),
    BadPath("domain-leading-hyphen", "MAIL FROM:<a@-b.DOMAIN>", "a hyphen at the beginning of a label"),
    BadPath("domain-trailing-hyphen", "MAIL FROM:<a@b-.DOMAIN>", "a hyphen at the end of a label"),
    BadPath("text-after", "MAIL FROM:<a@DOMAIN>junk", "text right behind the path"),
    BadPath("comment", "MAIL FROM:<a@DOMAIN> (comment)", "a comment behind the path"),
    BadPath("name-before", "MAIL FROM:Some One <a@DOMAIN>", "a name before the path"),
    BadPath("two-paths", "MAIL FROM:<a@DOMAIN>,<b@DOMAIN>", "two paths"),
    BadPath("ipv4-256", "MAIL FROM:<a@[192.0.2.256]>", "an IPv4 literal with 256"),
    BadPath("ipv4-three", "MAIL FROM:<a@[192.0.2]>", "an IPv4 literal of three numbers"),
    BadPath("ipv4-five", "MAIL FROM:<a@[192.0.2.1.5]>", "an IPv4 literal of five numbers"),
    BadPath("ipv4-open", "MAIL FROM:<a@[192.0.2.1>", "a literal that does not end"),
    BadPath("ipv4-letters", "MAIL FROM:<a@[192.0.2.x]>", "a letter in an IPv4 literal"),
    BadPath("literal-empty", "MAIL FROM:<a@[]>", "an empty literal"),
    BadPath("ipv6-nine", "MAIL FROM:<a@[IPv6:1:2:3:4:5:6:7:8:9]>", "an IPv6 literal of nine groups"),
    BadPath("ipv6-seven", "MAIL FROM:<a@[IPv6:1:2:3:4:5:6:7]>", "an IPv6 literal of seven groups"),
    BadPath("ipv6-twice-short", "MAIL FROM:<a@[IPv6:1::2::3]>", "an IPv6 literal with :: twice"),
    BadPath("ipv6-five-digits", "MAIL FROM:<a@[IPv6:12345::1]>", "a group of five digits"),
    BadPath("route-no-colon", "MAIL FROM:<@hop.example a@DOMAIN>", "a source route without its colon"),
    BadPath("route-no-at", "MAIL FROM:<hop.example:a@DOMAIN>", "a source route without an at sign"),
)


@case.table(BAD, prefix="mail-bad-")
def bad_path(at: Context, row: BadPath) -> Script:
    """{line} has {what}: refused with 501 (or another permanent refusal), no transaction is open, and the good twin is taken."""
    client = yield from hello(at)
    reply = yield from client.command(placed(at, row.line))
    expect(reply, "501 5yz", f"MAIL with {row.what}")
    if not client.ended and reply.code != 421:
        yield from is_idle(client)
        expect((yield from client.command(f"MAIL FROM:<{at.sender}>")), "250", "the good twin")


class Space(NamedTuple):
    id: str
    line: str
    what: str


SPACES: Final = (
    Space("after-colon", "MAIL FROM: <a@DOMAIN>", "after the colon"),
    Space("before-colon", "MAIL FROM :<a@DOMAIN>", "before the colon"),
    Space("twice", "MAIL  FROM:<a@DOMAIN>", "twice after the verb"),
)


@case.table(SPACES, SHOULD, prefix="mail-space-", tests=FORM)
def stray_space(at: Context, row: Space) -> Script:
    """No space may stand {what}: such a line is refused, at least when it cannot be read; the good twin is taken."""
    client = yield from hello(at)
    reply = yield from client.command(placed(at, row.line))
    if 200 <= reply.code < 300:
        expect((yield from client.command("RSET")), "250", "RSET after a line that was read all the same")
    else:
        expect(reply, "501 500 5yz", f"MAIL with a space {row.what}")
    if not client.ended:
        expect((yield from client.command(f"MAIL FROM:<{at.sender}>")), "250", "the good twin")
