"""A small world around one SMTPS: clients, a disk in memory, a QMGR and a SMAR that answer at once or when told to.

Effects are carried out in order, completions come back through one FIFO, as in the runtimes. What is switched off in `auto` waits
in `waiting` until `release` is called.
"""

from collections import deque
from collections.abc import Callable

from smx import effects, events, messages
from smx.config.schema_smtps import SmtpsSettings
from smx.effects import AnyEffect
from smx.events import AnyEvent
from smx.smtps.machine import Smtps
from smx.units import SECOND
from tests.worlds.clients import Clients
from tests.worlds.timers import Timers, set_timer, take_due

WALL = 1_800_000_000 * SECOND
QUEUE_EPOCH = 100
EPOCH = 200
SETTINGS = SmtpsSettings(hostname="mx.example.org", relay_from=("127.0.0.0/8",))


class World:
    def __init__(self, settings: SmtpsSettings = SETTINGS, *, auto: str = "disk sync qmgr smar", start: bool = True) -> None:
        self.smtps = Smtps(settings, "smtps.mx.0")
        self.auto = set(auto.split())
        self.now = 1_000 * SECOND
        self.inbox: deque[AnyEvent] = deque()
        self.waiting: dict[str, list[AnyEvent]] = {"disk": [], "sync": [], "qmgr": [], "smar": []}
        self.log: list[AnyEffect] = []
        self.clients = Clients()
        self.sent, self.closed, self.reading = self.clients.sent, self.clients.closed, self.clients.reading
        self.said, self.codes = self.clients.said, self.clients.codes
        self.files: dict[int, bytearray] = {}
        self.timers: Timers = {}
        self.halted = ""
        self.accepting: dict[str, bool] = {}
        self.refuse: dict[bytes, tuple[int, bytes, bytes]] = {}  # what SMAR says about recipients
        self.lasting: dict[bytes, int] = {}  # domains of which SMAR says that all recipients are valid for so long
        self.no_space: Callable[[effects.Append], bool] = lambda effect: False
        self.admission = messages.Admission(messages.AdmissionState.OPEN)
        self.blocks = 1
        if start:
            self.start()

    # --- driving

    def start(self) -> None:
        self.feed(events.Started(EPOCH, 7, WALL))
        self.feed(events.Listening("smtps.mx:0", "127.0.0.1", 25))
        self.link()

    def link(self, epoch: int = QUEUE_EPOCH) -> None:
        self.feed(events.Linked("smar", 90))
        self.feed(events.Linked("qmgr", epoch))
        self.tell(messages.Granted(epoch, self.blocks))
        self.tell(self.admission)

    def feed(self, event: AnyEvent) -> None:
        self.inbox.append(event)
        while self.inbox and not self.halted:
            event = self.inbox.popleft()
            for effect in self.smtps.step(event, self.now):
                self._carry_out(effect)
                if self.halted:
                    return

    def tell(self, message: messages.AnyMessage, process: str = "qmgr") -> None:
        self.feed(events.Told(process, message))

    def release(self, kind: str, count: int = 1_000_000) -> None:
        """Let what waits happen."""
        waiting = self.waiting[kind]
        while waiting and count:
            count -= 1
            self.feed(waiting.pop(0))

    def connect(self, connection: int = 1, host: str = "192.0.2.1") -> int:
        self.clients.connect(connection)
        self.feed(events.Accepted(connection, "smtps.mx:0", host, 40_000, "192.0.2.25", 25))
        return connection

    def send(self, octets: bytes, connection: int = 1) -> None:
        self.feed(events.Received(connection, octets))

    def hang_up(self, connection: int = 1) -> None:
        self.feed(events.PeerClosed(connection))

    def advance(self, elapsed_us: int) -> None:
        """Time passes; timers fire in their order."""
        end = self.now + elapsed_us
        while not self.halted and (due := take_due(self.timers, end)) is not None:
            self.now = max(self.now, due[0])
            self.feed(events.Expired(*due[1]))
        self.now = end

    # --- looking

    def told(self, kind: type, process: str = "qmgr") -> list:  # type: ignore[type-arg]
        return [effect.message for effect in self.log if isinstance(effect, effects.Tell) and effect.process == process and isinstance(effect.message, kind)]

    def notes(self, name: str) -> list[tuple[int | str | bytes, ...]]:
        return [effect.values for effect in self.log if isinstance(effect, effects.Note) and effect.name == name]

    def content(self, content: messages.Content) -> bytes:
        return bytes(self.files[content.segment][content.offset : content.offset + content.octets])

    def positions(self, wanted: Callable[[AnyEffect], bool]) -> list[int]:
        return [position for position, effect in enumerate(self.log) if wanted(effect)]

    # --- carrying out

    def _complete(self, kind: str, event: AnyEvent) -> None:
        if kind in self.auto:
            self.inbox.append(event)
        else:
            self.waiting[kind].append(event)

    def _carry_out(self, effect: AnyEffect) -> None:
        self.log.append(effect)
        self.clients.carry_out(effect)
        match effect:
            case effects.Accept(listener, on):
                self.accepting[listener] = on
            case effects.Arm() | effects.Disarm():
                set_timer(self.timers, effect)
            case effects.OpenSegment(store, segment, _):
                self.files[segment] = bytearray()
                self._complete("disk", events.SegmentOpened(store, segment))
            case effects.SyncDirectory(store, token):
                self._complete("disk", events.DirectorySynced(store, token))
            case effects.Sync(store, segments, token):
                assert all(segment in self.files for segment in segments)
                self._complete("sync", events.Synced(store, token))
            case effects.Append(store, segment, offset, data):
                if self.no_space(effect):
                    self.inbox.append(events.AppendFailed(store, segment, offset, no_space=True, reason="No space left on device"))
                    return
                file = self.files[segment]
                file.extend(bytes(max(0, offset - len(file))))
                file[offset : offset + len(data)] = data
            case effects.Remove(_, segment):
                self.files.pop(segment, None)
            case effects.Tell(process, message):
                self._answer(process, message)
            case effects.Halt(reason):
                self.halted = reason
            case _:
                pass

    def _answer(self, process: str, message: messages.AnyMessage) -> None:
        match message:
            case messages.CheckRecipient():
                code, enhanced, text = self.refuse.get(message.recipient, (250, b"2.1.5", b"ok"))
                domain = message.recipient.rpartition(b"@")[2]
                until = self.now + self.lasting[domain] if domain in self.lasting else 0
                self._complete("smar", events.Told(process, messages.RecipientChecked(message.request, code, enhanced, text, until, domain if until else b"")))
            case messages.Submit(envelope, secured):
                if secured:
                    self._complete("qmgr", events.Told(process, messages.Submitted(envelope.transaction)))
            case messages.Secured(transaction):
                self._complete("qmgr", events.Told(process, messages.Submitted(transaction)))
            case messages.WantBlock():
                self.blocks += 1
                self._complete("qmgr", events.Told(process, messages.Granted(QUEUE_EPOCH, self.blocks)))
            case _:
                pass
