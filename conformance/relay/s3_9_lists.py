"""Aliases and lists (RFC 5321 3.9, 3461 5.2.7).

The target file states addresses that it expands: policy.alias leads to the first recipient, policy.list to both, with policy.list_owner for what fails.
"""

from conformance.case import QUEUE, RELAY, section
from conformance.content import split, values, with_lf
from conformance.context import Context
from conformance.dialogue import delivered, delivered_one, submit
from conformance.outcome import MUST, MUST_NOT, SHOULD, SHOULD_NOT, check
from conformance.queue.reports import maybe_report, structured
from conformance.wire import Script

aliases = section("rfc5321/3.9.1", RELAY, needs=("policy:alias", "delivery"))
lists = section("rfc5321/3.9", RELAY, needs=("policy:list", "two-recipients", "delivery"))
notified = section("rfc3461/5.2.7", QUEUE, needs=("dns", "policy:alias", "policy:list", "extension:DSN", "delivery"))


def reverse_path(message: bytes) -> str:
    """What Return-Path says, without brackets."""
    return (values(message, "Return-Path") or [""])[0].strip("<>")


@aliases("replaces-the-recipient-alone", MUST, tests=("5321-3.9.1-n1",))
def alias(at: Context) -> Script:
    """Mail for an alias is delivered to the mailbox it stands for, with its reverse-path and content as they were."""
    content = at.message()
    yield from submit(at, str(at.target.policy["alias"]), content=content)
    message = yield from delivered_one(at)
    check(reverse_path(message) == at.sender, f"the reverse-path is <{reverse_path(message)}>")
    check(message.rstrip(b"\n").endswith(with_lf(content).rstrip(b"\n")), "the content was changed")


@lists("everybody-gets-a-copy", SHOULD, tests=("5321-3.9-1", "5321-3.9-4"))
def everybody(at: Context) -> Script:
    """Every address of a list gets a copy, that of the sender too."""
    yield from submit(at, str(at.target.policy["list"]), sender=at.recipient)
    for recipient in (at.recipient, at.other_recipient):
        yield from delivered_one(at, recipient)


@lists("reverse-path-of-the-owner", MUST, tests=("5321-3.9-2",))
def owner(at: Context) -> Script:
    """What a list sends on has the reverse-path of its owner."""
    yield from submit(at, str(at.target.policy["list"]))
    message = yield from delivered_one(at)
    check(reverse_path(message) == at.target.policy["list_owner"], f"the reverse-path is <{reverse_path(message)}>")


@lists("header-is-kept", MUST, tests=("5321-3.9-3",))
def header(at: Context) -> Script:
    """What a list sends on keeps its header, From above all."""
    content = at.message("Reply-To: <a@b.example>", "Sender: <c@d.example>")
    yield from submit(at, str(at.target.policy["list"]), content=content)
    message = yield from delivered_one(at)
    check(split(message)[0].endswith(split(content)[0]), f"the header became {split(message)[0]!r}")


@notified("no-report-of-an-alias", SHOULD_NOT, tests=("3461-5.2.7.2-1",))
def alias_silent(at: Context) -> Script:
    """An alias to one address makes no report of its own: with NOTIFY=SUCCESS there is that of the mailbox, and no other."""
    yield from submit(at, str(at.target.policy["alias"]), rcpt_parameters="NOTIFY=SUCCESS")
    yield from delivered(at)
    found = yield from structured(at)
    check(found.actions == {"delivered"}, f"the actions are {sorted(found.actions)}")
    check((yield from maybe_report(at)) is None, "a second report came")


@notified("alias-keeps-the-request", SHOULD, tests=("3461-5.2.7.2-2",))
def alias_request(at: Context) -> Script:
    """NOTIFY and ENVID go with the mail through an alias to one address."""
    yield from submit(at, str(at.target.policy["alias"]), parameters="ENVID=through", rcpt_parameters="NOTIFY=SUCCESS")
    found = yield from structured(at)
    check(found.about.get("original-envelope-id") == "through", f"{found.about}")


@notified("list-is-a-delivery", MUST, tests=("3461-5.2.7.1-1",))
def list_delivered(at: Context) -> Script:
    """With NOTIFY=SUCCESS mail that a list took is reported as delivered."""
    yield from submit(at, str(at.target.policy["list"]), rcpt_parameters="NOTIFY=SUCCESS")
    found = yield from structured(at)
    check(found.actions == {"delivered"}, f"the actions are {sorted(found.actions)}")


@notified("list-is-reported-like-a-mailbox", SHOULD, tests=("3464-3-5",))
def list_like_mailbox(at: Context) -> Script:
    """That report is about the list, not about its subscribers."""
    yield from submit(at, str(at.target.policy["list"]), rcpt_parameters="NOTIFY=SUCCESS")
    found = yield from structured(at)
    check(found.of(str(at.target.policy["list"])), f"it is about {found.recipients}")


@notified("list-is-not-expanded", SHOULD_NOT, tests=("3464-2.3.3-3",))
def list_not_expanded(at: Context) -> Script:
    """The action of that report is not expanded."""
    yield from submit(at, str(at.target.policy["list"]), rcpt_parameters="NOTIFY=SUCCESS")
    found = yield from structured(at)
    check("expanded" not in found.actions, "it is")


@notified("subscribers-are-not-reported", MUST_NOT, tests=("3461-5.2.7.1-4",))
def subscribers(at: Context) -> Script:
    """The request for success does not go to the subscribers: the sender gets no report about one of them."""
    yield from submit(at, str(at.target.policy["list"]), rcpt_parameters="NOTIFY=SUCCESS")
    yield from delivered(at)
    while (found := (yield from maybe_report(at))) is not None:
        for recipient in (at.recipient, at.other_recipient):
            check(not found.of(recipient), f"a report names {recipient}")
