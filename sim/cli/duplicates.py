"""`smx-sim duplicates STUDY --seed N [--at T]`: what a crash at time T may deliver twice, exactly (A13); without T: how many at any time of the run.

A recipient is at risk from the final dot of its delivery on until its verdict is durable. --at gives the set, by message and recipient. Without it:
the share of time for which so many were at risk, and where it was worst; --plot draws it over time.
"""

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from sim.chronicle import Chronicle, chronicle
from sim.cli.common import JsonOption, OptionOption, SeedOption, StudyArgument, UsageError, new_app, options_of, print_json, table
from sim.concern import Links
from sim.duplicates import Outlook, may_repeat
from sim.facts import POWER, Fact, Noted
from sim.ledger import Ledger, Place
from sim.studies import find
from smx.ids import id_text

app = new_app("Show what a crash may deliver twice.")

VICTIMS = (POWER, "mcp", "qmgr", "lda", "smar")  # and smtps.*, smtpc.*


class Span(NamedTuple):
    """So many recipients were at risk from `at` on for `lasted` microseconds."""

    at: int
    lasted: int
    size: int


@app.command()
def duplicates(
    study: StudyArgument,
    seed: SeedOption = 0,
    at: Annotated[float | None, typer.Option("--at", metavar="T", help="Seconds after the start.")] = None,
    process: Annotated[str, typer.Option("--process", metavar="NAME", help="What crashes: power (everything), or one process.")] = POWER,
    option: OptionOption = None,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Draw the number at risk over time (PNG, SVG or PDF).")] = None,
    json: JsonOption = False,
) -> None:
    """Show what a crash may deliver twice."""
    if process not in VICTIMS and not process.startswith(("smtps.", "smtpc.")):
        raise UsageError(f"--process {process}: there are {', '.join(VICTIMS)}, smtps.NAME.N and smtpc.N")
    if at is None and process != POWER:
        raise UsageError("--process needs --at: the distribution is that of a power loss")
    chosen = find(study)
    told = chronicle(chosen, seed, options_of(chosen, option))
    if at is not None:
        one_instant(told, round(at * 1e6), process, json=json)
    else:
        whole_run(told, plot, json=json)


def one_instant(told: Chronicle, at_us: int, process: str, *, json: bool) -> None:
    """The exact set."""
    facts = told.run.truth.facts or []
    places = sorted(may_repeat(facts, told.run.trace.started_at + at_us, process))
    rows = describe(told, places)
    if json:
        print_json({"study": told.run.study.name, "seed": told.run.seed, "at_us": at_us, "process": process, "recipients": rows})
        return
    print(f"a crash of {process} at {at_us / 1e6:.6f} s may repeat {len(rows)} {'delivery' if len(rows) == 1 else 'deliveries'}")
    if rows:
        table(("message", "transaction", "index", "recipient"), [tuple(row.values()) for row in rows])


def describe(told: Chronicle, places: list[Place]) -> list[dict[str, Any]]:
    """Who these recipients are."""
    links = Links(told.moments)
    address: dict[Place, str] = {}
    for fact in told.run.truth.facts or []:
        if type(fact) is Noted and fact.name in ("recipient", "expanded"):
            address[fact.values[0], fact.values[1]] = _text(fact.values[2] if fact.name == "recipient" else fact.values[3])
    return [
        {
            "message": links.tokens.get(transaction) or ("report" if transaction in links.reports else "-"),
            "transaction": id_text(transaction),
            "index": index,
            "recipient": address.get((transaction, index), "?"),
        }
        for transaction, index in places
    ]


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")


# --- the whole run ----------------------------------------------------------------------------------------------------------


def spans(facts: list[Fact], started_at: int) -> list[Span]:
    """How many were at risk, stretch by stretch, none of length 0."""
    ledger = Ledger()
    outlook = Outlook(ledger)
    found: list[Span] = []
    since, size = started_at, 0
    for fact in facts:
        if fact.at > since and fact.at > started_at:
            found.append(Span(since - started_at, fact.at - since, size))
            since = fact.at
        key = fact.name if isinstance(fact, Noted) else type(fact)
        touched = False
        for observer in (ledger, outlook):
            handler = observer.handlers.get(key)
            if handler is not None:
                handler(fact)
                touched = True
        if touched:
            size = len(outlook.at_risk())
    return joined(found)


def joined(stretches: list[Span]) -> list[Span]:
    """Neighbours of one size as one."""
    found: list[Span] = []
    for span in stretches:
        if found and found[-1].size == span.size:
            found[-1] = found[-1]._replace(lasted=found[-1].lasted + span.lasted)
        else:
            found.append(span)
    return found


def whole_run(told: Chronicle, plot: Path | None, *, json: bool) -> None:
    """The distribution."""
    stretches = spans(told.run.truth.facts or [], told.run.trace.started_at)
    total = sum(span.lasted for span in stretches) or 1
    sizes: dict[int, int] = {}
    for span in stretches:
        sizes[span.size] = sizes.get(span.size, 0) + span.lasted
    worst = max(stretches, key=lambda span: span.size, default=Span(0, 0, 0))
    mean = sum(size * lasted for size, lasted in sizes.items()) / total
    if plot is not None:
        draw(stretches, plot, f"{told.run.study.name}, seed {told.run.seed}: recipients that a power loss may deliver twice")
    rows = [{"at_risk": size, "seconds": sizes[size] / 1e6, "share": sizes[size] / total} for size in sorted(sizes)]
    if json:
        summary = {"mean": mean, "most": worst.size, "most_at_us": worst.at, "distribution": rows}
        print_json({"study": told.run.study.name, "seed": told.run.seed, **summary, "spans": [span._asdict() for span in stretches]})
        return
    table(("at risk", "seconds", "share of time"), [(row["at_risk"], float(row["seconds"]), f"{row['share']:.4%}") for row in rows])
    print(f"on average {mean:.4f} recipients; at most {worst.size}, first at {worst.at / 1e6:.6f} s for {worst.lasted / 1e3:.3f} ms")
    print(f"the set: smx-sim duplicates {told.run.study.name} --seed {told.run.seed} --at {worst.at / 1e6:.6f}")


def draw(stretches: list[Span], path: Path, title: str) -> None:
    """Raises UsageError."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.5), layout="constrained")
    axes = figure.subplots()
    ends = stretches[-1] if stretches else Span(0, 0, 0)
    edges = [span.at / 1e6 for span in stretches] + [(ends.at + ends.lasted) / 1e6]
    axes.stairs([span.size for span in stretches], edges, fill=True, color="#c0392b", alpha=0.75)
    axes.set(title=title, xlabel="seconds", ylabel="recipients at risk", ylim=(0, None))
    axes.grid(axis="y", alpha=0.3)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be drawn: {error}") from error
