"""Server: the receiver of RFC 5321, one small method for each thing that a sentence asks for, so that a mutant can change just that."""

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

from tests.conformance.memory import Mta
from tests.conformance.reference.envelope import Envelope
from tests.conformance.reference.grammar import Grammar, Path
from tests.conformance.reference.reply import Reply, say
from tests.conformance.reference.session import Session

CRLF: Final = b"\r\n"
ALWAYS: Final = frozenset("EHLO HELO RSET NOOP QUIT VRFY EXPN HELP".split())
IDLE: Final = ALWAYS | {"MAIL"}
EPOCH: Final = 1_784_030_400.0  # a day in July 2026, when `now` is 0
TRUSTED: Final = "192.0.2.200"


class Server(Mta):
    """What a mutant may change: the tables, or a method."""

    host = "mx.local.test"
    domain = "local.test"
    relay_domain = "relay.dest.test"
    users = ("alice", "bob", "postmaster")
    lists = {"staff": ("alice", "bob")}
    outsiders = ("198.51.100.1",)

    grammar = Grammar()
    verbs = ALWAYS | {"MAIL", "RCPT", "DATA"}
    order = {  # RFC 5321 4.1.4: what is in order where
        "connected": ALWAYS,
        "greeted": IDLE,
        "mail": ALWAYS | {"RCPT"},
        "rcpt": ALWAYS | {"RCPT", "DATA"},
        "sent": IDLE,
        "reset": IDLE,
    }
    keywords: tuple[str, ...] = ("SIZE 10000000", "8BITMIME", "PIPELINING", "ENHANCEDSTATUSCODES", "VRFY", "EXPN", "HELP")
    mail_parameters = {"SIZE": r"\d{1,20}", "BODY": r"(?i:7BIT|8BITMIME)"}
    rcpt_parameters: dict[str, str] = {}
    line_ends = (CRLF,)
    content_ends = (b"\r\n.\r\n",)
    patience_s = 600.0

    local_part_octets = 64
    domain_octets = 255
    path_octets = 256
    command_octets = 1_024
    text_line_octets = 1_000_000
    content_octets = 10_000_000
    recipients_max = 200
    hops_max = 100

    def __init__(self) -> None:
        self.sessions: dict[int, Session] = {}
        self.mailboxes: dict[str, list[bytes]] = {}
        self.is_down = False
        self._messages = 0

    # --- connections

    def connected(self, connection: int, service: str, source: str) -> None:
        if self.is_down:
            self.out.shut(connection)
            return
        session = Session(connection, service, source or TRUSTED, source not in self.outsiders)
        self.sessions[connection] = session
        session.deadline = self.out.now + self.patience_s
        self.write(session, self.greeting(session))

    def greeting(self, session: Session) -> Reply:
        return say(220, f"{self.host} ESMTP")

    def received(self, connection: int, octets: bytes) -> None:
        session = self.sessions.get(connection)
        if session is None:
            return
        session.inbox += octets
        session.deadline = self.out.now + self.patience_s
        while session.state != "quit" and (self.take_content(session) if session.state == "data" else self.take_line(session)):
            pass
        if session.state == "quit":
            self.hang_up(session)

    def ended(self, connection: int) -> None:
        if connection in self.sessions:
            self.hang_up(self.sessions[connection])

    def hang_up(self, session: Session) -> None:
        """RFC 5321 4.1.1.10: what was not complete is dropped."""
        if self.sessions.pop(session.connection, None):
            self.out.shut(session.connection)

    def write(self, session: Session, reply: Reply) -> None:
        self.out.write(session.connection, self.rendered(session, reply))

    def rendered(self, session: Session, reply: Reply) -> bytes:
        return reply.octets()

    # --- time

    def wake_at(self) -> float | None:
        return min((session.deadline for session in self.sessions.values()), default=None)

    def advance(self) -> None:
        for session in [session for session in self.sessions.values() if session.deadline <= self.out.now]:
            self.lose_patience(session)

    def lose_patience(self, session: Session) -> None:
        """RFC 5321 3.8."""
        self.write(session, say(421, f"4.4.2 {self.host} waited too long"))
        self.hang_up(session)

    # --- lines

    def take_line(self, session: Session) -> bool:
        """Obey the next line; False while none is whole."""
        found = [(at, end) for end in self.line_ends if (at := session.inbox.find(end)) >= 0]
        if not found:
            if len(session.inbox) > self.command_octets:
                session.is_overlong, session.inbox = True, session.inbox[-1:]
            return False
        at, end = min(found)
        line, session.inbox = session.inbox[:at], session.inbox[at + len(end) :]
        is_overlong, session.is_overlong = session.is_overlong or len(line) + 2 > self.command_octets, False
        reply = say(500, "5.5.2 Line too long") if is_overlong else self.obey(session, line)
        self.write(session, reply)
        return True

    def obey(self, session: Session, line: bytes) -> Reply:
        """One command."""
        if not self.is_ascii(line):
            return say(500, "5.5.2 Octets beyond ASCII")
        text = self.stripped(line.decode("utf-8", "backslashreplace"))
        verb, _, argument = text.partition(" ")
        verb = self.verb_of(verb)
        if not self.is_clean(text):
            return say(501, "5.5.2 A control character")
        return self.dispatch(session, verb, argument)

    def is_ascii(self, line: bytes) -> bool:
        """RFC 5321 2.4."""
        return line.isascii()

    def is_clean(self, text: str) -> bool:
        """RFC 5321 4.1.2."""
        return text.isprintable()

    def dispatch(self, session: Session, verb: str, argument: str) -> Reply:
        """By verb and state."""
        if verb not in self.verbs:
            return say(500, "5.5.1 Command not known")
        if verb not in self.order[session.state]:
            return say(503, "5.5.1 Out of order")
        return self.run(session, verb, argument)

    def stripped(self, text: str) -> str:
        """RFC 5321 4.1.1: white space at the end is tolerated."""
        return text.rstrip(" \t")

    def verb_of(self, word: str) -> str:
        return word.upper()

    def run(self, session: Session, verb: str, argument: str) -> Reply:
        """A command that is in order."""
        reply: Reply = getattr(self, f"do_{verb.lower()}")(session, argument)
        return reply

    # --- commands

    def do_ehlo(self, session: Session, argument: str) -> Reply:
        if not self.is_hello(argument):
            return say(501, "Not a domain or an address literal")
        session.name, session.protocol = argument, "ESMTP"
        self.clear_by_hello(session)
        return say(250, f"{self.host} at your service", *self.keywords_for(session))

    def do_helo(self, session: Session, argument: str) -> Reply:
        if not self.is_hello(argument):
            return say(501, "Not a domain or an address literal")
        session.name, session.protocol = argument, "SMTP"
        self.clear_by_hello(session)
        return say(250, self.host)

    def is_hello(self, argument: str) -> bool:
        return len(argument) <= self.domain_octets and self.grammar.hello(argument)

    def clear_by_hello(self, session: Session) -> None:
        """RFC 5321 4.1.4."""
        session.clear()

    def keywords_for(self, session: Session) -> tuple[str, ...]:
        return self.keywords

    def do_mail(self, session: Session, argument: str) -> Reply:
        found = self.grammar.mail(argument)
        if found is None or not self.is_short(found[0]):
            return say(501, "5.1.7 Not a reverse-path")
        path, rest = found
        parameters = self.grammar.parameters(rest)
        if parameters is None:
            return say(501, "5.5.4 Not a parameter")
        refusal = self.refusal_of_parameters(session, parameters, self.mail_parameters if session.protocol == "ESMTP" else {}) or self.refusal_of_sender(
            session, path
        )
        if refusal:
            return refusal
        if int(parameters.get("SIZE", "0")) > self.content_octets:
            return say(552, "5.3.4 Too big")
        session.envelope = Envelope(path, parameters)
        session.state = "mail"
        return say(250, "2.1.0 Ok")

    def is_short(self, path: Path) -> bool:
        """RFC 5321 4.5.3.1.1 - 3."""
        return (
            len(path.local) <= self.local_part_octets
            and len(path.domain) <= self.domain_octets
            and (bool(path.route) or len(path.text) + 2 <= self.path_octets)
        )

    def refusal_of_parameters(self, session: Session, parameters: dict[str, str], known: dict[str, str]) -> Reply | None:
        """RFC 5321 4.1.1.11."""
        for keyword, value in parameters.items():
            if keyword not in known:
                return say(555, "5.5.4 Parameter not known")
            if not re.fullmatch(known[keyword], value):
                return say(501, "5.5.4 Not a value")
        return None

    def refusal_of_sender(self, session: Session, path: Path) -> Reply | None:
        return None

    def do_rcpt(self, session: Session, argument: str) -> Reply:
        found = self.grammar.rcpt(argument)
        if found is None or not self.is_short(found[0]):
            return say(501, "5.1.3 Not a forward-path")
        path, rest = found
        parameters = self.grammar.parameters(rest)
        if parameters is None:
            return say(501, "5.5.4 Not a parameter")
        refusal = self.refusal_of_parameters(session, parameters, self.rcpt_parameters if session.protocol == "ESMTP" else {}) or self.refusal_of(session, path)
        if refusal:
            return refusal
        if len(session.envelope.recipients) >= self.recipients_max:
            return say(452, "4.5.3 Too many recipients")
        session.envelope.recipients.append((path, parameters))
        session.state = "rcpt"
        return say(250, "2.1.5 Ok")

    def refusal_of(self, session: Session, path: Path) -> Reply | None:
        """Whether a recipient is known, or may be relayed to."""
        if self.is_local(path):
            return None if self.user_of(path) else say(550, "5.1.1 No such user")
        return None if self.may_relay(session, path) else say(550, "5.7.1 No relaying")

    def is_local(self, path: Path) -> bool:
        return path.domain.lower() in (self.domain, "") and bool(path.local)

    def user_of(self, path: Path) -> str:
        """The local mailbox, or ""."""
        local = path.local.lower() if path.local.lower() == "postmaster" else path.local
        return local if local in self.users else ""

    def may_relay(self, session: Session, path: Path) -> bool:
        """RFC 5321 7.9."""
        return session.is_trusted or path.domain.lower() == self.relay_domain or path.domain.lower().endswith("." + self.relay_domain)

    def do_data(self, session: Session, argument: str) -> Reply:
        if argument:
            return say(501, "5.5.4 No argument here")
        session.state = "data"
        return say(354, "Go ahead")

    def do_rset(self, session: Session, argument: str) -> Reply:
        if argument:
            return say(501, "5.5.4 No argument here")
        session.clear()
        session.state = "reset" if session.name else "connected"
        return say(250, "2.0.0 Ok")

    def do_noop(self, session: Session, argument: str) -> Reply:
        return say(250, "2.0.0 Ok")

    def do_quit(self, session: Session, argument: str) -> Reply:
        if argument:
            return say(501, "5.5.4 No argument here")
        session.state = "quit"
        return say(221, f"2.0.0 {self.host} closing")

    def do_help(self, session: Session, argument: str) -> Reply:
        return say(214, "2.0.0 See RFC 5321")

    def do_vrfy(self, session: Session, argument: str) -> Reply:
        return self.verified(argument)

    def do_expn(self, session: Session, argument: str) -> Reply:
        if argument.partition("@")[0] in self.lists:
            return say(250, *(f"2.1.5 {self.shown(user)}" for user in self.lists[argument.partition("@")[0]]))
        return self.verified(argument)

    def verified(self, argument: str) -> Reply:
        """RFC 5321 3.5.3: 250 only for what was looked up."""
        if not argument:
            return say(501, "5.5.4 Whom?")
        local, _, domain = argument.removeprefix("<").removesuffix(">").partition("@")
        if domain.lower() not in ("", self.domain):
            return say(252, "2.1.5 Not looked up, but mail is taken")
        user = self.user_of(Path(local, domain))
        return say(250, f"2.1.5 {self.shown(user)}") if user else say(550, "5.1.1 No such user")

    def shown(self, user: str) -> str:
        return f"<{user}@{self.domain}>"

    # --- content

    def take_content(self, session: Session) -> bool:
        """Read up to the end of the content; False while it is not whole (RFC 5321 4.1.1.4)."""
        raw = CRLF + session.inbox
        found = [(at, end) for end in self.content_ends if (at := raw.find(end)) >= 0]
        if not found:
            return False
        at, end = min(found)
        session.inbox = raw[at + len(end) :]
        self.write(session, self.end_of_content(session, self.unstuffed(raw[: at + 2])[2:]))
        return True

    def unstuffed(self, raw: bytes) -> bytes:
        """RFC 5321 4.5.2. `raw` begins with a CRLF that is no part of the content."""
        return raw.replace(b"\r\n.", b"\r\n")

    def end_of_content(self, session: Session, content: bytes) -> Reply:
        envelope = session.envelope
        refusal = self.refusal_of_content(session, content)
        self.clear_after_content(session)
        if refusal:
            return refusal
        self._messages += 1
        self.take_over(envelope, self.stamp(session, envelope) + content)
        return say(250, f"2.0.0 Taken as {self._messages}")

    def clear_after_content(self, session: Session) -> None:
        """RFC 5321 4.1.1.4: all buffers are cleared."""
        session.clear()
        session.state = "sent"

    def refusal_of_content(self, session: Session, content: bytes) -> Reply | None:
        bare = content.replace(CRLF, b"")
        if b"\r" in bare or b"\n" in bare:
            return say(554, "5.6.0 CR or LF alone")
        if len(content) > self.content_octets:
            return say(552, "5.3.4 Too big")
        if any(len(line) + 2 > self.text_line_octets for line in content.split(CRLF)):
            return say(554, "5.6.0 A line is too long")
        if self.hops(content) > self.hops_max:
            return say(554, "5.4.6 It goes round and round")
        return None

    def hops(self, content: bytes) -> int:
        """RFC 5321 6.3."""
        return (CRLF + head_of(content)).lower().count(b"\r\nreceived:")

    # --- trace

    def stamp(self, session: Session, envelope: Envelope) -> bytes:
        """RFC 5321 4.4: the Received field."""
        source = f"{session.name} ([{session.source}])"
        return f"Received: from {source}\r\n\tby {self.host} with {self.protocol_of(session)} id {self._messages};\r\n\t{self.date()}\r\n".encode()

    def protocol_of(self, session: Session) -> str:
        """RFC 3848."""
        return session.protocol + "S" * session.is_secured + "A" * bool(session.user)

    def date(self) -> str:
        return format_datetime(datetime.fromtimestamp(EPOCH + self.out.now, UTC))

    # --- delivery

    def take_over(self, envelope: Envelope, content: bytes) -> None:
        """RFC 5321 6.1: from now on the message is ours."""
        for path, _ in envelope.recipients:
            if self.is_local(path):
                self.deliver(self.user_of(path), envelope, content)

    def deliver(self, user: str, envelope: Envelope, content: bytes) -> None:
        """Final delivery."""
        self.mailboxes.setdefault(f"{user}@{self.domain}", []).append(self.return_path(envelope) + self.without_return_path(content))

    def return_path(self, envelope: Envelope) -> bytes:
        return f"Return-Path: <{envelope.sender.text}>\r\n".encode()

    def without_return_path(self, content: bytes) -> bytes:
        """RFC 5321 4.4: what the message brought along is taken off."""
        head = head_of(content)
        kept = [field for field in fields_of(head) if not field.lower().startswith(b"return-path:")]
        return b"".join(kept) + content[len(head) :]

    def mailbox(self, recipient: str) -> list[bytes]:
        return self.mailboxes.get(recipient.lower(), [])


def head_of(content: bytes) -> bytes:
    """The header section, with the CRLF of its last field."""
    return content[: (CRLF + content).find(b"\r\n\r\n")] if b"\r\n\r\n" in CRLF + content else content


def fields_of(head: bytes) -> list[bytes]:
    """Each field with its folds and its CRLF."""
    found: list[bytes] = []
    for line in head.splitlines(keepends=True):
        if line[:1] in (b" ", b"\t") and found:
            found[-1] += line
        else:
            found.append(line)
    return found
