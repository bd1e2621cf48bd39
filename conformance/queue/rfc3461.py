"""Who gets a notification, and when (RFC 3461 5.2): NOTIFY against what became of the recipient."""

from typing import Final, NamedTuple

from conformance.case import QUEUE, section
from conformance.client.steps import IDLE_S, bring
from conformance.context import Context
from conformance.dialogue import admitted, attempt, delivered_one, submit
from conformance.oracle import need
from conformance.outcome import MAY, MUST, MUST_NOT, SHOULD, SHOULD_NOT, check, skip
from conformance.queue.reports import REFUSAL, Report, maybe_report, report, structured
from conformance.visit import accept_any, receive, unlisten, zone
from conformance.wire import Remark, Script, Step

relayed = section("rfc3461/5.2.2", QUEUE, needs=("dns", "extension:DSN"))
local = section("rfc3461/5.2.3", QUEUE, needs=("dns", "extension:DSN", "delivery"))
delays = section("rfc3461/5.2.5", QUEUE, needs=("dns", "extension:DSN"))
failures = section("rfc3461/5.2.6", QUEUE, needs=("dns", "extension:DSN"))
names = section("rfc3461/5.2.8", QUEUE, needs=("dns", "extension:DSN"))
nobody = section("rfc3461/5.2", QUEUE, needs=("dns",))

DAY_S: Final = 86_400.0


class Row(NamedTuple):
    """What was asked; the action of the report, or "" for none."""

    id: str
    notify: str
    action: str
    level: str
    tests: tuple[str, ...]


def judged(at: Context, action: str) -> Step[None]:
    """The report has this action, or does not come."""
    if action:
        found = yield from structured(at)
        check(found.actions == {action}, f"the actions are {sorted(found.actions)}, not {action}")
        return
    none: Report | None = yield from maybe_report(at)
    check(none is None, f"a report came: {none.recipients if none else ()}")


def parameter(notify: str) -> str:
    return f"NOTIFY={notify}" if notify else ""


RELAYED: Final = (
    Row("success", "SUCCESS", "relayed", MUST, ("3461-5.2.2-2",)),
    Row("success-and-failure", "SUCCESS,FAILURE", "relayed", MUST, ("3461-5.2.2-2",)),
    Row("never", "NEVER", "", MUST_NOT, ("3461-5.2.2-4",)),
    Row("nothing", "", "", MUST_NOT, ("3461-5.2.2-7",)),
)


@relayed.table(RELAYED, prefix="relayed-to-a-host-without-dsn-")
def relayed_without(at: Context, row: Row) -> Script:
    """Mail with NOTIFY {notify} that a host without DSN accepted makes this report: "{action}"."""
    yield from bring(at, rcpt_parameters=parameter(row.notify))
    yield from judged(at, row.action)


@relayed("success-passed-on", MUST_NOT, tests=("3461-5.2.2-7",))
def passed_on(at: Context) -> Script:
    """A host with DSN that got the request for success reports itself: no other report is made."""
    yield from bring(at, rcpt_parameters="NOTIFY=SUCCESS", offers=("DSN",))
    yield from judged(at, "")


REFUSED: Final = (
    Row("failure", "FAILURE", "failed", MUST, ("3461-5.2.2-3", "3461-5.2.6-1")),
    Row("nothing", "", "failed", MUST, ("3461-5.2.2-8", "3461-5.2.6-4")),
    Row("success", "SUCCESS", "", MUST_NOT, ("3461-5.2.6-2",)),
    Row("delay", "DELAY", "", MUST_NOT, ("3461-5.2.6-2",)),
    Row("never", "NEVER", "", MUST_NOT, ("3461-5.2.2-4", "3461-5.2.6-2")),
)


@relayed.table(REFUSED, prefix="refused-by-a-host-without-dsn-")
def refused_without(at: Context, row: Row) -> Script:
    """Mail with NOTIFY {notify} whose RCPT got 550 makes this report: "{action}"."""
    yield from bring(at, rcpt_parameters=parameter(row.notify), replies={"RCPT": REFUSAL})
    yield from judged(at, row.action)


@failures.table(REFUSED, prefix="refused-after-the-data-")
def refused_data(at: Context, row: Row) -> Script:
    """Mail with NOTIFY {notify} that got 554 after the final dot of a host with DSN makes this report: "{action}"."""
    yield from bring(at, rcpt_parameters=parameter(row.notify), offers=("DSN",), replies={"DOT": "554 5.6.0 No"})
    yield from judged(at, row.action)


DELIVERED: Final = (
    Row("success", "SUCCESS", "delivered", MUST, ("3461-5.2.3-1",)),
    Row("failure", "FAILURE", "", MUST_NOT, ("3461-5.2.3-2",)),
    Row("never", "NEVER", "", MUST_NOT, ("3461-5.2.3-2",)),
    Row("nothing", "", "", MUST_NOT, ("3461-5.2.3-3",)),
)


@local.table(DELIVERED, prefix="delivered-here-")
def delivered_here(at: Context, row: Row) -> Script:
    """Mail with NOTIFY {notify} for a local mailbox makes this report: "{action}"."""
    yield from submit(at, at.recipient, rcpt_parameters=parameter(row.notify))
    yield from delivered_one(at)
    yield from judged(at, row.action)


@local("success-returns-the-header", SHOULD, tests=("3461-6.2-3",))
def header_only(at: Context) -> Script:
    """A report of success has no more than the header, even with RET=FULL."""
    yield from submit(at, at.recipient, parameters="RET=FULL", rcpt_parameters="NOTIFY=SUCCESS")
    found = yield from structured(at)
    check(b"A line of text." not in found.mail.content, "the body was returned")


@failures("no-other-host", MUST_NOT, tests=("3464-2.3.5-1",))
def no_other_host(at: Context) -> Script:
    """Where the domain does not exist, so that no other host took part, there is no Remote-MTA."""
    yield from zone(at, {"gone": "!NXDOMAIN", "back": {"MX": ["10 back"], "A": ["{back}"]}})
    reply = yield from attempt(at, at.remote_at("gone"))
    if reply.code >= 400:
        skip(f"refused at once: {reply}")
    found = yield from structured(at)
    check(all("remote-mta" not in recipient for recipient in found.recipients), f"{found.recipients}")


@names("only-those-who-asked", SHOULD_NOT, tests=("3461-5.2.8-1",))
def only_those(at: Context) -> Script:
    """Of two failed recipients the one with NOTIFY=NEVER is not in the report."""
    client = yield from admitted(at)
    yield from client.mail()
    yield from client.rcpt(at.remote_at("", "loud"), parameters="NOTIFY=FAILURE")
    yield from client.rcpt(at.remote_at("", "quiet"), parameters="NOTIFY=NEVER")
    need((yield from client.data()), "250", "the end of data")
    yield from receive(at, replies={"RCPT": REFUSAL}, idle_s=IDLE_S)
    found = yield from structured(at)
    check(found.of(at.remote_at("", "loud")), f"the recipient that asked is missing: {found.recipients}", MUST)
    check(not found.of(at.remote_at("", "quiet")), f"the report names both: {found.recipients}")


@nobody("not-to-an-address-of-the-header", MUST_NOT, tests=("3461-5.2-1", "5321-3.6.3-3", "5321-4.5.4-2", "5321-6.1-5"))
def null_sender(at: Context) -> Script:
    """A failed message with the null reverse-path makes no report, whatever addresses its header has."""
    extra = (f"Return-Path: <{at.sender}>", f"Errors-To: <{at.sender}>", f"Reply-To: <{at.sender}>", f"Sender: <{at.sender}>")
    yield from bring(at, sender="", content=at.message(*extra), replies={"RCPT": REFUSAL})
    yield from judged(at, "")


@delays("warned-unless-asked-not-to", MAY, tests=("3461-5.2.5-1", "3461-5.2.5-3"), slow=True)
def warned(at: Context) -> Script:
    """Without NOTIFY a report of delay may come: a fact."""
    yield from unlisten("mx")
    yield from submit(at)
    found = yield from maybe_report(at, 2 * DAY_S)
    yield Remark(f"within two days: {sorted(found.actions) if found else 'nothing'}", "info")


@delays("warned-on-request", MAY, tests=("3461-5.2.5-2",), slow=True)
def warned_on_request(at: Context) -> Script:
    """With NOTIFY=DELAY a report of delay may come: a fact; if it does, its action is delayed, and its Will-Retry-Until has a zone."""
    yield from unlisten("mx")
    yield from submit(at, rcpt_parameters="NOTIFY=DELAY")
    found = yield from maybe_report(at, 2 * DAY_S)
    yield Remark(f"within two days: {sorted(found.actions) if found else 'nothing'}", "info")


@delays("will-retry-until", MUST, tests=("3464-2.3.9-2",), slow=True)
def will_retry(at: Context) -> Script:
    """Will-Retry-Until of a report of delay, if it is there, has a numeric zone."""
    yield from unlisten("mx")
    yield from submit(at, rcpt_parameters="NOTIFY=DELAY")
    found = yield from maybe_report(at, 2 * DAY_S)
    for recipient in found.recipients if found else ():
        until = recipient.get("will-retry-until", "+0000")
        check(until.partition("(")[0].strip()[-5:-4] in ("+", "-"), f"it says {until!r}")


QUIET: Final = ("FAILURE", "SUCCESS", "NEVER")


class Quiet(NamedTuple):
    id: str
    notify: str


@delays.table(tuple(Quiet(word.lower(), word) for word in QUIET), MUST_NOT, prefix="no-warning-with-", tests=("3461-5.2.5-4",), slow=True)
def not_warned(at: Context, row: Quiet) -> Script:
    """With NOTIFY={notify} there is no report of delay."""
    yield from unlisten("mx")
    yield from submit(at, rcpt_parameters=f"NOTIFY={row.notify}")
    found = yield from maybe_report(at, 2 * DAY_S)
    check(found is None or "delayed" not in found.actions, "a report of delay came")


@relayed("never-on-a-way-of-its-own", MAY, tests=("3461-5.2.2-6",))
def own_way(at: Context) -> Script:
    """Recipients with NOTIFY=NEVER may go to a host without DSN with the null reverse-path: a fact."""
    visit = yield from bring(at, rcpt_parameters="NOTIFY=NEVER")
    yield Remark(f"it said {visit.of('MAIL')}", "info")


@relayed("reported-once", SHOULD, tests=("3464-3-2",))
def one_report(at: Context) -> Script:
    """A failed recipient is reported once."""
    yield from bring(at, rcpt_parameters="NOTIFY=FAILURE", replies={"RCPT": REFUSAL})
    yield from report(at)
    check((yield from maybe_report(at)) is None, "a second report came")
    check((yield from accept_any(at, timeout_s=IDLE_S)) is None, "it was tried again after it was reported")
