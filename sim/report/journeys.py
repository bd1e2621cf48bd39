"""Journeys: what happened to each message, as marks on paths: from the client to its 250, and from QMGR to each host and back."""

from collections.abc import Callable
from typing import Final

import msgspec

from sim.chronicle import CLIENT, Chronicle, Moment
from sim.concern import Concern, Links
from sim.facts import Arrived, Bounced, Noted, Ordered, Promised, Refused, Spoke, Submitted
from sim.report.machinery import DISK
from sim.report.parts import Arrow, Canvas, Message, Path
from sim.story import Teller, story
from smx.effects import Append
from smx.ids import id_text

MAILDIR: Final = "maildir"


class _Order(msgspec.Struct):
    """A delivery. `remote`: the lane to which its dot went, "" before."""

    transaction: int
    remote: str = ""
    indices: tuple[int, ...] = ()


class Journeys:
    """Of the messages with these tokens. Takes every moment in order, with what it says in words."""

    def __init__(self, canvas: Canvas, told: Chronicle, links: Links, tokens: list[str]) -> None:
        self.paths: Final[dict[tuple[str, int], Path]] = {}
        self._canvas: Final = canvas
        self._told = told
        self._links = links
        self._tokens = dict.fromkeys(tokens)
        self._clients: dict[str, str] = {}  # token -> lane
        self._peers: dict[int, str] = {}  # connection -> the lane of our peer
        self._orders: dict[int, _Order] = {}
        self._answers: dict[str, str] = {}  # token -> what the client was told
        self._copies: dict[str, dict[str, int]] = {}  # token -> recipient -> copies
        self._reported: dict[str, int] = {}
        self._meet_peers()

    def _meet_peers(self) -> None:
        """Who is at the other end of each connection, and who sent which message: what sessions and dots say, next to what was spoken there."""
        latest: dict[str, str] = {}  # SMTPS -> the client of the session that began last
        speaking: dict[str, int] = {}  # SMTPC -> the connection on which it spoke last
        for moment in self._told.moments:
            what = moment.what
            if type(what) is Noted and what.name == "session":
                latest[what.process] = what.values[1].strip("[]") or CLIENT
            elif type(what) is Noted and what.name == "dot":
                self._peers[speaking.get(what.process, 0)] = _lane_of_remote(what.values[2])
            elif type(what) is Spoke and what.process.startswith("smtpc"):
                speaking[what.process] = what.connection
            elif type(what) is Spoke and what.process.startswith("smtps"):
                self._peers.setdefault(what.connection, latest.get(what.process, CLIENT))
                token = _token_in(what.data)
                if token:
                    self._clients.setdefault(token, self._peers[what.connection])

    def take(self, moment: Moment, text: str) -> None:
        what = moment.what
        handler = _NOTED.get(what.name) if type(what) is Noted else _HANDLERS.get(type(what))
        if handler is not None:
            handler(self, moment, what, text)

    # --- messages ---------------------------------------------------------------------------------------------------

    def _key(self, transaction: int) -> str:
        """The key of a message that is drawn, or ""."""
        about = self._links.reports.get(transaction)
        token = self._links.tokens.get(transaction if about is None else about, "")
        if token not in self._tokens:
            return ""
        return token if about is None else f"{token}+{id_text(transaction)}"

    def _step(self, message: str, number: int, lane: str, at: int, kind: str, short: str, text: str) -> None:
        """A mark on a path. `number`: 0 for the way in, else the delivery."""
        if message:
            self._canvas.mark(lane, at, message, kind, short, text)
            path = self.paths.setdefault((message, number), Path(message, "delivery" if number else "submission", []))
            path.points.append((at, lane))

    def _submitted(self, moment: Moment, what: Submitted, text: str) -> None:
        if what.token in self._tokens:
            self._step(what.token, 0, self._clients.setdefault(what.token, CLIENT), moment.at, "client", "final dot", text)

    def _promised(self, moment: Moment, what: Promised, text: str) -> None:
        self._answers[what.token] = "promised"
        if what.token in self._tokens:
            self._step(what.token, 0, self._clients.get(what.token, CLIENT), moment.at, "good", "250", text)

    def _refused(self, moment: Moment, what: Refused, text: str) -> None:
        if what.token in self._tokens:
            self._answers.setdefault(what.token, f"refused with {what.code} at {what.stage}")
            self._step(what.token, 0, self._clients.get(what.token, CLIENT), moment.at, "bad", str(what.code), text)

    def _append(self, moment: Moment, what: Append, text: str) -> None:
        token = _token_in(what.data) if what.store == "cdb" and moment.lane.startswith("smtps") else ""
        if token in self._tokens:
            self._step(token, 0, moment.lane, moment.at, "work", "content", text)
            self._step(token, 0, DISK, moment.at, "write", "written", text)

    def _arrived(self, moment: Moment, what: Arrived, text: str) -> None:
        copies = self._copies.setdefault(what.token, {})
        copies[what.recipient] = copies.get(what.recipient, 0) + 1
        delivery = self._delivery_to(what.transaction, what.host)
        message = self._key(what.transaction) or (what.token if what.token in self._tokens else "")
        self._step(message, delivery or -1, what.host, moment.at, "good" if not what.fault else "bad", "taken", text)

    def _ordered(self, moment: Moment, what: Ordered, text: str) -> None:
        self._orders.setdefault(what.delivery, _Order(what.transaction)).indices = what.indices

    def _bounced(self, moment: Moment, what: Bounced, text: str) -> None:
        self._reported[what.token] = self._reported.get(what.token, 0) + 1

    def _delivery_to(self, transaction: int, host: str) -> int:
        """The latest delivery whose dot went there."""
        found = 0
        for delivery, order in self._orders.items():
            if order.transaction == transaction and order.remote == host:
                found = delivery
        return found

    # --- notes ------------------------------------------------------------------------------------------------------

    def _on_submitted(self, moment: Moment, what: Noted, text: str) -> None:
        self._step(self._key(what.values[0]), 0, moment.lane, moment.at, "work", "envelope", text)

    def _on_durable(self, moment: Moment, what: Noted, text: str) -> None:
        key = self._key(what.values[0])
        self._step(key, 0, DISK, moment.at, "durable", "durable", text)
        self._step(key, 0, moment.lane, moment.at, "work", "durable", text)

    def _on_accepted(self, moment: Moment, what: Noted, text: str) -> None:
        self._step(self._key(what.values[1]), 0, moment.lane, moment.at, "good", "says 250", text)

    def _on_begun(self, moment: Moment, what: Noted, text: str) -> None:
        delivery, transaction = what.values[:2]
        self._orders[delivery] = _Order(transaction)
        self._step(self._key(transaction), delivery, moment.lane, moment.at, "work", f"attempt {what.values[4]}", text)

    def _on_dot(self, moment: Moment, what: Noted, text: str) -> None:
        delivery, transaction, remote = what.values
        self._orders.setdefault(delivery, _Order(transaction)).remote = _lane_of_remote(remote)
        self._step(self._key(transaction), delivery, moment.lane, moment.at, "work", "final dot", text)

    def _on_replied(self, moment: Moment, what: Noted, text: str) -> None:
        delivery, transaction, code, _ = what.values
        self._step(self._key(transaction), delivery, moment.lane, moment.at, "good" if code // 100 == 2 else "bad", str(code), text)

    def _on_verdict(self, moment: Moment, what: Noted, text: str) -> None:
        transaction, index, _, outcome, *_ = what.values
        kind = {"delivered": "good", "relayed": "good", "failed": "bad"}.get(outcome, "work")
        self._step(self._key(transaction), self._delivery_of(transaction, index), moment.lane, moment.at, kind, outcome, text)

    def _on_recorded(self, moment: Moment, what: Noted, text: str) -> None:
        transaction, index, _ = what.values
        self._step(self._key(transaction), self._delivery_of(transaction, index), DISK, moment.at, "durable", "recorded", text)

    def _on_deferred(self, moment: Moment, what: Noted, text: str) -> None:
        self._step(self._key(what.values[0]), self._delivery_of(what.values[0], what.values[1]), moment.lane, moment.at, "bad", what.name, text)

    def _on_closed(self, moment: Moment, what: Noted, text: str) -> None:
        key = self._key(what.values[0])
        if key:
            self._canvas.mark(moment.lane, moment.at, key, "closed", "done", text)

    def _delivery_of(self, transaction: int, index: int) -> int:
        """The latest delivery that has this recipient; -1 when there is none: it was put aside without one."""
        found = -1
        for delivery, order in self._orders.items():
            if order.transaction == transaction and index in order.indices:
                found = delivery
        return found

    # --- the end ----------------------------------------------------------------------------------------------------

    def messages(self, arrows: list[Arrow]) -> list[Message]:
        """Each with its story and its dialogues; reports behind the message that they are about."""
        broken = broken_keys(self._told, self._links)
        messages = []
        for token in self._tokens:
            concern = Concern(self._links, [token])
            told = story(concern.relevant(self._told.moments), self._told.moments, self._links)
            messages.append(Message(token, token, self._state(token), token in broken, told))
            arrows += self._arrows(token, concern)
        reports = dict.fromkeys(mark.message for mark in self._canvas.marks if "+" in mark.message)
        return messages + [Message(key, f"report about {key.partition('+')[0]}", "", key.partition("+")[0] in broken) for key in reports]

    def _arrows(self, token: str, concern: Concern) -> list[Arrow]:
        teller = Teller(self._links)
        found = []
        for number in sorted(concern.spoken(self._told.moments)):
            moment = self._told.moments[number]
            peer = self._peers.get(moment.what.connection)
            text = teller.tell(moment)
            if peer is not None and peer in self._canvas.lanes and text:
                source, target = (moment.lane, peer) if moment.what.ours else (peer, moment.lane)
                found.append(Arrow(source, target, moment.at, token, text))
        return found

    def _state(self, token: str) -> str:
        parts = [self._answers.get(token, "never answered")]
        copies = self._copies.get(token, {})
        if copies:
            parts.append(f"reached {len(copies)} of its recipients" if len(copies) > 1 else "reached one recipient")
        if sum(copies.values()) > len(copies):
            parts.append(f"further copies: {sum(copies.values()) - len(copies)}")
        if self._reported.get(token):
            parts.append(f"reports: {self._reported[token]}")
        return ", ".join(parts)


_HANDLERS: Final[dict[type, Callable[..., None]]] = {
    Submitted: Journeys._submitted,
    Promised: Journeys._promised,
    Refused: Journeys._refused,
    Append: Journeys._append,
    Arrived: Journeys._arrived,
    Bounced: Journeys._bounced,
    Ordered: Journeys._ordered,
}
_NOTED: Final[dict[str, Callable[..., None]]] = {
    **{name[4:]: handler for name, handler in vars(Journeys).items() if name.startswith("_on_")},
    "quarantined": Journeys._on_deferred,
}


def broken_keys(told: Chronicle, links: Links) -> dict[str, None]:
    """The messages that violations name."""
    return {token: None for violation in told.run.outcome.violations for token in sorted(Concern.of(violation, links).tokens)}


def _token_in(content: bytes) -> str:
    at = content.find(b"X-Token: ")
    return content[at + 9 : content.find(b"\r\n", at)].decode("ascii", "backslashreplace") if at >= 0 else ""


def _lane_of_remote(remote: str) -> str:
    """The lane of what a note `dot` or `session` names."""
    name = remote.partition(" ")[0]
    return MAILDIR if name.startswith("/") else name
