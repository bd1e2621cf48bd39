"""How the client opens a session (RFC 5321 3.2, 4.1.1.1, 4.1.4): the greeting is awaited, EHLO comes first, HELO where EHLO is not known."""

import re
from typing import Final, NamedTuple

from conformance.case import CLIENT, section
from conformance.client.steps import DELIVERED, KEPT, arrives, becomes, bring, bring_mail, brought, talk
from conformance.context import Context
from conformance.outcome import MAY, MUST, SHOULD, SHOULD_NOT, check
from conformance.visit import DROP, After, Answer, accept_any
from conformance.wire import Script

case = section("rfc5321/4.1.1.1", CLIENT, needs=("dns",))
opening = section("rfc5321/3.2", CLIENT, needs=("dns",))
order = section("rfc5321/4.1.4", CLIENT, needs=("dns",))
names = section("rfc5321/2.3.5", CLIENT, needs=("dns",))
turns = section("rfc5321/4.3.1", CLIENT, needs=("dns",))

_DOMAIN: Final = re.compile(rb"[0-9A-Za-z](?:[0-9A-Za-z-]*[0-9A-Za-z])?(?:\.[0-9A-Za-z](?:[0-9A-Za-z-]*[0-9A-Za-z])?)+")
_LITERAL: Final = re.compile(rb"\[(?:\d{1,3}(?:\.\d{1,3}){3}|IPv6:[0-9A-Fa-f:.]+|[0-9A-Za-z-]*[0-9A-Za-z]:[!-Z^-~]+)\]")


@case("ehlo-first", SHOULD, tests=("5321-2.2.1-2b", "5321-4.1.1.1-3", "5321-F.3-1", "5321-4.1.4-11b"))
def ehlo_first(at: Context) -> Script:
    """The first command of a session is EHLO, not HELO, NOOP or anything else."""
    visit = yield from bring(at)
    check(visit.verbs[0] == "EHLO", f"the session began with {visit.lines[0]!r}")


@case("hello-before-mail", MUST, tests=("5321-4.1.1.1-5", "5321-4.1.4-1"))
def hello_before_mail(at: Context) -> Script:
    """EHLO or HELO comes before the first MAIL."""
    visit = yield from bring(at)
    brought(visit)
    hello = [visit.verbs.index(verb) for verb in ("EHLO", "HELO") if verb in visit.verbs]
    check(hello and visit.verbs.index("MAIL") > min(hello), f"it said {visit.verbs}")


@case("nothing-behind-the-name", SHOULD_NOT, tests=("5321-4.1.1.1-2",))
def nothing_behind(at: Context) -> Script:
    """EHLO has a single argument, one space before it and nothing behind."""
    visit = yield from bring(at)
    check(re.fullmatch(rb"[Ee][Hh][Ll][Oo] [^ \t]+", visit.lines[0]), f"it said {visit.lines[0]!r}")


@names("hello-argument", MUST, tests=("5321-2.3.5-3", "5321-2.3.5-1", "5321-2.3.5-2", "5321-4.1.2-8a", "5321-4.1.2-n1b", "6531-3.7.1-1"))
def hello_argument(at: Context) -> Script:
    """The argument of EHLO is a fully qualified domain of letters, digits and hyphens, or an address literal."""
    visit = yield from bring(at)
    argument = visit.lines[0].partition(b" ")[2]
    check(_DOMAIN.fullmatch(argument) or _LITERAL.fullmatch(argument), f"it said {visit.lines[0]!r}")


@order("primary-name", MUST, tests=("5321-4.1.4-7",))
def primary_name(at: Context) -> Script:
    """The argument of EHLO is the name of the host."""
    visit = yield from bring(at)
    argument = visit.lines[0].partition(b" ")[2].decode("ascii", "backslashreplace")
    check(argument.lower() == at.target.hostname.lower(), f"its name is {at.target.hostname}, and it said {visit.lines[0]!r}")


@names("name-rather-than-literal", SHOULD_NOT, tests=("5321-2.3.4-1",))
def name_rather_than_literal(at: Context) -> Script:
    """A host that has a name does not introduce itself by an address literal."""
    visit = yield from bring(at)
    check(not visit.lines[0].partition(b" ")[2].startswith(b"["), f"it said {visit.lines[0]!r}")


@turns("greeting-is-awaited", SHOULD, tests=("5321-4.3.1-2",))
def greeting_awaited(at: Context) -> Script:
    """Nothing is sent before the greeting has come."""
    visit = yield from arrives(at)
    ahead = yield from visit.pending(0.7)
    check(not ahead, f"before the greeting it said {ahead!r}")
    yield from visit.serve(idle_s=0.3)
    brought(visit)


@turns("last-line-of-the-greeting-is-awaited", SHOULD, tests=("5321-4.3.1-2", "5321-4.2-n2"))
def whole_greeting_awaited(at: Context) -> Script:
    """The first line of a greeting of several lines is not the greeting."""
    visit = yield from arrives(at)
    yield from visit.say(b"220-one\r\n")
    ahead = yield from visit.pending(0.5)
    check(not ahead, f"within the greeting it said {ahead!r}")
    yield from visit.say(b"220 two\r\n")
    yield from visit.serve(greet=False, idle_s=0.3)
    brought(visit)


@turns("each-reply-is-awaited", MUST, tests=("5321-4.3.1-1", "2920-3.1-n1"))
def lock_step(at: Context) -> Script:
    """Where PIPELINING is not offered, every command waits for the reply to the one before."""
    visit = yield from arrives(at)
    ahead = yield from talk(visit)
    check("DOT" in ahead, f"no message came; it said {visit.verbs}")
    check(not any(ahead.values()), f"it did not wait: {ahead}")


class Refusal(NamedTuple):
    """EHLO gets `reply`."""

    id: str
    reply: Answer
    level: str = ""


NOT_UNDERSTOOD: Final = (
    Refusal("500", "500 5.5.1 What?"),
    Refusal("500-bare", b"500\r\n"),
    Refusal("500-lines", "500 5.5.1 What\n500 5.5.1 is this?"),
    Refusal("502", "502 5.5.1 Not implemented"),
    Refusal("550", "550 5.7.0 Not you"),
    Refusal("504", "504 5.5.4 Not like this", MAY),
    Refusal("554", "554 5.5.0 No", MAY),
)


@opening.table(NOT_UNDERSTOOD, SHOULD, prefix="helo-after-", tests=("5321-2.2.1-3b", "5321-3.2-3"))
def helo_after(at: Context, row: Refusal) -> Script:
    """EHLO that is answered with `{reply}` is followed by HELO, and the message is delivered."""
    visit = yield from bring(at, replies={"EHLO": row.reply})
    check("HELO" in visit.verbs, f"it said {visit.verbs}")
    yield from becomes(at, visit, DELIVERED)


@opening("helo-refused-as-well", SHOULD, tests=("5321-4.2.1-1",))
def helo_put_off(at: Context) -> Script:
    """Where EHLO is not understood and HELO is put off, the message is kept."""
    visit = yield from bring(at, replies={"EHLO": "500 5.5.1 What?", "HELO": "450 4.3.2 Later"})
    check("MAIL" not in visit.verbs, f"it said {visit.verbs}", MUST)
    yield from becomes(at, visit, KEPT)


@opening("ehlo-put-off", SHOULD, tests=("5321-4.2.1-1",))
def ehlo_put_off(at: Context) -> Script:
    """EHLO that is answered with 4yz does not cost the message: it is delivered after HELO, or kept."""
    visit = yield from bring(at, replies={"EHLO": "450 4.3.2 Later"})
    if not visit.mails:
        yield from becomes(at, visit, KEPT)


@opening("server-drops-at-ehlo", MAY)
def drops_at_ehlo(at: Context) -> Script:
    """A fact: whether a server that takes EHLO for an end gets a second visit with HELO at once."""
    yield from bring(at, replies={"EHLO": DROP})
    visit = yield from accept_any(at, timeout_s=1.0)
    check(visit is not None, "it does not come back at once with HELO")
    assert visit is not None
    yield from visit.serve(idle_s=0.3)


@opening("greeting-without-esmtp", MUST, tests=("5321-2.2.1-3b",))
def plain_greeting(at: Context) -> Script:
    """A greeting that does not say ESMTP is a greeting."""
    visit = yield from bring(at, replies={"CONNECT": "220 {host} Simple Mail Transfer Service Ready"})
    yield from becomes(at, visit, DELIVERED)


@opening("slow-greeting", MUST, tests=("5321-4.5.3.2-2",))
def slow_greeting(at: Context) -> Script:
    """A greeting that comes after seconds is awaited."""
    visit = yield from bring(at, replies={"CONNECT": After(2.0, "220 {host} ESMTP"), "EHLO": After(1.0, "250 {host}")})
    yield from becomes(at, visit, DELIVERED)


@opening("helo-when-no-extension-is-needed", MAY, tests=("5321-3.2-1",))
def may_use_helo(at: Context) -> Script:
    """A fact: a client that needs no extension could say HELO."""
    visit = yield from bring(at)
    check(visit.verbs[0] == "HELO", "it says EHLO")


verbs = section("rfc5321/4.1.5", CLIENT, needs=("dns",))
KNOWN: Final = {"EHLO", "HELO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT", "VRFY", "EXPN", "HELP"}


@verbs("only-known-verbs", MUST, tests=("5321-4.1.5-2b", "5321-F.6-1"))
def only_known_verbs(at: Context) -> Script:
    """Where nothing is offered, only the verbs of the standard are sent; SEND, SAML and SOML are not."""
    visit = yield from bring(at)
    check(set(visit.verbs) <= KNOWN, f"it said {visit.verbs}")


@verbs("verbs-in-capitals", MAY, tests=("5321-2.4-4",))
def capitals(at: Context) -> Script:
    """A fact: verbs and keywords are sent in capitals, for servers that know no others."""
    mail = yield from bring_mail(at)
    for line in (mail.mail, *mail.rcpts):
        check(re.match(rb"(?:MAIL FROM|RCPT TO):", line), f"it said {line!r}")
