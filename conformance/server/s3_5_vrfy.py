"""VRFY and EXPN (RFC 5321 3.5, 7.3): what they may say, and that they say it of what was looked up only."""

import re
from typing import Final, NamedTuple

from conformance.case import SERVER, section
from conformance.context import Context
from conformance.dialogue import Client, hello
from conformance.oracle import expect
from conformance.outcome import MAY, MUST, MUST_NOT, SHOULD, check, inconclusive, skip
from conformance.reply import Reply
from conformance.server.steps import goes_on
from conformance.wire import Remark, Script, Step

case = section("rfc5321/3.5", SERVER)
security = section("rfc5321/7.3", SERVER)

MAILBOX: Final = re.compile(r'<(?:[^<>@\s"]+|"[^"]*")@[A-Za-z0-9.-]+>')
BARE_MAILBOX: Final = re.compile(r'(?:[^<>@\s"]+|"[^"]*")@[A-Za-z0-9.-]+')
ROUTE: Final = re.compile(r"<@[^>]*:[^>]*>")
OFF: Final = (252, 500, 502)  # not looked up, or not there


def _asked(at: Context, line: str) -> Step[tuple[Client, Reply]]:
    client = yield from hello(at)
    reply = yield from client.command(line)
    return client, reply


def _success(reply: Reply, line: str) -> Reply:
    """The reply, when it is a 250 or 251; else there is nothing to judge."""
    if reply.code not in (250, 251, 551):
        skip(f"{line}: {reply}")
    return reply


class Asked(NamedTuple):
    id: str
    verb: str
    by: str


ASKED: Final = (
    Asked("vrfy-address", "VRFY", "its address"),
    Asked("vrfy-brackets", "VRFY", "its address in brackets"),
    Asked("vrfy-name", "VRFY", "its local-part"),
    Asked("expn-address", "EXPN", "its address"),
    Asked("expn-name", "EXPN", "its local-part"),
)


def _line(at: Context, row: Asked) -> str:
    argument = {"its address": at.recipient, "its address in brackets": f"<{at.recipient}>", "its local-part": at.recipient.rpartition("@")[0]}[row.by]
    return f"{row.verb} {argument}"


@case.table(ASKED, MUST, prefix="mailbox-", tests=("5321-3.5.1-2b", "5321-3.5.1-3", "5321-3.5.2-1", "5321-3.5.1-5b", "5321-3.5.1-n1"))
def gives_mailbox(at: Context, row: Asked) -> Script:
    """Success of {verb} for a user by {by} gives the mailbox as local-part@domain with a full domain, one in each line."""
    line = _line(at, row)
    client, reply = yield from _asked(at, line)
    for text in _success(reply, line).text.split("\n"):
        found = BARE_MAILBOX.findall(text)
        check(len(found) == 1, f"{text!r} has {len(found)} mailboxes")
        check("." in found[0].rpartition("@")[2], f"the domain of {found[0]} is not full")
    yield from goes_on(client)


@case.table(ASKED, SHOULD, prefix="brackets-", tests=("5321-3.5.2-3",))
def in_brackets(at: Context, row: Asked) -> Script:
    """Addresses in the reply to {verb} (a user by {by}) stand in angle brackets."""
    line = _line(at, row)
    _, reply = yield from _asked(at, line)
    check(all(MAILBOX.search(text) for text in _success(reply, line).text.split("\n")), reply.text)


@case.table(ASKED[:1] + ASKED[3:4], MUST, prefix="works-in-rcpt-", tests=("5321-3.5.2-4",))
def works_in_rcpt(at: Context, row: Asked) -> Script:
    """The address that {verb} gives is good in RCPT."""
    line = _line(at, row)
    client, reply = yield from _asked(at, line)
    found = BARE_MAILBOX.search(_success(reply, line).text)
    check(found, f"no address in {reply.text!r}")
    assert found is not None
    yield from client.mail()
    expect((yield from client.command(f"RCPT TO:<{found.group()}>")), "250 251", f"RCPT for what {row.verb} gave")


@case.table(ASKED, MUST_NOT, prefix="no-route-", tests=("5321-3.5.2-6",))
def no_route(at: Context, row: Asked) -> Script:
    """{verb} (a user by {by}) never gives a source route."""
    _, reply = yield from _asked(at, _line(at, row))
    check(not ROUTE.search(reply.text), reply.text)


@case("vrfy-supported", SHOULD, tests=("5321-3.5.1-1", "5321-3.5.2-7"))
def vrfy_supported(at: Context) -> Script:
    """VRFY is supported, or switched off with 252."""
    _, reply = yield from _asked(at, f"VRFY {at.recipient}")
    expect(reply, "250 251 252 550 551 553", "VRFY")


@case("expn-supported", SHOULD, tests=("5321-3.5.1-1", "5321-3.5.2-7", "5321-7.3-3a"))
def expn_supported(at: Context) -> Script:
    """EXPN is supported, or switched off with 252."""
    _, reply = yield from _asked(at, "EXPN postmaster")
    expect(reply, "250 252 550", "EXPN")


@case("expn-listed", MUST, tests=("5321-3.5.2-9",))
def expn_listed(at: Context) -> Script:
    """A server on which EXPN works lists it in the reply to EHLO."""
    client, reply = yield from _asked(at, "EXPN postmaster")
    if reply.code == 250:
        check("EXPN" in client.extensions, f"EXPN: {reply}; EHLO does not list it")


@case("vrfy-listed", MAY, tests=("5321-3.5.2-10",))
def vrfy_listed(at: Context) -> Script:
    """VRFY may be listed in the reply to EHLO: recorded."""
    yield Remark("VRFY is listed" if at.offers("VRFY") else "VRFY is not listed", "info")


@case("local-names", MUST, tests=("5321-3.5.1-8", "5321-3.5.2-4"))
def local_names(at: Context) -> Script:
    """Where VRFY looks names up at all, it knows the local-part of a local mailbox."""
    user = at.recipient.rpartition("@")[0]
    client, reply = yield from _asked(at, f"VRFY {at.recipient}")
    by_name = yield from client.command(f"VRFY {user}")
    if reply.code in OFF:
        skip(f"VRFY: {reply}")
    expect(by_name, "250 251 252 553", f"VRFY {user}")


@case("addresses-as-names", SHOULD, tests=("5321-3.5.1-9a",))
def addresses(at: Context) -> Script:
    """Where VRFY looks names up at all, it takes local-part@domain."""
    client, reply = yield from _asked(at, f"VRFY {at.recipient.rpartition('@')[0]}")
    by_address = yield from client.command(f"VRFY {at.recipient}")
    if reply.code in OFF and by_address.code in OFF:
        skip(f"VRFY: {reply}")
    expect(by_address, "250 251 252 553", f"VRFY {at.recipient}")


@case("names-recorded", MAY, tests=("5321-3.5.1-2a", "5321-3.5.1-5a", "5321-3.5.1-6a", "5321-3.5.1-7a", "5321-3.5.1-7b"))
def recorded(at: Context) -> Script:
    """Full names, lists in VRFY and users in EXPN are free: what comes is recorded."""
    for line in (f"VRFY {at.recipient}", "VRFY staff", f"EXPN {at.recipient}", "EXPN staff"):
        client, reply = yield from _asked(at, line)
        yield Remark(f"{line}: {reply}", "info")
        yield from client.close()


class Bad(NamedTuple):
    id: str
    line: str
    what: str


UNVERIFIED: Final = (
    Bad("vrfy-unknown", "VRFY UNKNOWN", "a user that does not exist"),
    Bad("vrfy-unknown-name", "VRFY no-such-user-at-all", "a name that does not exist"),
    Bad("vrfy-foreign", "VRFY FOREIGN", "a user of another system"),
    Bad("expn-unknown", "EXPN UNKNOWN", "a list that does not exist"),
)


@case.table(UNVERIFIED, MUST_NOT, prefix="not-verified-", tests=("5321-3.5.3-1", "5321-3.5.3-2", "5321-7.3-1"), needs=("unknown",))
def not_verified(at: Context, row: Bad) -> Script:
    """{line}, {what}, gets no 250: good syntax alone is no verification."""
    line = row.line.replace("UNKNOWN", at.target.mail.unknown).replace("FOREIGN", at.target.mail.foreign)
    client, reply = yield from _asked(at, line)
    check(reply.code not in (250, 251), f"{line}: {reply}")
    yield from goes_on(client)


@case("cannot-check-now", SHOULD, tests=("5321-3.5.3-4",))
def cannot_check(at: Context) -> Script:
    """An address of another system that looks right and cannot be checked gets 252 (or a refusal to relay)."""
    _, reply = yield from _asked(at, f"VRFY {at.target.mail.foreign}")
    check(reply.code != 250, f"VRFY: {reply}")
    if reply.code in (500, 502):
        inconclusive(f"VRFY: {reply}")
    expect(reply, "252 550 551 553 4yz", "VRFY of a foreign address")


@security("same-for-good-and-bad", MUST_NOT, tests=("5321-7.3-n1", "5321-7.3-2", "5321-7.3-1"), needs=("unknown",))
def same_for_all(at: Context) -> Script:
    """VRFY does not answer 550 to good and bad addresses alike: switched off it answers 252."""
    client, good = yield from _asked(at, f"VRFY {at.recipient}")
    bad = yield from client.command(f"VRFY {at.target.mail.unknown}")
    check(not (good.code == bad.code == 550), f"a good address: {good}; a bad one: {bad}")


@security("off-means-252", MUST, tests=("5321-7.3-2",), needs=("unknown",))
def off_means_252(at: Context) -> Script:
    """VRFY that says the same of good and bad addresses says 252 (500 and 502 are a command that is not there: another rule)."""
    client, good = yield from _asked(at, f"VRFY {at.recipient}")
    bad = yield from client.command(f"VRFY {at.target.mail.unknown}")
    if good.code != bad.code:
        skip("VRFY tells good from bad")
    if good.code in (500, 502):
        skip(f"VRFY is not implemented: {good}")
    expect(good, "252 421", "VRFY")


@security("syntax-only-is-not-implemented", SHOULD, tests=("5321-3.5.3-3",), needs=("unknown",))
def syntax_only(at: Context) -> Script:
    """VRFY that does not look up says so, by 252, 500 or 502, never by 250 to good and bad alike."""
    client, good = yield from _asked(at, f"VRFY {at.recipient}")
    bad = yield from client.command(f"VRFY {at.target.mail.unknown}")
    check(not (good.code == bad.code == 250), f"a good address: {good}; a bad one: {bad}")


@case("empty-argument", SHOULD, tests=("5321-3.5.3-2",))
def empty_argument(at: Context) -> Script:
    """VRFY without an argument is no success; with one it is answered."""
    client, reply = yield from _asked(at, "VRFY")
    expect(reply, "252 501 5yz", "VRFY without argument")
    reply = yield from client.command(f"VRFY {at.recipient}")
    check(reply.code, f"the good twin: {reply}")
