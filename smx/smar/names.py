"""Names: addresses taken apart, and domains in the form in which the tables and the DNS know them.

Addresses come as octets (`local@domain`, UTF-8 where SMTPUTF8 was used). The tables hold text: domains in lower case and in
ASCII, local parts without quotes.
"""

import ipaddress
from typing import Final, NamedTuple

from smx.config.mailer_macros import ADDRESS, DETAIL, DOMAIN, USER
from smx.smtp.address import quoted

POSTMASTER: Final = "postmaster"


class Name(NamedTuple):
    """An address taken apart. `domain` is "" for `<Postmaster>`, else in lower case and ASCII, or a literal with its brackets."""

    local: str  # without quotes and backslashes, case kept
    domain: str


def split(address: bytes) -> Name:
    """The parts of an address. Raises ValueError when the domain cannot be one."""
    text = address.decode("utf-8", "backslashreplace")
    local, at, domain = text.rpartition("@")
    if not at:
        return Name(text, "")
    if local.startswith('"'):
        local = unquoted(local)
    return Name(local, ascii_domain(domain))


def unquoted(local: str) -> str:
    """The local part that a quoted string means: `"john doe"` is john doe, `"a\\"b"` is a"b (RFC 5321 4.1.2)."""
    inner = local[1:-1] if len(local) > 1 and local.endswith('"') else local[1:]
    if "\\" not in inner:
        return inner
    out, escaped = [], False
    for letter in inner:
        escaped = letter == "\\" and not escaped
        if not escaped:
            out.append(letter)
    return "".join(out)


def ascii_domain(domain: str) -> str:
    """The domain in lower case, U-labels as A-labels (RFC 5890). Raises ValueError (UnicodeError) when that is impossible.

    Python's own IDNA codec knows the mappings of IDNA 2003 only. Not supported: the four letters that IDNA 2008 treats otherwise
    (sharp s, final sigma, joiners), because that needs a library with its tables; domains that contain them must be given as A-labels.
    """
    if domain.isascii():
        return domain.lower()
    return domain.encode("idna").decode("ascii").lower()


def literal_address(domain: str) -> str:
    """The IP address of an address literal `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 4.1.3), "" for a malformed or unknown literal."""
    inner = domain[1:-1] if domain.endswith("]") else ""
    try:
        if inner[:5].lower() == "ipv6:":
            return str(ipaddress.IPv6Address(inner[5:]))
        return str(ipaddress.IPv4Address(inner))
    except ValueError:
        return ""


def same_address(address: str) -> str:
    """An IP address in its canonical text; other text as it is."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address


def macro_values(name: Name, delimiter: str) -> dict[str, str]:
    """What the macros of a right-hand side stand for (SX51)."""
    user = without_detail(name.local, delimiter) or name.local
    detail = name.local[len(user) + len(delimiter) :] if user != name.local else ""
    address = f"{quoted(name.local.encode()).decode()}@{name.domain}"
    return {USER: user, DETAIL: detail, DOMAIN: name.domain, ADDRESS: address}


def without_detail(local: str, delimiter: str) -> str:
    """`user` of `user+detail`; "" when there is no detail. A delimiter in front is part of the name."""
    if not delimiter:
        return ""
    at = local.find(delimiter, 1)
    return local[:at] if at > 0 else ""
