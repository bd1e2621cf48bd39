"""Content facts: what is counted while content passes, so that nobody has to read it again (A5).

8BITMIME, SMTPUTF8, line length and dot-stuffing decisions of later hops need only these.
"""

import msgspec


class ContentFacts(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=1):
    """Counted over the unstuffed content, CRLF included."""

    octets: int = 0
    header_octets: int = 0  # the header section with its last CRLF, without the empty line
    lines: int = 0  # a last line without CRLF counts
    line_octets_max: int = 0  # longest line, without CRLF
    eight_bit: bool = False  # an octet above 127 anywhere
    utf8_headers: bool = False  # an octet above 127 in the header section
    dot_lines: int = 0  # lines that begin with a dot: 0 means that no stuffing is needed
    hops: int = 0  # Received fields
    delivered_to: tuple[bytes, ...] = ()  # values of Delivered-To fields, lower case, DELIVERED_TO_MAX at most
    bare: bool = False  # a CR without LF or an LF without CR (F33)
    complete_line: bool = True  # the content is empty or ends with CRLF
