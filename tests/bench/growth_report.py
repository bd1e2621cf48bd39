"""Report of a run of growth: tables in Markdown between two marks of a page, and a chart of the cost by size."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.bench.peers_report import table

BEGIN: Final = "<!-- growth: begin -->"
END: Final = "<!-- growth: end -->"
# trial: its title, (column, field, digits)
TABLES: Final[dict[str, tuple[str, tuple[tuple[str, str, int], ...]]]] = {
    "queue": (
        "messages in the deferred queue; new mail is relayed beside it",
        (
            ("queued", "queued", 0),
            ("start s", "start_s", 2),
            ("messages/s", "messages_per_s", 0),
            ("CPU us a message", "cpu_us", 0),
            ("of it QMGR", "qmgr_us", 0),
            ("QMGR RSS MB", "qmgr_mb", 0),
            ("first delivery s, all due", "first_delivery_s", 2),
        ),
    ),
    "recipients": (
        "recipients of a message",
        (("recipients", "recipients", 0), ("recipients/s", "recipients_per_s", 0), ("CPU us a recipient", "cpu_us", 0), ("of it QMGR", "qmgr_us", 0)),
    ),
    "destinations": (
        "destinations, by MX records",
        (("destinations", "destinations", 0), ("messages/s", "messages_per_s", 0), ("CPU us a message", "cpu_us", 0), ("QMGR RSS MB", "qmgr_mb", 0)),
    ),
    "sessions": (
        "sessions at a time, kept open",
        (("sessions", "sessions", 0), ("messages/s", "messages_per_s", 0), ("CPU us a message", "cpu_us", 0), ("SMTPS RSS MB", "smtps_mb", 0)),
    ),
}


def write(record: Mapping[str, Any], page: Path, chart: Path) -> None:
    """The page's text between the marks is replaced; the chart is written."""
    head, begin, rest = page.read_text().partition(BEGIN)
    _, end, tail = rest.partition(END)
    assert begin and end, f"{page} lacks the marks {BEGIN} and {END}"
    page.write_text(f"{head}{BEGIN}\n{text(record, chart)}{END}{tail}")
    draw(record, chart)


def text(record: Mapping[str, Any], chart: Path) -> str:
    lines = [f"Measured {record['date']}; {record['machine']}. Cut-through off, 4 KiB.", "", f"![cost by size]({chart.parent.name}/{chart.name})"]
    for name, (title, columns) in TABLES.items():
        if name in record:
            rows = [[_cell(row.get(field), digits) for _, field, digits in columns] for row in record[name]]
            lines += ["", f"**{title}**", "", *table([column for column, _, _ in columns], rows)]
    return "\n".join(lines) + "\n"


def draw(record: Mapping[str, Any], path: Path) -> None:
    """CPU microseconds a message or recipient, as a multiple of the smallest size's."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7, 3.6))
    for name, (_, columns) in TABLES.items():
        rows = [row for row in record.get(name, ()) if "cpu_us" in row]
        if rows:
            axis.plot([row[columns[0][1]] for row in rows], [row["cpu_us"] / rows[0]["cpu_us"] for row in rows], marker="o", label=name)
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.axhline(1.0, color="#333333", linewidth=0.8)
    axis.set_ylabel("CPU a message, the smallest = 1")
    axis.legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def _cell(value: float | int | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
