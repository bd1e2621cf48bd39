"""Grammar: the ABNF of RFC 5321 4.1.2 and 4.1.3 (RFC 6531 3.3 where `smtputf8`), and the parameters of RFC 3461.

Everything is bounded (SX72: RFC 5321 4.5.3.1). The common address is matched by one regular expression with possessive quantifiers,
which cannot backtrack; the rest is scanned octet by octet. What does not fit raises FormatError; what fits is canonical.
"""

import ipaddress
import re
from typing import Final

from smx import limits
from smx.errors import FormatError
from smx.messages import Notify
from smx.smtp.address import ATEXT, NULL_MAILBOX, POSTMASTER, Mailbox

_LABEL: Final = rb"[A-Za-z0-9]++(?:-++[A-Za-z0-9]++)*+"  # sub-domain = Let-dig [Ldh-str]
_DOMAIN: Final = re.compile(rb"%b(?:\.%b)*+" % (_LABEL, _LABEL))
_LABEL_ALONE: Final = re.compile(_LABEL)
_DOT_STRING: Final = re.compile(rb"[%b]++(?:\.[%b]++)*+" % (ATEXT, ATEXT))
_DOT_STRING_UTF8: Final = re.compile(rb"[%b\x80-\xff]++(?:\.[%b\x80-\xff]++)*+" % (ATEXT, ATEXT))
_SIMPLE: Final = re.compile(rb"([%b]++(?:\.[%b]++)*+)@(%b(?:\.%b)*+)" % (ATEXT, ATEXT, _LABEL, _LABEL))
_KEYWORD: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9-]*+")
_VALUE: Final = re.compile(rb"[!-<>-~]++")
_VALUE_UTF8: Final = re.compile(rb"[!-<>-~\x80-\xff]++")
_ATOM: Final = re.compile(rb"[%b]++" % ATEXT)
_XTEXT: Final = re.compile(rb"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*+")
_HEX_PAIR: Final = re.compile(rb"\+([0-9A-F]{2})")
_DCONTENT: Final = re.compile(rb"[!-Z^-~]++")
_IPV6_CHARACTERS: Final = re.compile(rb"[0-9A-Fa-f:.]++")

# Characters that IDNA takes for a label separator, and others that never stand in a U-label (RFC 5890 2.3.2.1).
_UNFIT_IN_LABEL: Final = frozenset("\u3002\uff0e\uff61\ufffd\u200b\u2060\ufeff")


def _bad(text: str, subject: int = 1, detail: int = 3) -> FormatError:
    return FormatError(501, (5, subject, detail), text)


# --- paths ----------------------------------------------------------------------------------------------------------


def parse_reverse_path(argument: bytes, *, smtputf8: bool = False) -> tuple[Mailbox, bytes]:
    """The path at the beginning of what follows `FROM:`, and the octets behind its `>`. `<>` gives NULL_MAILBOX."""
    if argument.startswith(b"<>"):
        return NULL_MAILBOX, argument[2:]
    return _parse_path(argument, smtputf8)


def parse_forward_path(argument: bytes, *, smtputf8: bool = False) -> tuple[Mailbox, bytes]:
    """The path at the beginning of what follows `TO:`, and the octets behind its `>`. `<Postmaster>` needs no domain (4.1.1.3)."""
    if argument[:12].lower() == b"<postmaster>":
        return POSTMASTER, argument[12:]
    return _parse_path(argument, smtputf8)


def _parse_path(argument: bytes, smtputf8: bool) -> tuple[Mailbox, bytes]:
    if not argument.startswith(b"<"):
        raise _bad("a path begins with <")
    end = argument.find(b">")
    found = _SIMPLE.fullmatch(argument, 1, end) if end > 0 else None
    if found is not None:
        local_part, domain = found.groups()
        _check_sizes(local_part, domain)
        return Mailbox(local_part, domain.lower()), argument[end + 1 :]
    at = _skip_source_route(argument, 1, smtputf8)
    mailbox, after = _scan_mailbox(argument, at, smtputf8)
    if argument[after : after + 1] != b">":
        raise _bad("a path ends with >")
    return mailbox, argument[after + 1 :]


def _skip_source_route(argument: bytes, at: int, smtputf8: bool) -> int:
    """Where the mailbox begins. A source route is accepted and ignored (RFC 5321 4.1.2, appendix C)."""
    if argument[at : at + 1] != b"@":
        return at
    for _ in range(limits.SOURCE_ROUTE_HOPS_MAX):
        if argument[at : at + 1] != b"@":
            raise _bad("a hop of a source route begins with @")
        end = _end_of_domain(argument, at + 1)
        _checked_domain(argument[at + 1 : end], smtputf8)
        separator = argument[end : end + 1]
        if separator == b":":
            return end + 1
        if separator != b",":
            break
        at = end + 1
    raise _bad("bad source route")


# --- mailboxes ------------------------------------------------------------------------------------------------------


def parse_mailbox(octets: bytes, *, smtputf8: bool = False) -> Mailbox:
    """A whole `local-part@domain`, without angle brackets. Raises FormatError."""
    found = _SIMPLE.fullmatch(octets)
    if found is not None:
        local_part, domain = found.groups()
        _check_sizes(local_part, domain)
        return Mailbox(local_part, domain.lower())
    mailbox, end = _scan_mailbox(octets, 0, smtputf8)
    if end != len(octets):
        raise _bad("something follows the address")
    return mailbox


def _scan_mailbox(octets: bytes, at: int, smtputf8: bool) -> tuple[Mailbox, int]:
    if octets[at : at + 1] == b'"':
        local_part, end = _scan_quoted_string(octets, at, smtputf8)
    else:
        end = octets.find(b"@", at)
        if end < 0:
            raise _bad("an address needs @ and a domain")
        local_part = octets[at:end]
        if not (_DOT_STRING_UTF8 if smtputf8 else _DOT_STRING).fullmatch(local_part):
            raise _bad("bad local part")
    if octets[end : end + 1] != b"@":
        raise _bad("an address needs @ and a domain")
    _check_utf8(local_part)
    after = _end_of_domain(octets, end + 1)
    domain = _checked_domain(octets[end + 1 : after], smtputf8)
    _check_sizes(octets[at:end], octets[end + 1 : after])
    return Mailbox(local_part, domain), after


def _scan_quoted_string(octets: bytes, at: int, smtputf8: bool) -> tuple[bytes, int]:
    """The content of the quoted string that begins at `at`, without quotes and backslashes, and where it ends."""
    content = bytearray()
    at += 1
    while at < len(octets):
        octet = octets[at]
        if octet == 0x22:
            return bytes(content), at + 1
        if octet == 0x5C:
            # quoted-pairSMTP = %d92 %d32-126
            at += 1
            octet = octets[at] if at < len(octets) else 0
            if not 32 <= octet <= 126:
                break
        elif not (32 <= octet <= 126 or (smtputf8 and octet >= 128)):
            break
        content.append(octet)
        at += 1
    raise _bad("bad quoted string")


def _end_of_domain(octets: bytes, at: int) -> int:
    """Where the domain or address literal that begins at `at` ends: at the first octet that belongs to no domain."""
    if octets[at : at + 1] == b"[":
        end = octets.find(b"]", at)
        if end < 0:
            raise _bad("an address literal ends with ]")
        return end + 1
    while at < len(octets) and octets[at] not in b'>,:@ "<':
        at += 1
    return at


def _check_sizes(local_part: bytes, domain: bytes) -> None:
    """RFC 5321 4.5.3.1.2 and 4.5.3.1.3, over the address as it was sent. 4.5.3.1.1 has no limit here but that of the path."""
    if len(local_part) + len(domain) + len(b"<@>") > limits.PATH_OCTETS_MAX:
        raise _bad("path too long")
    if len(domain) > limits.LABEL_OCTETS_MAX and not domain.startswith(b"["):
        _check_labels(domain)


def _check_labels(domain: bytes) -> None:
    if len(domain) > limits.DOMAIN_OCTETS_MAX:
        raise _bad("domain too long", 1, 2)
    if max(map(len, domain.split(b"."))) > limits.LABEL_OCTETS_MAX:
        raise _bad("label of a domain too long", 1, 2)


def _check_utf8(octets: bytes) -> None:
    if octets.isascii():
        return
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        raise _bad("not UTF-8", 6, 7) from None
    if any("\x80" <= character <= "\x9f" for character in text):
        raise _bad("control character in an address", 6, 7)


# --- domains --------------------------------------------------------------------------------------------------------


def parse_domain(octets: bytes, *, smtputf8: bool = False) -> bytes:
    """A whole domain or address literal in canonical form. Raises FormatError."""
    domain = _checked_domain(octets, smtputf8)
    _check_labels(octets)
    return domain


def _checked_domain(octets: bytes, smtputf8: bool) -> bytes:
    if octets.startswith(b"["):
        return parse_address_literal(octets)
    if _DOMAIN.fullmatch(octets):
        _check_labels(octets)
        return octets.lower()
    if smtputf8 and not octets.isascii():
        return _checked_u_labels(octets)
    raise _bad("bad domain", 1, 2)


def _checked_u_labels(octets: bytes) -> bytes:
    """A domain with U-labels. Whether IDNA allows each character is for whoever looks it up in the DNS (RFC 6531 3.2)."""
    _check_utf8(octets)
    _check_labels(octets)
    for label in octets.split(b"."):
        if label.isascii():
            if not _LABEL_ALONE.fullmatch(label):
                raise _bad("bad domain", 1, 2)
        elif any(_unfit_in_label(character) for character in label.decode("utf-8")):
            raise _bad("bad domain", 1, 2)
    return octets.lower()


def _unfit_in_label(character: str) -> bool:
    if character < "\x80":
        return not (character.isalnum() or character == "-")
    return character.isspace() or character in _UNFIT_IN_LABEL


def parse_address_literal(octets: bytes) -> bytes:
    """`[...]` of RFC 5321 4.1.3 in canonical form: numbers without leading zeros, IPv6 compressed."""
    if not (octets.startswith(b"[") and octets.endswith(b"]")) or len(octets) > limits.DOMAIN_OCTETS_MAX:
        raise _bad("bad address literal", 1, 2)
    inner = octets[1:-1]
    if inner[:5].lower() == b"ipv6:":
        return b"[IPv6:%b]" % _canonical_ipv6(inner[5:])
    if inner[:1].isdigit() and b":" not in inner:
        return b"[%b]" % _canonical_ipv4(inner)
    tag, _, content = inner.partition(b":")
    # Standardized-tag = Ldh-str: only its last character is bound to be a letter or a digit.
    if not tag or not tag.replace(b"-", b"0").isalnum() or not tag.isascii() or tag.endswith(b"-") or not _DCONTENT.fullmatch(content):
        raise _bad("bad address literal", 1, 2)
    return b"[%b:%b]" % (tag.lower(), content)


def _canonical_ipv4(octets: bytes) -> bytes:
    """IPv4-address-literal = Snum 3("." Snum)."""
    parts = octets.split(b".")
    if len(parts) != 4 or not all(part.isdigit() and len(part) <= 3 and int(part) <= 255 for part in parts):
        raise _bad("bad IPv4 address", 1, 2)
    return b".".join(b"%d" % int(part) for part in parts)


def _canonical_ipv6(octets: bytes) -> bytes:
    """IPv6-addr. `::` stands for two groups at least, which is stricter than RFC 4291."""
    if not _IPV6_CHARACTERS.fullmatch(octets):
        raise _bad("bad IPv6 address", 1, 2)
    head, colon, tail = octets.rpartition(b":")
    groups_max = 6
    if b"." in tail:
        octets = head + colon + _canonical_ipv4(tail)
        head_groups = [group for group in head.split(b":") if group]
        groups_max, groups = 4, len(head_groups)
    else:
        groups = len([group for group in octets.split(b":") if group])
    if b"::" in octets and groups > groups_max:
        raise _bad("bad IPv6 address", 1, 2)
    try:
        return ipaddress.IPv6Address(octets.decode("ascii")).compressed.encode("ascii")
    except ValueError:
        raise _bad("bad IPv6 address", 1, 2) from None


# --- parameters -----------------------------------------------------------------------------------------------------


def parse_parameters(octets: bytes, *, smtputf8: bool = False) -> list[tuple[bytes, bytes | None]]:
    """What follows a path: (keyword in upper case, value or None) for each parameter. Raises FormatError (RFC 5321 4.1.2)."""
    if not octets:
        return []
    if not octets.startswith(b" "):
        raise _bad("a space is needed before a parameter", 5, 4)
    words = octets[1:].split(b" ")
    if len(words) > limits.PARAMETERS_MAX:
        raise _bad("too many parameters", 5, 4)
    value_grammar = _VALUE_UTF8 if smtputf8 else _VALUE
    parameters: list[tuple[bytes, bytes | None]] = []
    for word in words:
        keyword, equals, value = word.partition(b"=")
        if not _KEYWORD.fullmatch(keyword) or (equals and not value_grammar.fullmatch(value)):
            raise _bad("bad parameter", 5, 4)
        parameters.append((keyword.upper(), value if equals else None))
    return parameters


def parse_size(value: bytes | None) -> int:
    """SIZE= of RFC 1870 4: 1 to 20 digits."""
    if not value or not value.isdigit() or len(value) > limits.SIZE_DIGITS_MAX:
        raise _bad("bad SIZE", 5, 4)
    return int(value)


def parse_notify(value: bytes | None) -> Notify:
    """NOTIFY= of RFC 3461 4.1: NEVER alone, or a list of the others."""
    words = (value or b"").upper().split(b",")
    if words == [b"NEVER"]:
        return Notify.NEVER
    flags = Notify.DEFAULT
    for word in words:
        flag = _NOTIFY.get(word)
        if flag is None:
            raise _bad("bad NOTIFY", 5, 4)
        flags |= flag
    return flags


_NOTIFY: Final = {b"SUCCESS": Notify.SUCCESS, b"FAILURE": Notify.FAILURE, b"DELAY": Notify.DELAY}


def notify_value(flags: int) -> bytes:
    """The value of NOTIFY= for these flags; b"" when the parameter is not to be sent."""
    if flags & Notify.NEVER:
        return b"NEVER"
    return b",".join(word for word, flag in _NOTIFY.items() if flags & flag)


def parse_envid(value: bytes | None) -> bytes:
    """ENVID= of RFC 3461 4.4, checked and returned as it is: xtext of printable characters."""
    if not value or len(value) > limits.ENVID_OCTETS_MAX or not all(32 <= octet <= 126 for octet in xtext_decode(value)):
        raise _bad("bad ENVID", 5, 4)
    return value


def parse_orcpt(value: bytes | None) -> bytes:
    """ORCPT= of RFC 3461 4.2 (RFC 6533 3 for UTF-8), checked and returned as it is: `addr-type;xtext`."""
    kind, separator, address = (value or b"").partition(b";")
    if not value or len(value) > limits.ORCPT_OCTETS_MAX or not separator or not _ATOM.fullmatch(kind) or not address:
        raise _bad("bad ORCPT", 5, 4)
    if kind.lower() == b"utf-8":
        _check_utf8(address)  # utf-8-addr-xtext or utf-8-addr-unitext: `\x{...}` forms or UTF-8
    elif not all(32 <= octet <= 126 for octet in xtext_decode(address)):
        raise _bad("bad ORCPT", 5, 4)
    return value


def xtext_decode(octets: bytes) -> bytes:
    """RFC 3461 4: `+3D` is `=`. Raises FormatError."""
    if not _XTEXT.fullmatch(octets):
        raise _bad("bad xtext", 5, 4)
    if b"+" not in octets:
        return octets
    return _HEX_PAIR.sub(lambda found: bytes((int(found[1], 16),)), octets)


def xtext_encode(octets: bytes) -> bytes:
    """The inverse of xtext_decode."""
    return b"".join(bytes((octet,)) if 33 <= octet <= 126 and octet not in b"+=" else b"+%02X" % octet for octet in octets)


def orcpt_in_ascii(orcpt: bytes) -> bytes:
    """An ORCPT value of type utf-8 in its ASCII form, `\\x{B5}` for each character beyond ASCII (RFC 6533 3: utf-8-addr-xtext)."""
    if orcpt.isascii():
        return orcpt
    return "".join(character if character < "\x80" else f"\\x{{{ord(character):X}}}" for character in orcpt.decode("utf-8", "replace")).encode("ascii")
