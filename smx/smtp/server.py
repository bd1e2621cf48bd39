"""Server dialogue: the server's side of an SMTP or LMTP session, without I/O and without policy.

Octets go in with `receive`, requests come out of `next_request`, replies out of `data_to_send`. What needs policy is a request that waits for a
decision: commands behind it are held back, so replies keep the order of commands (I12) and one decision is outstanding at most. Everything else
is answered here: syntax, sequence, sizes, counts, the odd commands, misbehaviour. The tables of `states` say which command is served when.

    dialogue.receive(octets)
    while (request := dialogue.next_request()) is not None:
        ...                                   # decide: accept, answer, answer_recipients; or leave it, and come back after the decision
    transmit(dialogue.data_to_send())

Bounds (I16): a line, the held-back input (`want_reading`), the header section, recipients, errors, refusals and empty commands are bounded by `limits`.
Standards: RFC 5321, 1870, 2033, 2034, 2920, 3030, 3207, 3461, 6152, 6531. See also: states, requests, replies; server_commands (what each
command does), server_decisions (what the role's answer does), server_content (DATA and BDAT).
Not supported: AUTH (its place is the AUTH row of the tables), BINARYMIME.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from smx import limits
from smx.smtp import replies, states
from smx.smtp import server_content as content
from smx.smtp.conduct import Conduct
from smx.smtp.data import DataReader
from smx.smtp.extensions import NO_OFFERS, Offers
from smx.smtp.lines import OVERLONG, LineReader
from smx.smtp.reception import Chunk, Reception
from smx.smtp.reply import Reply, render
from smx.smtp.requests import Closing, ContentEnd, Noticed, Refused, Request, TransactionReset
from smx.smtp.server_commands import ACTIONS
from smx.smtp.server_decisions import ACCEPTED, ANSWERED
from smx.smtp.settings import ServerSettings
from smx.smtp.states import State

__all__ = ["ServerDialogue", "ServerSettings"]

_HTTP: Final = (b"GET ", b"POST ", b"PUT ", b"HEAD ", b"CONNECT ", b"OPTIONS ", b"DELETE ", b"PATCH ")  # F32
_BEFORE_TLS: Final = frozenset((b"NOOP", b"EHLO", b"LHLO", b"STARTTLS", b"QUIT"))  # RFC 3207 4


class ServerDialogue:
    """One session. See the module's docstring for its use; `greet` begins it."""

    __slots__ = (
        "_output",
        "_paused",
        "_table",
        "chunk",
        "conduct",
        "data",
        "early_talker",
        "extended",
        "helo_name",
        "offers",
        "pending",
        "queue",
        "reader",
        "reception",
        "recipients",
        "role_open",
        "settings",
        "smtputf8",
        "state",
        "tls",
    )

    def __init__(self, settings: ServerSettings, *, tls: bool = False) -> None:
        """`tls` True: the session is inside TLS from the start."""
        self._table: Final = states.LMTP if settings.lmtp else states.SMTP
        self._output: Final = bytearray()
        self._paused: bool = False
        self.state: State = State.GREETING
        self.pending: Request | None = None  # the request whose decision is awaited
        self.tls: bool = tls
        self.extended: bool = False  # EHLO or LHLO was used
        self.helo_name: bytes = b""
        self.smtputf8: bool = False  # of the open transaction
        self.recipients: int = 0  # accepted in the open transaction
        self.early_talker: bool = False  # octets came before the greeting (F32)
        # for the other parts of the dialogue
        self.settings: Final = settings
        self.reader: Final = LineReader(limits.COMMAND_LINE_OCTETS_MAX)
        self.queue: Final[deque[Request]] = deque()  # requests to be given out
        self.conduct: Final = Conduct(settings)
        self.offers: Offers = NO_OFFERS
        self.data: DataReader | None = None
        self.reception: Reception | None = None  # the content of the open transaction, once it has begun
        self.chunk: Chunk | None = None
        self.role_open: bool = False  # the role holds an open transaction

    # --- octets in, requests out ---

    def receive(self, octets: bytes) -> None:
        """Take octets from the client. Call next_request until it gives None afterwards."""
        state = self.state
        if state >= State.TLS:
            # Closed, or plaintext behind the STARTTLS command: it is never looked at (RFC 3207, F34).
            return
        if state is State.GREETING and octets:
            self.early_talker = True
        self.reader.feed(octets)

    def next_request(self) -> Request | None:
        """The next request; None when more octets or a decision are needed, or while paused."""
        if self._paused:
            return None
        queue = self.queue
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
        return self.state < State.TLS and not self._paused and self.reader.pending < limits.INPUT_OCTETS_MAX

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
        return self.settings.lmtp

    # --- the role's part ---

    def greet(self, reply: Reply | None = None) -> None:
        """Begin. `reply` refuses: after 421 the session is closed, after 5yz only QUIT is served (RFC 5321 3.1, RFC 7504 3)."""
        assert self.state is State.GREETING
        if self.early_talker:
            self.queue.append(Noticed("early_talker"))
        if reply is None:
            settings = self.settings
            self.say(Reply(220, None, (b"%b %b %b" % (settings.hostname, b"LMTP" if settings.lmtp else b"ESMTP", settings.banner),)))
            self.state = State.START
            return
        assert reply.code >= 400
        self.say(Reply(reply.code, None, reply.lines))  # RFC 2034 4: no enhanced code in the greeting
        self.state = State.CLOSED if reply.code == 421 else State.REFUSED

    def accept(self) -> None:
        """Decide the pending request with its usual positive reply."""
        assert self.pending is not None
        self.answer(ACCEPTED[type(self.pending)])

    def answer(self, reply: Reply) -> None:
        """Decide the pending request: 2yz (354 for ContentBegin) accepts it, 4yz and 5yz refuse it, 421 refuses it and closes.

        A positive answer to EHLO gets the keywords added, one to a BDAT is given when the chunk has arrived. At the end of the content in LMTP
        the reply is said for every recipient.
        """
        request = self.pending
        assert request is not None, "nothing is pending"
        if reply.code == 421:
            self.end_with(reply)
            return
        self.pending = None
        ANSWERED[type(request)](self, request, reply)

    def answer_recipients(self, answers: Sequence[Reply]) -> None:
        """LMTP: decide the end of the content, one reply for each accepted recipient in their order (RFC 2033 4.2)."""
        assert type(self.pending) is ContentEnd
        assert self.lmtp
        assert len(answers) == self.recipients
        self.pending = None
        self.end_transaction(accepted=any(answer.positive for answer in answers))
        for answer in answers:
            self.say(answer)

    def tls_started(self) -> None:
        """The handshake is done: everything is as after the greeting, nothing is remembered (RFC 3207 4.2)."""
        assert self.state is State.TLS
        self.reader.clear()
        self.state = State.START
        self.tls = True
        self.extended = False
        self.helo_name = b""
        self.offers = NO_OFFERS

    def shutdown(self, reply: Reply = replies.SHUTTING_DOWN) -> None:
        """Say 421 now, whatever is going on, and close (RFC 5321 3.8). It takes the place of a decision that is awaited."""
        if self.state is not State.CLOSED:
            self.end_with(reply)

    # --- reading commands ---

    def _advance(self) -> bool:
        """Use some of the input; False when it takes more octets or the role to go on."""
        state = self.state
        if state <= State.FAILED:
            return self._read_command()
        if state is State.DATA:
            return content.read_data(self)
        if state is State.CHUNK:
            return content.read_chunk(self)
        return False

    def _read_command(self) -> bool:
        line = self.reader.next_line()
        if line is None:
            return False
        if not isinstance(line, bytes):
            self.refuse(b"", replies.LINE_OVERLONG if line == OVERLONG else replies.LINE_BARE)
            return True
        verb, _, argument = line.partition(b" ")
        if argument:
            argument = argument.rstrip(b" \t")  # RFC 5321 4.1.1: trailing white space is tolerated
        verb = verb.upper()
        row = self._table.get(verb)
        if row is None:
            self._read_unknown(line)
            return True
        if self.settings.tls_required and not self.tls and verb not in _BEFORE_TLS and self.state is not State.REFUSED:
            self.refuse(verb, replies.TLS_NEEDED)
            return True
        action = row[self.state]
        handler = ACTIONS.get(action)
        if handler is None:
            self.refuse(verb, replies.TABLE[action], count=action not in _INNOCENT)
        else:
            handler(self, verb, argument)
        return True

    def _read_unknown(self, line: bytes) -> None:
        """A verb that is not in the table; "verb" with trailing white space or tabs only is one that is."""
        verb, _, argument = line.rstrip(b" \t").replace(b"\t", b" ").partition(b" ")
        if line != verb and not argument and verb.upper() in self._table:
            self._reader_again(verb)
        elif line.startswith(_HTTP):
            self.end_with(replies.NOT_SMTP)
        else:
            self.refuse(verb.upper()[:32], replies.TABLE[self._table[states.OTHER][self.state]])

    def _reader_again(self, verb: bytes) -> None:
        rest = self.reader.take_all()
        self.reader.feed(verb + b"\r\n" + rest)

    # --- for the other parts of the dialogue: server_commands, server_decisions, server_content ---

    def ask(self, request: Request) -> None:
        """Give it out and wait for its decision."""
        self.pending = request
        self.queue.append(request)

    def end_transaction(self, *, accepted: bool) -> None:
        """The transaction is over; `accepted` forgives what went wrong before it."""
        self.state = states.ACCEPTED["content"]
        self.reception = None
        self.role_open = False
        self.smtputf8 = False
        self.recipients = 0
        if accepted:
            self.conduct.forgive()

    def reset_transaction(self) -> None:
        """As RSET does; the role is told when it holds something of the transaction."""
        if self.role_open:
            self.queue.append(TransactionReset())
        if self.state > State.READY:
            self.end_transaction(accepted=False)

    def end_session(self) -> None:
        """Nothing is read any more."""
        self.state = State.CLOSED
        self.pending = None
        self.data = self.reception = self.chunk = None
        self.role_open = False
        self.reader.clear()

    def end_with(self, reply: Reply) -> None:
        """End the session from our side with `reply`."""
        self.say(reply)
        self.end_session()
        self.queue.append(Closing(reply))

    def say(self, reply: Reply) -> None:
        """To the client."""
        self._output.extend(render(reply))

    def refuse(self, verb: bytes, reply: Reply, *, count: bool = True) -> None:
        """The dialogue itself refuses a command. `count` False: a client with good manners may come to it."""
        if self.bear(self.conduct.error() if count else self.conduct.innocent()):
            self.say(reply)
            self.queue.append(Refused(verb, reply))

    def bear(self, end: Reply | None) -> bool:
        """False when this was too much and the session was closed with `end`."""
        if end is not None:
            self.end_with(end)
        return end is None

    def count_junk(self) -> bool:
        """False when the session was closed because of too many commands that bring no mail."""
        return self.bear(self.conduct.junk())

    def tolerate_pipelining(self) -> bool:
        """Octets follow a command that must be the last of its group (RFC 2920 3.1). False when the session was closed for it."""
        if self.settings.pipelining_strict:
            self.end_with(replies.PIPELINING_BAD)
            return False
        self.queue.append(Noticed("pipelining"))
        return True


# Refusals that a client with good manners meets under pipelining: they are no errors of its own.
_INNOCENT: Final = frozenset(("NO_RECIPIENTS", "NO_RECIPIENTS_LMTP", "MAIL_FIRST", "RESET_NEEDED"))
