"""Parameters of MAIL and RCPT (RFC 5321 4.1.1.11, 4.1.2): unknown ones, and their form."""

from typing import Final, NamedTuple

from conformance.case import SERVER, section
from conformance.context import Context
from conformance.dialogue import hello, reach
from conformance.oracle import expect
from conformance.outcome import MUST, SHOULD
from conformance.server.steps import helo, is_idle, is_open
from conformance.wire import Script

case = section("rfc5321/4.1.1.11", SERVER)

UNKNOWN: Final = ("5321-4.1.1.11-n1",)
FORM: Final = ("5321-4.1.4-13a", "5321-4.1.4-13b")


class Parameter(NamedTuple):
    id: str
    text: str
    what: str
    level: str = MUST
    tests: tuple[str, ...] = UNKNOWN


ROWS: Final = (
    Parameter("keyword", "XNOSUCH", "a keyword that nobody knows"),
    Parameter("value", "XNOSUCH=value", "a keyword that nobody knows, with a value"),
    Parameter("second", "XNOSUCH=1 XOTHER=2", "two of them"),
    Parameter("empty-value", "XNOSUCH=", "an equals sign without value"),
    Parameter("no-keyword", "=value", "a value without keyword", SHOULD, FORM),
    Parameter("bad-keyword", "X_NO=1", "a keyword with an underscore", SHOULD, FORM),
    Parameter("control", "XNOSUCH=a\x01b", "a control character in the value", SHOULD, FORM),
)


@case.table(ROWS, prefix="mail-")
def mail_parameter(at: Context, row: Parameter) -> Script:
    """MAIL with {what} ({text}) is refused with 555 (or another permanent refusal), nothing is open, and the same without it is taken."""
    client = yield from hello(at)
    expect((yield from client.command(f"MAIL FROM:<{at.sender}> {row.text}")), "555 5yz", f"MAIL with {row.what}")
    yield from is_idle(client)
    expect((yield from client.command(f"MAIL FROM:<{at.sender}>")), "250", "the good twin")


@case.table(ROWS, prefix="rcpt-")
def rcpt_parameter(at: Context, row: Parameter) -> Script:
    """RCPT with {what} ({text}) is refused with 555 (or another permanent refusal), and the same without it is taken."""
    client = yield from reach(at, "mail")
    expect((yield from client.command(f"RCPT TO:<{at.recipient}> {row.text}")), "555 5yz", f"RCPT with {row.what}")
    yield from is_open(client)


@case("mail-after-helo", SHOULD, tests=("5321-4.1.1.11-n1",))
def after_helo(at: Context) -> Script:
    """After HELO no extension was agreed on: an unknown parameter is refused there as well."""
    client = yield from helo(at)
    expect((yield from client.command(f"MAIL FROM:<{at.sender}> XNOSUCH=1")), "555 5yz", "MAIL with a parameter after HELO")
    expect((yield from client.command(f"MAIL FROM:<{at.sender}>")), "250", "the good twin")


@case("parameter-keyword-case", MUST, tests=("5321-2.4-n1",), needs=("extension:SIZE",))
def keyword_case(at: Context) -> Script:
    """The keyword of a parameter means the same in any case."""
    for line in (f"MAIL FROM:<{at.sender}> SIZE=1000", f"MAIL FROM:<{at.sender}> size=1000", f"mail from:<{at.sender}> Size=1000"):
        client = yield from hello(at)
        expect((yield from client.command(line)), "250", line.split()[-1])
        yield from client.quit()
