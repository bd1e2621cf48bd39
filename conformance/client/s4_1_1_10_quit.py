"""How the client ends a session (RFC 5321 4.1.1.10, 4.1.4): QUIT, and the reply to it."""

from typing import Final, NamedTuple

from conformance.case import CLIENT, section
from conformance.client.steps import IDLE_S, KEPT, QUIT_S, RETURNED, becomes, bring, brought
from conformance.context import Context
from conformance.outcome import MUST, MUST_NOT, SHOULD, check
from conformance.visit import BREAK, DROP, Answer, accept_any, notification
from conformance.wire import Script, Wait

case = section("rfc5321/4.1.1.10", CLIENT, needs=("dns",))


class Row(NamedTuple):
    """What was answered before; the fate of the message does not matter here."""

    id: str
    replies: dict[str, Answer]
    level: str = ""
    tests: tuple[str, ...] = ()


ENDS: Final = (
    Row("delivery", {}),
    Row("refused-mail", {"MAIL": "550 5.7.1 No"}),
    Row("refused-rcpt", {"RCPT": "550 5.1.1 No"}),
    Row("refused-data", {"DATA": "554 5.7.1 No"}),
    Row("refused-dot", {"DOT": "554 5.6.0 No"}),
    Row("put-off-rcpt", {"RCPT": "450 4.2.1 Later"}),
    Row("greeting-554", {"CONNECT": "554 {host} no mail"}, SHOULD, ("5321-4.1.4-16", "7504-3-n1")),
    Row("greeting-521", {"CONNECT": "521 {host} no mail"}, SHOULD, ("5321-4.1.4-16", "7504-3-n1")),
    Row("greeting-450", {"CONNECT": "450 {host} later"}, SHOULD, ("5321-4.1.4-16",)),
    Row("refused-hello", {"EHLO": "550 5.7.0 No", "HELO": "550 5.7.0 No"}, SHOULD, ("5321-4.1.4-16",)),
)


@case.table(ENDS, MUST_NOT, prefix="quit-after-", tests=("5321-4.1.1.10-3a", "5321-4.1.4-15"))
def quit_last(at: Context, row: Row) -> Script:
    """The client ends a session with QUIT, also after {id}: it does not just close."""
    visit = yield from bring(at, replies=row.replies, idle_s=QUIT_S)
    check(visit.end == "quit", f"the session ended as {visit.end!r} after {visit.lines[-1:]}")


@case("reply-to-quit-is-awaited", SHOULD, tests=("5321-4.1.1.10-3b",))
def reply_awaited(at: Context) -> Script:
    """After QUIT the client waits for the reply before it closes."""
    visit = yield from bring(at, idle_s=QUIT_S, until="QUIT")
    check(visit.end == "until", f"the session ended as {visit.end!r}", MUST)
    visit.end = ""
    yield from visit.pending(1.0)
    yield from visit.say(b"221 2.0.0")
    if visit.end:  # it may have closed its own side only
        yield Wait(0.2)
        yield from visit.say(b" Bye\r\n")
        visit.end = ""
        yield from visit.pending(0.2)
        check(visit.end != "reset", "it closed without waiting for the reply")
    else:
        yield from visit.say(b" Bye\r\n")


@case("nothing-after-quit", MUST_NOT, tests=("5321-4.1.4-15",))
def nothing_after(at: Context) -> Script:
    """QUIT is the last command of a session."""
    visit = yield from bring(at, idle_s=QUIT_S, until="QUIT")
    check(visit.end == "until", f"the session ended as {visit.end!r}", MUST)
    visit.end = ""
    yield from visit.say("221 2.0.0 Bye")
    rest = yield from visit.pending(1.0)
    check(not rest, f"after QUIT came {rest!r}")


class Odd(NamedTuple):
    id: str
    answer: Answer


ANSWERS: Final = (Odd("500", "500 5.5.1 What?"), Odd("421", "421 4.3.2 Going"), Odd("250", "250 Ok"), Odd("closed", DROP), Odd("broken", BREAK))


@case.table(ANSWERS, MUST, prefix="quit-answered-", tests=("5321-4.2-5a",))
def odd_answer(at: Context, row: Odd) -> Script:
    """Whatever becomes of QUIT ({id}), the message that was accepted before it is delivered: it does not come again, and is not returned."""
    visit = yield from bring(at, replies={"QUIT": row.answer}, idle_s=QUIT_S)
    brought(visit)
    check((yield from accept_any(at, timeout_s=IDLE_S)) is None, "the message came again")
    check((yield from notification(at, timeout_s=IDLE_S)) is None, "its sender got a notification")


@case("closed-after-the-final-250", MUST, tests=("5321-4.2-5a",))
def closed_after_dot(at: Context) -> Script:
    """A server that accepts the message and closes without waiting for QUIT has accepted it."""
    visit = yield from bring(at)
    brought(visit)
    yield from visit.drop()
    check((yield from accept_any(at, timeout_s=IDLE_S)) is None, "the message came again")
    check((yield from notification(at, timeout_s=IDLE_S)) is None, "its sender got a notification")


@case("421-within-an-idle-session", MUST, tests=("5321-4.2-5a",))
def idle_421(at: Context) -> Script:
    """A server that says 421 by itself and closes between two messages loses nothing: the next message arrives."""
    visit = yield from bring(at)
    brought(visit)
    if not visit.end or visit.end == "idle":
        yield from visit.say("421 4.4.2 Idle for too long")
        yield from visit.drop()
    second = yield from bring(at, at.remote_at("", "second"))
    brought(second)


class Late(NamedTuple):
    id: str
    reply: str
    fate: str


LATE: Final = (Late("4yz", "451 4.3.0 Later", KEPT), Late("5yz", "554 5.6.0 No", RETURNED))


@case.table(LATE, MUST, prefix="closed-after-the-final-", tests=("5321-4.2-5a",))
def closed_after_refusal(at: Context, row: Late) -> Script:
    """`{reply}` to the end of the content counts, even if the server closes right behind it: the message is {fate}."""
    visit = yield from bring(at, until="DATA")
    yield from visit.say("354 Go ahead")
    yield from visit.content()
    yield from visit.say(row.reply)
    yield from visit.drop()
    yield from becomes(at, visit, row.fate)
