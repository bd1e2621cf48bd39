"""Responsibility and retries (RFC 5321 4.2.5, 4.5.4.1)."""

from conformance.case import QUEUE, section
from conformance.context import Context
from conformance.dialogue import delivered_one, submit
from conformance.outcome import MUST, SHOULD, check
from conformance.visit import accept_any, listen, notification, receive, unlisten
from conformance.wire import Control, Now, Script, Wait

HALF_HOUR_S = 1_800.0
DAY_S = 86_400.0

case = section("rfc5321/4.5.4.1", QUEUE, needs=("dns",))


@case("deferred-is-tried-again", MUST, tests=("5321-4.5.4.1-1",), needs=("control:flush",), alone=True)
def tried_again(at: Context) -> Script:
    """A message that got 451 is kept, and delivered later."""
    yield from submit(at)
    yield from receive(at, replies={"RCPT": "451 4.3.0 Later"})
    yield Wait(0.3)
    yield Control("flush")
    visit = yield from accept_any(at, timeout_s=at.target.limits.delivery_s / 4)
    if visit is None:  # the first attempt was perhaps not over for the target
        yield Control("flush")
        visit = yield from accept_any(at)
    check(visit is not None, "it did not come again")
    assert visit is not None
    yield from visit.serve(idle_s=0.3)
    check(visit.mails and at.token.encode() in visit.mails[0].content, "another message came")


@case("no-retry-at-once", MUST, tests=("5321-4.5.4.1-2",), alone=True)
def no_retry_at_once(at: Context) -> Script:
    """A client waits before it tries a destination again that put it off."""
    yield from submit(at)
    yield from receive(at, replies={"MAIL": "451 4.3.0 Later"})
    check((yield from accept_any(at, timeout_s=3.0)) is None, "it came back within 3 seconds")


@case("waits-thirty-minutes", SHOULD, tests=("5321-4.5.4.1-3",), slow=True, alone=True)
def waits_thirty_minutes(at: Context) -> Script:
    """Between two attempts there are at least 30 minutes."""
    yield from submit(at)
    yield from receive(at, replies={"MAIL": "451 4.3.0 Later"})
    first: float = yield Now()
    visit = yield from accept_any(at, timeout_s=DAY_S)
    check(visit is not None, "it did not come again within a day", MUST)
    second: float = yield Now()
    check(second - first >= 0.99 * HALF_HOUR_S, f"it came again after {(second - first) / 60:.1f} minutes")


@case("gives-up-after-days", SHOULD, tests=("5321-4.5.4.1-n1", "5321-6.1-2"), slow=True, alone=True)
def gives_up_after_days(at: Context) -> Script:
    """Mail for a host that never answers is tried for four to five days at least; then its sender is told."""
    yield from unlisten("mx")
    yield from submit(at)
    began: float = yield Now()
    while True:
        mail = yield from notification(at, timeout_s=10 * DAY_S)
        check(mail is not None, "after ten days nothing came back", MUST)
        assert mail is not None
        if b"action: failed" in mail.content.lower() or b"action: delayed" not in mail.content.lower():
            break
    ended: float = yield Now()
    check(ended - began >= 4 * DAY_S, f"it was given up after {(ended - began) / DAY_S:.1f} days")


responsibility = section("rfc5321/6.1", QUEUE, needs=("dns",))


@responsibility("accepted-survives-kill", MUST, tests=("5321-6.1-1",), needs=("control:kill", "control:start", "control:flush"), alone=True)
def survives_kill(at: Context) -> Script:
    """A message that was accepted with 250 survives when all processes are killed."""
    yield from unlisten("mx")
    yield from submit(at)
    yield Control("kill")
    yield from listen("mx")
    yield Control("start")
    yield Control("flush")
    visit = yield from accept_any(at, timeout_s=30.0)
    check(visit is not None, "the message is lost")
    assert visit is not None
    yield from visit.serve()
    check(visit.mails and at.token.encode() in visit.mails[0].content, "the message is lost")


local = section("rfc5321/6.1", QUEUE, needs=("dns", "delivery"))


@local("accepted-is-delivered", MUST, tests=("5321-6.1-1",))
def accepted_is_delivered(at: Context) -> Script:
    """What was accepted for a local recipient is delivered."""
    yield from submit(at, at.recipient)
    yield from delivered_one(at)
