"""Notification: what goes back to the sender (RFC 5321 3.6.3, RFC 3461, RFC 3464)."""

from typing import Final

from tests.conformance.reference.grammar import Path
from tests.conformance.reference.heard import Heard
from tests.conformance.reference.item import Item
from tests.conformance.reference.server import head_of

MARK: Final = "=_part"


def notification(host: str, date: str, number: int, item: Item, told: dict[Path, Heard], action: str = "failed") -> bytes:
    """A whole message, in seven bits. `told`: the last word about each recipient. `action`: failed, relayed or delivered."""
    subject = {"failed": "Not delivered"}.get(action, "Delivery report")
    head = (
        f"From: <MAILER-DAEMON@{host}>\r\nTo: <{_ascii(item.envelope.sender.text)}>\r\nSubject: {subject}\r\nDate: {date}\r\n"
        f"Message-ID: <{number}.report@{host}>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="{MARK}"\r\n\r\n'
    )
    lines = "".join(f"<{_ascii(path.text)}>: {action}: {_plain(heard)}\r\n" for path, heard in told.items())
    text = f"--{MARK}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nAbout your message:\r\n{lines}\r\n"
    status = f"--{MARK}\r\nContent-Type: message/delivery-status\r\n\r\n{_envelope_id(item)}Reporting-MTA: dns; {host}\r\n"
    parameters = dict(item.envelope.recipients)
    for path, heard in told.items():
        status += f"\r\n{_original(parameters.get(path, {}))}{_recipient(path)}Action: {action}\r\nStatus: {_status(heard, action)}\r\n"
        status += f"Remote-MTA: dns; {item.remote}\r\n" if item.remote else ""
        status += f"Diagnostic-Code: smtp; {_plain(heard)}\r\n" if heard.code and item.remote else ""
    return (head + text + status).encode() + _returned(item, action)


def _returned(item: Item, action: str) -> bytes:
    """The message where it failed, unless less is wanted; else its header section."""
    wants_less = item.envelope.parameters.get("RET", "").upper() == "HDRS" or "REQUIRETLS" in item.envelope.parameters  # RFC 8689 5
    is_whole = not wants_less and action == "failed" and item.content.isascii()
    kind = b"message/rfc822" if is_whole else b"text/rfc822-headers"
    content = item.content if is_whole else bytes(octet if octet < 128 else 63 for octet in head_of(item.content))
    return f"\r\n--{MARK}\r\nContent-Type: ".encode() + kind + b"\r\n\r\n" + content + f"\r\n--{MARK}--\r\n".encode()


def _envelope_id(item: Item) -> str:
    envelope_id = item.envelope.parameters.get("ENVID")
    return f"Original-Envelope-Id: {_decoded(envelope_id)}\r\n" if envelope_id else ""


def _original(parameters: dict[str, str]) -> str:
    kind, _, address = parameters.get("ORCPT", "").partition(";")
    return f"Original-Recipient: {kind}; {_decoded(address)}\r\n" if kind else ""


def _decoded(xtext: str) -> str:
    first, *others = xtext.split("+")
    return _ascii(first + "".join(chr(int(other[:2], 16)) + other[2:] for other in others))


def _recipient(path: Path) -> str:
    return f"Final-Recipient: {'rfc822' if path.text.isascii() else 'utf-8'}; {_ascii(path.text)}\r\n"


def _status(heard: Heard, action: str) -> str:
    if action != "failed":
        return heard.status if heard.kind == 2 else "2.0.0"
    return heard.status if heard.kind == 5 else "5.4.7"


def _ascii(text: str) -> str:
    """RFC 6533: letters beyond ASCII as \\x{...}."""
    return "".join(letter if letter.isascii() else f"\\x{{{ord(letter):X}}}" for letter in text)


def _plain(heard: Heard) -> str:
    """On one line, in ASCII, not too long."""
    return "".join(letter if letter.isprintable() else "?" for letter in _ascii(str(heard)))[:400]
