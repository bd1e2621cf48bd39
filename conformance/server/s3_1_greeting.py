"""The beginning of a session: who speaks first, and what the greeting says (RFC 5321 3.1, 4.3.1)."""

import re
from typing import Final

from conformance.case import SERVER, section
from conformance.context import Context
from conformance.dialogue import alive, dial, greeted
from conformance.oracle import expect
from conformance.outcome import MAY, MUST, SHOULD, check
from conformance.server.steps import goes_on, leaves
from conformance.wire import Remark, Script, Wait

case = section("rfc5321/3.1", SERVER)
greeting = section("rfc5321/4.3.1", SERVER)
listening = section("rfc5321/4.5.4.2", SERVER)

DOMAIN: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*\Z")
LITERAL: Final = re.compile(r"\[[!-Z^-~]+\]\Z")
CONNECTIONS: Final = 5


@case("server-speaks-first", MUST, tests=("5321-3.1-n1", "5321-4.3.1-n1"))
def server_speaks_first(at: Context) -> Script:
    """The server greets with 220 though the client has sent nothing."""
    client = yield from dial(at)
    expect((yield from client.reply()), "220", "the greeting")
    yield from leaves(client)


@case("one-greeting", MUST, tests=("5321-4.2-1",))
def one_greeting(at: Context) -> Script:
    """There is one greeting: nothing more comes until the client has said something."""
    client = yield from greeted(at)
    octets = yield from client.silence(0.5)
    check(not octets, f"after the greeting came {octets[:80]!r}")
    expect((yield from client.command("EHLO client.example")), "250", "EHLO")


@case("greeting-text", MAY, tests=("5321-3.1-1",))
def greeting_text(at: Context) -> Script:
    """The greeting may tell software and version: what it says is recorded."""
    client = yield from dial(at)
    reply = expect((yield from client.reply()), "220", "the greeting")
    yield Remark(f"the greeting says: {reply.text}", "info")


@case("talk-before-greeting", MAY, tests=("5321-3.1-n1",))
def talk_before_greeting(at: Context) -> Script:
    """A client that does not wait for the greeting may be refused; how is recorded, and the next client is served."""
    client = yield from dial(at)
    yield from client.send("EHLO hasty.example\r\n")
    first = yield from client.reply()
    yield Remark(f"EHLO before the greeting: {first}", "info")
    yield from alive(at)


@greeting("greeting-names-host", MUST, tests=("5321-4.3.1-n2", "5321-4.1.1.1-n1", "5321-4.1.2-8b"))
def greeting_names_host(at: Context) -> Script:
    """The first word after 220 is the full domain name of the host (letters, digits, hyphens), or its address literal."""
    client = yield from dial(at)
    reply = expect((yield from client.reply()), "220", "the greeting")
    word = (reply.text.split() or [""])[0]
    check(DOMAIN.match(word) or LITERAL.match(word), f"the first word of the greeting is {word!r}")
    check("." in word or word.startswith("["), f"{word!r} is not a full name")


@greeting("greeting-grammar", MUST, tests=("5321-4.2-n1", "5321-4.2-n3", "5321-4.5.3.1.5-n1a"))
def greeting_grammar(at: Context) -> Script:
    """The greeting is a reply like any other: code, space, text, CRLF, no line beyond 512 octets."""
    client = yield from dial(at)
    reply = expect((yield from client.reply()), "220", "the greeting")
    check(not reply.faults, "; ".join(reply.faults))


@listening("sessions-side-by-side", SHOULD, tests=("5321-4.5.4.2-1", "5321-4.5.4.2-2"))
def sessions_side_by_side(at: Context) -> Script:
    """A limit on connections does not go down to one: a second client is greeted while the first is there."""
    first = yield from greeted(at)
    second = yield from dial(at)
    expect((yield from second.reply()), "220", "the second of two connections")
    yield from goes_on(second)
    yield from goes_on(first)


@listening("always-listening", SHOULD, tests=("5321-4.5.4.2-1",))
def always_listening(at: Context) -> Script:
    """The server goes on listening: one session after the other, and each in its own state."""
    for _ in range(CONNECTIONS):
        client = yield from greeted(at)
        expect((yield from client.command("EHLO client.example")), "250", "EHLO")
        yield from client.quit()


@listening("interleaved-sessions", MUST, tests=("5321-3.3-n2",))
def interleaved_sessions(at: Context) -> Script:
    """Two sessions at the same time have each their own transaction: MAIL in one opens nothing in the other."""
    first = yield from greeted(at)
    second = yield from greeted(at)
    yield from first.hello()
    yield from second.hello()
    yield from first.mail()
    expect((yield from second.command(f"RCPT TO:<{at.recipient}>")), "503 5yz", "RCPT in the session without MAIL")
    expect((yield from first.command(f"RCPT TO:<{at.recipient}>")), "250 251", "RCPT in the session with MAIL")


@listening("silent-connections", SHOULD, tests=("5321-4.5.4.2-1",))
def silent_connections(at: Context) -> Script:
    """Clients that connect and say nothing do not keep others out."""
    idle = []
    for _ in range(CONNECTIONS):
        idle.append((yield from dial(at)))
    yield Wait(0.1)
    yield from alive(at)
    for client in idle:
        yield from client.close()
