"""Judges of a campaign: pure functions over the truth (what clients, sinks and Maildirs know) and the parsed event log.

What a copy may be. A13 says which deliveries a crash may repeat: those whose dot was sent and whose verdict was not recorded yet. `predict` works
that set out from the log alone, for each death:

    who died     copies are possible of the deliveries
    smtpc        whose dot this process wrote, and whose verdict was not recorded at its death
    lda          to the local Maildirs, dot written, verdict not recorded at its death
    qmgr         that this epoch of QMGR began, dot written (also by an SMTPC that outlived it), verdict never recorded in this epoch
    mcp          the same; its children stop in order, all at once, so QMGR may record that a delivery was interrupted: that is no verdict
    smtps, smar  none

A component's `dot` is flushed to the log before the octets of its step go to the socket (smx/live/runner.py), so a kill -9 cannot hide a copy.
Other lines of the last loop turn are lost with a killed process: where a delivery's order or recipients are, the set becomes larger, never smaller.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from smx.ids import SEGMENT_BITS
from smx.limits import CRASHES_MAX
from tests.live.eventlog import Line
from tests.live.notifications import Bounce
from tests.live.traffic import Attempt, Copy

UNKNOWN = "*"  # a recipient of which only the transaction is known: its lines were lost with the process that had them in memory
SPARES = 2  # segments that a living writer keeps open: the current one, and one ahead

Place = tuple[str, str]  # transaction, recipient
Pair = tuple[str, str]  # token, recipient


class Death(Struct, frozen=True):
    """A process that was killed. `at`: wall microseconds, right before the signal."""

    process: str
    epoch: int
    at: int

    @property
    def kind(self) -> str:
        return self.process.partition(".")[0]


class Kill(Struct, frozen=True):
    """One strike of the campaign: one process, or several at once."""

    number: int
    aim: str
    deaths: tuple[Death, ...]

    @property
    def at(self) -> int:
        return self.deaths[0].at

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(death.kind for death in self.deaths)


class Prediction(Struct, frozen=True):
    """Of one kill: what may arrive twice."""

    number: int
    copies: frozenset[Place]


class Order(Struct):
    """A delivery that QMGR began, or of which only the dot is known (then `attempt` is 0)."""

    transaction: str
    qmgr: int
    destination: str | None
    attempt: int
    smtpc: tuple[str, int] | None = None  # who wrote its dot

    @property
    def dotted(self) -> bool:
        return self.smtpc is not None


class Forecast:
    """The sweep behind `predict`. `goes_to(destination, address)` says whether a recipient belongs to a destination."""

    def __init__(self, goes_to: Callable[[str, str], bool], local: Callable[[str], bool]) -> None:
        self._goes_to = goes_to
        self._local = local
        self._recipients: dict[str, dict[int, str]] = defaultdict(dict)
        self._recorded: dict[tuple[str, int, int], int] = {}  # (transaction, index, QMGR's epoch) -> latest attempt that was recorded
        self._interrupted: set[tuple[str, int, int]] = set()  # the same key: the latest verdict is no reply of the peer
        self.orphaned: set[int] = set()  # epochs of QMGR whose MCP was killed
        self._orders: dict[str, dict[int, Order]] = defaultdict(dict)  # transaction -> delivery (its number is never used again)
        self.qmgr = 0  # the epoch of the latest QMGR

    def on_line(self, line: Line) -> None:
        handler = _HANDLERS.get(line.note)
        if handler is not None:
            handler(self, line)

    def _on_started(self, line: Line) -> None:
        if line.process == "qmgr":
            self.qmgr = line.epoch

    def _on_recipient(self, line: Line) -> None:
        self._recipients[line.text("transaction")][line.number("index")] = line.text("address")

    def _on_begun(self, line: Line) -> None:
        order = Order(line.text("transaction"), line.epoch, line.text("destination"), line.number("attempt"))
        self._orders[order.transaction][line.number("delivery")] = order

    def _on_dot(self, line: Line) -> None:
        transaction, delivery = line.text("transaction"), line.number("delivery")
        order = self._orders[transaction].get(delivery)
        if order is None:
            order = self._orders[transaction][delivery] = Order(transaction, self.qmgr, None, 0)
        order.smtpc = (line.process, line.epoch)

    def _on_verdict(self, line: Line) -> None:
        key = (line.text("transaction"), line.number("index"), line.epoch)
        if line.text("outcome") == "deferred" and line.number("code") == 0:
            self._interrupted.add(key)
        else:
            self._interrupted.discard(key)

    def _on_recorded(self, line: Line) -> None:
        key = (line.text("transaction"), line.number("index"), line.epoch)
        if line.epoch in self.orphaned and key in self._interrupted:
            return
        self._recorded[key] = line.number("attempt")
        self._drop_settled(key[0], line.epoch)

    def _on_closed(self, line: Line) -> None:
        """Everything of it that this QMGR began is settled."""
        self._drop(line.text("transaction"), lambda order: order.qmgr == line.epoch)

    def _drop_settled(self, transaction: str, epoch: int) -> None:
        self._drop(transaction, lambda order: order.qmgr == epoch and not self._open(order))

    def _drop(self, transaction: str, over: Callable[[Order], bool]) -> None:
        orders = self._orders.get(transaction, {})
        left = {delivery: order for delivery, order in orders.items() if not over(order)}
        if left:
            self._orders[transaction] = left
        else:
            self._orders.pop(transaction, None)

    def _open(self, order: Order) -> set[Place]:
        """The recipients of this delivery that have no recorded verdict."""
        recipients = self._recipients.get(order.transaction)
        if not recipients:
            return {(order.transaction, UNKNOWN)}
        places = set()
        for index, address in recipients.items():
            mine = order.destination is None or self._goes_to(order.destination, address)
            if mine and (self._recorded.get((order.transaction, index, order.qmgr), 0) < order.attempt or not order.attempt):
                places.add((order.transaction, address))
        return places

    # --- questions

    def possible(self, wanted: Callable[[Order], bool]) -> set[Place]:
        places: set[Place] = set()
        for orders in self._orders.values():
            for order in orders.values():
                if wanted(order):
                    places |= self._open(order)
        return places

    def at_death(self, death: Death) -> set[Place]:
        """What can be said at once. Deliveries of an earlier QMGR were counted at its death."""
        if death.kind == "smtpc":
            return self.possible(lambda order: order.qmgr == self.qmgr and order.smtpc == (death.process, death.epoch))
        if death.kind == "lda":
            return self.possible(lambda order: order.qmgr == self.qmgr and order.dotted and (order.destination is None or self._local(order.destination)))
        return set()

    def of_epoch(self, epoch: int) -> set[Place]:
        """Dots of deliveries of this epoch of QMGR that were never recorded in it: asked at the end of the log."""
        return self.possible(lambda order: order.dotted and order.qmgr == epoch)


_HANDLERS = {
    "started": Forecast._on_started,
    "recipient": Forecast._on_recipient,
    "begun": Forecast._on_begun,
    "dot": Forecast._on_dot,
    "verdict": Forecast._on_verdict,
    "recorded": Forecast._on_recorded,
    "closed": Forecast._on_closed,
}


def predict(
    lines: Iterable[Line], kills: Iterable[Kill], goes_to: Callable[[str, str], bool], local: Callable[[str], bool] = lambda destination: False
) -> list[Prediction]:
    """One prediction a kill, in their order. `lines` in order of time; `local`: whether a destination is the LDA."""
    forecast = Forecast(goes_to, local)
    kills = list(kills)
    waiting = deque(sorted(((death, kill.number) for kill in kills for death in kill.deaths), key=lambda each: each[0].at))
    copies: dict[int, set[Place]] = {kill.number: set() for kill in kills}
    epochs: dict[int, set[int]] = {kill.number: set() for kill in kills}  # of QMGR: what these may repeat is known at the end of the log

    def die(death: Death, number: int) -> None:
        copies[number] |= forecast.at_death(death)
        if death.kind == "qmgr":
            epochs[number].add(death.epoch)
        elif death.kind == "mcp":
            epochs[number].add(forecast.qmgr)
            forecast.orphaned.add(forecast.qmgr)

    for line in lines:
        while waiting and waiting[0][0].at < line.at:
            die(*waiting.popleft())
        forecast.on_line(line)
    for death, number in waiting:
        die(death, number)
    return [Prediction(kill.number, frozenset(copies[kill.number].union(*map(forecast.of_epoch, epochs[kill.number])))) for kill in kills]


# --- safety -------------------------------------------------------------------------------------------------------------


def lost(attempts: Iterable[Attempt], copies: Iterable[Copy], bounces: Iterable[Bounce]) -> list[Pair]:
    """I1: acknowledged, and neither arrived nor reported as failed."""
    arrived = {(copy.token, copy.recipient) for copy in copies}
    arrived |= {(bounce.token, reported.recipient) for bounce in bounces for reported in bounce.recipients if reported.action == "failed"}
    return [
        (attempt.token, recipient) for attempt in attempts if attempt.acked_at for recipient in attempt.recipients if (attempt.token, recipient) not in arrived
    ]


def duplicates(copies: Iterable[Copy]) -> dict[Pair, list[Copy]]:
    """What arrived more than once."""
    arrived: dict[Pair, list[Copy]] = defaultdict(list)
    for copy in copies:
        arrived[copy.token, copy.recipient].append(copy)
    return {pair: found for pair, found in arrived.items() if len(found) > 1}


def unexplained(doubled: Mapping[Pair, list[Copy]], predictions: Iterable[Prediction]) -> list[Pair]:
    """I6: the duplicates outside of the predicted set."""
    possible = {place for prediction in predictions for place in prediction.copies}
    return [
        (token, recipient)
        for (token, recipient), found in doubled.items()
        if not any((copy.transaction, name) in possible for copy in found for name in (recipient, UNKNOWN))
    ]


def repeated_notifications(bounces: Iterable[Bounce], lines: Iterable[Line], predictions: Iterable[Prediction]) -> list[str]:
    """I6 for notifications: the Message-ID of each that arrived more than once although no death foretold it.

    A Message-ID begins with the transaction that the notification is about; `bounced` says which transactions the notifications themselves are.
    """
    own: dict[str, set[str]] = defaultdict(set)
    for line in lines:
        if line.note == "bounced":
            own[line.text("transaction")].add(line.text("notification"))
    possible = {transaction for prediction in predictions for transaction, _ in prediction.copies}
    arrived = Counter(bounce.message_id for bounce in bounces)
    twice = [message_id for message_id, times in arrived.items() if times > 1]
    about = {message_id: message_id.lstrip("<").partition(".")[0] for message_id in twice}
    return [message_id for message_id in twice if own[about[message_id]] and not own[about[message_id]] & possible]


def returned(bounces: Iterable[Bounce], rightly: Callable[[str], bool]) -> list[Pair]:
    """Failures that were reported although nobody refused the recipient."""
    return [(bounce.token, one.recipient) for bounce in bounces for one in bounce.recipients if one.action == "failed" and not rightly(one.recipient)]


def phantoms(attempts: Iterable[Attempt], copies: Iterable[Copy]) -> list[Copy]:
    """I3, I4: a copy of a message whose dot was never sent, or for somebody whom its envelope does not name."""
    sent = {attempt.token: attempt.recipients for attempt in attempts if attempt.dot_at}
    return [copy for copy in copies if copy.recipient not in sent.get(copy.token, ())]


def altered(copies: Iterable[Copy]) -> list[Copy]:
    """I5: the body is not the one that was sent."""
    return [copy for copy in copies if not copy.intact]


def bounced_twice(bounces: Iterable[Bounce]) -> list[Pair]:
    """I7: more than one failure notification for a recipient. Copies of one and the same notification are duplicates, not this."""
    told: dict[Pair, set[str]] = defaultdict(set)
    for bounce in bounces:
        for reported in bounce.recipients:
            if reported.action == "failed":
                told[bounce.token, reported.recipient].add(bounce.message_id)
    return [pair for pair, ids in told.items() if len(ids) > 1]


def delivered_and_bounced(copies: Iterable[Copy], bounces: Iterable[Bounce]) -> list[Pair]:
    """I1 says exactly one: the sender was told of a failure that was none."""
    arrived = {(copy.token, copy.recipient) for copy in copies}
    failed = {(bounce.token, reported.recipient) for bounce in bounces for reported in bounce.recipients if reported.action == "failed"}
    return sorted(arrived & failed)


def orphans(files: Iterable[str], writers: Iterable[int]) -> list[str]:
    """I10: content segments of an empty queue that are not the open ones of a living writer (`writers`: their epochs)."""
    left: dict[int, list[str]] = defaultdict(list)
    foreign = []
    living = set(writers)
    for name in sorted(files):
        digits, dot, suffix = name.partition(".")
        try:
            epoch = int(digits, 16) >> SEGMENT_BITS
        except ValueError:
            epoch = -1
        if epoch not in living or (dot + suffix) != ".cdb":
            foreign.append(name)
        else:
            left[epoch].append(name)
    return foreign + [name for names in left.values() for name in names[:-SPARES]]


def rash(lines: Iterable[Line]) -> list[str]:
    """A14: transactions that were set aside as poison although fewer than CRASHES_MAX deaths of QMGR found them in hand, by the log.

    A death within recovery counts for whatever recovery had in hand.
    """
    in_hand: dict[str, set[int]] = defaultdict(set)
    recovering: set[int] = set()
    early: set[str] = set()
    for line in lines:
        if line.note == "begun":
            in_hand[line.text("transaction")].add(line.epoch)
        elif line.note == "recovering":
            recovering.add(line.epoch)
        elif line.note == "recovered":
            recovering.discard(line.epoch)
        elif line.note == "quarantined" and POISON in line.text("reason"):
            epochs = in_hand[line.text("transaction")] | (recovering - {line.epoch})
            if len(epochs) < CRASHES_MAX:
                early.add(line.text("transaction"))
    return sorted(early)


POISON = "crashes"  # in the reason of such a note


def own_deaths(lines: Iterable[Line], first: int) -> list[Kill]:
    """Deaths that were nobody's intention: they may repeat deliveries like kills, and are objected to by `crashes`. Numbered from `first`."""
    epochs: dict[int, int] = {}
    found: list[Kill] = []
    for line in lines:
        if line.note == "launched":
            epochs[line.number("of_pid")] = line.number("of_epoch")
        elif line.note == "exited" and line.number("status") not in ORDERLY:
            death = Death(line.text("of_process"), epochs.get(line.number("of_pid"), 0), line.at)
            found.append(Kill(first + len(found), "by itself", (death,)))
    return found


ORDERLY = (0, -9, -15)  # exit statuses that a campaign brings about


def crashes(lines: Iterable[Line]) -> list[Line]:
    """Processes that ended by themselves: a bug (70), a Halt that nobody asked for (75), a socket or lock in use (69)."""
    return [line for line in lines if line.note == "exited" and line.number("status") not in ORDERLY]
