"""SMTPUTF8 as the client uses it (RFC 6531, 6532, 6533): international mail goes only where it is taken, and says what it is."""

import re
from typing import Final, NamedTuple

from conformance.case import CLIENT, section
from conformance.client.steps import WIDE, bring, bring_mail
from conformance.context import SENDER_LABEL, Context
from conformance.dialogue import attempt
from conformance.outcome import MUST, MUST_NOT, SHOULD, SHOULD_NOT, check, inconclusive
from conformance.visit import accept_any, notification, parameters_of, queries, receive, zone
from conformance.wire import Script, Step

case = section("rfc6531/3", CLIENT, needs=("dns", "extension:SMTPUTF8"))
domains = section("rfc6531/3.7", CLIENT, needs=("dns", "extension:SMTPUTF8"))
reports = section("rfc6533/3", CLIENT, needs=("dns", "extension:SMTPUTF8", "extension:DSN"))
headers = section("rfc6532/3.7", CLIENT, needs=("dns", "extension:SMTPUTF8"))

OFFERS: Final = ("SMTPUTF8", "8BITMIME")


def international(at: Context) -> bytes:
    """With UTF-8 in a header field."""
    return at.message("X-Comment: Grüße aus Köln".encode())


def someone_is_told(at: Context) -> Step[None]:
    """A notification comes to the sender; how it writes the address is left to it."""
    visit = yield from accept_any(at, SENDER_LABEL)
    check(visit is not None, "no notification came back")
    assert visit is not None
    yield from visit.serve(idle_s=0.3, offers=WIDE)
    check(visit.mails and visit.mails[0].is_complete, "no notification came back")


class Row(NamedTuple):
    """What makes a message international."""

    id: str
    local: str
    in_header: bool


KINDS: Final = (Row("header", "rcpt", True), Row("recipient", "rçpt", False), Row("both", "用户", True))


@case.table(KINDS, MUST, prefix="declared-", tests=("6531-3.4-1", "6531-3.2-4", "6531-3.2-5", "6531-3.6-1"))
def declared(at: Context, row: Row) -> Script:
    """A message whose {id} needs SMTPUTF8 is sent to a server that offers it, and MAIL says so."""
    content = international(at) if row.in_header else at.message()
    mail = yield from bring_mail(at, at.remote_at("", row.local), content=content, parameters="SMTPUTF8", offers=OFFERS)
    check("SMTPUTF8" in mail.parameters, f"it said {mail.mail!r}")
    check(mail.recipients == [at.remote_at("", row.local)], f"it said {mail.rcpts}")


@case.table(KINDS, MUST_NOT, prefix="not-without-offer-", tests=("6531-3.2-7a", "6531-3.2-7b", "6531-3.5-1"))
def not_without(at: Context, row: Row) -> Script:
    """A message whose {id} needs SMTPUTF8 does not go to a server that does not offer it: no UTF-8 is sent, and it is returned."""
    content = international(at) if row.in_header else at.message()
    recipient = at.remote_at("", row.local)
    visit = yield from bring(at, recipient, content=content, parameters="SMTPUTF8", offers=("8BITMIME", "DSN", "SIZE 1000000"))
    for line in visit.lines:
        check(line.isascii(), f"it said {line!r}")
    for mail in visit.mails:
        head = mail.content.partition(b"\r\n\r\n")[0]
        check(head.isascii(), "a header with UTF-8 was sent")
    if not visit.mails:
        yield from someone_is_told(at)


@case("not-said-without-need", SHOULD_NOT, tests=("6531-3.4-3",))
def not_said(at: Context) -> Script:
    """A message that needs nothing of it is sent without SMTPUTF8, even where it is offered."""
    mail = yield from bring_mail(at, offers=OFFERS)
    check("SMTPUTF8" not in mail.parameters, f"it said {mail.mail!r}")


class Offer(NamedTuple):
    id: str
    keyword: str


SPELLINGS: Final = (Offer("parameters", "SMTPUTF8 XVERSION=2 foo"), Offer("small", "smtputf8"))


@case.table(SPELLINGS, MUST, prefix="offered-with-", tests=("6531-3.1-2",))
def offered(at: Context, row: Offer) -> Script:
    """`{keyword}` is an offer like any other: what stands behind the keyword is ignored."""
    mail = yield from bring_mail(at, at.remote_at("", "rçpt"), parameters="SMTPUTF8", offers=(row.keyword, "8BITMIME"))
    check("SMTPUTF8" in mail.parameters, f"it said {mail.mail!r}")


@case("one-of-two-needs-it", MUST, tests=("6531-3.2-7a", "6531-3.5-1"))
def one_of_two(at: Context) -> Script:
    """Of a recipient in ASCII and one in UTF-8 at a server without the offer, the second one is never named there."""
    plain, other = at.remote_at("", "plain"), at.remote_at("", "rçpt")
    visit = yield from bring(at, plain, other, parameters="SMTPUTF8", offers=("8BITMIME",))
    for line in visit.lines:
        check(line.isascii(), f"it said {line!r}")
    if len(visit.of("RCPT")) > 1:
        inconclusive(f"it made an address of ASCII of it: {visit.of('RCPT')[1]!r}")
    yield from someone_is_told(at)


@domains("ascii-domain-without-offer", SHOULD, tests=("6531-3.7-1", "6531-3.2-3", "6531-3.2-2"))
def ascii_domain(at: Context) -> Script:
    """A domain in Unicode is looked up in its ASCII form, and is named so to a server without SMTPUTF8 (if the message is sent there at all)."""
    yield from zone(at, {"xn--bcher-kva": {"MX": ["10 mx"]}, "mx": {"A": ["{mx}"]}, "back": {"MX": ["10 back"], "A": ["{back}"]}})
    reply = yield from attempt(at, f"rcpt@bücher.{at.domain}", parameters="SMTPUTF8")
    if reply.code != 250:
        inconclusive(f"the target does not take it: {reply}")
    visit = yield from receive(at, idle_s=0.3)
    asked = [query.name for query in (yield from queries(at))]
    check(any(name.startswith("xn--bcher-kva.") for name in asked), f"the DNS was asked for {asked}", MUST)
    for line in visit.of("RCPT"):
        check(line.isascii(), f"it said {line!r}", MUST)


class Report(NamedTuple):
    """ORCPT as it comes in; what the next hop offers."""

    id: str
    given: str
    offers: tuple[str, ...]
    tests: tuple[str, ...]
    level: str = MUST


ORCPT: Final = (
    Report("xtext-for-ascii-server", "utf-8;r\\x{E7}pt@where.example", ("DSN",), ("6533-3-3", "6533-3-9")),
    Report("plus-for-ascii-server", "utf-8;a\\x{2B}b@where.example", ("DSN",), ("6533-3-4", "6533-3-9")),
    Report("for-utf-8-server", "utf-8;r\\x{E7}pt@where.example", ("DSN", "SMTPUTF8", "8BITMIME"), ("6533-3-8", "6533-3-6"), SHOULD),
)


@reports.table(ORCPT, prefix="orcpt-")
def orcpt(at: Context, row: Report) -> Script:
    """ORCPT={given} reaches a server with the offers {offers} in a form that it takes: coded without SMTPUTF8, plain UTF-8 with it."""
    visit = yield from bring(at, parameters="SMTPUTF8", rcpt_parameters=f"ORCPT={row.given}", offers=row.offers)
    if not visit.of("RCPT"):
        inconclusive("the message was not sent there")
    value = parameters_of(visit.of("RCPT")[0]).get("ORCPT", "")
    if "SMTPUTF8" not in row.offers:
        check(visit.of("RCPT")[0].isascii(), f"it said {visit.of('RCPT')[0]!r}")
        check(not value or re.fullmatch(r"[0-9A-Za-z-]+;(?:[!-*,-<>-~]|\+[0-9A-F]{2}|\\x\{[0-9A-F]+\})*", value), f"it said {visit.of('RCPT')[0]!r}")
    elif value:
        check("rçpt" in value, f"it said {visit.of('RCPT')[0]!r}")


@headers("global-report-in-seven-bits", MUST, tests=("6532-3.7-1", "6532-3.7-2", "6532-3.7-3"))
def global_report(at: Context) -> Script:
    """The notification about an international message, on its way to a server without SMTPUTF8 and 8BITMIME, has no octet with the high bit."""
    yield from bring(at, content=international(at), parameters="SMTPUTF8", offers=OFFERS, replies={"RCPT": "550 5.1.1 No"})
    mail = yield from notification(at)
    if mail is None:
        inconclusive("no notification came")
    assert mail is not None
    check(mail.content.isascii() and mail.mail.isascii(), "8-bit octets were sent to a server that offers nothing")


long = section("rfc6532/4", CLIENT, needs=("dns", "extension:SMTPUTF8"))


@long("header-lines-within-998-octets", MUST, tests=("6532-4-1",))
def header_lines(at: Context) -> Script:
    """No line of an international header section leaves with more than 998 octets."""
    field = "X-Comment: " + "\r\n ".join(["ü" * 300] * 4)
    mail = yield from bring_mail(at, content=at.message(field.encode()), parameters="SMTPUTF8", offers=OFFERS)
    check(max(map(len, mail.content.partition(b"\r\n\r\n")[0].split(b"\r\n"))) <= 998, "a line of the header section is longer")
