"""Mutation: one behaviour of the product changed, the rules that it breaks, and the scene in which a checker must object.

    @mutation("reply-before-sync", "A1 I2", "smx.qmgr.ibdb:Ibdb._sync", scene="plain", checker="I2")
    def _reply_before_sync(original: Any) -> Any:
        '''A group counts as durable as soon as its Sync is ordered.'''
        ...
        return replacement

The function gets what stands there and returns what shall stand there; its docstring says what is changed. REGISTRY has all of them, by name.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from sim.mutations.patching import Make, replaced


class Mutation(msgspec.Struct, frozen=True):
    """`breaks`: ids of durability.md and reliability.md; `checker`: which checker is expected to fire first."""

    name: str
    what: str
    breaks: tuple[str, ...]
    where: str
    make: Make
    scene: str
    checker: str


REGISTRY: Final[dict[str, Mutation]] = {}


def mutation(name: str, breaks: str, where: str, *, scene: str, checker: str) -> Callable[[Make], Make]:
    """Enter it into the registry."""

    def enter(make: Make) -> Make:
        assert name not in REGISTRY, f"two mutations are called {name}"
        assert make.__doc__, f"{name} does not say what it changes"
        what = " ".join(make.__doc__.split())
        REGISTRY[name] = Mutation(name, what, tuple(breaks.split()), where, make, scene, checker)
        return make

    return enter


@contextmanager
def applied(mutated: Mutation) -> Iterator[None]:
    """The product is mutated for the time being."""
    with replaced(mutated.where, mutated.make):
        yield
