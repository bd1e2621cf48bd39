"""What each reply, at each stage, means for the message (RFC 5321 4.2, 4.2.1, 4.3.2, 3.8): delivered, kept, or returned to its sender."""

from typing import Final, NamedTuple

from conformance.case import CLIENT, section
from conformance.client.steps import DELIVERED, KEPT, LEFT, RETURNED, becomes, bring, comes_again
from conformance.context import Context
from conformance.outcome import MAY, MUST, SHOULD, SHOULD_NOT, check
from conformance.visit import BREAK, DROP, Answer
from conformance.wire import Script

case = section("rfc5321/4.2.1", CLIENT, needs=("dns",))
codes = section("rfc5321/4.2", CLIENT, needs=("dns",))
lost = section("rfc5321/3.8", CLIENT, needs=("dns",))


class Row(NamedTuple):
    """At `stage` the server gives `reply`; the message's `fate` follows."""

    id: str
    stage: str
    reply: Answer
    fate: str
    level: str = ""
    tests: tuple[str, ...] = ()


PERMANENT: Final = (
    Row("mail", "MAIL", "550 5.7.1 Not from you", RETURNED),
    Row("rcpt", "RCPT", "550 5.1.1 No such user", RETURNED),
    Row("rcpt-551", "RCPT", "551 5.1.6 User not local; please try <other@elsewhere.test>", RETURNED, tests=("5321-4.2.1-2",)),
    Row("rcpt-553", "RCPT", "553 5.1.3 Bad mailbox", RETURNED),
    Row("data", "DATA", "554 5.7.1 No", RETURNED),
    Row("dot", "DOT", "554 5.6.0 Not this", RETURNED, tests=("5321-4.2.5-4",)),
    Row("dot-552", "DOT", "552 5.3.4 Too big", RETURNED, tests=("5321-4.2.5-4", "5321-4.5.3.1-3b", "1870-6.2-5"), level=SHOULD),
)
TRANSIENT: Final = (
    Row("mail", "MAIL", "451 4.3.0 Later", KEPT),
    Row("mail-452", "MAIL", "452 4.3.1 No room", KEPT, tests=("5321-4.2.1-1", "1870-6.2-2")),
    Row("rcpt", "RCPT", "450 4.2.1 Greylisted", KEPT),
    Row("rcpt-452", "RCPT", "452 4.2.2 Full", KEPT),
    Row("data", "DATA", "451 4.3.0 Later", KEPT),
    Row("data-452", "DATA", "452 4.3.1 No room", KEPT, tests=("5321-4.2.1-1", "1870-6.2-5")),
    Row("dot", "DOT", "451 4.3.0 Later", KEPT),
    Row("dot-452", "DOT", "452 4.3.1 No room", KEPT, tests=("5321-4.2.1-1", "1870-6.2-5")),
)
BUSY: Final = tuple(Row(stage.lower(), stage, "421 4.3.2 {host} closing", KEPT) for stage in ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "DOT"))


@case.table(PERMANENT, SHOULD_NOT, prefix="permanent-", tests=("5321-4.2.1-2",))
def permanent(at: Context, row: Row) -> Script:
    """After `{reply}` to {stage} the message goes back to its sender, and is not tried again."""
    visit = yield from bring(at, replies={row.stage: row.reply})
    yield from becomes(at, visit, row.fate)


@case.table(TRANSIENT, SHOULD, prefix="transient-", tests=("5321-4.2.1-1",))
def transient(at: Context, row: Row) -> Script:
    """After `{reply}` to {stage} the message is kept: its sender is told nothing yet."""
    visit = yield from bring(at, replies={row.stage: row.reply})
    yield from becomes(at, visit, row.fate)


@lost.table(BUSY, SHOULD, prefix="closing-", tests=("5321-4.2.1-1",))
def closing(at: Context, row: Row) -> Script:
    """A server that says 421 instead of an answer to {stage} may be there again later: the message is kept."""
    visit = yield from bring(at, replies={row.stage: row.reply})
    yield from becomes(at, visit, row.fate)


LOSSES: Final = tuple(
    Row(f"{name}-{stage.lower()}", stage, how, KEPT)
    for name, how in (("closed", DROP), ("broken", BREAK))
    for stage in ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "DOT")
)


@lost.table(LOSSES, SHOULD, tests=("5321-3.8-3",))
def connection_lost(at: Context, row: Row) -> Script:
    """A connection that ends where the answer to {stage} was due counts as 451: the message is kept."""
    visit = yield from bring(at, replies={row.stage: row.reply})
    yield from becomes(at, visit, row.fate)


@lost("lost-within-the-content", SHOULD, tests=("5321-3.8-3",))
def lost_within_content(at: Context) -> Script:
    """A connection that ends in the middle of the content counts as 451: the message is kept."""
    visit = yield from bring(at, content=at.message(body=b"0123456789\r\n" * 20_000), until="DATA")
    check(visit.end == "until", f"it did not come to DATA: {visit.verbs}")
    yield from visit.say("354 Go ahead")
    yield from visit.octets(2_000)
    yield from visit.drop()
    yield from becomes(at, visit, KEPT)


AGAIN: Final = (
    Row("rcpt-450", "RCPT", "450 4.2.1 Later", KEPT, tests=("5321-4.2.1-1",)),
    Row("dot-451", "DOT", "451 4.3.0 Later", KEPT, tests=("5321-4.2.1-1",)),
    Row("lost-dot", "DOT", DROP, KEPT, tests=("5321-3.8-3",)),
)


@case.table(AGAIN, SHOULD, prefix="again-after-", needs=("control:flush",), alone=True)
def again(at: Context, row: Row) -> Script:
    """What was put off at {stage} comes again, whole, and once only when it is accepted."""
    yield from bring(at, replies={row.stage: row.reply})
    visit = yield from comes_again(at)
    yield from visit.serve(idle_s=0.3)
    yield from becomes(at, visit, DELIVERED)
    check(at.token.encode() in visit.mails[0].content, "another message came")


# --- codes that the client has not heard of, and replies of a code alone

UNKNOWN: Final = (
    Row("greeting-229", "CONNECT", "229 {host}", DELIVERED),
    Row("mail-259", "MAIL", "259 Fine", DELIVERED),
    Row("rcpt-259", "RCPT", "259 Fine", DELIVERED),
    Row("rcpt-299", "RCPT", "299 Fine", DELIVERED),
    Row("data-359", "DATA", "359 Go on", DELIVERED),
    Row("data-399", "DATA", "399 Go on", DELIVERED),
    Row("dot-259", "DOT", "259 Fine", DELIVERED),
    Row("dot-299", "DOT", "299 Fine", DELIVERED),
    Row("mail-469", "MAIL", "469 Later", KEPT),
    Row("rcpt-499", "RCPT", "499 Later", KEPT),
    Row("data-469", "DATA", "469 Later", KEPT),
    Row("dot-499", "DOT", "499 Later", KEPT),
    Row("mail-569", "MAIL", "569 Never", RETURNED),
    Row("rcpt-599", "RCPT", "599 Never", RETURNED),
    Row("data-569", "DATA", "569 Never", RETURNED),
    Row("dot-599", "DOT", "599 Never", RETURNED),
    Row("rcpt-556", "RCPT", "556 5.1.10 Domain does not accept mail", RETURNED, tests=("7504-4-n1", "5321-4.2-8")),
)


@codes.table(UNKNOWN, MUST, prefix="unknown-", tests=("5321-4.2-8", "5321-4.3.2-1b", "5321-4.2-6", "5321-4.3.2-1a"))
def unknown_code(at: Context, row: Row) -> Script:
    """`{reply}` to {stage} is a code that is not listed; its first digit says what to do: the message is {fate}."""
    visit = yield from bring(at, replies={row.stage: row.reply})
    yield from becomes(at, visit, row.fate)


OUT_OF_RANGE: Final = (
    Row("mail-650", "MAIL", "650 Odd", LEFT),
    Row("rcpt-650", "RCPT", "650 Odd", LEFT),
    Row("rcpt-150", "RCPT", "150 Odd", LEFT),
    Row("data-950", "DATA", "950 Odd", LEFT),
    Row("dot-650", "DOT", "650 Odd", LEFT),
)


@codes.table(OUT_OF_RANGE, SHOULD, prefix="out-of-range-", tests=("5321-4.2-10",))
def out_of_range(at: Context, row: Row) -> Script:
    """`{reply}` to {stage} has a first digit that no reply has: the transaction is ended, no content is sent after it, and nothing counts as delivered."""
    visit = yield from bring(at, replies={row.stage: row.reply})
    if row.stage == "DOT":
        return
    came = any(mail.is_complete and mail.content for mail in visit.mails) or any(line.startswith(b"X-Token:") for line in visit.lines)
    check(not came, f"content was sent after {row.reply!r} to {row.stage}")


GREETINGS: Final = (
    Row("554", "CONNECT", "554 {host} No mail here", RETURNED),
    Row("521", "CONNECT", "521 {host} does not accept mail", RETURNED),
)


@codes.table(GREETINGS, MAY, prefix="greeting-refused-", tests=("7504-3-n1", "5321-4.1.4-16"))
def greeting_refused(at: Context, row: Row) -> Script:
    """A fact: whether `{reply}` in place of the greeting returns the message at once, or another host or another time is tried."""
    visit = yield from bring(at, replies={row.stage: row.reply})
    check("MAIL" not in visit.verbs, f"it said MAIL after {row.reply!r}", MUST)
    yield from becomes(at, visit, row.fate)
