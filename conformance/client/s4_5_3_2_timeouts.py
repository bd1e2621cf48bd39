"""How long the client waits (RFC 5321 4.5.3.2): long enough for a slow server, and not for ever."""

from typing import Final, NamedTuple

from conformance.case import CLIENT, section
from conformance.client.steps import arrives
from conformance.context import Context
from conformance.outcome import MUST, SHOULD, check
from conformance.visit import After
from conformance.wire import Script, Wait

MINUTE_S: Final = 60.0
FOR_EVER_S: Final = 3 * 3600.0  # what is not given up after so long is waited for without end

case = section("rfc5321/4.5.3.2", CLIENT, needs=("dns",))


class Row(NamedTuple):
    """The server takes `minutes` for `stage`; `answer` is what it says then."""

    id: str
    stage: str
    minutes: float
    answer: str


STAGES: Final = (
    Row("greeting", "CONNECT", 5.0, "220 {host}"),
    Row("mail", "MAIL", 5.0, "250 2.1.0 Ok"),
    Row("rcpt", "RCPT", 5.0, "250 2.1.5 Ok"),
    Row("data", "DATA", 2.0, "354 Go"),
    Row("dot", "DOT", 10.0, "250 2.0.0 Ok"),
)


@case.table(STAGES, SHOULD, prefix="waits-for-", tests=("5321-4.5.3.2-4",), slow=True)
def waits(at: Context, row: Row) -> Script:
    """A server that takes a little less than {minutes} minutes for {stage} is waited for, and gets the message."""
    visit = yield from arrives(at)
    yield from visit.serve(replies={row.stage: After(row.minutes * MINUTE_S - 5.0, row.answer)}, idle_s=1.0, timeout_s=MINUTE_S)
    check(visit.end not in ("closed", "reset") and any(mail.is_complete for mail in visit.mails), f"it gave up; it had said {visit.verbs}")


@case("time-runs-for-each-command", MUST, tests=("5321-4.5.3.2-2",), slow=True)
def for_each_command(at: Context) -> Script:
    """The time runs for each command, not for the transaction: a server that takes two thirds of the time for every answer gets the message."""
    visit = yield from arrives(at)
    slow = {row.stage: After(row.minutes * MINUTE_S * 2 / 3, row.answer) for row in STAGES}
    yield from visit.serve(replies=slow, idle_s=1.0, timeout_s=MINUTE_S)
    check(any(mail.is_complete for mail in visit.mails), f"it gave up; it had said {visit.verbs}")


@case("reply-in-parts", SHOULD, tests=("5321-4.5.3.2-4",), slow=True)
def reply_in_parts(at: Context) -> Script:
    """A greeting of several lines that takes two minutes is waited for."""
    visit = yield from arrives(at)
    for number in range(4):
        yield from visit.say(f"220-line {number}\r\n".encode())
        yield Wait(30.0)
    yield from visit.say("220 ready")
    yield from visit.serve(greet=False, idle_s=1.0, timeout_s=MINUTE_S)
    check(any(mail.is_complete for mail in visit.mails), "it gave up within the greeting")


@case.table(STAGES, MUST, prefix="gives-up-at-", tests=("5321-4.5.3.2-1",), slow=True)
def gives_up(at: Context, row: Row) -> Script:
    """A server that says nothing for {stage} is given up after a time."""
    visit = yield from arrives(at)
    if row.stage == "DOT":
        yield from visit.serve(until="DATA", timeout_s=MINUTE_S)
        yield from visit.say("354 Go")
        yield from visit.content()
    elif row.stage != "CONNECT":
        yield from visit.serve(until=row.stage, timeout_s=MINUTE_S)
    visit.end = ""
    line = yield from visit.line(FOR_EVER_S)
    check(line or visit.end in ("closed", "reset"), f"after {FOR_EVER_S / 3600:g} hours it still waits")


@case("gives-up-a-server-that-does-not-read", MUST, tests=("5321-4.5.3.2-1", "5321-4.5.3.2-4"), slow=True)
def does_not_read(at: Context) -> Script:
    """A server that takes nothing of the content is given up after a time."""
    visit = yield from arrives(at, content=at.message(body=b"0123456789\r\n" * 400_000))
    yield from visit.serve(until="DATA", timeout_s=MINUTE_S)
    yield from visit.say("354 Go")
    yield Wait(FOR_EVER_S)
    visit.end = ""
    yield from visit.content(timeout_s=10.0)
    if not visit.end:  # all of it fitted into what lies between
        yield from visit.line(10.0)
    check(visit.end in ("closed", "reset"), "after hours it still waits to send")
