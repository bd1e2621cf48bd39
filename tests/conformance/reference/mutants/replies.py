"""How the client reads replies, and what it makes of them (RFC 5321 3.8, 4.2, 4.2.1, 4.5.3.1.5)."""

# mypy: disable-error-code="attr-defined, call-overload, func-returns-value, method-assign, misc, no-any-return, return-value, var-annotated"

import re
from collections.abc import Callable
from typing import Any, Final

from tests.conformance.reference.dialogue import Transfer, Verdicts
from tests.conformance.reference.heard import Heard, take_reply
from tests.conformance.reference.item import Item
from tests.conformance.reference.mta import Reference
from tests.conformance.reference.mutants.mutant import Mutant, altered, mutant, original

CODES: Final = "4.2-8 4.3.2-1b 4.2-6 4.3.2-1a"
TEXT: Final = "4.2-5a 4.2-5c"
Taken = tuple[Heard, bytes] | None


def _reads(name: str, tests: str, read: Callable[[bytes], Taken]) -> Mutant:
    return mutant(f"reads-{name}", tests, take_reply=lambda self, octets: read(octets))


def _refusing(name: str, tests: str, pattern: bytes) -> tuple[Mutant, Mutant]:
    """A reply with this in it is none, or a refusal."""
    found = re.compile(pattern, re.MULTILINE)

    def read(octets: bytes, code: int) -> Taken:
        return (Heard(code, ("odd",)), b"") if octets.endswith(b"\n") and found.search(octets) else take_reply(octets)

    return (
        _reads(f"no-{name}", tests, lambda octets: read(octets, 0)),
        _reads(f"{name}-as-refusal", tests, lambda octets: read(octets, 599)),
    )


def _first_line(octets: bytes) -> Taken:
    """Each line is a reply."""
    line, end, rest = octets.partition(b"\n")
    found = take_reply(line[:3] + line[3:].replace(b"-", b" ", 1) + end) if end else None
    return found and (found[0], rest)


def _text_counts(octets: bytes) -> Taken:
    """A code within the text counts for more than that before it."""
    found = take_reply(octets)
    if found is None:
        return None
    inner = re.match(r"([245]\d\d) ", found[0].lines[-1]) if found[0].lines else None
    return (Heard(int(inner[1]), found[0].lines), found[1]) if inner else found


def _any_digit(octets: bytes) -> Taken:
    """Codes of other classes are success."""
    return take_reply(re.sub(rb"(?m)^[016789](\d\d)", rb"2\1", octets))


def _lone_segment(self: Reference, connection: int, octets: bytes) -> None:
    """A reply has to come in one segment."""
    if connection in self.transfers and not octets.endswith(b"\r\n"):
        octets = b"599 5.5.2 What?\r\n"
    original("received")(self, connection, octets)


def _verdict(name: str, tests: str, **changes: Callable[[Heard], bool]) -> Mutant:
    """Success, permanence, or whether to go on, are told in another way."""
    return mutant(f"verdict-{name}", tests, **{method: (lambda self, heard, tell=tell: tell(heard)) for method, tell in changes.items()})


def _text_has(word: str) -> Callable[[Heard], bool]:
    return lambda heard: word in " ".join(heard.lines).lower()


def _lost(change: Callable[[Heard], Heard]) -> Any:
    def lost(self: Reference, transfer: Transfer, heard: Heard) -> None:
        original("lost")(self, transfer, change(heard))

    return lost


def _lost_at(test: Callable[[Transfer], bool], verdict: Heard) -> Any:
    def lost(self: Reference, transfer: Transfer, heard: Heard) -> None:
        original("lost")(self, transfer, verdict if test(transfer) else heard)

    return lost


def _dies_of_nonsense(self: Reference, octets: bytes) -> Taken:
    """Nobody is served any more after a reply that was none."""
    found = take_reply(octets)
    if found is not None and found[0].code == 0:
        self.dead = True
    return found


def _dead(self: Reference, connection: int, service: str, source: str) -> None:
    if not getattr(self, "dead", False):
        original("connected")(self, connection, service, source)


def _one_for_all(verdicts: Verdicts, pick: Callable[[list[Heard]], Heard]) -> Verdicts:
    return dict.fromkeys(verdicts, pick(list(verdicts.values())))


def _settle(pick: Callable[[list[Heard]], Heard]) -> Any:
    def settle(self: Reference, item: Item, verdicts: Verdicts) -> None:
        """All recipients share a fate."""
        original("settle")(self, item, _one_for_all(verdicts, pick))

    return settle


MUTANTS: Final = (
    _reads("each-line-as-a-reply", "4.2-n2 2920-3.1-3 2920-3.1-6 2920-3.1-2", _first_line),
    *_refusing("a-code-alone", "4.2.1-3b 4.2-2 4.2-5c 2920-3.1-2", rb"^\d{3}\r?$"),
    *_refusing("a-code-and-a-space", "4.2.1-3b 4.2-2 4.2-5c", rb"^\d{3} \r?$"),
    *_refusing("empty-texts", "4.2-n2", rb"^\d{3}-\r?$"),
    *_refusing("octets-beyond-ascii", f"{TEXT} 6531-3.7.4.1-1", rb"[\x80-\xff]"),
    *_refusing("control-characters", TEXT, rb"[\x01-\x08\x7f]"),
    _refusing("per-cent-signs", TEXT, rb"%")[0],
    *_refusing("long-lines", "4.5.3.1.5-n1b", rb"^.{300}"),
    _reads("no-hundred-lines", "4.2-n2 4.5.3.1.5-n1b", lambda octets: (Heard(0, ("too many",)), b"") if octets.count(b"\n") > 3 else take_reply(octets)),
    *_refusing("several-lines", "4.2-n2 2920-3.1-3 2920-3.1-1", rb"^\d{3}-"),
    _reads("codes-in-the-text", f"{TEXT} 4.2-n2 2920-3.1-2", _text_counts),
    _reads("any-first-digit-as-2", "4.2-10", _any_digit),
    _reads("any-first-digit-as-3", "4.2-10", lambda octets: take_reply(re.sub(rb"(?m)^[016789](\d\d)", rb"3\1", octets))),
    mutant(
        "reads-each-line-and-goes-on",
        "2920-3.1-2 2920-3.1-6 2920-3.1-1",
        take_reply=lambda self, octets: take_reply(octets) if octets[4:7] == b"mx." else _first_line(octets),
        send_data=lambda self, transfer, heard, taken: original("send_data")(self, transfer, Heard(554) if heard.kind == 2 else heard, taken),
    ),
    mutant("reads-one-segment", "4.2-n2 4.3.1-2", received=_lone_segment),
    mutant("dies-of-replies-that-are-none", "4.2-10", take_reply=_dies_of_nonsense, connected=_dead),
    _verdict(
        "250-is-success",
        f"{CODES} 3030-2-9",
        is_delivered=lambda heard: heard.code == 250,
        is_permanent=lambda heard: heard.kind == 5 or 250 < heard.code < 300,
    ),
    _verdict("listed-codes-are-good", CODES, is_good=lambda heard: heard.code in (220, 250, 251, 252)),
    _verdict("listed-codes-are-good-to-rcpt", f"{CODES} {TEXT}", is_good=lambda heard: heard.code in (220, 221, 250)),
    _verdict("listed-codes-are-permanent", f"{CODES} 7504-4-n1", is_permanent=lambda heard: heard.code in (521, 550, 551, 552, 553, 554)),
    _verdict("unlisted-codes-are-permanent", CODES, is_permanent=lambda heard: heard.code > 0 and heard.code not in (421, 450, 451, 452, 454)),
    _verdict("transient-is-permanent", "4.2-5a 4.2.1-1 1870-6.2-2 1870-6.2-5 1870-6.4-2 4.5.3.1.8-4 3030-2-9", is_permanent=lambda heard: heard.kind in (4, 5)),
    _verdict("no-room-is-permanent", "4.2.1-1 1870-6.2-2 1870-6.2-5 1870-6.4-2 4.5.3.1.8-4", is_permanent=lambda heard: heard.kind == 5 or heard.code == 452),
    _verdict("closing-is-permanent", "4.2.1-1 3.8-3", is_permanent=lambda heard: heard.kind == 5 or heard.code == 421),
    _verdict(
        "permanent-is-transient",
        "4.2-5a 4.2.1-2 4.2.5-4 6.1-2 1870-6.2-5 1870-6.2-3 1870-6.4-3 4.5.3.1-3b 3.3-10a 2920-3.1-1 5.1-3 7505-4.1-n1 5.1-5 5.1-20 7504-3-n1",
        is_permanent=lambda heard: False,
    ),
    _verdict(
        "552-is-transient", "4.2.1-2 4.2.5-4 1870-6.2-5 1870-6.2-3 1870-6.4-3 4.5.3.1-3b", is_permanent=lambda heard: heard.kind == 5 and heard.code != 552
    ),
    _verdict("554-is-transient", "4.2.1-2 4.2.5-4 6.1-2", is_permanent=lambda heard: heard.kind == 5 and heard.code != 554),
    _verdict(
        "by-enhanced-code",
        TEXT,
        is_permanent=lambda heard: heard.kind in (4, 5) and (heard.lines[0][:1] == "5" if heard.lines and heard.lines[0][1:2] == "." else heard.kind == 5),
    ),
    _verdict(
        "ok-is-success",
        TEXT,
        is_delivered=lambda heard: heard.kind == 2 or _text_has("ok")(heard),
        is_permanent=lambda heard: heard.kind == 5 and not _text_has("ok")(heard),
    ),
    _verdict(
        "failure-in-the-text-is-failure",
        TEXT,
        is_delivered=lambda heard: heard.kind == 2 and not _text_has("fail")(heard),
        is_permanent=lambda heard: heard.kind == 5 or _text_has("fail")(heard),
    ),
    _verdict("error-in-the-text-is-no-success", TEXT, is_good=lambda heard: heard.kind == 2 and not _text_has("error")(heard)),
    _verdict(
        "a-code-in-the-text-is-permanent", TEXT, is_permanent=lambda heard: heard.kind == 5 or re.search(r"\b[245]\d\d\b", " ".join(heard.lines)) is not None
    ),
    _verdict("greeting-needs-esmtp", "2.2.1-3b", is_good=lambda heard: heard.kind == 2 and not _text_has("simple mail")(heard)),
    _verdict("251-is-no-success", TEXT, is_good=lambda heard: heard.kind == 2 and heard.code not in (251, 252)),
    mutant(
        "verdict-content-after-354-only",
        CODES,
        send_data=lambda self, transfer, heard, taken: original("send_data")(self, transfer, heard if heard.code == 354 else Heard(554), taken),
    ),
    mutant(
        "verdict-354-with-refusal",
        TEXT,
        send_data=lambda self, transfer, heard, taken: original("send_data")(
            self, transfer, Heard(554) if heard.lines and "554" in heard.lines[0] else heard, taken
        ),
    ),
    mutant("lost-is-permanent", "3.8-3 3030-2-9 2920-3.1-1 4.5.3.2-1 3207-4-n3", lost=_lost(lambda heard: Heard(550, ("5.4.2 Lost",)))),
    mutant("lost-is-delivered", "3.8-3 4.2-5a 4.5.3.2-1 3030-2-9", lost=_lost(lambda heard: Heard(250, ("Taken, who knows",)))),
    mutant("lost-in-content-is-permanent", "3.8-3", lost=_lost_at(lambda transfer: transfer.has_sent, Heard(554, ("5.4.2 Lost",)))),
    mutant(
        "one-refusal-is-for-all",
        "4.2-5a 2920-3.1-1 2920-3.1-2 3030-2-12 1870-6.4-2 4.5.3.1.10-1",
        settle=_settle(lambda all_: next((heard for heard in all_ if heard.kind == 5), all_[0])),
    ),
    mutant(
        "one-success-is-for-all",
        "4.2-5a 2920-3.1-1 2920-3.1-2 4.5.3.1.8-4 1870-6.4-3 4.5.3.1.10-1",
        settle=_settle(lambda all_: next((heard for heard in all_ if heard.kind == 2), all_[0])),
    ),
    mutant("first-is-for-all", "4.2-5a 2920-3.1-1", settle=_settle(lambda all_: all_[0])),
    mutant("last-is-for-all", "4.2-5a 2920-3.1-1 2920-3.1-2", settle=_settle(lambda all_: all_[-1])),
    mutant("552-to-rcpt-is-permanent", "4.5.3.1.10-1 4.5.3.1.10-2b", of_rcpt=lambda self, heard: heard),
    mutant(
        "552-to-rcpt-is-transient",
        "1870-6.4-3 4.2.1-2",
        of_rcpt=altered("of_rcpt", lambda heard, self, given: Heard(452, ("4.5.3 Later",)) if given.code == 552 else heard),
    ),
)
