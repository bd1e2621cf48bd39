"""Report: the figures of a generator and of a sink, as Structs (whose JSON is the commands' --json) and as tables."""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct
from rich.console import Console
from rich.table import Table

from smx.testing.load.latency import Latency
from smx.testing.load.ledger import Check

Counts = dict[str, int]
RUNG_NAMES: Final = {
    "wait": "due to begun",
    "connect": "connect to greeting",
    "envelope": "MAIL to dot",
    "dot": "dot to 250",
    "whole": "whole message",
}


class LoadReport(Struct, frozen=True, kw_only=True):
    """Of a generator. `replies`: "MAIL 250" -> how many; a message that is begun ends in exactly one of the five ways.

    `mode`: "open" (arrivals at a rate) or "closed". `unstarted`: messages of an open loop that were due and never begun. `cpu_s`: of this process.
    """

    target: str
    run: str
    seed: str
    mode: str
    sessions: int
    elapsed_s: float
    begun: int
    acknowledged: int
    deferred: int
    refused: int
    failed: int
    abandoned: int
    unstarted: int
    retried: int
    recipients_acknowledged: int
    octets: int
    connections: int
    messages_per_s: float
    cpu_s: float
    latency: dict[str, Latency]
    replies: Counts
    errors: Counts
    faults: Counts


class SinkReport(Struct, frozen=True, kw_only=True):
    """Of a sink. A copy is one message for one recipient; `distinct` and `duplicates` tell copies with a token apart, `untold` are those without."""

    target: str
    elapsed_s: float
    messages: int
    copies: int
    distinct: int
    duplicates: int
    untold: int
    octets: int
    connections: int
    connections_peak: int
    messages_per_s: float
    cpu_s: float
    replies: Counts
    faults: Counts
    check: Check | None = None


def show_load(report: LoadReport, console: Console) -> None:
    """Tables."""
    per_message = report.cpu_s * 1e6 / report.begun if report.begun else 0.0
    rows = [
        ("messages a second", f"{report.messages_per_s:,.0f}"),
        ("elapsed", f"{report.elapsed_s:.2f} s"),
        ("begun", f"{report.begun:,} over {report.connections:,} connections"),
        ("acknowledged", f"{report.acknowledged:,} for {report.recipients_acknowledged:,} recipients, {report.octets:,} octets"),
        *((name, f"{number:,}") for name, number in _ends(report) if number),
        ("CPU of the generator", f"{report.cpu_s:.2f} s, {per_message:.0f} us a message"),
    ]
    _pairs(console, f"smx-loadgen to {report.target}: {report.mode} loop, {report.sessions} sessions, run {report.run}", rows)
    if report.acknowledged:
        _latency(console, report.latency)
    _counts(console, "replies", report.replies)
    _counts(console, "errors", report.errors)
    _counts(console, "faults", report.faults)


def _latency(console: Console, latency: Mapping[str, Latency]) -> None:
    table = Table(title="latency, milliseconds", title_justify="left")
    for column in ("", "count", "mean", "p50", "p90", "p99", "max"):
        table.add_column(column, justify="right" if column else "left")
    for rung, found in latency.items():
        if found.count:
            figures = (found.mean_ms, found.p50_ms, found.p90_ms, found.p99_ms, found.max_ms)
            table.add_row(RUNG_NAMES[rung], f"{found.count:,}", *(f"{figure:.2f}" for figure in figures))
    console.print(table)


def _ends(report: LoadReport) -> Iterable[tuple[str, int]]:
    yield "deferred (4yz)", report.deferred
    yield "refused (5yz)", report.refused
    yield "failed", report.failed
    yield "abandoned by a fault", report.abandoned
    yield "due, never begun", report.unstarted
    yield "retries", report.retried


def show_sink(report: SinkReport, console: Console) -> None:
    """Tables."""
    per_message = report.cpu_s * 1e6 / report.messages if report.messages else 0.0
    rows = [
        ("messages", f"{report.messages:,} for {report.copies:,} recipients, {report.octets:,} octets"),
        ("distinct", f"{report.distinct:,}"),
        ("duplicates", f"{report.duplicates:,}"),
        *([("without a token", f"{report.untold:,}")] if report.untold else []),
        ("messages a second", f"{report.messages_per_s:,.0f}"),
        ("elapsed", f"{report.elapsed_s:.2f} s, from the first to the last message"),
        ("connections", f"{report.connections:,}, {report.connections_peak:,} at a time"),
        ("CPU of the sink", f"{report.cpu_s:.2f} s, {per_message:.0f} us a message"),
    ]
    _pairs(console, f"smx-sink at {report.target}", rows)
    _counts(console, "replies", report.replies)
    _counts(console, "faults", report.faults)
    if report.check is not None:
        show_check(report.check, console)


def show_check(found: Check, console: Console) -> None:
    """The comparison with a ledger, with examples of what is wrong."""
    rows = [
        ("promised", f"{found.promised:,}"),
        ("arrived", f"{found.arrived:,}"),
        ("lost", f"{found.lost:,}"),
        ("duplicated", f"{found.duplicated:,}"),
        ("never promised", f"{found.never_promised:,}"),
        *(("lost", name) for name in found.lost_examples),
        *(("never promised", name) for name in found.never_promised_examples),
    ]
    _pairs(console, "copies, compared with the ledger", rows)


def _counts(console: Console, title: str, counts: Mapping[str, int]) -> None:
    if counts:
        _pairs(console, title, [(name, f"{number:,}") for name, number in counts.items()])


def _pairs(console: Console, title: str, rows: Iterable[tuple[str, str]]) -> None:
    console.print(title, style="italic", highlight=False)
    table = Table(show_header=False)
    for name, value in rows:
        table.add_row(name, value)
    console.print(table)
