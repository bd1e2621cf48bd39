"""REQUIRETLS and TLS-Required as the client obeys them (RFC 8689)."""

from typing import Final, NamedTuple

from conformance.case import CLIENT, section
from conformance.client.steps import bring, brought
from conformance.context import Context
from conformance.dialogue import secured
from conformance.oracle import need
from conformance.outcome import MUST, MUST_NOT, SHOULD, check, skip
from conformance.visit import accept_any
from conformance.wire import Script, Step

case = section("rfc8689/4.2.1", CLIENT, needs=("dns", "extension:STARTTLS", "suite-tls"))
field = section("rfc8689/3", CLIENT, needs=("dns", "suite-tls"))


def demand(at: Context) -> Step[None]:
    """Hand in a message with REQUIRETLS; skips a target that does not offer it."""
    client = yield from secured(at)
    if "REQUIRETLS" not in client.extensions:
        skip("EHLO under TLS does not offer REQUIRETLS")
    yield from client.mail(parameters="REQUIRETLS")
    yield from client.rcpt(at.remote)
    need((yield from client.data()), "250", "the end of data")


class Row(NamedTuple):
    """What the next hop lacks."""

    id: str
    offers: tuple[str, ...]
    certificate: str
    tests: tuple[str, ...]


LACKS: Final = (
    Row("tls", ("REQUIRETLS",), "good", ("8689-2-1", "8689-2-2", "8689-4.2.1-1", "8689-4.2.1-5", "8689-4.2.1-7")),
    Row("offer", ("STARTTLS",), "good", ("8689-2-1", "8689-4.2.1-1", "8689-4.2.1-5", "8689-4.2.1-7")),
    Row("trusted-chain", ("STARTTLS", "REQUIRETLS"), "self-signed", ("8689-2-4", "8689-4.2.1-1", "8689-4.2.1-7")),
    Row("name", ("STARTTLS", "REQUIRETLS"), "other-name", ("8689-4.2.1-3", "8689-4.2.1-7")),
    Row("vouched-name", ("STARTTLS", "REQUIRETLS"), "good", ("8689-2-3", "8689-4.2.1-2", "8689-4.2.1-7")),
)


@case.table(LACKS, MUST_NOT, prefix="not-sent-without-")
def not_sent(at: Context, row: Row) -> Script:
    """A message with REQUIRETLS is not sent where the next hop has no {id} (its name is vouched for by neither DNSSEC nor MTA-STS)."""
    yield from demand(at)
    visit = yield from accept_any(at, timeout_s=3.0)
    if visit is None:
        return
    yield from visit.serve(offers=row.offers, certificate=row.certificate, idle_s=1.0)
    check("MAIL" not in visit.verbs, f"it said {visit.verbs}")
    check(visit.end in ("quit", "idle", "closed", "reset"), f"the session ended as {visit.end}")


@field("tls-required-no", SHOULD, tests=("8689-3-2", "8689-4.2.2-1"))
def not_required(at: Context) -> Script:
    """A message with the field `TLS-Required: No` is delivered to a server without TLS."""
    brought((yield from bring(at, content=at.message("TLS-Required: No"))))


@field("tls-required-no-with-a-bad-certificate", SHOULD, tests=("8689-3-2", "8689-4.2.2-1"))
def not_required_bad(at: Context) -> Script:
    """It is delivered to a server whose certificate is bad, with or without TLS."""
    visit = yield from bring(at, content=at.message("TLS-Required: No"), offers=("STARTTLS",), certificate="expired")
    if not visit.mails:
        again = yield from accept_any(at, timeout_s=2.0)
        check(again is not None, "it was not delivered")
        assert again is not None
        yield from again.serve(idle_s=0.3)
        brought(again)


@field("tls-required-no-uses-tls-all-the-same", SHOULD, tests=("8689-3-3",))
def uses_tls(at: Context) -> Script:
    """TLS is used for it where it is offered."""
    visit = yield from bring(at, content=at.message("TLS-Required: No"), offers=("STARTTLS",))
    brought(visit)
    check(visit.secured is not None, f"it said {visit.verbs}")


auth = section("rfc4954/8", CLIENT, needs=("dns", "extension:AUTH"))


@auth("auth-parameter", MUST, tests=("4954-8-2",))
def auth_parameter(at: Context) -> Script:
    """AUTH= of MAIL, where it is sent to a server that offers AUTH, is xtext of a mailbox, or <>."""
    visit = yield from bring(at, parameters="AUTH=<>", offers=("AUTH PLAIN",))
    mail = brought(visit)
    value = mail.parameters.get("AUTH", "<>")
    check(value == "<>" or (value.isascii() and "=" not in value and "@" in value), f"it said {mail.mail!r}")
