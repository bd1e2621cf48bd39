"""DATA and its end (RFC 5321 4.1.1.4): only CR LF dot CR LF ends the content; nothing that looks like it does."""

from typing import Final, NamedTuple

from conformance.case import SERVER, section
from conformance.context import Context
from conformance.dialogue import Client, delivered, hello, reach
from conformance.oracle import expect
from conformance.outcome import MAY, MUST, MUST_NOT, check
from conformance.reply import Reply
from conformance.server.steps import goes_on, is_idle, leaves, until_end
from conformance.wire import Remark, Script, Step

case = section("rfc5321/4.1.1.4", SERVER)

SETTLE_S: Final = 1.5
AFTER: Final = b"what stands after it"


class Pseudo(NamedTuple):
    id: str
    octets: bytes
    tests: tuple[str, ...] = ("5321-4.1.1.4-4", "5321-2.3.8-1a", "5321-4.1.1.4-n1")


BARE: Final = ("5321-4.1.1.4-5", "5321-4.1.1.4-4", "5321-2.3.8-1a")
REFUSED: Final = ("5321-4.2.5-1", "5321-4.2.5-3")
ENDS: Final = (
    Pseudo("lf-dot-lf", b"\n.\n", BARE),
    Pseudo("lf-dot-crlf", b"\n.\r\n", BARE),
    Pseudo("crlf-dot-lf", b"\r\n.\n", BARE),
    Pseudo("cr-dot-cr", b"\r.\r"),
    Pseudo("cr-dot-crlf", b"\r.\r\n"),
    Pseudo("crlf-dot-cr", b"\r\n.\r"),
    Pseudo("cr-dot-lf", b"\r.\n"),
    Pseudo("lf-dot-cr", b"\n.\r"),
    Pseudo("crlf-dot-cr-cr-lf", b"\r\n.\r\r\n"),
    Pseudo("lf-cr-dot-crlf", b"\n\r.\r\n"),
    Pseudo("crlf-dot-lf-cr", b"\r\n.\n\r"),
    Pseudo("lf-lf-dot-crlf", b"\n\n.\r\n", BARE),
    Pseudo("cr-nul-lf-dot-crlf", b"\r\0\n.\r\n"),
    Pseudo("crlf-nul-dot-crlf", b"\r\n\0.\r\n"),
    Pseudo("crlf-dot-nul-crlf", b"\r\n.\0\r\n"),
    Pseudo("crlf-dot-space-crlf", b"\r\n. \r\n"),
    Pseudo("crlf-space-dot-crlf", b"\r\n .\r\n"),
    Pseudo("crlf-dot-tab-crlf", b"\r\n.\t\r\n"),
    Pseudo("crlf-two-dots-crlf", b"\r\n..\r\n"),
    Pseudo("nel-dot-nel", b"\x85.\x85"),
    Pseudo("vt-dot-vt", b"\x0b.\x0b"),
    Pseudo("high-cr-lf-dot", b"\r\n.\x8d\n"),
)


def _whole(at: Context, client: Client, octets: bytes) -> Step[Reply]:
    """Content, the pseudo end, what looks like a second transaction, and the real end; gives the first reply."""
    first = at.message(body=b"the first line")
    second = f"MAIL FROM:<{at.sender}>\r\nRCPT TO:<{at.recipient}>\r\nDATA\r\n".encode() + at.message(body=AFTER)
    yield from client.send(first + octets + second + b"\r\n.\r\n")
    return (yield from client.reply())


@case.table(ENDS, MUST_NOT, prefix="no-end-")
def no_end(at: Context, row: Pseudo) -> Script:
    """{octets} is not the end of the data: what stands after it is content, even if it reads like commands, and one reply comes after the real end."""
    client = yield from reach(at, "data")
    reply = yield from _whole(at, client, row.octets)
    if client.ended or reply.code == 421:
        return
    yield from client.send(b"QUIT\r\n")
    more = [found for found in (yield from until_end(client)) if found.code not in (221, 421)]
    check(not more, f"first {reply}, then {', '.join(map(str, more))}: what stood after {row.octets!r} was taken for commands")


@case.table([row._replace(tests=(*row.tests, *REFUSED)) for row in ENDS], MUST_NOT, prefix="no-smuggling-", needs=("delivery",))
def no_smuggling(at: Context, row: Pseudo) -> Script:
    """Content with {octets} in it is one message, whole, when it is accepted, and none at all when it is refused: never two."""
    client = yield from reach(at, "data")
    reply = yield from _whole(at, client, row.octets)
    yield from client.close()
    if 200 <= reply.code < 300:
        found = yield from delivered(at)
        check(len(found) == 1, f"{len(found)} messages were delivered")
        check(b"the first line" in found[0] and AFTER in found[0], "the delivered message is not whole")
    else:
        found = yield from delivered(at, "", 1, SETTLE_S)
        check(not found, f"{len(found)} messages were delivered though the reply was {reply}")


@case("real-end", MUST, tests=("5321-4.1.1.4-n1", "5321-4.5.2-n2", "5321-4.1.1.4-6", "5321-3.3-n7"), needs=("delivery",))
def real_end(at: Context) -> Script:
    """CR LF dot CR LF ends the content: it gets 250, and the message is delivered without the dot."""
    client = yield from hello(at)
    expect((yield from client.transaction(content=at.message(body=b"body\r\n"))), "250", "the end of data")
    yield from goes_on(client)
    found = yield from delivered(at)
    check(len(found) == 1, f"{len(found)} messages were delivered")
    check(found[0].endswith(b"\nbody\n"), f"the message ends with {found[0][-40:]!r}")


@case("real-end-alone", MAY, tests=("5321-4.1.1.4-n1",))
def no_content(at: Context) -> Script:
    """Dot CR LF right behind DATA ends a message without any content: taken or refused, with one reply; recorded."""
    client = yield from reach(at, "data")
    yield from client.send(b".\r\n")
    reply = yield from client.reply()
    yield Remark(f"a message without content: {reply}", "info")
    yield from leaves(client)


@case("one-reply-for-all", MUST, tests=("5321-4.1.1.4-n3", "5321-4.2-1"), needs=("two-recipients",))
def one_reply(at: Context) -> Script:
    """The end of the data gets one reply, however many recipients there are."""
    client = yield from hello(at)
    expect((yield from client.transaction(at.recipient, at.other_recipient)), "250", "the end of data")
    yield from leaves(client)


@case("buffers-cleared", MUST, tests=("5321-4.1.1.4-n2", "5321-3.3-n2"), needs=("delivery", "two-recipients"))
def buffers_cleared(at: Context) -> Script:
    """At the end of the data all buffers are cleared: the next message goes to its own recipients and has its own content only."""
    client = yield from hello(at)
    expect((yield from client.transaction(at.recipient, content=at.message("X-Part: one"))), "250", "the first")
    yield from is_idle(client)
    expect((yield from client.transaction(at.other_recipient, content=at.message("X-Part: two"))), "250", "the second")
    first = yield from delivered(at)
    second = yield from delivered(at, at.other_recipient)
    check(len(first) == 1 and b"X-Part: one" in first[0], f"{len(first)} messages for the first recipient")
    check(len(second) == 1 and b"X-Part: two" in second[0], f"{len(second)} messages for the second recipient")
    check(b"X-Part: one" not in second[0], "the second message has content of the first")


@case("refused-leaves-nothing", MUST, tests=("5321-4.1.1.4-7", "5321-4.1.1.4-n2"))
def refused_leaves_nothing(at: Context) -> Script:
    """After the end of data the transaction is over, whether the message was accepted or refused: RCPT needs a new MAIL, and good mail is taken."""
    client = yield from reach(at, "data")
    yield from client.send(at.message(body=b"a line with LF\nand more\r\n") + b".\r\n")
    reply = yield from client.reply()
    check(reply.code // 100 in (2, 4, 5) or reply.is_closed, f"the end of data: {reply}")
    if not client.ended and reply.code != 421:
        yield from is_idle(client)
        expect((yield from client.transaction()), "250", "the good twin")


@case("data-in-one-write", MUST, tests=("5321-4.1.1.4-n1", "5321-4.1.1.4-6"))
def one_write(at: Context) -> Script:
    """Content and end that come in one segment are the same as in many."""
    client = yield from reach(at, "data")
    yield from client.send(at.message() + b".\r\n")
    expect((yield from client.reply()), "250", "the end of data")
    yield from leaves(client)
