"""Sizes, counts and time (RFC 5321 4.5.3): limits that are too low, what is done beyond them, and patience."""

# mypy: disable-error-code="attr-defined, call-overload, func-returns-value, method-assign, misc, no-any-return, return-value, var-annotated"

from collections.abc import Callable
from typing import Any, Final

from tests.conformance.reference.envelope import Envelope
from tests.conformance.reference.mta import Reference
from tests.conformance.reference.mutants.mutant import Mutant, altered, mutant, original
from tests.conformance.reference.reply import Reply, say
from tests.conformance.reference.session import Session

ALL: Final = "4.5.3.1-1"
PATIENCE: Final = "4.5.3.2.7-1"


def _lowered(attribute: str, tests: str, *values: int) -> tuple[Mutant, ...]:
    return tuple(mutant(f"{attribute.replace('_', '-')}-{value}", f"{tests} {ALL}", **{attribute: value}) for value in values)


def _recipients(name: str, tests: str, *reply: Any, limit: int = 200) -> Mutant:
    """Another answer beyond the limit."""

    def changed(given: Reply, self: Reference, session: Session, argument: str) -> Reply:
        return say(*reply) if given.code == 452 else given

    return mutant(f"recipients-beyond-the-limit-{name}", tests, do_rcpt=altered("do_rcpt", changed), recipients_max=limit)


def _recipients_lost(self: Reference, envelope: Envelope, content: bytes) -> None:
    """Where there were too many, nobody gets anything."""
    if len(envelope.recipients) < self.recipients_max:
        original("take_over")(self, envelope, content)


def _echo(self: Reference, session: Session, line: bytes) -> Reply:
    """A reply repeats what was said, however long it is."""
    reply: Reply = original("obey")(self, session, line)
    return Reply(reply.code, (f"{line.decode('ascii', 'replace')}: {reply.texts[0]}".replace("\x00", "?"),)) if reply.code >= 500 and line else reply


def _echoing(self: Reference, session: Session) -> bool:
    """The same, of lines that are too long as well."""
    at = session.inbox.find(b"\r\n")
    if at > self.command_octets:
        self.out.write(session.connection, b"500 5.5.2 Too long: " + session.inbox[:at] + b"\r\n")
        session.inbox = session.inbox[at + 2 :]
        return True
    taken: bool = original("take_line")(self, session)
    return taken


def _chopped(self: Reference, session: Session) -> bool:
    """A line that is too long becomes several."""
    if b"\r\n" not in session.inbox[: self.command_octets] and len(session.inbox) > self.command_octets:
        session.inbox = session.inbox[self.command_octets :]
        self.write(session, say(500, "5.5.2 Line too long"))
        return True
    taken: bool = original("take_line")(self, session)
    return taken


def _unanswered(self: Reference, session: Session) -> bool:
    """A line that is too long gets no reply."""
    at = session.inbox.find(b"\r\n")
    if at > self.command_octets:
        session.inbox = session.inbox[at + 2 :]
        return True
    taken: bool = original("take_line")(self, session)
    return taken


def _impatient(state: str) -> Callable[..., None]:
    """Ends after some seconds, without a command, in this state."""

    def received(self: Reference, connection: int, octets: bytes) -> None:
        original("received")(self, connection, octets)
        session = self.sessions.get(connection)
        if session is not None and session.state == state:
            session.deadline = self.out.now + 1.0

    def connected(self: Reference, connection: int, service: str, source: str) -> None:
        original("connected")(self, connection, service, source)
        if state == "connected" and connection in self.sessions:
            self.sessions[connection].deadline = self.out.now + 1.0

    return connected if state == "connected" else received


def _chatty(self: Reference, session: Session) -> None:
    """Speaks without having been asked, and stays."""
    session.deadline = self.out.now + 600.0
    self.write(session, say(250, "2.0.0 Still there?"))


def _closes(self: Reference, session: Session) -> None:
    """No 421."""
    self.hang_up(session)


def _another(code: int) -> Callable[..., None]:
    def lose_patience(self: Reference, session: Session) -> None:
        self.write(session, say(code, "4.4.2 Too slow"))
        self.hang_up(session)

    return lose_patience


def _whole_session(self: Reference, connection: int, octets: bytes) -> None:
    """Commands do not start the time anew."""
    session = self.sessions.get(connection)
    deadline = session.deadline if session else 0.0
    original("received")(self, connection, octets)
    if session is not None and session.state != "connected":
        session.deadline = deadline


def _at_once(self: Reference, session: Session) -> bool:
    """The end of a message is the end of the session."""
    taken: bool = original("take_content")(self, session)
    if taken:
        session.state = "quit"
    return taken


def _long(name: str, tests: str, limit: int) -> Mutant:
    """Long lines get 500 though they are not too long."""

    def obey(self: Reference, session: Session, line: bytes) -> Reply:
        return say(500, "5.5.2 Line too long") if len(line) + 2 > limit else original("obey")(self, session, line)

    return mutant(f"line-of-{name}-is-too-long", tests, obey=obey)


MUTANTS: Final = (
    *_lowered("local_part_octets", "4.5.3.1.1-n1 4.1.2-n1a", 0, 16, 40, 63),
    *_lowered("domain_octets", "4.5.3.1.2-n1 4.5.3.1.3-n1", 40, 100, 254),
    *_lowered("path_octets", "4.5.3.1.3-n1", 200, 255),
    *_lowered("text_line_octets", "4.5.3.1.6-n1", 900, 999, 5_000),
    *_lowered("content_octets", "4.5.3.1.7-1", 60_000),
    *_lowered("recipients_max", "4.5.3.1.8-1", 10, 99),
    *(_long(str(limit), f"4.3.2-n1 4.5.3.1.4-n1 {ALL}", limit) for limit in (80, 200, 255, 300, 510, 511)),
    mutant("command-octets-200", f"4.5.3.1.4-n1 {ALL} 4.3.2-n1", command_octets=200),
    mutant("command-octets-100000", "2.3.8-2", command_octets=100_000),
    _recipients("get-550", "4.5.3.1.10-2a", 550, "5.5.3 Too many"),
    _recipients("get-552", "4.5.3.1.10-2a", 552, "5.5.3 Too many"),
    _recipients("get-354", "4.5.3.1.8-3 4.5.3.1.10-2a", 354, "Hm"),
    mutant("recipients-beyond-the-limit-lose-all", "4.5.3.1.8-3", take_over=_recipients_lost),
    mutant("size-with-words", "4.5.3.1.7-2a", keywords=("SIZE=many", "SIZE about-ten", "8BITMIME", "VRFY", "EXPN", "HELP")),
    mutant("replies-echo", "4.5.3.1.5-n1a 4.2-n1", obey=_echo, command_octets=1_000_000),
    mutant("long-line-is-echoed", "4.5.3.1.5-n1a 4.2-1 4.2-n1", take_line=_echoing),
    mutant("long-line-is-several", "4.2-1", take_line=_chopped),
    mutant("long-line-is-not-answered", "4.2-1 4.2-n1", take_line=_unanswered),
    # time
    mutant("patience-of-a-minute", f"{PATIENCE}", patience_s=60.0),
    mutant("patience-of-a-session", f"{PATIENCE}", received=_whole_session),
    *(
        mutant(f"patience-of-a-second-{state}", f"{PATIENCE} 3.8-1 4.1.1.10-2", **{"connected" if state == "connected" else "received": _impatient(state)})
        for state in ("connected", "greeted", "mail", "rcpt", "data", "sent")
    ),
    mutant("speaks-unasked", "3.8-1 4.1.1.10-2", patience_s=1.0, lose_patience=_chatty),
    mutant("closes-without-421", "3.8-2", lose_patience=_closes),
    mutant("ends-with-451", "3.8-2", lose_patience=_another(451)),
    mutant("stops-without-421", "3.8-2", say_goodbye=lambda self, connection: None),
    mutant("closes-after-message", "3.8-1 4.1.1.10-2 4.1.4-n3", take_content=_at_once),
)
