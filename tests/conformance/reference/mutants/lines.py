"""Lines, words and replies (RFC 5321 2.3.8, 2.4, 4.1.1, 4.2): what ends a command, in which case it is known, and how it is answered."""

# mypy: disable-error-code="attr-defined, call-overload, func-returns-value, method-assign, misc, no-any-return, return-value, var-annotated"

from collections.abc import Callable
from typing import Final, NamedTuple

from tests.conformance.reference.mta import Reference
from tests.conformance.reference.mutants.mutant import Mutant, altered, mutant, original, when
from tests.conformance.reference.reply import Reply, say
from tests.conformance.reference.server import CRLF
from tests.conformance.reference.session import Session

VERBS: Final = ("EHLO", "HELO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT")
ALL: Final = (*VERBS, "VRFY", "EXPN", "HELP", "XYZZY")
FORM: Final = "4.2-n1 4.2-n3 4.2.1-n1 4.2.1-n2 4.2.1-4 4.2-9 4.3.2-2 4.5.3.1.5-n1a"


class End(NamedTuple):
    name: str
    octets: bytes


ENDS: Final = (
    End("lf", b"\n"),
    End("cr", b"\r"),
    End("lf-cr", b"\n\r"),
    End("cr-nul-lf", b"\r\0\n"),
    End("cr-space-lf", b"\r \n"),
    End("vertical-tab", b"\x0b"),
    End("form-feed", b"\x0c"),
    End("next-line", b"\x85"),
)


def _capitals(verb: str) -> Mutant:
    """This verb is known in capitals only."""

    def verb_of(self: Reference, word: str) -> str:
        return word if word.upper() == verb else word.upper()

    return mutant(f"{verb.lower()}-in-capitals-only", "2.4-n1 2.4-1", verb_of=verb_of)


def _trailing(verb: str) -> Mutant:
    """White space behind this command is an argument."""

    def applies(self: Reference, session: Session, line: bytes) -> bool:
        return line.upper().startswith(verb.encode()) and line[-1:] in (b" ", b"\t")

    def refuse(self: Reference, session: Session, line: bytes) -> Reply:
        return say(501, "5.5.4 What is that space?")

    return mutant(f"no-space-behind-{verb.lower()}", "4.1.1-1", obey=when("obey", applies, refuse))


def _ignoring(verb: str) -> Mutant:
    """An argument where none belongs is not seen."""

    def run(self: Reference, session: Session, said: str, argument: str) -> Reply:
        reply: Reply = original("run")(self, session, said, "" if said == verb else argument)
        return reply

    return mutant(f"{verb.lower()}-takes-argument", "4.1.1-3b 4.3.2-4", run=run)


def _answered(name: str, tests: str, verb: str, change: Callable[[Reply], Reply]) -> Mutant:
    """The reply to this verb is another."""

    def changed(reply: Reply, self: Reference, session: Session, said: str, argument: str) -> Reply:
        return change(reply) if said == verb else reply

    return mutant(f"{verb.lower() or 'empty'}-{name}", tests, dispatch=altered("dispatch", changed))


def _odd_code(reply: Reply) -> Reply:
    return Reply(reply.code // 10 * 10 + 9, reply.texts) if reply.code < 500 else Reply(559, reply.texts)


def _no_text(reply: Reply) -> Reply:
    return Reply(reply.code, tuple("" for _ in reply.texts))


def _rendered(name: str, tests: str, change: Callable[[Reply], bytes]) -> Mutant:
    def rendered(self: Reference, session: Session, reply: Reply) -> bytes:
        return change(reply)

    return mutant(f"reply-{name}", tests, rendered=rendered)


def _differing(reply: Reply) -> bytes:
    lines = reply.octets().splitlines(keepends=True)
    return b"".join(b"251" + line[3:] if at == 0 and len(lines) > 1 else line for at, line in enumerate(lines))


def _of_class(digit: int, change: Callable[[bytes], bytes]) -> Callable[[Reply], bytes]:
    return lambda reply: change(reply.octets()) if reply.code // 100 == digit else reply.octets()


def _twice(verb: str) -> Mutant:
    """Two replies to one command."""

    def dispatch(self: Reference, session: Session, said: str, argument: str) -> Reply:
        reply: Reply = original("dispatch")(self, session, said, argument)
        if said == verb:
            self.write(session, reply)
        return reply

    return mutant(f"{verb.lower() or 'empty'}-is-answered-twice", "4.2-1", dispatch=dispatch)


def _unanswered(verb: str) -> Mutant:
    """No reply to one command."""

    def take_line(self: Reference, session: Session) -> bool:
        at = session.inbox.find(CRLF)
        if at >= 0 and session.inbox.upper().startswith(verb.encode()) and (verb or at == 0):
            session.inbox = session.inbox[at + 2 :]
            return True
        taken: bool = original("take_line")(self, session)
        return taken

    return mutant(f"{verb.lower() or 'empty'}-is-not-answered", "4.2-1 4.2.4-3 4.5.1-2", take_line=take_line)


def _early(self: Reference, connection: int, octets: bytes) -> None:
    """A NOOP is answered before its line has ended."""
    session = self.sessions.get(connection)
    if session is not None and session.state != "data" and session.inbox + octets == b"NOOP":
        self.write(session, say(250, "2.0.0 Ok"))
    original("received")(self, connection, octets)


def _accepting(name: str, tests: str, applies: Callable[[bytes], bool]) -> Mutant:
    """Lines that are no commands get 250."""

    def where(self: Reference, session: Session, line: bytes) -> bool:
        return applies(line)

    def accept(self: Reference, session: Session, line: bytes) -> Reply:
        return say(250, "2.0.0 Ok")

    return mutant(name, tests, obey=when("obey", where, accept))


def _segments(self: Reference, connection: int, octets: bytes) -> None:
    """A command has to come in one segment."""
    session = self.sessions.get(connection)
    if session is not None and session.state not in ("data", "quit") and not octets.endswith(b"\n"):
        self.write(session, say(500, "5.5.2 Where is the rest?"))
        return
    original("received")(self, connection, octets)


def _unknown(name: str) -> Callable[[bytes], bool]:
    """Lines of a kind."""
    known: dict[str, Callable[[bytes], bool]] = {
        "one-letter": lambda line: len(line) == 1 and line.isalpha(),
        "long-word": lambda line: len(line) > 60 and line.isalpha(),
        "letters": lambda line: line == b"FOO",
        "private": lambda line: line.startswith(b"X"),
        "digits": lambda line: line.isdigit(),
        "reply": lambda line: line[:3].isdigit() and line[3:4] == b" ",
        "prefix": lambda line: len(line) == 3 and line.isalpha(),
        "suffix": lambda line: line == b"NOOPS",
        "glued": lambda line: line.startswith((b"MAILFROM", b"EHLOc")),
        "header": lambda line: line[:8] == b"Subject:",
        "empty": lambda line: not line.strip(),
        "leading-space": lambda line: line.startswith(b" N"),
        "dot": lambda line: line == b".",
        "punctuation": lambda line: bool(line) and not any(chr(octet).isalnum() or octet in b" ." for octet in line),
    }
    return known[name]


CONTROLS: Final = bytes((*range(32), 127))
KINDS: Final = (
    *("one-letter", "long-word", "letters", "private", "digits", "reply", "prefix", "suffix", "glued", "header", "empty", "leading-space", "dot"),
    "punctuation",
)

MUTANTS: Final = (
    *(mutant(f"line-ends-with-{end.name}", "2.3.8-1a", line_ends=(CRLF, end.octets)) for end in ENDS),
    mutant("answers-before-the-end", "2.4-n3", received=_early),
    mutant("command-in-one-segment", "2.4-n3 4.2-1 4.5.4.2-1 4.1.1.5-4", received=_segments),
    *(_capitals(verb) for verb in VERBS),
    *(_trailing(verb) for verb in VERBS),
    *(_ignoring(verb) for verb in ("DATA", "RSET", "QUIT")),
    _accepting("takes-octets-beyond-ascii", "2.4-9", lambda line: not line.isascii()),
    mutant("argument-of-noop-is-refused", "4.1.1.9-1 4.3.2-n1 4.5.3.1.4-n1", do_noop=lambda self, session, argument: say(501 if argument else 250, "2.0.0 Ok")),
    *(_answered("odd-code", "4.2-3 4.3.1-3", verb, _odd_code) for verb in (*ALL, "")),
    *(_answered("no-text", "4.2-5b 4.2.1-3a", verb, _no_text) for verb in ALL if verb not in ("HELO", "VRFY", "EXPN")),
    *(_answered("not-implemented", "4.5.1-2 4.2.4-4", verb, lambda reply: say(502, "5.5.1 Not here")) for verb in (*VERBS, "VRFY", "EXPN", "HELP")),
    *(_twice(verb) for verb in (*ALL, "")),
    *(_unanswered(verb) for verb in (*ALL, "")),
    _rendered("with-lf", "4.2-n3", lambda reply: reply.octets().replace(CRLF, b"\n")),
    _rendered("without-space", "4.2-n1 4.2-n3", lambda reply: reply.octets()[:3] + reply.octets()[4:] if len(reply.texts) == 1 else reply.octets()),
    _rendered(
        "without-hyphens", "4.2.1-n1 4.1.1.1-n3", lambda reply: b"".join(line[:3] + b" " + line[4:] for line in reply.octets().splitlines(keepends=True))
    ),
    _rendered("ends-with-hyphen", "4.2.1-n2 4.2-1", lambda reply: b"".join(line[:3] + b"-" + line[4:] for line in reply.octets().splitlines(keepends=True))),
    _rendered("codes-differ", "4.2.1-4", _differing),
    _rendered("of-700-octets", "4.5.3.1.5-n1a", lambda reply: reply.octets().replace(CRLF, b"x" * 690 + CRLF)),
    _rendered("control-characters", "4.2-n1", lambda reply: reply.octets().replace(CRLF, b"\x01" + CRLF)),
    _rendered("refusals-of-class-6", "4.2-9 4.3.2-2 4.2-3", _of_class(5, lambda octets: b"6" + octets[1:])),
    _rendered("of-two-digits", "4.2-n1 4.3.2-2 4.2-9", _of_class(2, lambda octets: octets[:1] + octets[2:] if octets.startswith(b"221") else octets)),
    *(_accepting(f"takes-{kind}-for-a-command", "4.2.4-3 4.1.5-n1", _unknown(kind)) for kind in KINDS),
    mutant("control-characters-are-dropped", "4.1.2-9", obey=lambda self, session, line: original("obey")(self, session, line.translate(None, CONTROLS))),
)
