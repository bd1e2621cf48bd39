"""Notifications: delivery status notifications as a program reads them, with Python's email package (RFC 3464, RFC 6522)."""

import email
import email.policy
from email.message import EmailMessage
from typing import cast

from msgspec import Struct

from tests.live.traffic import read_content

PER_MESSAGE = ("reporting-mta",)  # RFC 3464 2.2: mandatory
PER_RECIPIENT = ("final-recipient", "action", "status")  # RFC 3464 2.3: mandatory


class Reported(Struct, frozen=True):
    recipient: str
    action: str
    status: str


class Bounce(Struct, frozen=True):
    """One notification. `token`: that of the message it is about. `transaction`: its own. `complaints`: what RFC 3464 misses in it."""

    token: str
    message_id: str
    reverse_path: str
    recipients: tuple[Reported, ...]
    complaints: tuple[str, ...]


def read_bounce(octets: bytes) -> Bounce | None:
    """None for a message that is no delivery status notification."""
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    if message.get_content_type() != "multipart/report" or message.get_param("report-type") != "delivery-status":
        return None
    parts = cast("list[EmailMessage]", list(message.iter_parts()))
    complaints = [f"defect: {defect!r}" for part in message.walk() for defect in part.defects]
    status = next((part for part in parts if part.get_content_type() in ("message/delivery-status", "message/global-delivery-status")), None)
    if status is None:
        return Bounce("", str(message["message-id"]), str(message["return-path"]), (), ("no delivery-status part",))
    if parts[0].get_content_maintype() != "text":
        complaints.append("the first part is not for people (RFC 6522 3)")
    blocks = cast("list[EmailMessage]", status.get_payload())
    complaints += [f"{name} is missing" for name in PER_MESSAGE if blocks[0][name] is None]
    reported = []
    for block in blocks[1:]:
        complaints += [f"{name} is missing" for name in PER_RECIPIENT if block[name] is None]
        address = str(block["final-recipient"] or "").partition(";")[2].strip()
        reported.append(Reported(address, str(block["action"] or "").strip(), str(block["status"] or "").split(" ")[0].strip()))
    if not reported:
        complaints.append("no recipient is reported")
    token = next((read_content(octets_of(part)).token for part in parts if part.get_content_type() in RETURNED), "")
    return Bounce(token, str(message["message-id"]), str(message["return-path"]), tuple(reported), tuple(complaints))


RETURNED = ("message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers")


def octets_of(part: EmailMessage) -> bytes:
    """What was returned of the message: its octets, or those of its header section."""
    if part.get_content_maintype() == "message":
        (inner,) = cast("list[EmailMessage]", part.get_payload())
        return inner.as_bytes()
    return cast("bytes", part.get_payload(decode=True))
