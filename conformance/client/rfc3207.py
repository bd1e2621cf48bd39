"""STARTTLS as the client uses it (RFC 3207): what may follow it, what is forgotten, what happens when it does not work."""

from typing import Final, NamedTuple

from conformance.case import CLIENT, section
from conformance.client.steps import IDLE_S, SOON_S, arrives, bring, brought
from conformance.context import Context
from conformance.outcome import MAY, MUST, MUST_NOT, SHOULD, check, inconclusive
from conformance.visit import DROP, Answer, Visit, accept_any, notification
from conformance.wire import Script, Step

case = section("rfc3207/4", CLIENT, needs=("dns", "suite-tls"))
after = section("rfc3207/4.2", CLIENT, needs=("dns", "suite-tls"))
policy = section("rfc3207/6", CLIENT, needs=("dns", "suite-tls"))
HANDSHAKE: Final = b"\x16"  # the type of the first record of a client


def asked(at: Context, offers: tuple[str, ...] = ("STARTTLS",)) -> Step[Visit]:
    """A session as far as STARTTLS, which is not answered yet."""
    visit = yield from arrives(at)
    yield from visit.serve(offers=offers, until="STARTTLS", idle_s=IDLE_S)
    if visit.end != "until":
        inconclusive("it does not use STARTTLS where it is offered")
    visit.end = ""
    return visit


def not_lost(at: Context) -> Step[None]:
    """The message arrives in another session, or is kept: nobody is told anything yet."""
    visit = yield from accept_any(at, timeout_s=SOON_S)
    if visit is None:
        check((yield from notification(at, timeout_s=SOON_S)) is None, "its sender got a notification at once")
        return
    yield from visit.serve(idle_s=IDLE_S)
    brought(visit)


@policy("used-where-offered", SHOULD, tests=("3207-6-2",))
def used(at: Context) -> Script:
    """STARTTLS is used where it is offered, and the message is delivered under TLS."""
    visit = yield from bring(at, offers=("STARTTLS", "SIZE 1000000"))
    brought(visit)
    check(visit.secured is not None, f"it said {visit.verbs}")


@policy("without-where-not-offered", SHOULD, tests=("3207-6-2",))
def without(at: Context) -> Script:
    """Where STARTTLS is not offered the message is delivered without."""
    visit = yield from bring(at, offers=("SIZE 1000000",))
    brought(visit)


@case("handshake-is-next", MUST, tests=("3207-4-4",))
def handshake_next(at: Context) -> Script:
    """After 220 to STARTTLS the next octets are those of a TLS handshake."""
    visit = yield from asked(at)
    yield from visit.say("220 2.0.0 Go ahead")
    octets = yield from visit.pending(3.0)
    check(octets.startswith(HANDSHAKE), f"it sent {octets[:20]!r}")


@case("last-of-a-group", MUST, tests=("3207-4-n2",))
def last_of_group(at: Context) -> Script:
    """Nothing comes behind STARTTLS before its reply, also where PIPELINING is offered."""
    visit = yield from asked(at, ("STARTTLS", "PIPELINING"))
    rest = yield from visit.pending(0.5)
    check(not rest, f"behind STARTTLS came {rest[:40]!r}")


@after("ehlo-again", SHOULD, tests=("3207-4.2-3", "3207-4.1-1"))
def ehlo_again(at: Context) -> Script:
    """The first command under TLS is EHLO."""
    visit = yield from bring(at, offers=("STARTTLS",))
    if visit.secured is None or visit.secured.reason:
        inconclusive("no TLS")
    check(visit.verbs[visit.verbs.index("STARTTLS") + 1] in ("EHLO", "QUIT"), f"it said {visit.verbs}")


FORGOTTEN: Final = ("STARTTLS", "SIZE 1000000", "8BITMIME", "DSN", "CHUNKING", "ENHANCEDSTATUSCODES", "SMTPUTF8")


@after("offers-are-forgotten", MUST, tests=("3207-4.2-2",))
def offers_forgotten(at: Context) -> Script:
    """What was offered before TLS counts no more: where nothing is offered under it, no extension is used."""
    before = "\n".join(("250 {host}", *(f"250 {offer}" for offer in FORGOTTEN)))
    visit = yield from bring(at, replies={"EHLO": [before, "250 {host}"]})
    if visit.secured is None:
        inconclusive("no TLS")
    mail = brought(visit)
    check(not mail.parameters and "BDAT" not in visit.verbs, f"it said {mail.mail!r}, {visit.verbs}")


@after("pipelining-is-forgotten", MUST, tests=("3207-4.2-2", "2920-3.1-n1"))
def pipelining_forgotten(at: Context) -> Script:
    """PIPELINING that was offered before TLS only is not used under it."""
    visit = yield from asked(at, ("STARTTLS", "PIPELINING"))
    yield from visit.say("220 2.0.0 Go ahead")
    if (yield from visit.handshake()).reason:
        inconclusive("no TLS")
    ahead = yield from talk_on(visit)
    check("DOT" in ahead, f"no message came; it said {visit.verbs}")
    check(not any(ahead.values()), f"it did not wait: {ahead}")


def talk_on(visit: Visit) -> Step[dict[str, bytes]]:
    """As `talk`, without a greeting."""
    ahead: dict[str, bytes] = {}
    while line := (yield from visit.line(2.0)):
        verb = line[:4].decode("ascii", "backslashreplace").upper()
        if verb == "QUIT":
            break
        ahead[verb] = yield from visit.pending(0.15)
        yield from visit.say("354 Go" if verb == "DATA" else "250 2.0.0 Ok")
        if verb == "DATA":
            yield from visit.content()
            ahead["DOT"] = yield from visit.pending(0.15)
            yield from visit.say("250 2.0.0 Ok")
    return ahead


@after("no-tls-within-tls", MUST_NOT, tests=("3207-4.2-6",))
def not_twice(at: Context) -> Script:
    """STARTTLS is not said again under TLS, even if it is offered there."""
    visit = yield from bring(at, offers=("STARTTLS",))
    if visit.secured is None:
        inconclusive("no TLS")
    check(visit.verbs.count("STARTTLS") == 1, f"it said {visit.verbs}")


class Injection(NamedTuple):
    id: str
    octets: bytes


INJECTIONS: Final = (
    Injection("ehlo-reply", b"220 2.0.0 Go\r\n250-evil.example\r\n250 SIZE 1\r\n"),
    Injection("replies", b"220 2.0.0 Go\r\n250 evil\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n"),
    Injection("half-a-line", b"220 2.0.0 Go\r\n250 ev"),
)


@policy.table(INJECTIONS, MUST, prefix="injected-", tests=("3207-6-4b",))
def injected(at: Context, row: Injection) -> Script:
    """Replies that stand ahead of the handshake ({id}) are not used: the client breaks off, or waits for the real ones under TLS."""
    visit = yield from asked(at)
    yield from visit.say(row.octets)
    if (yield from visit.handshake()).reason:
        yield from visit.drop()
        yield from not_lost(at)
        return
    line = yield from visit.line(2.0)
    if not line:
        return
    check(line.upper().startswith(b"EHLO"), f"under TLS it said {line!r} first")
    ahead = yield from visit.pending(0.7)
    check(not ahead, f"it took a reply from before the handshake, and went on with {ahead[:40]!r}")


class Refusal(NamedTuple):
    id: str
    answer: Answer
    tests: tuple[str, ...] = ()


REFUSALS: Final = (
    Refusal("454", "454 4.7.0 TLS not available now", ("3207-4-n3",)),
    Refusal("501", "501 5.5.4 No parameters"),
    Refusal("502", "502 5.5.1 Not implemented"),
    Refusal("554", "554 5.7.0 Not for you"),
    Refusal("closed", DROP),
    Refusal("421", "421 4.7.0 Bye"),
)


@case.table(REFUSALS, MUST, prefix="refused-", tests=("3207-4-n3",))
def refused(at: Context, row: Refusal) -> Script:
    """A server that offers STARTTLS and answers it with {answer} does not cost the message: it is sent without TLS, or kept; and no handshake is begun."""
    visit = yield from bring(at, offers=("STARTTLS",), replies={"STARTTLS": row.answer})
    if "STARTTLS" not in visit.verbs:
        inconclusive("it does not use STARTTLS")
    check(not any(line.startswith(HANDSHAKE) for line in visit.lines), "it began a handshake after the refusal")
    if not visit.mails:
        yield from not_lost(at)


class Failure(NamedTuple):
    """What happens where the handshake should."""

    id: str
    octets: bytes


FAILURES: Final = (
    Failure("closed", b""),
    Failure("garbage", b"this is no TLS, whatever it was\r\n"),
    Failure("alert", b"\x15\x03\x03\x00\x02\x02\x28"),
)


@case.table(FAILURES, SHOULD, prefix="handshake-", tests=("3207-4-5",))
def handshake_fails(at: Context, row: Failure) -> Script:
    """Where the handshake fails ({id}) the connection is given up, and the message is kept, or sent in another session."""
    visit = yield from asked(at)
    yield from visit.say("220 2.0.0 Go ahead")
    yield from visit.octets(5, 3.0)
    if row.octets:
        yield from visit.say(row.octets)
        line = yield from visit.line(3.0)
        while line and not visit.end:
            line = yield from visit.line(3.0)
        check(not any(line.upper().startswith((b"EHLO", b"MAIL")) for line in visit.lines[2:]), f"it went on in the same connection: {visit.lines[2:]}", MUST)
    yield from visit.drop()
    yield from not_lost(at)


class Certificate(NamedTuple):
    id: str
    version_max: str = ""


CERTIFICATES: Final = (Certificate("expired"), Certificate("self-signed"), Certificate("other-name"), Certificate("good"))


@case.table(CERTIFICATES, MUST, prefix="certificate-", tests=("3207-4.1-1", "3207-4.1-2"))
def certificates(at: Context, row: Certificate) -> Script:
    """A certificate that is {id} is judged right after the handshake: the client goes on with EHLO, or sends QUIT or leaves; the message is not lost."""
    visit = yield from bring(at, offers=("STARTTLS",), certificate=row.id)
    if "STARTTLS" not in visit.verbs:
        inconclusive("it does not use STARTTLS")
    rest = visit.verbs[visit.verbs.index("STARTTLS") + 1 :]
    check(not rest or rest[0] in ("EHLO", "QUIT"), f"after the handshake it said {rest}")
    if not visit.mails:
        yield from not_lost(at)


@policy.table([row for row in CERTIFICATES if row.id != "good"], MAY, prefix="certificate-", tests=())
def bad_certificates(at: Context, row: Certificate) -> Script:
    """A fact: whether, without any policy for the host, mail goes under a TLS session whose certificate is {id}."""
    visit = yield from bring(at, offers=("STARTTLS",), certificate=row.id)
    check(not visit.mails or visit.secured is None, "mail is sent under TLS that is not authenticated")


@case("tls-1.2", MUST, tests=("3207-4-4",))
def old_version(at: Context) -> Script:
    """A server that knows TLS 1.2 at most gets its mail under it."""
    visit = yield from asked(at)
    yield from visit.say("220 2.0.0 Go ahead")
    secured = yield from visit.handshake(version_max="TLSv1.2")
    check(not secured.reason, f"the handshake failed: {secured.reason}")
    yield from visit.serve(greet=False, idle_s=IDLE_S)
    brought(visit)
