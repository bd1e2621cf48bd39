"""8-bit, binary and international content on its way to hosts that lack the extension (RFC 6152, 3030, 6531, 1870): converted without loss, or returned."""

import email
from typing import Final, NamedTuple

from conformance.case import RELAY, section
from conformance.client.steps import bring, brought, returned
from conformance.content import split, with_lf
from conformance.context import Context
from conformance.dialogue import admitted, submit
from conformance.oracle import need
from conformance.outcome import MAY, MUST, MUST_NOT, SHOULD, check, inconclusive, skip
from conformance.queue.reports import report
from conformance.visit import receive
from conformance.wire import Remark, Script, Step

eight = section("rfc6152/3", RELAY, needs=("dns", "extension:8BITMIME"))
binary = section("rfc3030/3", RELAY, needs=("dns", "extension:CHUNKING", "extension:BINARYMIME"))
world = section("rfc6531/3.2", RELAY, needs=("dns", "extension:SMTPUTF8"))
large = section("rfc1870/6.2", RELAY, needs=("dns", "extension:SIZE"))

MIME: Final = ("MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit")
TEXT: Final = "Grüße aus Köln, =20 und ein Punkt:\r\n.\r\nschön\r\n".encode()
BINARY: Final = ("MIME-Version: 1.0", "Content-Type: application/octet-stream", "Content-Transfer-Encoding: binary")
OCTETS: Final = bytes(range(256)) * 3 + b"\r\n.\r\n\n\r"


@eight("all-bits", MUST, tests=("6152-3-5b",))
def all_bits(at: Context) -> Script:
    """8-bit content goes to a host with 8BITMIME with all its bits."""
    visit = yield from bring(at, content=at.message(*MIME, body=TEXT), parameters="BODY=8BITMIME", offers=("8BITMIME",))
    body = split(brought(visit).content)[1]
    check(body == with_lf(TEXT) or text_of(brought(visit).content) == with_lf(TEXT), f"it left as {body!r}")


def text_of(content: bytes) -> object:
    """The decoded body of a message of one part, with LF."""
    payload = email.message_from_bytes(with_lf(content)).get_payload(decode=True)
    return with_lf(payload) if isinstance(payload, bytes) else payload


@eight("fate-without-the-offer", MAY, tests=("6152-3-7",))
def fate(at: Context) -> Script:
    """8-bit content for a host without 8BITMIME is made 7-bit, or returned: a fact."""
    visit = yield from bring(at, content=at.message(*MIME, body=TEXT), parameters="BODY=8BITMIME")
    yield Remark("converted" if visit.mails else "not sent", "info")


@eight("conversion-loses-nothing", MUST, tests=("6152-3-8", "6152-3-9"))
def conversion(at: Context) -> Script:
    """If it is made 7-bit it is MIME with a transfer encoding, and decodes to what it was; else it is returned."""
    visit = yield from bring(at, content=at.message(*MIME, body=TEXT), parameters="BODY=8BITMIME")
    if not visit.mails:
        yield from returned(at)
        return
    content = brought(visit).content
    if not content.isascii():
        inconclusive("it was not made 7-bit")  # 6152-3-6 is about that
    coding = str(email.message_from_bytes(content).get("Content-Transfer-Encoding", "")).lower()
    check(coding in ("base64", "quoted-printable"), f"it left as {content!r}")
    check(text_of(content) == with_lf(TEXT), f"it decodes to {text_of(content)!r}")


def bring_binary(at: Context) -> Step[None]:
    """Hand in binary content by BDAT."""
    client = yield from admitted(at)
    yield from client.mail(None, "BODY=BINARYMIME")
    yield from client.rcpt(at.remote)
    content = at.message(*BINARY, body=OCTETS)
    yield from client.send(b"BDAT %d LAST\r\n" % len(content) + content)
    need((yield from client.reply()), "250", "BDAT LAST")
    yield from client.quit()


@binary("all-octets", MUST, tests=("3030-3-1b",))
def all_octets(at: Context) -> Script:
    """Binary content goes to a host with CHUNKING and BINARYMIME octet by octet as it was."""
    yield from bring_binary(at)
    visit = yield from receive(at, offers=("CHUNKING", "BINARYMIME", "8BITMIME"), idle_s=0.3)
    check(brought(visit).content.endswith(OCTETS), "the octets were changed")


@binary("conversion-loses-nothing", MUST, tests=("3030-3-9", "3030-3-10"))
def binary_conversion(at: Context) -> Script:
    """For a host without BINARYMIME it is converted to valid MIME that decodes to what it was, or returned."""
    yield from bring_binary(at)
    visit = yield from receive(at, offers=("8BITMIME",), idle_s=0.3)
    if not visit.mails:
        yield from returned(at)
        return
    content = brought(visit).content
    payload = email.message_from_bytes(content).get_payload(decode=True)
    check(payload == OCTETS, f"it decodes to {payload!r}")


@binary("no-encoding-within-an-encoding", MUST_NOT, tests=("3030-3-11",))
def single_encoding(at: Context) -> Script:
    """A conversion leaves one transfer encoding, not two."""
    yield from bring_binary(at)
    visit = yield from receive(at, offers=("8BITMIME",), idle_s=0.3)
    for mail in visit.mails:
        check(len(email.message_from_bytes(mail.content).get_all("Content-Transfer-Encoding", [])) == 1, "several transfer encodings")


@binary("returned-if-not-converted", SHOULD, tests=("3030-3-13",))
def binary_returned(at: Context) -> Script:
    """What is not converted is returned to its sender."""
    yield from bring_binary(at)
    visit = yield from receive(at, idle_s=0.3)
    if not visit.mails:
        yield from returned(at)


@world("returned-without-the-offer", SHOULD, tests=("6531-3.2-9",))
def international(at: Context) -> Script:
    """An international message for a host without SMTPUTF8 is returned."""
    yield from bring(at, content=at.message("X-Text: Grüße".encode()), parameters="SMTPUTF8", offers=("8BITMIME",))
    yield from report(at)


@world("report-has-its-form", MUST, tests=("6531-3.2-10",))
def form(at: Context) -> Script:
    """The report of that has the null reverse-path, goes to the sender, and names the recipient."""
    visit = yield from bring(at, content=at.message("X-Text: Grüße".encode()), parameters="SMTPUTF8", offers=("8BITMIME",))
    if visit.mails:
        skip("it was sent all the same")
    found = yield from report(at)
    check(found.mail.sender == "" and found.mail.recipients == [at.sender], f"it came as {found.mail.mail!r} {found.mail.rcpts}")
    check(at.remote.encode() in found.mail.content, "it does not name the recipient")


class Limit(NamedTuple):
    id: str
    reply: str


LIMITS: Final = (Limit("at-mail", "MAIL"), Limit("at-the-end", "DOT"))


@large.table(LIMITS, SHOULD, prefix="too-large-", tests=("1870-6.2-4",))
def too_large(at: Context, row: Limit) -> Script:
    """After 552 {id} the message is returned to its sender."""
    yield from submit(at)
    yield from receive(at, offers=("SIZE 1000000",), replies={row.reply: "552 5.3.4 Too large"}, idle_s=0.3)
    yield from returned(at)
