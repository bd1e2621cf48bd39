"""Flows: how a resolution, which is sequential, asks its questions inside a step machine.

A flow is a generator. It yields a tuple of questions that can be asked at once and is resumed with the tuple of their answers.
A crash in between loses nothing: whoever asked SMAR asks again.
"""

from collections.abc import Generator
from typing import Any, NamedTuple, TypeVar

from smx.events import DnsRecord

T = TypeVar("T")


class DnsQuestion(NamedTuple):
    """`type` is A, AAAA or MX; `name` in lower case and ASCII."""

    name: str
    type: str


class MapQuestion(NamedTuple):
    """A key of a map that is not kept in memory."""

    map: str
    key: str


class MapWanted(NamedTuple):
    """Wait until the first attempt to load this map has ended, well or not."""

    map: str


class DnsAnswer(NamedTuple):
    """As events.Answered; true until `expires_at`."""

    status: str
    records: tuple[DnsRecord, ...]
    name: str
    reason: str
    expires_at: int


class MapAnswer(NamedTuple):
    """As events.LookedUp."""

    status: str
    value: str


Question = DnsQuestion | MapQuestion | MapWanted
Answer = DnsAnswer | MapAnswer | None
Flow = Generator[tuple[Question, ...], tuple[Any, ...], T]


def ask_dns(*questions: DnsQuestion) -> Flow[tuple[DnsAnswer, ...]]:
    """The answers, in the order of the questions, which are asked at once."""
    answers: tuple[DnsAnswer, ...] = yield questions
    return answers


def ask_map(name: str, key: str) -> Flow[MapAnswer]:
    """The answer of a map that is not kept in memory."""
    (answer,) = yield (MapQuestion(name, key),)
    assert isinstance(answer, MapAnswer)
    return answer
