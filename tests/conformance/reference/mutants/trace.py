"""Trace and final delivery (RFC 5321 4.4, 6.3, 7.2, 7.6): Received and Return-Path, and the rest of the header left alone."""

# mypy: disable-error-code="attr-defined, call-overload, func-returns-value, method-assign, misc, no-any-return, return-value, var-annotated"

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from tests.conformance.reference.envelope import Envelope
from tests.conformance.reference.mta import Reference
from tests.conformance.reference.mutants.mutant import Mutant, altered, mutant, original
from tests.conformance.reference.server import CRLF, EPOCH, fields_of, head_of
from tests.conformance.reference.session import Session

FORM: Final = "4.4-2 4.4-3a"


def _stamp(name: str, tests: str, change: Callable[[str], str]) -> Mutant:
    """Another Received field."""

    def changed(field: bytes, self: Reference, session: Session, envelope: Envelope) -> bytes:
        return change(field.decode()).encode()

    return mutant(f"received-{name}", tests, stamp=altered("stamp", changed))


def _delivered(name: str, tests: str, change: Callable[[bytes], bytes]) -> Mutant:
    """The message is changed at delivery."""

    def deliver(self: Reference, user: str, envelope: Envelope, content: bytes) -> None:
        original("deliver")(self, user, envelope, change(content))

    return mutant(f"delivered-{name}", tests, deliver=deliver)


def _behind(content: bytes) -> bytes:
    """The new field stands behind the others."""
    fields = fields_of(head_of(content))
    return b"".join((*fields[1:], fields[0])) + content[len(head_of(content)) :]


def _fields(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[bytes], bytes]:
    """All fields but the first, which is the new one."""

    def changed(content: bytes) -> bytes:
        head = head_of(content)
        first, *others = fields_of(head)
        return b"".join((first, *change(others))) + content[len(head) :]

    return changed


def _received(fields: list[bytes], order: Callable[[list[bytes]], list[bytes]]) -> list[bytes]:
    """The older Received fields in another order."""
    old = [field for field in fields if field.startswith(b"Received:")]
    return order(old) + [field for field in fields if not field.startswith(b"Received:")]


def _date(text: str) -> Any:
    return lambda self: datetime.fromtimestamp(EPOCH + self.out.now, UTC).strftime(text)


def _for_all(field: bytes, self: Reference, session: Session, envelope: Envelope) -> bytes:
    paths = ",".join(f"<{path.text}>" for path, _ in envelope.recipients)
    return re.sub(rb"(id \d+);", rb"\1 for " + paths.encode() + b";", field)


def _tells(field: bytes, self: Reference, session: Session, envelope: Envelope) -> bytes:
    paths = " ".join(path.text for path, _ in envelope.recipients)
    return field.replace(b"\r\n\tby", f" ({paths})\r\n\tby".encode(), 1)


def _return_path(name: str, tests: str, change: Callable[[Envelope], str]) -> Mutant:
    return mutant(f"return-path-{name}", tests, return_path=lambda self, envelope: change(envelope).encode())


def _behind_received(self: Reference, user: str, envelope: Envelope, content: bytes) -> None:
    whole = fields_of(head_of(content))
    text = whole[0] + self.return_path(envelope) + self.without_return_path(content)[len(whole[0]) :]
    self.mailboxes.setdefault(f"{user}@{self.domain}", []).append(text)


def _with_recipients(self: Reference, user: str, envelope: Envelope, content: bytes) -> None:
    cc = "".join(f"Cc: <{path.text}>\r\n" for path, _ in envelope.recipients)
    original("deliver")(self, user, envelope, content.replace(b"From:", cc.encode() + b"From:", 1))


def _hops(name: str, tests: str, count: int) -> Mutant:
    return mutant(f"hops-{name}", tests, hops_max=count)


def _gateway(fields: list[bytes]) -> list[bytes]:
    return [field.replace(b"undisclosed-recipients:;", b"alice@local.test") for field in fields]


MUTANTS: Final = (
    mutant("received-is-missing", "4.4-1 4.4-7a 4.4-n1", stamp=lambda self, session, envelope: b""),
    mutant(
        "received-is-missing-after-helo",
        "4.4-1 4.4-2",
        stamp=altered("stamp", lambda field, self, session, envelope: b"Received: by us\r\n" if session.protocol == "SMTP" else field),
    ),
    _delivered("received-behind-the-header", "4.4-7a 4.4-1 4.4-7b 4.4-n1", _behind),
    _stamp("without-from", FORM + " 4.4-3b", lambda field: re.sub(r"from \S+ \(\S+\)\r\n\t", "", field)),
    _stamp("without-by", "4.4-2", lambda field: re.sub(r"by \S+ ", "", field)),
    _stamp("by-localhost", "4.4-2", lambda field: re.sub(r"by \S+", "by mx", field)),
    _stamp("without-date", FORM, lambda field: re.sub(r";\r\n\t.*\r\n", "\r\n", field)),
    _stamp("clauses-in-another-order", FORM, lambda field: re.sub(r"with (\S+) id (\S+);", r"id \2 with \1;", field)),
    _stamp("without-name-of-client", "4.4-3b", lambda field: re.sub(r"from \S+ ", "from unknown.example ", field)),
    _stamp("without-address-of-client", "4.4-3b", lambda field: re.sub(r"\(\[\S+\]\)", "(somewhere)", field)),
    _stamp("with-name-in-brackets-twice", "4.4-2 4.4-3a", lambda field: field.replace("from [", "from [ [")),
    _stamp("with-unregistered-protocol", "4.4-29", lambda field: re.sub(r"with \S+", "with XMTP", field)),
    _stamp("with-unregistered-link", "4.4-28", lambda field: re.sub(r" with", " via avian with", field)),
    _stamp("with-unregistered-clause", "4.4-27", lambda field: field.replace(";", " mood good;", 1)),
    mutant("received-for-all", "4.4-5 7.6-n1 7.2-1b", stamp=altered("stamp", _for_all)),
    mutant("received-tells-of-all", "7.6-n1 7.2-1b", stamp=altered("stamp", _tells)),
    mutant("date-with-zone-name", "4.4-8 4.4-10", date=_date("%a, %d %b %Y %H:%M:%S GMT")),
    mutant("date-with-year-of-two-digits", "F.5-1 4.4-26 4.4-2", date=_date("%a, %d %b %y %H:%M:%S +0000")),
    mutant("date-of-another-form", "4.4-2 4.4-26 F.5-1", date=_date("%Y-%m-%dT%H:%M:%SZ")),
    _delivered("older-received-in-another-order", "4.4-7b 4.4-7a", _fields(lambda fields: _received(fields, lambda old: old[::-1]))),
    _delivered("older-received-lost", "4.4-7a 4.4-7b", _fields(lambda fields: _received(fields, lambda old: []))),
    _delivered("older-received-unfolded", "4.4-7b", _fields(lambda fields: [re.sub(rb"\r\n[ \t]+", b" ", field) for field in fields])),
    _delivered("received-within", "4.4-7b", _fields(lambda fields: [*fields, b"Received: from here by there; Tue, 14 Jul 2026 12:00:00 +0000\r\n"])),
    _return_path("missing", "4.4-11 4.4-16 4.4-n1", lambda envelope: ""),
    _return_path("of-null-missing", "4.4-11", lambda envelope: f"Return-Path: <{envelope.sender.text or 'MAILER-DAEMON'}>\r\n"),
    _return_path("in-small-letters", "4.4-11", lambda envelope: f"Return-Path: <{envelope.sender.text.lower()}>\r\n"),
    _return_path("without-brackets", "4.4-11", lambda envelope: f"Return-Path: {envelope.sender.text}\r\n"),
    _return_path("twice", "4.4-16", lambda envelope: f"Return-Path: <{envelope.sender.text}>\r\n" * 2),
    mutant("return-path-behind-received", "4.4-n1", deliver=_behind_received),
    mutant("return-path-of-others-stays", "4.4-16", without_return_path=lambda self, content: content),
    mutant("recipients-are-told-in-cc", "7.2-1b 7.6-n1 7.2-3", deliver=_with_recipients),
    _delivered("to-is-rewritten", "7.2-3", _fields(_gateway)),
    _delivered("cc-is-removed", "7.2-3", _fields(lambda fields: [field for field in fields if not field.startswith(b"Cc:")])),
    _delivered(
        "with-apparently-to",
        "7.2-4",
        lambda content: content if b"\r\nTo:" in content else content.replace(CRLF + CRLF, b"\r\nApparently-To: <alice@local.test>\r\n\r\n", 1),
    ),
    _hops("none", "6.3-1", 0),
    _hops("ten", "6.3-1", 10),
    _hops("thirty", "6.3-1", 30),
    _hops("sixty", "6.3-1", 60),
    _hops("without-end", "6.3-2 6.3-1", 10_000),
    mutant(
        "hops-refused-and-delivered",
        "4.2.5-3",
        end_of_content=altered(
            "end_of_content",
            lambda reply, self, session, content: reply if reply.code != 554 else (self.mailboxes.setdefault("alice@local.test", []).append(content), reply)[1],
        ),
    ),
)
