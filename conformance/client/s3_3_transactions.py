"""The order and form of a transaction as the client makes it (RFC 5321 2.3.8, 3.3, 4.1.1, 4.1.4, 4.5.5)."""

import re
from typing import Final, NamedTuple

from conformance.case import CLIENT, section
from conformance.client.steps import KEPT, becomes, bring, bring_mail, bring_to, brought, comes_again, mails_of, returned_for
from conformance.content import fields
from conformance.context import Context
from conformance.dialogue import admitted
from conformance.oracle import need
from conformance.outcome import MUST, MUST_NOT, SHOULD, SHOULD_NOT, check, inconclusive
from conformance.visit import Mail, notification, receive
from conformance.wire import Script, Step

case = section("rfc5321/3.3", CLIENT, needs=("dns",))
lines = section("rfc5321/2.3.8", CLIENT, needs=("dns",))
many = section("rfc5321/4.5.4.1", CLIENT, needs=("dns",))
limits = section("rfc5321/4.5.3.1", CLIENT, needs=("dns",))
origin = section("rfc5321/4.5.5", CLIENT, needs=("dns",))


@case("order", MUST, tests=("5321-3.3-14", "5321-4.1.4-12"))
def transaction_order(at: Context) -> Script:
    """MAIL comes first and once, then RCPT, then DATA."""
    visit = yield from bring(at, at.remote, at.remote_at("", "second"))
    brought(visit)
    said = [verb for verb in visit.verbs if verb in ("MAIL", "RCPT", "DATA", "RSET", "QUIT")]
    first = said[: said.index("DATA") + 1]
    check(first[0] == "MAIL" and first.count("MAIL") == 1 and set(first[1:-1]) == {"RCPT"}, f"it said {said}")


@case("no-space-beside-the-colon", MUST_NOT, tests=("5321-3.3-n5", "5321-4.1.2-n1b"))
def no_space(at: Context) -> Script:
    """MAIL FROM: and RCPT TO: have no space on either side of the colon, and the path has its brackets."""
    mail = yield from bring_mail(at)
    check(re.fullmatch(rb"MAIL FROM:<[^ ]*>(?: .*)?", mail.mail, re.IGNORECASE), f"it said {mail.mail!r}")
    check(re.fullmatch(rb"RCPT TO:<[^ ]*>(?: .*)?", mail.rcpts[0], re.IGNORECASE), f"it said {mail.rcpts[0]!r}")


@case("no-parameters-to-data-rset-quit", MUST_NOT, tests=("5321-4.1.1-3a",))
def no_parameters(at: Context) -> Script:
    """DATA, RSET and QUIT are sent without parameters."""
    visit = yield from bring(at, idle_s=15.0)
    brought(visit)
    for line in visit.lines:
        check(line.split(b" ")[0].upper() not in (b"DATA", b"RSET", b"QUIT") or b" " not in line, f"it said {line!r}")


@case("no-content-after-data-refused", MUST_NOT, tests=("5321-3.3-10a", "5321-3.3-10b"))
def data_refused(at: Context) -> Script:
    """When DATA is refused, no content follows: the next line is a command."""
    visit = yield from bring(at, replies={"DATA": "451 4.3.0 Not now"})
    check("DATA" in visit.verbs, f"it said {visit.verbs}")
    after = visit.lines[visit.verbs.index("DATA") + 1 :]
    check(all(line.upper() in (b"RSET", b"QUIT", b"NOOP") or line.upper().startswith(b"MAIL ") for line in after), f"after the refusal it sent {after!r}")


class Source(NamedTuple):
    id: str
    tests: tuple[str, ...]
    rcpt: str


ROUTES: Final = (
    Source("rcpt", ("5321-3.3-4", "5321-4.1.1.3-1", "5321-4.1.2-1b", "5321-C-2", "5321-C-3b", "5321-F.2-5", "5321-3.6.1-1"), "@hop.example,@hop2.example:"),
    Source("mail", ("5321-3.3-3", "5321-C-1", "5321-3.6.1-1"), ""),
)


@case.table(ROUTES, SHOULD_NOT, prefix="no-source-route-")
def no_source_route(at: Context, row: Source) -> Script:
    """No source route leaves, even where one came in: the {id} path is a mailbox and nothing more."""
    client = yield from admitted(at)
    route = "" if row.rcpt else "@hop.example:"
    reply = yield from client.command(f"MAIL FROM:<{route}{at.sender}>")
    if route and reply.code // 100 == 5:
        inconclusive("a source route is refused, which is allowed")
    need(reply, "250", "MAIL")
    reply = yield from client.command(f"RCPT TO:<{row.rcpt}{at.remote}>")
    if row.rcpt and reply.code // 100 == 5:
        inconclusive("a source route is refused, which is allowed")
    need(reply, "250", "RCPT")
    need((yield from client.data()), "250", "the end of data")
    mail = yield from _one(at)
    for line in (mail.mail, *mail.rcpts):
        check(b"<@" not in line, f"it said {line!r}")


def _one(at: Context) -> Step[Mail]:
    visit = yield from receive(at, idle_s=0.3)
    return brought(visit)


@lines("lines-end-with-crlf", MUST_NOT, tests=("5321-2.3.8-1b", "5321-2.3.8-3a", "5321-2.3.8-3b"))
def crlf(at: Context) -> Script:
    """Every line of commands and content ends with CR LF, and neither CR nor LF stands alone."""
    visit = yield from bring(at, content=at.message(body=b"one\r\ntwo\r\n\r\nfour\r\n"))
    mail = brought(visit)
    check(not visit.bare, f"these ended with LF alone: {visit.bare}")
    rest = mail.raw.replace(b"\r\n", b"")
    check(b"\r" not in rest and b"\n" not in rest, "a lone CR or LF stands in the content")


@origin("reverse-path-of-common-mail", SHOULD, tests=("5321-4.5.5-1",))
def reverse_path(at: Context) -> Script:
    """Mail that is no notification keeps its reverse-path: it is not null."""
    mail = yield from bring_mail(at)
    check(mail.sender == at.sender, f"the reverse-path is <{mail.sender}>")


@origin("recipients-stay-in-the-envelope", SHOULD_NOT, tests=("5321-7.2-1a", "5321-4.4-13"))
def envelope_stays(at: Context) -> Script:
    """With several recipients, none of the envelope is copied into the header section; and there is no Return-Path."""
    mail = yield from bring_mail(at, at.remote_at("", "hidden1"), at.remote_at("", "hidden2"))
    text = "\n".join(value for _, value in fields(mail.content))
    check("hidden1" not in text and "hidden2" not in text, f"the header section names a recipient of the envelope:\n{text}")
    check(not fields(mail.content, "Return-Path"), "a message on its way has a Return-Path")


lists = section("rfc5321/3.5.4", CLIENT, needs=("dns",))


@lists("lists-of-others-are-not-expanded", SHOULD_NOT, tests=("5321-3.5.4-1",))
def not_expanded(at: Context) -> Script:
    """A server that offers EXPN is not asked for the members of a list: the message is sent to the address as it is."""
    visit = yield from bring(at, at.remote_at("", "staff-list"), offers=("EXPN", "VRFY"))
    check(brought(visit).recipients == [at.remote_at("", "staff-list")], f"it said {visit.of('RCPT')}")
    check(not visit.of("EXPN"), f"it said {visit.verbs}")


# --- several recipients


@many("one-message-many-recipients", SHOULD, tests=("5321-4.5.4.1-10",))
def one_for_many(at: Context) -> Script:
    """A message for twenty recipients of one domain is sent once, as one MAIL and many RCPT."""
    visits = yield from bring_to(at, [f"r{number}" for number in range(20)], {})
    check(len(mails_of(visits)) == 1, f"it sent the message {len(mails_of(visits))} times")


class Mix(NamedTuple):
    """`answers` to RCPT by local part: `a` and `b`."""

    id: str
    answers: dict[str, str]
    delivered: bool
    returned: tuple[str, ...]


MIXES: Final = (
    Mix("good-permanent", {"b": "550 5.1.1 No b"}, True, ("b",)),
    Mix("permanent-good", {"a": "550 5.1.1 No a"}, True, ("a",)),
    Mix("good-transient", {"b": "450 4.2.1 b later"}, True, ()),
    Mix("transient-good", {"a": "450 4.2.1 a later"}, True, ()),
    Mix("permanent-transient", {"a": "550 5.1.1 No a", "b": "450 4.2.1 b later"}, False, ("a",)),
    Mix("both-permanent", {"a": "550 5.1.1 No a", "b": "553 5.1.3 No b"}, False, ("a", "b")),
    Mix("both-transient", {"a": "451 4.3.0 a later", "b": "450 4.2.1 b later"}, False, ()),
    Mix("forwarded-and-doubtful", {"a": "251 2.1.5 will forward", "b": "252 2.1.5 who knows"}, True, ()),
)


@case.table(MIXES, MUST, prefix="mixed-recipients-", tests=("5321-4.2-5a",))
def mixed(at: Context, row: Mix) -> Script:
    """Each recipient has its own fate: with the answers {answers} content is sent only for those that were accepted, and exactly {returned} are returned."""
    visits = yield from bring_to(at, ("a", "b"), row.answers, replies={"DATA": "354 Go ahead"})
    accepted = [line for mail in mails_of(visits) for line in mail.accepted]
    content = any(mail.content for mail in mails_of(visits))
    check(content == row.delivered, f"content was {'' if content else 'not '}sent; accepted were {accepted}")
    if row.returned:
        yield from returned_for(at, *(at.remote_at("", local) for local in row.returned))
    else:
        check((yield from notification(at, timeout_s=1.0)) is None, "its sender got a notification at once")


@case("only-the-refused-one-is-returned", MUST, tests=("5321-4.2-5a",))
def only_the_refused(at: Context) -> Script:
    """The notification about the one recipient that was refused does not call the other one failed."""
    yield from bring_to(at, ("good", "bad"), {"bad": "550 5.1.1 No"})
    mail = yield from notification(at)
    check(mail is not None, "no notification came")
    assert mail is not None
    named = re.findall(rb"(?im)^(?:final|original)-recipient:.*?;\s*<?([^@\s]+)@", mail.content)
    check(b"good" not in named, f"the notification reports on {named}")


class Limit(NamedTuple):
    id: str
    reply: str
    tests: tuple[str, ...] = ()
    level: str = ""


TOO_MANY: Final = (
    Limit("452", "452 4.5.3 Too many recipients", ("5321-4.5.3.1.8-4",)),
    Limit("552", "552 5.5.3 Too many recipients", ("5321-4.5.3.1.10-1", "5321-4.5.3.1.10-2b")),
    Limit("552-without-enhanced-code", "552 Too many recipients", ("5321-4.5.3.1.10-1", "5321-4.5.3.1.10-2b")),
)


@limits.table(TOO_MANY, SHOULD, prefix="too-many-recipients-")
def too_many(at: Context, row: Limit) -> Script:
    """`{reply}` to the third RCPT puts this recipient off: the message goes to the first two, and nothing is returned."""
    visits = yield from bring_to(at, ("a", "b", "c"), {"c": row.reply})
    if not any(len(visit.of("RCPT")) == 3 for visit in visits):
        inconclusive("it did not send all recipients in one session")
    check(any(len(mail.accepted) == 2 for mail in mails_of(visits)), f"the two that were accepted did not get it: {visits[0].verbs}")
    check((yield from notification(at, timeout_s=1.0)) is None, "the recipient was returned")


@limits("refused-recipients-come-again", SHOULD, tests=("5321-4.5.3.1.8-4", "5321-4.5.3.1.10-1"), needs=("control:flush",), alone=True)
def come_again(at: Context) -> Script:
    """Recipients that are refused because there are too many are sent in another transaction, and only they."""
    visits = yield from bring_to(at, ("a", "b", "c"), {"c": "452 4.5.3 Too many recipients"})
    if not any(len(visit.of("RCPT")) == 3 for visit in visits):
        inconclusive("it did not send all recipients in one session")
    visit = yield from comes_again(at)
    yield from visit.serve(idle_s=0.3)
    check(brought(visit).recipients == [at.remote_at("", "c")], f"it came again for {brought(visit).recipients}", MUST)


@case("refused-data-for-several", MUST, tests=("5321-4.2-5a",))
def data_refused_for_several(at: Context) -> Script:
    """A message that is refused at its end is refused for all recipients: each is returned."""
    yield from bring_to(at, ("a", "b"), {}, replies={"DOT": "554 5.6.0 Not this"})
    yield from returned_for(at, at.remote_at("", "a"), at.remote_at("", "b"))


@case("put-off-data-for-several", MUST, tests=("5321-4.2-5a",))
def data_put_off_for_several(at: Context) -> Script:
    """A message that is put off at its end is put off for all recipients."""
    visits = yield from bring_to(at, ("a", "b"), {}, replies={"DOT": "451 4.6.0 Later"})
    yield from becomes(at, visits[-1], KEPT)


@case("next-message-after-a-refusal", MUST, tests=("5321-4.1.4-12",))
def next_after_refusal(at: Context) -> Script:
    """After a transaction that ended in a refusal, the next one in the same session begins cleanly: RSET (or another session) comes before MAIL."""
    visit = yield from bring(at, at.remote_at("", "first"), replies={"RCPT": ["550 5.1.1 No", "250 2.1.5 Ok"]}, idle_s=0.1)
    client = yield from admitted(at)
    yield from client.transaction(at.remote_at("", "second"), sender=at.sender)
    if visit.end != "idle":
        inconclusive("it had ended the session")
    visit.end = ""
    began = len(visit.lines)
    yield from visit.serve(greet=False, idle_s=0.3, timeout_s=2.0)
    said = [line.upper().split(b" ")[0] for line in visit.lines[began:]]
    if b"MAIL" not in said:
        inconclusive("it used another session")
    check(b"RSET" in said[: said.index(b"MAIL")] or b"EHLO" in said[: said.index(b"MAIL")], f"after the refused transaction it said {said}")
