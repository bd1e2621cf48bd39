"""The matrix command: runs of one MTA are joined, brief pages leave out what went well, long transcripts are cut; figures are printed."""

from pathlib import Path

import msgspec
from typer.testing import CliRunner

from conformance.cli.main import app
from conformance.outcome import FAIL, PASS
from conformance.report.figures import Column, Matrix, markdown
from conformance.report.files import write_json
from conformance.runner import Result, Run
from conformance.transcript import Entry


def result(name: str, outcome: str, lines: int = 3) -> Result:
    entries = tuple(Entry(number / 10, 1, "<", f"line {number}.") for number in range(lines))
    return Result(name, name.rpartition("/")[0], "MUST", ("server",), "A sentence.", (), "https://x.test/", 1, outcome, "why", 0.1, entries)


def matrix(folder: Path, *runs: Run) -> tuple[dict[str, dict[str, str]], str, dict[str, str]]:
    """The outcomes, the index, and the pages of cases by their first words."""
    files = [folder / f"{number}.json" for number in range(len(runs))]
    for run, path in zip(runs, files, strict=True):
        write_json(run, path)
    found = CliRunner().invoke(app, ["matrix", *map(str, files), "--brief", "--html", str(folder / "html"), "--json", str(folder / "all.json")])
    assert found.exit_code == 0, found.output
    table = msgspec.json.decode((folder / "all.json").read_bytes())
    pages = {path.name.rpartition("-")[0]: path.read_text() for path in (folder / "html" / "case").iterdir()}
    return table["cases"], (folder / "html" / "index.html").read_text(), pages


def run_of(name: str, *results: Result) -> Run:
    return Run(name, "1.0", "2026-11-24T12:00:00Z", 1.0, 0, {}, results)


def test_of_several_runs_of_one_mta_the_last_verdict_counts(tmp_path: Path) -> None:
    first = run_of("one", result("rfc5321/4.2/a", FAIL), result("rfc5321/4.2/b", PASS))
    cases, index, _ = matrix(tmp_path, first, run_of("one", result("rfc5321/4.2/a", PASS)))
    assert cases == {"rfc5321/4.2/a": {"one": PASS}, "rfc5321/4.2/b": {"one": PASS}}
    assert index.count("<th>one<br>") == 1


def test_brief_pages_are_only_of_cases_that_did_not_go_well_everywhere(tmp_path: Path) -> None:
    one, two = (run_of(name, result("rfc5321/4.2/a", outcome), result("rfc5321/4.2/b", PASS)) for name, outcome in (("one", PASS), ("two", FAIL)))
    _, index, pages = matrix(tmp_path, one, two)
    assert list(pages) == ["rfc5321-4.2-a"]
    assert pages["rfc5321-4.2-a"].count("line 1.") == 1
    assert '<td class="o pass">' in index and "rfc5321-4.2-b" not in index


def test_a_long_transcript_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    _, _, pages = matrix(tmp_path, run_of("one", result("rfc5321/4.2/a", FAIL, lines=500)))
    page = pages["rfc5321-4.2-a"]
    assert "line 0." in page and "line 499." in page and "line 250." not in page and " lines ..." in page


def test_figures_count_outcomes_by_mta() -> None:
    table = Matrix((Column("one", "1.0", "2026-11-24T12:00:00Z"),), {"rfc5321/4.2/a": {"one": FAIL}, "rfc5321/4.2/b": {"one": PASS}})
    assert "| one | 1.0 | 2026-11-24 | 1 | 1 | 0 | 0 | 0 | 0 | 0 |" in markdown((), table)


def test_the_figures_command_needs_a_document_with_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing")
    assert CliRunner().invoke(app, ["figures", "--into", str(page)]).exit_code == 2
    found = CliRunner().invoke(app, ["figures"])
    assert found.exit_code == 0 and found.output.startswith("| role | MUST |")
