"""Routes: asks SMAR where recipients go, and remembers what is true for a whole domain (A7: routes are never recorded).

    recipient -> cached answer of its domain                        at once
              -> a question about its domain is under way           waits for that answer
              -> a question of its own, a bounded number at a time  waits for its turn

An answer with `cache_until` serves everybody who waits for the domain. One without concerns its recipient only: from then on each
recipient of that domain asks for itself, for a minute, and those who waited ask now. When SMAR comes back after a crash, every
open question is asked again; answers to questions that nobody asked (of an earlier link) are dropped.
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from smx.effects import Tell
from smx.limits import QUESTIONS_OUTSTANDING_MAX
from smx.messages import Resolve, Resolved
from smx.qmgr.envelopes import Entry, Place
from smx.units import MINUTE

if TYPE_CHECKING:
    from smx.qmgr.hub import Hub

SMAR: Final = "smar"
CACHED_DOMAINS_MAX: Final = 20_000
ALONE_US: Final = MINUTE  # how long a domain without common answers is taken to have none


class Routes:
    """Questions to SMAR. `then(entry, resolved)` is called once for each entry given to `ask`, unless it was forgotten."""

    def __init__(self, hub: "Hub", then: Callable[[Entry, Resolved], None]) -> None:
        self._hub = hub
        self._then = then
        self._cache: dict[bytes, Resolved] = {}
        self._alone: dict[bytes, int] = {}  # domain: now until which its recipients ask one by one
        self._shared: dict[bytes, list[Entry]] = {}  # domain asked about: who else waits for the answer
        self._asked: dict[int, Entry] = {}  # request: who asked
        self._waiting: deque[Entry] = deque()  # more than may be asked at once
        self._request = 0

    @property
    def outstanding(self) -> int:
        return len(self._asked)

    def ask(self, entry: Entry) -> None:
        """Find the entry's route, now or later."""
        domain = domain_of(entry.recipient.address)
        found = self._cache.get(domain)
        if found is not None:
            if found.cache_until > self._hub.now:
                self._then(entry, found)
                return
            del self._cache[domain]
        entry.place = Place.RESOLVING
        if domain in self._shared:
            self._shared[domain].append(entry)
            return
        if not self._asks_alone(domain):
            self._shared[domain] = []
        self._question(entry)

    def resolved(self, answer: Resolved) -> None:
        """SMAR answered."""
        entry = self._asked.pop(answer.request, None)
        if entry is None:
            return
        now = self._hub.now
        domain = domain_of(entry.recipient.address)
        others = self._shared.pop(domain, ())
        common = answer.cache_until > now and answer.domain == domain
        if common:
            self._remember(domain, answer)
        elif answer.verdict is None:
            self._alone[domain] = now + ALONE_US
        while self._waiting and len(self._asked) < QUESTIONS_OUTSTANDING_MAX:
            self._question(self._waiting.popleft())
        if entry.place == Place.RESOLVING:
            self._then(entry, answer)
        for other in others:
            if other.place == Place.RESOLVING:
                if common:
                    self._then(other, answer)
                else:
                    self.ask(other)

    def linked(self) -> None:
        """SMAR is there (again): what was asked may have been lost."""
        for request, entry in self._asked.items():
            self._tell(request, entry)

    def forget_answers(self) -> None:
        """SMAR has new settings or maps: ask again from now on."""
        self._cache.clear()
        self._alone.clear()

    # --- inside ---------------------------------------------------------------------------------------------------

    def _question(self, entry: Entry) -> None:
        if len(self._asked) >= QUESTIONS_OUTSTANDING_MAX:
            self._waiting.append(entry)
            return
        self._request += 1
        self._asked[self._request] = entry
        self._tell(self._request, entry)

    def _tell(self, request: int, entry: Entry) -> None:
        question = Resolve(request, entry.recipient.address, entry.reverse_path, entry.expand)
        self._hub.effects.append(Tell(SMAR, question))

    def _asks_alone(self, domain: bytes) -> bool:
        until = self._alone.get(domain)
        if until is None:
            return False
        if until > self._hub.now:
            return True
        del self._alone[domain]
        return False

    def _remember(self, domain: bytes, answer: Resolved) -> None:
        if len(self._cache) >= CACHED_DOMAINS_MAX:
            self._cache.clear()  # rare, and cheaper than an order of use; the answers come back one by one
        if len(self._alone) >= CACHED_DOMAINS_MAX:
            self._alone.clear()
        self._cache[domain] = answer


def domain_of(address: bytes) -> bytes:
    """Behind the last `@`: canonical addresses have the domain in lower case."""
    return address[address.rfind(b"@") + 1 :]
