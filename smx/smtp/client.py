"""Client dialogue: the client's side of an SMTP or LMTP session, without I/O and without policy.

One session carries any number of transactions, one after the other. The octets to send come out of `data_to_send`; what the caller has to know or do
comes out of `next_event`. Every recipient of a transaction gets exactly one verdict, whatever the server says or does.

    dialogue.begin(transaction)               # before or after the greeting
    dialogue.receive(octets)
    while (event := dialogue.next_event()) is not None:
        ...                                   # feed the content, do the TLS handshake, take the verdicts
    transmit(dialogue.data_to_send())

Strategies: MAIL, RCPT and DATA go out as one group where PIPELINING is offered, and each reply is matched by counting (RFC 2920 3.1). Where CHUNKING is
offered the content goes as one BDAT LAST after the replies to RCPT, which saves a round trip and the stuffing. A transaction that ended in the
middle is undone by RSET at the head of the next one. What the message needs and the server does not offer is a permanent failure of the recipients
concerned, found before anything is sent (envelope).
Standards: RFC 5321, 1870, 2033, 2034, 2920, 3030, 3207, 3461, 6152, 6531. See also: states.CLIENT, plan, reply; client_replies (what
each reply leads to), envelope (the commands), verdicts.
Not supported: AUTH, BINARYMIME.
"""

from collections import deque
from typing import Final

from smx import limits
from smx.messages import Outcome
from smx.smtp import states
from smx.smtp.client_replies import ALL, ON_REPLY
from smx.smtp.data import DotStuffer
from smx.smtp.envelope import ADDRESS_LACKS, lacking, mail_line, rcpt_line
from smx.smtp.extensions import NO_OFFERS, Offers
from smx.smtp.plan import (
    STAGE_MAIL,
    STAGE_RCPT,
    ClientEvent,
    ClientSettings,
    ContentSent,
    ContentWanted,
    SessionClosed,
    SessionReady,
    Transaction,
    TransactionDone,
)
from smx.smtp.reply import Malformed, Reply, ReplyParser
from smx.smtp.stages import STAGES, TIMEOUTS
from smx.smtp.states import Stage
from smx.smtp.verdicts import Verdicts


class ClientDialogue:
    """One session. See the module's docstring for its use."""

    __slots__ = (
        "_chunking",
        "_end_due",
        "_fed",
        "_output",
        "_pipelining",
        "_ready",
        "_refusal",
        "accepted",
        "closed",
        "dirty",
        "events",
        "expected",
        "handshaking",
        "mail_refused",
        "offers",
        "parser",
        "sending",
        "settings",
        "stuffer",
        "tls",
        "todo",
        "transaction",
        "verdicts",
    )

    def __init__(self, settings: ClientSettings, *, tls: bool = False) -> None:
        """`tls` True: the session is inside TLS from the start."""
        self.closed: bool = False
        self.sending: bool = False  # the content is wanted
        self.tls: bool = tls
        self.offers: Offers = NO_OFFERS
        self._output: bytes = b""
        self._fed: int = 0
        self._end_due: bool = False  # the end of the content was sent
        self._ready: bool = False  # EHLO or HELO is done, transactions may be sent
        self._refusal: tuple[Outcome, int, bytes, bytes, int] | None = None  # why this session takes no mail, once that is known
        self._pipelining: bool = False
        self._chunking: bool = False
        # for what is done with the replies
        self.settings: Final = settings
        self.parser: Final = ReplyParser()
        self.events: Final[deque[ClientEvent]] = deque()
        self.expected: Final[deque[tuple[Stage, int]]] = deque(((Stage.GREETING, ALL),))  # replies that are due, in their order
        self.todo: Final[deque[tuple[Stage, int, bytes]]] = deque()  # commands of the transaction that are not sent yet
        self.transaction: Transaction | None = None
        self.verdicts: Verdicts = Verdicts(0)
        self.accepted: list[int] = []  # recipients that the server accepted
        self.mail_refused: bool = False
        self.stuffer: DotStuffer | None = None  # None: the content goes by BDAT
        self.handshaking: bool = False
        self.dirty: bool = False  # RSET is needed before the next transaction

    # --- octets in, events out ---

    def receive(self, octets: bytes) -> None:
        """Take octets from the server. Call next_event until it gives None afterwards."""
        if self.closed or not octets:
            return
        if self.handshaking:
            self.break_off(b"the server sent plaintext behind its reply to STARTTLS")  # F34
            return
        self.parser.feed(octets)
        while not self.closed and not self.handshaking:
            reply = self.parser.next_reply()
            if reply is None:
                return
            self._on_reply(reply)

    def next_event(self) -> ClientEvent | None:
        """The next event, None when there is none."""
        return self.events.popleft() if self.events else None

    def data_to_send(self) -> bytes:
        """The octets for the server since the last call."""
        output = self._output
        self._output = b""
        return output

    @property
    def idle(self) -> bool:
        """The session is set up and nothing is under way: begin() sends at once."""
        return self._ready and self.transaction is None and not self.expected and not self.closed

    @property
    def stage(self) -> Stage:
        """What the session waits for."""
        if self.expected:
            return self.expected[0][0]
        return Stage.CONTENT if self.sending else Stage.STARTTLS if self.handshaking else Stage.IDLE

    @property
    def timeout_us(self) -> int:
        """How long the session may wait for what it waits for now (RFC 5321 4.5.3.2); 0 when it waits for nothing."""
        return 0 if self.closed else TIMEOUTS[self.stage]

    # --- the caller's part ---

    def begin(self, transaction: Transaction) -> None:
        """Send this transaction as soon as the session is ready. One at a time."""
        assert self.transaction is None
        assert not self.closed
        assert transaction.recipients
        assert b"\r" not in transaction.reverse_path
        assert b"\n" not in transaction.reverse_path
        self.transaction = transaction
        self.verdicts = Verdicts(len(transaction.recipients))
        self.accepted = []
        self.mail_refused = False
        self._end_due = False
        self._fed = 0
        if self._refusal is not None:
            self.verdicts.decide_all(*self._refusal)
            self._finish(reusable=False)
        elif self._ready:
            self._send_envelope(transaction)

    def send_content(self, octets: bytes) -> None:
        """The next octets of the content, unstuffed, with CRLF. Without effect when the transaction is over already."""
        if not self.sending:
            return
        self._fed += len(octets)
        assert self.transaction is not None
        assert self._fed <= self.transaction.octets, "more content than was announced"
        self._send(octets if self.stuffer is None else self.stuffer.feed(octets))

    def end_content(self) -> None:
        """The content is complete. Without effect when the transaction is over already."""
        if not self.sending:
            return
        assert self.transaction is not None
        assert self._fed == self.transaction.octets, "less content than was announced"
        self.sending = False
        if self.stuffer is not None:
            self._send(self.stuffer.finish())
        self._end_due = True
        self.dirty = False
        if self.settings.lmtp:
            self.expected.extend((Stage.END, index) for index in self.accepted)  # RFC 2033 4.2
        else:
            self.expected.append((Stage.END, ALL))
        self.events.append(ContentSent())

    def tls_started(self) -> None:
        """The handshake is done: all that the server said before is forgotten (RFC 3207 4.2)."""
        assert self.handshaking
        self.handshaking = False
        self.parser.clear()
        self.tls = True
        self.offers = NO_OFFERS
        self.say_hello()

    def tls_failed(self, text: bytes) -> None:
        """The handshake failed; the connection cannot be used. The caller may connect again, without TLS where that is allowed."""
        assert self.handshaking
        self._end(b"TLS handshake failed: " + text, (4, 7, 5))

    def lost(self, text: bytes = b"connection lost") -> None:
        """The connection broke."""
        if not self.closed:
            self._end(text, (4, 4, 2))

    def expired(self) -> None:
        """The timer of `timeout_us` fired."""
        if not self.closed:
            self._end(b"timed out waiting for the server", (4, 4, 2))

    def abort(self, text: bytes = b"local trouble") -> None:
        """The transaction cannot be finished (content unreadable). The session ends, so that the server gets no truncated message."""
        if not self.closed:
            self._end(text, (4, 3, 0))

    def quit(self) -> None:
        """End the session: QUIT, and SessionClosed after its reply. Not during a transaction."""
        assert self.transaction is None
        if self.closed:
            return
        if self._ready and not self.expected:
            self._say_quit()
        elif self.stage is not Stage.QUIT:
            self._end(b"not needed", (4, 0, 0))

    # --- replies ---

    def _on_reply(self, reply: Reply | Malformed) -> None:
        stage, index = self.expected.popleft() if self.expected else (self.stage, ALL)
        if isinstance(reply, Malformed):
            action = states.CLIENT[stage][5]
            reply = Reply(451, None, (b"malformed reply: " + reply.octets,))
        elif reply.code == 421:
            action = states.CLIENT[stage][4]
        else:
            # RFC 5321 4.3.2: only the first digit counts.
            action = states.CLIENT[stage][reply.code // 100 - 2]
        if action in ("broken", "closed", "give_up"):
            # These need to know what the reply was for.
            self.expected.appendleft((stage, index))
        ON_REPLY[action](self, reply, index)
        if not self.closed:
            self._settle()

    def _settle(self) -> None:
        """All replies of a group are in: what is next?"""
        if self.expected or self.sending or not self._ready:
            return
        if self.todo:
            if self.todo[0][0] is not Stage.DATA or self.accepted:
                self._pump()
                return
            self.todo.clear()
        if self.transaction is None:
            return
        if self._chunking and self.accepted and not self.mail_refused and not self._end_due:
            self._send_chunk(self.transaction)
        else:
            self._finish()

    # --- for what is done with the replies: client_replies ---

    def say_hello(self) -> None:
        """EHLO or LHLO."""
        verb = b"LHLO" if self.settings.lmtp else b"EHLO"
        self.command(b"%b %b\r\n" % (verb, self.settings.hostname), Stage.EHLO)

    def session_ready(self) -> None:
        """The session is set up: a transaction that waits is sent."""
        self._ready = True
        self._pipelining = self.offers.pipelining and self.settings.pipelining
        self._chunking = self.offers.chunking and self.settings.chunking
        self.events.append(SessionReady(self.offers, self.tls))
        if self.transaction is not None:
            self._send_envelope(self.transaction)

    # the envelope

    def _send_envelope(self, transaction: Transaction) -> None:
        sendable = self._sendable(transaction)
        if not sendable:
            self._finish()
            return
        todo = self.todo
        if self.dirty:
            todo.append((Stage.RSET, ALL, b"RSET\r\n"))
            self.dirty = False
        todo.append((Stage.MAIL, ALL, mail_line(transaction, sendable, self.offers)))
        dsn, smtputf8 = self.offers.dsn, self.offers.smtputf8
        for index in sendable:
            todo.append((Stage.RCPT, index, rcpt_line(transaction.recipients[index], dsn=dsn, smtputf8=smtputf8)))
        if not self._chunking:
            todo.append((Stage.DATA, ALL, b"DATA\r\n"))
        self._pump()

    def _pump(self) -> None:
        """Send commands: all of them where PIPELINING is offered (DATA ends the group, RFC 2920 3.1), else one."""
        todo = self.todo
        lines: list[bytes] = []
        while todo and (self._pipelining or not self.expected):
            stage, index, line = todo.popleft()
            self.expected.append((stage, index))
            lines.append(line)
        self._send(b"".join(lines))

    def _sendable(self, transaction: Transaction) -> list[int]:
        """The recipients whose needs the server meets; the others fail here."""
        offers = self.offers
        lacks = lacking(transaction, offers)
        sendable: list[int] = []
        for index, recipient in enumerate(transaction.recipients):
            assert b"\r" not in recipient.forward_path
            assert b"\n" not in recipient.forward_path
            if lacks is not None:
                self.verdicts.decide(index, Outcome.FAILED, 0, *lacks, STAGE_MAIL)
            elif not offers.smtputf8 and not recipient.forward_path.isascii():
                self.verdicts.decide(index, Outcome.FAILED, 0, *ADDRESS_LACKS, STAGE_RCPT)
            else:
                sendable.append(index)
        return sendable

    def _send_chunk(self, transaction: Transaction) -> None:
        """RFC 3030 2: the replies to RCPT are in, the whole content is one chunk."""
        self.stuffer = None
        self._send(b"BDAT %d LAST\r\n" % transaction.octets)
        self.want_content(transaction)

    def want_content(self, transaction: Transaction) -> None:
        """From the caller, now."""
        self.sending = True
        self.events.append(ContentWanted(transaction.octets))

    # --- the ends ---

    def give_up_with(self, outcome: Outcome, code: int, enhanced: bytes, text: bytes, stage: int) -> None:
        """This session takes no mail: every recipient without a verdict gets this one, now and at begin(); then QUIT."""
        self.todo.clear()
        self.expected.clear()
        self._refusal = (outcome, code, enhanced, text, stage)
        self.verdicts.decide_all(*self._refusal)
        self._finish(reusable=False)
        self._say_quit()

    def break_off(self, text: bytes) -> None:
        """The protocol is broken."""
        self._end(text, (4, 5, 0))

    def _end(self, text: bytes, enhanced: tuple[int, int, int]) -> None:
        """The session ends here, and not by the server's word: what is undecided is deferred."""
        text = text[: limits.REPLY_TEXT_OCTETS_MAX]
        self.verdicts.decide_all(Outcome.DEFERRED, 0, b"%d.%d.%d" % enhanced, text, STAGES[self.stage])
        self.close_with(Reply(421, enhanced, (text,)))

    def close_with(self, reply: Reply) -> None:
        """The session is over, by this reply."""
        self.closed = True
        self.sending = self.handshaking = False
        self.todo.clear()
        self.expected.clear()
        self.parser.clear()
        self._finish(reusable=False)
        self.events.append(SessionClosed(reply))

    def _finish(self, *, reusable: bool = True) -> None:
        """The transaction is over: hand out its verdicts."""
        if self.transaction is None:
            return
        verdicts = self.verdicts.complete()
        self.transaction = None
        self.stuffer = None
        self.events.append(TransactionDone(verdicts, reusable, self.offers.dsn))

    def _say_quit(self) -> None:
        self.command(b"QUIT\r\n", Stage.QUIT)

    def command(self, line: bytes, stage: Stage) -> None:
        """Send it and wait for its reply."""
        self.expected.append((stage, ALL))
        self._send(line)

    def _send(self, octets: bytes) -> None:
        self._output = self._output + octets if self._output else octets
