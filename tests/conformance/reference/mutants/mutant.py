"""Mutant: the reference with one behaviour changed, and the sentences that it breaks by that."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from tests.conformance.reference.mta import Reference

_RFC: Final = re.compile(r"\d{4}-")


class Mutant(NamedTuple):
    """`tests`: ids of the ledger. `changes`: names of a class below Reference -> what they are there."""

    name: str
    tests: tuple[str, ...]
    changes: Mapping[str, Any]

    def make(self) -> Reference:
        made: Reference = type("Mutant", (Reference,), dict(self.changes))()
        return made


def mutant(name: str, tests: str, **changes: Any) -> Mutant:
    """`tests`: ids with spaces between; those of RFC 5321 without their number."""
    return Mutant(name, ids(tests), changes)


def ids(text: str) -> tuple[str, ...]:
    return tuple(word if _RFC.match(word) else f"5321-{word}" for word in text.split())


def original(name: str) -> Callable[..., Any]:
    """The method of the reference."""
    method: Callable[..., Any] = getattr(Reference, name)
    return method


def altered(name: str, change: Callable[..., Any]) -> Callable[..., Any]:
    """The method of this name, its result given to `change` with the arguments behind it."""

    def changed(self: Reference, *arguments: Any) -> Any:
        return change(original(name)(self, *arguments), self, *arguments)

    return changed


def when(name: str, applies: Callable[..., bool], instead: Callable[..., Any]) -> Callable[..., Any]:
    """The method of this name, but `instead` where `applies` holds; both get self and the arguments."""

    def changed(self: Reference, *arguments: Any) -> Any:
        return (instead if applies(self, *arguments) else original(name))(self, *arguments)

    return changed
