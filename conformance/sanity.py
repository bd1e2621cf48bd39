"""Sanity: the known-good conversations with which a group of cases begins and ends: if one fails, the group says nothing about the target."""

from typing import Final

from conformance.case import CLIENT, NEXTHOP, QUEUE, RELAY, SERVER, Case, section
from conformance.context import Context
from conformance.dialogue import greeted, submit
from conformance.oracle import expect
from conformance.outcome import MUST, check
from conformance.visit import receive_mail
from conformance.wire import Remark, Script

EXTENSION: Final = "extension "  # a remark that begins so tells what EHLO offered

_server = section("sanity", SERVER)
_remote = section("sanity", CLIENT, NEXTHOP, RELAY, QUEUE, needs=("dns",))


@_server("server", MUST)
def server(at: Context) -> Script:
    """A message to a valid recipient is accepted, step by step."""
    client = yield from greeted(at)
    expect((yield from client.command("EHLO client.example")), "250", "EHLO")
    expect((yield from client.command(f"MAIL FROM:<{at.sender}>")), "250", "MAIL")
    expect((yield from client.command(f"RCPT TO:<{at.recipient}>")), "250 251", "RCPT")
    expect((yield from client.command("DATA")), "354", "DATA")
    yield from client.send(at.message() + b".\r\n")
    expect((yield from client.reply()), "250", "the end of data")
    expect((yield from client.quit()), "221", "QUIT")


@_remote("remote", MUST)
def remote(at: Context) -> Script:
    """A message to a remote recipient is accepted, and brought to the MX host of its domain."""
    yield from submit(at)
    mail = yield from receive_mail(at)
    check(at.token.encode() in mail.content, "the message that came is not the one that was sent")


@_server("extensions", MUST)
def extensions(at: Context) -> Script:
    """What EHLO offers."""
    client = yield from greeted(at)
    yield from client.hello()
    for keyword, parameters in client.extensions.items():
        yield Remark(f"{EXTENSION}{keyword} {parameters}")
    yield from client.close()


def sanity_of(role: str) -> Case:
    """The conversation for the groups of a role."""
    return server if role == SERVER else remote
