"""The right-hand side of the mailer table (SX52): taken apart here, for the checker and for tables that come from a map.

[host]:port          this host, no MX look-up; an IP address is fine
host:port            the MX of this host
lmtp:unix:/path      LMTP over a UNIX socket
lmtp:[host]:port     LMTP over TCP
local                the local delivery agent
error:5.1.1 text     refused with this enhanced code (4.x.x for a temporary refusal) and text

${domain} may stand in a host, ${domain} and ${user} in a path, all macros in a text (mailer_macros, SX51).
"""

import ipaddress
import re
from typing import Final

from smx.config.mailer_macros import DOMAIN, USER, macros_in, with_values
from smx.config.schema_smar import MailerEntry

LABELS: Final = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_ERROR: Final = re.compile(r"([45]\.[0-9]{1,3}\.[0-9]{1,3}) +([ -~]{1,200})", re.ASCII)
FORMS: Final = 'expected "[host]:port", "host:port", "lmtp:unix:/path", "lmtp:[host]:port", "local" or "error:5.1.1 text"'


def parse_domain(text: str) -> str:
    """The domain in lower case; ValueError when it is none (RFC 5321 4.1.2; letters, digits, hyphens, and `_`, which exists)."""
    folded = text.lower()
    if len(folded) > 255 or not LABELS.fullmatch(folded):
        raise ValueError("expected a domain like mx.example.org (not ASCII: write its xn-- form)")
    return folded


def parse_local_domain(text: str) -> str:
    """A domain, or an address literal like [192.0.2.1] or [IPv6:2001:db8::1] in its shortest form (RFC 5321 4.1.3); ValueError when it is neither."""
    if not text.startswith("["):
        return parse_domain(text)
    inner = text[1:].removesuffix("]")
    try:
        if inner[:5].lower() == "ipv6:":
            return f"[ipv6:{ipaddress.IPv6Address(inner[5:])}]"
        return f"[{ipaddress.IPv4Address(inner)}]"
    except ValueError:
        raise ValueError("expected an address literal like [192.0.2.1] or [IPv6:2001:db8::1]") from None


def parse_relay_domain(text: str) -> str:
    """A domain, or `.example.org` for everything below it; ValueError when it is neither."""
    return "." + parse_domain(text[1:]) if text.startswith(".") else parse_domain(text)


def parse_entry(pattern: str, text: str, *, default_port: int = 25) -> MailerEntry:
    """One row of the mailer table; ValueError says what is wrong with it."""
    key = pattern.lower()
    if key != "*":
        parse_domain(key.removeprefix("."))
    kind, _, rest = text.partition(":")
    match kind.lower():
        case "local":
            if rest or ":" in text:
                raise ValueError(f'"local" takes nothing behind it; {FORMS}')
            return MailerEntry(key, "local")
        case "error":
            return _parse_error(key, rest)
        case "lmtp":
            return _parse_lmtp(key, rest)
    host, port, literal = _parse_host(text, default_port)
    return MailerEntry(key, "host" if literal else "mx", host, port)


def _parse_error(key: str, rest: str) -> MailerEntry:
    found = _ERROR.fullmatch(rest.strip())
    if not found:
        raise ValueError('expected an enhanced code and a text: "error:5.1.1 no such user"')
    macros_in(found[2])
    return MailerEntry(key, "error", code=found[1], text=found[2])


def _parse_lmtp(key: str, rest: str) -> MailerEntry:
    if rest.lower().startswith("unix:"):
        path = rest[5:]
        if not path.startswith("/") or not path.isprintable():
            raise ValueError('expected an absolute path: "lmtp:unix:/run/lmtp"')
        macros_in(path, (USER, DOMAIN))
        return MailerEntry(key, "lmtp", path=path)
    host, port, _ = _parse_host(rest, 0)
    if not port:
        raise ValueError('LMTP over TCP needs a port: "lmtp:[127.0.0.1]:24"')
    return MailerEntry(key, "lmtp", host, port)


def _parse_host(text: str, default_port: int) -> tuple[str, int, bool]:
    """(host, port, in brackets)."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(FORMS)
        return _host_or_address(host), _parse_port(rest[1:]) if rest else default_port, True
    host, colon, port = text.partition(":")
    try:
        domain = _parse_macro_domain(host)
    except ValueError:
        raise ValueError(FORMS) from None
    if domain.replace(".", "").isdigit():
        raise ValueError(f"an address stands in brackets: [{host}]")
    return domain, _parse_port(port) if colon else default_port, False


def _host_or_address(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return _parse_macro_domain(host)


def _parse_macro_domain(text: str) -> str:
    """A domain in which ${domain} may stand for labels of it."""
    macros_in(text, (DOMAIN,))
    parse_domain(with_values(text, {DOMAIN: "x"}))
    return text.lower()


def _parse_port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise ValueError("expected a port between 1 and 65535")
    return int(text)


def format_entry(entry: MailerEntry) -> str:
    """The text that parse_entry reads back to the same entry."""
    host = f"[{entry.host}]" if entry.kind == "host" or ":" in entry.host or entry.kind == "lmtp" else entry.host
    match entry.kind:
        case "local":
            return "local"
        case "error":
            return f"error:{entry.code} {entry.text}"
        case "lmtp":
            return f"lmtp:unix:{entry.path}" if entry.path else f"lmtp:{host}:{entry.port}"
    return f"{host}:{entry.port}"
