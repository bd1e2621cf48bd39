"""Order of commands (RFC 5321 4.1.4): what goes beyond single cells of the table in s4_1_4_states."""

from conformance.case import SERVER, section
from conformance.context import Context
from conformance.dialogue import greeted, hello, reach
from conformance.oracle import expect
from conformance.outcome import MUST, SHOULD
from conformance.server.steps import goes_on, is_idle, leaves, takes_mail
from conformance.wire import Script

case = section("rfc5321/4.1.4", SERVER)


@case("rcpt-before-mail", MUST, tests=("5321-3.3-8", "5321-4.1.4-14a"))
def rcpt_before_mail(at: Context) -> Script:
    """RCPT before MAIL is out of order: it is refused with 503, and the session goes on."""
    client = yield from hello(at)
    expect((yield from client.command(f"RCPT TO:<{at.recipient}>")), "503 5yz", "RCPT before MAIL")
    expect((yield from client.command(f"MAIL FROM:<{at.sender}>")), "250", "MAIL afterwards")
    expect((yield from client.command(f"RCPT TO:<{at.recipient}>")), "250 251", "RCPT in order")


@case("data-before-rcpt", MUST, tests=("5321-4.1.4-14a", "5321-3.3-9"))
def data_before_rcpt(at: Context) -> Script:
    """DATA without a recipient is refused with 503 or 554; a server that answers 354 has to refuse the content."""
    client = yield from hello(at)
    yield from client.mail()
    reply = yield from client.command("DATA")
    if reply.code == 354:
        yield from client.send(b".\r\n")
        reply = yield from client.reply()
    expect(reply, "503 554 5yz", "DATA without RCPT")


@case("ehlo-again", MUST, tests=("5321-4.1.4-4", "5321-4.1.4-n2"))
def ehlo_again(at: Context) -> Script:
    """EHLO in the middle of a transaction clears it, as RSET does: RCPT is then out of order."""
    client = yield from hello(at)
    yield from client.mail()
    expect((yield from client.command("EHLO again.example")), "250", "EHLO again")
    expect((yield from client.command(f"RCPT TO:<{at.recipient}>")), "503 5yz", "RCPT after EHLO")


@case("noop-anywhere", SHOULD, tests=("5321-4.1.4-11a", "5321-4.1.4-n1"))
def noop_anywhere(at: Context) -> Script:
    """NOOP is answered with 250 before EHLO, and any number of times."""
    client = yield from greeted(at)
    for _ in range(3):
        expect((yield from client.command("NOOP")), "250", "NOOP before EHLO")


@case("data-after-refused-recipient", MUST, tests=("5321-4.1.4-14a", "5321-4.1.4-14b", "5321-3.3-9"), needs=("unknown",))
def data_after_refused_recipient(at: Context) -> Script:
    """Where every RCPT was refused, DATA is out of order; a good RCPT then mends it."""
    client = yield from hello(at)
    yield from client.mail()
    reply = yield from client.command(f"RCPT TO:<{at.target.mail.unknown}>")
    if reply.code // 100 == 5:
        reply = yield from client.command("DATA")
        if reply.code == 354:
            yield from client.send(b".\r\n")
            reply = yield from client.reply()
        expect(reply, "503 554 5yz", "DATA after a refused RCPT")
        yield from client.rcpt()
        yield from takes_mail(client)


@case("several-transactions", MUST, tests=("5321-4.1.4-n3", "5321-4.1.1.4-n2", "5321-4.1.1.2-n1"))
def several_transactions(at: Context) -> Script:
    """A session may have many transactions, each complete in itself: after the end of data RCPT needs a new MAIL."""
    client = yield from hello(at)
    for _ in range(3):
        expect((yield from client.transaction()), "250", "the end of data")
        yield from is_idle(client)
    yield from leaves(client)


@case("no-transaction", MUST, tests=("5321-4.1.4-n3",))
def no_transaction(at: Context) -> Script:
    """A session may have none: EHLO and QUIT are enough."""
    client = yield from hello(at)
    yield from leaves(client)


@case("quit-without-hello", MUST, tests=("5321-4.1.1.10-n1",))
def quit_without_hello(at: Context) -> Script:
    """QUIT is taken even where no EHLO came before."""
    client = yield from greeted(at)
    expect((yield from client.command("QUIT")), "221", "QUIT at once")


@case("out-of-order-flood", MUST, tests=("5321-4.1.4-14a", "5321-4.2-1"))
def out_of_order_flood(at: Context) -> Script:
    """Each of several commands out of order gets its own refusal, and none of them opens anything."""
    client = yield from reach(at, "greeted")
    for line in (f"RCPT TO:<{at.recipient}>", "DATA", f"RCPT TO:<{at.recipient}>", "DATA"):
        if not client.ended:
            expect((yield from client.command(line)), "503 554 5yz", line)
    yield from goes_on(client)
