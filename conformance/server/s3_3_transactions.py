"""Transactions (RFC 5321 3.3, 3.6, 3.7.2, 7.9): who is refused and how, what a message may look like, who gets it."""

from typing import Final, NamedTuple

from conformance.case import SERVER, section
from conformance.content import fields, split, values
from conformance.context import Context
from conformance.dialogue import delivered, delivered_one, hello, reach
from conformance.oracle import expect, need
from conformance.outcome import MAY, MUST, MUST_NOT, SHOULD, SHOULD_NOT, check
from conformance.server.steps import is_idle, is_open, takes_mail
from conformance.wire import Remark, Script

case = section("rfc5321/3.3", SERVER)
trace = section("rfc5321/3.7.2", SERVER)
relaying = section("rfc5321/7.9", SERVER)
blind = section("rfc5321/7.2", SERVER)
recipients = section("rfc5321/4.1.1.3", SERVER)

SETTLE_S: Final = 1.5


@case("accepted-commands", MUST, tests=("5321-3.3-n1", "5321-3.3-n3", "5321-3.3-n6", "5321-3.3-n7"))
def accepted_commands(at: Context) -> Script:
    """MAIL, RCPT, DATA and the end of data that are accepted get 250, 250 (251), 354 and 250."""
    client = yield from hello(at)
    expect((yield from client.command(f"MAIL FROM:<{at.sender}>")), "250", "MAIL")
    expect((yield from client.command(f"RCPT TO:<{at.recipient}>")), "250 251", "RCPT")
    yield from takes_mail(client)


@case("null-sender", MUST, tests=("5321-4.1.2-n1a", "5321-3.3-n1"), needs=("delivery",))
def null_sender(at: Context) -> Script:
    """Mail with the null reverse-path, as notifications have it, is accepted and delivered."""
    client = yield from hello(at)
    expect((yield from client.transaction(sender="")), "250", "the end of data")
    yield from delivered_one(at)


@case("unknown-user", MUST, tests=("5321-3.3-n4",), needs=("unknown",))
def unknown_user(at: Context) -> Script:
    """RCPT for a user known not to exist gets 550, the transaction stands, and a good recipient is taken."""
    client = yield from reach(at, "mail")
    reply = yield from client.command(f"RCPT TO:<{at.target.mail.unknown}>")
    if 200 <= reply.code < 300:
        yield Remark("accepted: it is not looked up before the content", "info")
    else:
        expect(reply, "550 5yz", "RCPT for an unknown user")
    yield from is_open(client)


@case("some-recipients-refused", MUST, tests=("5321-4.4-21", "5321-3.3-n3"), needs=("unknown", "delivery"))
def some_refused(at: Context) -> Script:
    """Where some recipients are refused and others taken, the message is accepted for those."""
    client = yield from hello(at)
    yield from client.mail()
    yield from client.command(f"RCPT TO:<{at.target.mail.unknown}>")
    yield from client.rcpt()
    yield from client.command(f"RCPT TO:<{at.target.mail.unknown}>")
    yield from takes_mail(client)
    yield from delivered_one(at)


@recipients("recipients-add-up", MUST, tests=("5321-4.1.1.3-n1", "5321-3.3-n3"), needs=("two-recipients", "delivery"))
def recipients_add_up(at: Context) -> Script:
    """Each RCPT adds a recipient and changes nothing else: all of them get the message."""
    client = yield from hello(at)
    expect((yield from client.transaction(at.recipient, at.other_recipient)), "250", "the end of data")
    yield from delivered_one(at)
    yield from delivered_one(at, at.other_recipient)


@recipients("recipient-twice", MAY, tests=("5321-4.1.1.3-n1",), needs=("delivery",))
def recipient_twice(at: Context) -> Script:
    """The same recipient twice is taken; whether one copy comes or two is recorded."""
    client = yield from hello(at)
    expect((yield from client.transaction(at.recipient, at.recipient)), "250", "the end of data")
    check((yield from delivered(at)), "nothing was delivered")
    found = yield from delivered(at, "", 2, SETTLE_S)
    yield Remark(f"{len(found)} copies for a recipient that was named twice", "info")


@case("sender-refusal", MAY, tests=("5321-3.3-2",))
def sender_refusal(at: Context) -> Script:
    """What is said to a reverse-path whose domain does not exist is recorded."""
    client = yield from hello(at)
    reply = yield from client.command("MAIL FROM:<someone@no-such-domain.invalid>")
    yield Remark(f"MAIL from a domain that does not exist: {reply}", "info")


@case("sender-refusal-class", MUST, tests=("5321-3.3-1",))
def sender_refusal_class(at: Context) -> Script:
    """A reverse-path that is not accepted is refused with 4yz or 5yz."""
    for path in ("someone@no-such-domain.invalid", "someone@[0.0.0.0]", "someone@localhost"):
        client = yield from hello(at)
        reply = yield from client.command(f"MAIL FROM:<{path}>")
        check(reply.code == 250 or 400 <= reply.code < 600 or reply.is_closed, f"MAIL FROM:<{path}>: {reply}")
        yield from client.close()


# --- what a message looks like is no reason to refuse it


class Message(NamedTuple):
    id: str
    head: bytes
    what: str
    level: str = SHOULD_NOT
    tests: tuple[str, ...] = ("5321-3.3-12", "5321-4.5.3.1.8-2b")


_PLAIN: Final = b"From: <a@b.example>\r\nDate: Tue, 14 Jul 2026 12:00:00 +0000\r\n"
MESSAGES: Final = (
    Message("no-header", b"", "no header section at all"),
    Message("no-from", b"Date: Tue, 14 Jul 2026 12:00:00 +0000\r\n", "no From field"),
    Message("no-date", b"From: <a@b.example>\r\n", "no Date field"),
    Message("no-recipients", _PLAIN, "no recipient field"),
    Message("bad-date", b"From: <a@b.example>\r\nDate: yesterday\r\n", "a Date that is none"),
    Message("bad-from", b"From: nobody at all\r\nDate: Tue, 14 Jul 2026 12:00:00 +0000\r\n", "a From that is no address"),
    Message("two-subjects", _PLAIN + b"Subject: one\r\nSubject: two\r\n", "two Subject fields"),
    Message("two-from", _PLAIN + b"From: <c@d.example>\r\n", "two From fields"),
    Message("two-message-ids", _PLAIN + b"Message-ID: <1@b.example>\r\nMessage-ID: <2@b.example>\r\n", "two Message-ID fields"),
    Message("no-field", _PLAIN + b"this is no field\r\n", "a line that is no field"),
    Message("empty-field", _PLAIN + b"Subject:\r\nTo: \r\n", "empty fields"),
    Message("space-before-colon", _PLAIN + b"Subject : obsolete\r\n", "a space before the colon"),
    Message("mime-boundary", _PLAIN + b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed\r\n", "a multipart without boundary"),
    Message("mime-encoding", _PLAIN + b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: x-nobody-knows\r\n", "an unknown transfer encoding"),
    Message("mime-type", _PLAIN + b"MIME-Version: 1.0\r\nContent-Type: (((\r\n", "a Content-Type that cannot be read"),
    Message("many-recipients", _PLAIN + b"To: " + b",\r\n ".join(b"u%d@b.example" % n for n in range(150)) + b"\r\n", "150 recipients in its header"),
    Message("resent-alone", _PLAIN + b"Resent-To: <x@y.example>\r\n", "a Resent field without the others", MUST_NOT, ("5321-3.3-13",)),
    Message("resent-from-date", _PLAIN + b"Resent-From: <x@y.example>\r\n", "Resent-From without Resent-Date", MUST_NOT, ("5321-3.3-13",)),
    Message(
        "resent-mixed", _PLAIN + b"Resent-From: <x@y.example>\r\nTo: <z@b.example>\r\nResent-Date: x\r\n", "Resent blocks apart", MUST_NOT, ("5321-3.3-13",)
    ),
)


@case.table(MESSAGES, prefix="message-")
def odd_message(at: Context, row: Message) -> Script:
    """A message with {what} is accepted: such faults are for those who read it."""
    client = yield from hello(at)
    token = f"X-Token: {at.token}\r\n".encode() if row.head else b""
    expect((yield from client.transaction(content=row.head + token + b"\r\nbody\r\n")), "250", f"a message with {row.what}")


@case("too-many-header-recipients", SHOULD_NOT, tests=("5321-4.5.3.1.8-2c",))
def header_recipients(at: Context) -> Script:
    """The number of recipients in the header is no reason to refuse a message with one recipient."""
    client = yield from hello(at)
    field = "Cc: " + ",\r\n ".join(f"user{number}@copies.example" for number in range(300))
    expect((yield from client.transaction(content=at.message(field))), "250", "300 recipients in the header")


class Trace(NamedTuple):
    id: str
    field: bytes
    what: str


TRACES: Final = (
    Trace("empty", b"Received:", "an empty Received field"),
    Trace("words", b"Received: some words", "a Received field of words"),
    Trace("no-date", b"Received: from a.example by b.example", "a Received field without a date"),
    Trace("old-date", b"Received: from a by b; Mon, 1 Jan 70 00:00:00 GMT", "a date of 1970 with two digits"),
    Trace("future", b"Received: from a.example by b.example; Fri, 31 Dec 2999 23:59:59 +0000", "a date far ahead"),
    Trace("brackets", b"Received: from [[[ by )))((( ; \t", "brackets that do not close"),
    Trace("folded", b"Received: from a.example\r\n\tby b.example\r\n\t\r\n ;", "odd folds"),
    Trace("long", b"Received: " + b"x" * 900, "a Received field of 900 octets"),
    Trace("return-path", b"Return-Path: <somebody@else.example>", "a Return-Path field"),
    Trace("return-path-bad", b"Return-Path: not a path", "a Return-Path field that is no path"),
    Trace("own-hostname", b"Received: from HOST by HOST; Tue, 14 Jul 2026 12:00:00 +0000", "the name of this very server"),
)


@trace.table(TRACES, MUST_NOT, prefix="odd-trace-", tests=("5321-3.7.2-2a", "5321-3.7.2-2b"))
def odd_trace(at: Context, row: Trace) -> Script:
    """A message with {what} is not refused for that."""
    client = yield from hello(at)
    field = row.field.replace(b"HOST", at.target.hostname.encode())
    expect((yield from client.transaction(content=field + b"\r\n" + at.message())), "250", f"a message with {row.what}")


# --- relaying and policy


@relaying("stranger-may-not-relay", SHOULD, tests=("5321-7.9-1",), needs=("outsider",))
def stranger_may_not_relay(at: Context) -> Script:
    """A stranger's mail for another system is refused; a local recipient is taken from the same stranger."""
    client = yield from hello(at, outside=True)
    yield from client.mail()
    expect((yield from client.command(f"RCPT TO:<{at.target.mail.foreign}>")), "5yz 4yz", "a foreign recipient from a stranger")
    yield from is_open(client)


@relaying("relay-refusal-550", SHOULD, tests=("5321-3.6.2-1", "5321-7.9-2"), needs=("outsider",))
def relay_refusal(at: Context) -> Script:
    """Refusal to relay is permanent: 550, or another code of its class."""
    client = yield from hello(at, outside=True)
    yield from client.mail()
    reply = yield from client.command(f"RCPT TO:<{at.target.mail.foreign}>")
    expect(reply, "550 5yz", "a foreign recipient from a stranger")


@relaying("stranger-null-sender", SHOULD, tests=("5321-7.9-1",), needs=("outsider",))
def stranger_null(at: Context) -> Script:
    """The null reverse-path gives a stranger no right to relay."""
    client = yield from hello(at, outside=True)
    yield from client.mail("")
    expect((yield from client.command(f"RCPT TO:<{at.target.mail.foreign}>")), "5yz 4yz", "a foreign recipient, null sender, from a stranger")


@relaying("stranger-local-sender", SHOULD, tests=("5321-7.9-1",), needs=("outsider",))
def stranger_local(at: Context) -> Script:
    """A local address in MAIL gives a stranger no right to relay: anybody can write it."""
    client = yield from hello(at, outside=True)
    yield from client.command(f"MAIL FROM:<{at.recipient}>")
    expect((yield from client.command(f"RCPT TO:<{at.target.mail.foreign}>")), "5yz 4yz", "a foreign recipient, local sender, from a stranger")


# --- envelope and header


@blind("header-is-not-read", MUST_NOT, tests=("5321-C-7",), needs=("two-recipients", "delivery"))
def header_not_read(at: Context) -> Script:
    """Recipients are those of the envelope: an address that stands in To, Cc and Bcc only gets nothing."""
    client = yield from hello(at)
    other = at.other_recipient
    expect((yield from client.transaction(content=at.message(f"Cc: <{other}>", f"Bcc: <{other}>", f"Resent-To: <{other}>"))), "250", "the end of data")
    yield from delivered_one(at)
    astray = yield from delivered(at, other, 1, SETTLE_S)
    check(not astray, "a recipient of the header got the message")


@blind("envelope-not-in-header", SHOULD_NOT, tests=("5321-7.2-1b", "5321-7.6-n1"), needs=("two-recipients", "delivery"))
def envelope_not_in_header(at: Context) -> Script:
    """With two recipients, the copy of the one does not name the other."""
    client = yield from hello(at)
    expect((yield from client.transaction(at.recipient, at.other_recipient)), "250", "the end of data")
    head, _ = split((yield from delivered_one(at)))
    check(at.other_recipient.encode().lower() not in head.lower(), "the header names the other recipient")


@blind("header-untouched", SHOULD_NOT, tests=("5321-7.2-3",), needs=("delivery",))
def header_untouched(at: Context) -> Script:
    """The header is not changed to fit the envelope: To, Cc and From come out as they went in."""
    client = yield from hello(at)
    head = b"From: Some One <some@one.example>\r\nTo: undisclosed-recipients:;\r\nCc: <copy@one.example>\r\nSubject: as it is\r\n"
    expect((yield from client.transaction(content=head + f"X-Token: {at.token}\r\n\r\nbody\r\n".encode())), "250", "the end of data")
    message = yield from delivered_one(at)
    for name, value in (("From", "Some One <some@one.example>"), ("To", "undisclosed-recipients:;"), ("Cc", "<copy@one.example>"), ("Subject", "as it is")):
        check(values(message, name) == [value], f"{name} is {values(message, name)}")


@blind("no-apparently-to", SHOULD_NOT, tests=("5321-7.2-4",), needs=("delivery",))
def no_apparently_to(at: Context) -> Script:
    """No Apparently-To field is made for a message without recipient fields."""
    client = yield from hello(at)
    content = f"From: <{at.sender}>\r\nX-Token: {at.token}\r\n\r\nbody\r\n".encode()
    expect((yield from client.transaction(content=content)), "250", "the end of data")
    check(not fields((yield from delivered_one(at)), "Apparently-To"), "there is an Apparently-To field")


@case("late-look-at-recipients", SHOULD, tests=("5321-3.3-11",), needs=("unknown",))
def late_look(at: Context) -> Script:
    """A server that takes an unknown user at RCPT does not refuse the content for that: it reports by mail."""
    client = yield from reach(at, "mail")
    reply = yield from client.command(f"RCPT TO:<{at.target.mail.unknown}>")
    if reply.code // 100 == 2:
        yield from client.rcpt()
        need((yield from client.command("DATA")), "354", "DATA")
        yield from client.send(at.message() + b".\r\n")
        expect((yield from client.reply()), "250", "the end of data")
    else:
        yield from is_open(client)


@case("mail-anew", MUST, tests=("5321-3.3-n2", "5321-4.1.1.2-n1", "5321-4.1.4-14b"))
def mail_anew(at: Context) -> Script:
    """MAIL within a transaction is refused and changes nothing, or begins anew without the recipients; RSET helps in both cases."""
    client = yield from reach(at, "rcpt")
    reply = yield from client.command("MAIL FROM:<>")
    if reply.code == 250:
        answer = yield from client.command("DATA")
        if answer.code == 354:
            yield from client.send(b".\r\n")
            answer = yield from client.reply()
        expect(answer, "503 554 5yz", "DATA after a new MAIL without RCPT")
    else:
        expect(reply, "503 5yz", "MAIL within a transaction")
        yield from takes_mail(client)
    expect((yield from client.command("RSET")), "250", "RSET")
    yield from is_idle(client)
