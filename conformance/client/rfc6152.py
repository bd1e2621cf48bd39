"""8BITMIME as the client uses it (RFC 6152): 8-bit content goes only where it is offered."""

from typing import Final, NamedTuple

from conformance.case import CLIENT, section
from conformance.client.steps import bring, bring_mail, brought, returned
from conformance.content import split, with_lf
from conformance.context import Context
from conformance.outcome import MUST, MUST_NOT, SHOULD, check
from conformance.visit import notification
from conformance.wire import Script

case = section("rfc6152/3", CLIENT, needs=("dns",))
plain = section("rfc5321/2.4", CLIENT, needs=("dns",))

MIME: Final = ("MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit")
BODY: Final = "Grüße aus Köln\r\n".encode()


@case("parameter-behind-the-address", MUST, tests=("6152-3-1", "6152-3-2a"))
def parameter(at: Context) -> Script:
    """Where it is said, BODY stands behind the address of MAIL, once, with a value of the standard."""
    mail = yield from bring_mail(at, content=at.message(*MIME, body=BODY), offers=("8BITMIME",))
    words = [word for word in mail.mail.rpartition(b">")[2].upper().split() if word.startswith(b"BODY")]
    check(len(words) <= 1 and set(words) <= {b"BODY=8BITMIME", b"BODY=7BIT"}, f"it said {mail.mail!r}")
    check(b"BODY=" not in mail.mail.upper().partition(b">")[0], f"it said {mail.mail!r}")


@case("eight-bits-declared", SHOULD, tests=("6152-3-1", "6152-3-5b"), needs=("extension:8BITMIME",))
def declared(at: Context) -> Script:
    """A message that came in with BODY=8BITMIME leaves with it where that is offered, unless it was made 7-bit; its text is what it was."""
    mail = yield from bring_mail(at, content=at.message(*MIME, body=BODY), parameters="BODY=8BITMIME", offers=("8BITMIME",))
    if mail.content.isascii():
        return
    check(split(mail.content)[1] == with_lf(BODY), f"the body came as {split(mail.content)[1]!r}", MUST)
    check(mail.parameters.get("BODY", "").upper() == "8BITMIME", f"8-bit content came after {mail.mail!r}")


class Row(NamedTuple):
    """What the next hop offers."""

    id: str
    offers: tuple[str, ...]


WITHOUT: Final = (Row("nothing", ()), Row("other-extensions", ("SIZE 1000000", "DSN", "PIPELINING", "ENHANCEDSTATUSCODES")))


@case.table(WITHOUT, MUST_NOT, prefix="not-without-offer-", tests=("6152-3-6", "5321-2.4-5"), needs=("extension:8BITMIME",))
def not_without(at: Context, row: Row) -> Script:
    """8-bit content is not sent to a server that does not offer 8BITMIME (it offers {id}): it is made 7-bit, or returned."""
    visit = yield from bring(at, content=at.message(*MIME, body=BODY), parameters="BODY=8BITMIME", offers=row.offers)
    if not visit.mails:
        yield from returned(at)
        return
    check(brought(visit).content.isascii(), f"8-bit content came after {visit.of('MAIL')}")
    check("BODY" not in visit.mails[0].parameters, f"it said {visit.of('MAIL')}")


@case("notification-on-a-way-of-seven-bits", SHOULD, tests=("6152-3-6",), needs=("extension:8BITMIME",))
def seven_bit_notification(at: Context) -> Script:
    """The notification about 8-bit mail reaches a sender whose host does not offer 8BITMIME: with the header section alone, or made 7-bit."""
    content = at.message(*MIME, body=BODY)
    yield from bring(at, content=content, parameters="BODY=8BITMIME", offers=("8BITMIME",), replies={"RCPT": "550 5.1.1 No"})
    mail = yield from notification(at)
    check(mail is not None, "no notification came to a host that offers nothing")
    assert mail is not None
    check(mail.content.isascii(), "8-bit content came to a host that offers nothing", MUST_NOT)


@case("undeclared-not-without-offer", MUST_NOT, tests=("6152-3-6", "5321-2.4-5"))
def undeclared(at: Context) -> Script:
    """The same holds for 8-bit content that came in without BODY=8BITMIME, if the target took it at all."""
    visit = yield from bring(at, content=at.message(*MIME, body=BODY))
    if visit.mails:
        check(brought(visit).content.isascii(), f"8-bit content came after {visit.of('MAIL')}")


@plain("no-leave-for-the-envelope", MUST_NOT, tests=("5321-2.4-12", "5321-4.1.2-7"))
def envelope(at: Context) -> Script:
    """8BITMIME gives no leave for octets with the high bit in the envelope."""
    visit = yield from bring(at, content=at.message(*MIME, body=BODY), offers=("8BITMIME",))
    for line in visit.lines:
        check(line.isascii(), f"it said {line!r}")


@case("seven-bits-anywhere", MUST, tests=("6152-3-1",))
def seven_bits(at: Context) -> Script:
    """A 7-bit message is delivered with and without the offer."""
    first = yield from bring(at, offers=("8BITMIME",))
    brought(first)
    yield from first.drop()
    visit = yield from bring(at, at.remote_at("", "second"), idle_s=0.2)
    brought(visit)
