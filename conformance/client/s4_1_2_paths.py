"""Mailboxes as the client sends them (RFC 5321 4.1.1, 4.1.2): what came in is the same mailbox when it leaves, in valid form and with the least quoting."""

import re
from typing import Final, NamedTuple

from conformance.case import CLIENT, section
from conformance.client.steps import bring_mail
from conformance.context import Context
from conformance.dialogue import admitted
from conformance.oracle import need
from conformance.outcome import MUST, MUST_NOT, SHOULD, check, inconclusive
from conformance.visit import receive_mail
from conformance.wire import Script

case = section("rfc5321/4.1.2", CLIENT, needs=("dns",))

_ATOM: Final = r"[0-9A-Za-z!#$%&'*+\-/=?^_`{|}~]+"
_LOCAL: Final = re.compile(rf'{_ATOM}(?:\.{_ATOM})*|"(?:[ !#-\[\]-~]|\\[ -~])*"')
_DOT_STRING: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")


def meaning(local: str) -> str:
    """A local part without its quotes."""
    return re.sub(r"\\(.)", r"\1", local[1:-1]) if local.startswith('"') else local


class Row(NamedTuple):
    """A local part in a form in which it may come in."""

    id: str
    local: str


LOCALS: Final = (
    Row("dots", "a.b.c"),
    Row("plus", "user+tag"),
    Row("capitals", "John.Doe"),
    Row("specials", "!#$%&'*+-/=?^_`{|}~"),
    Row("digits", "0123456789"),
    Row("long", "l" * 64),
    Row("quoted-space", '"a b"'),
    Row("quoted-at", '"a@b"'),
    Row("quoted-dot-at-the-end", '"a."'),
    Row("quoted-two-dots", '"a..b"'),
    Row("quoted-quote", '"a\\"b"'),
    Row("quoted-backslash", '"a\\\\b"'),
    Row("quoted-brackets", '"<a>"'),
    Row("quoted-comma", '"Doe, John"'),
    Row("quoted-without-need", '"plain"'),
    Row("quoted-pair-without-need", '"pl\\ain"'),
    Row("percent", "user%other.example"),
    Row("bang", "other.example!user"),
)


@case.table(LOCALS, MUST, prefix="mailbox-", tests=("5321-4.1.1-2", "5321-4.1.2-n1b", "5321-4.1.2-7"))
def mailbox(at: Context, row: Row) -> Script:
    """The local part `{local}` leaves in a valid form and means the same."""
    client = yield from admitted(at)
    need((yield from client.command(f"MAIL FROM:<{at.sender}>")), "250", "MAIL")
    reply = yield from client.command(f"RCPT TO:<{row.local}@{at.domain}>")
    if reply.code // 100 != 2:
        inconclusive(f"the target does not take this recipient: {reply}")
    need((yield from client.data()), "250", "the end of data")
    mail = yield from receive_mail(at)
    local, _, domain = mail.recipients[0].rpartition("@")
    check(_LOCAL.fullmatch(local), f"it said {mail.rcpts[0]!r}")
    check(domain.lower() == at.domain, f"it said {mail.rcpts[0]!r}")
    check(meaning(local) == meaning(row.local), f"another mailbox left: {mail.rcpts[0]!r}")


@case.table([row for row in LOCALS if row.id.endswith("without-need")], SHOULD, prefix="least-quoting-", tests=("5321-4.1.2-5b",))
def least_quoting(at: Context, row: Row) -> Script:
    """`{local}` needs no quotes, and leaves without them."""
    mail = yield from bring_mail(at, f"{row.local}@{at.domain}")
    local = mail.recipients[0].rpartition("@")[0]
    check(_DOT_STRING.fullmatch(local), f"it said {mail.rcpts[0]!r}")


@case("sender-is-the-same", MUST, tests=("5321-4.1.1-2", "5321-4.1.2-n1b"))
def sender(at: Context) -> Script:
    """A reverse-path with a quoted local part leaves in a valid form and means the same."""
    path = f'"odd sender"@back.{at.domain}'
    mail = yield from bring_mail(at, sender=path)
    local = mail.sender.rpartition("@")[0]
    check(_LOCAL.fullmatch(local) and meaning(local) == "odd sender", f"it said {mail.mail!r}")


@case("null-sender-is-the-same", MUST, tests=("5321-4.1.2-n1b",))
def null_sender(at: Context) -> Script:
    """The null reverse-path leaves as <>."""
    mail = yield from bring_mail(at, sender="")
    check(mail.mail.upper().startswith(b"MAIL FROM:<>"), f"it said {mail.mail!r}")


@case("domain-characters", MUST_NOT, tests=("5321-4.1.2-8a", "5321-2.3.5-2", "5321-2.3.5-1"))
def domains(at: Context) -> Script:
    """The domains of MAIL and RCPT are of letters, digits and hyphens, with no dot at the end."""
    mail = yield from bring_mail(at)
    for path in (mail.sender, *mail.recipients):
        check(re.fullmatch(r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)+", path.rpartition("@")[2]), f"it said <{path}>")
