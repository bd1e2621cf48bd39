"""Loops (RFC 5321 6.3): a message that comes back again and again is noticed. The suite stands where the other half of the loop would be."""

from typing import Final

from conformance.case import SERVER, section
from conformance.context import Context
from conformance.dialogue import attempt
from conformance.outcome import MUST, Broken, check, inconclusive
from conformance.visit import accept_any
from conformance.wire import Remark, Script

case = section("rfc5321/6.3", SERVER, needs=("dns",))

ROUNDS_MAX: Final = 250
WAIT_S: Final = 5.0


@case("loop-is-stopped", MUST, tests=("5321-6.3-2",), slow=True)
def loop_is_stopped(at: Context) -> Script:
    """A message that its next hop hands back each time is refused or returned in the end."""
    content = at.message()
    for round_number in range(1, ROUNDS_MAX + 1):
        reply = yield from attempt(at, content=content)
        if not 200 <= reply.code < 300:
            check(round_number > 1, f"refused at once: {reply}") if reply.code >= 500 else inconclusive(f"round {round_number}: {reply}")
            yield Remark(f"stopped at the SMTP dialogue in round {round_number}: {reply}")
            return
        visit = yield from accept_any(at, timeout_s=WAIT_S)
        if visit is None:
            yield Remark(f"not sent on any more in round {round_number}")
            check(round_number > 1, "the message was never sent on")
            return
        yield from visit.serve(idle_s=0.01)
        yield from visit.drop()
        if not visit.mails:
            raise Broken("the target came without a message")
        content = visit.mails[0].content
    raise Broken(f"the message went round {ROUNDS_MAX} times")
