"""PIPELINING as the client uses it (RFC 2920): groups, what ends them, and replies that are counted."""

from typing import Final, NamedTuple

from conformance.case import CLIENT, section
from conformance.client.steps import DELIVERED, RETURNED, arrives, becomes, bring, bring_to, brought, mails_of, returned_for, talk
from conformance.context import Context
from conformance.outcome import MAY, MUST, SHOULD, check, inconclusive
from conformance.visit import DROP, Answer, Mail, accept_any, notification
from conformance.wire import Script, Step

case = section("rfc2920/3.1", CLIENT, needs=("dns",))
OFFERS: Final = ("PIPELINING",)


@case("pipelines", MAY, tests=("2920-3.1-n1",))
def pipelines(at: Context) -> Script:
    """A fact: whether commands are sent in groups where PIPELINING is offered."""
    visit = yield from arrives(at)
    ahead = yield from talk(visit, OFFERS)
    check(any(ahead.values()), "it waits for every reply")


@case("groups-end-where-they-must", MUST, tests=("2920-3.1-n2",))
def groups_end(at: Context) -> Script:
    """EHLO and DATA end a group: nothing comes behind them before their reply, and nothing before the greeting."""
    visit = yield from arrives(at)
    ahead = yield from talk(visit, OFFERS)
    check("DOT" in ahead, f"no message came; it said {visit.verbs}")
    for verb in ("CONNECT", "EHLO", "HELO", "DATA", "VRFY", "EXPN", "NOOP"):
        check(not ahead.get(verb), f"behind {verb} came {ahead.get(verb, b'')[:60]!r}")


class Row(NamedTuple):
    """The answers to RCPT by local part of a, b, c; who is returned."""

    id: str
    answers: dict[str, str]
    returned: tuple[str, ...]
    tests: tuple[str, ...] = ()


COUNTED: Final = (
    Row("first", {"a": "550 5.1.1 No a"}, ("a",)),
    Row("middle", {"b": "550 5.1.1 No b"}, ("b",)),
    Row("last", {"c": "550 5.1.1 No c"}, ("c",)),
    Row("two", {"a": "550 5.1.1 No a", "c": "553 5.1.3 No c"}, ("a", "c")),
    Row(
        "lines", {"a": "250 yes\n250 550 no\n250 yes", "b": "550 5.1.1 No\n550 5.1.1 250 yes\n550 5.1.1 No"}, ("b",), ("2920-3.1-3", "2920-3.1-6", "2920-3.1-2")
    ),
    Row("bare", {"a": "250", "b": "550", "c": "250"}, ("b",)),
)


@case.table(COUNTED, MUST, prefix="counted-", tests=("2920-3.1-1", "2920-3.1-2", "2920-3.1-3"))
def counted(at: Context, row: Row) -> Script:
    """Replies to a group are matched by counting: with {answers} exactly {returned} are returned, and the content counts for the others."""
    visits = yield from bring_to(at, ("a", "b", "c"), row.answers, offers=OFFERS)
    check(mails_of(visits), f"no message came; it said {visits[0].verbs}")
    named = [mail.content for mail in (yield from _notifications(at, len(row.returned)))]
    for local in ("a", "b", "c"):
        reported = any(f"final-recipient: rfc822;{local}@".encode() in content.lower().replace(b"; ", b";") for content in named)
        check(reported == (local in row.returned), f"{local} was {'' if reported else 'not '}reported as failed")


def _notifications(at: Context, most: int) -> Step[list[Mail]]:
    found: list[Mail] = []
    for _ in range(most):
        mail = yield from notification(at, timeout_s=0.0 if not found else 1.0)
        if mail is None:
            break
        found.append(mail)
    check(found, "no notification came")
    return found


class Group(NamedTuple):
    """The answers to a group, and what becomes of the message."""

    id: str
    replies: dict[str, Answer]
    fate: str


GROUPS: Final = (
    Group("mail-refused", {"MAIL": "550 5.7.1 No", "RCPT": "503 5.5.1 MAIL first", "DATA": "503 5.5.1 MAIL first"}, RETURNED),
    Group("data-refused", {"DATA": "554 5.7.1 No"}, RETURNED),
    Group("rcpt-refused-data-refused", {"RCPT": "550 5.1.1 No", "DATA": "554 5.5.1 No valid recipients"}, RETURNED),
    Group("data-lines", {"DATA": "354 go\n354 on"}, DELIVERED),
)


@case.table(GROUPS, MUST, prefix="group-", tests=("2920-3.1-1",))
def group(at: Context, row: Group) -> Script:
    """Every reply of a group is looked at ({id}): the message is {fate}, and content follows 354 alone."""
    visit = yield from bring(at, offers=OFFERS, replies=row.replies)
    known = {"EHLO", "HELO", "MAIL", "RCPT", "DATA", "RSET", "QUIT", "NOOP"}
    check(set(visit.verbs) <= known, f"something that is no command was sent: {sorted(set(visit.verbs) - known)}")
    yield from becomes(at, visit, row.fate)


@case("lone-dot-when-all-are-refused", SHOULD, tests=("2920-3.1-n4",))
def lone_dot(at: Context) -> Script:
    """When all RCPT were refused and DATA got 354 nevertheless, a dot alone is sent, and the message is returned."""
    visit = yield from bring(at, offers=OFFERS, replies={"RCPT": "550 5.1.1 No", "DOT": "554 5.5.1 No valid recipients"})
    if "DATA" not in visit.verbs:
        inconclusive("it waited for the replies to RCPT before it said DATA")
    content = visit.mails[0].raw if visit.mails else b""
    check(not content, f"content was sent for nobody: {content[:60]!r}")
    yield from returned_for(at, at.remote)


@case("lone-dot-is-no-delivery", MUST, tests=("2920-3.1-1",))
def lone_dot_accepted(at: Context) -> Script:
    """When all RCPT were refused and the server says 354 and even 250 after the dot, nothing is delivered: the message is returned."""
    yield from bring(at, offers=OFFERS, replies={"RCPT": "550 5.1.1 No"})
    yield from returned_for(at, at.remote)


@case("many-recipients-long-replies", MUST, tests=("2920-3.1-5",))
def no_deadlock(at: Context) -> Script:
    """A hundred recipients whose replies have several long lines: neither side waits for the other."""
    long = "\n".join(["250 2.1.5 " + "x" * 490] * 8)
    locals_ = [f"recipient-with-a-rather-long-name-{number}" for number in range(100)]
    visits = yield from bring_to(at, locals_, dict.fromkeys(locals_, long), offers=OFFERS)
    check(sum(len(mail.accepted) for mail in mails_of(visits)) == 100, "not all recipients got the message")


@case("replies-in-one-segment", MUST, tests=("2920-3.1-2", "2920-3.1-6"))
def one_segment(at: Context) -> Script:
    """Replies to a group that arrive together, several lines among them, are told apart."""
    visit = yield from arrives(at)
    yield from visit.serve(offers=OFFERS, until="MAIL")
    visit.end = ""
    waiting = yield from visit.pending(0.5)
    if waiting.count(b"\r\n") < 2:
        inconclusive("it does not send groups")
    for _ in range(waiting.count(b"\r\n")):
        yield from visit.line()
    yield from visit.say(b"250-one\r\n250 two\r\n250-three\r\n250 four\r\n354-five\r\n354 six\r\n")
    yield from visit.content()
    yield from visit.say("250 2.0.0 Ok")
    visit.mails.clear()
    check((yield from notification(at, timeout_s=0.5)) is None, "its sender got a notification")
    check((yield from accept_any(at, timeout_s=0.3)) is None, "the message came again")


@case("lost-within-a-group", MUST, tests=("2920-3.1-1",))
def lost_within(at: Context) -> Script:
    """A server that closes after it answered MAIL of a group has accepted nothing: nobody is told anything yet, and the message is not taken for delivered."""
    visit = yield from bring(at, offers=OFFERS, replies={"RCPT": DROP})
    check(not visit.mails, "content came")
    check((yield from notification(at, timeout_s=1.0)) is None, "its sender got a notification at once")


@case("next-host-without-pipelining", MUST, tests=("2920-3.1-n1",))
def forgets(at: Context) -> Script:
    """A later session with a server that does not offer PIPELINING is in lock step."""
    first = yield from bring(at, offers=OFFERS)
    brought(first)
    yield from first.drop()
    visit = yield from arrives(at)
    ahead = yield from talk(visit)
    check("DOT" in ahead, f"no message came; it said {visit.verbs}")
    check(not any(ahead.values()), f"it did not wait: {ahead}")
