"""How the client reads replies (RFC 5321 4.2, 4.2.1, 4.5.3.1.5): several lines, a code alone, long lines, texts that say something else, nonsense."""

from typing import Final, NamedTuple

from conformance.case import CLIENT, section
from conformance.client.steps import DELIVERED, KEPT, RETURNED, arrives, becomes, bring, brought, dribble
from conformance.context import Context
from conformance.outcome import MUST, SHOULD, check
from conformance.visit import Answer
from conformance.wire import Script

case = section("rfc5321/4.2", CLIENT, needs=("dns",))
form = section("rfc5321/4.2.1", CLIENT, needs=("dns",))
size = section("rfc5321/4.5.3.1.5", CLIENT, needs=("dns",))

LONG: Final = "x" * 506  # a line of 512 octets with code, space and CRLF


class Row(NamedTuple):
    """At `stage` the server gives `reply`; the message is `fate` then."""

    id: str
    stage: str
    reply: Answer
    fate: str = DELIVERED
    level: str = ""
    tests: tuple[str, ...] = ()


LINES: Final = (
    Row("greeting", "CONNECT", "220 {host}\n220 no spam please\n220 ready"),
    Row("mail", "MAIL", "250 2.1.0 one\n250 2.1.0 two"),
    Row("rcpt", "RCPT", "250 2.1.5 one\n250 2.1.5 two\n250 2.1.5 three"),
    Row("data", "DATA", "354 go\n354 ahead"),
    Row("dot", "DOT", "250 2.0.0 one\n250 2.0.0 two"),
    Row("empty-lines", "MAIL", b"250-\r\n250-\r\n250 \r\n"),
    Row("hundred", "MAIL", "\n".join(f"250 line {number}" for number in range(100))),
    Row("other-codes-in-the-text", "RCPT", "250 550 no\n250 450 later\n250 fine"),
    Row("refused-rcpt", "RCPT", "550 5.1.1 one\n550 5.1.1 two", RETURNED),
    Row("refused-mail", "MAIL", "550 5.7.1 one\n550 5.7.1 two", RETURNED),
    Row("refused-dot", "DOT", "554 5.6.0 one\n554 5.6.0 two", RETURNED),
    Row("put-off-rcpt", "RCPT", "450 4.2.0 one\n450 4.2.0 two", KEPT),
)


@case.table(LINES, MUST, prefix="lines-", tests=("5321-4.2-n2",))
def several_lines(at: Context, row: Row) -> Script:
    """A reply of several lines to {stage} is one reply: the message is {fate}."""
    visit = yield from bring(at, replies={row.stage: row.reply})
    yield from becomes(at, visit, row.fate)


BARE: Final = (
    Row("greeting", "CONNECT", b"220\r\n"),
    Row("ehlo", "EHLO", b"250\r\n"),
    Row("mail", "MAIL", b"250\r\n"),
    Row("rcpt", "RCPT", b"250\r\n"),
    Row("data", "DATA", b"354\r\n"),
    Row("dot", "DOT", b"250\r\n"),
    Row("rcpt-550", "RCPT", b"550\r\n", RETURNED),
    Row("rcpt-450", "RCPT", b"450\r\n", KEPT),
    Row("space", "MAIL", b"250 \r\n"),
    Row("last-of-several", "MAIL", b"250-one\r\n250\r\n"),
)


@form.table(BARE, MUST, prefix="bare-", tests=("5321-4.2.1-3b", "5321-4.2-2", "5321-4.2-5c"))
def code_alone(at: Context, row: Row) -> Script:
    """A reply to {stage} of a code without text, even without a space, is understood: the message is {fate}."""
    visit = yield from bring(at, replies={row.stage: row.reply})
    yield from becomes(at, visit, row.fate)


TEXTS: Final = (
    Row("accepted-error", "RCPT", "250 550 5.1.1 error: no such user"),
    Row("accepted-failed", "DOT", "250 Failed: 554 5.7.1 rejected"),
    Row("refused-ok", "RCPT", "550 250 2.1.5 Ok, accepted", RETURNED),
    Row("refused-queued", "DOT", "554 2.0.0 Ok: queued as 12345", RETURNED),
    Row("put-off-ok", "RCPT", "450 250 Ok", KEPT),
    Row("go-ahead-refused", "DATA", "354 554 no valid recipients"),
    Row("permanent-class-in-transient-code", "RCPT", "450 5.1.1 No such user", KEPT),
    Row("transient-class-in-permanent-code", "RCPT", "550 4.2.1 Later", RETURNED),
    Row("utf-8", "MAIL", "250 2.1.0 Enchantée"),
    Row("latin-1", "MAIL", b"250 d\xe9j\xe0 vu\r\n"),
    Row("controls", "MAIL", b"250 \x01\x07\x7f text\r\n"),
    Row("percent-and-quotes", "RCPT", "550 5.1.1 %s%n%d \"<'\\ $(x) `y`", RETURNED),
    Row("251-elsewhere", "RCPT", "251 2.1.5 User not local; will forward to <other@elsewhere.test>"),
    Row("251-utf-8", "RCPT", "251 2.1.5 will forward to <ü@elsewhere.test>", tests=("6531-3.7.4.1-1",)),
    Row("551-utf-8", "RCPT", "551 5.1.6 please try <ü@elsewhere.test>", RETURNED, tests=("6531-3.7.4.1-1",)),
    Row("252", "RCPT", "252 2.1.5 Cannot say"),
)


@case.table(TEXTS, MUST, prefix="text-", tests=("5321-4.2-5a", "5321-4.2-5c"))
def code_not_text(at: Context, row: Row) -> Script:
    """What follows `{reply}` to {stage} depends on its code, not on its text: the message is {fate}."""
    visit = yield from bring(at, replies={row.stage: row.reply})
    yield from becomes(at, visit, row.fate)


LENGTHS: Final = (
    Row("greeting", "CONNECT", f"220 {LONG}"),
    Row("ehlo", "EHLO", f"250 {LONG}\n250 {LONG}"),
    Row("mail", "MAIL", f"250 {LONG}"),
    Row("data", "DATA", f"354 {LONG}"),
    Row("dot", "DOT", f"250 {LONG}"),
    Row("rcpt-refused", "RCPT", f"550 {LONG}", RETURNED),
    Row("four", "RCPT", "\n".join([f"250 {LONG}"] * 4)),
    Row("twenty", "RCPT", "\n".join([f"250 {LONG}"] * 20), level=SHOULD),
)


@size.table(LENGTHS, MUST, prefix="line-of-512-", tests=("5321-4.5.3.1.5-n1b",))
def long_line(at: Context, row: Row) -> Script:
    """A reply line of 512 octets to {stage} is taken: the message is {fate}."""
    visit = yield from bring(at, replies={row.stage: row.reply})
    yield from becomes(at, visit, row.fate)


NONSENSE: Final = (
    Row("no-digits", "MAIL", b"hello\r\n"),
    Row("two-digits", "MAIL", b"25 ok\r\n"),
    Row("four-digits", "MAIL", b"2500 ok\r\n"),
    Row("codes-differ", "MAIL", b"250-fine\r\n550 no\r\n"),
    Row("empty", "MAIL", b"\r\n"),
    Row("dot-no-digits", "DOT", b"thank you\r\n"),
    Row("dot-codes-differ", "DOT", b"250-fine\r\n450 no\r\n"),
    Row("nul", "MAIL", b"\0\0\0\r\n"),
    Row("endless", "MAIL", b"2" * 100_000 + b"\r\n"),
    Row("endless-lines", "MAIL", b"250-x\r\n" * 20_000 + b"250 x\r\n"),
)


@case.table(NONSENSE, SHOULD, prefix="nonsense-", tests=("5321-4.2-10",))
def nonsense(at: Context, row: Row) -> Script:
    """A reply to {stage} that is none harms nobody: the target lives, and takes another message to this host afterwards."""
    visit = yield from bring(at, replies={row.stage: row.reply})
    yield from visit.drop()
    yield from bring(at, at.remote_at("", "second"))


@case("octet-by-octet", MUST, tests=("5321-4.2-n2",))
def octet_by_octet(at: Context) -> Script:
    """A reply that comes an octet at a time is the reply that it is."""
    visit = yield from arrives(at)
    yield from dribble(visit, b"220-one\r\n220 two\r\n")
    yield from visit.serve(until="RCPT", greet=False)
    check(visit.end == "until", f"after its greeting it said {visit.verbs}")
    visit.end = ""
    yield from dribble(visit, b"250-2.1.5 one\r\n250 2.1.5 two\r\n")
    yield from visit.serve(greet=False, idle_s=0.3)
    brought(visit)


@case("two-replies-in-one-segment", MUST, tests=("5321-4.2-n2",))
def in_one_segment(at: Context) -> Script:
    """All lines of a reply in one segment, and the next reply only after the next command: the message is delivered."""
    visit = yield from bring(at, offers=("PIPELINING", "SIZE 1000000"), replies={"MAIL": b"250-a\r\n250-b\r\n250 c\r\n"})
    yield from becomes(at, visit, DELIVERED)
