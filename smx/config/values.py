"""From the text of one value to the type of its field: one small function a kind; what is wrong is a ValueError that says what was expected."""

import ipaddress
import re
from collections.abc import Callable
from typing import Any, Final

from smx.config.mailer import parse_domain, parse_local_domain, parse_relay_domain
from smx.config.option import Kind, Option
from smx.config.text import format_size, format_time, parse_number, parse_size, parse_time

TRUE: Final = frozenset({"yes", "on", "true"})
FALSE: Final = frozenset({"no", "off", "false"})
NEGATION: Final = "dont_"
TEXT_MAX: Final = 500
PATH_OCTETS_MAX: Final = 1024

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", re.ASCII)
_LOCAL_PART: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}", re.ASCII)


def convert(option: Option, text: str, directory: str) -> Any:
    """The value of one atom of the option; directory (absolute) is where relative paths begin."""
    if option.kind is Kind.PATH:
        return parse_path(text, directory)
    if option.kind in _NUMBERS:
        return _bounded(option, _NUMBERS[option.kind](text))
    if option.kind in (Kind.CHOICE, Kind.FLAGS):
        return text.lower()  # what may be chosen is checked by the caller, who makes the suggestion
    return _PARSERS[option.kind](text)


def _bounded(option: Option, number: int) -> int:
    if (number == 0 and option.zero) or option.low <= number <= option.high:
        return number
    low, high = show_number(option, option.low), show_number(option, option.high)
    nothing = f", or 0 ({option.zero})" if option.zero and option.low else ""
    raise ValueError(f"{show_number(option, number)} is out of range: expected {low} to {high}{nothing}")


def show_number(option: Option, number: int) -> str:
    """A number in the unit of the option."""
    return {Kind.TIME: format_time, Kind.SIZE: format_size}.get(option.kind, str)(number)


def parse_boolean(text: str) -> bool:
    """yes, on, true; no, off, false."""
    folded = text.lower()
    if folded not in TRUE | FALSE:
        raise ValueError("expected yes or no")
    return folded in TRUE


def parse_path(text: str, directory: str) -> str:
    """An absolute path; `-` stays what it is."""
    if not text or not text.isprintable() or len(text.encode()) > PATH_OCTETS_MAX:
        raise ValueError("expected a path")
    if text.startswith("/") or text == "-":
        return text
    return f"{directory.rstrip('/')}/{text.removeprefix('./')}"


def parse_text(text: str) -> str:
    """One printable line: it may end up in a reply."""
    if not (text.isascii() and text.isprintable()):
        raise ValueError("expected printable ASCII text")
    if len(text) > TEXT_MAX:
        raise ValueError(f"expected at most {TEXT_MAX} characters")
    return text


def parse_name(text: str) -> str:
    """An account, a map, a process."""
    if not _NAME.fullmatch(text):
        raise ValueError("expected a name of letters, digits, _ . and -")
    return text


def parse_mailbox(text: str) -> str:
    """local-part@domain; the domain in lower case. Not supported: quoted local parts, because nobody names a postmaster so."""
    local, _, domain = text.rpartition("@")
    if not _LOCAL_PART.fullmatch(local):
        raise ValueError("expected an address like postmaster@example.org")
    return f"{local}@{parse_domain(domain)}"


def parse_address(text: str) -> str:
    """An IPv4 or IPv6 address, without brackets."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("expected an IP address like 192.0.2.1 or 2001:db8::1") from None


def parse_network(text: str) -> str:
    """A network, or a single address."""
    try:
        return str(ipaddress.ip_network(text, strict=True))
    except ValueError:
        pass
    try:
        wanted = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("expected a network like 192.0.2.0/24 or 2001:db8::/32") from None
    raise ValueError(f"bits are set behind the prefix: did you mean {wanted}?")


def parse_endpoint(text: str) -> tuple[str, int]:
    """(address, port) of 127.0.0.1, 127.0.0.1:53, ::1, [::1]:53."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError("expected an address and port like [::1]:53")
        port = rest[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, ""
    number = parse_number(port) if port else 53
    if not 1 <= number <= 65535:
        raise ValueError("expected a port between 1 and 65535")
    return parse_address(host), number


def apply_flags(default: tuple[str, ...], given: list[str]) -> tuple[str, ...]:
    """Flags in alphabetical order (SX63): only negated ones are taken from the default, others begin with nothing. ValueError for a contradiction."""
    negated = {flag.removeprefix(NEGATION) for flag in given if flag.startswith(NEGATION)}
    asked = {flag for flag in given if not flag.startswith(NEGATION)}
    both = sorted(negated & asked)
    if both:
        raise ValueError(f"{both[0]} and {NEGATION}{both[0]} contradict each other")
    return tuple(sorted((asked or set(default)) - negated))


_NUMBERS: Final[dict[Kind, Callable[[str], int]]] = {Kind.TIME: parse_time, Kind.SIZE: parse_size, Kind.INTEGER: parse_number}
_PARSERS: Final[dict[Kind, Callable[[str], Any]]] = {
    Kind.BOOLEAN: parse_boolean,
    Kind.TEXT: parse_text,
    Kind.NAME: parse_name,
    Kind.DOMAIN: parse_domain,
    Kind.LOCAL_DOMAIN: parse_local_domain,
    Kind.RELAY_DOMAIN: parse_relay_domain,
    Kind.MAILBOX: parse_mailbox,
    Kind.ADDRESS: parse_address,
    Kind.ENDPOINT: parse_endpoint,
    Kind.NETWORK: parse_network,
    Kind.PROCESS: lambda text: parse_name(text).lower(),
}
