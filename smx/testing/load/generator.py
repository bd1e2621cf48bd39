"""Generator: decides who sends what when, and collects what came of it.

Job         keep up to `sessions` connections busy until all messages are sent or the time is over
Strategies  Closed loop (no rate): each session sends as fast as it is answered. Open loop: messages are due at instants that do not depend on the
            server; the delay of one that finds no free session counts in its latency, so a server that stalls cannot hide it (no coordinated
            omission). No queue is kept for what is due: the next instant stands still until somebody takes it.
            One timer for all time-outs, looked at twice a second; none per command or message.
Failures    A connection that cannot be made costs its message and keeps its place for CONNECT_PAUSE_S; it is given up when nobody ever answers, one
            try for each session and TRIES_MORE. What a server does wrong is counted.
See also    session.py (one connection), tally.py (what is counted)
"""

import asyncio
import os
import random
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from math import inf
from typing import Any, Final

from smx.testing.load.addresses import Addresses
from smx.testing.load.draws import gaps
from smx.testing.load.faults import Dice, Fault
from smx.testing.load.job import Job
from smx.testing.load.ledger import JsonLines, Promise
from smx.testing.load.message import Composer
from smx.testing.load.options import LoadOptions
from smx.testing.load.report import LoadReport
from smx.testing.load.session import Session
from smx.testing.load.tally import Tally

CONNECT_PAUSE_S: Final = 0.1
TRIES_MORE: Final = 5
SWEEP_S: Final = 0.5  # at most
_now = time.perf_counter


class Generator:
    """`await run()` once. `stop` ends it in order, `abort` at once. `progress` is called twice a second.

    `on_acknowledged` is called with each message whose dot got 2yz and the instant (of time.perf_counter) at which it did.
    """

    def __init__(
        self,
        options: LoadOptions,
        progress: Callable[["Generator"], None] | None = None,
        on_acknowledged: Callable[[Job, float], None] | None = None,
    ) -> None:
        self.options = options
        self.tally = Tally()
        self.began_at = 0.0
        self.sender = options.sender.encode()
        self.hostname = options.hostname.encode()
        self.composer = Composer(self.sender, self.hostname, formatdate().encode(), options.body)
        moments = [(_moment(fault), fault) for fault in options.faults]
        dice = {name: Dice((fault for moment, fault in moments if moment == name), self._stream(f"faults/{name}")) for name in ("session", "message", "quit")}
        self.session_dice, self.message_dice, self.quit_dice = dice["session"], dice["message"], dice["quit"]
        self._progress = progress
        self._on_acknowledged = on_acknowledged
        self._size = options.size.sampler(self._stream("size"))
        self._count = options.recipients.sampler(self._stream("recipients"))
        self._addresses = Addresses(options, self._stream("addresses"))
        self._gap = gaps(options.arrivals, options.rate, self._stream("arrivals")) if options.rate else None
        self._run = options.run.encode()
        self._sweep_s = min(SWEEP_S, options.timeout_s / 2)
        self._made = 0
        self._due = 0.0
        self._end_at = inf
        self._stopped = False
        self._open: dict[Session, None] = {}
        self._idle: list[Session] = []
        self._cooling = 0
        self._again: deque[Job] = deque()  # messages that got 4yz, in the order in which they are tried again
        self._timer: asyncio.TimerHandle | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._address: tuple[str, int] = ("", 0)
        self._ledger: JsonLines | None = None
        self._loop: asyncio.AbstractEventLoop
        self._done: asyncio.Future[None]

    def _stream(self, purpose: str) -> random.Random:
        """A stream of its own for each purpose, so that one option does not change what another draws."""
        return random.Random(f"{self.options.seed}/{purpose}")

    # --- life

    async def run(self) -> LoadReport:
        """Send it all. OSError when the host is not found or the ledger cannot be written."""
        options = self.options
        self._loop = asyncio.get_running_loop()
        self._done = self._loop.create_future()
        if not options.target.path:
            found = await self._loop.getaddrinfo(options.target.host, options.target.port, type=socket.SOCK_STREAM)
            host, port, *_ = found[0][4]
            self._address = (str(host), int(port))
        self._ledger = JsonLines(options.ledger) if options.ledger else None
        cpu, self.began_at = time.process_time(), _now()
        if options.duration_s:
            self._end_at = self.began_at + options.duration_s
            self._loop.call_later(options.duration_s, self._pump)
        self._due = self.began_at + (self._gap() if self._gap else 0.0)
        self._sweep()
        try:
            self._pump()
            await self._done
        finally:
            self._end()
        return self._report(_now() - self.began_at, time.process_time() - cpu)

    def stop(self) -> None:
        """Begin no more messages; what is under way is finished."""
        self._stopped = True
        self._end_at = min(self._end_at, _now())
        self._pump()

    def abort(self) -> None:
        """Break everything off."""
        self.stop()
        for session in list(self._open):
            session.expire("aborted")

    def _end(self) -> None:
        self._stopped = True
        for timer in (self._timer, self._sweeper):
            if timer is not None:
                timer.cancel()
        for session in list(self._open):
            session.expire("aborted")
        if self._ledger is not None:
            self._ledger.close()

    # --- who sends what

    def _exhausted(self, now: float) -> bool:
        return self._stopped or now >= self._end_at or (0 < self.options.messages <= self._made)

    def _next(self, now: float) -> Job | None:
        """A message that is due, if any."""
        if self._again and self._again[0].again_at <= now:
            return self._again.popleft()
        if self._exhausted(now):
            return None
        if self._gap is None:
            return self._job(now)
        if self._due > now:
            return None
        job = self._job(self._due)
        self._due += self._gap()
        return job

    def _job(self, due: float) -> Job:
        self._made += 1
        self.tally.begun += 1
        return Job(b"%b.%d" % (self._run, self._made), self._addresses.some(self._count()), self._size(), due)

    def _pump(self) -> None:
        """Give what is due to whoever is free."""
        now = _now()
        while self._idle or len(self._open) + self._cooling < self.options.sessions:
            job = self._next(now)
            if job is None:
                break
            if self._idle:
                self._idle.pop().begin(job)
            else:
                self._connect(job)
        if self._exhausted(now):
            self._wind_up(now)
        self._arm(now)

    def _wind_up(self, now: float) -> None:
        """Nothing new will come."""
        while self._idle:
            self._idle.pop().quit()
        if self._stopped or now >= self._end_at:
            for job in self._again:
                self.tally.ends[job.end] += 1
            self._again.clear()
        if not (self._open or self._cooling or self._again or self._done.done()):
            self._done.set_result(None)

    def _arm(self, now: float) -> None:
        """Wake up for what is due next, if somebody is free to take it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._idle and len(self._open) + self._cooling >= self.options.sessions:
            return
        due = self._due if self._gap is not None and not self._exhausted(now) else inf
        if self._again:
            due = min(due, self._again[0].again_at)
        if due < inf:
            self._timer = self._loop.call_later(max(0.0, due - now), self._pump)

    def _connect(self, job: Job) -> None:
        session = Session(self, job, _now())
        self._open[session] = None
        session.task = self.spawn(self._connected(session))

    async def _connected(self, session: Session) -> None:
        path = self.options.target.path
        try:
            if path:
                await self._loop.create_unix_connection(lambda: session, path)
            else:
                await self._loop.create_connection(lambda: session, *self._address)
        except OSError as error:
            self._cooling += 1
            self._loop.call_later(CONNECT_PAUSE_S, self._cooled)
            session.fail(f"cannot connect: {reason(error)}")
            self.ended(session)

    def _cooled(self) -> None:
        self._cooling -= 1
        if not self.tally.connections and self.tally.ends["failed"] >= self.options.sessions + TRIES_MORE:
            self._stopped = True
        self._pump()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that is kept until it ends."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _sweep(self) -> None:
        limit = _now() - self.options.timeout_s
        for session in list(self._open):
            if session.active_at < limit:
                session.expire()
        if self._ledger is not None:
            self._ledger.flush()
        if self._progress is not None:
            self._progress(self)
        self._sweeper = self._loop.call_later(self._sweep_s, self._sweep)

    # --- said by sessions

    def want_next(self, session: Session) -> None:
        """The session is free: the next message, or it waits for one, or it says QUIT."""
        now = _now()
        job = self._next(now)
        if job is not None:
            session.begin(job)
        elif self._gap is None or self._exhausted(now):
            session.quit()
        else:
            session.active_at = inf
            self._idle.append(session)
            self._arm(now)

    def unfit(self, session: Session) -> None:
        """The session takes no more messages."""
        if session in self._idle:
            self._idle.remove(session)

    def give_back(self, job: Job) -> None:
        """The server ended the session before it heard of the message: another session takes it, at once."""
        self.tally.error("closed by 421 between two messages")
        job.again_at = 0.0
        self._again.appendleft(job)

    def finished(self, job: Job, end: str, acknowledged: tuple[bytes, ...]) -> None:
        """A message came to its end, or to 4yz and will be tried again."""
        tally = self.tally
        if end == "deferred" and job.tries < self.options.retries and not self._stopped:
            job.tries += 1
            job.again_at = _now() + self.options.retry_after_s
            tally.retried += 1
            self._again.append(job)
            return
        tally.ends[end] += 1
        if acknowledged:
            self._acknowledged(job, acknowledged)

    def _acknowledged(self, job: Job, recipients: tuple[bytes, ...]) -> None:
        now, tally = _now(), self.tally
        tally.recipients_acknowledged += len(recipients)
        tally.octets += job.octets
        latency = tally.latency
        latency["envelope"].record(job.dot_at - job.mail_at)
        latency["dot"].record(now - job.dot_at)
        latency["whole"].record(now - job.due)
        if self._gap is not None:
            latency["wait"].record(job.begun_at - job.due)
        if self._on_acknowledged is not None:
            self._on_acknowledged(job, now)
        if self._ledger is not None:
            names = tuple(recipient.decode("ascii", "backslashreplace") for recipient in recipients)
            self._ledger.add(Promise(job.token.decode(), names, time.time_ns() // 1000))

    def ended(self, session: Session) -> None:
        """The connection is gone. Again is harmless."""
        if session in self._open:
            del self._open[session]
            self.unfit(session)
            self._pump()

    # --- figures

    def _unstarted(self) -> int:
        """Messages of an open loop that were due before its end, and never begun."""
        end = min(self._end_at, _now())
        number = 0
        while self._gap is not None and self._due <= end and not 0 < self.options.messages <= self._made + number:
            number += 1
            self._due += self._gap()
        return number

    def _report(self, elapsed_s: float, cpu_s: float) -> LoadReport:
        tally, options = self.tally, self.options
        return LoadReport(
            target=options.target.text,
            run=options.run,
            seed=options.seed,
            mode="closed" if self._gap is None else "open",
            sessions=options.sessions,
            elapsed_s=round(elapsed_s, 6),
            begun=tally.begun,
            **tally.ends,
            unstarted=self._unstarted(),
            retried=tally.retried,
            recipients_acknowledged=tally.recipients_acknowledged,
            octets=tally.octets,
            connections=tally.connections,
            messages_per_s=round(tally.ends["acknowledged"] / elapsed_s, 3),
            cpu_s=round(cpu_s, 6),
            latency={rung: histogram.figures() for rung, histogram in tally.latency.items()},
            replies=tally.replies_by_name(),
            errors=tally.errors,
            faults=tally.faults,
        )


def _moment(fault: Fault) -> str:
    """When it is decided whether the fault happens: as a session is opened, as a message is begun, or before QUIT."""
    if fault.stage in ("connect", "ehlo") or (fault.kind, fault.stage) == ("early", "mail"):
        return "session"
    return "quit" if fault.stage == "quit" and fault.kind != "early" else "message"


def reason(error: OSError) -> str:
    """In the words of the system, without addresses, so that equal troubles count as one."""
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    return os.strerror(error.errno) if error.errno else (str(error) or type(error).__name__)
