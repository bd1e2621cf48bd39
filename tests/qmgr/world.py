"""A tiny world around one QMGR: a dictionary disk, a clock that only moves when told, SMTPS, SMAR and SMTPC as tables.

Everything is synchronous: `run` carries effects out until nothing is left to do at this moment, `advance` moves the clock from timer to
timer. Messages to SMTPS and tools pile up in `told`; notes in `notes`.
"""

from collections import deque
from collections.abc import Callable
from typing import TypeVar

from smx import effects, events, messages
from smx.cdb.writer import ContentWriter
from smx.config.schema_qmgr import QmgrSettings
from smx.effects import AnyEffect
from smx.events import AnyEvent
from smx.ids import transaction_id
from smx.messages import Content, Envelope, Host, Outcome, Protocol, Recipient, Resolved, Route, Verdict
from smx.qmgr.machine import Qmgr
from smx.smtp.facts import ContentFacts
from smx.units import MINUTE, SECOND
from tests.crash.disk import Disk
from tests.worlds.timers import Timers, set_timer, take_due

WALL = 1_700_000_000 * SECOND  # wall clock minus now
SMTPS = "smtps.mx.0"
SMTPC = "smtpc.0"
TOOL = "admin.1"
BODY = b"Received: here\r\nSubject: test\r\n\r\nHello\r\n"
DELIVERED = (Outcome.DELIVERED, 250, b"2.0.0", b"OK")
RELAYED = (Outcome.RELAYED, 250, b"2.0.0", b"OK")
DEFERRED = (Outcome.DEFERRED, 450, b"4.2.1", b"Later")
FAILED = (Outcome.FAILED, 550, b"5.1.1", b"Unknown")
M = TypeVar("M")
Answer = tuple[Outcome, int, bytes, bytes]


def route(destination: str, protocol: int = Protocol.SMTP) -> Route:
    return Route(destination, protocol, (Host(destination, ("192.0.2.1",), 25),))


class World:
    """`replies`: what a recipient's host answers (None: SMTPC does not end the delivery by itself); `resolve`: what SMAR says."""

    def __init__(self, settings: QmgrSettings, disk: Disk | None = None, *, epoch: int = 1_000, seed: int = 7) -> None:
        self.disk = disk or Disk()
        self.qmgr = Qmgr(settings)
        self.epoch = epoch
        self.seed = seed
        self.now = 1_000 * SECOND
        self.wall = WALL
        self.inbox: deque[AnyEvent] = deque()
        self.timers: Timers = {}
        self.told: list[tuple[str, messages.AnyMessage]] = []
        self.notes: list[effects.Note] = []
        self.halted = ""
        self.steps = 0
        self.max_effects: AnyEffect | None = None
        self.replies: dict[bytes, Answer | None] = {}
        self.dead: set[str] = set()  # destinations that no connection can be made to
        self.resolve: dict[bytes, Callable[[messages.Resolve], Resolved]] = {}
        self.silent_smar = False
        self.hold_stores: set[str] = set()  # stores whose Syncs are not completed until `release`
        self.held: list[AnyEffect] = []
        self.deliveries: dict[int, tuple[str, messages.Deliver]] = {}  # under way
        self.seen: list[messages.Deliver] = []
        self.delivered: list[tuple[int, bytes]] = []  # (transaction, recipient) that a host took
        self.blocks: list[int] = []
        self.sequence = 0
        self.writer = ContentWriter(epoch + 1, 1 << 20)
        self.body = BODY  # of what is submitted
        self.request = 0

    # --- life -------------------------------------------------------------------------------------------------------

    def boot(self, *, links: bool = True) -> "World":
        self.give(events.Started(self.epoch, self.seed, self.wall))
        if links:
            self.link()
        return self

    def link(self) -> None:
        self.give(events.Linked("smar", self.epoch + 3))
        self.link_smtpc()
        self.give(events.Linked(SMTPS, self.epoch + 1))
        out: list[AnyEffect] = []
        self.writer.start(out)
        self._write(out)
        self.tell(SMTPS, messages.Writing(self.writer.open_segments()))

    def link_smtpc(self, sessions_max: int = 100) -> None:
        self.give(events.Linked(SMTPC, self.epoch + 2))
        self.tell(SMTPC, messages.Capacity(sessions_max))

    def give(self, event: AnyEvent) -> None:
        self.inbox.append(event)
        self.run()

    def tell(self, process: str, message: messages.AnyMessage) -> None:
        self.give(events.Told(process, message))

    def run(self) -> None:
        while self.inbox and not self.halted:
            event = self.inbox.popleft()
            self.steps += 1
            assert self.steps < 2_000_000
            for effect in self.qmgr.step(event, self.now):
                self.carry_out(effect)
                if self.halted:
                    return

    def advance(self, us: int) -> None:
        """Let time pass, timer by timer."""
        end = self.now + us
        while not self.halted and (due := take_due(self.timers, end)) is not None:
            self.now = max(self.now, due[0])
            self.give(events.Expired(*due[1]))
        self.now = max(self.now, end)

    def until(self, condition: Callable[[], object], *, within: int = 100 * MINUTE) -> None:
        """Let time pass until the condition holds."""
        end = self.now + within
        while not condition():
            due = min(self.timers.values(), default=end + 1)
            assert due <= end, "it did not happen"
            self.advance(max(due - self.now, 0))

    # --- effects ----------------------------------------------------------------------------------------------------

    def carry_out(self, effect: AnyEffect) -> None:
        match effect:
            case effects.Halt():
                self.halted = effect.reason
            case effects.Note():
                self.notes.append(effect)
            case effects.Arm() | effects.Disarm():
                set_timer(self.timers, effect)
            case effects.Tell():
                self._told(effect.process, effect.message)
            case effects.Sync() if effect.store in self.hold_stores:
                self.held.append(effect)
            case _:
                self.inbox.extend(self.disk.apply(effect))

    def release(self) -> None:
        """Complete the Syncs that were held."""
        held, self.held = self.held, []
        for effect in held:
            self.inbox.extend(self.disk.apply(effect))
        self.run()

    def _told(self, process: str, message: messages.AnyMessage) -> None:
        match message:
            case messages.Resolve():
                if not self.silent_smar:
                    self.inbox.append(events.Told("smar", self.answer(message)))
            case messages.Deliver():
                self.seen.append(message)
                self.deliveries[message.delivery] = (process, message)
                if all(self._reply(recipient.address) is not None for recipient in message.recipients):
                    self.inbox.append(events.Told(process, self.result(message.delivery)))
            case messages.Granted():
                self.blocks.append(message.block)
            case messages.Secure():
                self.told.append((process, message))
            case _:
                self.told.append((process, message))

    # --- SMAR and SMTPC -----------------------------------------------------------------------------------------------

    def answer(self, question: messages.Resolve) -> Resolved:
        special = self.resolve.get(question.recipient)
        if special is not None:
            return special(question)
        domain = question.recipient.rpartition(b"@")[2]
        return Resolved(question.request, route(domain.decode()), cache_until=self.now + MINUTE, domain=domain)

    def _reply(self, address: bytes) -> Answer | None:
        return self.replies.get(address, self.replies.get(b"*", DELIVERED))

    def result(self, number: int, reply: Answer | None = None) -> messages.Delivered:
        """The end of a delivery, as its hosts answer (or all of them with `reply`)."""
        _, deliver = self.deliveries.pop(number)
        if deliver.route.destination in self.dead:
            text = b"connection refused"
            verdicts = [Verdict(one.index, Outcome.DEFERRED, 0, b"4.4.1", text) for one in deliver.recipients]
            return messages.Delivered(number, tuple(verdicts), connected=False)
        verdicts = []
        for one in deliver.recipients:
            outcome, code, enhanced, text = reply or self._reply(one.address) or DELIVERED
            if outcome in (Outcome.DELIVERED, Outcome.RELAYED):
                self.delivered.append((deliver.transaction, one.address))
            verdicts.append(Verdict(one.index, outcome, code, enhanced, text, "host [192.0.2.1]"))
        return messages.Delivered(number, tuple(verdicts))

    def finish(self, number: int | None = None, reply: Answer | None = None) -> None:
        """SMTPC ends one delivery (the oldest)."""
        number = min(self.deliveries) if number is None else number
        process = self.deliveries[number][0]
        self.tell(process, self.result(number, reply))

    # --- SMTPS --------------------------------------------------------------------------------------------------------

    def content(self, transaction: int, body: bytes = b"") -> Content:
        """Content in CDB, durable."""
        out: list[AnyEffect] = []
        body = body or self.body
        header = body.index(b"\r\n\r\n") + 2
        content = self.writer.put(out, transaction, (body,), ContentFacts(len(body), header, body.count(b"\n"), 40))
        assert content is not None
        self.writer.want_sync(out, transaction)
        self._write(out)
        return content

    def _write(self, out: list[AnyEffect]) -> None:
        while out:
            answers = [answer for effect in out for answer in self.disk.apply(effect)]
            out = []
            for answer in answers:
                self.writer.on_event(out, answer)

    def envelope(self, *addresses: bytes | Recipient, sender: bytes = b"sender@client.example", **more: object) -> Envelope:
        number = transaction_id(self.epoch, self.blocks[-1], self.sequence)
        self.sequence += 1
        recipients = tuple(one if isinstance(one, Recipient) else Recipient(index, one) for index, one in enumerate(addresses))
        return Envelope(number, sender, recipients, self.content(number), self.now + self.wall, client="client [192.0.2.9]", **more)  # type: ignore[arg-type]

    def submit(self, *addresses: bytes | Recipient, secured: bool = True, **more: object) -> int:
        envelope = self.envelope(*addresses, **more)  # type: ignore[arg-type]
        self.tell(SMTPS, messages.Submit(envelope, secured))
        return envelope.transaction

    def seal(self, *answered: int) -> None:
        """SMTPS goes on in another segment; these transactions were all that is in this one."""
        out: list[AnyEffect] = []
        sealed = self.writer.roll(out)
        for transaction in answered:
            sealed += self.writer.answered(out, transaction)
        self._write(out)
        for segment in sealed:
            self.tell(SMTPS, messages.Sealed(segment))

    # --- questions ------------------------------------------------------------------------------------------------------

    def answers(self, kind: type[M]) -> list[M]:
        return [message for _, message in self.told if isinstance(message, kind)]

    def take(self, kind: type[M]) -> list[M]:
        """The same, forgotten afterwards."""
        found = self.answers(kind)
        self.told = [(process, message) for process, message in self.told if not isinstance(message, kind)]
        return found

    def noted(self, name: str) -> list[tuple[int | str | bytes, ...]]:
        return [note.values for note in self.notes if note.name == name]

    def ask(self, message: messages.AnyMessage, kind: type[M]) -> M:
        """A tool asks; its answer."""
        before = len(self.told)
        self.tell(TOOL, message)
        answers = [told for process, told in self.told[before:] if process == TOOL]
        assert len(answers) == 1, answers
        assert isinstance(answers[0], kind)
        return answers[0]

    # --- trouble ----------------------------------------------------------------------------------------------------------

    def restart(self, disk: Disk, settings: QmgrSettings | None = None) -> "World":
        """Another QMGR on what a crash left, in the same world."""
        world = World(settings or QmgrSettings(), disk, epoch=self.epoch + 100, seed=self.seed + 1)
        world.now = self.now + SECOND
        world.wall = self.wall
        world.replies, world.dead, world.resolve = self.replies, self.dead, self.resolve
        world.delivered = self.delivered
        return world
