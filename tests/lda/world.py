"""A small world around the LDA: one client or more, and Maildirs in memory whose commits end at once or when told to."""

from collections import deque
from collections.abc import Callable

from smx import effects, events
from smx.config.schema_lda import LdaSettings
from smx.effects import AnyEffect
from smx.events import AnyEvent
from smx.lda.machine import Lda
from smx.units import SECOND
from tests.worlds.clients import Clients
from tests.worlds.timers import Timers, set_timer, take_due

SETTINGS = LdaSettings(hostname="mx.example.org", maildirs="/mail/%u")
WALL = 1_800_000_000 * SECOND


class World:
    def __init__(self, settings: LdaSettings = SETTINGS, *, auto: bool = True, epoch: int = 300) -> None:
        self.lda = Lda(settings)
        self.auto = auto
        self.now = 1_000 * SECOND
        self.inbox: deque[AnyEvent] = deque()
        self.waiting: list[AnyEvent] = []
        self.log: list[AnyEffect] = []
        self.clients = Clients()
        self.closed, self.reading = self.clients.closed, self.clients.reading
        self.said, self.codes = self.clients.said, self.clients.codes
        self.timers: Timers = {}
        self.halted = ""
        self.files: dict[int, tuple[str, str, bytearray]] = {}  # being written
        self.delivered: dict[str, list[bytes]] = {}  # by directory
        self.names: list[str] = []
        self.open_max = 0
        self.fail: Callable[[str], events.DepositFailed | None] = lambda directory: None
        self.feed(events.Started(epoch, 5, WALL))
        self.feed(events.Listening("lda:0", "/run/lda.sock", 0))

    def feed(self, event: AnyEvent) -> None:
        self.inbox.append(event)
        while self.inbox and not self.halted:
            for effect in self.lda.step(self.inbox.popleft(), self.now):
                self._carry_out(effect)

    def release(self, count: int = 1_000_000) -> None:
        while self.waiting and count:
            count -= 1
            self.feed(self.waiting.pop(0))

    def connect(self, connection: int = 1) -> None:
        self.clients.connect(connection)
        self.feed(events.Accepted(connection, "lda:0", "", 0))
        self.send(b"LHLO mx.example.org\r\n", connection)

    def send(self, octets: bytes, connection: int = 1) -> None:
        self.feed(events.Received(connection, octets))

    def advance(self, elapsed_us: int) -> None:
        end = self.now + elapsed_us
        while (due := take_due(self.timers, end)) is not None:
            self.now = max(self.now, due[0])
            self.feed(events.Expired(*due[1]))
        self.now = end

    def notes(self, name: str) -> list[tuple[int | str | bytes, ...]]:
        return [effect.values for effect in self.log if isinstance(effect, effects.Note) and effect.name == name]

    def _complete(self, event: AnyEvent) -> None:
        (self.inbox if self.auto else self.waiting).append(event)

    def _carry_out(self, effect: AnyEffect) -> None:
        self.log.append(effect)
        self.clients.carry_out(effect)
        match effect:
            case effects.Arm() | effects.Disarm():
                set_timer(self.timers, effect)
            case effects.OpenDeposit(deposit, directory, name, _):
                assert deposit not in self.files
                assert name not in self.names
                self.names.append(name)
                self.files[deposit] = (directory, name, bytearray())
                self.open_max = max(self.open_max, len(self.files))
            case effects.WriteDeposit(deposit, data):
                self.files[deposit][2].extend(data)
            case effects.CommitDeposit(deposit):
                directory, _, octets = self.files.pop(deposit)
                failure = self.fail(directory)
                if failure is not None:
                    self._complete(events.DepositFailed(deposit, failure.no_space, failure.reason, failure.missing))
                else:
                    self.delivered.setdefault(directory, []).append(bytes(octets))
                    self._complete(events.Deposited(deposit))
            case effects.DropDeposit(deposit):
                del self.files[deposit]
            case effects.Halt(reason):
                self.halted = reason
            case _:
                pass
