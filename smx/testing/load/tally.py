"""Tally: what a generator counts while it runs."""

from collections.abc import Mapping
from typing import Final

from smx.testing.load.latency import Histogram

ENDS: Final = ("acknowledged", "deferred", "refused", "failed", "abandoned")
RUNGS: Final = ("wait", "connect", "envelope", "dot", "whole")
STAGES: Final = ("connect", "ehlo", "starttls", "mail", "rcpt", "data", "dot", "rset", "garbage", "quit")
_NAMES: Final = {"connect": "greeting", "ehlo": "EHLO", "dot": "dot", "garbage": "nonsense"}


class Tally:
    """Counts; `replies`: stage -> code -> number."""

    def __init__(self) -> None:
        self.begun = 0
        self.ends = dict.fromkeys(ENDS, 0)
        self.retried = 0
        self.recipients_acknowledged = 0
        self.octets = 0
        self.connections = 0
        self.replies: dict[str, dict[bytes, int]] = {stage: {} for stage in STAGES}
        self.errors: dict[str, int] = {}
        self.faults: dict[str, int] = {}
        self.latency = {rung: Histogram() for rung in RUNGS}

    def error(self, kind: str) -> None:
        """One more of this kind."""
        self.errors[kind] = self.errors.get(kind, 0) + 1

    def fault(self, name: str) -> None:
        """One of our own faults happened."""
        self.faults[name] = self.faults.get(name, 0) + 1

    def replies_by_name(self) -> dict[str, int]:
        """In the order of the stages: "MAIL 250" -> number."""
        return named(self.replies)


def named(replies: Mapping[str, Mapping[bytes, int]]) -> dict[str, int]:
    """Stage -> code -> number as "RCPT 250" -> number."""
    found = {}
    for stage, codes in replies.items():
        for code in sorted(codes):
            found[f"{_NAMES.get(stage, stage.upper())} {code.decode('ascii', 'backslashreplace')}"] = codes[code]
    return found
