"""What the client makes of the reply after the end of data (RFC 5321 4.2.5)."""

from conformance.case import CLIENT, section
from conformance.context import Context
from conformance.dialogue import submit
from conformance.outcome import MUST, check
from conformance.visit import accept_any, notification, receive
from conformance.wire import Script

case = section("rfc5321/4.2.5", CLIENT, needs=("dns",))


@case(
    "permanent-failure-is-returned",
    MUST,
    tests=(
        "5321-4.2.5-4",
        "5321-6.1-2",
        "5321-6.1-3",
        "5321-6.1-4",
    ),
)
def permanent_failure(at: Context) -> Script:
    """A message that is refused with 554 after the final dot is not tried again, and its sender is told."""
    yield from submit(at)
    yield from receive(at, replies={"DOT": "554 5.6.0 No"})
    mail = yield from notification(at)
    check(mail is not None, "no notification came back to the sender")
    assert mail is not None
    check(mail.sender == "", f"the notification has the reverse-path <{mail.sender}>")
    check((yield from accept_any(at, timeout_s=1.0)) is None, "it came again after 554")


@case("accepted-is-not-sent-again", MUST)
def accepted_once(at: Context) -> Script:
    """A message that was accepted with 250 is not sent again."""
    yield from submit(at)
    visit = yield from receive(at)
    check(len(visit.mails) == 1, f"it brought the message {len(visit.mails)} times")
    check((yield from accept_any(at, timeout_s=1.0)) is None, "it came again after 250")
