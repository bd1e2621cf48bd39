"""The real SMTPS component as an MTA in memory: the same octets as on a socket, in virtual time."""

from smx import effects
from smx.config.schema_smtps import SmtpsSettings
from smx.units import SECOND
from tests.conformance.memory import Mta
from tests.smtps.world import World

SETTINGS = SmtpsSettings(hostname="mx.local.test", relay_from=("192.0.2.0/24",))


class SmxServer(Mta):
    def __init__(self) -> None:
        self._world = World(SETTINGS)
        self._seen = 0

    def connected(self, connection: int, service: str, source: str) -> None:
        self._catch_up()
        self._world.connect(connection, source or "192.0.2.1")
        self._pass_on()

    def received(self, connection: int, octets: bytes) -> None:
        self._catch_up()
        self._world.send(octets, connection)
        self._pass_on()

    def ended(self, connection: int) -> None:
        self._catch_up()
        self._world.hang_up(connection)
        self._pass_on()

    def wake_at(self) -> float | None:
        due = min(self._world.timers.values(), default=None)
        return None if due is None else due / SECOND

    def advance(self) -> None:
        self._catch_up()
        self._pass_on()

    def _catch_up(self) -> None:
        self._world.advance(max(0, round(self.out.now * SECOND) - self._world.now))

    def _pass_on(self) -> None:
        """What it transmitted and closed since the last time."""
        for effect in self._world.log[self._seen :]:
            match effect:
                case effects.Transmit(connection, data):
                    self.out.write(connection, bytes(data))
                case effects.Close(connection, _):
                    self.out.shut(connection)
                case _:
                    pass
        self._seen = len(self._world.log)
