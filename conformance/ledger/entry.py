"""One entry of the ledger: what an RFC asks of whom, in our words, and why no case tests it if none does.

An id is RFC, section, and number of the sentence among those of the section that use a key word: `5321-4.1.1.4-5`. A sentence that asks for more than one
thing, of more than one party or at more than one level, has the entries a, b, c. A rule that the RFC states without a key word has the number n1, n2, ...:
its level is our reading.
"""

import re
from typing import Protocol

import msgspec

from conformance.ledger.sentences import LEVELS

PARTIES = ("server", "client", "relay", "gateway", "queue", "resolver")
# untestable: nothing that can be observed shows it. implicit: it is contained in what other entries ask for, or in their accept sets.
# out of scope: it binds somebody else than an MTA on the wire. policy: the RFC leaves it to the site, so that the target cannot be asked for it.
KINDS = ("untestable", "implicit", "out of scope", "policy")
TITLES = {
    5321: "Simple Mail Transfer Protocol",
    2920: "PIPELINING",
    3207: "STARTTLS",
    1870: "SIZE",
    3030: "CHUNKING and BINARYMIME",
    6152: "8BITMIME",
    3461: "DSN",
    2034: "ENHANCEDSTATUSCODES",
    4954: "AUTH",
    6531: "SMTPUTF8",
    2033: "LMTP",
    6409: "Message submission",
    7505: "Null MX",
    7504: "521 and 556",
    3464: "Format of delivery status notifications",
    6522: "multipart/report",
    3463: "Enhanced status codes",
    6532: "Internationalized headers",
    6533: "Internationalized notifications",
    8314: "TLS for submission and access",
    8689: "REQUIRETLS",
}
RFCS = tuple(TITLES)

_ID = re.compile(r"(\d{3,5})-([1-9]\d*(?:\.\d+)*|[A-Z](?:\.\d+)*)-(n?[1-9]\d*)([a-z]?)")
_PRINT = re.compile(r"[0-9a-f]{16}")


class Entry(msgspec.Struct, frozen=True):
    """One requirement. `reason` is empty when cases test it, else `kind: words`, with the kind one of KINDS."""

    id: str
    level: str
    party: str
    paraphrase: str
    fingerprint: str
    reason: str = ""

    @property
    def rfc(self) -> int:
        return int(self.id.partition("-")[0])

    @property
    def section(self) -> str:
        return self.id.split("-")[1]

    @property
    def number(self) -> str:
        """The number of the sentence, without the letter of the entry: `5`, or `n2`."""
        return self.id.split("-")[2].rstrip("abcdefghij")

    @property
    def kind(self) -> str:
        return self.reason.partition(":")[0]


class CaseLike(Protocol):
    """What the ledger knows of a case: its id, its level, and the ids of the entries that it tests."""

    @property
    def id(self) -> str: ...

    @property
    def level(self) -> str: ...

    @property
    def tests(self) -> tuple[str, ...]: ...


def faults(entry: Entry) -> tuple[str, ...]:
    """What is wrong with the form of an entry; () if nothing is."""
    kind, _, words = entry.reason.partition(": ")
    checks = (
        (_ID.fullmatch(entry.id) is not None, "id"),
        (entry.level in LEVELS, "level"),
        (entry.party in PARTIES, "party"),
        (_is_one_line(entry.paraphrase), "paraphrase"),
        (_PRINT.fullmatch(entry.fingerprint) is not None, "fingerprint"),
        (not entry.reason or (kind in KINDS and _is_one_line(words)), "reason"),
    )
    return tuple(name for good, name in checks if not good)


def _is_one_line(text: str) -> bool:
    return bool(text) and text == " ".join(text.split()) and len(text) <= 160
