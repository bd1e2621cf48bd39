"""Workloads: what happens in the life that is cut, as data: up to three messages, each of a kind, with or without cut-through.

A kind is what becomes of one or two recipients: delivered (here or at another host), deferred and delivered at a later attempt, failed with a
notification, expanded, reported as delivered. All multisets of kinds are enumerated, in a fixed order.
"""

from collections.abc import Iterator
from itertools import combinations_with_replacement
from typing import Final

import msgspec

from sim.peers.mail import Mail
from smx.units import SECOND

MESSAGES_MAX: Final = 3
COPIED_US: Final = 92 * SECOND  # by then content was copied out of a segment that is mostly dead
LARGE_OCTETS: Final = 2_000  # more than half of what a small message leaves in its segment


class Kind(msgspec.Struct, frozen=True):
    """One message. `parameters` of each RCPT."""

    name: str
    recipients: tuple[str, ...]
    parameters: str = ""
    sender: str = "sender@lab.example"
    body_octets: int = 8


# fmt: off
KINDS: Final[dict[str, Kind]] = {kind.name: kind for kind in (
    #    name                     recipients
    Kind("local",                 ("alice@lab.example",)),
    Kind("relayed",               ("a@sink.example",)),
    Kind("deferred",              ("a@later.example",)),
    Kind("failed",                ("a@never.example",)),
    Kind("expanded",              ("list@lab.example",)),
    Kind("two local",             ("alice@lab.example", "bob@lab.example")),
    Kind("two deferred",          ("a@later.example", "b@later.example")),
    Kind("two failed",            ("a@never.example", "b@never.example")),
    Kind("local and deferred",    ("alice@lab.example", "a@later.example")),
    Kind("relayed and failed",    ("a@sink.example", "a@never.example")),
    Kind("deferred and failed",   ("a@later.example", "a@never.example")),
    Kind("deferred and expanded", ("a@later.example", "list@lab.example")),
    Kind("success notice",        ("alice@lab.example",), "NOTIFY=SUCCESS,FAILURE"),
)}
# Beyond the alphabet: mail that nobody may be told of, a host that is down, a message that is copied out of its segment (A3).
SPECIAL: Final[dict[str, Kind]] = {kind.name: kind for kind in (
    Kind("failed from null",      ("alice@lab.example", "a@never.example"), sender=""),
    Kind("failed in silence",     ("a@never.example",), "NOTIFY=NEVER"),
    Kind("down",                  ("a@down.example",)),
    Kind("large",                 ("a@sink.example",), body_octets=LARGE_OCTETS),
)}
# fmt: on


class Workload(msgspec.Struct, frozen=True):
    """The messages of one life, all submitted at once. `waste_octets`: dead content beyond which segments are given up; -1: nothing is ever copied."""

    kinds: tuple[str, ...]
    cut_through: bool = False
    waste_octets: int = -1
    personality: str = "strict"
    trouble_us: int = 6 * SECOND  # until hosts that put mail off do so no more

    @property
    def name(self) -> str:
        """For people, and to find it again."""
        text = ", ".join(self.kinds)
        text += " + cut-through" if self.cut_through else ""
        text += " + copying" if self.waste_octets >= 0 else ""
        return text + (f" on {self.personality}" if self.personality != "strict" else "")

    def mails(self) -> list[Mail]:
        """In the order of the kinds; tokens t0, t1, t2."""
        found = []
        for number, name in enumerate(self.kinds):
            kind = KINDS.get(name) or SPECIAL[name]
            body = b"Hello.\r\n" * (kind.body_octets // 8)
            found.append(Mail(f"t{number}", kind.recipients, kind.sender, kind.parameters, body))
        return found


def exhaustive(messages_max: int = MESSAGES_MAX) -> Iterator[Workload]:
    """All of up to so many messages, each with and without cut-through: 13 + 91 + 455 times two."""
    for count in range(1, messages_max + 1):
        for kinds in combinations_with_replacement(KINDS, count):
            for cut_through in (False, True):
                yield Workload(kinds, cut_through)


def special() -> Iterator[Workload]:
    """What the alphabet does not say."""
    for cut_through in (False, True):
        yield Workload(("failed from null",), cut_through)
        yield Workload(("failed in silence",), cut_through)
        yield Workload(("down",), cut_through)
    yield Workload(("deferred", "large"), waste_octets=0, trouble_us=COPIED_US)
    yield Workload(("local", "deferred"), personality="ordered")
    yield Workload(("failed", "expanded"), personality="ordered")


def find(name: str) -> Workload:
    """By its name. KeyError when there is none."""
    for workload in (*special(), *exhaustive()):
        if workload.name == name:
            return workload
    raise KeyError(name)
