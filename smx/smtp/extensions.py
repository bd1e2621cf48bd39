"""Extensions: the keywords of the EHLO reply, written by the server and read by the client (RFC 5321 4.1.1.1)."""

from typing import Final

import msgspec

from smx import limits


class Offers(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a server offers in its reply to EHLO. After HELO everything is False."""

    pipelining: bool = False  # RFC 2920
    size: bool = False  # RFC 1870
    size_octets_max: int = 0  # 0: no limit was said
    eight_bit_mime: bool = False  # RFC 6152
    enhanced_status_codes: bool = False  # RFC 2034
    smtputf8: bool = False  # RFC 6531
    chunking: bool = False  # RFC 3030
    dsn: bool = False  # RFC 3461
    starttls: bool = False  # RFC 3207
    auth: tuple[bytes, ...] = ()  # RFC 4954: mechanisms in upper case


NO_OFFERS: Final = Offers()


def offers_of(lines: tuple[bytes, ...]) -> Offers:
    """Read the lines of a positive EHLO reply; the first is the greeting. Unknown keywords and bad parameters are ignored."""
    keywords: dict[bytes, bytes] = {}
    for line in lines[1:]:
        keyword, _, parameters = line.strip().partition(b" ")
        keywords.setdefault(keyword.upper(), parameters.strip())
    size = keywords.get(b"SIZE", b"")
    return Offers(
        pipelining=b"PIPELINING" in keywords,
        size=b"SIZE" in keywords,
        size_octets_max=int(size) if size.isdigit() and len(size) <= limits.SIZE_DIGITS_MAX else 0,
        eight_bit_mime=b"8BITMIME" in keywords,
        enhanced_status_codes=b"ENHANCEDSTATUSCODES" in keywords,
        smtputf8=b"SMTPUTF8" in keywords,
        chunking=b"CHUNKING" in keywords,
        dsn=b"DSN" in keywords,
        starttls=b"STARTTLS" in keywords,
        auth=tuple(keywords.get(b"AUTH", b"").upper().split()[:16]),
    )


def keyword_lines(offers: Offers) -> tuple[bytes, ...]:
    """The keyword lines of an EHLO reply, without the greeting line (SX33). HELP is always there (RFC 5321 4.1.1.1)."""
    lines: list[bytes] = []
    if offers.pipelining:
        lines.append(b"PIPELINING")
    if offers.size:
        lines.append(b"SIZE %d" % offers.size_octets_max)
    if offers.eight_bit_mime:
        lines.append(b"8BITMIME")
    if offers.starttls:
        lines.append(b"STARTTLS")
    if offers.auth:
        lines.append(b"AUTH " + b" ".join(offers.auth))
    if offers.enhanced_status_codes:
        lines.append(b"ENHANCEDSTATUSCODES")
    if offers.dsn:
        lines.append(b"DSN")
    if offers.smtputf8:
        lines.append(b"SMTPUTF8")
    if offers.chunking:
        lines.append(b"CHUNKING")
    lines.append(b"HELP")
    return tuple(lines)
