"""Content (RFC 5321 4.1.1.4, 4.5.2): what ends it, what becomes of its dots and octets, and what a server may not mind in it."""

# mypy: disable-error-code="attr-defined, call-overload, func-returns-value, method-assign, misc, no-any-return, return-value, var-annotated"

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tests.conformance.reference.envelope import Envelope
from tests.conformance.reference.mta import Reference
from tests.conformance.reference.mutants.mutant import Mutant, altered, mutant, original, when
from tests.conformance.reference.reply import Reply, say
from tests.conformance.reference.server import CRLF, fields_of, head_of
from tests.conformance.reference.session import Session

END: Final = b"\r\n.\r\n"
NO_END: Final = "4.1.1.4-4 2.3.8-1a 4.1.1.4-n1"


class Pseudo(NamedTuple):
    name: str
    octets: bytes
    tests: str = NO_END


PSEUDO: Final = (
    Pseudo("lf-dot-lf", b"\n.\n", "4.1.1.4-5 4.1.1.4-4 2.3.8-1a"),
    Pseudo("lf-dot-crlf", b"\n.\r\n", "4.1.1.4-5 4.1.1.4-4 2.3.8-1a"),
    Pseudo("crlf-dot-lf", b"\r\n.\n", "4.1.1.4-5 4.1.1.4-4 2.3.8-1a"),
    Pseudo("lf-lf-dot-crlf", b"\n\n.\r\n", "4.1.1.4-5 4.1.1.4-4 2.3.8-1a"),
    *(
        Pseudo(name, octets)
        for name, octets in (
            ("cr-dot-cr", b"\r.\r"),
            ("cr-dot-crlf", b"\r.\r\n"),
            ("crlf-dot-cr", b"\r\n.\r"),
            ("cr-dot-lf", b"\r.\n"),
            ("lf-dot-cr", b"\n.\r"),
            ("crlf-dot-cr-cr-lf", b"\r\n.\r\r\n"),
            ("lf-cr-dot-crlf", b"\n\r.\r\n"),
            ("crlf-dot-lf-cr", b"\r\n.\n\r"),
            ("cr-nul-lf-dot-crlf", b"\r\0\n.\r\n"),
            ("crlf-nul-dot-crlf", b"\r\n\0.\r\n"),
            ("crlf-dot-nul-crlf", b"\r\n.\0\r\n"),
            ("crlf-dot-space-crlf", b"\r\n. \r\n"),
            ("crlf-space-dot-crlf", b"\r\n .\r\n"),
            ("crlf-dot-tab-crlf", b"\r\n.\t\r\n"),
            ("crlf-two-dots-crlf", b"\r\n..\r\n"),
            ("nel-dot-nel", b"\x85.\x85"),
            ("vt-dot-vt", b"\x0b.\x0b"),
            ("dot-high-cr-lf", b"\r\n.\x8d\n"),
        )
    ),
)
OCTETS: Final = "4.5.2-n4"
DOTS: Final = "4.5.2-n3"


def _kept(name: str, tests: str, change: Callable[[bytes], bytes]) -> Mutant:
    """What is kept of the content is not what came."""

    def end_of_content(self: Reference, session: Session, content: bytes) -> Reply:
        reply: Reply = original("end_of_content")(self, session, change(content))
        return reply

    return mutant(f"content-{name}", tests, end_of_content=end_of_content)


def _of_body(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda content: content[: len(head_of(content))] + change(content[len(head_of(content)) :])


def _unstuffed(name: str, change: Callable[[bytes], bytes]) -> Mutant:
    def unstuffed(self: Reference, raw: bytes) -> bytes:
        return change(raw)

    return mutant(f"dots-{name}", DOTS, unstuffed=unstuffed)


def _refusing(name: str, tests: str, faulty: Callable[[bytes], bool]) -> Mutant:
    """A message that looks so is refused."""

    def applies(self: Reference, session: Session, content: bytes) -> bool:
        return faulty(content)

    def refuse(self: Reference, session: Session, content: bytes) -> Reply:
        return say(554, "5.6.0 Not such a message")

    return mutant(f"refuses-{name}", tests, refusal_of_content=when("refusal_of_content", applies, refuse))


def _head(pattern: bytes) -> Callable[[bytes], bool]:
    """The header section has this in it (in any case)."""
    found = re.compile(pattern, re.IGNORECASE | re.MULTILINE | re.DOTALL)
    return lambda content: found.search(head_of(content)) is not None


def _lacks(name: bytes) -> Callable[[bytes], bool]:
    return lambda content: not any(field.lower().startswith(name + b":") for field in fields_of(head_of(content)))


def _twice(name: bytes) -> Callable[[bytes], bool]:
    return lambda content: sum(field.lower().startswith(name + b":") for field in fields_of(head_of(content))) > 1


FAULTS: Final[tuple[tuple[str, Callable[[bytes], bool]], ...]] = (
    ("no-header", lambda content: not head_of(content)),
    ("no-from", _lacks(b"from")),
    ("no-date", _lacks(b"date")),
    ("no-recipient-field", _lacks(b"to")),
    ("bad-date", _head(rb"^date: [a-z]+$|^date: yesterday")),
    ("bad-from", _head(rb"^from: [^<@]*$|^from: nobody")),
    ("two-subjects", _twice(b"subject")),
    ("two-froms", _twice(b"from")),
    ("two-message-ids", _twice(b"message-id")),
    ("a-line-that-is-no-field", lambda content: any(b":" not in field for field in fields_of(head_of(content)))),
    ("empty-fields", _head(rb"^[a-z]+:\s*\r\n(?! )")),
    ("space-before-colon", _head(rb"^[a-z]+ +:")),
    ("no-boundary", _head(rb"multipart/mixed\s")),
    ("unknown-encoding", _head(rb"encoding: x-")),
    ("bad-type", _head(rb"content-type: \(")),
    ("many-recipients", lambda content: head_of(content).count(b"@") > 100),
)
RESENT: Final[tuple[tuple[str, Callable[[bytes], bool]], ...]] = (
    ("resent-to-alone", _head(rb"^resent-to:")),
    ("resent-from-without-date", lambda content: b"Resent-From:" in content and b"Resent-Date:" not in content),
    ("resent-blocks-apart", lambda content: b"Resent-From:" in content and b"Resent-Date:" in content),
)
TRACES: Final[tuple[tuple[str, Callable[[bytes], bool]], ...]] = (
    ("empty-received", _head(rb"^received:\s*\r\n(?![ \t])")),
    (
        "received-without-by",
        lambda content: any(b" by " not in field.replace(b"\tby ", b" by ") for field in fields_of(head_of(content)) if field.startswith(b"Received:")),
    ),
    ("received-without-date", lambda content: any(b";" not in field for field in fields_of(head_of(content)) if field.startswith(b"Received:"))),
    ("received-of-1970", _head(rb"^received:.{0,60} 70 ")),
    ("received-of-the-future", _head(rb"^received:.{0,80}2999")),
    ("received-with-brackets", _head(rb"^received:.*\[\[\[")),
    ("received-with-odd-folds", _head(rb"^received:.*\r\n\t\r\n")),
    ("received-of-900-octets", _head(rb"^received: x{800}")),
    ("return-path", _head(rb"^return-path:")),
    ("bad-return-path", _head(rb"^return-path: [^<]")),
    ("own-name-in-received", _head(rb"^received: [^\r]*mx\.local\.test")),
)


def _in_segment(self: Reference, connection: int, octets: bytes) -> None:
    """The end of the content is looked for in each segment alone."""
    session = self.sessions.get(connection)
    if session is not None and session.state == "data" and END not in CRLF * (not session.inbox) + octets:
        session.inbox += octets
        return
    original("received")(self, connection, octets)


def _segment_is_line(self: Reference, connection: int, octets: bytes) -> None:
    """A segment that begins with a dot is taken for a line that does."""
    session = self.sessions.get(connection)
    if session is not None and session.state == "data" and session.inbox and octets.startswith(b"."):
        octets = octets[1:] if octets != b".\r\n" else octets
    original("received")(self, connection, octets)


def _split_at_segments(self: Reference, connection: int, octets: bytes) -> None:
    """A CR at the end of a segment is dropped."""
    session = self.sessions.get(connection)
    if session is not None and session.state == "data" and octets.endswith(b"\r"):
        octets = octets[:-1]
    original("received")(self, connection, octets)


def _early_end(self: Reference, connection: int, octets: bytes) -> None:
    """CRLF dot CR is answered before its LF has come."""
    original("received")(self, connection, octets)
    session = self.sessions.get(connection)
    if session is not None and session.state == "data" and session.inbox.endswith(b"\r\n.\r"):
        self.write(session, say(250, "2.0.0 Taken"))


def _segment_marks(self: Reference, connection: int, octets: bytes) -> None:
    """Each segment of the content ends a line."""
    session = self.sessions.get(connection)
    if session is not None and session.state == "data" and len(octets) < 8 and not octets.endswith((b"\n", b"\r", b".")):
        octets += b" "
    original("received")(self, connection, octets)


def _cut_is_kept(self: Reference, connection: int) -> None:
    """What had no end when the client went is delivered all the same."""
    session = self.sessions.get(connection)
    if session is not None and session.state == "data" and session.inbox:
        self.end_of_content(session, session.inbox.removesuffix(b".").removesuffix(b".\r"))
    original("ended")(self, connection)


def _lost_with_connection(self: Reference, connection: int) -> None:
    """What was accepted goes with the session."""
    self.mailboxes.clear()
    original("ended")(self, connection)


def _replies_for_each(self: Reference, session: Session, content: bytes) -> Reply:
    """One reply for each recipient."""
    count = len(session.envelope.recipients)
    reply: Reply = original("end_of_content")(self, session, content)
    for _ in range(count - 1):
        self.write(session, reply)
    return reply


def _refused_is_delivered(self: Reference, session: Session, content: bytes) -> Reply:
    envelope = session.envelope
    reply: Reply = original("end_of_content")(self, session, content)
    if reply.code >= 400:
        self.take_over(envelope, content)
    return reply


def _recipients_stay(self: Reference, session: Session) -> None:
    session.state = "sent"


def _stays_open(self: Reference, session: Session) -> None:
    session.state = "rcpt"


def _own_recipients_kept(reply: Reply, self: Reference, session: Session, argument: str) -> Reply:
    """MAIL takes over the recipients of the transaction before."""
    session.envelope.recipients[:0] = getattr(self, "before", [])
    return reply


def _remember(self: Reference, envelope: Envelope, content: bytes) -> None:
    self.before = list(envelope.recipients)
    original("take_over")(self, envelope, content)


def _content_adds_up(self: Reference, session: Session, content: bytes) -> Reply:
    self.all = getattr(self, "all", b"") + content
    reply: Reply = original("end_of_content")(self, session, self.all)
    return reply


def _from_header(self: Reference, session: Session, content: bytes) -> Reply:
    """Recipients are read from the header as well."""
    found = [self.grammar.rcpt(f"TO:{path.decode()}") for path in re.findall(rb"(?m)^(?:Cc|Bcc|Resent-To): (<[^>]*>)", content)]
    session.envelope.recipients += [(path[0], {}) for path in found if path and self.is_local(path[0])]
    reply: Reply = original("end_of_content")(self, session, content)
    return reply


def _after(code: int, text: str) -> Callable[..., Reply]:
    def end_of_content(self: Reference, session: Session, content: bytes) -> Reply:
        original("end_of_content")(self, session, content)
        return say(code, text)

    return end_of_content


_nothing: Any = lambda self, session, content: None  # noqa: E731

MUTANTS: Final = (
    *(mutant(f"content-ends-with-{end.name}", end.tests, content_ends=(END, end.octets)) for end in PSEUDO),
    *(
        mutant(f"smuggled-by-{end.name}", f"{end.tests} 4.2.5-3", content_ends=(END, end.octets), refusal_of_content=_nothing)
        for end in PSEUDO
        if END not in end.octets
    ),
    _unstuffed("stay", lambda raw: raw),
    _unstuffed("of-longer-lines-stay", lambda raw: raw.replace(b"\r\n..\r\n", b"\r\n.\r\n")),
    _unstuffed("are-all-taken-off", lambda raw: re.sub(rb"\r\n\.+", CRLF, raw)),
    _unstuffed("alone-become-empty", lambda raw: raw.replace(b"\r\n..\r\n", CRLF * 2).replace(b"\r\n.", CRLF)),
    _unstuffed("only-where-doubled", lambda raw: raw.replace(b"\r\n..", b"\r\n.")),
    _unstuffed("before-text-vanish", lambda raw: re.sub(rb"\r\n\.+(?=[a-z ])", CRLF, raw).replace(b"\r\n.", CRLF)),
    _kept("dots-at-the-end-of-lines-lost", f"{OCTETS} {DOTS}", _of_body(lambda body: body.replace(b".\r\n", CRLF))),
    _kept("dots-behind-spaces-lost", f"{OCTETS} {DOTS}", lambda content: content.replace(b"\r\n .", b"\r\n ")),
    _kept("ends-of-lines-stripped", f"{OCTETS} {DOTS}", lambda content: re.sub(rb"[ \t]+\r\n", CRLF, content)),
    _kept("lines-like-commands-lost", OCTETS, lambda content: re.sub(rb"\r\n(?:QUIT|RSET)(?=\r\n)", b"", content)),
    _kept("lines-like-replies-lost", OCTETS, lambda content: re.sub(rb"\r\n[2-5]\d\d [^\r]*", b"", content)),
    _kept("of-small-letters", OCTETS, _of_body(bytes.lower)),
    _kept("controls-lost", OCTETS, lambda content: re.sub(rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]", b"", content)),
    _kept("nul-lost", OCTETS, lambda content: content.replace(b"\0", b"")),
    _kept("tabs-expanded", OCTETS, _of_body(lambda body: body.replace(b"\t", b"        "))),
    _kept("from-lines-lost", OCTETS, lambda content: re.sub(rb"\r\nFrom [^\r]*", b"", content)),
    _kept("empty-lines-lost", f"{OCTETS} {DOTS} 4.5.2-n2", _of_body(lambda body: CRLF + re.sub(rb"(?:\r\n)+", CRLF, body[2:]))),
    _kept("unfolded", f"{OCTETS} {DOTS}", lambda content: re.sub(rb"\r\n(?=[ \t])", b"", head_of(content)) + content[len(head_of(content)) :]),
    _kept("cut-after-a-page", "4.5.3.1.7-1 4.5.3.1-1", lambda content: content[:20_000]),
    _kept("last-line-lost", "4.5.2-n2 4.1.1.4-n1 4.1.1.4-6 3.3-n7", lambda content: content[: content[:-2].rfind(CRLF) + 2]),
    _kept("dot-added", "4.5.2-n2 4.1.1.4-n1", lambda content: content + b".\r\n"),
    _kept("long-lines-broken", "4.5.3.1.6-n1 4.5.3.1-1", lambda content: re.sub(rb"([^\r\n]{900})", rb"\1\r\n", content)),
    mutant("content-end-in-one-segment", "4.5.2-n2 4.1.1.4-n1", received=_in_segment),
    mutant("content-segments-are-lines", f"{DOTS} 4.5.2-n2", received=_segment_is_line),
    mutant("content-cr-at-the-end-of-a-segment-lost", "4.5.2-n2 4.1.1.4-n1", received=_split_at_segments),
    mutant("content-space-behind-segments", "4.5.2-n2 4.5.2-n3 2.4-n3", received=_segment_marks),
    mutant("content-answered-before-its-end", "4.1.1.4-n1 2.4-n3", received=_early_end),
    mutant("cut-content-is-delivered", "4.1.1.10-4a 4.1.1.10-4b 4.1.1.4-n1", ended=_cut_is_kept),
    mutant("accepted-is-lost-with-the-session", "4.1.1.10-4a 4.1.1.10-n2", ended=_lost_with_connection),
    mutant("a-reply-for-each-recipient", "4.1.1.4-n3 4.2-1", end_of_content=_replies_for_each),
    mutant("refused-content-is-delivered", "4.2.5-1 4.2.5-3 4.1.1.4-7", end_of_content=_refused_is_delivered),
    mutant("recipients-stay-after-content", "4.1.1.4-n2 4.1.1.2-n1 3.3-n2", do_mail=altered("do_mail", _own_recipients_kept), take_over=_remember),
    mutant("content-adds-up", "4.1.1.4-n2 3.3-n2", end_of_content=_content_adds_up),
    mutant("transaction-stays-after-content", "4.1.1.4-n2 4.1.4-n3 4.1.1.2-n1 4.1.1.4-7", clear_after_content=_stays_open),
    mutant("recipients-from-the-header", "C-7", end_of_content=_from_header),
    mutant("content-refused-though-kept", "4.1.1.4-6 3.3-n7 4.1.1.4-n1", end_of_content=_after(554, "5.3.0 No")),
    mutant("content-accepted-though-not-kept", "4.1.1.4-7 4.1.1.10-4a 6.1-1 3.3-n3", take_over=lambda self, envelope, content: None),
    mutant(
        "content-without-lines-is-an-odd-reply",
        "4.1.1.4-n1",
        end_of_content=altered("end_of_content", lambda reply, self, session, content: reply if content else say(259, "2.0.0 Nothing")),
    ),
    mutant(
        "content-beyond-ascii-is-refused",
        "2.4-6",
        refusal_of_content=lambda self, session, content: None if content.isascii() else say(554, "5.6.1 No octets beyond ASCII"),
    ),
    *(_refusing(name, "3.3-12 4.5.3.1.8-2b 4.5.3.1.8-2c", faulty) for name, faulty in FAULTS),
    *(_refusing(name, "3.3-13", faulty) for name, faulty in RESENT),
    *(_refusing(name, "3.7.2-2a 3.7.2-2b", faulty) for name, faulty in TRACES),
)
