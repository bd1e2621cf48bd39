"""SIZE as the client uses it (RFC 1870): the size that it declares, and what follows a refusal for size."""

from typing import Final, NamedTuple

from conformance.case import CLIENT, section
from conformance.client.steps import KEPT, RETURNED, becomes, bring, bring_mail, bring_to, brought, mails_of, returned, returned_for
from conformance.context import Context
from conformance.outcome import MAY, MUST, MUST_NOT, SHOULD, check, inconclusive
from conformance.visit import Answer, notification, parameters_of
from conformance.wire import Script

case = section("rfc1870/6", CLIENT, needs=("dns",))
OFFERS: Final = ("SIZE 10000000",)


@case("declares-the-size", MAY, tests=("1870-4-5",))
def declares(at: Context) -> Script:
    """A fact: where SIZE is offered, MAIL has the size of the message."""
    mail = yield from bring_mail(at, offers=OFFERS)
    check("SIZE" in mail.parameters, f"it said {mail.mail!r}")


class Body(NamedTuple):
    id: str
    body: bytes


BODIES: Final = (Body("small", b"line\r\n"), Body("dots", b".\r\n" * 3_000), Body("large", b"line of text\r\n" * 30_000), Body("short-lines", b"\r\n" * 5_000))


@case.table(BODIES, SHOULD, prefix="size-of-", tests=("1870-6-1", "1870-6-4", "5321-4.5.3.1.7-2b"))
def true_size(at: Context, row: Body) -> Script:
    """The declared size is that of the content with its line ends, without stuffed dots, or an estimate that is rather too large ({id})."""
    mail = yield from bring_mail(at, content=at.message(body=row.body), offers=OFFERS)
    if "SIZE" not in mail.parameters:
        inconclusive("it does not declare sizes")
    declared = int(mail.parameters["SIZE"])
    check(declared >= len(mail.content), f"it declared {declared} octets, and {len(mail.content)} came")


@case("size-once", MUST, tests=("1870-6-2a", "5321-4.1.2-n1b"))
def once(at: Context) -> Script:
    """MAIL has one SIZE parameter at most, a number of up to 20 digits."""
    mail = yield from bring_mail(at, offers=OFFERS)
    words = [word for word in mail.mail.upper().split() if word.startswith(b"SIZE")]
    check(len(words) <= 1, f"it said {mail.mail!r}")
    value = parameters_of(mail.mail).get("SIZE", "0")
    check(value.isdigit() and len(value) <= 20, f"it said {mail.mail!r}")


class Offer(NamedTuple):
    id: str
    keyword: str
    level: str = MUST
    tests: tuple[str, ...] = ("1870-3-n1", "1870-3-n2")


OPEN: Final = (
    Offer("without-number", "SIZE"),
    Offer("zero", "SIZE 0"),
    Offer("huge", "SIZE 99999999999999999999"),
    Offer("nonsense", "SIZE many", MAY, ("1870-7-1",)),
    Offer("negative", "SIZE -1", MAY, ("1870-7-1",)),
)


@case.table(OPEN, prefix="limit-")
def no_limit(at: Context, row: Offer) -> Script:
    """`{keyword}` states no limit that keeps a message from being sent."""
    brought((yield from bring(at, offers=(row.keyword,))))


@case("larger-than-the-limit", MAY, tests=("1870-7-1", "5321-4.5.3.1.7-2b"))
def larger(at: Context) -> Script:
    """A fact: whether a message that is larger than the limit offered is returned without an attempt."""
    visit = yield from bring(at, content=at.message(body=b"line of text\r\n" * 2_000), offers=("SIZE 1000",), replies={"MAIL": "552 5.3.4 Too big"})
    yield from returned(at)
    check("MAIL" not in visit.verbs, "it is offered all the same")


class Row(NamedTuple):
    """`reply` at `stage`; what has to come next, if anything does, and what becomes of the message."""

    id: str
    stage: str
    reply: Answer
    fate: str
    tests: tuple[str, ...]
    level: str = ""


REFUSALS: Final = (
    Row("mail-452", "MAIL", "452 4.3.1 No room now", KEPT, ("1870-6.2-1", "1870-6.2-2")),
    Row("mail-552", "MAIL", "552 5.3.4 Too big", RETURNED, ("1870-6.2-3",)),
)


@case.table(REFUSALS, SHOULD, prefix="refused-")
def refused(at: Context, row: Row) -> Script:
    """After `{reply}` to {stage} comes RSET or QUIT, and the message is {fate}."""
    visit = yield from bring(at, offers=OFFERS, replies={row.stage: row.reply}, idle_s=12.0)
    after = visit.verbs[visit.verbs.index("MAIL") + 1 :] if "MAIL" in visit.verbs else []
    check(not after or after[0] in ("RSET", "QUIT"), f"after the refusal it said {after}")
    yield from becomes(at, visit, row.fate)


LATE: Final = (
    Row("data-452", "DATA", "452 4.3.1 No room now", KEPT, ("1870-6.2-5",)),
    Row("data-552", "DATA", "552 5.3.4 Too big", RETURNED, ("1870-6.2-5",)),
    Row("dot-452", "DOT", "452 4.3.1 No room now", KEPT, ("1870-6.2-5",)),
    Row("dot-552", "DOT", "552 5.3.4 Too big", RETURNED, ("1870-6.2-5",)),
)


@case.table(LATE, MUST, prefix="late-")
def late(at: Context, row: Row) -> Script:
    """A server that took the declared size may refuse later: after `{reply}` to {stage} the message is {fate}."""
    visit = yield from bring(at, offers=OFFERS, replies={row.stage: row.reply})
    yield from becomes(at, visit, row.fate)


@case("one-recipient-without-room", MAY, tests=("1870-6.4-2",))
def rcpt_452(at: Context) -> Script:
    """After 452 to one RCPT the message goes to the other recipient, and is kept for this one."""
    visits = yield from bring_to(at, ("a", "b"), {"b": "452 4.2.2 No room for b"}, offers=OFFERS)
    check(mails_of(visits), "the other recipient did not get it", MUST)
    check((yield from notification(at, timeout_s=1.0)) is None, "the recipient was returned")


@case("one-recipient-for-whom-it-is-too-large", MUST_NOT, tests=("1870-6.4-3",))
def rcpt_552(at: Context) -> Script:
    """After 552 to one RCPT, for its size, the message is not tried again for this recipient: it is returned."""
    visits = yield from bring_to(at, ("a", "b"), {"b": "552 5.2.3 Message exceeds the size that b takes"}, offers=OFFERS)
    check(mails_of(visits), "the other recipient did not get it")
    yield from returned_for(at, at.remote_at("", "b"))
