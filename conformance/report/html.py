"""Html: static pages: a matrix of sections and cases against targets, and a page per case: its sentence, RFC link, and the transcript with each target."""

import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Final

from msgspec import structs

from conformance.outcome import INFO, OUTCOMES, PASS, SKIP
from conformance.report.summary import by_section, counts
from conformance.runner import Result, Run
from conformance.transcript import Entry

SIGNS: Final = {
    "pass": "✓",
    "fail": "✗",
    "warn": "!",
    "info": "i",
    "skip": "-",
    "inconclusive": "?",
    "setup-failure": "S",
    "dependency-failure": "D",
    "harness-error": "H",
}
QUIET: Final = (PASS, INFO, SKIP)  # brief pages have no transcript of these
HEAD_LINES: Final = 12  # of a transcript on a brief page
TAIL_LINES: Final = 32
LINE_MAX: Final = 200
_STYLE: Final = """\
body { font: 14px/1.45 system-ui, sans-serif; margin: 1.5em; color: #222; background: #fff }
table { border-collapse: collapse } th, td { padding: 1px 8px; border: 1px solid #ddd; text-align: left; vertical-align: top }
thead th { position: sticky; top: 0; background: #f4f4f4 } tr.section th { background: #eef; text-align: left }
td.o { text-align: center; padding: 0 } td.o a { display: block; padding: 1px 10px; text-decoration: none; color: #222 }
.pass { background: #cfeccf } .fail { background: #f3a6a0 } .warn { background: #fbe3a1 } .info { background: #cfe6f7 }
.skip { background: #f2f2f2; color: #999 }
.inconclusive { background: #e7d5f3 } .setup-failure, .dependency-failure, .harness-error { background: #d9b2b2 }
pre { background: #f8f8f8; padding: .7em; overflow-x: auto } .to { color: #05c } .from { color: #070 } .event { color: #777 }
"""


def write_html(run: Run, directory: Path) -> None:
    """The pages of one run."""
    write_matrix([run], directory)


def write_matrix(runs: Sequence[Run], directory: Path, *, brief: bool = False) -> None:
    """index.html, and pages of cases in case/. Targets are columns, in the order given. `brief`: pages only of cases that did not go well everywhere,
    transcripts only of what did not go well, and their long ones cut in the middle."""
    (directory / "case").mkdir(parents=True, exist_ok=True)
    (directory / "style.css").write_text(_STYLE)
    found = [{result.id: result for result in run.results} for run in runs]
    every: dict[str, Result] = {result.id: result for results in reversed(found) for result in results.values()}
    rows = []
    for section, results in by_section(every.values()).items():
        cells = "".join(f"<th>{_tally([table[case.id] for case in results if case.id in table])}</th>" for table in found)
        rows.append(f'<tr class="section"><th colspan="2"><a href="{escape(results[0].link)}">{escape(section)}</a></th>{cells}</tr>')
        for case in results:
            theirs = [(run, table[case.id]) for run, table in zip(runs, found, strict=True) if case.id in table]
            has_page = not brief or any(result.outcome not in QUIET for _, result in theirs)
            cells = "".join(_cell(run, table.get(case.id), is_linked=has_page) for run, table in zip(runs, found, strict=True))
            slug = escape(case.id.rpartition("/")[2])
            name = f'<a href="case/{_name(case)}">{slug}</a>' if has_page else slug
            rows.append(f'<tr><td title="{escape(case.sentence)}">{name}</td><td>{escape(case.level)}</td>{cells}</tr>\n')
            if has_page:
                (directory / "case" / _name(case)).write_text(_case_page(case, theirs, brief=brief))
    heads = "".join(f"<th>{escape(run.target)}<br>{escape(run.target_version)}<br>{escape(run.date[:10])}</th>" for run in runs)
    totals = "".join(f"<th>{_tally(run.results)}</th>" for run in runs)
    legend = " ".join(f'<span class="{outcome}">&nbsp;{SIGNS[outcome]} {outcome}&nbsp;</span>' for outcome in OUTCOMES)
    head = f'<thead><tr><th>case</th><th>level</th>{heads}</tr><tr><th colspan="2">all</th>{totals}</tr></thead>'
    body = f"<p>{legend}</p><table>{head}<tbody>{''.join(rows)}</tbody></table>"
    (directory / "index.html").write_text(_page("SMTP conformance", body, "style.css"))


def _tally(results: Sequence[Result]) -> str:
    return " ".join(f'<span class="{outcome}">&nbsp;{SIGNS[outcome]}{number}&nbsp;</span>' for outcome, number in counts(results).items())


def _cell(run: Run, result: Result | None, *, is_linked: bool) -> str:
    if result is None:
        return "<td></td>"
    if not is_linked:
        return f'<td class="o {result.outcome}">{SIGNS[result.outcome]}</td>'
    why = f' title="{escape(_cut(result.reason))}"' if result.reason else ""
    return f'<td class="o {result.outcome}"><a href="case/{_name(result)}#{escape(run.target)}"{why}>{SIGNS[result.outcome]}</a></td>'


def _name(result: Result) -> str:
    """A file name: readable, and unique."""
    digest = hashlib.blake2b(result.id.encode(), digest_size=3).hexdigest()
    return f"{''.join(letter if letter.isalnum() or letter in '.-' else '-' for letter in result.id)}-{digest}.html"


def _case_page(case: Result, theirs: Sequence[tuple[Run, Result]], *, brief: bool) -> str:
    """What is asked, and what each target did."""
    facts = [
        ("sentence", escape(case.sentence)),
        ("standard", f'<a href="{escape(case.link)}">{escape(case.section)}</a>, {escape(case.level)}'),
        ("tests", escape(", ".join(case.tests)) or "-"),
    ]
    rows = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in facts)
    parts = "".join(_target_part(run, result, brief=brief) for run, result in theirs)
    return _page(case.id, f'<p><a href="../index.html">matrix</a></p><h1>{escape(case.id)}</h1><table>{rows}</table>{parts}', "../style.css")


def _target_part(run: Run, result: Result, *, brief: bool) -> str:
    head = f'<h2 id="{escape(run.target)}">{escape(run.target)} {escape(run.target_version)}, {escape(run.date)}</h2>'
    verdict = f'<p><span class="{result.outcome}">&nbsp;{result.outcome}&nbsp;</span> {escape(result.reason)}</p>'
    repeat = f"<p><code>smx-conformance run --profile {escape(run.target)} --only {escape(result.id)} --verbose</code></p>"
    if brief and result.outcome in QUIET:
        return head + verdict
    return head + verdict + repeat + f"<pre>{_transcript(_shortened(result.transcript) if brief else result.transcript)}</pre>"


def _shortened(entries: Sequence[Entry]) -> list[Entry]:
    """The beginning and the end of a long transcript, and no line longer than a page is wide."""
    left_out = len(entries) - HEAD_LINES - TAIL_LINES
    if left_out > 1:
        middle = structs.replace(entries[HEAD_LINES], connection=0, arrow="*", text=f"... {left_out} lines ...")
        entries = [*entries[:HEAD_LINES], middle, *entries[-TAIL_LINES:]]
    return [structs.replace(entry, text=_cut(entry.text)) for entry in entries]


def _cut(text: str) -> str:
    return text if len(text) <= LINE_MAX else f"{text[:LINE_MAX]}..."


def _transcript(entries: Iterable[Entry]) -> str:
    """A line for each entry; those of one direction that follow each other share a colour."""
    names = {">": "to", "<": "from", "*": "event"}
    groups = groupby(entries, lambda entry: entry.arrow)
    return "\n".join(f'<span class="{names[arrow]}">{escape(chr(10).join(map(_line, group)))}</span>' for arrow, group in groups)


def _line(entry: Entry) -> str:
    return f"{entry.at_s:8.3f}  {entry.connection or ' ':>2} {entry.arrow} {entry.text}"


def _page(title: str, body: str, style: str) -> str:
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><link rel="stylesheet" href="{style}">'
    return f'<!DOCTYPE html><html lang="en"><head>{head}</head><body>{body}</body></html>\n'
