"""How the queue goes about it (RFC 5321 4.5.4.1, 4.4, 7505): who is tried again, when, and who is told what."""

from typing import Final

from conformance.case import QUEUE, section
from conformance.client.steps import IDLE_S, bring_to, mails_of
from conformance.context import Context
from conformance.dialogue import attempt, submit
from conformance.outcome import MUST, MUST_NOT, SHOULD, check, inconclusive
from conformance.queue.reports import REFUSAL, maybe_report, refused, report, structured
from conformance.visit import accept_any, listen, receive, receive_mail, unlisten, zone
from conformance.wire import Control, Now, Remark, Script, Wait

case = section("rfc5321/4.5.4.1", QUEUE, needs=("dns",))
telling = section("rfc5321/4.4", QUEUE, needs=("dns",))
keeping = section("rfc5321/6.1", QUEUE, needs=("dns",))
routes = section("rfc5321/C", QUEUE, needs=("dns",))
never = section("rfc7505/4.1", QUEUE, needs=("dns",))

HOUR_S: Final = 3_600.0
DAY_S: Final = 86_400.0
LATER: Final = "451 4.3.0 Later"


@case("only-who-was-put-off", MUST, tests=("5321-4.5.4.1-1", "5321-2.1-2"), needs=("control:flush",), alone=True)
def only_put_off(at: Context) -> Script:
    """Of two recipients the one that got 250 is not tried again, and the one that got 451 is."""
    visits = yield from bring_to(at, ("good", "late"), {"late": LATER})
    check(mails_of(visits), "the good recipient did not get the message")
    for visit in visits:
        yield from visit.drop()  # so that the next attempt is a connection of its own
    yield Wait(0.3)
    yield Control("flush")
    mail = yield from receive_mail(at)
    check(mail.recipients == [at.remote_at("", "late")], f"the second attempt was for {mail.recipients}")


@case("refusal-of-mail-is-not-remembered", MUST_NOT, tests=("5321-4.5.4.1-8",), alone=True)
def not_cached(at: Context) -> Script:
    """After 5yz to MAIL the next message to that host is tried all the same."""
    yield from submit(at)
    visit = yield from receive(at, replies={"MAIL": "550 5.7.1 Not you"}, idle_s=IDLE_S)
    yield from visit.drop()
    yield from report(at)
    yield from submit(at)
    mail = yield from receive_mail(at)
    check(at.token.encode() in mail.content, "another message came")


@case("dead-host-is-remembered", SHOULD, tests=("5321-4.5.4.1-6",), alone=True)
def dead_host(at: Context) -> Script:
    """A host that refused connections is not tried anew for the next message a moment later."""
    yield from unlisten("mx")
    yield from submit(at)
    yield Wait(1.0)
    yield from listen("mx")
    yield from submit(at)
    check((yield from accept_any(at, timeout_s=2.0)) is None, "the second message was tried at once")


@case("one-copy-for-a-destination", SHOULD, tests=("5321-4.5.4.1-9",))
def one_copy(at: Context) -> Script:
    """Three recipients at one destination share a copy."""
    visits = yield from bring_to(at, ("a", "b", "c"), {})
    check(len(mails_of(visits)) == 1, f"the content was sent {len(mails_of(visits))} times")


@case("waits-on-every-step", MUST, tests=("5321-4.5.4-1",), slow=True, alone=True)
def every_step(at: Context) -> Script:
    """A host that takes the connection and never says a word does not hold the queue: the session ends, and the message is tried again."""
    yield from submit(at)
    visit = yield from accept_any(at)
    if visit is None:
        inconclusive("the target did not connect")
    yield from visit.line(HOUR_S)
    check(visit.end != "timeout", "after an hour it still waits for the greeting")
    check((yield from accept_any(at, timeout_s=DAY_S)) is not None, "it did not come again within a day")


@case("other-mail-is-not-held-up", MUST, tests=("5321-4.5.4-1",), alone=True)
def not_held_up(at: Context) -> Script:
    """While one host never greets, mail for another one is delivered."""
    yield from zone(at, {"a": {"MX": ["10 a"], "A": ["{a}"]}, "b": {"MX": ["10 b"], "A": ["{b}"]}, "back": {"MX": ["10 back"], "A": ["{back}"]}})
    yield from listen("a", "b")
    yield from submit(at, at.remote_at("a"))
    held = yield from accept_any(at, "a")
    yield from submit(at, at.remote_at("b"))
    mail = yield from receive_mail(at, "b")
    check(at.token.encode() in mail.content, "another message came")
    if held is not None:
        yield from held.drop()


@case("waits-grow-or-stay", SHOULD, tests=("5321-4.5.4.1-2",), slow=True, alone=True)
def waits(at: Context) -> Script:
    """Over half a day there are several attempts, and none follows another within a minute."""
    yield from submit(at)
    began: float = yield Now()
    last, gaps = began, []
    while last - began < DAY_S / 2:
        visit = yield from accept_any(at, timeout_s=DAY_S)
        check(visit is not None, "it was not tried again within a day", MUST)
        assert visit is not None
        yield from visit.serve(replies={"MAIL": LATER}, idle_s=IDLE_S)
        yield from visit.drop()
        now: float = yield Now()
        gaps.append(now - last)
        last = now
    yield Remark(f"minutes between the attempts: {[round(gap / 60) for gap in gaps[1:]]}")
    check(min(gaps[1:]) >= 60.0, f"it came again after {min(gaps[1:]):.0f} s")


@case("retry-time-survives-a-restart", SHOULD, tests=("5321-4.5.4.1-2",), needs=("control:restart",), alone=True)
def restart_keeps_times(at: Context) -> Script:
    """A message that was put off a moment ago is not tried at once because the target was started anew."""
    yield from submit(at)
    yield from receive(at, replies={"MAIL": LATER}, idle_s=IDLE_S)
    yield Wait(0.5)
    yield Control("restart")
    check((yield from accept_any(at, timeout_s=2.0)) is None, "it was tried at once after the restart")


@telling("each-failed-recipient-is-named", MUST, tests=("5321-4.4-22", "5321-4.4-23", "5321-3.6.3-1", "5321-4.1.1.4-8"))
def each_named(at: Context) -> Script:
    """Of three recipients two fail: both are reported, and the third is not."""
    yield from bring_to(at, ("good", "bad", "worse"), {"bad": REFUSAL, "worse": REFUSAL})
    found = yield from structured(at)
    told = list(found.recipients)
    while len(told) < 2 and (more := (yield from maybe_report(at))) is not None:
        told += more.recipients
    names = {recipient.get("final-recipient", "").partition(";")[2].strip() for recipient in told if recipient.get("action", "").lower() == "failed"}
    check(names == {at.remote_at("", "bad"), at.remote_at("", "worse")}, f"the reports name {sorted(names)}")


@telling("one-report-names-all", SHOULD, tests=("5321-4.4-24",))
def one_report(at: Context) -> Script:
    """Two recipients that fail in one session are named by one report."""
    yield from bring_to(at, ("bad", "worse"), {"bad": REFUSAL, "worse": REFUSAL})
    found = yield from structured(at)
    check(len(found.recipients) == 2, f"the report is about {len(found.recipients)} recipients")


@telling("report-is-a-dsn", SHOULD, tests=("5321-3.6.3-2",))
def is_dsn(at: Context) -> Script:
    """The report has the format of delivery status notifications."""
    yield from bring_to(at, ("bad",), {"bad": REFUSAL})
    found = yield from report(at)
    check(found.is_report and found.status_part is not None, f"its type is {found.head.get_content_type()}")


@telling("no-report-about-a-report", MUST_NOT, tests=("5321-3.6.3-3", "5321-4.5.4-2"))
def report_refused(at: Context) -> Script:
    """A report that is refused in its turn makes no other one."""
    yield from bring_to(at, ("bad",), {"bad": REFUSAL})
    yield from receive(at, "back", replies={"RCPT": REFUSAL}, idle_s=IDLE_S)
    check((yield from maybe_report(at)) is None, "a second report came")


@telling("several-recipients-in-a-report", "MAY", tests=("3464-2-6",))
def several(at: Context) -> Script:
    """A report may be about several recipients: a fact."""
    yield from bring_to(at, ("bad", "worse"), {"bad": REFUSAL, "worse": REFUSAL})
    found = yield from structured(at)
    yield Remark(f"{len(found.recipients)} recipients in a report", "info")


@never("null-mx-is-not-queued", MUST, tests=("7505-4.1-n1",))
def null_mx(at: Context) -> Script:
    """Mail for a domain with a null MX fails at once: at RCPT, or with a report."""
    yield from zone(at, {"@": {"MX": ["0 ."]}, "back": {"MX": ["10 back"], "A": ["{back}"]}})
    reply = yield from attempt(at)
    if reply.code >= 500:
        return
    if reply.code >= 400:
        inconclusive(str(reply))
    found = yield from report(at)
    check(at.remote.encode() in found.mail.content, "the report does not name the recipient")


@keeping("accepted-survives-restart", MUST, tests=("5321-6.1-1", "5321-2.1-2"), needs=("control:restart", "control:flush"), alone=True)
def survives_restart(at: Context) -> Script:
    """A message that was accepted is still there after a restart in good order."""
    yield from unlisten("mx")
    yield from submit(at)
    yield Control("restart")
    yield from listen("mx")
    yield Control("flush")
    mail = yield from receive_mail(at, wait_s=30.0)
    check(at.token.encode() in mail.content, "another message came")


@keeping("kill-amid-a-delivery", MUST, tests=("5321-6.1-1",), needs=("control:kill", "control:start", "control:flush"), alone=True)
def kill_amid(at: Context) -> Script:
    """A message whose delivery had come as far as DATA when all processes were killed is delivered afterwards."""
    yield from submit(at)
    yield from receive(at, until="DATA")
    yield Control("kill")
    yield Control("start")
    yield Control("flush")
    mail = yield from receive_mail(at, wait_s=30.0)
    check(at.token.encode() in mail.content, "another message came")


@keeping("report-survives-kill", MUST, tests=("5321-6.1-1", "5321-6.1-2"), needs=("control:kill", "control:start", "control:flush"), alone=True)
def report_survives(at: Context) -> Script:
    """A failure that could not be reported yet is reported after all processes were killed."""
    yield from unlisten("back")
    yield from bring_to(at, ("bad",), {"bad": REFUSAL})
    yield Wait(1.0)
    yield Control("kill")
    yield from listen("back")
    yield Control("start")
    yield Control("flush")
    yield from report(at, 30.0)


@routes("report-for-a-routed-sender", SHOULD, tests=("5321-C-9",))
def routed_sender(at: Context) -> Script:
    """A report for a reverse-path with a route goes to the domain of the mailbox."""
    found = yield from refused(at, sender=f"@a.example,@b.example:{at.sender}")
    check(found.mail.recipients == [at.sender], f"it went to {found.mail.recipients}")


@keeping("route-is-cut-from-the-reverse-path", MUST, tests=("5321-6.1-6",))
def cut_route(at: Context) -> Script:
    """A report for a reverse-path with a route goes to the mailbox alone."""
    found = yield from refused(at, sender=f"@a.example:{at.sender}")
    check(found.mail.recipients == [at.sender], f"it went to {found.mail.recipients}")
