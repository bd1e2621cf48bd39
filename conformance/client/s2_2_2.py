"""Extensions as the client sees them (RFC 5321 2.2.2, 4.1.1.1): used only where they are offered, by exactly this keyword, in any case of letters."""

from typing import Final, NamedTuple

from conformance.case import CLIENT, section
from conformance.client.steps import arrives, bring, brought, talk
from conformance.context import Context
from conformance.dialogue import submit
from conformance.outcome import MUST, check, inconclusive
from conformance.visit import Visit, accept, listen, parameters_of, receive, receive_mail, zone
from conformance.wire import Script

case = section("rfc5321/2.2.2", CLIENT, needs=("dns",))
keywords = section("rfc5321/4.1.1.1", CLIENT, needs=("dns",))

ALL: Final = ("SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "AUTH", "NOTIFY", "ORCPT", "BY", "MT-PRIORITY", "REQUIRETLS", "HOLDFOR", "CONPERM", "SOLICIT", "RRVS")


class Row(NamedTuple):
    id: str
    keyword: str


PARAMETERS = (
    Row("size", "SIZE"),
    Row("body", "BODY"),
    Row("smtputf8", "SMTPUTF8"),
    Row("ret", "RET"),
    Row("envid", "ENVID"),
    Row("auth", "AUTH"),
)


@case.table(PARAMETERS, MUST, prefix="no-parameter-without-offer-", tests=("5321-4.1.1.3-6",))
def no_parameter_without_offer(at: Context, row: Row) -> Script:
    """A server that offers no extension gets no {keyword} parameter with MAIL."""
    yield from submit(at)
    mail = yield from receive_mail(at)
    check(row.keyword not in mail.parameters, f"it said {mail.mail!r} though nothing was offered")


def used(visit: Visit) -> set[str]:
    """The extensions that a session made use of: parameters and verbs; PIPELINING cannot be seen here."""
    found = set(visit.verbs) - {"EHLO", "HELO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT"}
    for line in (*visit.of("MAIL"), *visit.of("RCPT")):
        found |= set(parameters_of(line))
    return found


class Offer(NamedTuple):
    """`offers` in the reply to EHLO; `content` and `parameters` of the message that is handed in."""

    id: str
    offers: tuple[str, ...]
    why: str


LOOKALIKES: Final = (
    Offer("nothing", (), "nothing is offered"),
    Offer(
        "longer", ("SIZES 100", "8BITMIMES", "PIPELININGS", "CHUNKINGS", "DSNS", "STARTTLSS", "SMTPUTF8S", "AUTHS PLAIN"), "keywords are compared as a whole"
    ),
    Offer("x-", ("X-SIZE 100", "XSIZE", "X8BITMIME", "XPIPELINING", "XCHUNKING", "XDSN", "XSTARTTLS"), "a private keyword is another keyword"),
    Offer("parameter", ("XFOO SIZE 8BITMIME PIPELINING CHUNKING DSN STARTTLS SMTPUTF8",), "what stands behind a keyword is no keyword"),
    Offer("hyphened", ("SIZE-100", "8-BITMIME", "PIPE-LINING", "START-TLS", "CHUNKING-1", "SMTP-UTF8"), "a hyphen is part of a keyword"),
    Offer("unknown", ("XYZZY", "FUTURE a=b c=d", "TURN", "ETRN", "HELP", "EXPN", "VERP", "ATRN", "X-EXPS GSSAPI NTLM"), "an unknown keyword changes nothing"),
)


@case.table(LOOKALIKES, MUST, prefix="offered-", tests=("5321-4.1.1.3-6", "5321-4.1.5-2b", "3030-2-n5"))
def lookalikes(at: Context, row: Offer) -> Script:
    """No extension is used, as {why} ({id})."""
    visit = yield from bring(at, offers=row.offers)
    brought(visit)
    check(not used(visit), f"it used {sorted(used(visit))}")


@case("greeting-line-is-no-keyword", MUST, tests=("5321-4.1.1.3-6",))
def first_line(at: Context) -> Script:
    """The first line of the reply to EHLO bears the name of the server, and is no keyword even if it looks like one."""
    visit = yield from bring(at, replies={"EHLO": b"250-CHUNKING\r\n250 XNOTHING\r\n"})
    brought(visit)
    check(not used(visit), f"it used {sorted(used(visit))}")


@case("helo-reply-is-no-list", MUST, tests=("5321-4.1.1.3-6", "5321-2.2.1-3b"))
def helo_reply(at: Context) -> Script:
    """What stands in the reply to HELO is no list of extensions."""
    hello = "250 {host}\n250 SIZE 1000000\n250 8BITMIME\n250 CHUNKING\n250 DSN\n250 STARTTLS"
    visit = yield from bring(at, replies={"EHLO": "502 5.5.1 No", "HELO": hello})
    brought(visit)
    check(not used(visit), f"it used {sorted(used(visit))}")


@case("refused-ehlo-offers-nothing", MUST, tests=("5321-4.1.1.3-6",))
def refused_ehlo(at: Context) -> Script:
    """Keywords in a refusal of EHLO are no offers."""
    visit = yield from bring(at, replies={"EHLO": "550 {host}\n550 SIZE 1000000\n550 CHUNKING\n550 STARTTLS"})
    if visit.mails:
        check(not used(visit), f"it used {sorted(used(visit))}")


@case("offers-of-another-host", MUST, tests=("5321-4.1.1.3-6",))
def another_host(at: Context) -> Script:
    """What one host offered is not used with the next one."""
    yield from zone(
        at,
        {"@": {"MX": ["10 a", "20 b"]}, "a": {"A": ["{a}"]}, "b": {"A": ["{b}"]}, "back": {"MX": ["10 back"], "A": ["{back}"]}},
    )
    yield from listen("a", "b")
    yield from submit(at)
    first = yield from accept(at, "a")
    yield from first.serve(offers=("SIZE 1000000", "8BITMIME", "DSN", "CHUNKING", "ENHANCEDSTATUSCODES"), replies={"MAIL": "421 4.3.2 Bye"})
    yield from first.drop()
    second = yield from receive(at, "b", idle_s=0.3)
    brought(second)
    check(not used(second), f"it used {sorted(used(second))} with a host that offered nothing")


class Case(NamedTuple):
    id: str
    keyword: str


SPELLINGS: Final = (Case("small", "size 1000000"), Case("mixed", "Size 1000000"))


@keywords.table(SPELLINGS, MUST, prefix="keyword-in-", tests=("5321-4.1.1.1-6",))
def spellings(at: Context, row: Case) -> Script:
    """A client that makes use of `SIZE` makes use of `{keyword}` as well."""
    first = yield from bring(at, offers=("SIZE 1000000",))
    if "SIZE" not in brought(first).parameters:
        inconclusive("it does not declare sizes")
    yield from first.drop()
    second = yield from bring(at, at.remote_at("", "second"), offers=(row.keyword,))
    check("SIZE" in brought(second).parameters, f"the offer was not seen: {second.of('MAIL')}")


@keywords("all-offers-at-once", MUST, tests=("5321-4.1.1.1-6",))
def all_at_once(at: Context) -> Script:
    """A server that offers everything that is registered is served."""
    offers = (
        *("SIZE 10000000", "8BITMIME", "PIPELINING", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES", "SMTPUTF8", "ETRN", "HELP", "EXPN", "VRFY"),
        *("DELIVERBY 240", "MT-PRIORITY MIXER", "LIMITS RCPTMAX=1000 MAILMAX=1000", "NO-SOLICITING", "MTRK", "CONPERM", "FUTURERELEASE 1 2", "RRVS"),
    )
    visit = yield from bring(at, offers=offers)
    brought(visit)


@keywords("pipelining-in-any-case", MUST, tests=("5321-4.1.1.1-6",))
def pipelining_spelled(at: Context) -> Script:
    """`Pipelining` does not confuse the client, whether it makes use of it or not."""
    visit = yield from arrives(at)
    yield from talk(visit, offers=("Pipelining",), pause_s=0.02)
    check("DATA" in visit.verbs, f"no message came; it said {visit.verbs}")
