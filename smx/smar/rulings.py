"""Rulings: what SMAR says about a recipient that cannot be taken or routed, as a table with the sources of the codes.

A ruling becomes the reply at RCPT and the verdict that QMGR gets; so both say the same. The text is fit for a peer (style 14).
"""

from typing import Final, NamedTuple

from smx.messages import Outcome, Verdict


class Ruling(NamedTuple):
    """A reply without its transport: `code` as in RFC 5321 4.2, `enhanced` as in RFC 3463."""

    code: int
    enhanced: bytes
    text: bytes


# fmt: off
VALID: Final             = Ruling(250, b"2.1.5", b"Recipient ok")
UNKNOWN_USER: Final      = Ruling(550, b"5.1.1", b"No such user")                                           # RFC 3463 3.2, SX49
NO_DOMAIN: Final         = Ruling(550, b"5.1.2", b"No such domain")                                         # RFC 5321 5.1
BAD_DOMAIN: Final        = Ruling(550, b"5.1.2", b"This cannot be a domain")
BAD_ADDRESS: Final       = Ruling(553, b"5.1.3", b"A domain is needed")                                     # RFC 5321 2.3.5: only postmaster may lack it
NULL_MX: Final           = Ruling(556, b"5.1.10", b"The recipient's domain takes no mail")                  # RFC 7505 4.1, RFC 7504
RELAY_DENIED: Final      = Ruling(550, b"5.7.1", b"Relaying denied")
UNROUTABLE: Final        = Ruling(550, b"5.4.4", b"No mail host of the domain has an address")              # RFC 5321 5.1, RFC 3463 3.5
LOOP: Final              = Ruling(554, b"5.4.6", b"Mail for this domain would come back to this host")      # RFC 5321 5.1, SX46
ALIAS_LOOP: Final        = Ruling(554, b"5.4.6", b"The alias leads nowhere but to itself")
ALIAS_DEEP: Final        = Ruling(554, b"5.4.6", b"Aliases are nested too deep")
ALIAS_LARGE: Final       = Ruling(554, b"5.3.5", b"The alias has too many members")
DNS_FAILED: Final        = Ruling(451, b"4.4.3", b"The DNS does not answer for this domain, try again later")   # RFC 5321 5.1: it must wait
MAP_FAILED: Final        = Ruling(451, b"4.3.0", b"A table cannot be read, try again later")
ROUTE_BROKEN: Final      = Ruling(451, b"4.3.5", b"The route configured for this domain leads nowhere")     # our fault: wait for its repair
BUSY: Final              = Ruling(451, b"4.4.5", b"Too many questions, try again later")                    # RFC 3463 3.5: congestion
# fmt: on


def configured(code: str, text: str) -> Ruling:
    """The ruling of an `error:` row of the mailer table: `5.1.1 text` is 550, `4.2.1 text` is 450."""
    return Ruling(450 if code.startswith("4") else 550, code.encode("ascii"), text.encode("utf-8"))


def verdict(ruling: Ruling) -> Verdict:
    """The ruling as QMGR's verdict."""
    return Verdict(-1, Outcome.DEFERRED if ruling.code < 500 else Outcome.FAILED, ruling.code, ruling.enhanced, ruling.text)
