"""Content on its way out (RFC 5321 4.1.1.4, 4.5.2): dots are doubled, line ends are CR LF, nothing is added before the final dot."""

import itertools
from typing import Final, NamedTuple

from conformance.case import CLIENT, section
from conformance.client.steps import arrives, bring, bring_mail, brought
from conformance.content import split, with_lf
from conformance.context import Context
from conformance.outcome import MUST, MUST_NOT, SHOULD, check
from conformance.wire import Script

case = section("rfc5321/4.5.2", CLIENT, needs=("dns",))
end = section("rfc5321/4.1.1.4", CLIENT, needs=("dns",))


class Body(NamedTuple):
    id: str
    body: bytes


BODIES: Final = (
    Body("dot", b".\r\n"),
    Body("two-dots", b"..\r\n"),
    Body("dots-in-a-row", b".\r\n..\r\n...\r\n....\r\n"),
    Body("dot-first", b".first\r\nlast\r\n"),
    Body("dot-last", b"first\r\n.last\r\n"),
    Body("dot-at-the-end-of-lines", b"one.\r\ntwo..\r\n.\r\n"),
    Body("dot-after-empty-line", b"\r\n\r\n.\r\n\r\n"),
    Body("looks-like-commands", b".\r\nQUIT\r\nMAIL FROM:<x@y.example>\r\n.\r\nRSET\r\n"),
    Body("dot-at-998", b"x" * 997 + b".\r\n." + b"y" * 996 + b"\r\n"),
    Body("dots-at-each-block", b"".join(b"." * width + b"\r\n" for width in itertools.islice(itertools.cycle(range(1, 12)), 6_000))),
)


@case("leading-dots-survive", MUST, tests=("5321-4.5.2-n1",))
def leading_dots(at: Context) -> Script:
    """Lines that begin with a dot arrive as they were."""
    body = b".\r\n..\r\n.a line\r\nlast\r\n"
    mail = yield from bring_mail(at, content=at.message(body=body))
    check(split(mail.content)[1] == with_lf(body), f"the body came as {mail.content[-60:]!r}")


@case.table(BODIES, MUST, prefix="stuffed-", tests=("5321-4.5.2-n1",))
def stuffed(at: Context, row: Body) -> Script:
    """Lines that begin with a dot ({id}) have one more on the wire, and arrive as they were."""
    mail = yield from bring_mail(at, content=at.message(body=row.body))
    check(not any(line.startswith(b".") and not line.startswith(b"..") for line in mail.raw.split(b"\r\n")), "a line begins with a single dot on the wire")
    check(split(mail.content)[1] == with_lf(row.body), f"the body came as {split(mail.content)[1][-100:]!r}")


ENDS: Final = (
    Body("empty", b""),
    Body("one-line", b"line\r\n"),
    Body("empty-lines", b"line\r\n\r\n\r\n"),
    Body("one-empty-line", b"\r\n"),
    Body("blanks", b"line\r\n  \r\n\t\r\n"),
    Body("large", b"0123456789abcdef" * 4 + b"\r\n" + b"line of text\r\n" * 40_000),
)


@end.table(ENDS, MUST_NOT, prefix="nothing-added-", tests=("5321-4.1.1.4-2",))
def nothing_added(at: Context, row: Body) -> Script:
    """No line is added before the final dot, and none is taken away: a body of {id} arrives as it was."""
    mail = yield from bring_mail(at, content=at.message(body=row.body))
    check(split(mail.content)[1] == with_lf(row.body), f"the body ends with {split(mail.content)[1][-60:]!r}")


@end("last-line-has-its-end", MUST, tests=("5321-4.1.1.4-3", "5321-2.3.8-3b"))
def last_line(at: Context) -> Script:
    """The content ends with CR LF before the dot, also if it is a header section alone."""
    content = at.message().partition(b"\r\n\r\n")[0] + b"\r\n"
    mail = yield from bring_mail(at, content=content)
    check(mail.raw.endswith(b"\r\n"), f"the content ends with {mail.raw[-20:]!r}")


@end("nothing-behind-the-dot", MUST_NOT, tests=("5321-3.3-10b", "5321-4.3.1-1"))
def nothing_behind(at: Context) -> Script:
    """Behind the final dot nothing is sent before its reply."""
    visit = yield from arrives(at)
    yield from visit.serve(until="DATA")
    yield from visit.say("354 Go")
    yield from visit.content()
    rest = yield from visit.pending(0.5)
    check(not rest, f"behind the final dot came {rest[:60]!r}")
    yield from visit.say("250 Ok")


@end("content-after-354-only", MUST_NOT, tests=("5321-3.3-10b",))
def after_354_only(at: Context) -> Script:
    """No content is sent before 354 has come."""
    visit = yield from arrives(at)
    yield from visit.serve(until="DATA")
    ahead = yield from visit.pending(0.7)
    check(not ahead, f"before 354 came {ahead[:60]!r}")
    yield from visit.say("354 Go")
    yield from visit.content()
    yield from visit.say("250 Ok")


@case("long-lines-survive", MUST, tests=("5321-4.5.2-n1",))
def long_lines(at: Context) -> Script:
    """Lines of 998 octets arrive as they were."""
    body = b"".join(bytes((97 + number % 26,)) * 998 + b"\r\n" for number in range(40))
    visit = yield from bring(at, content=at.message(body=body))
    check(split(brought(visit).content)[1] == with_lf(body), "the body is not what it was")


sizes = section("rfc5321/4.5.3.1", CLIENT, needs=("dns",))


@sizes("commands-within-the-limits", SHOULD, tests=("5321-4.5.3.1-2",))
def within_limits(at: Context) -> Script:
    """No command line is longer than 512 octets, no line of the content longer than 1000, where the message gives no cause."""
    visit = yield from bring(at)
    mail = brought(visit)
    check(max(map(len, visit.lines)) <= 510, "a command line is longer than 512 octets")
    check(max(map(len, mail.raw.split(b"\r\n"))) <= 999, "a line of the content is longer than 1000 octets")
