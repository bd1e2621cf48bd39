"""Text of notifications: octets of strangers made fit for header fields, status fields and lines (RFC 3464, RFC 6533).

Whatever a peer said or an address contains, nothing here can end a line, a field or a part early.
"""

from typing import Final

LINE_OCTETS_MAX: Final = 998  # RFC 5322 2.1.1, without CRLF
FOLD_AT: Final = 76
WORD_OCTETS_MAX: Final = 900  # what stands on one line with a field's name; longer words are broken
ADDRESS_OCTETS_MAX: Final = 512  # longer than any address or ORCPT (RFC 3461 4.2); a longer one is cut
TEXT_OCTETS_MAX: Final = 4096


def printable(octets: bytes, *, utf8: bool, octets_max: int = TEXT_OCTETS_MAX) -> str:
    """One line of text: white space is a space, other unprintable characters are escaped; without `utf8` in ASCII only."""
    text = octets[:octets_max].decode("utf-8", "backslashreplace")
    if not utf8 and not text.isascii():
        text = text.encode("ascii", "backslashreplace").decode("ascii")
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else " " if letter.isspace() else f"\\x{ord(letter):02x}" for letter in text)


def field(name: str, value: str) -> bytes:
    """A field with its CRLF, folded at spaces; a word too long for a line is cut in pieces. A field that is all space is not made.

    `value` is printable.
    """
    lines, line = [], f"{name}:"
    for word in value.split(" "):
        while True:
            piece, word = _cut(word)
            if len(line) + 1 + len(piece) > FOLD_AT and line.strip() and not line.endswith(":"):
                lines.append(line)
                line = ""
            line = f"{line} {piece}"
            if not word:
                break
    lines.append(line)
    return "\r\n".join(kept for kept in lines if kept.strip()).encode("utf-8") + b"\r\n"


def _cut(word: str) -> tuple[str, str]:
    """A piece that fits a line even in UTF-8, and the rest."""
    if len(word.encode("utf-8")) <= WORD_OCTETS_MAX:
        return word, ""
    return word[: WORD_OCTETS_MAX // 4], word[WORD_OCTETS_MAX // 4 :]


def wrapped(text: str, indent: str) -> list[str]:
    """Lines of plain text, broken at spaces. `text` is printable."""
    lines, line = [], indent
    for word in text.split():
        while True:
            piece, word = _cut(word)
            if len(line) + 1 + len(piece) > FOLD_AT and line.strip():
                lines.append(line)
                line = indent
            line = f"{line} {piece}" if line.strip() else f"{line}{piece}"
            if not word:
                break
    if line.strip():
        lines.append(line)
    return lines


def address_line(octets: bytes, *, utf8: bool) -> str:
    """An address or a name of a host, in one word's room."""
    return printable(octets, utf8=utf8, octets_max=ADDRESS_OCTETS_MAX)[:WORD_OCTETS_MAX]


# --- xtext and unitext ------------------------------------------------------------------------------------------------------


def from_xtext(octets: bytes) -> bytes:
    """What xtext means (RFC 3461 4); what is no valid xtext stays as it is."""
    if b"+" not in octets:
        return octets
    first, *rest = octets.split(b"+")
    out = [first]
    for part in rest:
        try:
            value = int(part[:2].decode("ascii"), 16) if part[:2].isalnum() and len(part) > 1 else -1
        except ValueError:
            value = -1
        out.append(b"%c%b" % (value, part[2:]) if value >= 0 else b"+" + part)
    return b"".join(out)


def to_unitext(text: str) -> str:
    """The ASCII form of a UTF-8 address: `\\x{HEX}` for what is not a QCHAR (RFC 6533 3)."""
    return "".join(letter if "!" <= letter <= "~" and letter not in "\\+=" else f"\\x{{{ord(letter):02X}}}" for letter in text)


def from_unitext(text: str) -> str:
    """What `\\x{HEX}` in a UTF-8 address means; what is no valid form stays as it is."""
    first, *rest = text.split("\\x{")
    out = [first]
    for part in rest:
        digits, brace, behind = part.partition("}")
        try:
            letter = chr(int(digits, 16)) if brace and digits.isalnum() and 2 <= len(digits) <= 6 else ""
        except (ValueError, OverflowError):
            letter = ""
        usable = letter and not "\ud800" <= letter <= "\udfff"
        out.append(letter + behind if usable else "\\x{" + part)
    return "".join(out)
