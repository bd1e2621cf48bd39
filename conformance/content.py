"""Content: what happens to message content on the wire and off it: dot stuffing, header fields, a mailbox file."""

import re
from typing import Final

_FIELD: Final = re.compile(rb"([!-9;-~]+)[ \t]*:((?:[^\n]|\n[ \t])*)(?:\n|\Z)")


def stuff(content: bytes) -> bytes:
    """RFC 5321 4.5.2: a dot before each line that begins with one; a CRLF at the end if there is none."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    return stuffed if not stuffed or stuffed.endswith(b"\r\n") else stuffed + b"\r\n"


def unstuff(raw: bytes) -> bytes:
    """The content of what stood between 354 and the line with a lone dot."""
    content = raw.replace(b"\r\n.", b"\r\n")
    return content[1:] if content.startswith(b".") else content


def with_lf(content: bytes) -> bytes:
    """With LF for CRLF, as mailboxes have it; to compare what was sent with what was delivered."""
    return content.replace(b"\r\n", b"\n")


def split(message: bytes) -> tuple[bytes, bytes]:
    """Header section and body, both with LF."""
    head, _, body = with_lf(message).partition(b"\n\n")
    return head + b"\n", body


def fields(message: bytes, name: str = "") -> list[tuple[str, str]]:
    """(name, value with its folds) of the header fields, in order; only those of this name if there is one."""
    head, _ = split(message)
    found = [(match[1].decode("ascii", "backslashreplace"), match[2].decode("utf-8", "backslashreplace").strip(" ")) for match in _FIELD.finditer(head)]
    return [pair for pair in found if not name or pair[0].lower() == name.lower()]


def values(message: bytes, name: str) -> list[str]:
    """The values of the fields of this name, unfolded, in order."""
    return [" ".join(value.split()) for _, value in fields(message, name)]


def messages_of_mbox(octets: bytes) -> list[bytes]:
    """The messages of a mailbox file, each without its From_ line."""
    parts = re.split(rb"(?:\A|(?<=\n))From [^\n]*\n", with_lf(octets))
    return [part.removesuffix(b"\n") for part in parts if part.strip()]
