"""Service: what is done about each request of a client, once the deciders have spoken.

    request            deciders                          when granted
    Opening            stopping, link, sessions, client  220
    Helo               -                                 the keywords
    Mail               stopping, transactions, gate      a transaction id; the transaction begins
    Rcpt               recipients (one question to SMAR) the recipient joins the envelope
    ContentBegin       -                                 354; the Received field is made
    ContentEnd         loop, room                        the content goes to CDB, the envelope to QMGR; the reply comes later
    StartTls           -                                 220, handshake

Facts (ContentChunk, ContentRefused, TransactionReset, Quit, Closing, Refused, Noticed) ask nobody.
"""

from typing import Final

from smx.config.schema_smtps import ClientLimits
from smx.effects import AnyEffect, Note, StartTls
from smx.ids import id_text
from smx.messages import AdmissionState, Recipient
from smx.smtp import replies, requests
from smx.smtp.reply import Reply
from smx.smtp.requests import ContentBegin, ContentChunk, ContentEnd, ContentRefused, Helo, Mail, Rcpt, Refused, Request
from smx.smtp.trace import Stamp, loops, protocol_name, received_field
from smx.smtps.admission import Gate
from smx.smtps.clients import Clients
from smx.smtps.content import Intake
from smx.smtps.deciders import Courses, Decidable, Opening, Wait
from smx.smtps.recipients import Recipients
from smx.smtps.session import Session
from smx.smtps.sessions import Sessions
from smx.smtps.submission import Submissions
from smx.smtps.transaction import Stage, Transaction

_TOO_MANY_TRANSACTIONS: Final = Reply(421, (4, 7, 0), (b"Too many messages in one session, connect again",))
_SESSIONS_FULL: Final = Reply(421, (4, 3, 2), (b"Too busy, try again later",))
_NO_QUEUE: Final = Reply(421, (4, 3, 2), (b"Service not available, try again later",))
_COMMANDS: Final[dict[type[Decidable], bytes]] = {
    Opening: b"connection",
    Helo: b"EHLO",
    Mail: b"MAIL",
    Rcpt: b"RCPT",
    ContentBegin: b"DATA",
    ContentEnd: b"content",
    requests.StartTls: b"STARTTLS",
}


class Service:
    """Everything that concerns clients; the machine feeds it events and the messages of QMGR and SMAR."""

    def __init__(self, out: list[AnyEffect], name: str, hostname: bytes, memory_octets_max: int, budget_octets: int) -> None:
        self._out: Final = out
        self._hostname: Final = hostname
        self.gate: Final = Gate(out.append)
        self.recipients: Final = Recipients(out.append, name, hostname)
        self.sessions: Final = Sessions(out, self._handle, self._on_end)
        self.intake: Final = Intake(out, memory_octets_max, budget_octets, self.sessions.proceed)
        self.submissions: Final = Submissions(out, name, self.reply_to_content, self.sessions.proceed)
        self._courses: Final = Courses(
            {
                Opening: (self._decide_opening,),
                Helo: (),
                Mail: (self._decide_mail, self.gate.decide),
                Rcpt: (self.recipients.decide,),
                ContentBegin: (),
                ContentEnd: (self._decide_loop, self._decide_room),
                requests.StartTls: (),
            },
            self._grant,
            self._refuse,
            self.sessions.proceed,
        )
        self.gate.resume = self.recipients.resume = self._courses.resume
        self._granted: Final = {
            Opening: self._greet,
            Helo: self._take_name,
            Mail: self._begin_transaction,
            Rcpt: self._add_recipient,
            ContentBegin: self._begin_content,
            ContentEnd: self._end_content,
            requests.StartTls: self._start_tls,
        }
        self.clients = Clients(ClientLimits(connections_max=0))
        self.tls_context = ""
        self.wall_offset = 0
        self.sessions_max = 0
        self.transactions_max = 0
        self.stopping = False
        self.linked = False  # to QMGR

    def open(self, session: Session, now: int) -> None:
        """A client connected."""
        self.sessions.add(session, now)
        self._courses.begin(session, Opening(), now)
        self.sessions.proceed(session, now)

    # --- requests

    def _handle(self, session: Session, request: Request, now: int) -> None:
        if isinstance(request, ContentChunk):
            transaction = session.transaction
            assert transaction is not None
            self.intake.take(session, transaction, request.octets)
        elif isinstance(request, Refused):
            self._note_refusal(session, request.verb, request.reply)
        elif isinstance(request, (ContentRefused, requests.TransactionReset, requests.Quit, requests.Closing)):
            if isinstance(request, ContentRefused):
                self._note_refusal(session, b"content", request.reply)
            self._drop_transaction(session)
        elif not isinstance(request, requests.Noticed):
            self._courses.begin(session, request, now)

    def _grant(self, session: Session, request: Decidable, now: int) -> None:
        self._granted[type(request)](session, request, now)  # type: ignore[operator]  # each takes the requests of its key

    def _refuse(self, session: Session, request: Decidable, reply: Reply, now: int) -> None:
        """A decider said no."""
        self._note_refusal(session, _COMMANDS[type(request)], reply)
        if isinstance(request, Opening):
            session.dialogue.greet(reply)
            return
        if isinstance(request, ContentEnd):
            self._drop_transaction(session)
        session.dialogue.answer(reply)

    def _note_refusal(self, session: Session, command: bytes, reply: Reply) -> None:
        transaction = session.transaction
        self._out.append(Note("refused", (session.id, 0 if transaction is None else transaction.id, command, reply.code, reply.text)))

    # --- deciders

    def _decide_opening(self, session: Session, request: Decidable, now: int) -> Reply | Wait | None:
        if self.stopping:
            return replies.SHUTTING_DOWN
        if not self.linked:
            return _NO_QUEUE
        sessions = len(self.sessions) - 1
        crowded = self.gate.state.state == AdmissionState.CLOSED and 2 * sessions > self.sessions_max
        if crowded or sessions >= self.sessions_max:
            return _SESSIONS_FULL
        if not self.clients.admit(session.host, now):
            return replies.TOO_MANY_SESSIONS  # SX22
        session.admitted = True
        return None

    def _decide_mail(self, session: Session, request: Decidable, now: int) -> Reply | Wait | None:
        if self.stopping:
            return replies.SHUTTING_DOWN
        if not self.linked:
            return _NO_QUEUE
        if session.transactions >= self.transactions_max:
            return _TOO_MANY_TRANSACTIONS
        return None

    def _decide_loop(self, session: Session, request: Decidable, now: int) -> Reply | Wait | None:
        """A message that was delivered before to every one of its recipients goes round in a circle. Where it is some of them, LDA says so for those."""
        assert isinstance(request, ContentEnd)
        delivered_to = request.facts.delivered_to
        transaction = session.transaction
        assert transaction is not None
        if delivered_to and all(loops(delivered_to, recipient.address) for recipient in transaction.recipients):
            return replies.LOOP
        return None

    def _decide_room(self, session: Session, request: Decidable, now: int) -> Reply | Wait | None:
        """The content must fit what QMGR allows now (SX25), and QMGR must be there (A9)."""
        assert isinstance(request, ContentEnd)
        if not self.linked:
            return _NO_QUEUE
        bound = self.gate.state.block_octets
        if bound and request.facts.octets > bound:
            return replies.STORAGE_FULL
        return None

    # --- what is granted

    def _greet(self, session: Session, request: Opening, now: int) -> None:
        session.dialogue.greet()

    def _take_name(self, session: Session, request: Helo, now: int) -> None:
        session.helo = request.name
        session.client = f"{request.name.decode('utf-8', 'backslashreplace')} {session.client_address}"
        session.dialogue.accept()
        self._out.append(Note("greeted", (session.id, request.name, self.protocol_of(session))))

    def _begin_transaction(self, session: Session, request: Mail, now: int) -> None:
        number = self.gate.next_id()
        if number is None:
            session.dialogue.answer(replies.OVERLOADED)
            return
        session.transactions += 1
        session.transaction = Transaction(number, session, request)
        session.dialogue.accept()

    def _add_recipient(self, session: Session, request: Rcpt, now: int) -> None:
        transaction = session.transaction
        assert transaction is not None
        recipients = transaction.recipients
        recipients.append(Recipient(len(recipients), self.recipients.address_of(request), int(request.notify), request.orcpt))
        session.dialogue.accept()

    def _begin_content(self, session: Session, request: ContentBegin, now: int) -> None:
        transaction = session.transaction
        assert transaction is not None
        self.intake.begin(transaction, self._received(session, transaction, now))
        session.dialogue.accept()

    def _end_content(self, session: Session, request: ContentEnd, now: int) -> None:
        """The final dot: place the content and hand the envelope over. The reply comes from `submissions`."""
        transaction = session.transaction
        assert transaction is not None
        content = self.intake.complete(transaction, request.facts)
        if content is None:
            self._note_refusal(session, b"content", replies.STORAGE_FULL)
            self._drop_transaction(session)
            session.dialogue.answer(replies.STORAGE_FULL)  # A10: this message only
            return
        transaction.content = content
        transaction.hops = request.facts.hops + 1
        transaction.arrived_at = now + self.wall_offset
        transaction.protocol = self.protocol_of(session)
        self.submissions.begin(transaction, now)

    def _start_tls(self, session: Session, request: requests.StartTls, now: int) -> None:
        session.dialogue.accept()
        self.sessions.flush(session)
        if not session.dialogue.closed:  # octets came behind the command while it was decided (F34)
            self._out.append(StartTls(session.connection, True, self.tls_context))

    # --- the ends

    def reply_to_content(self, session: Session, reply: Reply) -> None:
        """The reply to the end of data; it is transmitted at once."""
        session.transaction = None
        session.dialogue.answer(reply)
        self.sessions.flush(session)

    def _drop_transaction(self, session: Session) -> None:
        """RSET, QUIT, refusal, or the end of the session: before the final dot nothing stays, behind it the message goes on (A9)."""
        transaction = session.transaction
        if transaction is None:
            return
        session.transaction = None
        transaction.session = None
        session.held = False
        if transaction.stage is Stage.OPEN:
            self.intake.drop(transaction)
        else:
            self._out.append(Note("vanished", (session.id, transaction.id)))

    def _on_end(self, session: Session) -> None:
        self._drop_transaction(session)
        self.gate.forget(session)
        if session.admitted:
            self.clients.leave(session.host)

    # --- trace

    def protocol_of(self, session: Session) -> str:
        """The protocol as Received and the envelope name it (RFC 3848)."""
        dialogue = session.dialogue
        smtputf8 = session.transaction is not None and session.transaction.mail.smtputf8
        return protocol_name(lmtp=dialogue.lmtp, extended=dialogue.extended, tls=dialogue.tls, smtputf8=smtputf8).decode("ascii")

    def _received(self, session: Session, transaction: Transaction, now: int) -> bytes:
        recipients = transaction.recipients
        stamp = Stamp(
            session.helo,
            session.host,
            self._hostname,
            self.protocol_of(session).encode("ascii"),
            id_text(transaction.id).encode("ascii"),
            now + self.wall_offset,
            recipient=recipients[0].address if len(recipients) == 1 else b"",
            tls=session.tls,
        )
        return received_field(stamp)
