"""Steps and readers for notifications (RFC 3464, 6522): what came back to the sender, taken apart."""

import email
import re
from email.message import Message
from typing import Any, Final

from msgspec import Struct

from conformance.client.steps import IDLE_S, WIDE, bring, brought
from conformance.content import fields, with_lf
from conformance.context import SENDER_LABEL, Context
from conformance.outcome import Skipped, check
from conformance.visit import Mail, accept_any
from conformance.wire import Step

STATUS_TYPES: Final = ("message/delivery-status", "message/global-delivery-status")
REFUSAL: Final = "550 5.1.1 No such user here"
SENDER_OFFERS: Final = (*WIDE, "DSN")
SOON_S: Final = 1.0


class Part(Struct, frozen=True):
    """A part of the report: its content type in small letters, its fields as a Message, its octets with LF, as they are and decoded."""

    type: str
    head: Message
    raw: bytes
    body: bytes


class Report(Struct, frozen=True):
    """`about`: the fields of the message, `recipients`: those of each recipient; names are in small letters, values unfolded."""

    mail: Mail
    head: Message
    parts: tuple[Part, ...]
    about: dict[str, str]
    recipients: tuple[dict[str, str], ...]

    @property
    def is_report(self) -> bool:
        return self.head.get_content_type() == "multipart/report"

    @property
    def status_part(self) -> Part | None:
        return next((part for part in self.parts if part.type in STATUS_TYPES), None)

    @property
    def actions(self) -> set[str]:
        return {recipient.get("action", "").lower() for recipient in self.recipients}

    def of(self, address: str) -> dict[str, str]:
        """The fields of this recipient, whatever the case of its letters; {} when there are none."""
        found = (recipient for recipient in self.recipients if address_of(recipient.get("final-recipient", "")).lower() == address.lower())
        return next(found, {})


def address_of(typed: str) -> str:
    """What stands behind the type: rfc822; a@b -> a@b."""
    return typed.partition(";")[2].strip()


def read(mail: Mail) -> Report:
    """Take a notification apart; what is no multipart/report has no parts."""
    head = email.message_from_bytes(mail.content)
    parts = _parts(mail.content, str(head.get_param("boundary", ""))) if head.get_content_maintype() == "multipart" else ()
    status = next((part.body for part in parts if part.type in STATUS_TYPES), b"")
    groups = [_group(text) for text in re.split(rb"\n(?:[ \t]*\n)+", status.strip(b"\n")) if text.strip()]
    return Report(mail, head, parts, groups[0] if groups else {}, tuple(groups[1:]))


def _parts(content: bytes, boundary: str) -> tuple[Part, ...]:
    pieces = re.split(rb"(?:\A|\n)--" + re.escape(boundary.encode()) + rb"(?:--)?[ \t]*(?=\n|\Z)", with_lf(content))
    return tuple(_part(piece.removeprefix(b"\n")) for piece in pieces[1:-1])


def _part(piece: bytes) -> Part:
    head, _, raw = piece.partition(b"\n\n") if not piece.startswith(b"\n") else (b"", b"", piece[1:])
    message = email.message_from_bytes(head + b"\n\n")
    coding = str(message.get("Content-Transfer-Encoding", "7bit"))
    body: Any = email.message_from_bytes(b"Content-Transfer-Encoding: " + coding.encode() + b"\n\n" + raw).get_payload(decode=True)
    return Part(message.get_content_type(), message, raw, body if isinstance(body, bytes) else raw)


def _group(text: bytes) -> dict[str, str]:
    return {name.lower(): " ".join(value.split()) for name, value in fields(text + b"\n\n")}


def maybe_report(at: Context, timeout_s: float = SOON_S, offers: tuple[str, ...] = SENDER_OFFERS) -> Step[Report | None]:
    """What comes back to the sender within the time, or None."""
    visit = yield from accept_any(at, SENDER_LABEL, timeout_s=timeout_s)
    if visit is None:
        return None
    yield from visit.serve(idle_s=IDLE_S, offers=offers)
    return read(brought(visit))


def report(at: Context, timeout_s: float = 0.0, offers: tuple[str, ...] = SENDER_OFFERS) -> Step[Report]:
    """What comes back to the sender, which has to come."""
    found = yield from maybe_report(at, timeout_s or at.target.limits.delivery_s, offers)
    check(found is not None, "no notification came back to the sender")
    assert found is not None
    return found


def structured(at: Context, timeout_s: float = 0.0, offers: tuple[str, ...] = SENDER_OFFERS) -> Step[Report]:
    """The same in the form of RFC 3464; a target that writes another one is skipped: that form is a SHOULD of RFC 5321 3.6.3."""
    found = yield from report(at, timeout_s, offers)
    if not found.is_report or found.status_part is None:
        raise Skipped(f"its notifications are no delivery status notifications but {found.head.get_content_type()}")
    return found


def refused(at: Context, *recipients: str, reply: str = REFUSAL, offered: tuple[str, ...] = SENDER_OFFERS, **more: Any) -> Step[Report]:
    """Hand in a message, refuse it in answer to RCPT, and take the report. `offered`: by the sender's host; `offers`: by the one that refuses."""
    yield from bring(at, *recipients, replies={"RCPT": reply}, **more)
    return (yield from structured(at, offers=offered))
