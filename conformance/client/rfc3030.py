"""BDAT as the client uses it (RFC 3030): sizes that are true, line ends, and what follows a chunk that failed. A client that does not use BDAT is fine."""

from typing import Final, NamedTuple

from conformance.case import CLIENT, section
from conformance.client.steps import DELIVERED, KEPT, RETURNED, becomes, bring, bring_to, brought, mails_of
from conformance.content import split, with_lf
from conformance.context import Context
from conformance.dialogue import admitted, submit
from conformance.oracle import need
from conformance.outcome import MAY, MUST, MUST_NOT, check, inconclusive
from conformance.visit import BREAK, DROP, Answer, Mail, Visit, receive, verb_of
from conformance.wire import Script, Step

case = section("rfc3030/2", CLIENT, needs=("dns",))
binary = section("rfc3030/3", CLIENT, needs=("dns",))
OFFERS: Final = ("CHUNKING", "8BITMIME")


def chunked(visit: Visit) -> Visit:
    """Inconclusive for a client that uses DATA all the same."""
    if "BDAT" not in visit.verbs:
        inconclusive("it does not use BDAT where CHUNKING is offered")
    return visit


class Body(NamedTuple):
    id: str
    body: bytes


BODIES: Final = (
    Body("plain", b"one\r\ntwo\r\n"),
    Body("dots", b".\r\n..\r\n.one\r\n"),
    Body("empty", b""),
    Body("looks-like-commands", b".\r\nQUIT\r\nBDAT 0 LAST\r\n"),
    Body("large", b"line of text\r\n" * 60_000),
)


@case.table(BODIES, MUST, prefix="content-", tests=("3030-2-12", "3030-2-n5"))
def content_by_chunks(at: Context, row: Body) -> Script:
    """Chunks are exactly as long as they say; their content has CR LF line ends, no dot is doubled, and a body such as {id} arrives as it was."""
    visit = chunked((yield from bring(at, content=at.message(body=row.body), offers=OFFERS)))
    mail = brought(visit)
    check(set(visit.verbs) <= {"EHLO", "MAIL", "RCPT", "BDAT", "RSET", "QUIT", "NOOP"}, f"it said {visit.verbs}")
    rest = mail.raw.replace(b"\r\n", b"")
    check(b"\r" not in rest and b"\n" not in rest, "a lone CR or LF stands in the content")
    check(split(mail.content)[1] == with_lf(row.body), f"the body came as {split(mail.content)[1][-60:]!r}")


@case("last-chunk-empty", MAY, tests=("3030-2-2",))
def last_chunk_empty(at: Context) -> Script:
    """A fact: whether the last chunk is an empty one."""
    mail = brought(chunked((yield from bring(at, offers=OFFERS))))
    check(mail.chunks and mail.chunks[-1] == 0, f"its chunks have {mail.chunks} octets")


class Row(NamedTuple):
    """The server's answer to BDAT, and what becomes of the message."""

    id: str
    answer: Answer
    fate: str


ANSWERS: Final = (
    Row("lines", "250 2.0.0 one\n250 2.0.0 two", DELIVERED),
    Row("259", "259 Fine", DELIVERED),
    Row("451", "451 4.3.0 Later", KEPT),
    Row("452", "452 4.3.1 No room", KEPT),
    Row("421", "421 4.3.2 Bye", KEPT),
    Row("552", "552 5.3.4 Too big", RETURNED),
    Row("554", "554 5.6.0 No", RETURNED),
    Row("closed", DROP, KEPT),
    Row("broken", BREAK, KEPT),
)


@case.table(ANSWERS, MUST, prefix="answer-", tests=("3030-2-9",))
def answer_to_bdat(at: Context, row: Row) -> Script:
    """`{answer}` to BDAT decides as that after the final dot does: the message is {fate}."""
    visit = chunked((yield from bring(at, offers=OFFERS, replies={"BDAT": row.answer})))
    yield from becomes(at, visit, row.fate)


@case("no-chunk-after-a-refusal", MUST_NOT, tests=("3030-2-7", "3030-2-9"))
def no_chunk_after(at: Context) -> Script:
    """After a chunk that was refused no other one follows, and RSET or QUIT comes next."""
    body = b"line of text\r\n" * 60_000
    visit = chunked((yield from bring(at, content=at.message(body=body), offers=OFFERS, replies={"BDAT": "554 5.6.0 No"}, idle_s=15.0)))
    verbs = visit.verbs
    after = verbs[verbs.index("BDAT") + 1 :]
    check(not after or after[0] in ("RSET", "QUIT", "EHLO"), f"after the refusal it said {after}")


@case("rset-before-the-next-message", MUST, tests=("3030-2-9",))
def rset_before_next(at: Context) -> Script:
    """The next message after a chunk that was refused comes after RSET, or in another session."""
    visit = chunked((yield from bring(at, offers=OFFERS, replies={"BDAT": "554 5.6.0 No"})))
    again = yield from bring_next(at, visit)
    if again is None:
        inconclusive("it used another session")
    check(verb_of(again) in ("RSET", "EHLO", "QUIT"), f"after the refusal it said {again!r}")


def bring_next(at: Context, visit: Visit) -> Step[bytes | None]:
    """Hand in another message; the first command of it in this session, or None."""
    if visit.end != "idle":
        return None
    yield from submit(at, at.remote_at("", "second"))
    visit.end = ""
    line = yield from visit.line(2.0)
    return line or None


@case("no-chunk-without-recipient", MUST_NOT, tests=("3030-2-7",))
def no_recipient(at: Context) -> Script:
    """When all recipients were refused no chunk is sent."""
    visits = yield from bring_to(at, ("a", "b"), {"a": "550 5.1.1 No", "b": "550 5.1.1 No"}, offers=OFFERS)
    for visit in visits:
        check("BDAT" not in visit.verbs, f"it said {visit.verbs}")


@case("chunks-and-recipients", MUST, tests=("3030-2-12",))
def some_recipients(at: Context) -> Script:
    """With one recipient refused the content goes to the other one."""
    visits = yield from bring_to(at, ("a", "b"), {"a": "550 5.1.1 No"}, offers=OFFERS)
    chunked(visits[0])
    check(mails_of(visits), f"no message came; it said {visits[0].verbs}")
    check(len(mails_of(visits)[0].accepted) == 1, f"it said {visits[0].verbs}")


@case("with-pipelining", MUST, tests=("3030-2-n5", "3030-2-12"))
def with_pipelining(at: Context) -> Script:
    """CHUNKING and PIPELINING together: the message arrives whole."""
    body = b".\r\nline\r\n" * 2_000
    mail = brought(chunked((yield from bring(at, content=at.message(body=body), offers=(*OFFERS, "PIPELINING", "SIZE 10000000")))))
    check(split(mail.content)[1] == with_lf(body), "the body is not what it was")


# --- binary content: only of targets that take it

MIXED: Final = b"line\r\n\x00\x01\xff bare \n and \r\x80\r\n"


@binary("binary-goes-by-bdat", MUST, tests=("3030-3-7", "3030-3-4"), needs=("extension:BINARYMIME", "extension:CHUNKING"))
def binary_content(at: Context) -> Script:
    """Binary content for a server that takes it goes with BODY=BINARYMIME, octet by octet as it came."""
    mail = yield from _binary(at, ("CHUNKING", "BINARYMIME", "8BITMIME"))
    check(mail.mail.upper().find(b"BODY=BINARYMIME") > 0, f"it said {mail.mail!r}")
    check(mail.content.endswith(MIXED), f"the content ends with {mail.content[-40:]!r}")


@binary("binary-not-without-offer", MUST_NOT, tests=("3030-3-8",), needs=("extension:BINARYMIME", "extension:CHUNKING"))
def binary_not(at: Context) -> Script:
    """Binary content is not sent as it is to a server without BINARYMIME."""
    visit = yield from _binary_visit(at, ("CHUNKING", "8BITMIME"))
    check(not any(MIXED in mail.content for mail in visit.mails), "binary content was sent")


def _binary_visit(at: Context, offers: tuple[str, ...]) -> Step[Visit]:
    client = yield from admitted(at)
    yield from client.mail(parameters="BODY=BINARYMIME")
    yield from client.rcpt(at.remote)
    content = at.message("MIME-Version: 1.0", "Content-Transfer-Encoding: binary", body=MIXED)
    yield from client.send(f"BDAT {len(content)} LAST\r\n".encode() + content)
    need((yield from client.reply()), "250", "BDAT LAST")
    return (yield from receive(at, offers=offers, idle_s=0.3))


def _binary(at: Context, offers: tuple[str, ...]) -> Step[Mail]:
    return brought((yield from _binary_visit(at, offers)))
