"""Deposits: a message's copies on their way into Maildirs, and how many files are open for them.

A small message waits in memory until it is complete, so that a refused one touches no disk and a file is open for a moment only. A
larger one is written as it comes. Each file counts from its opening until its fate is known; at most DEPOSITS_MAX at a time. A message that
finds too few left waits its turn in order; since it takes all that it needs at once, nothing can wait in a circle.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from smx import limits
from smx.effects import AnyEffect, CommitDeposit, DropDeposit, Note, OpenDeposit, WriteDeposit
from smx.events import DepositFailed
from smx.lda.names import Names
from smx.lda.session import Deposit, Message
from smx.smtp.facts import ContentFacts
from smx.smtp.replies import LOOP, MAILBOX_FULL, NO_SUCH_USER, TRY_LATER
from smx.smtp.reply import Reply
from smx.smtp.trace import delivered_to_field, return_path_field, without_return_path

DEPOSITS_MAX: Final = 256
MEMORY_OCTETS_MAX: Final = limits.CONTENT_MEMORY_OCTETS_MAX
DELIVERED: Final = Reply(250, (2, 1, 5), (b"Delivered",))


class Deposits:
    """`done` is called when every copy of a complete message has its reply; `go_on` when a message that had to wait is begun."""

    def __init__(self, emit: Callable[[AnyEffect], None], done: Callable[[Message, int], None], go_on: Callable[[Message, int], None], *, create: bool) -> None:
        self._emit: Final = emit
        self._done: Final = done
        self._go_on: Final = go_on
        self._create: Final = create
        self._names: Names | None = None
        self._counter = 0
        self._open: Final[dict[int, tuple[Message, Deposit]]] = {}
        self._queue: Final[deque[Message]] = deque()
        self.wall_offset = 0

    @property
    def busy(self) -> bool:
        """True while any file is open or waited for."""
        return bool(self._open) or bool(self._queue)

    def start(self, names: Names) -> None:
        """The names for this run."""
        self._names = names

    def write(self, message: Message, octets: bytes, now: int) -> None:
        """The next octets of a message. After this `message.waiting` may be True: take no more from the client then."""
        message.octets += len(octets)
        if message.begun:
            for deposit in message.deposits:
                self._emit(WriteDeposit(deposit.number, octets))
            return
        message.chunks.append(octets)
        if message.octets > MEMORY_OCTETS_MAX and not message.waiting:
            self._ask(message, now)

    def complete(self, message: Message, facts: ContentFacts, now: int) -> None:
        """The content is complete: each copy is committed, but for recipients to whom this message was delivered before (a loop)."""
        message.facts = facts
        for deposit in message.deposits:
            if facts.delivered_to and deposit.recipient.address.lower() in facts.delivered_to:
                deposit.reply = LOOP
                self._drop(deposit)
        if message.begun:
            self._commit(message)
            self._check(message, now)
        elif not message.waiting:
            self._ask(message, now)

    def drop(self, message: Message, now: int) -> None:
        """The message comes to nothing: no copy may appear."""
        if message.waiting:
            self._queue.remove(message)
            message.waiting = False
        for deposit in message.deposits:
            self._drop(deposit)
        message.chunks.clear()
        self._serve(now)

    def deposited(self, number: int, now: int) -> None:
        """A copy is durable in its Maildir."""
        message, deposit = self._open.pop(number)
        deposit.reply = DELIVERED
        self._emit(Note("deposited", (message.session_id, deposit.recipient.address, message.octets, deposit.name)))
        self._check(message, now)
        self._serve(now)

    def failed(self, event: DepositFailed, now: int) -> None:
        """A copy could not be written. Nothing of it is left."""
        message, deposit = self._open.pop(event.deposit)
        nobody = event.missing and not self._create  # where Maildirs are made, one that is missing is trouble of ours
        deposit.reply = MAILBOX_FULL if event.no_space else NO_SUCH_USER if nobody else TRY_LATER
        self._emit(Note("trouble", ("deposit", event.reason)))
        self._check(message, now)
        self._serve(now)

    def _ask(self, message: Message, now: int) -> None:
        message.waiting = True
        self._queue.append(message)
        self._serve(now, asking=message)

    def _serve(self, now: int, asking: Message | None = None) -> None:
        """Begin those at the head of the queue for whom enough files are left."""
        queue = self._queue
        while queue and len(self._open) + len(queue[0].deposits) <= DEPOSITS_MAX:
            message = queue.popleft()
            message.waiting = False
            self._begin(message, now)
            if message.facts is not None:
                self._commit(message)
                self._check(message, now)
            elif message is not asking:
                self._go_on(message, now)

    def _begin(self, message: Message, now: int) -> None:
        message.begun = True
        content = without_return_path(b"".join(message.chunks))
        message.chunks.clear()
        return_path = return_path_field(message.reverse_path)
        names = self._names
        assert names is not None
        for deposit in message.deposits:
            if deposit.reply is not None:
                continue
            self._counter += 1
            deposit.number = self._counter
            deposit.name = names.next(now + self.wall_offset)
            self._open[deposit.number] = (message, deposit)
            self._emit(OpenDeposit(deposit.number, deposit.directory, deposit.name, self._create))
            # RFC 5321 4.4: the final delivery inserts Return-path, and it is the only one; Delivered-To is what later loops are found by.
            self._emit(WriteDeposit(deposit.number, return_path + delivered_to_field(deposit.recipient.address) + content))

    def _commit(self, message: Message) -> None:
        for deposit in message.deposits:
            if deposit.reply is None:
                self._emit(CommitDeposit(deposit.number))

    def _drop(self, deposit: Deposit) -> None:
        if self._open.pop(deposit.number, None) is not None:
            self._emit(DropDeposit(deposit.number))

    def _check(self, message: Message, now: int) -> None:
        if message.facts is not None and all(deposit.reply is not None for deposit in message.deposits):
            self._done(message, now)
