"""Settings of a server dialogue, and what it offers by them."""

import msgspec

from smx import limits
from smx.smtp.extensions import Offers


class ServerSettings(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What one listener offers and bears. `hostname` is our name in greeting and EHLO reply, `banner` is added to the greeting."""

    hostname: bytes
    lmtp: bool = False
    starttls: bool = False  # offer it
    tls_required: bool = False  # 530 to nearly everything before TLS; never on port 25 (RFC 3207 4)
    chunking: bool = True
    smtputf8: bool = True
    dsn: bool = True
    message_octets_max: int = limits.MESSAGE_OCTETS_MAX
    recipients_max: int = limits.RECIPIENTS_MAX
    hops_max: int = limits.HOPS_MAX
    errors_max: int = limits.ERRORS_MAX
    refusals_max: int = limits.REFUSALS_MAX
    junk_commands_max: int = limits.JUNK_COMMANDS_MAX
    pipelining_strict: bool = False  # close when a command that must end a group does not (RFC 2920 3.1); else it is only noticed
    lenient: bool = False  # tolerate spaces behind FROM: and TO:, and any printable name in EHLO
    banner: bytes = b"smx"


def offered(settings: ServerSettings, *, tls: bool) -> Offers:
    """What EHLO is answered with (SX33; AUTH is not offered). RFC 3207 4.2: no STARTTLS inside TLS."""
    return Offers(
        pipelining=True,
        size=True,
        size_octets_max=settings.message_octets_max,
        eight_bit_mime=True,
        enhanced_status_codes=True,
        smtputf8=settings.smtputf8,
        chunking=settings.chunking,
        dsn=settings.dsn,
        starttls=settings.starttls and not tls,
    )
