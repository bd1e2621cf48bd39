"""Server dialogue: the server's side of an SMTP or LMTP session, without I/O and without policy.

Octets go in with `receive`, requests come out of `next_request`, replies out of `data_to_send`. What needs policy is a request that waits for a
decision: commands behind it are held back, so replies keep the order of commands (I12) and one decision is outstanding at most. Everything else
is answered here: syntax, sequence, sizes, counts, the odd commands, misbehaviour. The tables of `states` say which command is served when.

    dialogue.receive(octets)
    while (request := dialogue.next_request()) is not None:
        ...                                   # decide: accept, answer, answer_recipients; or leave it, and come back after the decision
    transmit(dialogue.data_to_send())

Bounds (I16): a line, the held-back input (`want_reading`), the header section, recipients, errors, refusals and empty commands are bounded by `limits`.
Standards: RFC 5321, 1870, 2033, 2034, 2920, 3030, 3207, 3461, 6152, 6531. See also: states, requests, replies, commands, data.
Not supported: AUTH (its place is the AUTH row of the tables), BINARYMIME.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from smx import limits
from smx.smtp import replies, states
from smx.smtp.commands import bdat_chunk, helo_name, mail_request, rcpt_request
from smx.smtp.conduct import Conduct
from smx.smtp.data import DataReader
from smx.smtp.extensions import NO_OFFERS, Offers, keyword_lines
from smx.smtp.lines import OVERLONG, LineReader
from smx.smtp.reception import Chunk, Reception
from smx.smtp.reply import Reply, render
from smx.smtp.requests import (
    Closing,
    ContentBegin,
    ContentChunk,
    ContentEnd,
    ContentRefused,
    Helo,
    Mail,
    Noticed,
    Quit,
    Rcpt,
    Refused,
    Request,
    StartTls,
    TransactionReset,
)
from smx.smtp.settings import ServerSettings, offered
from smx.smtp.states import State

__all__ = ["ServerDialogue", "ServerSettings"]

_TAKE_OCTETS_MAX: Final = limits.CONTENT_CHUNK_OCTETS
_HTTP: Final = (b"GET ", b"POST ", b"PUT ", b"HEAD ", b"CONNECT ", b"OPTIONS ", b"DELETE ", b"PATCH ")  # F32
_BEFORE_TLS: Final = frozenset((b"NOOP", b"EHLO", b"LHLO", b"STARTTLS", b"QUIT"))  # RFC 3207 4


class ServerDialogue:
    """One session. See the module's docstring for its use; `greet` begins it."""

    __slots__ = (
        "_chunk",
        "_conduct",
        "_data",
        "_offers",
        "_output",
        "_paused",
        "_queue",
        "_reader",
        "_reception",
        "_role_open",
        "_settings",
        "_table",
        "early_talker",
        "extended",
        "helo_name",
        "pending",
        "recipients",
        "smtputf8",
        "state",
        "tls",
    )

    def __init__(self, settings: ServerSettings, *, tls: bool = False) -> None:
        """`tls` True: the session is inside TLS from the start."""
        self._settings: Final = settings
        self._table: Final = states.LMTP if settings.lmtp else states.SMTP
        self._reader: Final = LineReader(limits.COMMAND_LINE_OCTETS_MAX)
        self._queue: Final[deque[Request]] = deque()
        self._output: Final = bytearray()
        self._paused: bool = False
        self._offers: Offers = NO_OFFERS
        self._data: DataReader | None = None
        self._reception: Reception | None = None  # the content of the open transaction, once it has begun
        self._chunk: Chunk | None = None
        self._role_open: bool = False  # the role holds an open transaction
        self._conduct: Final = Conduct(settings)
        self.state: State = State.GREETING
        self.pending: Request | None = None  # the request whose decision is awaited
        self.tls: bool = tls
        self.extended: bool = False  # EHLO or LHLO was used
        self.helo_name: bytes = b""
        self.smtputf8: bool = False  # of the open transaction
        self.recipients: int = 0  # accepted in the open transaction
        self.early_talker: bool = False  # octets came before the greeting (F32)

    # --- octets in, requests out ---

    def receive(self, octets: bytes) -> None:
        """Take octets from the client. Call next_request until it gives None afterwards."""
        state = self.state
        if state >= State.TLS:
            # Closed, or plaintext behind the STARTTLS command: it is never looked at (RFC 3207, F34).
            return
        if state is State.GREETING and octets:
            self.early_talker = True
        self._reader.feed(octets)

    def next_request(self) -> Request | None:
        """The next request; None when more octets or a decision are needed, or while paused."""
        if self._paused:
            return None
        queue = self._queue
        while not queue:
            if self.pending is not None or not self._advance():
                return None
        return queue.popleft()

    def pause(self) -> None:
        """Give out no requests until resume(): the role cannot take more content now."""
        self._paused = True

    def resume(self) -> None:
        """The end of pause()."""
        self._paused = False

    def want_reading(self) -> bool:
        """False when the transport should stop reading: enough is held back, or nothing can be used (I16)."""
        return self.state < State.TLS and not self._paused and self._reader.pending < limits.INPUT_OCTETS_MAX

    def data_to_send(self) -> bytes:
        """The octets for the client since the last call."""
        output = bytes(self._output)
        self._output.clear()
        return output

    @property
    def closed(self) -> bool:
        """The session is over: close when everything is sent."""
        return self.state is State.CLOSED

    @property
    def lmtp(self) -> bool:
        """LMTP, not SMTP."""
        return self._settings.lmtp

    # --- the role's part ---

    def greet(self, reply: Reply | None = None) -> None:
        """Begin. `reply` refuses: after 421 the session is closed, after 5yz only QUIT is served (RFC 5321 3.1, RFC 7504 3)."""
        assert self.state is State.GREETING
        if self.early_talker:
            self._queue.append(Noticed("early_talker"))
        if reply is None:
            settings = self._settings
            self._say(Reply(220, None, (b"%b %b %b" % (settings.hostname, b"LMTP" if settings.lmtp else b"ESMTP", settings.banner),)))
            self.state = State.START
            return
        assert reply.code >= 400
        self._say(Reply(reply.code, None, reply.lines))  # RFC 2034 4: no enhanced code in the greeting
        self.state = State.CLOSED if reply.code == 421 else State.REFUSED

    def accept(self) -> None:
        """Decide the pending request with its usual positive reply."""
        assert self.pending is not None
        self.answer(_ACCEPTED[type(self.pending)])

    def answer(self, reply: Reply) -> None:
        """Decide the pending request: 2yz (354 for ContentBegin) accepts it, 4yz and 5yz refuse it, 421 refuses it and closes.

        A positive answer to EHLO gets the keywords added, one to a BDAT is given when the chunk has arrived. At the end of the content in LMTP
        the reply is said for every recipient.
        """
        request = self.pending
        assert request is not None, "nothing is pending"
        if reply.code == 421:
            self._close(reply)
            return
        self.pending = None
        _ANSWERED[type(request)](self, request, reply)

    def answer_recipients(self, answers: Sequence[Reply]) -> None:
        """LMTP: decide the end of the content, one reply for each accepted recipient in their order (RFC 2033 4.2)."""
        assert type(self.pending) is ContentEnd
        assert self.lmtp
        assert len(answers) == self.recipients
        self.pending = None
        self._end_transaction(any(answer.positive for answer in answers))
        for answer in answers:
            self._say(answer)

    def tls_started(self) -> None:
        """The handshake is done: everything is as after the greeting, nothing is remembered (RFC 3207 4.2)."""
        assert self.state is State.TLS
        self._reader.clear()
        self.state = State.START
        self.tls = True
        self.extended = False
        self.helo_name = b""
        self._offers = NO_OFFERS

    def shutdown(self, reply: Reply = replies.SHUTTING_DOWN) -> None:
        """Say 421 now, whatever is going on, and close (RFC 5321 3.8). It takes the place of a decision that is awaited."""
        if self.state is not State.CLOSED:
            self._close(reply)

    # --- reading commands ---

    def _advance(self) -> bool:
        """Use some of the input; False when it takes more octets or the role to go on."""
        state = self.state
        if state <= State.FAILED:
            return self._read_command()
        if state is State.DATA:
            return self._read_data()
        if state is State.CHUNK:
            return self._read_chunk()
        return False

    def _read_command(self) -> bool:
        line = self._reader.next_line()
        if line is None:
            return False
        if not isinstance(line, bytes):
            self._refuse(b"", replies.LINE_OVERLONG if line == OVERLONG else replies.LINE_BARE)
            return True
        verb, _, argument = line.partition(b" ")
        if argument:
            argument = argument.rstrip(b" \t")  # RFC 5321 4.1.1: trailing white space is tolerated
        verb = verb.upper()
        row = self._table.get(verb)
        if row is None:
            self._read_unknown(line)
            return True
        if self._settings.tls_required and not self.tls and verb not in _BEFORE_TLS and self.state is not State.REFUSED:
            self._refuse(verb, replies.TLS_NEEDED)
            return True
        action = row[self.state]
        handler = _ACTIONS.get(action)
        if handler is None:
            self._refuse(verb, replies.TABLE[action], count=action not in _INNOCENT)
        else:
            handler(self, verb, argument)
        return True

    def _read_unknown(self, line: bytes) -> None:
        """A verb that is not in the table; "verb" with trailing white space or tabs only is one that is."""
        verb, _, argument = line.rstrip(b" \t").replace(b"\t", b" ").partition(b" ")
        if line != verb and not argument and verb.upper() in self._table:
            self._reader_again(verb)
        elif line.startswith(_HTTP):
            self._close(replies.NOT_SMTP)
        else:
            self._refuse(verb.upper()[:32], replies.TABLE[self._table[states.OTHER][self.state]])

    def _reader_again(self, verb: bytes) -> None:
        rest = self._reader.take_all()
        self._reader.feed(verb + b"\r\n" + rest)

    # --- actions of the table ---

    def _on_helo(self, verb: bytes, argument: bytes) -> None:
        name = helo_name(argument, lenient=self._settings.lenient)
        if name is None:
            self._refuse(verb, replies.HELO_SYNTAX)
            return
        if self._reader.pending and not self._tolerate_pipelining():
            return
        if self.helo_name and not self._count_junk():
            return
        self._await(Helo(name, verb))

    def _on_mail(self, verb: bytes, argument: bytes) -> None:
        request = mail_request(argument, self._offers, lenient=self._settings.lenient)
        if isinstance(request, Reply):
            self._refuse(verb, request)
        elif request.size > self._settings.message_octets_max:
            self._refuse(verb, replies.SIZE_EXCEEDED, count=False)  # RFC 1870 6.1
        else:
            self._await(request)

    def _on_rcpt(self, verb: bytes, argument: bytes) -> None:
        request = rcpt_request(argument, self._offers, smtputf8=self.smtputf8, lenient=self._settings.lenient)
        if isinstance(request, Reply):
            self._refuse(verb, request)
        elif self.recipients >= self._settings.recipients_max:
            self._refuse(verb, replies.RECIPIENTS_EXCEEDED, count=False)  # RFC 5321 4.5.3.1.10
        else:
            self._await(request)

    def _on_data(self, verb: bytes, argument: bytes) -> None:
        if argument:
            self._refuse(verb, replies.NO_ARGUMENTS)
        elif not self._reader.pending or self._tolerate_pipelining():
            self._await(ContentBegin(chunked=False))

    def _on_bdat(self, verb: bytes, argument: bytes) -> None:
        chunk = bdat_chunk(argument)
        if chunk is None:
            self._refuse(verb, replies.CHUNK_SYNTAX)
        elif not self._offers.chunking:
            self._skip_chunk(chunk, replies.NOT_IMPLEMENTED)
        else:
            self._chunk = chunk
            if self.state is State.RCPT:
                self._await(ContentBegin(chunked=True))
            elif chunk.left or chunk.last or self._count_junk():
                self._begin_chunk(chunk)

    def _on_skip(self, verb: bytes, argument: bytes) -> None:
        """BDAT where it cannot be served: its octets follow all the same, and must not be taken for commands (RFC 3030 2)."""
        chunk = bdat_chunk(argument)
        if chunk is None:
            self._refuse(verb, replies.CHUNK_SYNTAX)
        else:
            self._skip_chunk(chunk, _SKIPPED[self.state])

    def _on_rset(self, verb: bytes, argument: bytes) -> None:
        if argument:
            self._refuse(verb, replies.NO_ARGUMENTS)
        elif self._count_junk():
            self._reset_transaction()
            self._say(replies.RSET_OK)

    def _on_noop(self, verb: bytes, argument: bytes) -> None:
        if self._count_junk():
            self._say(replies.NOOP_OK)

    def _on_vrfy(self, verb: bytes, argument: bytes) -> None:
        if not argument:
            self._refuse(verb, replies.SYNTAX)
        elif self._count_junk():
            self._say(replies.VRFY_CANNOT)

    def _on_help(self, verb: bytes, argument: bytes) -> None:
        if self._count_junk():
            self._say(replies.HELP_LMTP if self.lmtp else replies.HELP)

    def _on_starttls(self, verb: bytes, argument: bytes) -> None:
        if argument:
            self._refuse(verb, replies.NO_ARGUMENTS)
        elif self.tls:
            self._refuse(verb, replies.TLS_ACTIVE)
        elif not self._offers.starttls:
            self._refuse(verb, replies.NOT_IMPLEMENTED)
        elif self._reader.pending:
            # RFC 3207 4: the last command of a group. What follows it was sent in the clear, perhaps by somebody else (F34).
            self._close(replies.TLS_INJECTION)
        else:
            self._await(StartTls())

    def _on_quit(self, verb: bytes, argument: bytes) -> None:
        if argument:
            self._refuse(verb, replies.NO_ARGUMENTS)
            return
        self._say(replies.QUIT_OK)
        self._end_session()
        self._queue.append(Quit())

    # --- decisions ---

    def _await(self, request: Request) -> None:
        self.pending = request
        self._queue.append(request)

    def _answered_helo(self, request: Request, reply: Reply) -> None:
        assert isinstance(request, Helo)
        if not reply.positive:
            self._refused_by_role(reply)
            return
        self._reset_transaction()
        self.helo_name = request.name
        self.extended = request.extended
        self._offers = offered(self._settings, tls=self.tls) if self.extended else NO_OFFERS
        self.state = states.ACCEPTED["helo"]
        lines = (b"%b %b" % (self._settings.hostname, reply.lines[0]), *reply.lines[1:])
        self._say(Reply(reply.code, None, lines + keyword_lines(self._offers) if self.extended else lines))

    def _answered_mail(self, request: Request, reply: Reply) -> None:
        assert isinstance(request, Mail)
        if not reply.positive:
            self._refused_by_role(reply)
            return
        self.state = states.ACCEPTED["mail"]
        self.smtputf8 = request.smtputf8
        self.recipients = 0
        self._role_open = True
        self._say(reply)

    def _answered_rcpt(self, request: Request, reply: Reply) -> None:
        if not reply.positive:
            self._refused_by_role(reply)
            return
        self.state = states.ACCEPTED["rcpt"]
        self.recipients += 1
        self._say(reply)

    def _answered_begin(self, request: Request, reply: Reply) -> None:
        assert isinstance(request, ContentBegin)
        assert not reply.positive, "354 begins the content"
        if request.chunked:
            chunk = self._chunk
            assert chunk is not None
            if reply.intermediate:
                self._reception = Reception(self._settings)
                self._begin_chunk(chunk)
            else:
                self._skip_chunk(chunk, reply)
                chunk.state_after = states.REFUSED["bdat"]
        elif reply.intermediate:
            self._reception = Reception(self._settings)
            self._data = DataReader()
            self.state = states.ACCEPTED["data"]
            self._say(reply)
        else:
            self._refused_by_role(reply)

    def _answered_end(self, request: Request, reply: Reply) -> None:
        recipients = self.recipients
        self._end_transaction(reply.positive)
        self._say_final(reply, recipients)

    def _answered_starttls(self, request: Request, reply: Reply) -> None:
        if not reply.positive:
            self._refused_by_role(reply)
        elif self._reader.pending:
            self._close(replies.TLS_INJECTION)  # it came while the role decided (F34)
        else:
            self._say(reply)
            self.state = states.ACCEPTED["starttls"]

    def _refused_by_role(self, reply: Reply) -> None:
        self._say(reply)
        self._bear(self._conduct.refusal(reply))

    # --- content ---

    def _read_data(self) -> bool:
        data = self._data
        assert data is not None
        octets = self._reader.take_all()
        if not octets:
            return False
        self._take_content(data.feed(octets))
        if data.done:
            self._data = None
            if self.state is State.DATA:
                self._reader.feed(data.rest)
                self._finish_content()
        return True

    def _take_content(self, octets: bytes) -> None:
        reception = self._reception
        assert reception is not None
        if octets and reception.take(octets):
            self._queue.append(ContentChunk(octets))
        elif reception.endless:
            self._close(replies.ENDLESS_CONTENT)

    def _finish_content(self) -> None:
        assert self._reception is not None
        judgement = self._reception.judge()
        if not isinstance(judgement, Reply):
            self._await(ContentEnd(judgement))
            return
        recipients = self.recipients
        self._end_transaction(accepted=False)
        self._say_final(judgement, recipients)
        self._queue.append(ContentRefused(judgement))

    def _begin_chunk(self, chunk: Chunk) -> None:
        """A chunk of BDAT that is received."""
        assert self._reception is not None
        if not self._reception.has_room(chunk.left):
            self._role_open = False
            self._queue.append(ContentRefused(replies.SIZE_EXCEEDED))
            self._skip_chunk(chunk, replies.SIZE_EXCEEDED)
            chunk.state_after = states.REFUSED["bdat"]
            return
        self.state = states.ACCEPTED["bdat"]
        if not chunk.left:
            self._finish_chunk(chunk)

    def _skip_chunk(self, chunk: Chunk, reply: Reply) -> None:
        """A chunk of BDAT that is read over and then refused with `reply`; the state is then what it was, unless the caller says otherwise."""
        self._chunk = chunk
        chunk.refusal = reply
        chunk.state_after = self.state
        self.state = State.CHUNK

    def _read_chunk(self) -> bool:
        chunk = self._chunk
        assert chunk is not None
        if chunk.left:
            octets = self._reader.take(min(chunk.left, _TAKE_OCTETS_MAX))
            if not octets:
                return False
            chunk.left -= len(octets)
            if chunk.refusal is None:
                self._take_content(octets)
        if not chunk.left and self.state is State.CHUNK:
            self._finish_chunk(chunk)
        return True

    def _finish_chunk(self, chunk: Chunk) -> None:
        self._chunk = None
        if chunk.refusal is not None:
            self._finish_skipped(chunk, chunk.refusal)
        elif chunk.last:
            self._finish_content()
        else:
            self.state = State.BDAT
            self._say(replies.CHUNK_OK)

    def _finish_skipped(self, chunk: Chunk, reply: Reply) -> None:
        state = self.state = chunk.state_after
        if chunk.last and state in states.TRANSACTION_STATES:
            self._say_final(reply, self.recipients)  # RFC 2033 4.3: none at all when there is no recipient
            if self.lmtp and state is State.MAIL:
                self._reset_transaction()
        else:
            self._say(reply)
        self._bear(self._conduct.error() if state in (State.START, State.READY) else self._conduct.innocent())

    def _say_final(self, reply: Reply, recipients: int) -> None:
        """The reply after the content: once in SMTP, once for each recipient in LMTP (RFC 2033 4.2)."""
        for _ in range(recipients if self.lmtp else 1):
            self._say(reply)

    # --- the ends ---

    def _end_transaction(self, accepted: bool) -> None:
        """The transaction is over; `accepted` forgives what went wrong before it."""
        self.state = states.ACCEPTED["content"]
        self._reception = None
        self._role_open = False
        self.smtputf8 = False
        self.recipients = 0
        if accepted:
            self._conduct.forgive()

    def _reset_transaction(self) -> None:
        if self._role_open:
            self._queue.append(TransactionReset())
        if self.state > State.READY:
            self._end_transaction(accepted=False)

    def _end_session(self) -> None:
        self.state = State.CLOSED
        self.pending = None
        self._data = self._reception = self._chunk = None
        self._role_open = False
        self._reader.clear()

    def _close(self, reply: Reply) -> None:
        """End the session from our side with `reply`."""
        self._say(reply)
        self._end_session()
        self._queue.append(Closing(reply))

    def _say(self, reply: Reply) -> None:
        self._output.extend(render(reply))

    def _refuse(self, verb: bytes, reply: Reply, *, count: bool = True) -> None:
        """The dialogue itself refuses a command. `count` False: a client with good manners may come to it."""
        if self._bear(self._conduct.error() if count else self._conduct.innocent()):
            self._say(reply)
            self._queue.append(Refused(verb, reply))

    def _bear(self, end: Reply | None) -> bool:
        """False when this was too much and the session was closed with `end`."""
        if end is not None:
            self._close(end)
        return end is None

    def _count_junk(self) -> bool:
        """False when the session was closed because of too many commands that bring no mail."""
        return self._bear(self._conduct.junk())

    def _tolerate_pipelining(self) -> bool:
        """Octets follow a command that must be the last of its group (RFC 2920 3.1). False when the session was closed for it."""
        if self._settings.pipelining_strict:
            self._close(replies.PIPELINING_BAD)
            return False
        self._queue.append(Noticed("pipelining"))
        return True


# Refusals that a client with good manners meets under pipelining: they are no errors of its own.
_INNOCENT: Final = frozenset(("NO_RECIPIENTS", "NO_RECIPIENTS_LMTP", "MAIL_FIRST", "RESET_NEEDED"))

_SKIPPED: Final = {
    State.START: replies.HELO_FIRST,
    State.READY: replies.MAIL_FIRST,
    State.MAIL: replies.NO_RECIPIENTS,
    State.FAILED: replies.RESET_NEEDED,
}

_Handler = Callable[[ServerDialogue, bytes, bytes], None]
_ACTIONS: Final[dict[str, _Handler]] = {
    "ehlo": ServerDialogue._on_helo,
    "helo": ServerDialogue._on_helo,
    "lhlo": ServerDialogue._on_helo,
    "mail": ServerDialogue._on_mail,
    "rcpt": ServerDialogue._on_rcpt,
    "data": ServerDialogue._on_data,
    "bdat": ServerDialogue._on_bdat,
    "skip": ServerDialogue._on_skip,
    "rset": ServerDialogue._on_rset,
    "noop": ServerDialogue._on_noop,
    "vrfy": ServerDialogue._on_vrfy,
    "help": ServerDialogue._on_help,
    "starttls": ServerDialogue._on_starttls,
    "quit": ServerDialogue._on_quit,
}

_Answered = Callable[[ServerDialogue, Request, Reply], None]
_ANSWERED: Final[dict[type[Request], _Answered]] = {
    Helo: ServerDialogue._answered_helo,
    Mail: ServerDialogue._answered_mail,
    Rcpt: ServerDialogue._answered_rcpt,
    ContentBegin: ServerDialogue._answered_begin,
    ContentEnd: ServerDialogue._answered_end,
    StartTls: ServerDialogue._answered_starttls,
}
_ACCEPTED: Final[dict[type[Request], Reply]] = {
    Helo: replies.HELO_OK,
    Mail: replies.MAIL_OK,
    Rcpt: replies.RCPT_OK,
    ContentBegin: replies.DATA_GO,
    ContentEnd: replies.CONTENT_OK,
    StartTls: replies.STARTTLS_GO,
}
