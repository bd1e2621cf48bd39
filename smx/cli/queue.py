"""`smx queue`: what is in the queue and why it waits; hold it, release it, try it again, remove or return it; status and limits (SX65, SX66).

Every change needs a filter or --all, can be tried with --dry-run, and is written to the log with the operator's name. Times of filters are
ages: --older-than 2h. Statuses: 0, 1 when a change found nothing, 64 wrong usage, 69 when no smx runs on the spool.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer

from smx.admin.queue import AdminUnreachableError, LimitError, QueueTool, printable, queue_id, shown, who
from smx.cli.common import ConfigOption, JsonOption, fail, new_app, print_json
from smx.cli.submit_to import NotConfiguredError, find_spool
from smx.config.option import Kind
from smx.config.schema_qmgr import OPTIONS
from smx.config.text import format_size, format_time, parse_number, parse_size, parse_time
from smx.ids import id_number
from smx.messages import Filter, QueueChanged, QueueRow, Status
from smx.units import SECOND

EX_NOTHING: Final = 1
EX_USAGE: Final = 64
EX_UNAVAILABLE: Final = 69
EX_CONFIG: Final = 78
LIMIT: Final = "limit."  # what the names of limits begin with among the figures
STATES: Final = ("active", "deferred", "held", "quarantined")
VERBS: Final = (
    # command  verb of QMGR  help
    ("retry", "retry", "Try deferred recipients now."),
    ("hold", "hold", "Keep recipients in the queue without trying them, until they are released."),
    ("release", "release", "Let held or quarantined recipients be tried again, now."),
    ("rm", "remove", "Remove recipients; nobody is told, the log records it."),
    ("bounce", "bounce", "Give recipients up: their senders get a notification."),
)
COLUMNS: Final = ("ID", "STATE", "AGE", "NEXT", "TRIES", "SIZE", "SENDER", "RECIPIENT", "REASON")
REASON_SHOWN_MAX: Final = 60

Ids = Annotated[list[str] | None, typer.Option("--id", metavar="ID", help="Queue id, as in the log and in the reply to the sender.")]
Sender = Annotated[str, typer.Option("--sender", metavar="PATTERN", help="Envelope sender, such as '*@example.org'; <> is the null one.")]
Recipient = Annotated[str, typer.Option("--recipient", metavar="PATTERN", help="Recipient.")]
Destination = Annotated[str, typer.Option("--destination", metavar="PATTERN", help="Destination, such as example.net.")]
State = Annotated[str, typer.Option("--state", metavar="STATE", help=f"One of {', '.join(STATES)}.")]
OlderThan = Annotated[str, typer.Option("--older-than", metavar="TIME", help="Arrived longer ago than this: 90s, 2h, 1d.")]
YoungerThan = Annotated[str, typer.Option("--younger-than", metavar="TIME", help="Arrived less long ago than this.")]
All = Annotated[bool, typer.Option("--all", help="Everything in the queue; needed when no filter is given.")]
DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Only show what would be changed.")]
Limit = Annotated[int, typer.Option("--limit", min=0, help="At most so many recipients; 0: all.")]

app = new_app("Show and change the queue of the running smx.", group=True)


@contextmanager
def tool(config: str | None) -> Iterator[QueueTool]:
    """The queue of the running smx; what can go wrong becomes a message and a status."""
    try:
        with QueueTool(find_spool(config or "")) as opened:
            yield opened
    except AdminUnreachableError as error:
        raise fail(f"smx queue: {error}", EX_UNAVAILABLE) from None
    except NotConfiguredError as error:
        raise fail(str(error), EX_CONFIG) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader had enough: nothing more is flushed to it


def filters(
    ids: list[str] | None,
    sender: str = "",
    recipient: str = "",
    destination: str = "",
    state: str = "",
    older_than: str = "",
    younger_than: str = "",
) -> list[Filter]:
    """One Filter for each id, or one without."""
    if state and state not in STATES:
        raise fail(f"smx queue: there is no state {state!r}: one of {', '.join(STATES)}", EX_USAGE)
    try:
        numbers = [id_number(each) for each in ids] if ids else [0]
        older, younger = [_stamp(age) for age in (older_than, younger_than)]
    except ValueError as error:
        raise fail(f"smx queue: {error}", EX_USAGE) from None
    return [Filter(number, sender, recipient, destination, state, older, younger) for number in numbers]


def _stamp(age: str) -> int:
    return time.time_ns() // 1000 - parse_time(age) if age else 0


# --- listing


@app.command("ls")
def ls(
    ids: Ids = None,
    sender: Sender = "",
    recipient: Recipient = "",
    destination: Destination = "",
    state: State = "",
    older_than: OlderThan = "",
    younger_than: YoungerThan = "",
    limit: Limit = 0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List recipients, one a line, oldest message first."""
    chosen = filters(ids, sender, recipient, destination, state, older_than, younger_than)
    with tool(config) as opened:
        rows = [row for each in chosen for row in opened.rows(each, limit)]
    if as_json:
        print_json([as_object(row) for row in rows])
    elif rows:
        print_rows(rows)
    else:
        print("nothing in the queue" if chosen == [Filter()] else "nothing in the queue that this selects")


@app.command("show")
def show(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Queue ids.")],
    content: Annotated[bool, typer.Option("--content", help="Print the message as well.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Everything about messages: envelope, recipients, why they wait; with --content the message itself."""
    with tool(config) as opened:
        found = [(each, list(opened.rows(chosen))) for each, chosen in zip(ids, filters(ids), strict=True)]
    if as_json:
        print_json([as_object(row) for _, rows in found for row in rows])
    for name, rows in found:
        if not rows:
            print(f"{name}: not in the queue", file=sys.stderr)
        elif not as_json:
            _show(rows)
            if content:
                _print_content(find_spool(config or ""), rows[0])
    if not all(rows for _, rows in found):
        raise typer.Exit(EX_NOTHING)


def _show(rows: list[QueueRow]) -> None:
    first = rows[0]
    print(f"{queue_id(first)}  from <{shown(first.reverse_path)}>  {first.octets} octets  arrived {_local(first.arrived_at)}")
    if first.client:
        print(f"  from {printable(first.client)}")
    for row in rows:
        tries = "1 try" if row.attempts == 1 else f"{row.attempts} tries"
        print(f"  {row.index}: <{shown(row.recipient)}>  {row.state}  to {printable(row.destination) or '-'}  {tries}")
        if row.next_try_at:
            print(f"     next try {_local(row.next_try_at)}")
        if row.reason:
            print(f"     {shown(row.reason)}")


def _print_content(spool: str, row: QueueRow) -> None:
    path = f"{spool}/cdb/{row.segment:016x}.cdb"
    try:
        with open(path, "rb") as file:
            file.seek(row.offset)
            octets = file.read(row.octets)
    except OSError as error:
        raise fail(f"smx queue: {path}: {error.strerror}", EX_UNAVAILABLE) from None
    sys.stdout.flush()
    sys.stdout.buffer.write(octets.replace(b"\r\n", b"\n"))
    sys.stdout.buffer.flush()


# --- changing


def _command(verb: str) -> Callable[..., None]:
    """The command that applies a verb of QMGR; all of them take the same options."""

    def command(
        named: Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="Queue ids; the same as --id.")] = None,
        ids: Ids = None,
        sender: Sender = "",
        recipient: Recipient = "",
        destination: Destination = "",
        state: State = "",
        older_than: OlderThan = "",
        younger_than: YoungerThan = "",
        every: All = False,
        dry_run: DryRun = False,
        config: ConfigOption = None,
        as_json: JsonOption = False,
    ) -> None:
        chosen = filters([*(named or ()), *(ids or ())], sender, recipient, destination, state, older_than, younger_than)
        if chosen == [Filter()] and not every:
            raise fail("smx queue: this would change the whole queue; give a filter, or --all", EX_USAGE)
        with tool(config) as opened:
            answers = [opened.change(verb, each, dry_run=dry_run, who=who()) for each in chosen]
        _print_changes(verb, answers, dry_run=dry_run, as_json=as_json)

    return command


def _print_changes(verb: str, answers: list[QueueChanged], *, dry_run: bool, as_json: bool) -> None:
    errors = [answer.error for answer in answers if answer.error]
    if errors:
        raise fail(f"smx queue: {errors[0]}", EX_UNAVAILABLE)
    rows = [row for answer in answers for row in answer.rows]
    total = sum(max(answer.total, len(answer.rows)) for answer in answers)
    if as_json:
        print_json({"verb": verb, "dry_run": dry_run, "recipients": total, "rows": [as_object(row) for row in rows]})
    else:
        if rows:
            print_rows(rows)
        print(f"{verb}: {total} {'recipient' if total == 1 else 'recipients'}{' would be changed' if dry_run else ''}")
    if not total:
        raise typer.Exit(EX_NOTHING)


for _name, _verb, _help in VERBS:
    app.command(_name, help=_help)(_command(_verb))


# --- status and limits


@app.command("status")
def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Lengths of the queues, limits in force, the busiest destinations."""
    with tool(config) as opened:
        answer = opened.status()
    _print_status(answer, as_json=as_json)


@app.command("set")
def set_limit(
    name: Annotated[str, typer.Argument(help="A limit that `smx queue status` shows.")],
    value: Annotated[str, typer.Argument(help="A number, a time like 5m, or a size like 64MiB.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a limit of the running QMGR; it lasts until QMGR starts anew."""
    number = _number(value)
    with tool(config) as opened:
        try:
            answer = opened.set_limit(name.removeprefix(LIMIT), number)
        except LimitError as error:
            raise fail(f"smx queue: {error}", EX_USAGE) from None
    _print_status(answer, as_json=as_json)


def _number(text: str) -> int:
    """A number, or a time in microseconds, or a size in octets."""
    for parse in (parse_number, parse_time, parse_size):
        try:
            return parse(text)
        except ValueError:
            continue
    raise fail(f"smx queue: {text!r} is no number, time or size", EX_USAGE)


def _print_status(answer: Status, *, as_json: bool) -> None:
    if as_json:
        names = ("destination", "queued", "in_flight", "window")
        print_json({"figures": dict(answer.figures), "destinations": [dict(zip(names, row, strict=True)) for row in answer.destinations]})
        return
    width = max((len(name) for name, _ in answer.figures), default=0)
    for name, figure in answer.figures:
        print(f"{name:<{width}}  {_figure(name, figure)}")
    if answer.destinations:
        print()
        print_table(("DESTINATION", "QUEUED", "IN FLIGHT", "WINDOW"), [tuple(map(str, row)) for row in answer.destinations])


def _figure(name: str, figure: int) -> str:
    """A limit as the configuration file writes it; a count as it is."""
    section, _, last = f"qmgr.{name.removeprefix(LIMIT)}".rpartition(".")
    kind = next((option.kind for option in OPTIONS if (option.section, option.name) == (section, last)), None)
    if kind is Kind.TIME:
        return format_time(figure)
    return format_size(figure) if kind is Kind.SIZE else str(figure)


# --- output


def as_object(row: QueueRow) -> dict[str, Any]:
    """A row for JSON. Stamps are microseconds since 1970."""
    return {
        "id": queue_id(row),
        "index": row.index,
        "state": row.state,
        "sender": row.reverse_path.decode("utf-8", "backslashreplace"),
        "recipient": row.recipient.decode("utf-8", "backslashreplace"),
        "destination": row.destination,
        "arrived_at": row.arrived_at,
        "next_try_at": row.next_try_at,
        "attempts": row.attempts,
        "octets": row.octets,
        "reason": row.reason.decode("utf-8", "backslashreplace"),
        "client": row.client,
    }


def print_rows(rows: Iterable[QueueRow]) -> None:
    now = time.time_ns() // 1000
    print_table(COLUMNS, [_cells(row, now) for row in rows])


def _cells(row: QueueRow, now: int) -> tuple[str, ...]:
    return (
        queue_id(row),
        row.state,
        _short(now - row.arrived_at) if row.arrived_at else "-",
        _short(row.next_try_at - now) if row.next_try_at else "-",
        str(row.attempts),
        format_size(row.octets),
        f"<{shown(row.reverse_path)}>",
        f"<{shown(row.recipient)}>",
        shown(row.reason)[:REASON_SHOWN_MAX],
    )


def print_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Aligned columns, two spaces between; the same on a terminal and in a pipe."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _short(us: int) -> str:
    """The two largest units of a time: 3h20m; `due` when it is over."""
    seconds = us // SECOND
    if seconds <= 0:
        return "due" if us <= 0 else "0s"
    for factor, parts in ((86_400, 3_600), (3_600, 60), (60, 1)):
        if seconds >= factor:
            return format_time(seconds // parts * parts * SECOND)
    return f"{seconds}s"


def _local(stamp: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(stamp // SECOND))
