"""Report: figures as a table on the terminal and, where SMX_BENCH_JSON names a file, as one JSON object a line."""

import json
import os
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

JSON_FILE = "SMX_BENCH_JSON"
WIDTH = 150

Figures = Mapping[str, float | int | str]


def show(title: str, rows: Sequence[Figures]) -> None:
    """A table of figures: the keys of the first row are its columns."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="left" if isinstance(rows[0].get(column), str) else "right")
    for row in rows:
        table.add_row(*(_text(row.get(column, "")) for column in columns))
    console = Console(width=WIDTH)
    console.print()
    console.print(table)
    if file := os.environ.get(JSON_FILE):
        with open(file, "a", encoding="utf-8") as out:
            out.writelines(json.dumps({"measurement": title, **row}) + "\n" for row in rows)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which so many percent lie. `values` is not empty."""
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


def _text(value: float | int | str) -> str:
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 100 else f"{value:.0f}" if isinstance(value, float) else str(value)
