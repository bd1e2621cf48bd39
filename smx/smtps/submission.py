"""Submission: from the final dot to the reply, for every transaction of the process (A1, A9, A12).

The table in `transaction` says what is done in each case; here it is done. There is one place from which a positive reply leaves
(`_acknowledge`), and it asserts what a 250 means (I2).

When the link to QMGR breaks, what is in hand gets 421 and its session is closed. It is not submitted again on a new link, although Submit is
idempotent: a QMGR of a later epoch may have delivered and forgotten the first submission, and the client's own retry is the one that both know of.
"""

from collections.abc import Callable
from typing import Final

from smx.cdb.writer import ContentWriter, Progress
from smx.effects import AnyEffect, Note, Tell
from smx.ids import id_text
from smx.messages import Abort, Aborted, Envelope, Notify, Secure, Secured, Submit, Submitted
from smx.smtp.replies import SHUTTING_DOWN, STORAGE_FULL, TRY_LATER
from smx.smtp.reply import Reply, clean, split_enhanced
from smx.smtps.content import tell_sealed
from smx.smtps.patience import Patience
from smx.smtps.session import Session
from smx.smtps.transaction import TABLE, Act, Fact, Stage, Transaction
from smx.units import SECOND

_SUCCESS: Final = int(Notify.SUCCESS)
TIMER: Final = "submit"
PATIENCE_US: Final = 60 * SECOND  # A9; clients wait ten minutes for the reply (RFC 5321 4.5.3.2.6)


class Submissions:
    """The transactions that have passed the final dot and have no reply yet, by id.

    `reply` answers the end of data and transmits the reply at once; `proceed` lets what the client sent behind it go on.
    """

    def __init__(
        self,
        out: list[AnyEffect],
        server: str,
        reply: Callable[[Session, Reply], None],
        proceed: Callable[[Session, int], None],
    ) -> None:
        self._out: Final = out
        self._server: Final = server
        self._reply: Final = reply
        self._proceed: Final = proceed
        self._patience: Final = Patience(out.append, TIMER, PATIENCE_US)
        self._in_hand: Final[dict[int, Transaction]] = {}
        self.cut_through_recipients_max = 0
        self.writer: ContentWriter | None = None

    def __len__(self) -> int:
        return len(self._in_hand)

    def begin(self, transaction: Transaction, now: int) -> None:
        """Its content lies in CDB, appended. Sync it and submit, or offer cut-through."""
        writer = self.writer
        content = transaction.content
        assert writer is not None
        assert content is not None
        self._in_hand[transaction.id] = transaction
        # A12: few recipients, content in memory until now, no DSN that would have to say "delivered".
        offered = len(transaction.recipients) <= self.cut_through_recipients_max and not transaction.stream and writer.appended(content.segment)
        if offered and not any(recipient.notify & _SUCCESS for recipient in transaction.recipients):
            transaction.stage = Stage.OFFERED
            self._submit(transaction, now)
            return
        transaction.stage = Stage.SYNCING
        self._sync(transaction, now)

    # --- facts

    def told(self, message: Submitted | Secure | Aborted, now: int) -> None:
        """QMGR's word. A transaction that is not in hand was answered already (an answer and an Abort may cross)."""
        transaction = self._in_hand.get(message.transaction)
        if transaction is None:
            return
        if isinstance(message, Submitted):
            if message.code == 250:
                self._happened(transaction, Fact.DELIVERED if message.delivered else Fact.TAKEN, now)
                return
            enhanced, _ = split_enhanced(message.code, message.enhanced + b" ")
            transaction.refusal = Reply(message.code, enhanced, (clean(message.text) or b"Message refused",))
            self._happened(transaction, Fact.REFUSED, now)
        elif isinstance(message, Secure):
            self._happened(transaction, Fact.SECURE, now)
        else:
            self._happened(transaction, Fact.KEPT if message.kept else Fact.FORGOTTEN, now)

    def progressed(self, progress: Progress, now: int) -> None:
        """The disk did something: transactions are durable, or could not be written."""
        for number in progress.durable:
            transaction = self._in_hand.get(number)
            if transaction is not None:
                transaction.durable = True
                self._happened(transaction, Fact.SYNCED, now)
        for number in progress.failed:
            transaction = self._in_hand.get(number)
            if transaction is not None:
                transaction.refusal = STORAGE_FULL
                self._happened(transaction, Fact.SPOILED, now)

    def expired(self, now: int) -> None:
        """QMGR was silent for too long."""
        for number in self._patience.expired(now):
            transaction = self._in_hand[number]
            transaction.refusal = TRY_LATER
            self._happened(transaction, Fact.IMPATIENT, now)

    def lost(self, now: int) -> None:
        """The link to QMGR is gone."""
        for transaction in list(self._in_hand.values()):
            self._happened(transaction, Fact.UNLINKED, now)

    # --- acts

    def _happened(self, transaction: Transaction, fact: Fact, now: int) -> None:
        stage, act = TABLE[transaction.stage][fact]
        assert act is not Act.IMPOSSIBLE, f"{fact.name} in stage {transaction.stage.name} of {id_text(transaction.id)}"
        transaction.stage = stage
        if act is Act.ACCEPT:
            self._acknowledge(transaction, fact, now)
        elif act is Act.SUBMIT:
            self._submit(transaction, now)
        elif act is Act.SYNC:
            self._sync(transaction, now)
        elif act is Act.SECURED:
            self._out.append(Tell("qmgr", Secured(transaction.id)))
        elif act is Act.ABORT:
            self._patience.end(transaction.id)
            self._out.append(Tell("qmgr", Abort(transaction.id)))
        elif act is Act.REFUSE:
            assert transaction.refusal is not None
            self._close(transaction, transaction.refusal, now)
        elif act is Act.CLOSE:
            self._close(transaction, SHUTTING_DOWN, now)

    def _sync(self, transaction: Transaction, now: int) -> None:
        assert self.writer is not None
        if self.writer.want_sync(self._out, transaction.id):  # a sync for others has covered it
            transaction.durable = True
            self._happened(transaction, Fact.SYNCED, now)

    def _submit(self, transaction: Transaction, now: int) -> None:
        content = transaction.content
        assert content is not None
        secured = transaction.stage is Stage.SUBMITTED
        assert not secured or transaction.durable, "A1: content before envelope"
        mail = transaction.mail
        envelope = Envelope(
            transaction.id,
            mail.reverse_path.address,
            tuple(transaction.recipients),
            content,
            transaction.arrived_at,
            transaction.session_id,
            transaction.client,
            transaction.protocol,
            mail.envid,
            int(mail.ret),
            int(mail.body),
            mail.smtputf8,
            transaction.hops,
            self._server,
        )
        transaction.submitted = True
        self._out.append(Tell("qmgr", Submit(envelope, secured)))
        self._patience.begin(transaction.id, now)

    def _acknowledge(self, transaction: Transaction, fact: Fact, now: int) -> None:
        """Say 250 for a message: every positive reply to the end of data comes from here (A1, I2)."""
        assert transaction.submitted, "I2: nobody took it over"
        assert transaction.durable or fact is Fact.DELIVERED, "I2: neither durable nor delivered"
        said = b"delivered" if fact is Fact.DELIVERED else b"queued"
        self._finish(transaction)
        session = transaction.session
        if session is None:
            return
        self._reply(session, Reply(250, (2, 0, 0), (b"%b %b" % (id_text(transaction.id).encode(), said),)))
        content = transaction.content
        assert content is not None
        self._out.append(Note("accepted", (session.id, transaction.id, len(transaction.recipients), content.octets)))
        self._proceed(session, now)

    def _close(self, transaction: Transaction, reply: Reply, now: int) -> None:
        """Say 4yz or 5yz; 421 ends the session too."""
        self._finish(transaction)
        session = transaction.session
        if session is None:
            return
        self._out.append(Note("refused", (session.id, transaction.id, "content", reply.code, reply.text)))
        self._reply(session, reply)
        self._proceed(session, now)

    def _finish(self, transaction: Transaction) -> None:
        """It has its reply: QMGR is told of segments that are closed now (A3); one that it never heard of leaves nothing (A5)."""
        del self._in_hand[transaction.id]
        self._patience.end(transaction.id)
        writer = self.writer
        assert writer is not None
        over = writer.answered if transaction.submitted else writer.abandon
        tell_sealed(self._out, over(self._out, transaction.id))
