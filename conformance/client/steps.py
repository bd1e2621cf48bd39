"""Steps that many cases about clients share: hand in a message, take it as a scripted server, and see what becomes of it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from conformance.context import SENDER_LABEL, Context
from conformance.dialogue import submit
from conformance.outcome import Inconclusive, check
from conformance.visit import Answer, Mail, Visit, accept, accept_any, notification, receive
from conformance.wire import Control, Step, Wait

IDLE_S: Final = 0.3  # after a transaction or a refusal, nothing more is expected of a client that keeps its session
SOON_S: Final = 0.7  # a notification that should not come is waited for so long
AGAIN_S: Final = 0.2  # a second attempt that should not come is waited for so long
QUIT_S: Final = 60.0  # clients keep sessions open for a while before they say QUIT

DELIVERED: Final = "delivered"  # this server took it, and it does not come again
KEPT: Final = "kept"  # not accepted anywhere, and nobody is told yet
RETURNED: Final = "returned"  # the sender is told, and it does not come again
LEFT: Final = "not accepted"  # kept or returned

WIDE: Final = ("SIZE 10000000", "8BITMIME", "SMTPUTF8")  # what the sender's host offers, so that every notification can come

_ENHANCED: Final = re.compile(rb"^status:\s*([245])\.\d+\.\d+", re.IGNORECASE | re.MULTILINE)


def bring(
    at: Context,
    *recipients: str,
    content: bytes | None = None,
    parameters: str = "",
    rcpt_parameters: str = "",
    sender: str | None = None,
    **manners: Any,
) -> Step[Visit]:
    """Hand in a message for `mx`, and serve the target there with these manners (those of `Visit.serve`)."""
    yield from submit(at, *recipients, content=content, parameters=parameters, rcpt_parameters=rcpt_parameters, sender=sender)
    return (yield from receive(at, **{"idle_s": IDLE_S, **manners}))


def bring_mail(at: Context, *recipients: str, **more: Any) -> Step[Mail]:
    """The same; gives the message that the target brought, which it has to."""
    visit = yield from bring(at, *recipients, **more)
    return brought(visit)


def brought(visit: Visit) -> Mail:
    """The one message of a visit: Broken when there is none."""
    complete = [mail for mail in visit.mails if mail.is_complete]
    check(complete, f"no message came; the target said {visit.verbs}")
    return complete[0]


def arrives(at: Context, *, content: bytes | None = None, parameters: str = "") -> Step[Visit]:
    """Hand in a message and accept the connection, before the greeting."""
    yield from submit(at, content=content, parameters=parameters)
    return (yield from accept(at))


def becomes(at: Context, visit: Visit, fate: str) -> Step[None]:
    """What becomes of the message after this visit: checked for DELIVERED, KEPT, RETURNED, LEFT."""
    if fate == RETURNED:
        yield from returned(at)
        again = yield from accept_any(at, timeout_s=AGAIN_S)
        check(again is None, "the message was returned, and tried again as well")
        return
    if fate == DELIVERED:
        brought(visit)
        check(len(visit.mails) == 1, f"the message came {len(visit.mails)} times")
        check((yield from accept_any(at, timeout_s=AGAIN_S)) is None, "the message came again")
        check((yield from notification(at, timeout_s=AGAIN_S)) is None, "the message was delivered, and its sender got a notification")
        return
    check(fate in (KEPT, LEFT), f"there is no fate {fate}")
    if fate == KEPT:
        check((yield from notification(at, timeout_s=SOON_S)) is None, "its sender got a notification at once")


def comes_again(at: Context) -> Step[Visit]:
    """Flush the queue, twice if need be (the first attempt may not be over for the target); the next visit, which has to come."""
    yield Wait(0.3)
    yield Control("flush")
    visit = yield from accept_any(at, timeout_s=at.target.limits.delivery_s / 4)
    if visit is None:
        yield Control("flush")
        visit = yield from accept_any(at)
    check(visit is not None, "it did not come again")
    assert visit is not None
    return visit


def returned(at: Context, *recipients: str) -> Step[Mail]:
    """The notification to the sender, which has to come, and has to name the recipients (none given: that of the case)."""
    visit = yield from accept_any(at, SENDER_LABEL)
    check(visit is not None, "no notification came back to the sender")
    assert visit is not None
    yield from visit.serve(idle_s=IDLE_S, offers=WIDE)
    mail = brought(visit)
    check(mail.sender == "", f"the notification has the reverse-path <{mail.sender}>")
    check(mail.recipients == [at.sender], f"the notification went to {mail.recipients}")
    for recipient in recipients or (at.remote,):
        check(recipient.encode() in mail.content, f"the notification does not name {recipient}")
    found = _ENHANCED.search(mail.content)
    check(found is None or found[1] == b"5", "the status of the notification is not 5.y.z")
    return mail


def returned_for(at: Context, *recipients: str) -> Step[None]:
    """Each of these recipients is named by a notification; there may be one for each."""
    left = {recipient.encode() for recipient in recipients}
    while left:
        visit = yield from accept_any(at, SENDER_LABEL)
        check(visit is not None, f"no notification for {sorted(left)}")
        assert visit is not None
        yield from visit.serve(idle_s=IDLE_S, offers=WIDE)
        for mail in visit.mails:
            left = {recipient for recipient in left if recipient not in mail.content}


def by_recipient(answers: Mapping[str, str]) -> Answer:
    """An answer to RCPT for each local part; others get the default."""

    def answer(line: bytes) -> str:
        local = line.partition(b"<")[2].rpartition(b"@")[0].decode("utf-8", "backslashreplace")
        return answers.get(local, "250 2.1.5 Ok")

    return answer


def bring_to(at: Context, local_parts: Sequence[str], answers: Mapping[str, str], **manners: Any) -> Step[list[Visit]]:
    """One message for several recipients at the case's domain; serves until each of them was named. The target may use several transactions or sessions."""
    left = {at.remote_at("", local) for local in local_parts}
    yield from submit(at, *(at.remote_at("", local) for local in local_parts))
    visits: list[Visit] = []
    replies = {"RCPT": by_recipient(answers), **manners.pop("replies", {})}
    while left:
        visit = yield from accept_any(at)
        if visit is None:
            raise Inconclusive(f"the target did not come for {sorted(left)}")
        visits.append((yield from visit.serve(**{"idle_s": IDLE_S, "replies": replies, **manners})))
        left -= {line.partition(b"<")[2].rpartition(b">")[0].decode() for line in visit.of("RCPT")}
    return visits


def mails_of(visits: Sequence[Visit]) -> list[Mail]:
    """All complete messages."""
    return [mail for visit in visits for mail in visit.mails if mail.is_complete]


def talk(
    visit: Visit, offers: Sequence[str] = (), until: str = "QUIT", pause_s: float = 0.15, replies: Mapping[str, str] | None = None
) -> Step[dict[str, bytes]]:
    """Answer in lock step, each command only after a pause. Gives, for each verb, what had come behind it before it was answered.

    CONNECT: what came before the greeting; DOT: behind the end of the content. Ends with QUIT (which is not answered), or a silence.
    """
    ahead: dict[str, bytes] = {}
    answers = {"CONNECT": "220 {host} ESMTP", "EHLO": "\n".join(("250 {host}", *(f"250 {offer}" for offer in offers))), "DATA": "354 Go"} | dict(replies or {})

    def answer(verb: str) -> Step[None]:
        ahead[verb] = ahead.get(verb, b"") + (yield from visit.pending(pause_s))
        yield from visit.say(answers.get(verb, "250 2.0.0 Ok"))

    yield from answer("CONNECT")
    while line := (yield from visit.line(2.0)):
        verb = line.split(b" ")[0].decode("ascii", "backslashreplace").upper()
        if verb == until:
            break
        yield from answer(verb)
        if verb == "DATA" and answers["DATA"].startswith("3"):
            yield from visit.content()
            yield from answer("DOT")
    return ahead


def dribble(visit: Visit, octets: bytes, pause_s: float = 0.02) -> Step[None]:
    """An octet at a time."""
    for value in octets:
        yield from visit.say(bytes((value,)))
        yield Wait(pause_s)
