"""`smx route ADDRESS`: where mail to an address would go, and with --explain by which rules (SX51, SX52, BX12).

Asks the same SMAR machine that the MTA runs, in this process, with the real DNS and the real maps; nothing is sent. A running MTA
is not needed and not asked. Status 0 when every address has a route, 65 for an address that cannot be one, 68 when mail to it would
be returned, 75 when it would have to wait (sysexits: EX_DATAERR, EX_NOHOST, EX_TEMPFAIL).
"""

import asyncio
import time
from typing import Annotated, Any, Final

import msgspec
import typer

from smx.cli.common import ConfigOption, JsonOption, fail, load_config, new_app, print_json
from smx.config.schema_smar import SmarSettings
from smx.effects import LoadMap, Lookup, Query, Tell
from smx.errors import FormatError
from smx.events import AnyEvent, Linked, Started, Told
from smx.live.dns import Resolver
from smx.live.interfaces import listening
from smx.live.maps import MapServer
from smx.messages import AnyMessage, CheckRecipient, Outcome, Protocol, RecipientChecked, Resolve, Resolved
from smx.notes import text
from smx.smar.machine import Smar
from smx.smtp.grammar import parse_mailbox

EX_DATAERR: Final = 65
EX_NOHOST: Final = 68
EX_TEMPFAIL: Final = 75
_SELF: Final = "route"

app = new_app("Show where mail to an address would go.")


class Step(msgspec.Struct, frozen=True):
    """One rule that fired."""

    rule: str
    matched: str


class Answer(msgspec.Struct, frozen=True):
    """What became of one address. `rcpt`: the reply that a stranger gets at RCPT; empty for members of an alias, who are not asked."""

    address: str
    result: str  # route, expansion, deferred, failed
    destination: str = ""
    protocol: str = ""
    hosts: tuple[tuple[str, int, tuple[str, ...]], ...] = ()
    members: tuple[str, ...] = ()
    reverse_path: str = ""
    reply: str = ""
    rcpt: str = ""
    trail: tuple[Step, ...] = ()


class Asker:
    """SMAR in this process: carries out its effects and waits for one answer at a time."""

    def __init__(self, settings: SmarSettings) -> None:
        self._trail: list[tuple[str, str]] = []
        self._smar = Smar(settings, trail=self._trail)
        self._resolver = Resolver(settings.nameserver, timeout_us=settings.dns_timeout_us, retries=settings.dns_retries)
        self._maps = MapServer(settings, self._step)
        self._answers: asyncio.Queue[AnyMessage] = asyncio.Queue()
        self._step(Started(1, time.time_ns()))
        self._step(Linked(_SELF, 1))
        for event in listening(settings.own_addresses):
            self._step(event)

    async def ask(self, question: CheckRecipient | Resolve) -> tuple[AnyMessage, tuple[Step, ...]]:
        """The answer, and the rules that led to it."""
        self._trail.clear()
        self._step(Told(_SELF, question))
        answer = await self._answers.get()
        return answer, tuple(Step(rule, matched) for rule, matched in self._trail)

    def close(self) -> None:
        self._resolver.close()
        self._maps.close()

    def _step(self, event: AnyEvent) -> None:
        for effect in self._smar.step(event, time.time_ns() // 1000):
            match effect:
                case Query():
                    self._resolver.start(effect, self._step)
                case Lookup():
                    self._maps.lookup(effect)
                case LoadMap():
                    self._maps.load(effect)
                case Tell():
                    self._answers.put_nowait(effect.message)


@app.command()
def route(
    addresses: Annotated[list[str], typer.Argument(metavar="ADDRESS...", help="Recipients: local-part@domain.")],
    config: ConfigOption = None,
    json: JsonOption = False,
    explain: Annotated[bool, typer.Option("--explain", "-e", help="Name the rules that fired.")] = False,
) -> None:
    """Show where mail to an address would go."""
    for address in addresses:
        try:
            parse_mailbox(address.encode(), smtputf8=True)
        except FormatError as error:
            if address.lower() != "postmaster":
                raise fail(f"{address}: {error.text}", EX_DATAERR) from None
    answers = asyncio.run(_answer_all(load_config(config).smar, addresses))
    if not explain:
        answers = [msgspec.structs.replace(answer, trail=()) for answer in answers]
    if json:
        print_json(answers)
    else:
        print("\n".join(line for answer in answers for line in _lines(answer)))
    results = {answer.result for answer in answers}
    if "failed" in results:
        raise typer.Exit(EX_NOHOST)
    if "deferred" in results:
        raise typer.Exit(EX_TEMPFAIL)


async def _answer_all(settings: SmarSettings, addresses: list[str]) -> list[Answer]:
    asker = Asker(settings)
    try:
        return [answer for address in addresses for answer in await _answer(asker, address)]
    finally:
        asker.close()


async def _answer(asker: Asker, address: str) -> list[Answer]:
    """What becomes of an address, and of the members when it is an alias."""
    recipient = address.encode()
    checked, _ = await asker.ask(CheckRecipient(0, recipient, b"", "", may_relay=False))
    assert isinstance(checked, RecipientChecked)
    rcpt = f"{checked.code} {text(checked.enhanced)} {text(checked.text)}"
    resolved, trail = await asker.ask(Resolve(0, recipient, b"sender@invalid"))
    assert isinstance(resolved, Resolved)
    found = [_told(address, resolved, trail, rcpt)]
    for member in resolved.expansion:
        further, trail = await asker.ask(Resolve(0, member, b"sender@invalid", expand=False))
        assert isinstance(further, Resolved)
        found.append(_told(text(member), further, trail, ""))
    return found


def _told(address: str, resolved: Resolved, trail: tuple[Step, ...], rcpt: str) -> Answer:
    common: dict[str, Any] = {"address": address, "trail": trail, "rcpt": rcpt}
    if resolved.route is not None:
        hosts = tuple((host.name, host.port, host.addresses) for host in resolved.route.hosts)
        return Answer(result="route", destination=resolved.route.destination, protocol=Protocol(resolved.route.protocol).name, hosts=hosts, **common)
    if resolved.verdict is not None:
        verdict = resolved.verdict
        result = "failed" if verdict.outcome == Outcome.FAILED else "deferred"
        return Answer(result=result, reply=f"{verdict.code} {text(verdict.enhanced)} {text(verdict.text)}", **common)
    owner = text(resolved.reverse_path) if resolved.reverse_path else ""
    return Answer(result="expansion", members=tuple(map(text, resolved.expansion)), reverse_path=owner, **common)


def _lines(answer: Answer) -> list[str]:
    lines = [answer.address]
    lines += [f"  {step.rule:<15} {step.matched}" for step in answer.trail]
    if answer.rcpt:
        lines.append(f"  {'RCPT':<15} {answer.rcpt}, to a client that may not relay")
    match answer.result:
        case "route":
            lines.append(f"  {'to':<15} {answer.destination} by {answer.protocol}")
            lines += [f"  {'host':<15} {_host(*host)}" for host in answer.hosts]
        case "expansion":
            lines.append(f"  {'expands to':<15} {', '.join(answer.members)}")
            lines += [f"  {'errors to':<15} {answer.reverse_path}"] if answer.reverse_path else []
        case _:
            lines.append(f"  {answer.result:<15} {answer.reply}")
    return lines


def _host(name: str, port: int, addresses: tuple[str, ...]) -> str:
    if not port:
        return " ".join(addresses)
    return f"{name} port {port}: {' '.join(addresses)}"
