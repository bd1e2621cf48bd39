"""Play: one case at work, without I/O: gives the next action, takes its result, keeps the transcript, and knows the verdict at the end.

Whoever carries actions out does, in their own way of waiting:

    action = play.begin()
    while action is not None:
        action = play.answer(<the result of the action>)
    play.verdict
"""

import traceback
from collections.abc import Callable
from typing import Any, Final

from conformance import transcript
from conformance.case import Case
from conformance.context import Context
from conformance.needs import first_lacking
from conformance.outcome import FAIL, HARNESS, INFO, PASS, SKIP, WARN, EndOfCaseError, Verdict
from conformance.visit import default_zone, prelude
from conformance.wire import Action, Remark, Script

_WORST_LAST: Final = (PASS, INFO, WARN, FAIL)


class Play:
    """`clock`: seconds, of whatever time the wire lives in."""

    def __init__(self, case: Case, at: Context, clock: Callable[[], float]) -> None:
        self.case: Final = case
        self.verdict: Verdict | None = None
        self.entries: list[transcript.Entry] = []
        self._at: Final = at
        self._clock: Final = clock
        self._begun = clock()
        self._script: Script = self._whole()
        self._action: Action | None = None
        self._remarks: list[Remark] = []

    def begin(self) -> Action | None:
        """The first action; None when there is nothing to do, as when the case is skipped."""
        reason = first_lacking(self.case.needs, self._at.target, self._at.extensions)
        if reason:
            self.verdict = Verdict(SKIP, reason)
            return None
        return self._step(lambda: next(self._script))

    def answer(self, result: Any) -> Action | None:
        """Give the result of the action at hand, get the next."""
        action = self._action
        assert action is not None
        if isinstance(action, Remark):
            self._remarks.append(action)
        self._record(transcript.entries(self._clock() - self._begun, action, result))
        return self._step(lambda: self._script.send(result))

    def fail(self, error: BaseException) -> None:
        """The action at hand could not be carried out, or there is no time left."""
        self._end(error)
        self._script.close()

    @property
    def seconds(self) -> float:
        return self._clock() - self._begun

    def _whole(self) -> Script:
        if "dns" in self.case.needs:
            yield from prelude(self._at)
        elif self._at.target.dns.listen:
            yield from default_zone(self._at)
        yield from self.case.play(self._at)

    def _step(self, advance: Callable[[], Action]) -> Action | None:
        try:
            self._action = advance()
        except StopIteration:
            self._action, self.verdict = None, self._summary()
        except Exception as error:  # whatever a script raises is the end of it, and is shown
            self._action = None
            self._end(error)
        return self._action

    def _end(self, error: BaseException) -> None:
        if isinstance(error, EndOfCaseError):
            self.verdict = error.verdict(self.case.level)
        else:
            where = "".join(traceback.format_exception(error)[-3:])
            self.verdict = Verdict(HARNESS, f"{type(error).__name__}: {error}\n{where}")
        self._record([transcript.Entry(self.seconds, 0, transcript.EVENT, f"{self.verdict.outcome}: {self.verdict.reason}")])

    def _summary(self) -> Verdict:
        """Pass, or the worst remark."""
        worst = max(self._remarks, key=lambda remark: _WORST_LAST.index(remark.outcome or PASS), default=Remark(""))
        return Verdict(worst.outcome or PASS, worst.text if worst.outcome else "")

    def _record(self, found: list[transcript.Entry]) -> None:
        if len(self.entries) < transcript.ENTRIES_MAX:
            self.entries += found
