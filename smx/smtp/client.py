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
middle is undone by RSET at the head of the next one. Extensions are used only when offered.
What the message needs and the server does not offer is a permanent failure of the recipients concerned, found before anything is sent: 8-bit content
without 8BITMIME 5.6.3 (RFC 6152 3 forbids to send it all the same, and smx does not convert), UTF-8 addresses or headers without SMTPUTF8 5.6.7 and 5.6.9
(RFC 6531 3.2), more octets than SIZE allows 5.3.4 (RFC 1870).
Standards: RFC 5321, 1870, 2033, 2034, 2920, 3030, 3207, 3461, 6152, 6531. See also: states.CLIENT, plan, reply.
Not supported: AUTH, BINARYMIME.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from smx import limits
from smx.messages import Outcome, Ret
from smx.smtp import states
from smx.smtp.data import DotStuffer
from smx.smtp.extensions import NO_OFFERS, Offers, offers_of
from smx.smtp.grammar import notify_value, orcpt_in_ascii
from smx.smtp.plan import (
    STAGE_DATA,
    STAGE_END,
    STAGE_GREETING,
    STAGE_HELO,
    STAGE_MAIL,
    STAGE_RCPT,
    STAGE_TLS,
    TLS_MANDATORY,
    TLS_NONE,
    ClientEvent,
    ClientSettings,
    ContentSent,
    ContentWanted,
    Recipient,
    SessionClosed,
    SessionReady,
    TlsWanted,
    Transaction,
    TransactionDone,
    Verdict,
)
from smx.smtp.reply import Malformed, Reply, ReplyParser
from smx.smtp.states import Stage

_ALL: Final = -1  # the index of a reply that concerns every recipient
_RETS: Final = {Ret.FULL: b" RET=FULL", Ret.HDRS: b" RET=HDRS"}


class ClientDialogue:
    """One session. See the module's docstring for its use."""

    __slots__ = (
        "_accepted",
        "_chunking",
        "_dirty",
        "_end_due",
        "_events",
        "_expected",
        "_fed",
        "_handshaking",
        "_mail_refused",
        "_output",
        "_parser",
        "_pipelining",
        "_ready",
        "_refusal",
        "_settings",
        "_stuffer",
        "_todo",
        "_transaction",
        "_verdicts",
        "closed",
        "offers",
        "sending",
        "tls",
    )

    def __init__(self, settings: ClientSettings, *, tls: bool = False) -> None:
        """`tls` True: the session is inside TLS from the start."""
        self._settings: Final = settings
        self._parser: Final = ReplyParser()
        self._events: Final[deque[ClientEvent]] = deque()
        self._expected: Final[deque[tuple[Stage, int]]] = deque(((Stage.GREETING, _ALL),))  # replies that are due, in their order
        self._todo: Final[deque[tuple[Stage, int, bytes]]] = deque()  # commands of the transaction that are not sent yet
        self._output: bytes = b""
        self._transaction: Transaction | None = None
        self._verdicts: list[Verdict | None] = []
        self._accepted: list[int] = []  # recipients that the server accepted
        self._mail_refused: bool = False
        self._stuffer: DotStuffer | None = None  # None: the content goes by BDAT
        self._fed: int = 0
        self._end_due: bool = False  # the end of the content was sent
        self._handshaking: bool = False
        self._ready: bool = False  # EHLO or HELO is done, transactions may be sent
        self._refusal: tuple[Outcome, int, bytes, bytes, int] | None = None  # why this session takes no mail, once that is known
        self._dirty: bool = False  # RSET is needed before the next transaction
        self._pipelining: bool = False
        self._chunking: bool = False
        self.closed: bool = False
        self.sending: bool = False  # the content is wanted
        self.tls: bool = tls
        self.offers: Offers = NO_OFFERS

    # --- octets in, events out ---

    def receive(self, octets: bytes) -> None:
        """Take octets from the server. Call next_event until it gives None afterwards."""
        if self.closed or not octets:
            return
        if self._handshaking:
            self._break(b"the server sent plaintext behind its reply to STARTTLS")  # F34
            return
        self._parser.feed(octets)
        while not self.closed and not self._handshaking:
            reply = self._parser.next_reply()
            if reply is None:
                return
            self._on_reply(reply)

    def next_event(self) -> ClientEvent | None:
        """The next event, None when there is none."""
        return self._events.popleft() if self._events else None

    def data_to_send(self) -> bytes:
        """The octets for the server since the last call."""
        output = self._output
        self._output = b""
        return output

    @property
    def idle(self) -> bool:
        """The session is set up and nothing is under way: begin() sends at once."""
        return self._ready and self._transaction is None and not self._expected and not self.closed

    @property
    def stage(self) -> Stage:
        """What the session waits for."""
        if self._expected:
            return self._expected[0][0]
        return Stage.CONTENT if self.sending else Stage.STARTTLS if self._handshaking else Stage.IDLE

    @property
    def timeout_us(self) -> int:
        """How long the session may wait for what it waits for now (RFC 5321 4.5.3.2); 0 when it waits for nothing."""
        return 0 if self.closed else _TIMEOUTS[self.stage]

    # --- the caller's part ---

    def begin(self, transaction: Transaction) -> None:
        """Send this transaction as soon as the session is ready. One at a time."""
        assert self._transaction is None
        assert not self.closed
        assert transaction.recipients
        assert b"\r" not in transaction.reverse_path
        assert b"\n" not in transaction.reverse_path
        self._transaction = transaction
        self._verdicts = [None] * len(transaction.recipients)
        self._accepted = []
        self._mail_refused = False
        self._end_due = False
        self._fed = 0
        if self._refusal is not None:
            self._decide_all(*self._refusal)
            self._finish(reusable=False)
        elif self._ready:
            self._send_envelope(transaction)

    def send_content(self, octets: bytes) -> None:
        """The next octets of the content, unstuffed, with CRLF. Without effect when the transaction is over already."""
        if not self.sending:
            return
        self._fed += len(octets)
        assert self._transaction is not None
        assert self._fed <= self._transaction.octets, "more content than was announced"
        self._send(octets if self._stuffer is None else self._stuffer.feed(octets))

    def end_content(self) -> None:
        """The content is complete. Without effect when the transaction is over already."""
        if not self.sending:
            return
        assert self._transaction is not None
        assert self._fed == self._transaction.octets, "less content than was announced"
        self.sending = False
        if self._stuffer is not None:
            self._send(self._stuffer.finish())
        self._end_due = True
        if self._settings.lmtp:
            self._expected.extend((Stage.END, index) for index in self._accepted)  # RFC 2033 4.2
        else:
            self._expected.append((Stage.END, _ALL))
        self._events.append(ContentSent())

    def tls_started(self) -> None:
        """The handshake is done: all that the server said before is forgotten (RFC 3207 4.2)."""
        assert self._handshaking
        self._handshaking = False
        self._parser.clear()
        self.tls = True
        self.offers = NO_OFFERS
        self._say_hello()

    def tls_failed(self, text: bytes) -> None:
        """The handshake failed; the connection cannot be used. The caller may connect again, without TLS where that is allowed."""
        assert self._handshaking
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
        assert self._transaction is None
        if self.closed:
            return
        if self._ready and not self._expected:
            self._say_quit()
        elif self.stage is not Stage.QUIT:
            self._end(b"not needed", (4, 0, 0))

    # --- replies ---

    def _on_reply(self, reply: Reply | Malformed) -> None:
        stage, index = self._expected.popleft() if self._expected else (self.stage, _ALL)
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
            self._expected.appendleft((stage, index))
        _ON_REPLY[action](self, reply, index)
        if not self.closed:
            self._settle()

    def _settle(self) -> None:
        """All replies of a group are in: what is next?"""
        if self._expected or self.sending or not self._ready:
            return
        if self._todo:
            if self._todo[0][0] is not Stage.DATA or self._accepted:
                self._pump()
                return
            self._todo.clear()
        if self._transaction is None:
            return
        if self._chunking and self._accepted and not self._mail_refused and not self._end_due:
            self._send_chunk(self._transaction)
        else:
            self._finish()

    # session set-up

    def _say_ehlo(self, reply: Reply, index: int) -> None:
        self._say_hello()

    def _say_hello(self) -> None:
        verb = b"LHLO" if self._settings.lmtp else b"EHLO"
        self._command(b"%b %b\r\n" % (verb, self._settings.hostname), Stage.EHLO)

    def _say_helo(self, reply: Reply, index: int) -> None:
        """RFC 5321 3.2: an old server does not know EHLO. Not in LMTP, and not where TLS is needed, which HELO cannot have."""
        if self._settings.lmtp or (self._settings.tls == TLS_MANDATORY and not self.tls):
            self._expected.appendleft((Stage.EHLO, _ALL))
            self._give_up(reply, index)
        else:
            self._command(b"HELO %b\r\n" % self._settings.hostname, Stage.HELO)

    def _take_offers(self, reply: Reply, index: int) -> None:
        self.offers = offers_of(reply.lines)
        wanted = self._settings.tls
        if wanted == TLS_NONE or self.tls:
            self._session_ready()
        elif self.offers.starttls:
            self._command(b"STARTTLS\r\n", Stage.STARTTLS)
        elif wanted == TLS_MANDATORY:
            self._quit_without_tls(b"the server does not offer STARTTLS")
        else:
            self._session_ready()

    def _take_none(self, reply: Reply, index: int) -> None:
        self.offers = NO_OFFERS
        self._session_ready()

    def _want_tls(self, reply: Reply, index: int) -> None:
        self._handshaking = True
        if self._parser.pending:
            self._break(b"the server sent plaintext behind its reply to STARTTLS")  # reply injection, F34
        else:
            self._events.append(TlsWanted())

    def _without_tls(self, reply: Reply, index: int) -> None:
        if self._settings.tls == TLS_MANDATORY:
            self._quit_without_tls(b"the server refused STARTTLS: " + reply.text)
        else:
            self._session_ready()

    def _quit_without_tls(self, text: bytes) -> None:
        self._give_up_with(Outcome.DEFERRED, 0, b"4.7.4", text, STAGE_TLS)

    def _session_ready(self) -> None:
        self._ready = True
        self._pipelining = self.offers.pipelining and self._settings.pipelining
        self._chunking = self.offers.chunking and self._settings.chunking
        self._events.append(SessionReady(self.offers, self.tls))
        if self._transaction is not None:
            self._send_envelope(self._transaction)

    # the envelope

    def _send_envelope(self, transaction: Transaction) -> None:
        sendable = self._sendable(transaction)
        if not sendable:
            self._finish()
            return
        todo = self._todo
        if self._dirty:
            todo.append((Stage.RSET, _ALL, b"RSET\r\n"))
            self._dirty = False
        todo.append((Stage.MAIL, _ALL, self._mail_line(transaction, sendable)))
        dsn, smtputf8 = self.offers.dsn, self.offers.smtputf8
        for index in sendable:
            todo.append((Stage.RCPT, index, _rcpt_line(transaction.recipients[index], dsn=dsn, smtputf8=smtputf8)))
        if not self._chunking:
            todo.append((Stage.DATA, _ALL, b"DATA\r\n"))
        self._pump()

    def _pump(self) -> None:
        """Send commands: all of them where PIPELINING is offered (DATA ends the group, RFC 2920 3.1), else one."""
        todo = self._todo
        lines: list[bytes] = []
        while todo and (self._pipelining or not self._expected):
            stage, index, line = todo.popleft()
            self._expected.append((stage, index))
            lines.append(line)
        self._send(b"".join(lines))

    def _sendable(self, transaction: Transaction) -> list[int]:
        """The recipients whose needs the server meets; the others fail here."""
        offers = self.offers
        lacking = _lacking(transaction, offers)
        sendable: list[int] = []
        for index, recipient in enumerate(transaction.recipients):
            assert b"\r" not in recipient.forward_path
            assert b"\n" not in recipient.forward_path
            if lacking is not None:
                self._decide(index, Outcome.FAILED, 0, *lacking, STAGE_MAIL)
            elif not offers.smtputf8 and not recipient.forward_path.isascii():
                self._decide(index, Outcome.FAILED, 0, b"5.6.7", b"the server does not take non-ASCII addresses (SMTPUTF8)", STAGE_RCPT)
            else:
                sendable.append(index)
        return sendable

    def _mail_line(self, transaction: Transaction, sendable: list[int]) -> bytes:
        offers = self.offers
        line = b"MAIL FROM:<%b>" % transaction.reverse_path
        if offers.size:
            line += b" SIZE=%d" % transaction.octets
        if transaction.eight_bit:
            line += b" BODY=8BITMIME"
        if offers.smtputf8 and _needs_smtputf8(transaction, sendable):
            line += b" SMTPUTF8"  # RFC 6531 3.4: only when it is needed
        if offers.dsn:
            line += _RETS.get(Ret(transaction.ret), b"")
            if transaction.envid:
                line += b" ENVID=" + transaction.envid
        return line + b"\r\n"

    def _on_accepted(self, reply: Reply, index: int) -> None:
        """MAIL (index _ALL) or RCPT was accepted. RCPT after a refused MAIL counts for nothing."""
        if index == _ALL:
            self._dirty = True
        elif not self._mail_refused:
            self._accepted.append(index)

    def _on_mail_refused(self, reply: Reply, index: int) -> None:
        self._mail_refused = True
        self._dirty = True  # RFC 1870 6.2: RSET or QUIT comes next
        self._todo.clear()
        self._decide_all(_outcome(reply), reply.code, _enhanced(reply), reply.text, STAGE_MAIL)

    def _on_rcpt_refused(self, reply: Reply, index: int) -> None:
        if self._verdicts[index] is not None:
            return  # MAIL was refused
        outcome = Outcome.DEFERRED if _too_many_recipients(reply, bool(self._accepted)) else _outcome(reply)
        self._decide(index, outcome, reply.code, _enhanced(reply), reply.text, STAGE_RCPT)

    # the content

    def _on_go_ahead(self, reply: Reply, index: int) -> None:
        """354."""
        assert self._transaction is not None
        if self._accepted:
            self._stuffer = DotStuffer(dot_lines=self._transaction.dot_lines)
            self._want_content(self._transaction)
        elif self._settings.lmtp:
            self._break(b"354 without a recipient")  # RFC 2033 4.2 forbids it, and nobody knows how many replies would follow
        else:
            # RFC 2920 3.1: a lone dot; 3.2: the server sends nothing to anybody then.
            self._command(b".\r\n", Stage.DISCARD)

    def _send_chunk(self, transaction: Transaction) -> None:
        """RFC 3030 2: the replies to RCPT are in, the whole content is one chunk."""
        self._stuffer = None
        self._send(b"BDAT %d LAST\r\n" % transaction.octets)
        self._want_content(transaction)

    def _want_content(self, transaction: Transaction) -> None:
        self.sending = True
        self._events.append(ContentWanted(transaction.octets))

    def _on_data_refused(self, reply: Reply, index: int) -> None:
        self._decide_all(_outcome(reply), reply.code, _enhanced(reply), reply.text, STAGE_DATA)

    def _on_cut_short(self, reply: Reply, index: int) -> None:
        """The server refused in the middle of the content. There is no way to end it but to close."""
        self._decide_all(_outcome(reply), reply.code, _enhanced(reply), reply.text, STAGE_DATA)
        self._close(reply)

    def _on_delivered(self, reply: Reply, index: int) -> None:
        # RFC 3461 5.2.2: an SMTP server without DSN does not take over the duty to notify.
        outcome = Outcome.DELIVERED if self._settings.lmtp or self.offers.dsn else Outcome.RELAYED
        self._on_end(outcome, reply, index)

    def _on_end_refused(self, reply: Reply, index: int) -> None:
        self._on_end(_outcome(reply), reply, index)

    def _on_end(self, outcome: Outcome, reply: Reply, index: int) -> None:
        if index == _ALL:
            self._decide_all(outcome, reply.code, _enhanced(reply), reply.text, STAGE_END)
        else:
            self._decide(index, outcome, reply.code, _enhanced(reply), reply.text, STAGE_END)
        self._dirty = False

    def _go_on(self, reply: Reply, index: int) -> None:
        """Nothing depends on this reply."""

    # --- the ends ---

    def _give_up(self, reply: Reply, index: int) -> None:
        """The server wants no mail from us now: every recipient gets its reply, then QUIT."""
        self._give_up_with(_outcome(reply), reply.code, _enhanced(reply), reply.text, _STAGES[self.stage])

    def _give_up_with(self, outcome: Outcome, code: int, enhanced: bytes, text: bytes, stage: int) -> None:
        self._todo.clear()
        self._expected.clear()
        self._refusal = (outcome, code, enhanced, text, stage)
        self._decide_all(*self._refusal)
        self._finish(reusable=False)
        self._say_quit()

    def _on_broken(self, reply: Reply, index: int) -> None:
        self._break(b"unexpected reply: %d " % reply.code + reply.text)

    def _on_closed(self, reply: Reply, index: int) -> None:
        """421: the server closes (RFC 5321 3.8)."""
        self._decide_all(Outcome.DEFERRED, reply.code, _enhanced(reply), reply.text, _STAGES[self.stage])
        self._close(reply)

    def _on_over(self, reply: Reply, index: int) -> None:
        """QUIT was answered, no matter how."""
        self._close(reply)

    def _break(self, text: bytes) -> None:
        self._end(text, (4, 5, 0))

    def _end(self, text: bytes, enhanced: tuple[int, int, int]) -> None:
        """The session ends here, and not by the server's word: what is undecided is deferred."""
        text = text[: limits.REPLY_TEXT_OCTETS_MAX]
        self._decide_all(Outcome.DEFERRED, 0, b"%d.%d.%d" % enhanced, text, _STAGES[self.stage])
        self._close(Reply(421, enhanced, (text,)))

    def _close(self, reply: Reply) -> None:
        self.closed = True
        self.sending = self._handshaking = False
        self._todo.clear()
        self._expected.clear()
        self._parser.clear()
        self._finish(reusable=False)
        self._events.append(SessionClosed(reply))

    def _finish(self, *, reusable: bool = True) -> None:
        """The transaction is over: hand out its verdicts."""
        if self._transaction is None:
            return
        verdicts = tuple(verdict for verdict in self._verdicts if verdict is not None)
        assert len(verdicts) == len(self._transaction.recipients), "a recipient has no verdict"
        self._transaction = None
        self._stuffer = None
        self._events.append(TransactionDone(verdicts, reusable, self.offers.dsn))

    def _decide_all(self, outcome: Outcome, code: int, enhanced: bytes, text: bytes, stage: int) -> None:
        """The same verdict for every recipient that has none yet."""
        for index, verdict in enumerate(self._verdicts):
            if verdict is None:
                self._decide(index, outcome, code, enhanced, text, stage)

    def _decide(self, index: int, outcome: Outcome, code: int, enhanced: bytes, text: bytes, stage: int) -> None:
        assert self._verdicts[index] is None, "one verdict for each recipient"
        self._verdicts[index] = Verdict(index, outcome, code, enhanced, text, stage)

    def _say_quit(self) -> None:
        self._command(b"QUIT\r\n", Stage.QUIT)

    def _command(self, line: bytes, stage: Stage) -> None:
        self._expected.append((stage, _ALL))
        self._send(line)

    def _send(self, octets: bytes) -> None:
        self._output = self._output + octets if self._output else octets


def _lacking(transaction: Transaction, offers: Offers) -> tuple[bytes, bytes] | None:
    """(enhanced, text) when the server lacks what the message needs for whatever recipient."""
    if offers.size_octets_max and transaction.octets > offers.size_octets_max:
        return b"5.3.4", b"the message is larger than the server accepts (%d octets)" % offers.size_octets_max
    if not offers.smtputf8 and not transaction.reverse_path.isascii():
        return b"5.6.7", b"the server does not take non-ASCII addresses (SMTPUTF8)"
    if not offers.smtputf8 and transaction.utf8_headers:
        return b"5.6.9", b"the server does not take UTF-8 header fields (SMTPUTF8)"
    if not offers.eight_bit_mime and transaction.eight_bit:
        return b"5.6.3", b"the server does not take 8-bit content (8BITMIME)"
    return None


def _needs_smtputf8(transaction: Transaction, sendable: list[int]) -> bool:
    if transaction.utf8_headers or not transaction.reverse_path.isascii():
        return True
    recipients = transaction.recipients
    return not all(recipients[index].forward_path.isascii() and recipients[index].orcpt.isascii() for index in sendable)


def _rcpt_line(recipient: Recipient, *, dsn: bool, smtputf8: bool) -> bytes:
    line = b"RCPT TO:<%b>" % recipient.forward_path
    if dsn:
        if recipient.notify:
            line += b" NOTIFY=" + notify_value(recipient.notify)
        if recipient.orcpt:
            line += b" ORCPT=" + (recipient.orcpt if smtputf8 else orcpt_in_ascii(recipient.orcpt))
    return line + b"\r\n"


def _outcome(reply: Reply) -> Outcome:
    return Outcome.FAILED if reply.permanent else Outcome.DEFERRED


def _enhanced(reply: Reply) -> bytes:
    return b"" if reply.enhanced is None else b"%d.%d.%d" % reply.enhanced


def _too_many_recipients(reply: Reply, some_accepted: bool) -> bool:
    """RFC 5321 4.5.3.1.10: 552 to RCPT once meant "too many recipients", which is temporary. RFC 1870 6.4: it may mean the size, which is not.

    The enhanced code tells; without one, it is a matter of whether a recipient was accepted before.
    """
    if reply.code != 552:
        return False
    return some_accepted if reply.enhanced is None else reply.enhanced[1:] == (5, 3)


_Handler = Callable[[ClientDialogue, Reply, int], None]
_ON_REPLY: Final[dict[str, _Handler]] = {
    "say_ehlo": ClientDialogue._say_ehlo,
    "take_offers": ClientDialogue._take_offers,
    "say_helo": ClientDialogue._say_helo,
    "take_none": ClientDialogue._take_none,
    "want_tls": ClientDialogue._want_tls,
    "without_tls": ClientDialogue._without_tls,
    "give_up": ClientDialogue._give_up,
    "accepted": ClientDialogue._on_accepted,
    "mail_refused": ClientDialogue._on_mail_refused,
    "rcpt_refused": ClientDialogue._on_rcpt_refused,
    "go_ahead": ClientDialogue._on_go_ahead,
    "data_refused": ClientDialogue._on_data_refused,
    "cut_short": ClientDialogue._on_cut_short,
    "delivered": ClientDialogue._on_delivered,
    "end_refused": ClientDialogue._on_end_refused,
    "go_on": ClientDialogue._go_on,
    "broken": ClientDialogue._on_broken,
    "closed": ClientDialogue._on_closed,
    "over": ClientDialogue._on_over,
}

_TIMEOUTS: Final = {
    Stage.GREETING: limits.GREETING_TIMEOUT_US,
    Stage.EHLO: limits.HELO_TIMEOUT_US,
    Stage.HELO: limits.HELO_TIMEOUT_US,
    Stage.STARTTLS: limits.STARTTLS_TIMEOUT_US,
    Stage.IDLE: 0,
    Stage.MAIL: limits.MAIL_TIMEOUT_US,
    Stage.RCPT: limits.RCPT_TIMEOUT_US,
    Stage.DATA: limits.DATA_INITIATION_TIMEOUT_US,
    Stage.CONTENT: limits.DATA_BLOCK_TIMEOUT_US,
    Stage.END: limits.DATA_TERMINATION_TIMEOUT_US,
    Stage.DISCARD: limits.DATA_TERMINATION_TIMEOUT_US,
    Stage.RSET: limits.RSET_TIMEOUT_US,
    Stage.QUIT: limits.QUIT_TIMEOUT_US,
}

_STAGES: Final = {
    Stage.GREETING: STAGE_GREETING,
    Stage.EHLO: STAGE_HELO,
    Stage.HELO: STAGE_HELO,
    Stage.STARTTLS: STAGE_TLS,
    Stage.IDLE: STAGE_MAIL,
    Stage.MAIL: STAGE_MAIL,
    Stage.RCPT: STAGE_RCPT,
    Stage.DATA: STAGE_DATA,
    Stage.CONTENT: STAGE_DATA,
    Stage.END: STAGE_END,
    Stage.DISCARD: STAGE_DATA,
    Stage.RSET: STAGE_MAIL,
    Stage.QUIT: STAGE_MAIL,
}
