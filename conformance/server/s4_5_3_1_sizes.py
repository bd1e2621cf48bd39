"""Sizes and counts (RFC 5321 4.5.3.1): objects of at least these sizes are taken; what is larger may be taken or refused, in order."""

from typing import Final, NamedTuple

from conformance.case import SERVER, section
from conformance.content import split, with_lf
from conformance.context import Context
from conformance.dialogue import Client, alive, delivered, delivered_one, hello, reach
from conformance.oracle import expect, need
from conformance.outcome import MAY, MUST, MUST_NOT, SHOULD, check, inconclusive
from conformance.reply import Reply
from conformance.server.steps import goes_on, leaves, takes_mail, understood
from conformance.wire import Remark, Script, Step

case = section("rfc5321/4.5.3.1", SERVER)

RECIPIENTS: Final = 100
RECIPIENTS_TRIED: Final = 2_000
BATCH: Final = 100
LONG: Final = f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 55}.example"  # 255 octets


class Size(NamedTuple):
    id: str
    octets: int


@case.table([Size(str(octets), octets) for octets in (1, 32, 63, 64)], MUST, prefix="local-part-", tests=("5321-4.5.3.1.1-n1", "5321-4.5.3.1-1"))
def local_part(at: Context, row: Size) -> Script:
    """A local-part of {octets} octets is taken in MAIL, and understood in RCPT."""
    client = yield from hello(at)
    domain = at.sender.rpartition("@")[2]
    understood((yield from client.command(f"MAIL FROM:<{'n' * row.octets}@{domain}>")), f"MAIL with a local-part of {row.octets} octets")
    reply = yield from client.command(f"RCPT TO:<{'n' * row.octets}@{at.recipient.rpartition('@')[2]}>")
    understood(reply, f"RCPT with a local-part of {row.octets} octets", refusal=True)


class Domain(NamedTuple):
    id: str
    domain: str
    octets: int
    level: str


DOMAINS: Final = (
    Domain("63", f"{'a' * 55}.example", 63, MUST),
    Domain("253", LONG[2:], 253, MUST),
    Domain("255", LONG, 255, SHOULD),  # the DNS has no room for it: 253 are what it can hold (RFC 1035 2.3.4)
)


@case.table(DOMAINS, prefix="domain-", tests=("5321-4.5.3.1.2-n1", "5321-4.5.3.1-1"))
def domain(at: Context, row: Domain) -> Script:
    """A domain of {octets} octets is taken in EHLO."""
    assert len(row.domain) == row.octets, len(row.domain)
    client = yield from reach(at, "connected")
    expect((yield from client.command(f"EHLO {row.domain}")), "250", f"EHLO with a domain of {row.octets} octets")


@case("domain-long-in-mail", MUST, tests=("5321-4.5.3.1.2-n1", "5321-4.5.3.1.3-n1"))
def domain_in_mail(at: Context) -> Script:
    """A path of 256 octets, all punctuation counted, that is nearly all domain is understood."""
    domain = f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 51}.example"
    path = f"<ab@{domain}>"
    assert len(path) == 256, len(path)
    client = yield from hello(at)
    understood((yield from client.command(f"MAIL FROM:{path}")), "MAIL with a path of 256 octets", refusal=True)
    yield from goes_on(client)


@case("path-256", MUST, tests=("5321-4.5.3.1.3-n1", "5321-4.5.3.1.1-n1"))
def path_256(at: Context) -> Script:
    """A path of 256 octets with a local-part of 64 octets is understood."""
    domain = f"{'a' * 63}.{'b' * 63}.{'c' * 53}.example"
    path = f"<{'n' * 64}@{domain}>"
    assert len(path) <= 256, len(path)
    client = yield from hello(at)
    understood((yield from client.command(f"MAIL FROM:{path}")), f"MAIL with a path of {len(path)} octets", refusal=True)
    yield from goes_on(client)


class Line(NamedTuple):
    id: str
    octets: int


@case.table([Line(str(octets), octets) for octets in (256, 511, 512)], MUST, prefix="command-line-", tests=("5321-4.5.3.1.4-n1", "5321-4.5.3.1-1"))
def command_line(at: Context, row: Line) -> Script:
    """A command line of {octets} octets, CRLF counted, is taken."""
    client = yield from hello(at)
    need((yield from client.command("NOOP x")), "250", "NOOP with an argument")
    expect((yield from client.command("NOOP " + "x" * (row.octets - 7))), "250", f"a NOOP of {row.octets} octets")


class Text(NamedTuple):
    id: str
    line: bytes
    what: str


TEXTS: Final = (
    Text("998", b"x" * 996 + b"\r\n", "of 998 octets"),
    Text("1000", b"x" * 998 + b"\r\n", "of 1000 octets"),
    Text("1000-dot", b"." + b"x" * 997 + b"\r\n", "of 1000 octets that begins with a dot (1001 on the wire)"),
    Text("1000-spaces", b"x" + b" " * 996 + b"y\r\n", "of 1000 octets, nearly all of them spaces"),
)


@case.table(TEXTS, MUST, prefix="text-line-", tests=("5321-4.5.3.1.6-n1", "5321-4.5.3.1-1"), needs=("delivery",))
def text_line(at: Context, row: Text) -> Script:
    """A text line {what}, CRLF counted, is taken and delivered in one piece."""
    client = yield from hello(at)
    expect((yield from client.transaction(content=at.message(body=row.line))), "250", f"a line {row.what}")
    _, body = split((yield from delivered_one(at)))
    check(body.rstrip(b"\n") == with_lf(row.line).rstrip(b"\n"), "the line was changed")


@case("text-line-long", MAY, tests=("5321-4.5.3.1.6-n1",))
def text_line_long(at: Context) -> Script:
    """What happens to a text line of 10000 octets is recorded; one reply comes, and the session goes on."""
    client = yield from hello(at)
    reply = yield from client.transaction(content=at.message(body=b"x" * 9998 + b"\r\n"))
    yield Remark(f"a text line of 10000 octets: {reply}", "info")
    yield from leaves(client)


@case("content-64k", MUST, tests=("5321-4.5.3.1.7-1", "5321-4.5.3.1-1"), needs=("delivery",))
def content_64k(at: Context) -> Script:
    """A message of 64 K octets is taken and delivered whole."""
    body = b"".join(b"%06d %s\r\n" % (number, b"x" * 55) for number in range(1024))
    content = at.message(body=body)
    content += b"y" * (65_536 - len(content) - 2) + b"\r\n" if len(content) < 65_534 else b""
    client = yield from hello(at)
    expect((yield from client.transaction(content=content)), "250", f"a message of {len(content)} octets")
    _, found = split((yield from delivered_one(at)))
    check(found.startswith(with_lf(body)[:1000]) and with_lf(body) in found, "the message is not whole")


@case("size-offered", SHOULD, tests=("5321-4.5.3.1.7-2a",))
def size_offered(at: Context) -> Script:
    """A server that limits the size of messages offers SIZE (one that offers no SIZE is not seen to have a limit: recorded)."""
    yield Remark(f"SIZE {at.extensions.get('SIZE', '')}" if at.offers("SIZE") else "no SIZE is offered", "" if at.offers("SIZE") else "info")
    check(not at.extensions.get("SIZE", "0").strip("0123456789 "), f"SIZE {at.extensions.get('SIZE', '')}")


@case("recipients-100", MUST, tests=("5321-4.5.3.1.8-1", "5321-4.5.3.1-1"))
def recipients_100(at: Context) -> Script:
    """100 recipients are taken in one transaction, and the message is accepted."""
    client = yield from hello(at)
    yield from client.mail()
    for number in range(RECIPIENTS):
        recipient = at.target.mail.recipients[number % len(at.target.mail.recipients)]
        reply = yield from client.command(f"RCPT TO:<{recipient}>")
        check(reply.code not in (452, 552), f"recipient {number + 1} is one too many: {reply}")
        expect(reply, "250 251", f"recipient {number + 1}")
    yield from takes_mail(client)


@case("recipients-over-the-limit", MUST, tests=("5321-4.5.3.1.10-2a", "5321-4.5.3.1.8-3"), needs=("delivery",))
def recipients_over(at: Context) -> Script:
    """Recipients beyond the server's limit get 452 (552 of old), one by one, and those that were accepted get their mail."""
    client = yield from hello(at)
    yield from client.mail()
    accepted = refusal = 0
    while accepted < RECIPIENTS_TRIED and not refusal and not client.ended:
        for reply in (yield from _batch(at, client)):
            accepted += reply.code in (250, 251)
            refusal = refusal or (0 if reply.code in (250, 251) else reply.code)
    if not refusal:
        inconclusive(f"{accepted} recipients, and no limit")
    check(accepted >= RECIPIENTS, f"only {accepted} recipients were taken, then {refusal}")
    check(refusal in (452, 421), f"beyond the limit of {accepted} recipients: {refusal}")
    if not client.ended:
        yield from takes_mail(client)
        check((yield from delivered(at)), "nothing was delivered to the recipients that were accepted")


def _batch(at: Context, client: Client) -> Step[list[Reply]]:
    """Some more RCPT, in one write where that is allowed."""
    line = f"RCPT TO:<{at.recipient}>"
    if at.offers("PIPELINING"):
        return (yield from client.pipeline(*[line] * BATCH))
    return [(yield from client.command(line))]


class Long(NamedTuple):
    id: str
    line: str
    what: str


LONGS: Final = (
    Long("local-part", "MAIL FROM:<LONG@DOMAIN>", "a local-part of 2000 octets"),
    Long("domain", "MAIL FROM:<a@LONG.example>", "a label of 2000 octets"),
    Long("quoted", 'MAIL FROM:<"LONG"@DOMAIN>', "a quoted local-part of 2000 octets"),
    Long("ehlo", "EHLO LONG", "an EHLO name of 2000 octets"),
    Long("noop", "NOOP LONG", "a NOOP of 2000 octets"),
    Long("verb", "LONG", "a verb of 2000 octets"),
    Long("vrfy", "VRFY LONG", "a VRFY of 2000 octets"),
)


@case.table(LONGS, MUST, prefix="long-", tests=("5321-4.2-1", "5321-4.5.3.1.5-n1a"))
def too_long(at: Context, row: Long) -> Script:
    """{what} may be refused or taken, with one proper reply (a line beyond 512 octets is only a warning); the session goes on, or the next client is served."""
    client = yield from hello(at)
    reply = yield from client.command(row.line.replace("LONG", "x" * 2000).replace("DOMAIN", at.sender.rpartition("@")[2]))
    check(reply.code or reply.is_closed, f"{row.what}: {reply}")
    is_only_long = all(fault.startswith("a reply line of") for fault in reply.faults)  # 4.5.3.1: larger objects SHOULD be avoided when possible
    check(not reply.faults, "; ".join(reply.faults), SHOULD if is_only_long else MUST)
    yield from leaves(client)
    yield from alive(at)


@case("parameters-within-512", MUST_NOT, tests=("5321-4.3.2-n1",))
def parameters_512(at: Context) -> Script:
    """RCPT of 511 octets is not too long: it may be refused for its address, not with 500."""
    client = yield from reach(at, "mail")
    host = f"{'h' * 60}.example"
    route = ",".join(f"@{host}" for _ in range(6))
    line = f"RCPT TO:<{route}:{at.recipient}>"
    assert len(line) + 2 < 512, len(line)
    if (yield from client.command(f"RCPT TO:<@{host}:{at.recipient}>")).code == 500:
        inconclusive("a short source route gets 500 as well")
    reply = yield from client.command(line)
    check(reply.code != 500, f"a RCPT of {len(line) + 2} octets: {reply}")
    need((yield from client.command("RSET")), "250", "RSET")
