"""Trace of what is received (RFC 5321 4.4), looked at in the delivered message: Received and Return-Path."""

import re
from typing import Final, NamedTuple

from conformance.case import SERVER, section
from conformance.content import fields, values
from conformance.context import Context
from conformance.dialogue import delivered, delivered_one, greeted, hello
from conformance.oracle import expect, need
from conformance.outcome import MAY, MUST, MUST_NOT, SHOULD, SHOULD_NOT, check, inconclusive
from conformance.server.steps import helo, takes_mail
from conformance.wire import Remark, Script, Step

case = section("rfc5321/4.4", SERVER, needs=("delivery",))
loops = section("rfc5321/6.3", SERVER)

SETTLE_S: Final = 1.5
OLD: Final = (
    "Received: from oldest.example ([192.0.2.1])\r\n\tby older.example with SMTP id 1; Tue, 14 Jul 2026 10:00:00 +0000",
    "Received: from even.older.example by old.example; Tue, 14 Jul 2026 09:00:00 +0000",
)
FORGED: Final = "Return-Path: <forged@elsewhere.example>"
# Links and protocols as IANA lists them in its registry of mail parameters.
LINKS: Final = frozenset(("TCP", "UUCP"))
PROTOCOLS: Final = frozenset(
    "SMTP ESMTP ESMTPA ESMTPS ESMTPSA LMTP LMTPA LMTPS LMTPSA UTF8SMTP UTF8SMTPA UTF8SMTPS UTF8SMTPSA UTF8LMTP UTF8LMTPA UTF8LMTPS UTF8LMTPSA"
    " MMS HTTP HTTPS".split()
)
_DATE: Final = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),\s*)?\d{1,2}\s+(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\s+\d{4}\s+\d{2}:\d{2}(?::\d{2})?\s+\S+\Z", re.I
)
_CLAUSES: Final = re.compile(
    r"from (?P<source>\S+) by (?P<by>\S+)(?: via (?P<via>\S+))?(?: with (?P<with>\S+))?(?: id (?P<id>\S+))?(?: for (?P<for>.*?))?(?P<more>(?: \S+ \S+)*) ?\Z",
    re.I,
)


class Received(NamedTuple):
    """`value` unfolded; `clauses` and `date` without comments."""

    value: str
    clauses: str
    date: str

    def clause(self, name: str) -> str:
        """ "" when it has none, or cannot be read."""
        found = _CLAUSES.match(self.clauses)
        return (found[name] or "") if found else ""


def _received(value: str) -> Received:
    bare = value
    while (shorter := re.sub(r"\([^()]*\)", " ", bare)) != bare:
        bare = shorter
    clauses, _, date = bare.rpartition(";")
    return Received(value, " ".join(clauses.split()), " ".join(date.split()))


def _message(at: Context, *recipients: str, sender: str | None = None, content: bytes | None = None) -> Step[bytes]:
    """A message that was sent with EHLO, as it is delivered."""
    client = yield from hello(at)
    expect((yield from client.transaction(*recipients, sender=sender, content=content)), "250", "the end of data")
    message: bytes = yield from delivered_one(at)
    return message


def _newest(message: bytes) -> Received:
    found = values(message, "Received")
    if not found:
        inconclusive("the delivered message has no Received field (see received-at-the-top)")
    return _received(found[0])


@case("received-at-the-top", MUST, tests=("5321-4.4-1", "5321-4.4-7a"))
def received_at_the_top(at: Context) -> Script:
    """A Received field of this server is put before all that the message had."""
    message = yield from _message(at)
    names = [name.lower() for name, _ in fields(message)]
    check("received" in names, f"the fields are {names}")
    check(names.index("received") < names.index("from"), f"Received stands behind the fields of the message: {names}")


@case("received-before-older", MUST_NOT, tests=("5321-4.4-7a", "5321-4.4-7b"))
def received_before_older(at: Context) -> Script:
    """Older Received fields are kept as they were, in their order, behind the new one."""
    message = yield from _message(at, content=OLD[0].encode() + b"\r\n" + OLD[1].encode() + b"\r\n" + at.message())
    found = values(message, "Received")
    old = [" ".join(field.partition(":")[2].split()) for field in OLD]
    check(len(found) >= 3, f"{len(found)} Received fields")
    check(found[-2:] == old, f"the last two are {found[-2:]}")


@case("older-kept-octet-by-octet", MUST_NOT, tests=("5321-4.4-7b",))
def older_kept(at: Context) -> Script:
    """An older Received field keeps its folds and spaces."""
    message = yield from _message(at, content=OLD[0].encode() + b"\r\n" + at.message())
    check(OLD[0].replace("\r\n", "\n").encode() in message, "the older field was changed")


@case("received-grammar", MUST, tests=("5321-4.4-2", "5321-4.4-3a"))
def received_grammar(at: Context) -> Script:
    """The Received field is from, by, and of via, with, id and for those that there are, in this order, a semicolon and a date."""
    received = _newest((yield from _message(at)))
    check(_CLAUSES.match(received.clauses), f"{received.value!r}")
    late = {"from", "by", "via", "with", "id", "for"} & {word.lower() for word in received.clause("more").split()[::2]}
    check(not late, f"{', '.join(sorted(late))} stands out of order in {received.value!r}")
    check(_DATE.match(received.date), f"the date is {received.date!r}")


@case("received-from", SHOULD, tests=("5321-4.4-3b", "5321-4.4-3a"))
def received_from(at: Context) -> Script:
    """The from clause has the name that the client gave in EHLO, and its address as a literal."""
    received = _newest((yield from _message(at)))
    source = re.split(r"\sby\s", received.value, maxsplit=1, flags=re.I)[0]
    check("client.example" in source, f"no EHLO name in {source!r}")
    check(re.search(r"\[(?:IPv6:)?[0-9a-fA-F.:]+\]", source), f"no address literal in {source!r}")


@case("received-by", MUST, tests=("5321-4.4-2",))
def received_by(at: Context) -> Script:
    """The by clause names the server."""
    received = _newest((yield from _message(at)))
    check("." in received.clause("by"), f"by {received.clause('by')!r} in {received.value!r}")


@case("received-after-helo", MUST, tests=("5321-4.4-1", "5321-4.4-2"))
def received_after_helo(at: Context) -> Script:
    """After HELO the Received field is of the same form."""
    client = yield from helo(at)
    expect((yield from client.transaction()), "250", "the end of data")
    received = _newest((yield from delivered_one(at)))
    check(_CLAUSES.match(received.clauses), f"{received.value!r}")
    yield Remark(f"after HELO: with {received.clause('with')}")


@case("received-literal-name", MUST, tests=("5321-4.4-2", "5321-4.4-3a"))
def received_literal(at: Context) -> Script:
    """A client that says EHLO with an address literal is named in a field of the same form."""
    client = yield from greeted(at)
    need((yield from client.command("EHLO [192.0.2.77]")), "250", "EHLO")
    expect((yield from client.transaction()), "250", "the end of data")
    received = _newest((yield from delivered_one(at)))
    check(_CLAUSES.match(received.clauses), f"{received.value!r}")


@case("date-offset", SHOULD, tests=("5321-4.4-8", "5321-4.4-10"))
def date_offset(at: Context) -> Script:
    """The date has a numeric offset; a zone name stands in a comment only."""
    received = _newest((yield from _message(at)))
    check(re.search(r"\s[+-]\d{4}\Z", received.date), f"the date is {received.date!r}")


@case("date-not-obsolete", MUST_NOT, tests=("5321-4.4-26", "5321-F.5-1"))
def date_not_obsolete(at: Context) -> Script:
    """The date has no obsolete form: the year has four digits."""
    received = _newest((yield from _message(at)))
    check(_DATE.match(received.date), f"the date is {received.date!r}")


@case("year-of-four-digits", MUST, tests=("5321-F.5-1",))
def year_of_four_digits(at: Context) -> Script:
    """Every date that the server puts into a message has a year of four digits."""
    message = yield from _message(at)
    for value in values(message, "Received"):
        check(re.search(r"\s(19|20)\d\d\s", _received(value).date), f"{value!r}")


@case("one-for", MUST, tests=("5321-4.4-5",), needs=("two-recipients",))
def one_for(at: Context) -> Script:
    """The for clause, where there is one, names one path, however many recipients there are."""
    received = _newest((yield from _message(at, at.recipient, at.other_recipient)))
    check(received.clause("for").count("@") <= 1, f"for {received.clause('for')!r}")


@case("for-tells-nobody", SHOULD_NOT, tests=("5321-7.6-n1",), needs=("two-recipients",))
def for_tells_nobody(at: Context) -> Script:
    """With several recipients no for clause tells the one of the other."""
    message = yield from _message(at, at.other_recipient, at.recipient)
    for value in values(message, "Received"):
        check(at.other_recipient.lower() not in value.lower(), f"{value!r}")


@case("registered-protocol", SHOULD_NOT, tests=("5321-4.4-29",))
def registered_protocol(at: Context) -> Script:
    """What stands after with is a registered protocol."""
    received = _newest((yield from _message(at)))
    check(not received.clause("with") or received.clause("with").upper() in PROTOCOLS, f"with {received.clause('with')}")


@case("registered-link", SHOULD_NOT, tests=("5321-4.4-28",))
def registered_link(at: Context) -> Script:
    """What stands after via is a registered link."""
    received = _newest((yield from _message(at)))
    check(not received.clause("via") or received.clause("via").upper() in LINKS, f"via {received.clause('via')}")


@case("registered-clauses", SHOULD_NOT, tests=("5321-4.4-27",))
def registered_clauses(at: Context) -> Script:
    """There is no clause beyond those of the standard."""
    received = _newest((yield from _message(at)))
    check(not received.clause("more").strip(), f"{received.clause('more')!r} in {received.value!r}")


@case("return-path", MUST, tests=("5321-4.4-11",))
def return_path(at: Context) -> Script:
    """Final delivery records the reverse-path in Return-Path."""
    found = values((yield from _message(at)), "Return-Path")
    check(found and found[0] == f"<{at.sender}>", f"Return-Path: {found}")


@case("return-path-null", MUST, tests=("5321-4.4-11",))
def return_path_null(at: Context) -> Script:
    """The null reverse-path is recorded as <>."""
    found = values((yield from _message(at, sender="")), "Return-Path")
    check(found and found[0] == "<>", f"Return-Path: {found}")


@case("return-path-case", MUST, tests=("5321-4.4-11",))
def return_path_case(at: Context) -> Script:
    """The local-part of the reverse-path is recorded in the case in which it came."""
    sender = at.sender.replace("sender@", "SenDer+Tag@")
    found = values((yield from _message(at, sender=sender)), "Return-Path")
    check(found and found[0].startswith("<SenDer+Tag@"), f"Return-Path: {found}")


@case("return-path-first", MUST, tests=("5321-4.4-n1",))
def return_path_first(at: Context) -> Script:
    """Delivered mail has Return-Path, then the Received fields, then the rest."""
    names = [name.lower() for name, _ in fields((yield from _message(at)))]
    check("return-path" in names and "received" in names, f"the fields are {names}")
    check(names.index("return-path") < names.index("received") < names.index("from"), f"the fields are {names}")


@case("one-return-path", SHOULD, tests=("5321-4.4-16",))
def one_return_path(at: Context) -> Script:
    """A delivered message has exactly one Return-Path."""
    found = values((yield from _message(at)), "Return-Path")
    check(len(found) == 1, f"Return-Path: {found}")


@case("forged-return-path", SHOULD, tests=("5321-4.4-16",))
def forged_return_path(at: Context) -> Script:
    """A Return-Path that the message brought along is gone at delivery: exactly one is there, and it is true."""
    found = values((yield from _message(at, content=FORGED.encode() + b"\r\n" + at.message())), "Return-Path")
    check(len(found) == 1 and found[0] == f"<{at.sender}>", f"Return-Path: {found}")


@case("own-fields-untouched", MUST_NOT, tests=("5321-4.4-7b",))
def fields_untouched(at: Context) -> Script:
    """No Received field is put elsewhere: behind the first field of the message there is none that it did not bring."""
    message = yield from _message(at)
    names = [name.lower() for name, _ in fields(message)]
    check("received" not in names[names.index("from") :], f"the fields are {names}")


# --- loops


def _with_hops(at: Context, count: int) -> bytes:
    hops = [f"Received: from h{hop}.example by h{hop + 1}.example; Tue, 14 Jul 2026 10:00:00 +0000\r\n".encode() for hop in range(count)]
    return b"".join(reversed(hops)) + at.message()


class Hops(NamedTuple):
    id: str
    hops: int


@loops.table([Hops(str(count), count) for count in (1, 25, 50, 95)], SHOULD, prefix="hops-", tests=("5321-6.3-1",))
def hops_taken(at: Context, row: Hops) -> Script:
    """A message that has passed {hops} hops is no loop yet: the limit is at least 100."""
    client = yield from hello(at)
    expect((yield from client.transaction(content=_with_hops(at, row.hops))), "250", f"{row.hops} Received fields")


@loops("endless-hops", MAY, tests=("5321-6.3-1",))
def endless_hops(at: Context) -> Script:
    """What happens to a message of 1000 Received fields is recorded; the session goes on."""
    client = yield from hello(at)
    reply = yield from client.transaction(content=_with_hops(at, 1000))
    yield Remark(f"1000 Received fields: {reply}", "info")
    if not client.ended:
        yield from client.mail()
        yield from client.rcpt()
        yield from takes_mail(client)


@loops("refused-hops-not-delivered", MUST_NOT, tests=("5321-4.2.5-3",), needs=("delivery",))
def refused_hops(at: Context) -> Script:
    """A message that is refused after its final dot for its many hops is not delivered."""
    client = yield from hello(at)
    reply = yield from client.transaction(content=_with_hops(at, 1000))
    if reply.code // 100 == 2:
        inconclusive("1000 Received fields are taken here")
    yield from client.close()
    found = yield from delivered(at, "", 1, SETTLE_S)
    check(not found, "it was delivered")
