"""Notifications (RFC 3461 6, 3464, 6522): a field that is missing, wrong, or one too many."""

# mypy: disable-error-code="attr-defined, call-overload, func-returns-value, method-assign, misc, no-any-return, return-value, var-annotated"

import re
from typing import Final, NamedTuple

from tests.conformance.reference.item import Item
from tests.conformance.reference.mta import Reference
from tests.conformance.reference.mutants.mutant import Mutant, altered, mutant


class Edit(NamedTuple):
    """`pattern` in the report becomes `text`."""

    name: str
    tests: str
    pattern: bytes
    text: bytes


EDITS: Final = (
    Edit("of-no-report-type", "3464-2-n1 3.6.3-2", rb" report-type=delivery-status;", b""),
    Edit(
        "status-in-the-third-part",
        "3464-2-n2 6522-3-4",
        rb"(--=_part\r\nContent-Type: message/delivery-status)",
        rb"--=_part\r\nContent-Type: text/plain\r\n\r\nmore\r\n\1",
    ),
    Edit("status-of-eight-bits", "3464-2.1-1", rb"(message/delivery-status)", rb"\1\r\nContent-Transfer-Encoding: 8bit"),
    Edit("to-another-address", "3464-2-1 5321-4.4-18 5321-6.1-4", rb"\r\nTo: <[^>]*>", b"\r\nTo: <postmaster@local.test>"),
    Edit("from-nobody", "3464-2-2", rb"From: <[^>]*>", b"From: nobody"),
    Edit("with-gateway", "3464-2.2.3-1b", rb"(?=Reporting-MTA)", b"DSN-Gateway: dns; gate.local.test\r\n"),
    Edit("without-reporting-mta", "3461-6.3-3", rb"Reporting-MTA: [^\r]*\r\n", b"Arrival-Date: Tue, 14 Jul 2026 12:00:00 +0000\r\n"),
    Edit("with-short-reporting-mta", "3461-6.3-4 3461-9.3-1", rb"Reporting-MTA: [^\r]*", b"Reporting-MTA: dns; mx"),
    Edit("with-another-received-from", "3464-2.2.4-1 3464-2.2.4-2", rb"(?=Reporting-MTA)", b"Received-From-MTA: dns; nobody.local.test\r\n"),
    Edit("with-a-zone-name-on-arrival", "3464-2.2.5-1", rb"(?=Reporting-MTA)", b"Arrival-Date: Tue, 14 Jul 2026 12:00:00 GMT\r\n"),
    Edit("with-a-zone-name-at-the-end", "3464-2.3.7-2", rb"(?=Action:)", b"Last-Attempt-Date: Tue, 14 Jul 2026 12:00:00 GMT\r\n"),
    Edit("without-final-recipient", "3464-2.3.2-1 3461-6.3-9", rb"Final-Recipient: [^\r]*\r\n", b""),
    Edit("with-untyped-recipient", "3464-2.3.2-2 3461-6.3-10", rb"Final-Recipient: rfc822;", b"Final-Recipient:"),
    Edit("without-action", "3464-2.3.3-1", rb"Action: [^\r]*\r\n", b""),
    Edit("action-delayed", "3461-6.3-11 3461-5.2.6-5", rb"Action: failed", b"Action: delayed"),
    Edit("action-expanded", "3464-2.3.3-2 3461-6.3-11", rb"Action: failed", b"Action: expanded"),
    Edit("without-status", "3464-2.3.4-1 3461-6.3-13 3461-6.3-12", rb"Status: [^\r]*\r\n", b""),
    Edit("status-of-class-4", "3461-6.3-12 3461-6.3-13 3463-2-n3", rb"Status: 5", b"Status: 4"),
    Edit("status-with-leading-zeros", "3464-2.3.4-3 3463-2-n3 3461-6.3-13", rb"Status: 5\.(\d+)\.(\d+)", rb"Status: 5.0\1.0\2"),
    Edit("without-remote-mta", "3461-6.3-14", rb"Remote-MTA: [^\r]*\r\n", b""),
    Edit("without-diagnostic", "3461-6.3-15 3464-2.3.6-2", rb"Diagnostic-Code: [^\r]*\r\n", b""),
    Edit("with-another-diagnostic", "3464-2.3.6-2 3461-9.2-1", rb"Diagnostic-Code: [^\r]*", b"Diagnostic-Code: smtp; refused"),
    Edit("with-an-original-recipient", "3461-6.3-8 3464-3-1", rb"(?=Final-Recipient)", b"Original-Recipient: rfc822; x@y.example\r\n"),
    Edit("with-an-envelope-id", "3461-6.3-2 3464-2.2.1-2", rb"(?=Reporting-MTA)", b"Original-Envelope-Id: 1\r\n"),
    Edit("with-will-retry-until", "3464-2.3.9-1", rb"(?=Action: failed)", b"Will-Retry-Until: Tue, 14 Jul 2026 12:00:00 +0000\r\n"),
    Edit("with-unknown-fields", "3464-2.4-1", rb"(?=Action:)", b"Mood: good\r\n"),
    Edit("without-text", "6522-3-1", rb"About your message:\r\n(?:<[^\r]*\r\n)*", b""),
    Edit("without-envelope-id", "3461-6.3-1 3464-2.2.1-1 3464-2.2.1-3", rb"Original-Envelope-Id: [^\r]*\r\n", b""),
    Edit("without-original-recipient", "3461-6.3-7", rb"Original-Recipient: [^\r]*\r\n", b""),
    Edit("with-encoded-envelope-id", "3461-6.3-1 3464-2.2.1-3", rb"(Original-Envelope-Id: \w+)\+", rb"\1+2B"),
    Edit(
        "header-alone",
        "6522-3-6 3461-6.2-1 3464-2-n3 6522-3-5 3461-4.3-2",
        rb"message/rfc822\r\n\r\n(.*?\r\n\r\n).*(\r\n--=)",
        rb"text/rfc822-headers\r\n\r\n\1\2",
    ),
    Edit("header-alone-called-a-message", "6522-4-1 6522-3-6", rb"(message/rfc822\r\n\r\n.*?\r\n\r\n).*(\r\n--=)", rb"\1\2"),
    Edit("part-of-the-header", "6522-4-3", rb"message/rfc822\r\n\r\n.*(\r\n--=)", rb"text/rfc822-headers\r\n\r\nSubject: conformance\r\n\1"),
    Edit("without-third-part", "6522-3-5 3464-2-n3 3461-4.3-2", rb"--=_part\r\nContent-Type: message/rfc822\r\n.*(--=_part--)", rb"\1"),
)


def _edited(edit: Edit) -> Mutant:
    def changed(content: bytes, self: Reference, item: Item, told: object, action: str) -> bytes:
        return re.sub(edit.pattern, edit.text, content, count=1, flags=re.DOTALL)

    return mutant(f"report-{edit.name}", edit.tests, notification=altered("notification", changed))


def _sent(name: str, tests: str, verb: str, more: bytes) -> Mutant:
    """How the report is sent: with a parameter more."""

    def line(octets: bytes, self: Reference, said: str, argument: str = "") -> bytes:
        is_report = any(not transfer.item.envelope.sender.text for transfer in self.transfers.values())
        return octets[:-2] + more + octets[-2:] if said == verb and is_report else octets

    return mutant(f"report-{name}", tests, line=altered("line", line))


def _small(content: bytes, self: Reference, item: Item, told: object, action: str) -> bytes:
    return re.sub(rb"(Final-Recipient: [^\r]*)", lambda match: match[1].lower().replace(b"final-recipient", b"Final-Recipient"), content)


MUTANTS: Final = (
    *(_edited(edit) for edit in EDITS),
    mutant("report-with-recipient-in-small-letters", "3464-2.3.2-3 3464-2.3.2-4", notification=altered("notification", _small)),
    _sent("with-ret", "3461-6.1-2", "MAIL", b" RET=HDRS"),
    _sent("with-notify", "3461-6.1-3b", "RCPT", b" NOTIFY=FAILURE"),
    _sent("with-notify-never", "3461-6.1-3a", "RCPT", b" NOTIFY=NEVER"),
    mutant(
        "report-by-send",
        "4.4-25a",
        line=altered("line", lambda octets, self, said, argument="": octets.replace(b"MAIL FROM:<>", b"SEND FROM:<>")),
    ),
)
