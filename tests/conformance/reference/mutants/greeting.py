"""Greeting, EHLO, HELO, VRFY, EXPN, HELP, and who is served (RFC 5321 2.2, 3.1 - 3.5, 4.1.1.1, 4.5.1, 7.3, 7.9)."""

# mypy: disable-error-code="attr-defined, call-overload, func-returns-value, method-assign, misc, no-any-return, return-value, var-annotated"

from collections.abc import Callable
from typing import Any, Final

from tests.conformance.reference.grammar import Path
from tests.conformance.reference.mta import Reference
from tests.conformance.reference.mutants.mutant import Mutant, altered, mutant, original, when
from tests.conformance.reference.reply import Reply, say
from tests.conformance.reference.session import Session

LISTENS: Final = "4.5.4.2-1 4.5.4.2-2"


def _greets(name: str, tests: str, *reply: Any) -> Mutant:
    def greeting(self: Reference, session: Session) -> Reply:
        return say(*reply)

    return mutant(f"greeting-{name}", tests, greeting=greeting)


def _keywords(name: str, tests: str, *keywords: str) -> Mutant:
    return mutant(f"ehlo-{name}", tests, keywords=(*Reference.keywords, *keywords))


def _says(name: str, tests: str, method: str, *reply: Any) -> Mutant:
    """This method gives always the same reply."""

    def said(self: Reference, *arguments: Any) -> Reply:
        return say(*reply)

    return mutant(name, tests, **{method: said})


def _silent(self: Reference, connection: int, service: str, source: str) -> None:
    """The server waits for the client to speak."""
    out, session = self.out, Session(connection, service, source or "192.0.2.200", source not in self.outsiders)
    session.deadline = out.now + self.patience_s
    self.sessions[connection] = session


def _two_greetings(self: Reference, connection: int, service: str, source: str) -> None:
    original("connected")(self, connection, service, source)
    self.out.write(connection, b"220 still there\r\n")


def _one_at_a_time(self: Reference, connection: int, service: str, source: str) -> None:
    if self.sessions:
        self.out.write(connection, b"554 5.3.2 One at a time\r\n")
        self.out.shut(connection)
        return
    original("connected")(self, connection, service, source)


def _few(count: int) -> Callable[..., None]:
    def connected(self: Reference, connection: int, service: str, source: str) -> None:
        """After so many sessions nobody is greeted any more."""
        self.seen = getattr(self, "seen", 0) + 1
        if self.seen <= count:
            original("connected")(self, connection, service, source)

    return connected


def _idle_block(self: Reference, connection: int, service: str, source: str) -> None:
    """Sessions that have said nothing keep others out."""
    if sum(not session.name for session in self.sessions.values()) < 2:
        original("connected")(self, connection, service, source)


def _own_name_only(self: Reference, session: Session, argument: str) -> Reply:
    return say(550, "That is not your name") if argument == "mismatch.invalid" else original("do_ehlo")(self, session, argument)


def _own_name_only_helo(self: Reference, session: Session, argument: str) -> Reply:
    return say(550, "That is not your name") if argument == "mismatch.invalid" else original("do_helo")(self, session, argument)


def _helo_lists(self: Reference, session: Session, argument: str) -> Reply:
    reply: Reply = original("do_helo")(self, session, argument)
    return Reply(reply.code, (*reply.texts, *self.keywords)) if reply.code == 250 else reply


def _lists_less(self: Reference, session: Session) -> tuple[str, ...]:
    return self.keywords[:2] if session.name == "other.example" or session.protocol == "SMTP" else self.keywords


def _forgets_keywords(self: Reference, session: Session, argument: str) -> Reply:
    reply: Reply = original("do_ehlo")(self, session, argument)
    seen, self.said_helo = getattr(self, "said_helo", False), True
    return Reply(reply.code, reply.texts[:1]) if seen and reply.code == 250 else reply


def _no_mail_after(verb: str) -> Callable[..., Reply]:
    """MAIL after this greeting is refused."""

    def do_mail(self: Reference, session: Session, argument: str) -> Reply:
        is_meant = (session.protocol == "SMTP") == (verb == "HELO")
        return say(550, "5.7.1 Not so") if is_meant else original("do_mail")(self, session, argument)

    return do_mail


def _bad_hello(code: int) -> Callable[..., Reply]:
    return altered("do_ehlo", lambda reply, self, session, argument: say(code, "Odd") if reply.code == 501 else reply)


def _route(user: str) -> str:
    return f"<@hop.example:{user}@local.test>"


def _shown(change: Callable[[str], str]) -> Any:
    return lambda self, user: change(user)


def _verified(unknown: Reply, foreign: Reply | None = None) -> Callable[..., Reply]:
    """What is said of those that do not exist."""

    def verified(self: Reference, argument: str) -> Reply:
        reply: Reply = original("verified")(self, argument)
        return unknown if reply.code == 550 else foreign if foreign and reply.code == 252 else reply

    return verified


def _by_address_only(self: Reference, argument: str) -> Reply:
    return original("verified")(self, argument) if "@" in argument else say(550, "5.1.1 No such user")


def _by_name_only(self: Reference, argument: str) -> Reply:
    return original("verified")(self, argument) if "@" not in argument else say(550, "5.1.1 No such user")


def _drops_recipient(method: str) -> Callable[..., Reply]:
    def changed(self: Reference, session: Session, argument: str) -> Reply:
        session.envelope.recipients.clear()
        session.state = "mail" if session.state == "rcpt" else session.state
        reply: Reply = original(method)(self, session, argument)
        return reply

    return changed


def _rset_closes(self: Reference, session: Session, argument: str) -> Reply:
    self.resets = getattr(self, "resets", 0) + 1
    reply: Reply = original("do_rset")(self, session, argument)
    if self.resets > 3:
        session.state = "quit"
    return reply


def _rset_keeps(self: Reference, session: Session, argument: str) -> Reply:
    recipients = session.envelope.recipients
    reply: Reply = original("do_rset")(self, session, argument)
    session.envelope.recipients = recipients
    return reply


def _mail_keeps(self: Reference, session: Session, argument: str) -> Reply:
    recipients = session.envelope.recipients
    reply: Reply = original("do_mail")(self, session, argument)
    session.envelope.recipients = recipients
    session.state = "rcpt" if recipients else session.state
    return reply


def _ehlo_keeps(self: Reference, session: Session) -> None:
    recipients = session.envelope.recipients
    session.clear()
    session.envelope.recipients = recipients


def _closing(count: int) -> Callable[..., Reply]:
    """The connection is closed after so many refusals."""

    def obey(self: Reference, session: Session, line: bytes) -> Reply:
        reply: Reply = original("obey")(self, session, line)
        refusals = self.refusals = getattr(self, "refusals", 0) + (reply.code >= 500)
        if refusals >= count:
            session.state = "quit"
        return reply

    return obey


def _last_only(self: Reference, session: Session, argument: str) -> Reply:
    """Only the last recipient gets the message."""
    reply: Reply = original("do_rcpt")(self, session, argument)
    if reply.code == 250:
        del session.envelope.recipients[:-1]
    return reply


def _first_only(self: Reference, session: Session, argument: str) -> Reply:
    reply: Reply = original("do_rcpt")(self, session, argument)
    if reply.code == 250:
        del session.envelope.recipients[1:]
    return reply


def _doubt_refuses(self: Reference, session: Session, content: bytes) -> Reply | None:
    return say(554, "5.1.1 One of them is not known") if getattr(session, "doubted", False) else original("refusal_of_content")(self, session, content)


def _doubt(self: Reference, session: Session, path: Path) -> Reply | None:
    """Users are not looked up before the content."""
    session.doubted = getattr(session, "doubted", False) or (self.is_local(path) and not self.user_of(path))
    return None


def _one_bad_spoils_all(self: Reference, session: Session, argument: str) -> Reply:
    reply: Reply = original("do_rcpt")(self, session, argument)
    if reply.code == 550:
        session.envelope.recipients.clear()
        self.spoilt = True
    return reply


def _spoilt(self: Reference, session: Session, content: bytes) -> Reply | None:
    return say(554, "5.1.1 One of them was not known") if getattr(self, "spoilt", False) else None


def _sender(refused: Callable[[Path], bool], *reply: Any) -> Callable[..., Reply | None]:
    def refusal_of_sender(self: Reference, session: Session, path: Path) -> Reply | None:
        return say(*reply) if refused(path) else None

    return refusal_of_sender


def _relays(applies: Callable[[Session, Path], bool]) -> Any:
    return when("may_relay", lambda self, session, path: applies(session, path), lambda self, session, path: True)


def _percent(self: Reference, session: Session, path: Path) -> Reply | None:
    """RFC 5321 has no such rewriting."""
    return None if "%" in path.local else original("refusal_of")(self, session, path)


def _routes(*reply: Any) -> Callable[..., Reply | None]:
    def refusal_of(self: Reference, session: Session, path: Path) -> Reply | None:
        return say(*reply) if path.route else original("refusal_of")(self, session, path)

    return refusal_of


def _route_is_authority(self: Reference, session: Session, path: Path) -> bool:
    return bool(path.route) or original("may_relay")(self, session, path)


def _case_of_domain(self: Reference, path: Path) -> bool:
    return path.domain in (self.domain, "") and bool(path.local)


def _case_of_postmaster(*known: str) -> Any:
    return lambda self, path: path.local.lower() if (path.local in (*self.users, *known) and path.local.islower()) or path.local in known else ""


def _quotes_matter(self: Reference, path: Path) -> str:
    """What stood in quotes is another name."""
    return "" if path.text.startswith('"') else original("user_of")(self, path)


def _pairs_matter(self: Reference, path: Path) -> str:
    return "" if "\\" in path.text else original("user_of")(self, path)


_no: Any = say(502, "5.5.1 Not here")
MUTANTS: Final = (
    mutant("greeting-waits-for-client", "3.1-n1 4.3.1-n1", connected=_silent),
    mutant("greeting-twice", "4.2-1", connected=_two_greetings),
    _greets("221", "4.3.1-n1 3.1-n1", 221, "mx.local.test ESMTP"),
    _greets("other-text", "3.1-1", 220, "mx.local.test ESMTP Other 1.0"),
    _greets("without-name", "4.3.1-n2 4.1.1.1-n1", 220, "ESMTP ready"),
    _greets("with-short-name", "4.3.1-n2", 220, "mx ESMTP"),
    _greets("with-bad-name", "4.3.1-n2 4.1.2-8b", 220, "mx_1.local.test ESMTP"),
    _greets("of-600-octets", "4.5.3.1.5-n1a", 220, "mx.local.test " + "x" * 600),
    mutant("one-session-at-a-time", f"{LISTENS} 3.3-n2", connected=_one_at_a_time),
    mutant("three-sessions-and-no-more", "4.5.4.2-1", connected=_few(3)),
    mutant("silent-sessions-block", "4.5.4.2-1", connected=_idle_block),
    mutant("late-greeting", LISTENS, connected=_few(0)),
    mutant("a-session-in-ten", "4.5.4.2-2", connected=_few(10)),
    # EHLO and HELO
    mutant("ehlo-own-name-only", "4.1.4-10 2.2.1-2a", do_ehlo=_own_name_only),
    mutant("helo-own-name-only", "4.1.1.1-4b", do_helo=_own_name_only_helo),
    mutant("no-mail-after-ehlo", "2.2.1-2a", do_mail=_no_mail_after("EHLO")),
    mutant("no-mail-after-helo", "2.2.1-3a 4.1.1.1-4b F.3-2", do_mail=_no_mail_after("HELO")),
    _says("ehlo-refused", "2.2.1-2a", "do_ehlo", 502, "Not here"),
    mutant(
        "ehlo-names-nobody",
        "4.1.1.1-n1 4.1.2-8b",
        do_ehlo=altered("do_ehlo", lambda reply, self, session, argument: Reply(reply.code, ("_hello_ there", *reply.texts[1:]))),
    ),
    _keywords("lists-what-nobody-registered", "2.2.2-2 2.2.2-3 4.1.5-1", "SHINY"),
    _keywords("lists-a-private-keyword", "4.1.5-1 4.1.1.1-8", "XSHINY"),
    _keywords("lists-words-with-signs", "4.1.1.1-n2", "8_BIT"),
    _keywords("lists-what-it-has-not", "4.2.4-4", "ETRN"),
    mutant("ehlo-lists-no-8bitmime", "2.4-11", keywords=tuple(word for word in Reference.keywords if word != "8BITMIME")),
    mutant("ehlo-lists-no-expn", "4.1.1.1-7 3.5.2-9 F.6-3b", keywords=tuple(word for word in Reference.keywords if word != "EXPN")),
    mutant("ehlo-lists-no-vrfy", "3.5.2-10", keywords=tuple(word for word in Reference.keywords if word != "VRFY")),
    mutant("ehlo-lists-less-the-second-time", "4.1.4-3", keywords_for=_lists_less),
    mutant(
        "ehlo-after-helo-lists-nothing",
        "2.2.1-2a 4.1.4-4",
        do_ehlo=_forgets_keywords,
        do_helo=altered("do_helo", lambda reply, self, session, argument: setattr(self, "said_helo", True) or reply),
    ),
    mutant("helo-lists-keywords", "3.2-2", do_helo=_helo_lists),
    mutant("ehlo-bad-name-gets-450", "4.1.4-5", do_ehlo=_bad_hello(450)),
    mutant(
        "send-works-unlisted",
        "F.6-3b 4.1.1.1-7 F.6-2",
        dispatch=when("dispatch", lambda self, session, verb, argument: verb in ("SEND", "SOML", "SAML"), lambda *rest: say(250, "2.0.0 Ok")),
    ),
    mutant("turn-is-obeyed", "F.1-1", dispatch=when("dispatch", lambda self, session, verb, argument: verb == "TURN", lambda *rest: say(250, "2.0.0 Ok"))),
    # RSET, NOOP, HELP, QUIT
    mutant("rset-closes-at-last", "4.1.1.5-3", do_rset=_rset_closes),
    mutant("rset-keeps-recipients", "4.1.1.5-1 4.1.1.2-n1 4.1.4-n2", do_rset=_rset_keeps, do_mail=_mail_keeps),
    mutant("ehlo-keeps-recipients", "4.1.4-4 4.1.4-n2", clear_by_hello=_ehlo_keeps, do_mail=_mail_keeps),
    _says("help-is-odd", "4.1.1.8-2b", "do_help", 211, "2.0.0 Other help"),
    _says("help-is-not-there", "4.1.1.8-2a", "do_help", 502, "5.5.1 No help"),
    *(
        mutant(f"{verb}-drops-recipients", f"4.1.1.9-n2 4.1.1.{number}-n1", **{f"do_{verb}": _drops_recipient(f"do_{verb}")})
        for verb, number in (("vrfy", 6), ("expn", 7), ("help", 8))
    ),
    mutant("noop-drops-recipients", "4.1.1.9-n2", do_noop=_drops_recipient("do_noop")),
    mutant("two-errors-close", "4.1.1.10-2 3.8-1", obey=_closing(1)),
    mutant("three-errors-close", "4.1.1.10-2 3.8-1", obey=_closing(3)),
    mutant(
        "quit-keeps-transaction",
        "4.1.1.10-n2",
        hang_up=lambda self, session: (self.take_over(session.envelope, b"X-Token: k0\r\n\r\n"), original("hang_up")(self, session))[1],
    ),
    # VRFY and EXPN
    *(
        mutant(f"shown-{name}", tests, shown=_shown(change))
        for name, tests, change in (
            ("without-brackets", "3.5.2-3", lambda user: f"{user}@local.test"),
            ("without-domain", "3.5.1-2b 3.5.1-3 3.5.2-1 3.5.1-5b", lambda user: f"<{user}>"),
            ("with-short-domain", "3.5.2-1", lambda user: f"<{user}@local>"),
            ("two-in-a-line", "3.5.1-n1 3.5.1-5b", lambda user: f"<{user}@local.test> <bob@local.test>"),
            ("as-route", "3.5.2-6", _route),
            ("wrong-address", "3.5.2-4", lambda user: f"<{user}.no.such@local.test>"),
        )
    ),
    mutant("verifies-anybody-by-550", "7.3-n1 7.3-2 7.3-1", verified=lambda self, argument: say(550, "5.1.1 No such user")),
    mutant("verifies-anybody-by-250", "3.5.3-1 3.5.3-2 3.5.3-3 7.3-1", verified=lambda self, argument: say(250, "2.1.5 <someone@local.test>")),
    mutant("verifies-foreign-by-250", "3.5.3-4 3.5.3-1", verified=_verified(say(550, "5.1.1 No"), say(250, "2.1.5 <someone@elsewhere.test>"))),
    mutant("verifies-unknown-by-251", "3.5.3-1 3.5.3-2", verified=_verified(say(251, "2.1.5 <someone@local.test>"))),
    mutant(
        "verifies-nothing-by-250",
        "3.5.3-2",
        do_vrfy=lambda self, session, argument: original("do_vrfy")(self, session, argument) if argument else say(250, "2.0.0 Ok"),
    ),
    mutant("vrfy-is-not-there", "3.5.1-1 3.5.2-7 7.3-3a 4.5.1-2 4.2.4-4", do_vrfy=lambda *rest: _no),
    mutant("expn-is-not-there", "3.5.1-1 3.5.2-7 7.3-3a 4.2.4-4", do_expn=lambda *rest: _no),
    mutant("vrfy-by-address-only", "3.5.1-8 3.5.2-4", verified=_by_address_only),
    mutant("vrfy-by-name-only", "3.5.1-9a", verified=_by_name_only),
    mutant("shown-with-full-names", "3.5.1-5a 3.5.1-6a 3.5.1-7a 3.5.1-7b 3.5.1-2a", shown=_shown(lambda user: f"{user.title()} Doe <{user}@local.test>")),
    mutant(
        "quit-needs-a-message",
        "4.1.4-n3 4.1.1.10-n1",
        do_quit=when("do_quit", lambda self, session, argument: not self.mailboxes, lambda *rest: say(503, "5.5.1 No message yet")),
    ),
    # recipients and senders
    mutant("last-recipient-only", "4.1.1.3-n1 3.3-n3", do_rcpt=_last_only),
    mutant("first-recipient-only", "4.1.1.3-n1 3.3-n3", do_rcpt=_first_only),
    mutant(
        "recipient-twice-delivered-twice",
        "4.1.1.3-n1",
        deliver=lambda self, user, envelope, content: [original("deliver")(self, user, envelope, content) for _ in envelope.recipients[:2]],
    ),
    mutant("bad-recipients-refuse-content", "3.3-11", refusal_of=_doubt, refusal_of_content=_doubt_refuses),
    mutant("one-bad-recipient-spoils-all", "4.4-21 3.3-n3", do_rcpt=_one_bad_spoils_all, refusal_of_content=_spoilt),
    mutant(
        "null-sender-is-lost", "3.3-n1 4.1.2-n1a", deliver=when("deliver", lambda self, user, envelope, content: not envelope.sender.text, lambda *rest: None)
    ),
    mutant("bad-sender-gets-350", "3.3-1 3.3-2", refusal_of_sender=_sender(lambda path: path.domain.endswith(("invalid", "localhost")), 350, "Hm")),
    mutant("bad-sender-gets-550", "3.3-2", refusal_of_sender=_sender(lambda path: path.domain.endswith("invalid"), 550, "5.1.8 No such domain")),
    mutant(
        "unknown-user-gets-350",
        "3.3-n4",
        refusal_of=altered("refusal_of", lambda reply, self, session, path: say(350, "Hm") if reply and reply.code == 550 and self.is_local(path) else reply),
    ),
    mutant("relays-for-anybody", "7.9-1 C-3a 3.6.1-2 3.3-6", may_relay=lambda self, session, path: True),
    mutant(
        "relay-refused-by-450",
        "3.6.2-1 7.9-2",
        refusal_of=altered("refusal_of", lambda reply, self, session, path: say(450, "4.7.1 No") if reply and not self.is_local(path) else reply),
    ),
    mutant("relays-for-null-sender", "7.9-1", may_relay=_relays(lambda session, path: not session.envelope.sender.text)),
    mutant("relays-for-local-sender", "7.9-1", may_relay=_relays(lambda session, path: session.envelope.sender.domain == "local.test")),
    mutant("relays-by-route", "C-3a 7.9-1", may_relay=_route_is_authority),
    mutant("per-cent-is-odd", "7.9-1", refusal_of=when("refusal_of", lambda self, session, path: "%" in path.local, lambda *rest: say(354, "Hm"))),
    mutant("routes-refused", "4.1.1.3-2b 3.3-5b 3.3-5c 3.6.1-2 4.1.2-1c F.2-2", refusal_of=_routes(550, "5.1.3 No routes")),
    mutant(
        "route-is-sender", "C-3a 4.1.2-1a", return_path=lambda self, envelope: f"Return-Path: <{envelope.sender.route or envelope.sender.text}>\r\n".encode()
    ),
    mutant("case-of-domain-matters", "2.4-n2", is_local=_case_of_domain, may_relay=lambda self, session, path: False),
    mutant("case-of-postmaster-matters", "4.5.1-3", user_of=_case_of_postmaster()),
    mutant("no-postmaster", "4.5.1-3 4.5.1-4 2.3.5-4", users=("alice", "bob")),
    mutant(
        "no-postmaster-at-the-domain",
        "4.5.1-4",
        user_of=when("user_of", lambda self, path: path.local.lower() == "postmaster" and bool(path.domain), lambda *rest: ""),
    ),
    mutant("quotes-are-part-of-the-name", "4.1.2-5a", user_of=_quotes_matter),
    mutant("backslashes-are-part-of-the-name", "4.1.2-5a 4.1.2-n2", user_of=_pairs_matter),
)
