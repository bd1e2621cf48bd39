"""REQUIRETLS and TLS-Required through a relay (RFC 8689 4, 5)."""

from typing import Final

from conformance.case import RELAY, section
from conformance.client.steps import bring, brought
from conformance.context import Context
from conformance.dialogue import secured
from conformance.oracle import need
from conformance.outcome import MUST, SHOULD, SHOULD_NOT, check, skip
from conformance.queue.reports import report, structured
from conformance.visit import receive
from conformance.wire import Script, Step

case = section("rfc8689/4.1", RELAY, needs=("dns",))
reports = section("rfc8689/5", RELAY, needs=("dns", "extension:STARTTLS"))

NO: Final = "TLS-Required: No"


@case("field-goes-along", MUST, tests=("8689-4.1-2",))
def field(at: Context) -> Script:
    """The field TLS-Required of a message without REQUIRETLS goes with it."""
    visit = yield from bring(at, content=at.message(NO))
    check(NO.encode() in brought(visit).content, "the field is gone")


@case("copies-alike", MUST, tests=("8689-4.1-4",))
def copies(at: Context) -> Script:
    """The field goes with every copy of a message for several addresses."""
    visit = yield from bring(at, at.remote_at("", "a"), at.remote_at("", "b"), content=at.message(NO))
    for mail in visit.mails:
        check(NO.encode() in mail.content, "the field is gone from a copy")


def required(at: Context, parameters: str = "REQUIRETLS", content: bytes | None = None) -> Step[None]:
    """Hand in a message with REQUIRETLS over TLS; a target that does not offer it there is skipped."""
    client = yield from secured(at)
    if "REQUIRETLS" not in client.extensions:
        skip("EHLO over TLS does not offer REQUIRETLS")
    yield from client.mail(None, parameters)
    yield from client.rcpt(at.remote)
    need((yield from client.data(content)), "250", "the end of data")
    yield from client.quit()


@reports("failure-is-reported", MUST, tests=("8689-4.2.1-8", "8689-4.2.2-2"))
def failure(at: Context) -> Script:
    """A message with REQUIRETLS that a host without TLS cannot have is reported to its sender, as is one whose host insists on TLS."""
    yield from required(at)
    yield from receive(at, replies={"MAIL": "530 5.7.0 Must issue a STARTTLS command first"}, idle_s=0.3)
    yield from report(at)


@reports("code-of-the-report", SHOULD, tests=("8689-4.2.1-9",))
def code(at: Context) -> Script:
    """The report of that has the status 5.7.30 or 5.7.10."""
    yield from required(at)
    yield from receive(at, idle_s=0.3)
    found = yield from structured(at)
    check(found.recipients[0].get("status", "")[:6] in ("5.7.30", "5.7.10"), f"{found.recipients}")


@reports("header-alone", MUST, tests=("8689-5-3", "8689-5-4"))
def header_alone(at: Context) -> Script:
    """A report of a message with REQUIRETLS has no body of it, even with RET=FULL, and even if the header says TLS-Required: No."""
    yield from required(at, "REQUIRETLS RET=FULL", at.message(NO))
    yield from receive(at, idle_s=0.3)
    found = yield from report(at)
    check(b"A line of text." not in found.mail.content, "the body was returned")


@reports("reported-without-the-offer", SHOULD_NOT, tests=("8689-5-5",))
def not_dropped(at: Context) -> Script:
    """A report is not dropped because the sender's host offers no REQUIRETLS."""
    yield from required(at)
    yield from receive(at, idle_s=0.3)
    yield from report(at, offers=())
