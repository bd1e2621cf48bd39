"""Truth: what really happened, from everybody who knows a part of it, and the checkers that judge it.

Clients and hosts report in their own words (the class's first part); the world says facts. Each fact goes, in this order, to the ledger, to the
outlook on duplicates, and to every checker that reads its kind: a table from the type of a fact, or the name of a note, to those who want it, so
that a fact nobody wants costs one look-up.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec.structs import replace

from sim import contents
from sim.checkers import make
from sim.duplicates import Outlook
from sim.facts import Arrived, Bounced, Configured, Fact, Noted, Promised, Refused, ReplyLost, Spoke, Submitted
from sim.ledger import Ledger, about
from sim.observer import Checker, Observer, Violation
from smx.config.schema_qmgr import QmgrSettings
from smx.effects import Note
from smx.ids import TEXT_OCTETS, id_number


class Truth:
    """One run. `ids`: the checkers that judge it, None for all. `keep`: keep every fact (for forks, duplicates, reports).

    `lossy`: the facts were read from a log that loses the last lines of a killed process.
    """

    def __init__(self, ids: Iterable[str] | None = None, *, keep: bool = False, lossy: bool = False) -> None:
        self._ids: Final = None if ids is None else tuple(ids)
        self._sent: dict[str, bytes] = {}  # token -> content, for comparison
        self._nameless: dict[int, list[Bounced]] = {}  # transaction -> reports about it that do not say which message it was
        self.facts: list[Fact] | None = [] if keep else None
        self.ledger: Final = Ledger(lossy=lossy)
        self.outlook: Final = Outlook(self.ledger)
        self.checkers: Final[list[Checker]] = make(self.ledger, self.outlook, self._ids)
        observers: list[Observer] = [self.ledger, self.outlook]
        if self.ledger.dialogues.wanted:
            observers.append(self.ledger.dialogues)
        self._handlers: Final[dict[type[Fact] | str, list[Any]]] = {}
        for observer in [*observers, *self.checkers]:
            for key, handler in observer.handlers.items():
                self._handlers.setdefault(key, []).append(handler)

    # --- clients and hosts ------------------------------------------------------------------------------------------

    def submitted(self, token: str, sender: str, recipients: Sequence[str], content: bytes, at: int, notify: Sequence[int] = ()) -> None:
        """The final dot leaves the client now. `content` unstuffed, with CRLF; `recipients`: those that RCPT accepted."""
        self._sent[token] = content
        self.observe(Submitted(at, token, sender, tuple(recipients), tuple(notify)))

    def promised(self, token: str, reply: bytes | str, at: int) -> None:
        """The client has read the whole 250 to the end of the content; `reply` is its text."""
        transaction = transaction_in(reply)
        self.observe(Promised(at, token, transaction))
        for report in self._nameless.pop(transaction, ()):
            self.observe(replace(report, at=at, token=token))

    def refused(self, token: str, recipients: Sequence[str], stage: str, code: int, text: str, at: int) -> None:
        """The client has read 4yz or 5yz at this stage."""
        self.observe(Refused(at, token, tuple(recipients), stage, code, text))

    def arrived(self, host: str, content: bytes, recipients: Sequence[str], at: int, sender: str | None = None) -> list[Arrived | Bounced]:
        """A host takes responsibility, or a Maildir shows the message. What is given back names it in `reply_lost`."""
        if contents.is_report(content):
            return self._bounced(content, recipients, at, sender)
        read = contents.read(content)
        if sender is None:
            sender = read.return_path
        sent = self._sent.get(read.token)
        fault = "" if sent is None else contents.fault_of(content, sent)
        arrivals: list[Arrived | Bounced] = [Arrived(at, read.token, recipient, host, read.transaction, sender, fault) for recipient in recipients]
        for arrival in arrivals:
            self.observe(arrival)
        return arrivals

    def _bounced(self, content: bytes, recipients: Sequence[str], at: int, sender: str | None) -> list[Arrived | Bounced]:
        token, message_id = contents.token_of(content), contents.message_id(content)
        token = token or self.ledger.token(about(message_id))  # the content could not be read (F9), so the report has no part of it
        if sender is None:
            sender = contents.read(content).return_path
        found: list[Arrived | Bounced] = []
        for to in recipients:
            reports = {(report.recipient, report.action): report for report in contents.reports(content)}
            for report in reports.values():  # each address once, though it may have failed for itself and out of an alias
                bounced = Bounced(at, token, report.recipient, report.action, message_id, to, sender or "")
                found.append(bounced)
                if token or not about(message_id):
                    self.observe(bounced)
                else:  # whose message that was is known when its client has read the 250
                    self._nameless.setdefault(about(message_id), []).append(bounced)
        return found

    def reply_lost(self, arrival: Iterable[Arrived | Bounced], at: int) -> None:
        """The host's 250 did not get through, or it was none."""
        for fact in arrival:
            self.observe(ReplyLost(at, fact.token, fact.recipient, fact.host if isinstance(fact, Arrived) else fact.to))

    # --- the world ----------------------------------------------------------------------------------------------------

    def attend(self, observer: Observer) -> None:
        """One more who reads the facts from now on: a tally of a study."""
        for key, handler in observer.handlers.items():
            self._handlers.setdefault(key, []).append(handler)

    def judge(self, checker: Checker) -> None:
        """One more checker, of a study: what the registry cannot know, such as that every recipient of this world exists."""
        self.checkers.append(checker)
        self.attend(checker)

    def observe(self, fact: Fact) -> None:
        """A fact, in order of time."""
        if self.facts is not None:
            self.facts.append(fact)
        key = fact.name if type(fact) is Noted else type(fact)
        for handler in self._handlers.get(key, ()):
            handler(fact)

    def note(self, at: int, process: str, epoch: int, note: Note) -> None:
        """A Note effect was carried out."""
        handlers = self._handlers.get(note.name)
        if handlers is None and self.facts is None:
            return
        fact = Noted(at, process, epoch, note.name, note.values)
        if self.facts is not None:
            self.facts.append(fact)
        for handler in handlers or ():
            handler(fact)

    def configured(self, settings: QmgrSettings, restart_max_us: int, at: int = 0) -> None:
        """Say the numbers of the configuration that checkers compare with."""
        smtpc, retry = settings.smtpc, settings.retry
        for name, value in (
            ("qmgr.smtpc.initial_connections", smtpc.initial_connections),
            ("qmgr.smtpc.max_connections", smtpc.max_connections),
            ("qmgr.smtpc.deliveries_max", smtpc.deliveries_max),
            ("qmgr.retry.min", retry.min_us),
            ("qmgr.retry.max", retry.max_us),
            ("qmgr.retry.give_up", retry.give_up_us),
            ("qmgr.retry.dead_max", retry.dead_max_us),
            ("qmgr.retry.jitter_percent", retry.jitter_percent),
            ("mcp.restart_max", restart_max_us),
        ):
            self.observe(Configured(at, name, value))

    def wants(self, kind: type[Fact]) -> bool:
        """Whether anybody reads such facts."""
        return kind in self._handlers or (self.facts is not None and kind is not Spoke)

    def wants_note(self, name: str) -> bool:
        return name in self._handlers or self.facts is not None

    # --- the judgement ------------------------------------------------------------------------------------------------

    @property
    def violations(self) -> list[Violation]:
        """So far, in order of time."""
        found = [violation for checker in self.checkers for violation in checker.violations]
        found.sort(key=lambda violation: violation.at)
        return found

    def finish(self, at: int) -> list[Violation]:
        """The run is over: what can only be judged at its end is judged. To be called once."""
        for checker in self.checkers:
            checker.finish(at)
        return self.violations

    def fork(self, upto: int | None = None) -> "Truth":
        """A truth with the same past, for another future; `upto`: only with so many of its facts. Needs `keep`."""
        assert self.facts is not None, "only a truth that keeps its facts can be forked"
        other = Truth(self._ids, keep=True, lossy=self.ledger.lossy)
        other._sent = dict(self._sent)
        for fact in self.facts[:upto]:
            other.observe(fact)
        return other


def transaction_in(reply: bytes | str) -> int:
    """The queue id in a reply's text; 0 for none."""
    words = (reply.decode("ascii", "backslashreplace") if isinstance(reply, bytes) else reply).split()
    for word in words:
        if len(word) == TEXT_OCTETS:
            try:
                return id_number(word)
            except ValueError:
                continue
    return 0
