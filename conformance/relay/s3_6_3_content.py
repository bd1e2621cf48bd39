"""Content leaves a relay as it came, but for its own Received field (RFC 5321 3.6.3, 2.4, 4.5.2, 6.4)."""

from typing import Final, NamedTuple

from conformance.case import RELAY, section
from conformance.client.steps import bring_mail
from conformance.content import with_lf
from conformance.context import Context
from conformance.dialogue import hello
from conformance.oracle import expect
from conformance.outcome import MUST, MUST_NOT, SHOULD, check
from conformance.visit import receive_mail
from conformance.wire import Script

case = section("rfc5321/3.6.3", RELAY, needs=("dns",))
plain = section("rfc5321/2.4", RELAY, needs=("dns",))
fixing = section("rfc5321/6.4", RELAY, needs=("dns",))

SAME: Final = ("5321-3.6.3-5", "5321-4.5.2-1")


class Row(NamedTuple):
    """`head` is added to the header, `body` replaces the body; where the header itself is in question it is all that follows X-Token."""

    id: str
    head: tuple[str, ...] = ()
    body: bytes = b"A line of text.\r\n"


KEPT: Final = (
    Row("folded-field", ("X-Long: a\r\n\tb\r\n  c",)),
    Row("same-field-twice", ("X-Twice: 1", "X-Twice: 2")),
    Row("order-of-fields", ("Zebra: 1", "Alpha: 2", "Zebra: 3")),
    Row("spaces-around-the-colon", ("X-Spaces:    wide   ",)),
    Row("no-space-behind-the-colon", ("X-Narrow:a",)),
    Row("case-of-names", ("x-ODD-cAsE: a",)),
    Row("empty-field", ("X-Empty:",)),
    Row("odd-addresses", ("Cc: not an address at all <<>",)),
    Row("date-that-is-wrong", ("Expires: yesterday",)),
    Row("dots", body=b".\r\n..\r\n.a\r\n...\r\nz.\r\n"),
    Row("dot-first-and-last", body=b".first\r\nmiddle\r\n.last\r\n"),
    Row("trailing-spaces", body=b"a  \r\nb\t\r\n \r\n"),
    Row("empty-lines", body=b"\r\n\r\na\r\n\r\n\r\n"),
    Row("no-body", body=b""),
    Row("from-line", body=b"From here to there\r\n>From\r\n"),
    Row("long-line", body=b"x" * 998 + b"\r\n"),
    Row("controls", body=b"a\x01b\x0cc\x1bd\x7f\r\n"),
    Row("smtp-commands", body=b"QUIT\r\nRSET\r\nMAIL FROM:<a@b.example>\r\n"),
    Row("multipart", ("MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=b"), b"pre\r\n--b\r\n\r\none\r\n--b--\r\nepilogue\r\n"),
    Row("large", body=b"0123456789" * 7 + b"\r\n" + b"line of a large body\r\n" * 5_000),
)


@case.table(KEPT, MUST_NOT, prefix="kept-", tests=SAME)
def kept(at: Context, row: Row) -> Script:
    """Header and body with {id} leave as they came, behind what the relay put on top."""
    content = at.message(*row.head, body=row.body)
    mail = yield from bring_mail(at, content=content)
    check(with_lf(mail.content).endswith(with_lf(content)), f"it left as {mail.content[-600:]!r}")


@plain("eight-bits-as-they-came", SHOULD, tests=("5321-2.4-7",), needs=("extension:8BITMIME",))
def eight_bits(at: Context) -> Script:
    """8-bit content for a host with 8BITMIME is passed on without a look into it, even if its declaration is missing or wrong."""
    content = at.message("Content-Type: text/plain; charset=us-ascii", body=bytes(range(0x80, 0x100)) + b"\r\n")
    mail = yield from bring_mail(at, content=content, parameters="BODY=8BITMIME", offers=("8BITMIME",))
    check(with_lf(mail.content).endswith(with_lf(content)), f"it left as {mail.content[-400:]!r}")


WRONG: Final = (
    Row("no-date", body=b"Subject: a\r\n\r\nbody\r\n"),
    Row("no-from", body=b"To: <a@b.example>\r\nSubject: a\r\n\r\nbody\r\n"),
    Row("unqualified-addresses", body=b"From: me\r\nTo: you\r\n\r\nbody\r\n"),
    Row("no-message-id", body=b"From: <a@b.example>\r\nDate: Tue, 14 Jul 2026 12:00:00 +0000\r\n\r\nbody\r\n"),
    Row("two-subjects", body=b"Subject: a\r\nSubject: b\r\n\r\nbody\r\n"),
)


@fixing.table(WRONG, MUST_NOT, prefix="not-mended-", tests=("5321-6.4-2", "5321-4.5.3.1.8-2a"), needs=("relay-domain", "outsider"))
def not_mended(at: Context, row: Row) -> Script:
    """A relay neither refuses nor mends a header with {id}."""
    content = f"X-Token: {at.token}\r\n".encode() + row.body
    client = yield from hello(at, outside=True)
    expect((yield from client.transaction(at.remote, content=content)), "250", "the end of data")
    mail = yield from receive_mail(at)
    check(with_lf(mail.content).endswith(with_lf(content)), f"it left as {mail.content!r}")


envelope = section("rfc5321/2.3.11", RELAY, needs=("dns",))


class Local(NamedTuple):
    id: str
    local: str
    tests: tuple[str, ...] = ("5321-2.3.11-1", "3461-9.1-1")


LOCALS: Final = (
    Local("case", "RcPt.MiXeD", ("5321-2.3.11-1", "5321-2.4-3")),
    Local("plus", "user+tag"),
    Local("percent", "user%other.example"),
    Local("bang", "host!user"),
    Local("equals", "a=b/c"),
    Local("quoted-space", '"a b"'),
    Local("quoted-at", '"a@b"'),
    Local("long", "l" * 64),
)


@envelope.table(LOCALS, MUST, prefix="local-part-")
def local_part(at: Context, row: Local) -> Script:
    """The local part `{local}` of a foreign address is passed on as it came (unless the relay refuses it, as some do with %, ! and @)."""
    mail = yield from bring_mail(at, at.remote_at("", row.local))
    check(mail.recipients == [at.remote_at("", row.local)], f"the next hop got {mail.rcpts}")


@envelope("sender-as-it-came", MUST, tests=("5321-2.4-3", "3461-9.1-1"))
def sender(at: Context) -> Script:
    """The reverse-path keeps the case of its local part."""
    path = f"SeNder+Tag@back.{at.domain}"
    mail = yield from bring_mail(at, sender=path)
    check(mail.sender == path, f"the next hop got {mail.mail!r}")
