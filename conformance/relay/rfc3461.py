"""The parameters of DSN on their way through a relay (RFC 3461 5.2.1): what came goes on as it came, and nothing is made up."""

from typing import Final, NamedTuple

from conformance.case import RELAY, section
from conformance.client.steps import bring, brought
from conformance.context import Context
from conformance.outcome import MAY, MUST, MUST_NOT, check
from conformance.visit import Visit, parameters_of
from conformance.wire import Remark, Script

case = section("rfc3461/5.2.1", RELAY, needs=("dns", "extension:DSN"))
without = section("rfc3461/5.2.2", RELAY, needs=("dns", "extension:DSN"))

OFFERS: Final = ("DSN", "8BITMIME", "SIZE 1000000")


class Row(NamedTuple):
    """Parameters of MAIL and RCPT, and what the next hop must see of the one in question; None: not at all."""

    id: str
    mail: str
    rcpt: str
    keyword: str
    value: str | None
    tests: tuple[str, ...]
    level: str = MUST


ROWS: Final = (
    Row("envid", "ENVID=QQ314159", "", "ENVID", "QQ314159", ("3461-5.2.1-1",)),
    Row("envid-xtext", "ENVID=Ab+2BcD+3De", "", "ENVID", "Ab+2BcD+3De", ("3461-5.2.1-1",)),
    Row("envid-hundred", "ENVID=" + "x" * 100, "", "ENVID", "x" * 100, ("3461-5.2.1-1",)),
    Row("no-envid", "", "NOTIFY=FAILURE", "ENVID", None, ("3461-5.2.1-2",), MUST_NOT),
    Row("ret-full", "RET=FULL", "", "RET", "FULL", ("3461-5.2.1-3",)),
    Row("ret-hdrs", "RET=HDRS", "", "RET", "HDRS", ("3461-5.2.1-3",)),
    Row("no-ret", "", "NOTIFY=FAILURE", "RET", None, ("3461-5.2.1-4",), MUST_NOT),
    Row("notify-never", "", "NOTIFY=NEVER", "NOTIFY", "NEVER", ("3461-5.2.1-5",)),
    Row("notify-success", "", "NOTIFY=SUCCESS", "NOTIFY", "SUCCESS", ("3461-5.2.1-5",)),
    Row("notify-failure", "", "NOTIFY=FAILURE", "NOTIFY", "FAILURE", ("3461-5.2.1-5",)),
    Row("notify-delay", "", "NOTIFY=DELAY", "NOTIFY", "DELAY", ("3461-5.2.1-5",)),
    Row("notify-all", "", "NOTIFY=SUCCESS,FAILURE,DELAY", "NOTIFY", "DELAY,FAILURE,SUCCESS", ("3461-5.2.1-5",)),
    Row("no-notify", "ENVID=a", "", "NOTIFY", None, ("3461-5.2.1-6",), MUST_NOT),
    Row("orcpt", "", "ORCPT=rfc822;who@where.example", "ORCPT", "rfc822;who@where.example", ("3461-5.2.1-7",)),
    Row("orcpt-case", "", "ORCPT=rfc822;WhO@Where.Example", "ORCPT", "rfc822;WhO@Where.Example", ("3461-5.2.1-8",), MUST_NOT),
    Row("orcpt-xtext", "", "ORCPT=rfc822;a+2Bb+3Dc@where.example", "ORCPT", "rfc822;a+2Bb+3Dc@where.example", ("3461-5.2.1-7", "3461-5.2.1-8")),
)


def canonical(keyword: str, value: str | None) -> str | None:
    """Without what is free: the order of NOTIFY, the case of its words and of RET, and that of the type of ORCPT."""
    if value is None:
        return None
    if keyword == "ORCPT":
        kind, _, address = value.partition(";")
        return f"{kind.lower()};{address}"
    if keyword == "NOTIFY":
        return ",".join(sorted(value.upper().split(",")))
    return value.upper() if keyword == "RET" else value


def seen(visit: Visit, keyword: str) -> str | None:
    """The parameter at the next hop."""
    return canonical(keyword, parameters_of(visit.of("MAIL" if keyword in ("ENVID", "RET") else "RCPT")[0]).get(keyword))


@case.table(ROWS)
def passed(at: Context, row: Row) -> Script:
    """Of `{mail}` and `{rcpt}` the next hop sees {keyword} as {value}."""
    visit = yield from bring(at, parameters=row.mail, rcpt_parameters=row.rcpt, offers=OFFERS)
    brought(visit)
    check(seen(visit, row.keyword) == row.value, f"the next hop got {visit.of('MAIL')} {visit.of('RCPT')}")


@case("orcpt-added", MAY, tests=("3461-5.2.1-9",))
def added(at: Context) -> Script:
    """ORCPT may be added: a fact."""
    visit = yield from bring(at, rcpt_parameters="NOTIFY=FAILURE", offers=OFFERS)
    yield Remark(f"ORCPT at the next hop: {seen(visit, 'ORCPT')}", "info")


@case("orcpt-added-is-the-recipient", MUST, tests=("3461-5.2.1-10",))
def added_value(at: Context) -> Script:
    """ORCPT that was added is the address that came in RCPT."""
    visit = yield from bring(at, rcpt_parameters="NOTIFY=FAILURE", offers=OFFERS)
    brought(visit)
    check(seen(visit, "ORCPT") in (None, f"rfc822;{at.remote}"), f"it said {visit.of('RCPT')}")


LACKING: Final = tuple(
    row._replace(id=f"without-dsn-{row.id}", tests=("3461-5.2.2-1",), level=MUST_NOT, value=None)
    for row in ROWS
    if row.id in ("envid", "ret-full", "notify-success", "orcpt")
)


@without.table(LACKING)
def lacking(at: Context, row: Row) -> Script:
    """A next hop without DSN gets nothing of `{mail}` and `{rcpt}`."""
    visit = yield from bring(at, parameters=row.mail, rcpt_parameters=row.rcpt, offers=("SIZE 1000000",))
    brought(visit)
    check(seen(visit, row.keyword) is None, f"it said {visit.of('MAIL')} {visit.of('RCPT')}")
