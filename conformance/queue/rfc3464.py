"""The form of a notification (RFC 3464, 6522, 3461 6): one failed message, and a table of what its report has to look like."""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from conformance.case import QUEUE, section
from conformance.content import values
from conformance.context import Context
from conformance.outcome import MAY, MUST, MUST_NOT, SHOULD, SHOULD_NOT, Broken, check
from conformance.queue.reports import REFUSAL, Report, address_of, refused
from conformance.visit import parameters_of
from conformance.wire import Remark, Script

form = section("rfc3464/2", QUEUE, needs=("dns",))
asked = section("rfc3461/6", QUEUE, needs=("dns", "extension:DSN"))
container = section("rfc6522/3", QUEUE, needs=("dns",))

ENVID: Final = "Env+2BId7"
ENVELOPE_ID: Final = "Env+Id7"
ORIGINAL: Final = "Who+tag@Where.example"
ZONE: Final = re.compile(r".*\d\d:\d\d(?::\d\d)?\s+[+-]\d{4}(?:\s+\(.*\))?")
STATUS: Final = re.compile(r"[245]\.(?:0|[1-9]\d{0,2})\.(?:0|[1-9]\d{0,2})(?:\s+\(.*\))?")
CODE: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b.*")
HOST: Final = re.compile(r"(?:[A-Za-z0-9-]+\.)+[A-Za-z0-9-]+|\[.+\]")
ABOUT: Final = {"original-envelope-id", "reporting-mta", "dsn-gateway", "received-from-mta", "arrival-date"}
RECIPIENT: Final = {
    *("original-recipient", "final-recipient", "action", "status", "remote-mta", "diagnostic-code", "last-attempt-date", "final-log-id", "will-retry-until"),
    "localized-diagnostic",  # RFC 6533
}
HEADERS: Final = ("text/rfc822-headers", "message/global-headers")
WHOLE: Final = ("message/rfc822", "message/global")


class Row(NamedTuple):
    """What is claimed about the report of a message that was refused; `holds` gets the context and the report."""

    id: str
    claim: str
    level: str
    tests: tuple[str, ...]
    holds: Callable[[Context, Report], object]


def one(found: Report, name: str) -> str:
    """A field of the only recipient."""
    check(len(found.recipients) == 1, f"the report is about {len(found.recipients)} recipients, not one")
    return found.recipients[0].get(name, "")


def third(found: Report) -> tuple[str, bytes]:
    """Type and octets of what comes behind the status, ("", b"") without it."""
    return (found.parts[2].type, found.parts[2].body) if len(found.parts) > 2 else ("", b"")


def has_header(at: Context, found: Report) -> bool:
    """All that the sender wrote there."""
    head = third(found)[1].partition(b"\n\n")[0] + b"\n\n"
    return all(values(head, name) for name in ("From", "To", "Date", "Message-ID", "Subject", "X-Token"))


def unregistered(found: Report) -> set[str]:
    names = {name for name in found.about if name not in ABOUT}
    names |= {name for recipient in found.recipients for name in recipient if name not in RECIPIENT}
    return {name for name in names if not name.startswith("x-")}


PLAIN: Final = (
    Row("delivery-status", "of the report type delivery-status", MUST, ("3464-2-n1",), lambda at, it: it.head.get_param("report-type") == "delivery-status"),
    Row("second-part", "with the status in its second part", MUST, ("3464-2-n2", "6522-3-4"), lambda at, it: it.parts[1] == it.status_part),
    Row(
        "null-reverse-path",
        "sent with the null reverse-path",
        MUST,
        ("3464-2-4b", "3464-2-5", "5321-3.6.3-4", "5321-4.4-25b", "5321-6.1-3", "3461-6.1-1"),
        lambda at, it: it.mail.sender == "",
    ),
    Row("no-loop", "from an address that causes no report", SHOULD, ("3464-2-4a",), lambda at, it: it.mail.sender == ""),
    Row(
        "goes-to-the-sender",
        "addressed to the reverse-path, in envelope and header",
        MUST,
        ("3464-2-1", "5321-4.4-18", "5321-6.1-4"),
        lambda at, it: it.mail.recipients == [at.sender] and at.sender in str(it.head["To"]),
    ),
    Row("by-mail-command", "begun with MAIL", MUST, ("5321-4.4-25a",), lambda at, it: it.mail.mail[:5].upper() == b"MAIL "),
    Row(
        "from-somebody",
        "from an address in its header",
        SHOULD,
        ("3464-2-2",),
        lambda at, it: "@" in str(it.head["From"]) or "postmaster" in str(it.head["From"]),
    ),
    Row(
        "status-seven-bit",
        "7-bit in its status",
        MUST,
        ("3464-2.1-1",),
        lambda at, it: it.status_part and it.status_part.raw.isascii() and coding(it) == "7bit",
    ),
    Row("no-gateway", "without DSN-Gateway", MUST_NOT, ("3464-2.2.3-1b",), lambda at, it: "dsn-gateway" not in it.about),
    Row("reporting-mta", "with a Reporting-MTA", MUST, ("3461-6.3-3",), lambda at, it: "reporting-mta" in it.about),
    Row(
        "reporting-mta-name",
        "by an MTA of type dns with a full name",
        MUST,
        ("3461-6.3-4",),
        lambda at, it: it.about["reporting-mta"].lower().startswith("dns") and HOST.fullmatch(address_of(it.about["reporting-mta"])),
    ),
    Row(
        "mta-names",
        "with domain names for MTAs of type dns",
        SHOULD,
        ("3461-9.3-1",),
        lambda at, it: all(
            HOST.match(address_of(name)) for name in (it.about.get("reporting-mta", ""), one(it, "remote-mta")) if name.lower().startswith("dns")
        ),
    ),
    Row(
        "received-from",
        "with the name of EHLO in Received-From-MTA, if that is there",
        SHOULD,
        ("3464-2.2.4-1", "3464-2.2.4-2"),
        lambda at, it: "client.example" in it.about.get("received-from-mta", "client.example"),
    ),
    Row("arrival-date", "with a numeric zone in Arrival-Date", MUST, ("3464-2.2.5-1",), lambda at, it: dated(it.about.get("arrival-date", ""))),
    Row("last-attempt-date", "with a numeric zone in Last-Attempt-Date", MUST, ("3464-2.3.7-2",), lambda at, it: dated(one(it, "last-attempt-date"))),
    Row(
        "final-recipient",
        "with the Final-Recipient of the envelope, letter by letter",
        MUST,
        ("3464-2.3.2-1", "3464-2.3.2-2", "3464-2.3.2-3", "3464-2.3.2-4", "3461-6.3-9", "3461-6.3-10"),
        lambda at, it: re.fullmatch(r"(?i:rfc822)\s*;\s*" + re.escape(at.remote_at("", "Rcpt.Mixed")), one(it, "final-recipient")),
    ),
    Row("action", "with the action failed", MUST, ("3464-2.3.3-1", "3461-6.3-11", "3461-5.2.6-5"), lambda at, it: one(it, "action").lower() == "failed"),
    Row(
        "status",
        "with an enhanced code of class 5",
        MUST,
        ("3464-2.3.4-1", "3461-6.3-12"),
        lambda at, it: CODE.fullmatch(one(it, "status")) and one(it, "status")[0] == "5",
    ),
    Row("no-leading-zeros", "without leading zeros in Status", MUST, ("3464-2.3.4-3",), lambda at, it: STATUS.fullmatch(one(it, "status"))),
    Row("remote-mta", "with a Remote-MTA", MUST, ("3461-6.3-14",), lambda at, it: "remote-mta" in it.recipients[0]),
    Row("diagnostic", "with a Diagnostic-Code", MUST, ("3461-6.3-15",), lambda at, it: "diagnostic-code" in it.recipients[0]),
    Row("diagnostic-there", "with what the other host said", SHOULD, ("3464-2.3.6-2",), lambda at, it: "550" in one(it, "diagnostic-code")),
    Row(
        "diagnostic-as-it-came",
        "with the reply as it came in Diagnostic-Code",
        SHOULD,
        ("3461-9.2-1",),
        lambda at, it: re.fullmatch(r"(?i:smtp)\s*;\s*" + re.escape(REFUSAL), one(it, "diagnostic-code")),
    ),
    Row(
        "no-original-recipient",
        "without Original-Recipient, as no ORCPT came",
        MUST_NOT,
        ("3461-6.3-8", "3464-3-1"),
        lambda at, it: not one(it, "original-recipient"),
    ),
    Row(
        "no-envelope-id",
        "without Original-Envelope-Id, as no ENVID came",
        MUST_NOT,
        ("3461-6.3-2", "3464-2.2.1-2"),
        lambda at, it: "original-envelope-id" not in it.about,
    ),
    Row("no-will-retry", "without Will-Retry-Until, as it has failed", MUST_NOT, ("3464-2.3.9-1",), lambda at, it: not one(it, "will-retry-until")),
    Row("known-fields", "without unknown fields", MUST, ("3464-2.4-1",), lambda at, it: not unregistered(it)),
    Row("not-expanded", "without the action expanded", SHOULD_NOT, ("3464-2.3.3-2",), lambda at, it: "expanded" not in it.actions),
)


def coding(found: Report) -> str:
    """How the status part is encoded."""
    assert found.status_part is not None
    return str(found.status_part.head.get("Content-Transfer-Encoding", "7bit")).strip().lower()


def dated(date: str) -> object:
    """A date has a numeric zone, if there is one."""
    return not date or ZONE.fullmatch(date)


@form.table(PLAIN)
def plain(at: Context, row: Row) -> Script:
    """A report of a message that got 550 at RCPT is {claim}."""
    found = yield from refused(at, at.remote_at("", "Rcpt.Mixed"))
    check(row.holds(at, found), f"the report is not {row.claim}: {found.about} {found.recipients}")


PARTS: Final = (
    Row(
        "for-people",
        "with text for people in its first part",
        MUST,
        ("6522-3-1",),
        lambda at, it: it.parts[0].type.startswith(("text/", "multipart/")) and it.parts[0].body.strip(),
    ),
    Row(
        "whole-unless-asked",
        "with the whole message, as nobody asked for less",
        SHOULD,
        ("6522-3-6",),
        lambda at, it: third(it)[0] in WHOLE and b"A line of text." in third(it)[1],
    ),
    Row(
        "label-of-a-header",
        "not calling a header alone message/rfc822",
        SHOULD_NOT,
        ("6522-4-1",),
        lambda at, it: third(it)[0] not in WHOLE or b"A line of text." in third(it)[1],
    ),
    Row(
        "whole-header",
        "with all fields of the header, where it returns it",
        SHOULD,
        ("6522-4-3",),
        lambda at, it: third(it)[0] not in HEADERS or has_header(at, it),
    ),
)


@container.table(PARTS)
def parts(at: Context, row: Row) -> Script:
    """A report of a message that got 550 at RCPT is {claim}."""
    found = yield from refused(at)
    check(row.holds(at, found), f"the report is not {row.claim}; its parts are {[part.type for part in found.parts]}")


@container("third-part", MAY, tests=("6522-3-5", "3464-2-n3", "3461-4.3-2"))
def third_part(at: Context) -> Script:
    """The third part is the message, its header, or is not there: a fact."""
    found = yield from refused(at)
    yield Remark(f"the third part is {third(found)[0] or 'not there'}", "info")


ASKED: Final = (
    Row(
        "envelope-id",
        "with the ENVID of the message in Original-Envelope-Id",
        MUST,
        ("3461-6.3-1", "3464-2.2.1-3"),
        lambda at, it: it.about.get("original-envelope-id") == ENVELOPE_ID,
    ),
    Row("envelope-id-there", "with Original-Envelope-Id", SHOULD, ("3464-2.2.1-1",), lambda at, it: "original-envelope-id" in it.about),
    Row(
        "original-recipient",
        "with the ORCPT of the recipient in Original-Recipient",
        MUST,
        ("3461-6.3-7",),
        lambda at, it: re.fullmatch(r"(?i:rfc822)\s*;\s*" + re.escape(ORIGINAL), one(it, "original-recipient")),
    ),
    Row(
        "full",
        "with the whole message, as RET=FULL asked",
        SHOULD,
        ("3461-6.2-1",),
        lambda at, it: third(it)[0] in WHOLE and b"A line of text." in third(it)[1],
    ),
    Row("no-ret", "sent without RET", MUST_NOT, ("3461-6.1-2",), lambda at, it: "RET" not in it.mail.parameters),
    Row("notify-never", "sent with no NOTIFY but NEVER", MUST, ("3461-6.1-3b",), lambda at, it: notify_of(it) in ("", "NEVER")),
)


def notify_of(found: Report) -> str:
    """NOTIFY with which the report itself was sent."""
    return parameters_of(found.mail.rcpts[0]).get("NOTIFY", "").upper()


@asked.table(ASKED)
def with_parameters(at: Context, row: Row) -> Script:
    """A report of a message with ENVID, RET=FULL, ORCPT and NOTIFY=FAILURE is {claim}."""
    found = yield from refused(at, parameters=f"RET=FULL ENVID={ENVID}", rcpt_parameters="NOTIFY=FAILURE ORCPT=rfc822;Who+2Btag@Where.example")
    check(row.holds(at, found), f"the report is not {row.claim}: {found.about} {found.recipients} {found.mail.mail!r} {found.mail.rcpts}")


@asked("notify-of-the-report", MAY, tests=("3461-6.1-3a",))
def report_notify(at: Context) -> Script:
    """A report may be sent with NOTIFY: a fact."""
    found = yield from refused(at)
    yield Remark(f"the report came with NOTIFY={notify_of(found)}" if notify_of(found) else "the report came without NOTIFY", "info")


class Refusal(NamedTuple):
    """A reply to RCPT, and the class of the status that it makes."""

    id: str
    reply: str
    tests: tuple[str, ...]


REFUSALS: Final = (
    Refusal("no-enhanced-code", "550 No such user", ("3461-6.3-13",)),
    Refusal("unknown-enhanced-code", "550 5.99.99 Something new", ("3463-2-n3",)),
    Refusal("several-lines", "550 5.7.1 First line\n550 5.7.1 Second line", ("3461-6.3-12",)),
    Refusal("unknown-code", "599 Something new", ("3461-6.3-13",)),
    Refusal("no-text", "550", ("3461-6.3-12",)),
    Refusal("codes-of-two-classes", "550 4.2.2 Mailbox full", ("3461-6.3-12",)),
)


@form.table(REFUSALS, MUST, prefix="status-of-")
def status_of(at: Context, row: Refusal) -> Script:
    """`{reply}` is reported as failed, with a status that has its form."""
    found = yield from refused(at, reply=row.reply)
    check(STATUS.fullmatch(one(found, "status")), f"the status is {one(found, 'status')!r}")
    check(one(found, "action").lower() == "failed", f"the action is {one(found, 'action')!r}")
    if row.id != "codes-of-two-classes" and one(found, "status")[0] != "5":
        raise Broken(f"the status is {one(found, 'status')!r}")
