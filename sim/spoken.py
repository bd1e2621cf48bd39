"""Dialogues: follows every SMTP and LMTP dialogue of our processes by the octets on the wire, with the product's own table (smx.smtp.states).

A dialogue is followed reply by reply: each reply of the server must have something complete in what the client sent before it (a command
line, the end of the content, a chunk), and must be one that the table allows there. So what a client pipelines is judged in its turn.

    our part   what is objected to
    server     a reply without command, one of the wrong kind, 2yz where the table refuses, 250 before CRLF.CRLF (I12, I13),
               an answer to what came in the clear behind STARTTLS (I13)
    client     a command that the table refuses in this state, sent when no reply was outstanding; content that ends early (I13)

What a peer does wrong is no fault of ours: a dialogue with such a peer is followed no further. A 421 or a closed connection may come at any time.
"""

from collections.abc import Callable
from typing import Final

from sim.facts import Fact, Hung, Spoke, TlsBegan
from sim.observer import Handlers
from smx.limits import COMMAND_LINE_OCTETS_MAX
from smx.smtp import states
from smx.smtp.states import State

Object = Callable[[int, str, Fact], None]  # at, what, the fact that shows it

# fmt: off
POSITIVE: Final[dict[str, tuple[bytes, ...]]] = {
    # action     positive replies (RFC 5321 4.3.2)
    "ehlo":     (b"250",),
    "helo":     (b"250",),
    "lhlo":     (b"250",),
    "mail":     (b"250",),
    "rcpt":     (b"250", b"251"),
    "data":     (b"354",),
    "content":  (b"250",),
    "bdat":     (b"250",),
    "rset":     (b"250",),
    "noop":     (b"250",),
    "vrfy":     (b"250", b"251", b"252"),
    "help":     (b"211", b"214"),
    "starttls": (b"220",),
    "quit":     (b"221",),
}
# fmt: on
GREETING: Final = (b"220",)
NEGATIVE: Final = (b"4", b"5")
END: Final = b"\r\n.\r\n"
LONE_DOT: Final = b".\r\n"
CHUNKS: Final = ("bdat", "skip")
HELLOS: Final = ("ehlo", "helo", "lhlo")
AFRESH: Final = ("mail", "rset", *HELLOS)  # no recipients afterwards
EARLY_END: Final = "the content ends before its last octet"

Fault = tuple[str, str]  # (what is wrong with the order of replies, what is wrong by the table)
FINE: Final[Fault] = ("", "")


def disorder(what: str) -> Fault:
    return what, ""


def misstep(what: str) -> Fault:
    return "", what


class Dialogue:
    """One connection. `server`: our process is the server."""

    __slots__ = ("_chunks_left", "_ends_due", "_line_lost", "_recipients", "_reply", "_sent", "_table", "lmtp", "over", "server", "state")

    def __init__(self, *, server: bool, lmtp: bool) -> None:
        self.server = server
        self.lmtp = lmtp
        self.state = State.GREETING
        self.over = False  # nothing more is judged
        self._table = states.LMTP if lmtp else states.SMTP
        self._sent = bytearray()  # by the client, and not answered yet
        self._reply = b""  # of the server, not complete
        self._chunks_left = 0  # octets of an answered chunk that are still to come
        self._line_lost = False  # an endless line was answered before its end
        self._ends_due = 0  # replies to the content that are still to come (one a recipient in LMTP)
        self._recipients = 0  # accepted

    # --- octets -----------------------------------------------------------------------------------------------------

    def client_sent(self, data: bytes) -> str:
        """What is wrong with it; "": nothing. Only our own client is judged here."""
        if self._chunks_left:
            dropped = min(self._chunks_left, len(data))
            self._chunks_left -= dropped
            data = data[dropped:]
        if self._line_lost:
            _, found, data = data.partition(b"\r\n")
            self._line_lost = not found
        quiet = not self._sent
        self._sent += data
        if self.server or not quiet or not data:
            return ""
        if self.state is State.GREETING:
            return "it spoke before the greeting"
        line, found, _ = data.partition(b"\r\n")
        if not found or self.state not in states.COMMAND_STATES:
            return ""
        verb, action = self._action(line)
        return f"{verb.decode()} in the state {self.state.name} ({action})" if action.isupper() else ""

    def server_sent(self, data: bytes) -> Fault:
        """What is wrong with it."""
        buffer = self._reply + data if self._reply else data
        fault = FINE
        while not self.over and fault is FINE:
            line, found, rest = buffer.partition(b"\r\n")
            if not found:
                break
            buffer = rest
            if line[3:4] != b"-":
                fault = self._on_reply(line[:3], line)
        self._reply = buffer
        return fault

    def tls_began(self) -> None:
        """Nothing of before is remembered (RFC 3207 4.2)."""
        self._sent.clear()
        self._reply = b""
        self._chunks_left = 0
        self._line_lost = False
        self.state = State.START

    # --- replies ----------------------------------------------------------------------------------------------------

    def _on_reply(self, code: bytes, line: bytes) -> Fault:
        if code == b"421":
            self.over = True
            return FINE
        if not code.isdigit():
            return disorder(f"no reply: {line[:60]!r}")
        if self.state is State.GREETING:
            self.state = State.START if code[:1] == b"2" else State.REFUSED
            return FINE if code in GREETING or code[:1] in NEGATIVE else disorder(f"greeted with {code.decode()}")
        if self.state is State.TLS:
            return misstep(f"{code.decode()} between the reply to STARTTLS and the handshake")
        if self.state is State.DATA:
            return self._content_answered(code)
        return self._command_answered(code)

    def _command_answered(self, code: bytes) -> Fault:
        sent = self._sent
        end = sent.find(b"\r\n")
        if end < 0:
            if len(sent) < COMMAND_LINE_OCTETS_MAX or code[:1] not in NEGATIVE:
                return disorder(f"{code.decode()} without a command")
            sent.clear()
            self._line_lost = True
            return FINE
        line = bytes(sent[:end])
        del sent[: end + 2]
        verb, action = self._action(line)
        if action in CHUNKS:
            return self._chunk_answered(line, action, code)
        if code[:1] in NEGATIVE:
            return FINE
        said = f"{code.decode()} to {verb.decode() or 'an unknown command'}"
        if action.isupper():
            return misstep(f"{said} in the state {self.state.name} ({action})")
        if code not in POSITIVE[action]:
            return disorder(said)
        self._accepted(action)
        return FINE

    def _accepted(self, action: str) -> None:
        state = self.state
        if action == "rcpt":
            self._recipients += 1
        elif action in AFRESH:
            self._recipients = 0
        if action == "rset":
            self.state = min(state, State.READY)
        elif action == "quit":
            self.over = True
        else:
            self.state = states.ACCEPTED.get("helo" if action in HELLOS else action, state)

    def _content_answered(self, code: bytes) -> Fault:
        """DATA: what ends it is CRLF.CRLF, or a dot line at its very beginning (RFC 5321 4.1.1.4)."""
        if self._ends_due:
            return self._end_answered(code)
        sent = self._sent
        end = len(LONE_DOT) if sent.startswith(LONE_DOT) else sent.find(END) + len(END)
        if end < len(END) and not sent.startswith(LONE_DOT):  # not found: -1 + len(END)
            return misstep(f"{code.decode()} before the end of the content")
        del sent[:end]
        self._ends_due = self._recipients if self.lmtp else 1
        if not self.server and sent and self._verb(bytes(sent.partition(b"\r\n")[0])) == states.OTHER:
            return misstep(EARLY_END)
        return self._end_answered(code)

    def _end_answered(self, code: bytes) -> Fault:
        self._ends_due -= 1
        if self._ends_due <= 0:
            self._ends_due = self._recipients = 0
            self.state = State.READY
        return FINE if code[:1] in NEGATIVE or code in POSITIVE["content"] else disorder(f"{code.decode()} to the content")

    def _chunk_answered(self, line: bytes, action: str, code: bytes) -> Fault:
        """BDAT: the octets of the chunk belong to the command, whatever the reply is (RFC 3030 2)."""
        words = line.split()
        octets = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        last = len(words) > 2 and words[2].upper() == b"LAST"
        here = len(self._sent)
        negative = code[:1] in NEGATIVE
        del self._sent[:octets]
        self._chunks_left = max(0, octets - here)
        if action == "skip":
            self.over = self.lmtp and last  # how many replies follow, the table does not say
            return FINE if negative else misstep(f"{code.decode()} to BDAT in the state {self.state.name}")
        if not negative and self._chunks_left:
            return misstep(f"{code.decode()} to BDAT before its octets")
        if last:
            self.state = State.DATA
            self._ends_due = self._recipients if self.lmtp else 1
            return self._end_answered(code)
        self.state = State.FAILED if negative else State.BDAT
        return FINE if negative or code in POSITIVE["bdat"] else disorder(f"{code.decode()} to BDAT")

    def _action(self, line: bytes) -> tuple[bytes, str]:
        """The verb as the table knows it, and the table's cell."""
        if b"\n" in line or b"\r" in line:
            return b"a bare CR or LF", "LINE_BARE"
        verb = self._verb(line)
        return verb, self._table[verb][self.state]

    def _verb(self, line: bytes) -> bytes:
        """A verb of the table, OTHER for anything else."""
        verb = line.partition(b" ")[0].upper()
        if verb in self._table:
            return verb
        verb = line.rstrip(b" \t").upper()
        return verb if verb in self._table else states.OTHER


class Dialogues:
    """All connections. Who wants to hear of faults sets `on_disorder` (I12) or `on_misstep` (I13)."""

    def __init__(self) -> None:
        self.on_disorder: Object | None = None
        self.on_misstep: Object | None = None
        self._dialogues: dict[int, Dialogue] = {}
        self.handlers: Handlers = {Spoke: self._on_spoke, TlsBegan: self._on_tls_began, Hung: self._on_hung}

    @property
    def wanted(self) -> bool:
        return self.on_disorder is not None or self.on_misstep is not None

    def _on_spoke(self, fact: Spoke) -> None:
        dialogue = self._dialogues.get(fact.connection)
        if dialogue is None:
            dialogue = Dialogue(server=not fact.process.startswith("smtpc"), lmtp=fact.lmtp)
            self._dialogues[fact.connection] = dialogue
        if dialogue.over:
            return
        if fact.ours != dialogue.server:
            wrong = dialogue.client_sent(fact.data)
            if wrong:
                self._object(self.on_misstep, dialogue, fact, wrong)
            return
        order, state = dialogue.server_sent(fact.data)
        if order or state:
            if not dialogue.server and state != EARLY_END:
                dialogue.over = True  # the peer's fault
                return
            self._object(self.on_disorder if order else self.on_misstep, dialogue, fact, order or state)

    def _object(self, say: Object | None, dialogue: Dialogue, fact: Spoke, what: str) -> None:
        """Once a dialogue: after a fault nobody can tell what belongs to what."""
        dialogue.over = True
        if say is not None:
            say(fact.at, f"{fact.process}, connection {fact.connection}: {what}", fact)

    def _on_tls_began(self, fact: TlsBegan) -> None:
        dialogue = self._dialogues.get(fact.connection)
        if dialogue is not None:
            if fact.good:
                dialogue.tls_began()
            else:
                dialogue.over = True

    def _on_hung(self, fact: Hung) -> None:
        self._dialogues.pop(fact.connection, None)
