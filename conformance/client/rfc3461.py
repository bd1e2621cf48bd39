"""The parameters of DSN as the client sends them (RFC 3461): only where DSN is offered, once each, in their form."""

import re
from typing import Final, NamedTuple

from conformance.case import CLIENT, section
from conformance.client.steps import bring, brought
from conformance.context import Context
from conformance.dialogue import admitted
from conformance.oracle import need
from conformance.outcome import MUST, MUST_NOT, check
from conformance.visit import parameters_of, receive
from conformance.wire import Script

case = section("rfc3461/4", CLIENT, needs=("dns", "extension:DSN"))
orcpt = section("rfc3461/4.2", CLIENT, needs=("dns", "extension:DSN"))

_XTEXT: Final = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
OFFERS: Final = ("DSN",)
MAIL: Final = "RET=HDRS ENVID=envelope+2B1"


def decoded(xtext: str) -> str:
    return re.sub(r"\+([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), xtext)


@case("once", MUST_NOT, tests=("3461-4.5-1", "3461-4.5-3"))
def once(at: Context) -> Script:
    """RET, ENVID, NOTIFY and ORCPT are sent once at most."""
    visit = yield from bring(at, parameters=MAIL, rcpt_parameters="NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;who@where.example", offers=OFFERS)
    brought(visit)
    for line in (*visit.of("MAIL"), *visit.of("RCPT")):
        words = [word.partition(b"=")[0].upper() for word in line.rpartition(b">")[2].split()]
        check(len(words) == len(set(words)), f"it said {line!r}")


@case("not-without-offer", MUST_NOT, tests=("5321-4.1.1.3-6",))
def not_without(at: Context) -> Script:
    """A server that does not offer DSN gets none of its parameters."""
    visit = yield from bring(at, parameters=MAIL, rcpt_parameters="NOTIFY=FAILURE ORCPT=rfc822;who@where.example", offers=("SIZE 1000000",))
    brought(visit)
    for line in (*visit.of("MAIL"), *visit.of("RCPT")):
        check(not set(parameters_of(line)) & {"RET", "ENVID", "NOTIFY", "ORCPT"}, f"it said {line!r}")


class Row(NamedTuple):
    """RCPT parameters as they come in."""

    id: str
    parameters: str
    local: str = "rcpt"


ORIGINALS: Final = (
    Row("given", "ORCPT=rfc822;who@where.example"),
    Row("given-xtext", "ORCPT=rfc822;a+2Bb+3Dc@where.example"),
    Row("given-small-type", "ORCPT=RFC822;who@where.example"),
    Row("given-x400", "ORCPT=x400;/S+3Dx/C+3Dde/"),
    Row("none", "NOTIFY=SUCCESS"),
    Row("none-plus-in-the-address", "NOTIFY=FAILURE", "user+tag"),
    Row("none-equals-in-the-address", "NOTIFY=FAILURE", "user=tag"),
    Row("none-quoted-address", "NOTIFY=FAILURE", '"a b"'),
)


@orcpt.table(ORIGINALS, MUST, prefix="orcpt-", tests=("3461-4.2-2", "3461-4.2-6"))
def original(at: Context, row: Row) -> Script:
    """ORCPT, where it is sent, is an address type, a semicolon, and xtext of printable ASCII ({id})."""
    client = yield from admitted(at)
    yield from client.mail()
    need((yield from client.command(f"RCPT TO:<{row.local}@{at.domain}> {row.parameters}")), "250", "RCPT")
    need((yield from client.data()), "250", "the end of data")
    visit = yield from receive(at, offers=OFFERS, idle_s=0.3)
    brought(visit)
    value = parameters_of(visit.of("RCPT")[0]).get("ORCPT")
    if value is None:
        return
    kind, semicolon, address = value.partition(";")
    check(re.fullmatch(r"[0-9A-Za-z-]+", kind) and semicolon, f"it said {visit.of('RCPT')[0]!r}")
    check(_XTEXT.fullmatch(address), f"it said {visit.of('RCPT')[0]!r}")
    check(all(" " <= letter <= "~" for letter in decoded(address)), f"it said {visit.of('RCPT')[0]!r}")


@case("common-mail-to-a-dsn-server", MUST, tests=("3461-4.5-1", "3461-4.5-3"))
def common(at: Context) -> Script:
    """A message that came without any of the parameters is delivered to a server with DSN; what is added has its form."""
    visit = yield from bring(at, offers=OFFERS)
    mail = brought(visit)
    ret = mail.parameters.get("RET", "HDRS").upper()
    notify = parameters_of(visit.of("RCPT")[0]).get("NOTIFY", "FAILURE").upper()
    check(ret in ("FULL", "HDRS"), f"it said {mail.mail!r}")
    check(notify == "NEVER" or set(notify.split(",")) <= {"SUCCESS", "FAILURE", "DELAY"}, f"it said {visit.of('RCPT')[0]!r}")
