"""Faults: what a client or a server may do wrong, at which stage of the dialogue, and how often.

A fault is written KIND@STAGE[:PROBABILITY[:TIME]]: `vanish@data:0.01`, `slow@content:0.1:5s`, `451@rcpt:0.2`. Without a probability it always happens.
A stage names what is about to be sent: a fault comes instead of it, or changes how it is sent.
"""

import random
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final

from msgspec import Struct

from smx.config.text import parse_time
from smx.units import SECOND


class Fault(Struct, frozen=True):
    """One rule. `kind` of a server may be a reply code."""

    kind: str
    stage: str
    probability: float = 1.0
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """As it is counted: KIND@STAGE."""
        return f"{self.kind}@{self.stage}"


class Kind(Struct, frozen=True):
    """What a fault does, and the stages that have it. `seconds`: its time when none is given; 0: it takes none."""

    does: str
    stages: tuple[str, ...]
    seconds: float = 0.0


CLIENT_STAGES: Final[Mapping[str, str]] = {
    "connect": "connected, nothing sent",
    "ehlo": "EHLO, LHLO",
    "mail": "MAIL",
    "rcpt": "the first RCPT",
    "data": "DATA, BDAT",
    "content": "the second half of the content",
    "dot": "the final dot (with BDAT: the last octets)",
    "reply": "the dot is sent, its reply not awaited",
    "quit": "QUIT",
}
_COMMANDS: Final = ("ehlo", "mail", "rcpt", "data", "quit")
CLIENT_KINDS: Final[Mapping[str, Kind]] = {
    "vanish": Kind("close the connection without a word", tuple(CLIENT_STAGES)),
    "reset": Kind("the same by a TCP reset", tuple(CLIENT_STAGES)),
    "hang": Kind("say nothing more, until --timeout", tuple(CLIENT_STAGES)),
    "pause": Kind("go on after TIME", (*_COMMANDS, "content", "dot"), 2.0),
    "slow": Kind("a few octets at a time, over TIME", (*_COMMANDS, "content"), 2.0),
    "rset": Kind("RSET, and give this message up", ("rcpt", "data")),
    "garbage": Kind("a line that is no command, first", _COMMANDS),
    "early": Kind("send it before the reply to what stands before it", ("ehlo", "mail", "content", "quit")),
}

SERVER_STAGES: Final[Mapping[str, str]] = {
    "connect": "the greeting",
    "ehlo": "the reply to EHLO, HELO, LHLO",
    "mail": "the reply to MAIL",
    "rcpt": "the reply to each RCPT",
    "data": "the reply to DATA",
    "content": "in the middle of the content",
    "dot": "the reply to the final dot, or to BDAT LAST; with LMTP one for each recipient",
    "quit": "the reply to QUIT",
}
CODE: Final = "CODE"
_REPLIES: Final = tuple(stage for stage in SERVER_STAGES if stage != "content")
SERVER_KINDS: Final[Mapping[str, Kind]] = {
    CODE: Kind("this reply, 400 to 599; 421 closes as well", tuple(stage for stage in _REPLIES if stage != "quit")),
    "drop": Kind("close the connection without a reply", tuple(SERVER_STAGES)),
    "reset": Kind("the same by a TCP reset", tuple(SERVER_STAGES)),
    "halfclose": Kind("close our direction only", tuple(SERVER_STAGES)),
    "hang": Kind("say nothing more", tuple(SERVER_STAGES)),
    "delay": Kind("go on after TIME", tuple(SERVER_STAGES), 2.0),
    "slow": Kind("the reply a few octets at a time, over TIME", _REPLIES, 2.0),
    "garbage": Kind("octets that are no reply", _REPLIES),
    "swallow": Kind("take the message, and close without a reply: it will come again", ("dot",)),
}


def parse_fault(text: str, kinds: Mapping[str, Kind]) -> Fault:
    """ValueError says what is wrong and what there is."""
    kind, at, rest = text.partition("@")
    if not at:
        raise ValueError(f"expected KIND@STAGE[:PROBABILITY[:TIME]], not {text!r}; kinds: {', '.join(kinds)}")
    stage, *more = rest.split(":")
    row = kinds.get(CODE if _is_code(kind) else kind) if kind != CODE else None
    if row is None:
        raise ValueError(f"no fault is called {kind!r}{_guess(kind, kinds)}; there are {', '.join(kinds)}")
    if stage not in row.stages:
        raise ValueError(f"{kind} cannot be done at {stage!r}{_guess(stage, row.stages)}; it can at {', '.join(row.stages)}")
    if len(more) > (2 if row.seconds else 1):
        raise ValueError(f"too much in {text!r}: expected {kind}@{stage}:PROBABILITY{':TIME' if row.seconds else ''}")
    return Fault(kind, stage, _probability(more[0]) if more else 1.0, parse_time(more[1]) / SECOND if len(more) > 1 else row.seconds)


def _is_code(kind: str) -> bool:
    return len(kind) == 3 and kind.isascii() and kind.isdigit() and kind[0] in "45"


def _guess(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word, known, 1)
    return f" (did you mean {close[0]}?)" if close else ""


def _probability(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"expected a probability from 0 to 1, not {text!r}")
    return value


class Dice:
    """Decides which fault happens. Rules are asked in their order; the first that hits counts."""

    def __init__(self, faults: Iterable[Fault], stream: random.Random) -> None:
        self._faults = tuple(faults)
        self._draw = stream.random

    def __bool__(self) -> bool:
        return bool(self._faults)

    def roll(self) -> Fault | None:
        """The fault of this occasion, if any."""
        for fault in self._faults:
            if fault.probability >= 1.0 or self._draw() < fault.probability:
                return fault
        return None
