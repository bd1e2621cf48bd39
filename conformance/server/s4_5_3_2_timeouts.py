"""Time (RFC 5321 4.5.3.2, 3.8): how long a server waits for its client, and how it ends what it must end."""

from typing import Final, NamedTuple

from conformance.case import SERVER, section
from conformance.context import Context
from conformance.dialogue import alive, greeted, hello, reach
from conformance.oracle import expect
from conformance.outcome import MUST_NOT, SHOULD, check, inconclusive
from conformance.reply import Reply
from conformance.server.steps import goes_on, is_open, takes_mail
from conformance.wire import Control, Controlled, Remark, Script, Wait

case = section("rfc5321/4.5.3.2", SERVER)
closing = section("rfc5321/3.8", SERVER)

PATIENCE_S: Final = 5 * 60  # 4.5.3.2.7: at least so long
NEARLY_S: Final = PATIENCE_S - 5
HOURS_S: Final = 3 * 3600
BRIEF_S: Final = 2.0


class State(NamedTuple):
    id: str
    state: str
    where: str


STATES: Final = (
    State("connected", "connected", "after the greeting"),
    State("greeted", "greeted", "after EHLO"),
    State("mail", "mail", "after MAIL"),
    State("rcpt", "rcpt", "after RCPT"),
    State("data", "data", "after 354"),
    State("sent", "sent", "after a message"),
)


@case.table(STATES, SHOULD, prefix="waits-five-minutes-", tests=("5321-4.5.3.2.7-1",), slow=True)
def waits(at: Context, row: State) -> Script:
    """The server waits for its client at least five minutes {where}, and the session then goes on."""
    client = yield from reach(at, row.state)
    yield Wait(NEARLY_S)
    if row.state == "data":
        yield from client.send(at.message() + b".\r\n")
        expect((yield from client.reply()), "250", "the end of data", strict=True)
    else:
        expect((yield from client.command("NOOP")), "250", f"NOOP after {NEARLY_S} s", strict=True)


@case("waits-within-content", SHOULD, tests=("5321-4.5.3.2.7-1",), slow=True)
def waits_within_content(at: Context) -> Script:
    """The server waits at least five minutes for each further piece of the content."""
    client = yield from reach(at, "data")
    content = at.message() + b".\r\n"
    for piece in (content[:40], content[40:120], content[120:]):
        yield from client.send(piece)
        if piece is not content[120:]:
            yield Wait(NEARLY_S)
    expect((yield from client.reply()), "250", "the end of data", strict=True)


@case("waits-within-command", SHOULD, tests=("5321-4.5.3.2.7-1",), slow=True)
def waits_within_command(at: Context) -> Script:
    """The time of five minutes is that between commands: one command may be long in coming, too."""
    client = yield from hello(at)
    yield from client.send("NO")
    yield Wait(NEARLY_S)
    yield from client.send("OP\r\n")
    expect((yield from client.reply()), "250", "NOOP", strict=True)


@case("each-command-starts-anew", SHOULD, tests=("5321-4.5.3.2.7-1",), slow=True)
def starts_anew(at: Context) -> Script:
    """Each command starts the time anew: a session of several pauses is longer than five minutes."""
    client = yield from hello(at)
    for _ in range(3):
        yield Wait(NEARLY_S)
        expect((yield from client.command("NOOP")), "250", "NOOP", strict=True)


@closing("idle-ends-with-421", SHOULD, tests=("5321-3.8-2",), slow=True)
def idle_ends(at: Context) -> Script:
    """A server that gives up on a silent client says 421 before it closes."""
    client = yield from reach(at, "mail")
    reply: Reply = yield from client.reply(HOURS_S)
    if not reply.code and not reply.is_closed:
        inconclusive(f"it waits longer than {HOURS_S} s")
    check(reply.code == 421, f"at the end of its patience: {reply}")


@case.table(STATES[:5], MUST_NOT, prefix="pause-", tests=("5321-3.8-1", "5321-4.1.1.10-2"))
def brief_pause(at: Context, row: State) -> Script:
    """A pause of some seconds {where} is no reason to close or to speak."""
    client = yield from reach(at, row.state)
    octets = yield from client.silence(BRIEF_S)
    check(not octets and not client.ended, f"during the pause: {octets[:80]!r} {client.ended}")
    if row.state == "data":
        yield from client.send(at.message() + b".\r\n")
        expect((yield from client.reply()), "250", "the end of data")
    else:
        yield from goes_on(client)


@closing("stop-says-421", SHOULD, tests=("5321-3.8-2",), needs=("control:stop", "control:start"), alone=True)
def stop_says_421(at: Context) -> Script:
    """A server that is shut down says 421 to its clients before it closes; started again it serves."""
    client = yield from hello(at)
    stopped: Controlled = yield Control("stop")
    reply: Reply = yield from client.reply(10.0)
    started: Controlled = yield Control("start")
    if stopped.status or started.status:
        inconclusive(f"stop: {stopped.output}; start: {started.output}")
    yield from alive(at)
    check(reply.code == 421, f"at the shutdown: {reply}")


@closing("stop-within-transaction", SHOULD, tests=("5321-3.8-2",), needs=("control:stop", "control:start"), alone=True, slow=True)
def stop_within_transaction(at: Context) -> Script:
    """A client in a transaction hears 421 when the server is shut down: at once, or as the answer to its next command."""
    client = yield from reach(at, "rcpt")
    stopped: Controlled = yield Control("stop")
    reply: Reply = yield from client.reply(10.0)
    started: Controlled = yield Control("start")
    if stopped.status or started.status:
        inconclusive(f"stop: {stopped.output}; start: {started.output}")
    yield from alive(at)
    check(reply.code == 421, f"at the shutdown: {reply}")


@closing("stays-open-after-message", MUST_NOT, tests=("5321-3.8-1", "5321-4.1.1.10-2"))
def stays_open(at: Context) -> Script:
    """A message that was accepted is no reason to close: the next transaction may begin."""
    client = yield from reach(at, "sent")
    octets = yield from client.silence(0.5)
    check(not octets and not client.ended, f"after the message: {octets[:80]!r} {client.ended}")
    expect((yield from client.command(f"MAIL FROM:<{at.sender}>")), "250", "MAIL")
    yield from is_open(client)
    yield from takes_mail(client)


@closing("stays-open-after-refusals", MUST_NOT, tests=("5321-3.8-1", "5321-4.1.1.10-2"), needs=("unknown",))
def stays_open_after_refusals(at: Context) -> Script:
    """Some refused recipients are no reason to close without 421."""
    client = yield from reach(at, "mail")
    for _ in range(5):
        reply = yield from client.command(f"RCPT TO:<{at.target.mail.unknown}>")
        check(not reply.is_closed, "the server closed without 421")
        if reply.code == 421:
            return
    yield from client.close()


@closing("greeting-in-time", SHOULD, tests=("5321-4.5.4.2-1",))
def greeting_in_time(at: Context) -> Script:
    """The greeting comes within the time that clients wait for it; how long it took is noted."""
    client = yield from greeted(at)
    yield Remark("greeted")
    yield from client.quit()
