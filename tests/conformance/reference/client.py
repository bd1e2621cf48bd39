"""Client: the connections out (RFC 5321 3.8, 4.5.3.2): who is dialled, what comes back, how long it is waited for."""

from typing import Final

from tests.conformance.reference.dialogue import SECURED, Ask, Dialogue, Transfer, Verdicts
from tests.conformance.reference.heard import Heard, take_reply
from tests.conformance.reference.item import Item

LOST: Final = Heard(0, ("4.4.2 The connection was lost",))
SILENT: Final = Heard(0, ("4.4.2 No answer in time",))


class Client(Dialogue):
    """Part of the reference."""

    remembers_s = 900.0

    def __init__(self) -> None:
        super().__init__()
        self.transfers: dict[int, Transfer] = {}
        self.unreachable: dict[str, float] = {}  # address -> until when it is not dialled again (RFC 5321 4.5.4.1)

    def send_to(self, item: Item, addresses: list[str]) -> None:
        """Try the next address that takes connections."""
        while addresses:
            connection = 0 if self.unreachable.get(addresses[0], 0.0) > self.out.now else self.out.dial(addresses[0])
            if connection:
                item.remote = self.names.get(addresses[0], "")
                transfer = Transfer(connection, item, addresses[1:])
                self.transfers[connection] = transfer
                transfer.talk = self.talk(transfer)
                self.ask(transfer, next(transfer.talk))
                return
            if self.unreachable.get(addresses[0], 0.0) <= self.out.now:
                self.unreachable[addresses[0]] = self.out.now + self.remembers_s
            addresses = self.after_refusal(addresses)
        self.settle(item, dict.fromkeys(item.waiting, Heard(0, ("4.4.1 No host takes connections",))))

    def after_refusal(self, addresses: list[str]) -> list[str]:
        return addresses[1:]

    def ask(self, transfer: Transfer, ask: Ask) -> None:
        transfer.deadline = self.out.now + ask.timeout_s
        if ask.octets:
            self.out.write(transfer.connection, ask.octets)

    def received(self, connection: int, octets: bytes) -> None:
        transfer = self.transfers.get(connection)
        if transfer is None:
            super().received(connection, octets)
            return
        if transfer.awaits_tls:
            self.hear(transfer, Heard(0, ("4.7.0 No handshake",)))
            return
        transfer.inbox += octets
        while connection in self.transfers and (found := self.take_reply(transfer.inbox)) is not None:
            heard, transfer.inbox = found
            self.hear(transfer, heard)

    def take_reply(self, octets: bytes) -> tuple[Heard, bytes] | None:
        return take_reply(octets)

    def secured(self, connection: int) -> None:
        transfer = self.transfers.get(connection)
        if transfer is None:
            super().secured(connection)
        elif transfer.awaits_tls:
            self.hear(transfer, SECURED)

    def hear(self, transfer: Transfer, heard: Heard) -> None:
        assert transfer.talk is not None
        try:
            self.ask(transfer, transfer.talk.send(heard))
        except StopIteration:
            self.drop(transfer)

    def drop(self, transfer: Transfer) -> None:
        if self.transfers.pop(transfer.connection, None):
            self.out.shut(transfer.connection)

    def ended(self, connection: int) -> None:
        transfer = self.transfers.pop(connection, None)
        if transfer is None:
            super().ended(connection)
        else:
            self.lost(transfer, LOST)

    def lost(self, transfer: Transfer, heard: Heard) -> None:
        """RFC 5321 3.8: as if it were a 451."""
        if transfer.is_settled:
            return
        if transfer.rest and not transfer.has_sent and self.tries_next(heard):
            transfer.is_settled = True
            self.send_to(transfer.item, transfer.rest)
        else:
            self.finish(transfer, dict.fromkeys(transfer.item.waiting, heard))

    def wake_at(self) -> float | None:
        other = super().wake_at()
        return min([transfer.deadline for transfer in self.transfers.values()] + ([] if other is None else [other]), default=None)

    def advance(self) -> None:
        super().advance()
        for transfer in [transfer for transfer in self.transfers.values() if transfer.deadline <= self.out.now]:
            self.drop(transfer)
            self.lost(transfer, SILENT)

    def finish(self, transfer: Transfer, verdicts: Verdicts) -> None:
        transfer.is_settled = True
        self.settle(transfer.item, verdicts)

    def settle(self, item: Item, verdicts: Verdicts) -> None:
        raise AssertionError("the queue does this")
