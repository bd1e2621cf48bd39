"""Reports about international mail (RFC 6533): UTF-8 where the way back takes it, 7 bits where it does not."""

from collections.abc import Callable
from typing import Final, NamedTuple

from conformance.case import QUEUE, section
from conformance.context import Context
from conformance.outcome import MAY, MUST, MUST_NOT, SHOULD, Broken, check, inconclusive, skip
from conformance.queue.reports import Report, refused
from conformance.wire import Remark, Script, Step

case = section("rfc6533/4", QUEUE, needs=("dns", "extension:SMTPUTF8", "extension:DSN"))
parts = section("rfc6533/6", QUEUE, needs=("dns", "extension:SMTPUTF8", "extension:DSN"))

LOCAL: Final = "Jürgen"
GLOBAL: Final = ("SMTPUTF8", "8BITMIME", "DSN", "SIZE 10000000")
SEVEN: Final = ("DSN",)
HEADERS: Final = "message/global-headers"
STATUS: Final = "message/global-delivery-status"


class Row(NamedTuple):
    """What the way back offers, and what is claimed about the report there."""

    id: str
    offers: tuple[str, ...]
    claim: str
    level: str
    tests: tuple[str, ...]
    holds: Callable[[Context, Report], object]


def original(found: Report) -> str:
    return next((recipient.get("original-recipient", "") for recipient in found.recipients), "")


def is_global(found: Report) -> bool:
    return found.status_part is not None and found.status_part.type == STATUS


def plain_address(at: Context, found: Report) -> bool:
    """Only a global report has to have it so."""
    return not is_global(found) or any(recipient.get("final-recipient", "").endswith(at.remote_at("", LOCAL)) for recipient in found.recipients)


def seven_bits(at: Context, found: Report) -> bool:
    return found.mail.raw.isascii()


def has_coding(found: Report, kind: str, wanted: tuple[str, ...]) -> bool:
    """The parts of this type are encoded in one of these ways."""
    return all(str(part.head.get("Content-Transfer-Encoding", "7bit")).strip().lower() in wanted for part in found.parts if part.type == kind)


def languages(found: Report) -> list[str]:
    return [recipient["localized-diagnostic"].partition(";")[0] for recipient in found.recipients if "localized-diagnostic" in recipient]


ROWS: Final = (
    Row("xtext-in-seven-bits", SEVEN, "7-bit with the address encoded", MUST, ("6533-3-5", "6533-4.5-1"), seven_bits),
    Row("plain-addresses", GLOBAL, "with plain UTF-8 in its addresses", SHOULD, ("6533-3-7", "6533-4.1-3"), plain_address),
    Row(
        "plain-original-recipient",
        GLOBAL,
        "with plain UTF-8 for the coded ORCPT",
        SHOULD,
        ("6533-3-10", "6533-4.1-4"),
        lambda at, it: not is_global(it) or original(it).replace(" ", "").lower() == "utf-8;jürgen@where.example",
    ),
    Row("a-language-once", GLOBAL, "without a language twice", MUST, ("6533-4.1-5",), lambda at, it: len(languages(it)) == len(set(languages(it)))),
)

PARTS: Final = (
    Row("headers-8bit", GLOBAL, "8bit in message/global-headers", SHOULD, ("6533-6.3-1",), lambda at, it: has_coding(it, HEADERS, ("8bit", "7bit"))),
    Row(
        "no-charset",
        GLOBAL,
        "without charset on message/global-headers",
        MUST_NOT,
        ("6533-6.3-3",),
        lambda at, it: all(part.head.get_param("charset") is None for part in it.parts if part.type == HEADERS),
    ),
    Row("status-8bit", GLOBAL, "8bit in message/global-delivery-status", MUST, ("6533-6.4-1",), lambda at, it: has_coding(it, STATUS, ("8bit",))),
)


def about(at: Context, offers: tuple[str, ...], orcpt: str = "utf-8;J\\x{FC}rgen@where.example") -> Step[Report]:
    """The report of an international message that got 550. A way of 7 bits on which none comes tells nothing: the target could not make it so."""
    try:
        return (
            yield from refused(
                at,
                at.remote_at("", LOCAL),
                parameters="SMTPUTF8",
                rcpt_parameters=f"NOTIFY=FAILURE ORCPT={orcpt}",
                offered=offers,
                offers=GLOBAL,
                content=at.message("X-Text: Grüße".encode()),
            )
        )
    except Broken as why:
        if "SMTPUTF8" in offers:
            raise
        inconclusive(str(why))


@case.table(ROWS)
def reported(at: Context, row: Row) -> Script:
    """The report of a refused international message is {claim}, on a way back that offers {offers}."""
    found = yield from about(at, row.offers)
    check(row.holds(at, found), f"it is not: {found.about} {found.recipients}")


@parts.table(PARTS)
def part(at: Context, row: Row) -> Script:
    """The report of a refused international message is {claim}, on a way back that offers {offers}."""
    found = yield from about(at, row.offers)
    check(row.holds(at, found), f"it is not: {[(part.type, part.head.items()) for part in found.parts]}")


@case("types-in-use", MAY, tests=("6533-4.1-1", "6533-4.1-2a"))
def types_in_use(at: Context) -> Script:
    """Fields of a global report may have UTF-8: a fact."""
    found = yield from about(at, GLOBAL)
    yield Remark(
        f"parts {[part.type for part in found.parts]}, UTF-8 in the status: {not (found.status_part is None or found.status_part.raw.isascii())}", "info"
    )


@case("types-in-seven-bits", MAY, tests=("6533-4.4-3", "6533-6.3-2"))
def types_seven(at: Context) -> Script:
    """On a way of 7 bits the older types may be used, or the new ones be encoded: a fact."""
    found = yield from about(at, SEVEN)
    yield Remark(f"parts {[(part.type, part.head.get('Content-Transfer-Encoding')) for part in found.parts]}", "info")


@case("orcpt-that-is-not-valid", MUST, tests=("6533-3-11",))
def invalid_original(at: Context) -> Script:
    """ORCPT of type utf-8 that cannot be decoded is copied into a global report as it is (unless RCPT is refused for it)."""
    found = yield from about(at, GLOBAL, "utf-8;a\\x{110000000}b@where.example")
    value = original(found).partition(";")[2].strip()
    if not is_global(found):
        skip("the report has no message/global-delivery-status")
    check(value in ("", "a\\x{110000000}b@where.example"), f"it became {value!r}")
