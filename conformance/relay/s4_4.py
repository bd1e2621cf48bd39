"""Trace, relaying and loops (RFC 5321 4.4, 3.6, 6.3)."""

from conformance.case import RELAY, section
from conformance.content import split, values, with_lf
from conformance.context import Context
from conformance.dialogue import hello, submit
from conformance.oracle import expect
from conformance.outcome import MUST, SHOULD, check
from conformance.visit import receive_mail
from conformance.wire import Script

case = section("rfc5321/4.4", RELAY, needs=("dns",))


@case(
    "received-is-prepended",
    MUST,
    tests=(
        "5321-4.4-6",
        "5321-4.4-7a",
    ),
)
def received_is_prepended(at: Context) -> Script:
    """A relay puts a Received field of its own before all others, and changes none of them."""
    old = "from a.example by b.example; Mon, 13 Jul 2026 12:00:00 +0000"
    yield from submit(at, content=f"Received: {old}\r\n".encode() + at.message())
    mail = yield from receive_mail(at)
    found = values(mail.content, "Received")
    check(len(found) > 1, "no Received field was added")
    check(found[-1] == old, f"the Received field of others was changed to {found[-1]!r}")


@case("body-is-untouched", MUST, tests=("5321-3.6.3-5",))
def body_untouched(at: Context) -> Script:
    """A relay does not change the body."""
    body = b"tab\there \r\n\r\n  blanks  \r\nFrom here\r\n"
    yield from submit(at, content=at.message(body=body))
    mail = yield from receive_mail(at)
    check(split(mail.content)[1] == with_lf(body), f"the body came as {split(mail.content)[1]!r}")


@case("relay-domain-for-an-outsider", MUST, needs=("relay-domain", "outsider"))
def relay_domain(at: Context) -> Script:
    """Mail for a domain that it relays for is taken from anybody, and sent on with the reverse-path as it was."""
    client = yield from hello(at, outside=True)
    expect((yield from client.transaction(at.remote)), "250")
    yield from client.quit()
    mail = yield from receive_mail(at)
    check(mail.sender == at.sender, f"the reverse-path became <{mail.sender}>")


open_relay = section("rfc5321/7.9", RELAY)


@open_relay("no-open-relay", SHOULD, tests=("5321-7.9-1",), needs=("outsider",))
def no_open_relay(at: Context) -> Script:
    """Mail from an outsider for a domain of others is refused."""
    client = yield from hello(at, outside=True)
    yield from client.mail()
    reply = yield from client.command(f"RCPT TO:<{at.target.mail.foreign}>")
    expect(reply, "5yz 4yz", "RCPT for a foreign domain")
