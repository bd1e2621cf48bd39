"""Steps that the server cases share: probes of where a session stands, and readings of a reply that leave policy out."""

from collections.abc import Iterable
from typing import Final

from conformance.context import Context
from conformance.dialogue import Client, greeted
from conformance.oracle import expect
from conformance.outcome import Broken, Inconclusive, check, skip
from conformance.reply import Reply
from conformance.wire import Step

SYNTAX_CODES: Final = (500, 501, 502, 555)


def goes_on(client: Client) -> Step[None]:
    """The session lives and no reply is due: NOOP gets its 250. That the target ended the session is legal, and then nothing is asked."""
    if not client.ended:
        expect((yield from client.command("NOOP")), "250 421 closed", "NOOP afterwards", strict=True)


def leaves(client: Client) -> Step[None]:
    """No reply is due: the next one is the 221 to QUIT, and nothing comes after it."""
    if client.ended:
        return
    reply = yield from client.command("QUIT")
    expect(reply, "221 421 closed", "QUIT afterwards", strict=True)
    octets = yield from client.silence(2.0)
    check(not octets, f"after the reply to QUIT came {octets[:80]!r}")
    yield from client.close()


def until_end(client: Client) -> Step[list[Reply]]:
    """All replies up to the end of the connection; a server that leaves it open is given up on when no more comes."""
    found = []
    while (reply := (yield from client.reply())).code:
        found.append(reply)
    yield from client.close()
    return found


def is_idle(client: Client) -> Step[None]:
    """No transaction is open: RCPT is out of order."""
    expect((yield from client.command(f"RCPT TO:<{client.at.recipient}>")), "503 5yz", "RCPT where no transaction is open")


def is_open(client: Client) -> Step[None]:
    """A transaction is open: RCPT is taken."""
    expect((yield from client.command(f"RCPT TO:<{client.at.recipient}>")), "250 251", "RCPT where a transaction is open")


def takes_mail(client: Client) -> Step[None]:
    """A recipient stands: DATA is taken, and the message accepted."""
    expect((yield from client.command("DATA")), "354", "DATA where a recipient stands")
    yield from client.send(client.at.message() + b".\r\n")
    expect((yield from client.reply()), "250", "the end of data")


def understood(reply: Reply, what: str, *, refusal: bool = False) -> Reply:
    """The syntax was understood: success; a refusal for other reasons is Inconclusive, or with `refusal` as good as success. Syntax codes are Broken."""
    if 200 <= reply.code < 300 or (refusal and 400 <= reply.code < 600 and reply.code not in SYNTAX_CODES):
        return reply
    if reply.code in SYNTAX_CODES or reply.end == "timeout":
        raise Broken(f"{what}: {reply}")
    raise Inconclusive(f"{what}: {reply}")


def helo(at: Context) -> Step[Client]:
    """A session that was opened with HELO."""
    client = yield from greeted(at)
    expect((yield from client.command("HELO client.example")), "250", "HELO")
    return client


def placed(at: Context, template: str) -> str:
    """Fill in DOMAIN (the sender's, good in MAIL), LOCAL (the target's) and USER (a local-part that exists)."""
    user, _, local = at.recipient.rpartition("@")
    sender_domain = at.sender.rpartition("@")[2]
    return template.replace("DOMAIN", sender_domain).replace("LOCAL", local).replace("USER", user)


def offered(client: Client, keyword: str) -> str:
    """The parameters of an extension; a skip when it is not offered."""
    if keyword not in client.extensions:
        skip(f"EHLO does not offer {keyword}")
    return client.extensions[keyword]


def every_octet(octets: bytes) -> Iterable[bytes]:
    """Pieces of one octet."""
    return (octets[at : at + 1] for at in range(len(octets)))
