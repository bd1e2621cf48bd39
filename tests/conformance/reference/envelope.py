"""Envelope: who sent a message to whom, and what was said with MAIL."""

from dataclasses import dataclass, field

from tests.conformance.reference.grammar import Path


@dataclass
class Envelope:
    """`parameters` and those in `recipients` are those of the ESMTP parameters, in capitals."""

    sender: Path = field(default_factory=Path)
    parameters: dict[str, str] = field(default_factory=dict)
    recipients: list[tuple[Path, dict[str, str]]] = field(default_factory=list)
