"""Cache: DNS answers, kept as long as they may be, the least recently used ones dropped first.

How long: the TTL within the configured bounds; "no such name" and "no such record" no longer than the negative bound (RFC 2308 5);
a failure as long as the lower bound, so that a thousand recipients at a broken name server cost one time-out and not a thousand
(RFC 2308 7 allows up to five minutes).
"""

from smx.config.schema_smar import DnsCacheSettings
from smx.events import Answered
from smx.smar.flow import DnsAnswer, DnsQuestion


class Cache:
    """Answers by question; at most `entries_max` of them (I16)."""

    def __init__(self, settings: DnsCacheSettings) -> None:
        self._settings = settings
        self._answers: dict[DnsQuestion, DnsAnswer] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, question: DnsQuestion, now: int) -> DnsAnswer | None:
        """The answer, if it is known and still true."""
        answer = self._answers.pop(question, None)
        if answer is None or answer.expires_at <= now:
            return None
        self._answers[question] = answer  # the last one is the most recently used
        return answer

    def put(self, question: DnsQuestion, event: Answered, now: int) -> DnsAnswer:
        """Keep an answer; gives it in the form in which flows take it."""
        answer = DnsAnswer(event.status, event.records, event.name or question.name, event.reason, now + self._lifetime_us(event))
        self._answers.pop(question, None)
        if answer.expires_at > now:
            while len(self._answers) >= self._settings.entries_max:
                del self._answers[next(iter(self._answers))]
            self._answers[question] = answer
        return answer

    def _lifetime_us(self, event: Answered) -> int:
        settings = self._settings
        if event.status == "TEMP":
            return settings.ttl_min_us
        longest = settings.ttl_max_us if event.status == "OK" else min(settings.ttl_max_us, settings.negative_ttl_us)
        return min(max(event.ttl_us, settings.ttl_min_us), longest)
