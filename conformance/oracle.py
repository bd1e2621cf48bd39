"""Oracle: compares replies with accept sets, without false positives.

What RFC 5321 allows almost anywhere is not held against a target: 421 and 4yz answers to what could have succeeded are inconclusive, 421 and a closed
connection are taken for a refusal (4.2.1, 3.8).
"""

from conformance.outcome import Broken, Inconclusive
from conformance.reply import Reply, matches
from conformance.wire import TIMEOUT


def expect(reply: Reply, accept: str, what: str = "", level: str = "", *, strict: bool = False) -> Reply:
    """The reply, if it is in the accept set ("250 251", "5yz", "closed"). `what`: what was asked, for the reason. `strict`: nothing is allowed besides.

    In a set that has a success (2yz, 3yz) another 4yz answer is Inconclusive. In a set of refusals 421 and a closed connection are good as well.
    Anything else is Broken at the level of the case, or at `level`.
    """
    if matches(reply, accept):
        return reply
    if not strict:
        hopeful = any(word[0] in "23" for word in accept.split())
        if hopeful and 400 <= reply.code < 500:
            raise Inconclusive(f"{what or 'the target'}: {reply}")
        if not hopeful and (reply.code == 421 or (reply.is_closed and not reply.code)):
            return reply
    raise Broken(f"{what + ': ' if what else ''}{reply}; wanted {accept}", level)


def need(reply: Reply, accept: str, what: str) -> Reply:
    """A step on the way to the point of a case: anything but success is Inconclusive, silence is Broken."""
    if matches(reply, accept):
        return reply
    if reply.end == TIMEOUT:
        raise Broken(f"{what}: {reply}")
    raise Inconclusive(f"{what}: {reply}; needed {accept}")
