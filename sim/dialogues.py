"""Dialogues: what a process sees and says on its connections, as facts for the checkers of the protocol (I12, I13). Costs nothing unless they listen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.facts import Hung, Spoke, TlsBegan
from smx.effects import Close, Connect, Transmit
from smx.events import Accepted, AnyEvent, ConnectFailed, PeerClosed, Received, TlsStarted

if TYPE_CHECKING:
    from sim.host import Machine
    from sim.process import Process


class Dialogues:
    """Listens to one process. Each connection gets a number that is unique in the run."""

    def __init__(self, process: Process) -> None:
        self._process = process
        machine: Machine = process.machine
        self._world = machine.world
        self._serials: dict[int, int] = {}
        self._lmtp: dict[int, bool] = {}
        process.hear = self._on_event
        process.overhear(Connect, self._on_connect)
        process.overhear(Transmit, self._on_transmit)
        process.overhear(Close, self._on_close)

    def died(self) -> None:
        """Every connection of the process is gone."""
        for number in list(self._serials):
            self._hung(number)

    def _on_event(self, event: AnyEvent) -> None:
        if type(event) is Received:
            self._say(event.connection, event.data, ours=False)
        elif type(event) is Accepted:
            self._begin(event.connection, lmtp=self._process.kind == "lda")
        elif type(event) is TlsStarted and event.connection in self._serials:
            self._world.truth.observe(TlsBegan(self._world.env.now, self._serials[event.connection], not event.error))
        elif isinstance(event, PeerClosed | ConnectFailed):
            self._hung(event.connection)

    def _on_connect(self, effect: Connect) -> None:
        self._begin(effect.connection, lmtp=effect.host.startswith("/"))

    def _on_transmit(self, effect: Transmit) -> None:
        self._say(effect.connection, effect.data, ours=True)

    def _on_close(self, effect: Close) -> None:
        self._hung(effect.connection)

    def _begin(self, number: int, *, lmtp: bool) -> None:
        self._serials[number] = self._world.next_serial()
        self._lmtp[number] = lmtp

    def _say(self, number: int, data: bytes, *, ours: bool) -> None:
        serial = self._serials.get(number)
        if serial is not None and data:
            self._world.truth.observe(Spoke(self._world.env.now, serial, self._process.name, ours, data, self._lmtp[number]))

    def _hung(self, number: int) -> None:
        serial = self._serials.pop(number, None)
        if serial is not None:
            del self._lmtp[number]
            self._world.truth.observe(Hung(self._world.env.now, serial))
