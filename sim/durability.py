"""Durability: is a message durable at the instant of its 250, or delivered (I2)? Looked up on the disk as the worst power loss would leave it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.facts import Sent250
from smx.effects import Note

if TYPE_CHECKING:
    from sim.process import Process
    from sim.world import World

GOOD: Final = ("delivered", "relayed")


class Durability:
    """Listens to the notes of QMGR and SMTPS, and says Sent250. Remembers a transaction until it is closed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._content: dict[int, tuple[int, int, int]] = {}  # transaction -> segment, offset, octets
        self._undelivered: dict[int, set[int]] = {}
        world.on_note("submitted", self._on_submitted)
        world.on_note("verdict", self._on_verdict)
        world.on_note("accepted", self._on_accepted)
        world.on_note("closed", self._on_closed)

    def _on_submitted(self, process: Process, note: Note) -> None:
        transaction, _, _, recipients, octets, segment, offset, *_ = note.values
        self._content[transaction] = (segment, offset, octets)
        self._undelivered[transaction] = set(range(recipients))

    def _on_verdict(self, process: Process, note: Note) -> None:
        transaction, index, _, outcome, *_ = note.values
        if outcome in GOOD and transaction in self._undelivered:
            self._undelivered[transaction].discard(index)

    def _on_closed(self, process: Process, note: Note) -> None:
        """Its 250 may still be under way; what was asked of it is remembered in `_undelivered` alone."""
        self._content.pop(note.values[0], None)

    def _on_accepted(self, process: Process, note: Note) -> None:
        transaction = note.values[1]
        durable = not self._undelivered.pop(transaction, {0}) or self._is_durable(transaction)
        self._world.truth.observe(Sent250(self._world.env.now, process.name, transaction, durable))

    def _is_durable(self, transaction: int) -> bool:
        place = self._content.get(transaction)
        machine = self._world.machine
        disk, spool = machine.disk, machine.spool
        worst = disk.worst()
        needle = b"\xcf" + transaction.to_bytes(8, "big")  # MessagePack of an id: always 8 octets, for an epoch is above 1
        if not any(needle in worst.content(path) for path, _ in worst.walk(f"{spool}/ibdb")):
            return False
        if place is None:
            return True  # closed already: durably, or it would have to be there
        segment, offset, octets = place
        path = f"{spool}/cdb/{segment:016x}.cdb"
        return worst.exists(path) and worst.read(path, offset, octets) == disk.read(path, offset, octets)
