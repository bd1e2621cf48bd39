"""Times and sizes as people write them, in both directions (SX63): `5m3s` is 303,000,000 microseconds, `10MiB` 10,485,760 octets."""

import re
from typing import Final

from smx.units import DAY, GIB, HOUR, KIB, MIB, MICROSECOND, MILLISECOND, MINUTE, SECOND

TIME_UNITS: Final = (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", MILLISECOND), ("us", MICROSECOND))
SIZE_UNITS: Final = (("GiB", GIB), ("MiB", MIB), ("KiB", KIB))
DIGITS_MAX: Final = 15  # keeps every product below 2**63

_TIME_PART: Final = re.compile(r"([0-9]{1,15})(ms|us|[dhms])", re.ASCII)
_TIME: Final = re.compile(r"(?:[0-9]{1,15}(?:ms|us|[dhms]))+", re.ASCII)
_SIZE: Final = re.compile(r"([0-9]{1,15})([kmg]?)(i?b)?", re.ASCII)
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}", re.ASCII)


def parse_time(text: str) -> int:
    """Microseconds of `1d2h`, `5m3s`, `250ms` or `0`; ValueError says what is wrong."""
    folded = text.lower()
    if folded == "0":
        return 0
    if _NUMBER.fullmatch(folded):
        raise ValueError(f"a time needs a unit: {text}s, {text}m or {text}h?")
    if not _TIME.fullmatch(folded):
        raise ValueError("expected a time like 5m3s (units d, h, m, s, ms, us)")
    parts = _TIME_PART.findall(folded)
    units = [unit for _, unit in parts]
    if len(set(units)) < len(units):
        raise ValueError("a unit stands twice in this time")
    factors = dict(TIME_UNITS)
    total = sum(int(count) * factors[unit] for count, unit in parts)
    if total >= 1 << 62:
        raise ValueError("this time is too long")
    return total


def format_time(microseconds: int) -> str:
    """The shortest text that parse_time reads back to the same number."""
    parts = []
    for unit, factor in TIME_UNITS:
        count, microseconds = divmod(microseconds, factor)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0"


def parse_size(text: str) -> int:
    """Octets of `10MiB`, `64KiB`, `64K` or `65536`; ValueError says what is wrong. MB is refused: it might mean either."""
    found = _SIZE.fullmatch(text.lower())
    if not found:
        raise ValueError("expected a size like 10MiB (units KiB, MiB, GiB; no unit: octets)")
    count, prefix, suffix = found.groups()
    if suffix and not prefix:
        raise ValueError(f"expected a size like 10MiB; octets have no unit: {count}")
    if suffix == "b":
        raise ValueError(f"did you mean {count}{prefix.upper()}iB?")
    size = int(count) * {"": 1, "k": KIB, "m": MIB, "g": GIB}[prefix]
    if size >= 1 << 62:
        raise ValueError("this size is too large")
    return size


def format_size(octets: int) -> str:
    """The shortest exact text: 16MiB, else octets."""
    for unit, factor in SIZE_UNITS:
        if octets and octets % factor == 0:
            return f"{octets // factor}{unit}"
    return str(octets)


def parse_number(text: str) -> int:
    """A whole number; ValueError says what is wrong."""
    if not _NUMBER.fullmatch(text):
        raise ValueError("expected a whole number")
    return int(text)


def quote(text: str) -> str:
    """A string as the language writes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t") + '"'
