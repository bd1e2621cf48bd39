"""Content: what a client sends after 354, on its way into CDB, within a budget of memory (SX09, A5, I16).

A message up to content_memory_max waits in memory until it is complete and is appended in one piece: what is refused leaves no trace on disk.
A larger one, or one for which the budget has no room, goes into a segment of its own as it comes. When too many have one, or too much waits
for one to be opened, the session is held: no more is taken from its client until memory or a segment is free. That cannot last for ever: who
has a segment is never held for another one, so its message ends, or its client is timed out.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from smx.cdb.writer import ContentWriter
from smx.effects import AnyEffect, Tell
from smx.messages import Content, Sealed
from smx.smtp.facts import ContentFacts
from smx.smtp.replies import STORAGE_FULL
from smx.smtps.session import Session
from smx.smtps.transaction import Transaction
from smx.units import MIB

UNOPENED_OCTETS_MAX: Final = 4 * MIB  # octets that wait for their segments to open, before the sources of large messages are held


class Intake:
    """Takes content of all sessions of one process. `proceed` leads a session on that was held."""

    def __init__(self, out: list[AnyEffect], memory_octets_max: int, budget_octets: int, proceed: Callable[[Session, int], None]) -> None:
        self._out: Final = out
        self._memory_max: Final = memory_octets_max
        self._budget: Final = budget_octets
        self._proceed: Final = proceed
        self._used = 0
        self._held: Final[deque[Transaction]] = deque()
        self.writer: ContentWriter | None = None

    @property
    def used(self) -> int:
        """Octets of content in memory."""
        return self._used + (0 if self.writer is None else self.writer.held_octets)

    @property
    def waiting(self) -> bool:
        """True when sessions are held: `serve` is to be called when anything may have become free."""
        return bool(self._held)

    def begin(self, transaction: Transaction, trace: bytes) -> None:
        """The client may send. `trace`: our Received field, the first octets of what is stored (RFC 5321 4.4)."""
        transaction.trace = trace
        transaction.chunks.append(trace)
        transaction.octets = len(trace)

    def take(self, session: Session, transaction: Transaction, octets: bytes) -> None:
        """The next octets. After it `session.held` may be True: take no more from its client then."""
        if transaction.refusal is not None:
            return  # it will be refused at its end; what comes until then is dropped
        size = len(octets)
        transaction.chunks.append(octets)
        transaction.octets += size
        transaction.memory += size
        self._used += size
        if transaction.stream:
            if not self._push(transaction):
                self._hold(session, transaction)
        elif (transaction.octets > self._memory_max or self._used > self._budget) and not self._stream(transaction):
            self._hold(session, transaction)

    def complete(self, transaction: Transaction, facts: ContentFacts) -> Content | None:
        """The content is complete: where it lies, or None when there is no space for it (SX25)."""
        writer = self.writer
        if transaction.refusal is not None or writer is None:
            return None
        if not facts.complete_line:
            # RFC 5321 4.1.1.4: a line is ended. Only BDAT can bring one that is not.
            if transaction.stream:
                writer.extend(self._out, transaction.id, b"\r\n")
            else:
                transaction.chunks.append(b"\r\n")
        stored = stored_facts(facts, transaction.trace)
        if transaction.stream:
            return writer.finish(self._out, transaction.id, stored)
        content = writer.put(self._out, transaction.id, transaction.chunks, stored)
        self._free(transaction)
        return content

    def drop(self, transaction: Transaction) -> None:
        """The transaction comes to nothing, or its content could not be placed: nothing of it stays (A5)."""
        self._free(transaction)
        if transaction.stream:
            self._abandon(transaction)
        if transaction in self._held:
            self._held.remove(transaction)

    def serve(self, now: int) -> None:
        """Memory or a segment may have become free: lead on those that were held, in their order."""
        while self._held:
            transaction = self._held[0]
            session = transaction.session
            if session is None or not session.held or session.transaction is not transaction:
                self._held.popleft()
                continue
            if not self._may_go_on(transaction):
                return
            self._held.popleft()
            session.held = False
            self._proceed(session, now)

    def _may_go_on(self, transaction: Transaction) -> bool:
        if transaction.refusal is not None:
            return True
        if transaction.stream:
            return self._push(transaction)
        return (transaction.octets <= self._memory_max and self._used <= self._budget) or self._stream(transaction)

    def _stream(self, transaction: Transaction) -> bool:
        """Move the message into a segment of its own. False: not now."""
        writer = self.writer
        assert writer is not None
        if writer.held_octets > UNOPENED_OCTETS_MAX or not writer.begin(self._out, transaction.id, transaction.mail.size):
            return False
        transaction.stream = True
        return self._push(transaction)

    def _push(self, transaction: Transaction) -> bool:
        """Write what waits in memory into the message's segment. False: not now, too much waits for segments to open."""
        writer = self.writer
        assert writer is not None
        if writer.held_octets > UNOPENED_OCTETS_MAX:
            return False
        octets = b"".join(transaction.chunks)
        self._free(transaction)
        if not writer.extend(self._out, transaction.id, octets):
            self._spoil(transaction)
        return True

    def _hold(self, session: Session, transaction: Transaction) -> None:
        session.held = True
        session.dialogue.pause()
        self._held.append(transaction)

    def _spoil(self, transaction: Transaction) -> None:
        """Writing it failed for want of space while it was coming: 452 at its end, for this message only (A10)."""
        transaction.refusal = STORAGE_FULL
        self._free(transaction)
        if transaction.stream:
            self._abandon(transaction)

    def _abandon(self, transaction: Transaction) -> None:
        assert self.writer is not None
        transaction.stream = False
        tell_sealed(self._out, self.writer.abandon(self._out, transaction.id))

    def _free(self, transaction: Transaction) -> None:
        self._used -= transaction.memory
        transaction.memory = 0
        transaction.chunks.clear()


def tell_sealed(out: list[AnyEffect], segments: tuple[int, ...]) -> None:
    """Nothing more comes into these segments, and all in them are answered: QMGR may remove them (A3)."""
    for segment in segments:
        out.append(Tell("qmgr", Sealed(segment)))


def stored_facts(facts: ContentFacts, trace: bytes) -> ContentFacts:
    """The facts of what is stored: the content behind our Received field, its last line ended."""
    added = 0 if facts.complete_line else 2
    eight_bit = not trace.isascii()
    return ContentFacts(
        octets=facts.octets + len(trace) + added,
        header_octets=facts.header_octets + len(trace),
        lines=facts.lines + trace.count(b"\r\n"),
        line_octets_max=max(facts.line_octets_max, max(map(len, trace.split(b"\r\n")))),
        eight_bit=facts.eight_bit or eight_bit,
        utf8_headers=facts.utf8_headers or eight_bit,
        dot_lines=facts.dot_lines,
        hops=facts.hops + 1,
        delivered_to=facts.delivered_to,
    )
