"""Visit: the suite as an SMTP server: the target connects to one of the case's hosts, and is answered as the case wants.

    visit = yield from accept(at)                       # the host "mx", to which the case's domain points unless it says otherwise
    yield from visit.serve(replies={"RCPT": ["450 4.2.1 later"]})
    mail = visit.mails[0]

An answer is a text ("250 2.1.0 ok"; lines are joined by LF), raw octets, one of DROP, BREAK, HANG, `After(seconds, answer)`, or a function of the line that
gives one of these. Several in a list are used in turn, then the default. Keys are verbs, and CONNECT (greeting), DOT (the end of data), AUTH.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from msgspec import Struct

from conformance.content import unstuff
from conformance.context import SENDER_LABEL, Context
from conformance.outcome import Broken, Inconclusive
from conformance.wire import (
    CLOSE,
    RESET,
    TIMEOUT,
    Accept,
    Accepted,
    Close,
    Listen,
    Queries,
    Query,
    Receive,
    Received,
    Record,
    Secured,
    Send,
    SetZone,
    StartTls,
    Step,
    Unlisten,
    Wait,
)

MX: Final = "mx"
_OPEN: Final = ("", TIMEOUT, "until", "idle")  # ends of serving with which the connection stands
_PATH: Final = re.compile(rb'<((?:"(?:\\.|[^"\\])*"|[^">])*)>')  # up to the first bracket outside of quotes: a parameter may have one too


class Word(Struct, frozen=True):
    """What is done instead of a reply."""

    name: str


class After(Struct, frozen=True):
    """An answer after so many seconds."""

    seconds: float
    answer: Any


DROP: Final = Word("drop")  # close
BREAK: Final = Word("break")  # reset
HANG: Final = Word("hang")  # say nothing, and read on
Answer: TypeAlias = Any  # str | bytes | Word | After | Callable[[bytes], Answer] | list of these

_DEFAULTS: Final[dict[str, str]] = {
    "CONNECT": "220 {host} ESMTP",
    "HELO": "250 {host}",
    "MAIL": "250 2.1.0 Ok",
    "RCPT": "250 2.1.5 Ok",
    "DATA": "354 Go ahead",
    "DOT": "250 2.0.0 Accepted",
    "BDAT": "250 2.0.0 Ok",
    "RSET": "250 2.0.0 Ok",
    "NOOP": "250 2.0.0 Ok",
    "QUIT": "221 2.0.0 Bye",
    "STARTTLS": "220 2.0.0 Go ahead",
    "AUTH": "235 2.7.0 Ok",
    "VRFY": "252 2.5.0 Try it",
}


class Mail(Struct):
    """One transaction as it came. `mail` and `rcpts`: the whole lines; `accepted`: those of `rcpts` that got 2yz.

    `content`: unstuffed; `raw`: as it came, without the final dot line; `chunks`: the sizes of BDAT.
    """

    mail: bytes
    rcpts: list[bytes]
    accepted: list[bytes]
    content: bytes = b""
    raw: bytes = b""
    chunks: list[int] | None = None
    is_complete: bool = False

    @property
    def sender(self) -> str:
        return path_of(self.mail)

    @property
    def recipients(self) -> list[str]:
        return [path_of(line) for line in self.rcpts]

    @property
    def parameters(self) -> dict[str, str]:
        """Of MAIL: keyword in upper case -> value."""
        return parameters_of(self.mail)


def path_of(line: bytes) -> str:
    """What stands in the brackets of a MAIL or RCPT line."""
    found = _PATH.search(line)
    return (found[1] if found else line.partition(b"<")[2].rpartition(b">")[0]).decode("utf-8", "backslashreplace")


def parameters_of(line: bytes) -> dict[str, str]:
    found = _PATH.search(line)
    rest = line[found.end() :] if found else line.rpartition(b">")[2]
    words = [word.decode("utf-8", "backslashreplace").partition("=") for word in rest.split()]
    return {keyword.upper(): value for keyword, _, value in words}


class Visit:
    """A connection from the target. `lines`: all commands as they came, without CRLF; `bare`: those that ended with LF alone.

    `end`: how it ended: "quit", "closed", "reset", "timeout", "idle", "until", or "ours".
    """

    def __init__(self, at: Context, accepted: Accepted) -> None:
        self.at: Final = at
        self.connection: Final = accepted.connection
        self.host: Final = accepted.host
        self.peer: Final = accepted.peer
        self.lines: list[bytes] = []
        self.mails: list[Mail] = []
        self.secured: Secured | None = None
        self.end = ""
        self.bare: list[bytes] = []
        self._inbox = b""
        self._mail: Mail | None = None
        self._is_answered = False

    @property
    def verbs(self) -> list[str]:
        return [verb_of(line) for line in self.lines]

    @property
    def name(self) -> str:
        """The host's name in the DNS."""
        return f"{self.host}.{self.at.domain}"

    def of(self, verb: str) -> list[bytes]:
        """The commands of this verb."""
        return [line for line in self.lines if verb_of(line) == verb]

    # --- single steps

    def greet(self, text: str = "220 {host} ESMTP") -> Step[None]:
        yield from self.say(text)

    def say(self, answer: str | bytes) -> Step[None]:
        """A reply: CRLF is added to a text; lines of a text are joined by LF; octets are sent as they are."""
        yield Send(self.connection, answer if isinstance(answer, bytes) else wired(answer.replace("{host}", self.name)))

    def line(self, timeout_s: float = 30.0) -> Step[bytes]:
        """The next line without CRLF; b"" when the connection ended or nothing came (`end` says which). Lines that end with LF alone are kept in `bare`."""
        if (yield from self._until(b"\n", timeout_s)):
            line, _, self._inbox = self._inbox.partition(b"\n")
            if not line.endswith(b"\r"):
                self.bare.append(line)
            self.lines.append(line.removesuffix(b"\r"))
            return self.lines[-1]
        return b""

    def content(self, timeout_s: float = 30.0) -> Step[bytes]:
        """What comes after 354, up to the line with a lone dot and without it; what there is when the connection ended first."""
        yield from self._until(b".\r\n", timeout_s)
        if not self._inbox.startswith(b".\r\n"):
            yield from self._until(b"\r\n.\r\n", timeout_s)
            raw, found, self._inbox = self._inbox.partition(b"\r\n.\r\n")
            return raw + b"\r\n" if found else raw
        self._inbox = self._inbox[3:]
        return b""

    def octets(self, count: int, timeout_s: float = 30.0) -> Step[bytes]:
        """So many octets; fewer when the connection ended first."""
        while len(self._inbox) < count and (yield from self._more(timeout_s)):
            pass
        taken, self._inbox = self._inbox[:count], self._inbox[count:]
        return taken

    def pending(self, seconds: float = 0.3) -> Step[bytes]:
        """What has come, or comes within the time, without taking it."""
        yield from self._more(seconds)
        if self.end == TIMEOUT:
            self.end = ""
        return self._inbox

    def drop(self, how: str = CLOSE) -> Step[None]:
        """End the connection from our side."""
        self.end = "ours"
        yield Close(self.connection, how)

    def handshake(self, certificate: str = "good", version_max: str = "") -> Step[Secured]:
        self._inbox = b""
        secured: Secured = yield StartTls(self.connection, certificate, version_max)
        self.secured = secured
        return secured

    def _until(self, mark: bytes, timeout_s: float) -> Step[bool]:
        while mark not in self._inbox:
            if not (yield from self._more(timeout_s)):
                return False
        return True

    def _more(self, timeout_s: float) -> Step[bool]:
        if self.end not in _OPEN:
            return False
        got: Received = yield Receive(self.connection, timeout_s)
        self._inbox += got.octets
        self.end = got.end
        return not got.end

    # --- a whole session

    def serve(
        self,
        *,
        offers: Sequence[str] = (),
        replies: Mapping[str, Answer] | None = None,
        until: str = "",
        certificate: str = "good",
        timeout_s: float = 30.0,
        idle_s: float = 3.0,
        greet: bool = True,
    ) -> Step["Visit"]:
        """Answer until the client leaves, is silent for too long, or says `until` (which is then not answered). Gives this visit, for convenience.

        Many clients keep a session open for a while: once a transaction came to its end, or was refused, `idle_s` of silence end the serving (`end` is
        "idle", and the connection stays); for a case about QUIT it has to be long.
        """
        answers = {key: list(answer) if isinstance(answer, list | tuple) else [answer] * 1000 for key, answer in (replies or {}).items()}
        if greet and not (yield from self._answer("CONNECT", b"", answers)):
            return self
        while not self.end:
            line = yield from self.line(idle_s if self._is_answered else timeout_s)
            if self.end and not line:
                self.end = "idle" if self._is_answered and self.end == TIMEOUT else self.end
                break
            verb = verb_of(line)
            if verb == until:
                self.end = "until"
                break
            if not (yield from self._obey(verb, line, answers, offers, certificate, timeout_s)):
                break
        return self

    def _obey(self, verb: str, line: bytes, answers: dict[str, list[Answer]], offers: Sequence[str], certificate: str, timeout_s: float) -> Step[bool]:
        """Answer one command, and do what belongs to it; False: the session is over."""
        if verb == "BDAT":
            return (yield from self._bdat(line, answers, timeout_s))
        code = yield from self._answer(verb, line, answers, offers)
        if verb == "MAIL" and code == 2:
            self._mail = Mail(line, [], [])
        elif verb == "RCPT" and self._mail is not None:
            self._mail.rcpts.append(line)
            if code == 2:
                self._mail.accepted.append(line)
        elif verb == "DATA" and code == 3:
            return (yield from self._data(answers, timeout_s))
        elif verb in ("RSET", "EHLO", "HELO", "LHLO"):
            self._mail = None
        elif verb == "STARTTLS" and code == 2:
            return not (yield from self.handshake(certificate)).reason
        elif verb == "QUIT" and code:
            self.end = "quit"
            yield Close(self.connection)
        return bool(code) and not self.end

    def _data(self, answers: dict[str, list[Answer]], timeout_s: float) -> Step[bool]:
        mail = self._mail or Mail(b"", [], [])
        self.mails.append(mail)
        mail.raw = yield from self.content(timeout_s)
        mail.content = unstuff(mail.raw)
        mail.is_complete = not self.end
        self._mail = None
        return not self.end and bool((yield from self._answer("DOT", b"", answers)))

    def _bdat(self, line: bytes, answers: dict[str, list[Answer]], timeout_s: float) -> Step[bool]:
        words = line.split()
        mail = self._mail or Mail(b"", [], [])
        if mail.chunks is None:
            mail.chunks = []
            self.mails.append(mail)
        size = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        mail.chunks.append(size)
        mail.content += yield from self.octets(size, timeout_s)
        mail.raw = mail.content
        if len(words) > 2 and words[2].upper() == b"LAST":
            mail.is_complete = not self.end
            self._mail = None
        return not self.end and bool((yield from self._answer("BDAT", line, answers)))

    def _answer(self, key: str, line: bytes, answers: dict[str, list[Answer]], offers: Sequence[str] = ()) -> Step[int]:
        """Answers; gives the first digit of the code, or 0 when the session is over."""
        waiting = answers.get(key)
        answer: Answer = waiting.pop(0) if waiting else None
        if callable(answer):
            answer = answer(line)
        while isinstance(answer, After):
            yield Wait(answer.seconds)
            answer = answer.answer
        if answer is None:
            answer = "\n".join(("250 {host}", *(f"250 {offer}" for offer in offers))) if key in ("EHLO", "LHLO") else _DEFAULTS.get(key, "500 5.5.1 What?")
        if isinstance(answer, Word):
            return (yield from self._act(answer))
        yield from self.say(answer)
        first = answer[:1].decode() if isinstance(answer, bytes) else answer[:1]
        self._is_answered = key == "DOT" or first in ("4", "5") or (key == "BDAT" and line.upper().endswith(b"LAST"))
        return int(first) if first.isdigit() else 9

    def _act(self, word: Word) -> Step[int]:
        if word == HANG:
            while (yield from self._more(600.0)):
                pass
            return 0
        yield from self.drop(RESET if word == BREAK else CLOSE)
        return 0


def verb_of(line: bytes) -> str:
    return line.split(b" ", 1)[0].decode("ascii", "backslashreplace").upper().strip()


def wired(text: str) -> bytes:
    """A reply in the form of RFC 5321 4.2.1: each line but the last gets a hyphen behind its code."""
    lines = text.split("\n")
    hyphened = [line[:3] + "-" + line[4:] for line in lines[:-1]]
    return b"".join(line.encode() + b"\r\n" for line in (*hyphened, lines[-1]))


# --- steps


def listen(*hosts: str) -> Step[tuple[str, ...]]:
    """Begin to accept at these hosts; gives their addresses. `mx` and `back` accept from the start."""
    addresses = []
    for host in hosts:
        address: str = yield Listen(host)
        addresses.append(address)
    return tuple(addresses)


def unlisten(*hosts: str) -> Step[None]:
    """Refuse connections at these hosts."""
    for host in hosts:
        yield Unlisten(host)


def zone(at: Context, table: Mapping[str, Mapping[str, Sequence[str]] | str]) -> Step[None]:
    """What the DNS says about the case's domain, in place of what it said before.

    `table`: label -> {type: data, ...}, or "!SERVFAIL", "!REFUSED", "!NXDOMAIN", "!TIMEOUT". A label is "@" for the domain itself, "a", "*.a", or, with a
    final dot, a name elsewhere such as that of the target. In the data {a} is the address of the host `a`, and names without a final dot are below the
    domain: {"@": {"MX": ["10 a"]}, "a": {"A": ["{a}"]}}.
    """
    records: list[Record] = []
    for label, types in table.items():
        name = at.domain if label == "@" else label[:-1] if label.endswith(".") else f"{label}.{at.domain}"
        if isinstance(types, str):
            records.append(Record(name, "*", types))
            continue
        for rrtype, data in types.items():
            records += [Record(name, rrtype, _absolute(datum, rrtype, at.domain)) for datum in ([data] if isinstance(data, str) else data)]
    yield SetZone(tuple(records))


def _absolute(data: str, rrtype: str, domain: str) -> str:
    if data.startswith("!") or rrtype not in ("MX", "CNAME", "NS", "SRV") or data.endswith("."):
        return data
    return f"{data}.{domain}."


def prelude(at: Context) -> Step[None]:
    """What stands when the script of a case with needs "dns" begins: the domain and its `back` have an MX, and both hosts accept."""
    yield from default_zone(at)
    yield from listen(MX, SENDER_LABEL)


def default_zone(at: Context) -> Step[None]:
    """The case's domain and that of its sender have MX hosts. Cases of the server role have it as well, as targets look whether a sender can be answered."""
    yield from zone(at, {"@": {"MX": ["10 mx"]}, MX: {"A": ["{mx}"]}, SENDER_LABEL: {"MX": ["10 back"], "A": ["{back}"]}})


def queries(at: Context, label: str = "@") -> Step[tuple[Query, ...]]:
    """What the DNS was asked about a name and what is below it, in order."""
    asked: tuple[Query, ...] = yield Queries(at.domain if label == "@" else f"{label}.{at.domain}")
    return asked


def accept(at: Context, *hosts: str, timeout_s: float = 0.0) -> Step[Visit]:
    """The next connection to one of these hosts (none given: mx). Inconclusive when the target does not come in time."""
    visit = yield from accept_any(at, *hosts, timeout_s=timeout_s)
    if visit is None:
        raise Inconclusive(f"the target did not connect to {' or '.join(hosts or (MX,))} within {timeout_s or at.target.limits.delivery_s:g} s")
    return visit


def accept_any(at: Context, *hosts: str, timeout_s: float = 0.0) -> Step[Visit | None]:
    """The same; None when it does not come."""
    accepted: Accepted | None = yield Accept(hosts or (MX,), timeout_s or at.target.limits.delivery_s)
    return None if accepted is None else Visit(at, accepted)


def receive(at: Context, *hosts: str, wait_s: float = 0.0, **manners: Any) -> Step[Visit]:
    """Accept and serve (see `Visit.serve`)."""
    visit = yield from accept(at, *hosts, timeout_s=wait_s)
    return (yield from visit.serve(**manners))


def receive_mail(at: Context, *hosts: str, wait_s: float = 0.0, **manners: Any) -> Step[Mail]:
    """The first mail of a visit, without waiting for more; Broken when the target does not bring one."""
    visit = yield from receive(at, *hosts, wait_s=wait_s, **{"idle_s": 0.2, **manners})
    if not visit.mails or not visit.mails[0].is_complete:
        raise Broken(f"the target came and brought no message; it said {visit.verbs}")
    return visit.mails[0]


def notification(at: Context, timeout_s: float = 0.0) -> Step[Mail | None]:
    """What comes back to the sender of the case; None when nothing does."""
    visit = yield from accept_any(at, SENDER_LABEL, timeout_s=timeout_s)
    if visit is None:
        return None
    yield from visit.serve(idle_s=0.2)
    return next((mail for mail in visit.mails if mail.is_complete), None)
