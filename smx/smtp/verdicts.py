"""Verdicts: what became of each recipient of one transaction of the client dialogue; and what a reply says about it."""

from smx.messages import Outcome
from smx.smtp.plan import Verdict
from smx.smtp.reply import Reply


class Verdicts:
    """One verdict for each recipient, each given once."""

    __slots__ = ("_decided",)

    def __init__(self, recipients: int) -> None:
        self._decided: list[Verdict | None] = [None] * recipients

    def has(self, index: int) -> bool:
        return self._decided[index] is not None

    def decide(self, index: int, outcome: Outcome, code: int, enhanced: bytes, text: bytes, stage: int) -> None:
        assert self._decided[index] is None, "one verdict for each recipient"
        self._decided[index] = Verdict(index, outcome, code, enhanced, text, stage)

    def decide_all(self, outcome: Outcome, code: int, enhanced: bytes, text: bytes, stage: int) -> None:
        """The same verdict for every recipient that has none yet."""
        decided = self._decided
        for index, verdict in enumerate(decided):
            if verdict is None:
                decided[index] = Verdict(index, outcome, code, enhanced, text, stage)

    def complete(self) -> tuple[Verdict, ...]:
        """All of them, in the order of the recipients."""
        verdicts = tuple([verdict for verdict in self._decided if verdict is not None])
        assert len(verdicts) == len(self._decided), "a recipient has no verdict"
        return verdicts


def outcome_of(reply: Reply) -> Outcome:
    """Of a reply that refuses."""
    return Outcome.FAILED if reply.permanent else Outcome.DEFERRED


def enhanced_of(reply: Reply) -> bytes:
    """Its enhanced code as octets, b"" when it has none."""
    return b"" if reply.enhanced is None else b"%d.%d.%d" % reply.enhanced


def too_many_recipients(reply: Reply, *, some_accepted: bool) -> bool:
    """RFC 5321 4.5.3.1.10: 552 to RCPT once meant "too many recipients", which is temporary. RFC 1870 6.4: it may mean the size, which is not.

    The enhanced code tells; without one, it is a matter of whether a recipient was accepted before.
    """
    if reply.code != 552:
        return False
    return some_accepted if reply.enhanced is None else reply.enhanced[1:] == (5, 3)
