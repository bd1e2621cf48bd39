"""Report of a run of peers: tables in Markdown between two marks of a page, and a chart of the ratios to Postfix."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from tests.bench.peers_plan import OURS, PEERS, REFERENCE, STORED, TRIALS, Trial

BEGIN: Final = "<!-- peers: begin -->"
END: Final = "<!-- peers: end -->"

Run = Mapping[str, Any]
# (trial, peer, figure, at least this ratio to Postfix, or at most, or an absolute bound, aim, what is claimed)
GOALS: Final[tuple[tuple[str, str, str, str, float, float, str], ...]] = (
    ("accept", OURS, "msgs_per_s", ">=", 2.0, 3.0, "accept, new session each"),
    ("kept", OURS, "msgs_per_s", ">=", 4.0, 6.0, "accept, sessions kept"),
    ("large", OURS, "msgs_per_s", ">=", 2.0, 2.0, "accept, 64 KiB"),
    ("relay", STORED, "msgs_per_s", ">=", 3.0, 5.0, "relay, cut-through off"),
    ("relay", OURS, "msgs_per_s", ">=", 3.0, 5.0, "relay, cut-through on"),
    ("accept", OURS, "cpu_ms_per_msg", "<=", 0.5, 0.5, "CPU a message, accept"),
    ("kept", OURS, "cpu_ms_per_msg", "<=", 0.5, 0.5, "CPU a message, accept, kept"),
    ("relay", STORED, "cpu_ms_per_msg", "<=", 0.5, 0.5, "CPU a message, relay, cut-through off"),
    ("latency", STORED, "dot_ms.p50", "<=", 1.1, 1.0, "dot to 250, p50, cut-through off"),
    ("latency", OURS, "dot_ms.p50", "<=", 1.1, 1.0, "dot to 250, p50, cut-through on"),
    ("recovery", OURS, "all_delivered_s", "<=", 0.5, 0.5, "5,000 after SIGKILL, all delivered"),
)
BOUNDS: Final = (
    ("relay", OURS, "peak_pss_mb", 200.0, "memory of all processes under load, MB (PSS)"),
    ("latency", OURS, "dot_ms.p99", 10.0, "dot to 250, p99, ms"),
    ("latency", STORED, "dot_ms.p99", 10.0, "dot to 250, p99, ms, cut-through off"),
    ("recovery", OURS, "lost", 0.0, "lost in recovery"),
    ("recovery", OURS, "duplicates", 0.0, "duplicated in recovery"),
)


def write(record: Mapping[str, Any], page: Path, chart: Path) -> None:
    """The page's text between the marks is replaced; the chart is written."""
    head, begin, rest = page.read_text().partition(BEGIN)
    _, end, tail = rest.partition(END)
    assert begin and end, f"{page} lacks the marks {BEGIN} and {END}"
    page.write_text(f"{head}{BEGIN}\n{text(record, chart)}{END}{tail}")
    draw(record["runs"], chart)


def text(record: Mapping[str, Any], chart: Path) -> str:
    runs = record["runs"]
    versions = sorted({run["version"] for run in runs if run.get("version")})
    lines = [
        f"Measured {record['date']} in {record['rounds']} rounds, all servers in turns; {record['machine']}. {'; '.join(versions)}.",
        "",
        f"![ratios to Postfix]({chart.parent.name}/{chart.name})",
        "",
        "Ratios are those of the two runs of one round: their median, and the least and greatest of them.",
        "",
        *table(("claim", "ratio to Postfix", "wanted", "reached"), _goals(runs)),
    ]
    for trial in TRIALS:
        rows = _rows(trial, runs)
        if rows:
            lines += ["", f"**{trial.title}**", "", *table(_columns(trial), rows)]
    return "\n".join(lines) + "\n"


def figure(run: Run, path: str) -> float | None:
    """`dot_ms.p50` of a run; None where it has none."""
    found: Any = run
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return float(found) if isinstance(found, int | float) else None


def values(runs: Iterable[Run], trial: str, peer: str, path: str) -> dict[int, float]:
    """By round."""
    found = {run["round"]: figure(run, path) for run in runs if run["trial"] == trial and run["peer"] == peer}
    return {number: value for number, value in found.items() if value is not None}


def ratios(runs: Sequence[Run], trial: str, peer: str, path: str) -> list[float]:
    """To Postfix, of the rounds in which both have a figure."""
    ours, theirs = values(runs, trial, peer, path), values(runs, trial, REFERENCE, path)
    return sorted(ours[number] / theirs[number] for number in ours.keys() & theirs.keys() if theirs[number])


# --- tables


def _goals(runs: Sequence[Run]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for trial, peer, path, sense, bound, aim, claim in GOALS:
        found = ratios(runs, trial, peer, path)
        if found:
            reached = median(found) >= bound if sense == ">=" else median(found) <= bound
            wanted = f"{'at least' if sense == '>=' else 'at most'} {bound:g}" + (f", aim {aim:g}" if aim != bound else "")
            rows.append((claim, _spread(found, 2), wanted, "yes" if reached else "no"))
    for trial, peer, path, bound, claim in BOUNDS:
        values_ = list(values(runs, trial, peer, path).values())
        if values_:
            rows.append((claim, f"(absolute) {_spread(values_, 1)}", f"at most {bound:g}", "yes" if median(values_) <= bound else "no"))
    return rows


def _columns(trial: Trial) -> tuple[str, ...]:
    match trial.mode:
        case "accept":
            return ("server", "messages/s", "CPU ms a message", "flushes a message", "PSS MB", "processes", "kept")
        case "relay":
            return ("server", "messages/s", "CPU ms a message", "flushes a message", "PSS MB", "processes", "lost", "twice")
        case "latency":
            return ("server", "dot to 250 p50", "p99", "250 to arrival p50", "p99", "kept session p50")
    return ("server", "start s", "all delivered s", "lost", "twice")


def _rows(trial: Trial, runs: Sequence[Run]) -> list[tuple[str, ...]]:
    by_peer: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        if run["trial"] == trial.name:
            by_peer[run["peer"]].append(run)
    return [_row(trial, peer.name + ("" if peer.durable else " (syncs nothing)"), by_peer[peer.name]) for peer in PEERS if by_peer[peer.name]]


def _row(trial: Trial, name: str, runs: Sequence[Run]) -> tuple[str, ...]:
    good = [run for run in runs if "error" not in run]

    def cell(path: str, digits: int) -> str:
        return _spread([value for run in good if (value := figure(run, path)) is not None], digits)

    if not good:
        return (name, f"failed: {runs[0]['error'][:60]}", *([""] * (len(_columns(trial)) - 2)))
    costs = (cell("cpu_ms_per_msg", 2), cell("disk_flushes_per_msg", 2), cell("peak_pss_mb", 0), cell("peak_procs", 0))
    match trial.mode:
        case "accept":
            kept = all(run.get("queued_ok", True) for run in good)
            return (name, cell("msgs_per_s", 0), *costs, "all" if kept else "not all")
        case "relay":
            lost = sum(max(0, run["m"] - run["arrived"]) for run in good)
            twice = sum(max(0, run["arrived"] - run["m"]) for run in good)
            return (name, cell("msgs_per_s", 0), *costs, str(lost), str(twice))
        case "latency":
            return (name, *(cell(path, 2) for path in ("dot_ms.p50", "dot_ms.p99", "arrival_ms.p50", "arrival_ms.p99", "accept_same_conn_ms.p50")))
    return (name, cell("restart_s", 2), cell("all_delivered_s", 1), cell("lost", 0), cell("duplicates", 0))


def _spread(found: Sequence[float], digits: int) -> str:
    if not found:
        return "-"
    return f"{median(found):,.{digits}f}" + (f" ({min(found):,.{digits}f} to {max(found):,.{digits}f})" if len(found) > 1 else "")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (columns, ["---"] * len(columns), *rows)]


# --- chart


def draw(runs: Sequence[Run], path: Path) -> None:
    """Bars of messages a second as ratios to Postfix, by trial; a line from the least to the greatest ratio."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    trials = [trial for trial in TRIALS if trial.figure == "msgs_per_s" and ratios(runs, trial.name, OURS, trial.figure)]
    if not trials:
        return
    figure_, axes = pyplot.subplots(1, len(trials), figsize=(3.2 * len(trials), 3.6), sharey=True, squeeze=False)
    for axis, trial in zip(axes[0], trials, strict=True):
        found = {peer.name: ratios(runs, trial.name, peer.name, trial.figure) for peer in reversed(PEERS)}
        names = [name for name, each in found.items() if each]
        middles = [median(found[name]) for name in names]
        spans = [
            [middle - found[name][0] for name, middle in zip(names, middles, strict=True)],
            [found[name][-1] - middle for name, middle in zip(names, middles, strict=True)],
        ]
        axis.barh(names, middles, xerr=spans, color=["#b5482f" if name.startswith(OURS) else "#8a99a8" for name in names], ecolor="#333333")
        axis.axvline(1.0, color="#333333", linewidth=0.8)
        axis.set_title(trial.title.replace(", 20 sessions", "").replace(", a new session each", ""), fontsize=9)
        axis.set_xlabel("messages a second, Postfix = 1", fontsize=8)
    figure_.tight_layout()
    figure_.savefig(path)
    pyplot.close(figure_)
