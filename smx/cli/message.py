"""Message: what stands on the standard input of `sendmail`, made into what SMTP carries: CRLF lines, the fields that must be there, no Bcc."""

from email.utils import formataddr, formatdate, getaddresses
from typing import Final, NamedTuple

RECIPIENT_FIELDS: Final = (b"to", b"cc", b"bcc")
RESENT_FIELDS: Final = (b"resent-to", b"resent-cc", b"resent-bcc")
DROPPED_FIELDS: Final = (b"bcc", b"resent-bcc", b"return-path")


class Message(NamedTuple):
    """`fields`: (name in lower case, the whole field without its last line end); `body`: lines that end with LF."""

    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def has(self, name: bytes) -> bool:
        return any(found == name for found, _ in self.fields)


def read(octets: bytes, *, dot_ends: bool) -> Message:
    """Take a message apart. Line ends may be LF, CRLF or CR; with `dot_ends` a line with only a dot is the end."""
    lines = octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    if dot_ends and b"." in lines:
        del lines[lines.index(b".") :]
    if lines and lines[0].startswith((b"From ", b">From ")):
        del lines[0]  # of a mailbox file
    fields: list[tuple[bytes, bytes]] = []
    for number, line in enumerate(lines):
        if line == b"":
            return Message(tuple(fields), _joined(lines[number + 1 :]))
        if line[:1] in (b" ", b"\t") and fields:
            name, field = fields[-1]
            fields[-1] = (name, field + b"\n" + line)
        elif name := field_name(line):
            fields.append((name, line))
        else:
            return Message(tuple(fields), _joined(lines[number:]))  # no header field: the body begins here
    return Message(tuple(fields), b"")


def _joined(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def field_name(line: bytes) -> bytes:
    """The name of the header field that begins with this line, in lower case; b"" when it is none (RFC 5322 2.2)."""
    name, colon, _ = line.partition(b":")
    name = name.rstrip(b" \t")
    if not colon or not name or any(not 33 <= octet <= 126 for octet in name):
        return b""
    return name.lower()


def recipients_of(message: Message) -> list[str]:
    """The addresses in To, Cc and Bcc; in their Resent- forms when there are such (RFC 5322 3.6.6)."""
    wanted = RESENT_FIELDS if any(message.has(name) for name in RESENT_FIELDS) else RECIPIENT_FIELDS
    values = [field.partition(b":")[2].replace(b"\n", b" ").decode("utf-8", "surrogateescape") for name, field in message.fields if name in wanted]
    return [address for _, address in getaddresses(values) if address]


def finished(message: Message, *, sender: str, full_name: str, hostname: str, message_id: str) -> bytes:
    """The octets for SMTP: Date, From and Message-ID where they are missing, no Bcc, CRLF. `sender` may be "" (the null reverse-path)."""
    lines = [field for name, field in message.fields if name not in DROPPED_FIELDS]
    if not message.has(b"date"):
        lines.append(b"Date: " + formatdate(localtime=True).encode())
    if not message.has(b"from"):
        address = sender or f"MAILER-DAEMON@{hostname}"
        lines.append(b"From: " + formataddr((full_name, address)).encode("utf-8", "surrogateescape"))
    if not message.has(b"message-id"):
        lines.append(f"Message-ID: <{message_id}@{hostname}>".encode())
    return (b"\n".join(lines) + b"\n\n" + message.body).replace(b"\n", b"\r\n")


def qualified(address: str, hostname: str) -> str:
    """`root` becomes root@HOSTNAME; "<...>" around an address is taken away."""
    bare = address.strip()
    if bare.startswith("<") and bare.endswith(">"):
        bare = bare[1:-1]
    return bare if not bare or "@" in bare else f"{bare}@{hostname}"
