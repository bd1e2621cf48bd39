"""EHLO and HELO: arguments, repeats, and what the reply lists (RFC 5321 2.2, 3.2, 4.1.1.1)."""

import re
from typing import Final, NamedTuple

from conformance.case import SERVER, section
from conformance.context import Context
from conformance.dialogue import extensions_of, greeted, hello, reach
from conformance.oracle import expect
from conformance.outcome import MAY, MUST, MUST_NOT, SHOULD, check, inconclusive
from conformance.server.steps import goes_on, helo, is_idle, is_open, leaves, takes_mail
from conformance.wire import Remark, Script

case = section("rfc5321/4.1.1.1", SERVER)
framework = section("rfc5321/2.2.1", SERVER)
registry = section("rfc5321/2.2.2", SERVER)
initiation = section("rfc5321/3.2", SERVER)
order = section("rfc5321/4.1.4", SERVER)
private = section("rfc5321/4.1.5", SERVER)

KEYWORD: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9-]*\Z")
PARAMETER: Final = re.compile(rb"[!-~]+\Z")
DOMAIN: Final = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*\Z|\[[!-Z^-~]+\]\Z")
# SMTP service extensions as IANA lists them in its registry of mail parameters, and AUTH= and such forms that stand for one of them.
REGISTERED: Final = frozenset(
    "SEND SOML SAML EXPN HELP TURN 8BITMIME SIZE VERB ONEX CHUNKING BINARYMIME CHECKPOINT DELIVERBY PIPELINING DSN ETRN ENHANCEDSTATUSCODES STARTTLS"
    " NO-SOLICITING MTRK ATRN AUTH BURL FUTURERELEASE CONPERM CONNEG SUBMITTER SMTPUTF8 UTF8SMTP MT-PRIORITY RRVS REQUIRETLS LIMITS VRFY".split()
)
# Commands that a server need not know, with an argument that would do no harm.
BEYOND: Final = (
    "EXPN staff",
    "ETRN nowhere.example",
    "TURN",
    "ATRN nowhere.example",
    "STARTTLS",
    "AUTH NOSUCHMECHANISM",
    "BDAT 0 LAST",
    "ONEX",
    "VERB ON",
    "BURL x",
)
SAID: Final = {"BDAT": "CHUNKING"}  # where the keyword is not the verb


class Name(NamedTuple):
    id: str
    argument: str
    why: str
    level: str = MUST
    tests: tuple[str, ...] = ("5321-2.2.1-2a",)


GOOD_NAMES: Final = (
    Name("domain", "client.example", "a domain"),
    Name("upper-case", "CLIENT.EXAMPLE", "a domain in capitals", tests=("5321-2.4-n2",)),
    Name("digits", "1.2.example", "labels of digits", tests=("5321-4.1.2-n1a",)),
    Name("hyphens", "a--b.example", "hyphens within a label", tests=("5321-4.1.2-n1a",)),
    Name("ipv4-literal", "[192.0.2.1]", "an IPv4 literal", tests=("5321-4.1.3-n1", "5321-4.1.2-n1a")),
    Name("ipv6-literal", "[IPv6:2001:db8::1]", "an IPv6 literal", tests=("5321-4.1.3-n2", "5321-4.1.2-n1a")),
    Name("ipv6-full-literal", "[IPv6:2001:db8:0:0:0:0:0:1]", "an IPv6 literal with all groups", tests=("5321-4.1.3-n2",)),
    Name("not-its-own", "mismatch.invalid", "a name that is not that of the client's address", MUST_NOT, ("5321-4.1.4-10",)),
)


@case.table(GOOD_NAMES, prefix="ehlo-")
def ehlo_names(at: Context, row: Name) -> Script:
    """EHLO with {why} is answered with 250, and mail is taken afterwards."""
    client = yield from greeted(at)
    expect((yield from client.command(f"EHLO {row.argument}")), "250", f"EHLO with {row.why}")
    expect((yield from client.command(f"MAIL FROM:<{at.sender}>")), "250", "MAIL")


HELO_NAMES: Final = (
    Name("domain", "client.example", "a domain", tests=("5321-2.2.1-3a", "5321-4.1.1.1-4b", "5321-F.3-2")),
    Name("single-label", "client", "a single label", tests=("5321-4.1.2-n1a",)),
    Name("not-its-own", "mismatch.invalid", "a name that is not that of the client's address", tests=("5321-4.1.1.1-4b",)),
)


@case.table(HELO_NAMES, prefix="helo-")
def helo_names(at: Context, row: Name) -> Script:
    """HELO with {why} is answered with 250, and a message is taken."""
    client = yield from greeted(at)
    reply = yield from client.command(f"HELO {row.argument}")
    if row.id == "single-label" and reply.code in (504, 550):
        inconclusive(f"a name that is not qualified is refused: {reply}")
    expect(reply, "250", f"HELO with {row.why}")
    yield from client.mail()
    yield from client.rcpt()
    yield from takes_mail(client)


BAD_NAMES: Final = (
    Name("underscore", "under_score.example", "has an underscore", MUST, ("5321-4.1.2-9", "5321-4.1.4-5", "5321-4.1.4-6")),
    Name("slash", "a/b.example", "has a slash", MUST, ("5321-4.1.2-9", "5321-4.1.4-5", "5321-4.1.4-6")),
    Name("at-sign", "me@client.example", "has an at sign", MUST, ("5321-4.1.2-9", "5321-4.1.4-5", "5321-4.1.4-6")),
    Name("open-literal", "[192.0.2.1", "is a literal without its closing bracket", SHOULD, ("5321-4.1.4-5", "5321-4.1.4-6")),
    Name("octet-256", "[192.0.2.256]", "is a literal with a number beyond 255", SHOULD, ("5321-4.1.4-5", "5321-4.1.4-6")),
    Name("empty-label", "client..example", "has an empty label", SHOULD, ("5321-4.1.4-5", "5321-4.1.4-6")),
    Name("leading-hyphen", "-client.example", "begins with a hyphen", SHOULD, ("5321-4.1.4-5", "5321-4.1.4-6")),
    Name("nothing", "", "is missing", SHOULD, ("5321-4.1.4-5", "5321-4.1.4-6")),
)


@order.table(BAD_NAMES, prefix="ehlo-bad-")
def bad_ehlo(at: Context, row: Name) -> Script:
    """An EHLO argument that {why} is not acceptable: refused with 500, 501, 502 or 550, and a transaction under way stays as it was.

    The good twins are ehlo-domain and its like.
    """
    client = yield from reach(at, "mail")
    reply = yield from client.command(f"EHLO {row.argument}".rstrip(" "))
    expect(reply, "501 500 502 550 5yz", f"EHLO with an argument that {row.why}")
    if not client.ended and reply.code != 421:
        yield from is_open(client)


@framework("no-extension-needed", MUST, tests=("5321-2.2.1-2a",))
def ehlo_succeeds(at: Context) -> Script:
    """EHLO is answered with 250, whatever extensions the server has."""
    client = yield from greeted(at)
    reply = expect((yield from client.command("EHLO client.example")), "250", "EHLO")
    yield Remark(f"{len(extensions_of(reply))} keywords")
    yield from leaves(client)


@case("ehlo-reply-names-host", MUST, tests=("5321-4.1.1.1-n1", "5321-4.1.2-8b"))
def reply_names_host(at: Context) -> Script:
    """The first line of the reply to EHLO begins with the domain of the server."""
    client = yield from greeted(at)
    reply = expect((yield from client.command("EHLO client.example")), "250", "EHLO")
    word = reply.lines[0].decode("ascii", "backslashreplace").split(" ")[0]
    check(DOMAIN.match(word), f"the first line begins with {word!r}")


@case("ehlo-reply-grammar", MUST, tests=("5321-4.1.1.1-n2", "5321-4.1.1.1-n3", "5321-4.2.1-n1", "5321-4.2.1-n2", "5321-4.2.1-4"))
def reply_grammar(at: Context) -> Script:
    """Each further line of the reply to EHLO is a keyword and its parameters; all but the last have a hyphen after 250."""
    client = yield from greeted(at)
    reply = expect((yield from client.command("EHLO client.example")), "250", "EHLO")
    check(not reply.faults, "; ".join(reply.faults))
    for line in reply.lines[1:]:
        keyword, *parameters = line.split(b" ")
        check(KEYWORD.match(keyword), f"{keyword!r} is not a keyword")
        check(all(PARAMETER.match(word) for word in parameters), f"the parameters of {line!r}")


@registry("keywords-registered", MUST, tests=("5321-2.2.2-2", "5321-2.2.2-3", "5321-4.1.5-1"))
def keywords_registered(at: Context) -> Script:
    """Keywords that do not begin with X are registered with IANA."""
    client = yield from hello(at)
    strange = [word for word in client.extensions if not word.startswith("X") and word.partition("=")[0] not in REGISTERED]
    check(not strange, f"EHLO offers {', '.join(strange)}, which nobody registered")


@private("private-keywords", MAY, tests=("5321-4.1.5-1", "5321-4.1.1.1-8"))
def private_keywords(at: Context) -> Script:
    """Private extensions may be listed: those that are, are recorded."""
    client = yield from hello(at)
    yield Remark(f"private keywords: {', '.join(word for word in client.extensions if word.startswith('X')) or 'none'}", "info")


@case("beyond-listed", MUST, tests=("5321-4.1.1.1-7", "5321-3.5.2-9", "5321-F.6-3b"))
def beyond_listed(at: Context) -> Script:
    """Every command beyond those that all servers have is listed in the reply to EHLO if it works."""
    client = yield from hello(at)
    unlisted = []
    for line in (*BEYOND, *(f"{verb} FROM:<{at.sender}>" for verb in ("SEND", "SOML", "SAML"))):
        verb = line.split()[0]
        if SAID.get(verb, verb) in client.extensions:
            continue
        reply = yield from client.command(line)
        if client.ended:
            break
        if 200 <= reply.code < 400 and reply.code != 252:
            unlisted.append(f"{verb} ({reply.code})")
    check(not unlisted, f"works but is not listed: {', '.join(unlisted)}")


@framework("listed-works", MUST_NOT, tests=("5321-4.2.4-4",))
def listed_works(at: Context) -> Script:
    """A command that EHLO lists is not answered with 500 or 502."""
    client = yield from hello(at)
    known = []
    for line in ("EXPN staff", "HELP", "VRFY postmaster", "ETRN nowhere.example", "AUTH NOSUCHMECHANISM", "TURN", "BDAT 0 LAST", "STARTTLS"):
        verb = line.split()[0]
        if SAID.get(verb, verb) not in client.extensions or client.ended:
            continue
        reply = yield from client.command(line)
        check(reply.code not in (500, 502), f"{verb} is listed, yet: {reply}")
        known.append(verb)
    yield Remark(f"listed and asked for: {', '.join(known)}")


@initiation("helo-lists-nothing", MUST_NOT, tests=("5321-3.2-2",))
def helo_lists_nothing(at: Context) -> Script:
    """The reply to HELO lists no extensions."""
    client = yield from greeted(at)
    reply = expect((yield from client.command("HELO client.example")), "250", "HELO")
    listed = sorted(set(extensions_of(reply)) & REGISTERED)
    check(not listed, f"the reply to HELO lists {', '.join(listed)}")


@initiation("helo-then-mail", MUST, tests=("5321-2.2.1-3a", "5321-4.1.1.1-4b", "5321-F.3-2"))
def helo_then_mail(at: Context) -> Script:
    """A client that knows no extensions opens with HELO and sends its mail."""
    client = yield from helo(at)
    yield from client.mail()
    yield from client.rcpt()
    yield from takes_mail(client)
    yield from leaves(client)


@initiation("ehlo-after-helo", MUST, tests=("5321-2.2.1-2a", "5321-4.1.4-4"))
def ehlo_after_helo(at: Context) -> Script:
    """EHLO after HELO is taken, and lists what the first EHLO of another session does."""
    client = yield from helo(at)
    reply = expect((yield from client.command("EHLO client.example")), "250", "EHLO")
    check(set(extensions_of(reply)) == set(at.extensions), f"lists {sorted(extensions_of(reply))}, another session {sorted(at.extensions)}")


@order("ehlo-again-lists-the-same", MAY, tests=("5321-4.1.4-3",))
def ehlo_again_lists_the_same(at: Context) -> Script:
    """EHLO may come again, and lists the same."""
    client = yield from hello(at)
    before = client.extensions
    yield from client.hello("other.example")
    check(client.extensions == before, f"{sorted(before)}, then {sorted(client.extensions)}")


@order("ehlo-five-times", MUST, tests=("5321-4.1.4-4", "5321-4.2-1"))
def ehlo_often(at: Context) -> Script:
    """Repeated EHLO is answered each time with one reply (or the server closes)."""
    client = yield from greeted(at)
    for _ in range(5):
        if not client.ended:
            expect((yield from client.command("EHLO client.example")), "250 421 closed", "EHLO again", strict=True)
    yield from goes_on(client)


@order("ehlo-clears-recipients", MUST, tests=("5321-4.1.4-4", "5321-4.1.4-n2"))
def ehlo_clears(at: Context) -> Script:
    """EHLO after RCPT clears sender and recipients, and a transaction may begin anew."""
    client = yield from reach(at, "rcpt")
    expect((yield from client.command("EHLO again.example")), "250", "EHLO again")
    yield from is_idle(client)
    yield from client.mail()
    reply = yield from client.command("DATA")
    if reply.code == 354:
        yield from client.send(b".\r\n")
        reply = yield from client.reply()
    expect(reply, "503 554 5yz", "DATA without a recipient of its own")


@case("eight-bit-offered", SHOULD, tests=("5321-2.4-11",))
def eight_bit_offered(at: Context) -> Script:
    """8BITMIME is offered."""
    client = yield from hello(at)
    check("8BITMIME" in client.extensions, f"EHLO offers {', '.join(client.extensions) or 'nothing'}")
