"""Commands: the arguments of MAIL, RCPT, BDAT and HELO made into requests, or into the reply that refuses them.

A parameter is recognized only when its extension was offered in reply to EHLO (RFC 5321 2.2.1); else 555 (4.1.1.11).
"""

from typing import Final

from smx import limits
from smx.errors import FormatError
from smx.messages import Body, Notify, Ret
from smx.smtp import replies
from smx.smtp.extensions import Offers
from smx.smtp.grammar import parse_domain, parse_envid, parse_forward_path, parse_notify, parse_orcpt, parse_parameters, parse_reverse_path, parse_size
from smx.smtp.reception import Chunk
from smx.smtp.reply import Reply
from smx.smtp.requests import Mail, Rcpt

_BODIES: Final = {b"7BIT": Body.SEVEN_BIT, b"8BITMIME": Body.EIGHT_BIT}
_RETS: Final = {b"FULL": Ret.FULL, b"HDRS": Ret.HDRS}


def mail_request(argument: bytes, offers: Offers, *, lenient: bool = False) -> Mail | Reply:
    """`FROM:<reverse-path> [parameters]`. `lenient` tolerates spaces behind the colon, which RFC 5321 3.3 does not permit."""
    if argument[:5].upper() != b"FROM:":
        return replies.SENDER_SYNTAX
    path = argument[5:].lstrip(b" ") if lenient else argument[5:]
    beyond_ascii = not argument.isascii()
    try:
        mailbox, rest = parse_reverse_path(path, smtputf8=beyond_ascii and offers.smtputf8)
    except FormatError:
        return replies.SENDER_SYNTAX
    if rest:
        return _mail_parameters(Mail(mailbox), rest, offers, beyond_ascii)
    return replies.SENDER_NON_ASCII if beyond_ascii else Mail(mailbox)


def _mail_parameters(mail: Mail, octets: bytes, offers: Offers, beyond_ascii: bool) -> Mail | Reply:
    size, body, ret, envid, smtputf8 = 0, mail.body, mail.ret, b"", False
    seen: set[bytes] = set()
    try:
        for keyword, value in parse_parameters(octets, smtputf8=beyond_ascii):
            if keyword in seen:
                return replies.PARAMETER_TWICE
            seen.add(keyword)
            if keyword == b"SIZE" and offers.size:
                size = parse_size(value)
            elif keyword == b"BODY" and offers.eight_bit_mime and value is not None:
                body = _BODIES[value.upper()]
            elif keyword == b"SMTPUTF8" and offers.smtputf8:
                if value is not None:
                    return replies.PARAMETER_SYNTAX  # RFC 6531 3.4
                smtputf8 = True
            elif keyword == b"RET" and offers.dsn and value is not None:
                ret = _RETS[value.upper()]
            elif keyword == b"ENVID" and offers.dsn:
                envid = parse_envid(value)
            else:
                return _not_recognized(keyword, value, offers)
    except (FormatError, KeyError):
        return replies.PARAMETER_SYNTAX
    if beyond_ascii and not smtputf8:
        return replies.SENDER_NON_ASCII
    return Mail(mail.reverse_path, size, body, smtputf8, ret, envid)


def _not_recognized(keyword: bytes, value: bytes | None, offers: Offers) -> Reply:
    """A keyword that needs a value and has none is a syntax error, one that was not offered is not recognized."""
    if value is None and ((keyword == b"BODY" and offers.eight_bit_mime) or (keyword == b"RET" and offers.dsn)):
        return replies.PARAMETER_SYNTAX
    return replies.PARAMETER_UNKNOWN


def rcpt_request(argument: bytes, offers: Offers, *, smtputf8: bool, lenient: bool = False) -> Rcpt | Reply:
    """`TO:<forward-path> [parameters]`. `smtputf8`: the transaction's MAIL had the parameter."""
    if argument[:3].upper() != b"TO:":
        return replies.RECIPIENT_SYNTAX
    path = argument[3:].lstrip(b" ") if lenient else argument[3:]
    beyond_ascii = not argument.isascii()
    try:
        mailbox, rest = parse_forward_path(path, smtputf8=beyond_ascii and offers.smtputf8)
    except FormatError:
        return replies.RECIPIENT_SYNTAX
    if beyond_ascii and not smtputf8:
        return replies.RECIPIENT_NON_ASCII
    return _rcpt_parameters(mailbox_request=Rcpt(mailbox), octets=rest, offers=offers, smtputf8=smtputf8) if rest else Rcpt(mailbox)


def _rcpt_parameters(mailbox_request: Rcpt, octets: bytes, offers: Offers, smtputf8: bool) -> Rcpt | Reply:
    notify, orcpt = Notify.DEFAULT, b""
    seen: set[bytes] = set()
    try:
        for keyword, value in parse_parameters(octets, smtputf8=smtputf8):
            if keyword in seen:
                return replies.PARAMETER_TWICE
            seen.add(keyword)
            if keyword == b"NOTIFY" and offers.dsn:
                notify = parse_notify(value)
            elif keyword == b"ORCPT" and offers.dsn:
                orcpt = parse_orcpt(value)
            else:
                return replies.PARAMETER_UNKNOWN
    except FormatError:
        return replies.PARAMETER_SYNTAX
    return Rcpt(mailbox_request.forward_path, notify, orcpt)


def helo_name(argument: bytes, *, lenient: bool = False) -> bytes | None:
    """The name as it was sent, None when it is neither a domain nor an address literal (RFC 5321 4.1.1.1).

    An address literal is taken from HELO too. `lenient` takes any printable word, for clients that put an underscore into their name.
    """
    try:
        parse_domain(argument)
    except FormatError:
        if not lenient or not 1 <= len(argument) <= limits.DOMAIN_OCTETS_MAX or not all(33 <= octet <= 126 for octet in argument):
            return None
    return argument


def bdat_chunk(argument: bytes) -> Chunk | None:
    """The chunk of `BDAT octets [LAST]`, None for a syntax error (RFC 3030 2)."""
    size, space, marker = argument.partition(b" ")
    if not size.isdigit() or len(size) > limits.SIZE_DIGITS_MAX or (space and marker.upper() != b"LAST"):
        return None
    return Chunk(int(size), last=bool(space))
