"""What LMTP acknowledged for a recipient is delivered to it (RFC 2033 4.2, 4.3)."""

from conformance.case import QUEUE, section
from conformance.context import Context
from conformance.dialogue import delivered_one, hello
from conformance.oracle import expect, need
from conformance.outcome import MUST_NOT
from conformance.wire import Script

case = section("rfc2033/4", QUEUE, needs=("service:lmtp", "delivery"))


@case("acknowledged-after-data", MUST_NOT, tests=("2033-4.2-2",))
def after_data(at: Context) -> Script:
    """A recipient that got 250 after the final dot has the message."""
    client = yield from hello(at, "lmtp")
    expect((yield from client.transaction(at.recipient)), "250", "the end of data")
    yield from client.reset()
    yield from delivered_one(at)


@case("acknowledged-after-bdat", MUST_NOT, tests=("2033-4.3-1",))
def after_bdat(at: Context) -> Script:
    """A recipient that got 250 after BDAT LAST has the message."""
    client = yield from hello(at, "lmtp")
    if "CHUNKING" in client.extensions:
        yield from client.mail()
        yield from client.rcpt(at.recipient)
        content = at.message()
        yield from client.send(b"BDAT %d LAST\r\n" % len(content) + content)
        need((yield from client.reply()), "250", "BDAT LAST")
        yield from client.reset()
        yield from delivered_one(at)
