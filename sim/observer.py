"""What a checker is, and how it objects. A checker reads facts, keeps what it needs of them, and never looks at the product."""

from collections.abc import Callable
from typing import Any, Protocol

from msgspec import Struct

from sim.facts import Fact

# A type of facts, or the name of a note: then it is called with each Noted of that name.
Handlers = dict[type[Fact] | str, Callable[[Any], None]]


class Violation(Struct, frozen=True):
    """An invariant is broken. `sentence`: the invariant; `what`: how it was broken; `facts`: those that prove it, in order of time."""

    invariant: str
    sentence: str
    at: int
    what: str
    facts: tuple[Fact, ...] = ()

    def render(self) -> str:
        """For people: the id and the sentence, what happened, and the facts, one a line."""
        head = f"{self.invariant} broken at {self.at / 1e6:.6f} s: {self.what}\n  {self.invariant}: {self.sentence}"
        return "\n".join([head, *(f"    {fact!r:.300}" for fact in self.facts)])


class Observer(Protocol):
    """Whatever takes part in a run's facts."""

    @property
    def handlers(self) -> Handlers:
        """Fact type or note name -> what is called with each such fact, in order of time."""


class Checker(Observer, Protocol):
    """One invariant. `finish` is called once, at the end of the run: what can only be judged then is judged then."""

    @property
    def id(self) -> str: ...

    @property
    def sentence(self) -> str: ...

    @property
    def violations(self) -> list[Violation]: ...

    def finish(self, at: int) -> None: ...


def violate(checker: Checker, at: int, what: str, *facts: Fact) -> None:
    """Object."""
    checker.violations.append(Violation(checker.id, checker.sentence, at, what, facts))
