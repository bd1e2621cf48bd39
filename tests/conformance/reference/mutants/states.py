"""The table of states and commands (RFC 5321 4.1.4): a cell that takes what is out of order, refuses what is in order, or does what it should not."""

# mypy: disable-error-code="attr-defined, call-overload, func-returns-value, method-assign, misc, no-any-return, return-value, var-annotated"

from collections.abc import Callable
from typing import Final

from tests.conformance.reference.mta import Reference
from tests.conformance.reference.mutants.mutant import Mutant, ids, mutant, original, when
from tests.conformance.reference.reply import Reply, say
from tests.conformance.reference.session import Session

IDLE: Final = ("connected", "greeted", "sent", "reset")
BUSY: Final = ("mail", "rcpt")
ORDER: Final = "4.1.4-14a 4.1.4-14b"
CITES: Final = {
    "EHLO": "4.1.4-4 4.1.4-n2",
    "HELO": "4.1.1.1-4b F.3-2",
    "MAIL": f"{ORDER} 3.3-n1",
    "RCPT": f"{ORDER} 3.3-8 3.3-n3",
    "DATA": f"{ORDER} 3.3-n6",
    "RSET": "4.1.1.5-2 4.1.1.5-n1 4.1.4-n1 4.1.4-n2",
    "NOOP": "4.1.1.9-n1 4.1.1.9-n2 4.1.4-n1",
    "QUIT": "4.1.1.10-1 4.1.1.10-n1 4.1.4-n2",
    "VRFY": "4.1.1.6-n1 4.1.4-n1",
    "EXPN": "4.1.1.7-n1 4.1.4-n1",
    "HELP": "4.1.1.8-n1 4.1.4-n1",
    "XYZZY": "4.1.5-n1 4.1.4-14b",
}
Doing = Callable[[Reference, Session, str, str], Reply]


def refuse(self: Reference, session: Session, verb: str, argument: str) -> Reply:
    return say(502, "5.5.1 Not here")


def accept(self: Reference, session: Session, verb: str, argument: str) -> Reply:
    """Whatever the order is."""
    return self.run(session, verb, argument) if verb in self.verbs else say(250, "2.0.0 Ok")


def odd(self: Reference, session: Session, verb: str, argument: str) -> Reply:
    """A reply that nobody gives here."""
    return say(354, "Go ahead")


def opening(self: Reference, session: Session, verb: str, argument: str) -> Reply:
    """A transaction is open afterwards."""
    reply = original("dispatch")(self, session, verb, argument)
    session.state = "mail"
    return reply


def dropping(self: Reference, session: Session, verb: str, argument: str) -> Reply:
    """No transaction is open afterwards."""
    reply = original("dispatch")(self, session, verb, argument)
    session.clear()
    return reply


def taking(self: Reference, session: Session, verb: str, argument: str) -> Reply:
    """Taken, and then no transaction is open."""
    session.clear()
    return say(250, "2.1.0 Ok")


def keeping(self: Reference, session: Session, verb: str, argument: str) -> Reply:
    """Answered as ever, but the transaction stands."""
    envelope, state = session.envelope, session.state
    reply = original("dispatch")(self, session, verb, argument)
    session.envelope, session.state = envelope, state
    return reply


def _cells() -> dict[tuple[str, str], tuple[Doing, ...]]:
    """State and verb -> the ways to be wrong there."""
    cells: dict[tuple[str, str], tuple[Doing, ...]] = {}
    for state in IDLE + BUSY:
        is_idle = state in IDLE
        cells[state, "EHLO"] = (refuse, opening) if is_idle else (refuse, keeping)
        cells[state, "HELO"] = (refuse, opening) if is_idle else (refuse, keeping)
        cells[state, "MAIL"] = (odd,) if state == "connected" else (refuse,) if is_idle else (odd, taking)
        cells[state, "RCPT"] = (accept,) if is_idle else (refuse, taking)
        cells[state, "DATA"] = (refuse,) if state == "rcpt" else (accept,)
        cells[state, "RSET"] = (refuse, opening) if is_idle else (refuse, keeping)
        cells[state, "NOOP"] = (refuse, opening if is_idle else dropping)
        cells[state, "QUIT"] = (refuse, keeping)
        for verb in ("VRFY", "EXPN", "HELP"):
            cells[state, verb] = (odd, opening if is_idle else dropping)
        cells[state, "XYZZY"] = (accept, opening if is_idle else dropping)
    return cells


def _cell(state: str, verb: str, doing: Doing) -> Mutant:
    def applies(self: Reference, session: Session, said: str, argument: str) -> bool:
        return session.state == state and said == verb

    return Mutant(f"cell-{state}-{verb.lower()}-{doing.__name__}", ids(CITES[verb]), {"dispatch": when("dispatch", applies, doing)})


def _late(state: str, verb: str) -> Mutant:
    """RFC 5321 4.1.4: served before EHLO."""

    def applies(self: Reference, session: Session, said: str, argument: str) -> bool:
        return session.state == state and said == verb

    def late(self: Reference, session: Session, said: str, argument: str) -> Reply:
        return say(503, "5.5.1 EHLO first")

    return Mutant(f"before-ehlo-{verb.lower()}", ids("4.1.4-11a 4.1.4-2 4.1.4-n1"), {"dispatch": when("dispatch", applies, late)})


def _in_content(verb: str) -> Mutant:
    """A line of the content that reads like a command is answered."""

    def received(self: Reference, connection: int, octets: bytes) -> None:
        session = self.sessions.get(connection)
        if session is not None and session.state == "data" and b"\n" + verb.encode() in octets:
            self.write(session, say(250, "2.0.0 Ok"))
        original("received")(self, connection, octets)

    return Mutant(f"content-{verb.lower()}-is-obeyed", ids("3.3-n6 4.2-1"), {"received": received})


def _quit_stays(self: Reference, session: Session, argument: str) -> Reply:
    session.clear()
    return say(221, "2.0.0 Bye")


def _mail_keeps_recipients(self: Reference, session: Session, verb: str, argument: str) -> Reply:
    return say(250, "2.1.0 Ok")


def _is(verb: str, *states: str) -> Callable[..., bool]:
    def applies(self: Reference, session: Session, said: str, argument: str) -> bool:
        return said == verb and session.state in states

    return applies


def _shared(self: Reference, session: Session, argument: str) -> Reply:
    """One transaction for all sessions."""
    reply: Reply = original("do_mail")(self, session, argument)
    for other in self.sessions.values():
        other.envelope, other.state = session.envelope, session.state
    return reply


def _unchecked(self: Reference, session: Session, argument: str) -> Reply:
    session.state = "rcpt"
    reply: Reply = original("do_rcpt")(self, session, argument)
    return reply


MUTANTS: Final = (
    *(_cell(state, verb, doing) for (state, verb), doings in _cells().items() for doing in doings),
    *(_late("connected", verb) for verb in ("VRFY", "EXPN", "HELP", "NOOP", "RSET")),
    *(_in_content(verb) for verb in CITES),
    mutant("quit-does-not-close", "4.1.1.10-1", do_quit=_quit_stays),
    mutant("mail-anew-keeps-recipients", "4.1.1.2-n1 3.3-n2 4.1.4-14b", dispatch=when("dispatch", _is("MAIL", "rcpt"), _mail_keeps_recipients)),
    mutant("mail-is-shared", "3.3-n2", do_mail=_shared),
    mutant("refused-recipient-counts", "4.1.4-14a 4.1.4-14b 3.3-9 3.3-n4", do_rcpt=_unchecked),
)
