"""SMTPS under any order of what clients, disk, QMGR and SMAR do: no 250 that is not durable or delivered, and nothing left at the end (I2, I10, I16)."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smx import effects, events, messages
from smx.cdb.writer import ContentWriter
from smx.effects import AnyEffect
from smx.events import AnyEvent
from smx.ids import id_number
from smx.units import KIB, MIB, SECOND
from tests.smtps.world import QUEUE_EPOCH, SETTINGS, World

CLIENTS = 4
SMALL = msgspec.structs.replace(SETTINGS, content_memory_max_octets=4 * KIB, content_memory_budget_octets=64 * KIB, cdb_segment_octets=64 * KIB)
LINES = (b"x" * 78 + b"\r\n") * 20
PIECES = [
    b"EHLO client.example\r\n",
    b"MAIL FROM:<a@example.net>\r\n",
    b"RCPT TO:<b@example.org>\r\n",
    b"RCPT TO:<c@example.org> NOTIFY=SUCCESS\r\n",
    b"DATA\r\n",
    b"\r\nhi\r\n",
    LINES,
    LINES,
    b"\r\n.\r\n",
    b"\r\n.\r\n",
    b"RSET\r\n",
    b"QUIT\r\n",
]
SESSION = b"EHLO client.example\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n\r\nhi\r\n.\r\n"


class Explored(World):
    """A world whose QMGR keeps its side of the contract, in whatever order it likes, and whose disk knows what is durable."""

    def __init__(self) -> None:
        self.durable: dict[int, bytes] = {}
        self.images: list[dict[int, bytes]] = []  # of the syncs that are under way
        self.submissions: dict[int, tuple[messages.Envelope, str]] = {}  # transaction -> (envelope, offered | wanted | secured | taken | delivered)
        self.full = False
        super().__init__(SMALL, auto="", start=False)
        self.auto = {"disk"}
        self.start()
        self.no_space = lambda effect: self.full and effect.offset > 0
        self.tell(messages.Admission(messages.AdmissionState.OPEN, cut_through_recipients_max=1))

    def _carry_out(self, effect: AnyEffect) -> None:
        super()._carry_out(effect)
        match effect:
            case effects.Sync(_, segments, _):
                self.images.append({segment: bytes(self.files[segment]) for segment in segments})
            case effects.Transmit(_, data) if b" queued\r\n" in data or b" delivered\r\n" in data:
                self._check_acknowledgement(data)

    def _check_acknowledgement(self, data: bytes) -> None:
        """I2, at the instant of the 250."""
        for line in data.splitlines():
            if line.endswith((b" queued", b" delivered")):
                envelope, state = self.submissions[id_number(line.split()[2].decode())]
                content = envelope.content
                written = self.content(content)
                durable = self.durable.get(content.segment, b"")[content.offset : content.offset + content.octets]
                assert state == "delivered" or durable == written, "I2: it is neither durable nor delivered"
                assert state in ("taken", "delivered")

    def _answer(self, process: str, message: messages.AnyMessage) -> None:
        match message:
            case messages.Submit(envelope, secured):
                self.submissions[envelope.transaction] = (envelope, "secured" if secured else "offered")
            case messages.Secured(transaction):
                self._set(transaction, "secured")
            case messages.Abort(transaction):
                _, state = self.submissions[transaction]
                self.waiting["qmgr"].append(events.Told("qmgr", messages.Aborted(transaction, kept=state == "taken")))
            case messages.CheckRecipient():
                super()._answer(process, message)

    def _set(self, transaction: int, state: str) -> None:
        envelope, before = self.submissions[transaction]
        if before not in ("taken", "delivered", "refused"):
            self.submissions[transaction] = (envelope, state)

    def sync(self) -> None:
        if self.waiting["sync"]:
            self.durable.update(self.images.pop(0))
            self.release("sync", 1)

    def queue_moves(self, choice: int) -> None:
        """QMGR does one thing about one submission, or says what it has decided before."""
        if self.waiting["qmgr"] and choice % 2:
            self.release("qmgr", 1)
            return
        undecided = [number for number, (_, state) in self.submissions.items() if state in ("offered", "secured")]
        if not undecided:
            return
        number = undecided[choice // 7 % len(undecided)]
        state = self.submissions[number][1]
        verdict = choice % 3
        answer: messages.AnyMessage
        if verdict == 0:
            self._set(number, "refused")
            answer = messages.Submitted(number, 550, b"5.1.1", b"no")
        elif state == "secured":
            self._set(number, "taken")
            answer = messages.Submitted(number)
        elif verdict == 1:
            self._set(number, "wanted")
            answer = messages.Secure(number)
        else:
            self._set(number, "delivered")
            answer = messages.Submitted(number, delivered=True)
        self.waiting["qmgr"].append(events.Told("qmgr", answer))

    def break_link(self) -> None:
        """What was on its way is lost with the link; what is not durable is forgotten."""
        self.feed(events.Unlinked("qmgr", QUEUE_EPOCH))
        self.waiting["qmgr"].clear()
        for number in self.submissions:
            self._set(number, "refused")
        self.blocks += 1
        self.link()
        self.tell(messages.Admission(messages.AdmissionState.OPEN, cut_through_recipients_max=1))

    def feed(self, event: AnyEvent) -> None:
        super().feed(event)
        assert self.smtps._service.intake.used <= SMALL.content_memory_budget_octets + CLIENTS * 4 * KIB

    def settle(self) -> None:
        """Everybody finishes."""
        self.full = False
        for client in range(CLIENTS):
            if client in self.sent and client not in self.closed:
                self.hang_up(client)
        for choice in range(4_000):
            self.sync()
            self.release("smar")
            self.queue_moves(choice)
        self.advance(200 * SECOND)
        self.release("qmgr")


OPERATIONS = st.one_of(
    st.tuples(st.just("send"), st.integers(0, CLIENTS - 1), st.integers(0, len(PIECES) - 1)),
    st.tuples(st.just("session"), st.integers(0, CLIENTS - 1), st.just(0)),
    st.tuples(st.just("session"), st.integers(0, CLIENTS - 1), st.just(0)),
    st.tuples(st.just("hang up"), st.integers(0, CLIENTS - 1), st.just(0)),
    st.tuples(st.just("sync"), st.just(0), st.just(0)),
    st.tuples(st.just("smar"), st.integers(1, 3), st.just(0)),
    st.tuples(st.just("queue"), st.integers(0, 100), st.just(0)),
    st.tuples(st.just("queue"), st.integers(0, 100), st.just(0)),
    st.tuples(st.just("advance"), st.integers(1, 100), st.just(0)),
    st.tuples(st.just("link"), st.just(0), st.just(0)),
    st.tuples(st.just("full"), st.booleans(), st.just(0)),
)


def perform(world: Explored, operation: str, first: int, second: int) -> None:
    if operation in ("send", "session"):
        if first not in world.sent or first in world.closed:
            world.closed.discard(first)
            world.connect(first)
        if first not in world.closed:
            world.send(PIECES[second] if operation == "send" else SESSION, first)
    elif operation == "hang up":
        if first in world.sent and first not in world.closed:
            world.hang_up(first)
            world.closed.add(first)
    elif operation == "sync":
        world.sync()
    elif operation == "smar":
        world.release("smar", first)
    elif operation == "queue":
        world.queue_moves(first)
    elif operation == "advance":
        world.advance(first * SECOND)
    elif operation == "link":
        world.break_link()
    else:
        world.full = bool(first)


@settings(max_examples=150, deadline=None)
@given(st.lists(OPERATIONS, min_size=5, max_size=60))
def test_whatever_happens_a_250_is_true_and_nothing_is_left(operations: list[tuple[str, int, int]]) -> None:
    world = Explored()
    for operation in operations:
        perform(world, *operation)
    world.settle()
    service = world.smtps._service
    assert not world.halted
    assert service.intake.used == 0
    assert len(service.submissions) == 0
    assert len(service.sessions) == 0
    assert {name for name, _ in world.timers} <= {"roll", "submit", "resolver"}
    writer = world.smtps._writer
    assert writer is not None
    assert len(writer.open_segments()) <= 2 + 1  # the current one, the spare, and one that waits for its last sync


def test_the_exploration_reaches_the_rare_states() -> None:
    """The walk of one fixed script goes through cut-through, securing, aborting and acceptance; else the exploration proves little."""
    world = Explored()
    seen = set()
    for step in range(3_000):
        operation = ("session", "smar", "queue", "queue", "sync", "advance")[step * 7 % 6]
        perform(world, operation, (step * 31) % (CLIENTS if operation == "session" else 97) or 1, 0)
        seen |= {state for _, state in world.submissions.values()}
    assert {"taken", "delivered", "refused"} <= seen
    assert world.told(messages.Secured)
    assert world.told(messages.Abort)
    assert world.notes("accepted")
    assert world.smtps._service.intake.used < MIB


def test_without_the_wait_for_the_sync_the_check_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ablation of A1: a writer that calls everything durable at once."""
    monkeypatch.setattr(ContentWriter, "want_sync", lambda self, out, transaction: True)
    world = Explored()
    perform(world, "session", 0, 0)
    world.release("smar")
    world.queue_moves(4)  # Secure
    world.release("qmgr")
    world.queue_moves(4)  # Submitted
    with pytest.raises(AssertionError, match="I2"):
        world.release("qmgr")
