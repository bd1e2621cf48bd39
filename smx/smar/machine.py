"""SMAR, the address resolver.

Job
    Answers two questions: may this client send to this recipient (SMTPS asks at RCPT), and where does this recipient go (QMGR asks).
State
    Maps and aliases in memory, a cache of DNS answers, flows that wait for an answer. Nothing that a crash could lose.
Events and effects
    Told(CheckRecipient) -> Tell(RecipientChecked); Told(Resolve) -> Tell(Resolved); in between Query -> Answered, Lookup -> LookedUp.
    LoadMap at the start -> MapLoaded, again whenever the source changes.
Strategies
    A resolution is a generator (smx.smar.flow). The same DNS question asked by several flows is sent once. Answers are kept by their TTL.
    QMGR is told how long it may remember a route, so that it asks about a domain once and not once a message.
Invariants
    Each question gets exactly one answer, on the link on which it came, or none when that link went down: a process that was
    restarted counts its requests anew and must not see answers to its predecessor. Bounds (I16): questions_max flows,
    dns_cache.entries_max answers.
Failures
    DNS and map failures become 4yz, never 5yz and never silence. A map that cannot be read again keeps its earlier version.
Standards
    RFC 5321 5 (routing), 4.5.1 (postmaster), RFC 7505 (null MX), RFC 3463 (codes), RFC 2308 (negative answers).
See also
    smx.smar.check and smx.smar.resolve for the order of the rules; smx.smar.routes for MX; smx.live.dns and smx.live.maps.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from smx.config.schema_smar import SmarSettings
from smx.effects import AnyEffect, Arm, Halt, LoadMap, Lookup, Note, Query, Tell
from smx.events import (
    Answered,
    AnyEvent,
    Expired,
    Linked,
    Listening,
    LookedUp,
    MapLoaded,
    Reconfigured,
    Started,
    StopRequested,
    Told,
    Unlinked,
)
from smx.messages import CheckRecipient, RecipientChecked, Resolve, Resolved, StopAsked
from smx.smar import rulings
from smx.smar.cache import Cache
from smx.smar.check import check
from smx.smar.flow import Answer, DnsQuestion, Flow, MapAnswer, MapQuestion, MapWanted, Question
from smx.smar.resolve import resolve
from smx.smar.tables import Tables

_STOP: Final = "stop"


class _Running:
    """A flow under way: for whom, and what it still waits for."""

    __slots__ = ("answers", "epoch", "flow", "missing", "process")

    def __init__(self, flow: Flow[RecipientChecked | Resolved], process: str, epoch: int) -> None:
        self.flow = flow
        self.process = process
        self.epoch = epoch
        self.answers: list[Answer] = []
        self.missing = 0


class Smar:
    """The step machine. `trail`, where given, gets the (rule, what matched) lines of every resolution."""

    name = "smar"

    def __init__(self, settings: SmarSettings, *, trail: list[tuple[str, str]] | None = None) -> None:
        self._settings = settings
        self._trail = trail
        self._tables = Tables(settings, trail)
        self._cache = Cache(settings.dns_cache)
        self._listening: list[tuple[str, int]] = []
        self._epochs: dict[str, int] = {}
        self._epoch = 0
        self._ready = False
        self._running = 0
        self._stopping = False
        self._requests = 0
        self._asked: dict[int, Question] = {}
        self._waiting: dict[Question, list[tuple[_Running, int]]] = {}
        self._effects: list[AnyEffect] = []
        self._handlers: Final[dict[type, Callable[[Any, int], None]]] = {
            Started: self._on_started,
            Told: self._on_told,
            Answered: self._on_answered,
            LookedUp: self._on_looked_up,
            MapLoaded: self._on_map_loaded,
            Linked: self._on_linked,
            Unlinked: self._on_unlinked,
            Listening: self._on_listening,
            Reconfigured: self._on_reconfigured,
            StopRequested: self._on_stop_requested,
            Expired: self._on_expired,
        }

    def step(self, event: AnyEvent, now: int) -> list[AnyEffect]:
        """Take one fact; the orders that follow from it."""
        self._effects = []
        handler = self._handlers.get(type(event))
        if handler is not None:
            self._tables.now = now
            handler(event, now)
        return self._effects

    # --- life ---------------------------------------------------------------------------------------------------------------

    def _on_started(self, event: Started, now: int) -> None:
        self._tables.seed = event.seed
        self._epoch = event.epoch
        self._effects.append(Note("started", (event.epoch,)))
        self._load_maps()
        self._say_ready()

    def _say_ready(self) -> None:
        """Once: when the first attempt to load each map has ended, well or not (SX07)."""
        if not self._ready and all(known.settled for known in self._tables.maps.values()):
            self._ready = True
            self._effects.append(Note("ready", (self._epoch,)))

    def _load_maps(self) -> None:
        for known in self._tables.maps.values():
            if not known.remote and not known.settled:
                self._effects.append(LoadMap(known.name))

    def _on_reconfigured(self, event: Reconfigured, now: int) -> None:
        """New tables; flows under way end with the old ones. A map keeps its rows until its new version is loaded."""
        old = self._tables
        self._settings = msgspec.msgpack.decode(event.settings, type=SmarSettings)
        self._tables = tables = Tables(self._settings, self._trail)
        tables.now, tables.seed = now, old.seed
        for host, port in self._listening:
            tables.add_own_address(host, port)
        self._cache = Cache(self._settings.dns_cache)
        self._load_maps()
        for name, known in tables.maps.items():
            earlier = old.maps.get(name)
            if not known.settled and earlier is not None and earlier.rows is not None and not earlier.remote:
                known.rows, known.settled = earlier.rows, True
        for question in [q for q in self._waiting if isinstance(q, MapWanted) and q.map not in tables.maps]:
            self._settle(question, None)

    def _on_stop_requested(self, event: StopRequested, now: int) -> None:
        self._stop(event.grace_us, now)

    def _stop(self, grace_us: int, now: int) -> None:
        """Answer what was asked, then end; nothing is lost by ending before."""
        self._stopping = True
        self._effects.append(Note("stopping", ("asked",)))
        self._effects.append(Arm(_STOP, 0, now + grace_us))
        self._halt_when_idle()

    def _on_expired(self, event: Expired, now: int) -> None:
        if event.timer == _STOP:
            self._effects.append(Halt("stopped"))

    def _halt_when_idle(self) -> None:
        if self._stopping and not self._running:
            self._effects.append(Halt("stopped"))

    # --- links ----------------------------------------------------------------------------------------------------------------

    def _on_linked(self, event: Linked, now: int) -> None:
        self._epochs[event.process] = event.epoch

    def _on_unlinked(self, event: Unlinked, now: int) -> None:
        if self._epochs.get(event.process) == event.epoch:
            del self._epochs[event.process]

    def _on_listening(self, event: Listening, now: int) -> None:
        """An address on which this host takes mail, beside those of the settings: the runtime found it for a socket of the unspecified one (SX46)."""
        self._listening.append((event.host, event.port))
        self._tables.add_own_address(event.host, event.port)

    def _on_told(self, event: Told, now: int) -> None:
        message = event.message
        if isinstance(message, CheckRecipient):
            self._begin(check(self._tables, message), message, event.process)
        elif isinstance(message, Resolve):
            self._begin(resolve(self._tables, message), message, event.process)
        elif isinstance(message, StopAsked):
            self._stop(message.grace_us, now)

    # --- flows ----------------------------------------------------------------------------------------------------------------

    def _begin(self, flow: Flow[Any], question: CheckRecipient | Resolve, process: str) -> None:
        if self._running >= self._settings.questions_max:
            busy = rulings.BUSY
            refusal = (
                RecipientChecked(question.request, *busy) if isinstance(question, CheckRecipient) else Resolved(question.request, verdict=rulings.verdict(busy))
            )
            self._effects.append(Tell(process, refusal))
            return
        self._running += 1
        self._resume(_Running(flow, process, self._epochs.get(process, 0)), None)

    def _resume(self, running: _Running, answers: tuple[Answer, ...] | None) -> None:
        """Go on until the flow ends or must wait. Answers that are known already do not make it wait."""
        while True:
            try:
                questions = running.flow.send(answers) if answers is not None else next(running.flow)
            except StopIteration as end:
                self._end(running, end.value)
                return
            running.answers = [self._known(question) for question in questions]
            running.missing = 0
            for place, question in enumerate(questions):
                if running.answers[place] is None:
                    running.missing += 1
                    self._wait(question, running, place)
            if running.missing:
                return
            answers = tuple(running.answers)

    def _end(self, running: _Running, answer: RecipientChecked | Resolved) -> None:
        self._running -= 1
        if self._epochs.get(running.process, 0) == running.epoch:
            self._effects.append(Tell(running.process, answer))
        self._halt_when_idle()

    def _known(self, question: Question) -> Answer:
        return self._cache.get(question, self._tables.now) if isinstance(question, DnsQuestion) else None

    def _wait(self, question: Question, running: _Running, place: int) -> None:
        """Ask, unless the same question is under way already."""
        waiting = self._waiting.get(question)
        if waiting is not None:
            waiting.append((running, place))
            return
        self._waiting[question] = [(running, place)]
        if isinstance(question, MapWanted):
            return
        self._requests += 1
        self._asked[self._requests] = question
        if isinstance(question, DnsQuestion):
            self._effects.append(Query(self._requests, question.name, question.type))
        else:
            self._effects.append(Lookup(self._requests, question.map, question.key))

    def _settle(self, question: Question, answer: Answer) -> None:
        """Give the answer to every flow that waits for it."""
        for running, place in self._waiting.pop(question, ()):
            running.answers[place] = answer
            running.missing -= 1
            if not running.missing:
                self._resume(running, tuple(running.answers))

    # --- answers ----------------------------------------------------------------------------------------------------------------

    def _on_answered(self, event: Answered, now: int) -> None:
        question = self._asked.pop(event.request, None)
        if isinstance(question, DnsQuestion):
            self._settle(question, self._cache.put(question, event, now))

    def _on_looked_up(self, event: LookedUp, now: int) -> None:
        question = self._asked.pop(event.request, None)
        if isinstance(question, MapQuestion):
            self._settle(question, MapAnswer(event.status, event.value))

    def _on_map_loaded(self, event: MapLoaded, now: int) -> None:
        self._tables.loaded(event)
        self._effects.append(Note("map", (event.map, len(event.rows), event.version, event.error)))
        self._settle(MapWanted(event.map), None)
        self._say_ready()
