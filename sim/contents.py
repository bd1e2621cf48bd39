"""Contents: what a message that arrived says of itself, and whether it is the one that was sent, octet by octet (I5).

Allowed are only trace fields of ours in front of the octets that were sent: Return-Path, Delivered-To and Received (RFC 5321 4.4), nothing else anywhere.
A DSN is read by slices, not by a MIME parser: it is our own, and its form is checked elsewhere.
"""

from typing import Final

from msgspec import Struct

from smx.ids import TEXT_OCTETS, id_number

TRACE: Final = (b"return-path", b"delivered-to", b"received")
REPORT: Final = b"multipart/report"
_TOKEN: Final = b"\r\nX-Token:"


class Read(Struct, frozen=True):
    """`transaction`: of the topmost Received field that has a queue id; 0: none. `return_path`: None when there is no such field."""

    token: str
    transaction: int
    return_path: str | None


class Report(Struct, frozen=True):
    """One recipient of a DSN."""

    recipient: str
    action: str


def read(content: bytes) -> Read:
    """Of a message with CRLF."""
    head, _, _ = content.partition(b"\r\n\r\n")
    return Read(token_of(content), _transaction(head), _return_path(head))


def token_of(content: bytes) -> str:
    """The first token in it: of a DSN, that of the message it returns. "" when there is none."""
    at = content.find(_TOKEN)
    if at < 0:
        if not content.startswith(_TOKEN[2:]):
            return ""
        at = -2
    start = at + len(_TOKEN)
    end = content.find(b"\r\n", start)
    return content[start : end if end >= 0 else len(content)].strip().decode("ascii", "backslashreplace")


def _transaction(head: bytes) -> int:
    at = head.find(b"Received:")
    while at >= 0:
        if at == 0 or head[at - 1 : at] == b"\n":
            start = head.find(b" id ", at) + 4
            if start > 3:
                try:
                    return id_number(head[start : start + TEXT_OCTETS].decode("ascii", "backslashreplace"))
                except ValueError:
                    pass
        at = head.find(b"Received:", at + 1)
    return 0


def _return_path(head: bytes) -> str | None:
    if not head.startswith(b"Return-Path: <"):
        return None
    return head[14 : head.find(b">", 14)].decode("utf-8", "backslashreplace")


def fault_of(arrived: bytes, sent: bytes) -> str:
    """What is wrong with a copy: "" nothing; "short": only a beginning of it came; else where it differs."""
    at = len(arrived) - len(sent)
    if at >= 0 and arrived.endswith(sent):
        return "" if is_trace(arrived[:at]) else "something besides trace fields stands in front of it"
    at = trace_octets(arrived, sent)
    rest = arrived[at:]
    if sent.startswith(rest):
        return "short"
    differs = next((place for place, (one, other) in enumerate(zip(rest, sent, strict=False)) if one != other), min(len(rest), len(sent)))
    return f"octet {differs} differs ({len(rest)} octets came, {len(sent)} were sent)"


def is_trace(octets: bytes) -> bool:
    """Nothing but trace fields."""
    if not octets:
        return True
    if not octets.endswith(b"\r\n"):
        return False
    return all(line[:1] in (b" ", b"\t") or line.partition(b":")[0].lower() in TRACE for line in octets[:-2].split(b"\r\n"))


def trace_octets(arrived: bytes, sent: bytes) -> int:
    """How many octets at the beginning of a damaged copy are trace fields, so far as the sent message does not begin with such fields itself."""
    at = 0
    first = sent[: sent.find(b"\r\n") + 2]
    while not (first and arrived.startswith(first, at)):
        end = arrived.find(b"\r\n", at)
        name = arrived[at : max(end, at)].partition(b":")[0].lower()
        if end < 0 or (arrived[at : at + 1] not in (b" ", b"\t") and name not in TRACE):
            break
        at = end + 2
    return at


def is_report(content: bytes) -> bool:
    """A delivery status notification: its own header says so, not one that it returns."""
    return REPORT in content[: content.find(b"\r\n\r\n")]


def reports(content: bytes) -> list[Report]:
    """What a DSN says of each recipient (RFC 3464 2.3)."""
    found = []
    at = content.find(b"\r\nFinal-Recipient:")
    while at >= 0:
        end = content.find(b"\r\n\r\n", at)
        block = content[content.rfind(b"\r\n\r\n", 0, at + 2) + 4 : end if end >= 0 else len(content)]
        recipient = _field(block, b"Final-Recipient:").partition(";")[2].strip()
        found.append(Report(recipient, _field(block, b"Action:").lower()))
        at = content.find(b"\r\nFinal-Recipient:", at + 1)
    return found


def message_id(content: bytes) -> str:
    return _field(content[: content.find(b"\r\n\r\n") + 2], b"Message-ID:")


def _field(block: bytes, name: bytes) -> str:
    for line in block.split(b"\r\n"):
        if line.startswith(name):
            return line[len(name) :].strip().decode("utf-8", "backslashreplace")
    return ""
