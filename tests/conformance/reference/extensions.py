"""Extensions of the server: STARTTLS (RFC 3207), AUTH (4954), CHUNKING and BINARYMIME (3030), SMTPUTF8 (6531), DSN (3461)."""

import base64
import binascii
import re
from typing import Final

from tests.conformance.reference.grammar import PRODUCTIONS, Grammar
from tests.conformance.reference.reply import Reply, say
from tests.conformance.reference.server import ALWAYS, Server
from tests.conformance.reference.session import Session

NOTHING: Final = Reply(0, ())  # no reply is due
BEYOND: Final = "[^\x00-\x7f]"
INTERNATIONAL: Final = Grammar(
    {name: f"(?:{PRODUCTIONS[name]}|{BEYOND})" for name in ("let-dig", "atext", "qtext")} | {"ldh-str": f"(?:[A-Za-z0-9-]|{BEYOND})*<let-dig>"}
)
XTEXT: Final = r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+"
EVENT: Final = "(?i:SUCCESS|FAILURE|DELAY)"


class Extended(Server):
    """Part of the reference."""

    verbs = Server.verbs | {"STARTTLS", "AUTH", "BDAT"}
    order = {
        **{state: allowed | {"STARTTLS", "AUTH"} if state in ("greeted", "sent", "reset") else allowed for state, allowed in Server.order.items()},
        "rcpt": Server.order["rcpt"] | {"BDAT"},
        "chunks": ALWAYS | {"BDAT"},
    }
    keywords = (*Server.keywords, "STARTTLS", "AUTH PLAIN", "CHUNKING", "BINARYMIME", "SMTPUTF8", "DSN")
    mail_parameters = {
        **Server.mail_parameters,
        "BODY": r"(?i:7BIT|8BITMIME|BINARYMIME)",
        "SMTPUTF8": "",
        "RET": "(?i:FULL|HDRS)",
        "ENVID": XTEXT,
        "AUTH": f"<>|{XTEXT}",
        "REQUIRETLS": "",
    }
    rcpt_parameters = {"NOTIFY": f"(?i:NEVER)|{EVENT}(?:,{EVENT})*", "ORCPT": r"[0-9A-Za-z-]+;\S+"}
    international = INTERNATIONAL
    passwords = {"alice": "secret"}

    def keywords_for(self, session: Session) -> tuple[str, ...]:
        words = super().keywords_for(session)
        return tuple("REQUIRETLS" if word == "STARTTLS" else word for word in words) if session.is_secured else words

    def refusal_of_parameters(self, session: Session, parameters: dict[str, str], known: dict[str, str]) -> Reply | None:
        """RFC 8689 2: REQUIRETLS under TLS only."""
        if "REQUIRETLS" in parameters and not session.is_secured:
            return say(555, "5.5.4 Parameter not known here")
        return super().refusal_of_parameters(session, parameters, known)

    # --- RFC 6531

    def is_ascii(self, line: bytes) -> bool:
        return super().is_ascii(line) or b"SMTPUTF8" in line.upper().split()

    def obey(self, session: Session, line: bytes) -> Reply:
        """A recipient of an international transaction may be named in UTF-8."""
        if "SMTPUTF8" in session.envelope.parameters and not line.isascii():
            return super().obey(session, line + b" SMTPUTF8") if line[:5].upper() == b"RCPT " and _is_utf8(line) else say(500, "5.5.2 Not UTF-8")
        return super().obey(session, line)

    def do_mail(self, session: Session, argument: str) -> Reply:
        if not argument.isascii():
            return self._internationally(super().do_mail, session, argument)
        return super().do_mail(session, argument)

    def do_rcpt(self, session: Session, argument: str) -> Reply:
        if not argument.isascii():
            return self._internationally(super().do_rcpt, session, argument.removesuffix(" SMTPUTF8"))
        return super().do_rcpt(session, argument)

    def _internationally(self, do: object, session: Session, argument: str) -> Reply:
        plain = self.grammar
        self.grammar = self.international
        try:
            assert callable(do)
            reply: Reply = do(session, argument)
            return reply
        finally:
            self.grammar = plain

    # --- RFC 3207

    def do_starttls(self, session: Session, argument: str) -> Reply:
        if argument:
            return say(501, "5.5.4 No argument here")
        if session.is_secured:
            return say(503, "5.5.1 There is TLS")
        session.state, session.inbox = "handshake", b""
        return say(220, "2.0.0 Go ahead")

    def secured(self, connection: int) -> None:
        """What was known before is forgotten."""
        session = self.sessions.get(connection)
        if session is not None and session.state == "handshake":
            session.name, session.inbox, session.is_secured, session.user = "", b"", True, ""
            session.clear()

    # --- RFC 4954

    def do_auth(self, session: Session, argument: str) -> Reply:
        mechanism, _, first = argument.partition(" ")
        if session.user:
            return say(503, "5.5.1 Once is enough")
        if mechanism.upper() != "PLAIN":
            return say(504, "5.5.4 Mechanism not known")
        if not first:
            session.state = "auth"
            return say(334, "")
        return self.authenticated(session, first)

    def authenticated(self, session: Session, octets: str) -> Reply:
        session.state = "greeted"
        if octets == "*":
            return say(501, "5.7.0 As you like")
        try:
            _, user, password = base64.b64decode(octets, validate=True).decode().split("\0")
        except (binascii.Error, ValueError):
            return say(501, "5.5.2 Not base64 of PLAIN")
        if self.passwords.get(user.partition("@")[0]) != password:
            return say(535, "5.7.8 Not so")
        session.user, session.is_trusted = user, True
        return say(235, "2.7.0 Welcome")

    # --- RFC 3030

    def dispatch(self, session: Session, verb: str, argument: str) -> Reply:
        if verb != "BDAT":
            return super().dispatch(session, verb, argument)
        found = re.fullmatch(r"(\d{1,20})( LAST)?", argument.upper())
        if found is None:
            return say(501, "5.5.4 BDAT size [LAST]")
        session.chunk_left, session.is_last, session.refused = int(found[1]), bool(found[2]), "BDAT" not in self.order[session.state]
        session.before, session.state = session.state, "chunk"
        return NOTHING

    def take_line(self, session: Session) -> bool:
        if session.state == "handshake":
            return False
        if session.state == "chunk":
            return self.take_chunk(session)
        if session.state == "auth":
            line, end, session.inbox = session.inbox.partition(b"\r\n")
            if not end:
                session.inbox = line
                return False
            self.write(session, self.authenticated(session, line.decode("ascii", "replace")))
            return True
        return super().take_line(session)

    def take_chunk(self, session: Session) -> bool:
        """The octets of a chunk are read even if they are refused."""
        taken, session.inbox = session.inbox[: session.chunk_left], session.inbox[session.chunk_left :]
        session.chunk_left -= len(taken)
        if not session.refused:
            session.content += taken
        if session.chunk_left:
            return False
        session.state = session.before if session.refused else "chunks"
        self.write(session, self.end_of_chunk(session))
        return True

    def end_of_chunk(self, session: Session) -> Reply:
        if session.refused:
            return say(503, "5.5.1 Out of order")
        if not session.is_last:
            return say(250, "2.0.0 Go on")
        return self.end_of_content(session, session.content)

    def refusal_of_content(self, session: Session, content: bytes) -> Reply | None:
        return None if session.is_binary else super().refusal_of_content(session, content)

    def write(self, session: Session, reply: Reply) -> None:
        if reply is not NOTHING:
            super().write(session, reply)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
