"""Route: the hosts of a delivery as a list of addresses to try, and the transaction as the dialogue wants it."""

from typing import Final

from msgspec import Struct

from smx.messages import Deliver, Route
from smx.smtp.plan import Recipient, Transaction

CANDIDATES_MAX: Final = 12  # addresses tried in one delivery (RFC 5321 5.1 asks for two at least)

Key = tuple[int, str, int]  # protocol, address, port: sessions with the same key serve the same deliveries


class Candidate(Struct, frozen=True, gc=False):
    """One address to try. A UNIX socket has a path for an address and port 0."""

    key: Key
    name: str

    @property
    def remote(self) -> str:
        """`name [address]`: how verdicts and notes call it. A host without a name is `[address]`, a UNIX socket its path."""
        address = self.key[1]
        if address.startswith("/"):
            return address
        return f"[{address}]" if self.name in ("", address) else f"{self.name} [{address}]"


def candidates(route: Route, *, ipv6: bool) -> list[Candidate]:
    """The addresses in the order to try; those of IPv6 only where they may be used. May be empty."""
    protocol = route.protocol
    found = [
        Candidate((protocol, address, host.port), host.name)
        for host in route.hosts
        for address in host.addresses
        if ipv6 or ":" not in address or address.startswith("/")
    ]
    return found[:CANDIDATES_MAX]


def transaction(deliver: Deliver) -> Transaction:
    """The delivery's transaction. Whether BODY and SMTPUTF8 are needed follows from the content's facts (A5)."""
    content = deliver.content
    return Transaction(
        deliver.reverse_path,
        tuple([Recipient(recipient.address, recipient.notify, recipient.orcpt) for recipient in deliver.recipients]),
        content.octets,
        content.eight_bit,
        content.utf8_headers,
        content.dot_lines > 0,
        deliver.ret,
        deliver.envid,
    )
