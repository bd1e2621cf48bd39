"""Reports, the command line, and the pytest plugin."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from rich.console import Console
from typer.testing import CliRunner

from conformance.cli.main import app
from conformance.expected import judge
from conformance.outcome import FAIL, INFO, PASS, SKIP, WARN
from conformance.report import console as console_report
from conformance.report.files import read_json, write_json, write_junit
from conformance.report.html import write_matrix
from conformance.report.summary import by_section, counts
from conformance.runner import Result, Run
from conformance.transcript import Entry, as_text

ENTRIES = (Entry(0.0, 1, "<", "220 <hi> & more"), Entry(0.01, 1, ">", "EHLO x"), Entry(0.02, 0, "*", "wait 1 s"))


def result(name: str, outcome: str, reason: str = "") -> Result:
    return Result(name, name.rpartition("/")[0], "MUST", ("server",), "A <sentence>.", ("5321-4.1-1",), "https://x.test/#1", 1, outcome, reason, 0.5, ENTRIES)


def run_of(name: str, *results: Result) -> Run:
    return Run(name, "1.0", "2026-11-24T12:00:00Z", 1.5, 0, {"SIZE": "1"}, results)


RUN = run_of(
    "one", result("rfc5321/4.10/a", PASS), result("rfc5321/4.2/a", FAIL, "got \x00 <250>"), result("rfc5321/4.2/b", WARN, "why"), result("rfc5321/4.2/c", SKIP)
)
OTHER = run_of("two", result("rfc5321/4.2/a", PASS), result("rfc5321/4.2/d", INFO, "a fact"))


def test_sections_are_in_the_order_of_the_rfc() -> None:
    assert list(by_section(RUN.results)) == ["rfc5321/4.2", "rfc5321/4.10"]
    assert counts(RUN.results) == {PASS: 1, FAIL: 1, WARN: 1, SKIP: 1}


def test_json_can_be_read_back(tmp_path: Path) -> None:
    write_json(RUN, tmp_path / "run.json")
    assert read_json(tmp_path / "run.json") == RUN
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(ValueError, match="is not the JSON of a run"):
        read_json(tmp_path / "bad.json")


def test_junit_has_failures_and_skips(tmp_path: Path) -> None:
    write_junit(RUN, tmp_path / "x.xml")
    root = ElementTree.parse(tmp_path / "x.xml").getroot()
    suites = {suite.get("name"): suite for suite in root.iter("testsuite")}
    assert suites["rfc5321/4.2"].get("failures") == "1" and suites["rfc5321/4.2"].get("skipped") == "1"
    failure = next(root.iter("failure"))
    assert failure.get("message") == "got \\x00 <250>"


def test_the_matrix_has_a_column_for_each_target_and_a_page_for_each_case(tmp_path: Path) -> None:
    write_matrix([RUN, OTHER], tmp_path)
    index = (tmp_path / "index.html").read_text()
    assert "<th>one<br>1.0<br>2026-11-24</th><th>two<br>1.0<br>2026-11-24</th>" in index
    pages = sorted(path.name for path in (tmp_path / "case").iterdir())
    assert len(pages) == 5 and all(f"case/{page}" in index for page in pages)
    path = next(path for path in (tmp_path / "case").iterdir() if path.name.startswith("rfc5321-4.2-a-"))
    assert f'class="o fail"><a href="case/{path.name}#one"' in index and f'class="o pass"><a href="case/{path.name}#two"' in index
    page = path.read_text()
    assert "A &lt;sentence&gt;." in page and page.count("220 &lt;hi&gt; &amp; more") == 2 and "https://x.test/#1" in page
    write_matrix([RUN, OTHER], tmp_path, brief=True)
    assert path.read_text().count("220 &lt;hi&gt; &amp; more") == 1


def test_the_console_tells_troubles_and_how_to_repeat_them() -> None:
    console = Console(record=True, width=200)
    console_report.show(console, RUN, judge(RUN.results), "--profile one")
    text = console.export_text()
    assert "rfc5321/4.2/a [MUST] got" in text
    assert "smx-conformance run --profile one --only rfc5321/4.2/a --verbose" in text
    assert "4 cases in 1.5 s: 1 pass, 1 fail, 1 warn, 1 skip; exit status 1" in text


def test_a_transcript_as_text_has_times_connections_and_arrows() -> None:
    assert as_text(ENTRIES).splitlines()[0] == "   0.000   1 < 220 <hi> & more"


def invoke(*arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, list(arguments))
    return found.exit_code, found.output


def test_list_explain_and_ledger() -> None:
    status, text = invoke("list", "--json", "--only", "server")
    cases = msgspec.json.decode(text)["cases"]
    assert status == 0 and {"id", "section", "level", "roles", "slow"} <= set(cases[0])
    assert all("server" in case["roles"] for case in cases)
    status, text = invoke("explain", cases[0]["id"])
    assert status == 0 and cases[0]["sentence"] in text
    assert invoke("explain", "no/such/case")[0] == 2
    status, text = invoke("ledger", "--rfc", "7505", "--json")
    entries = msgspec.json.decode(text)["entries"]
    assert status == 0 and {"id", "section", "level", "party", "cases", "reason"} <= set(entries[0])
    assert invoke("ledger", "--rfc", "1")[0] == 2


def test_a_wrong_command_line_has_status_2(tmp_path: Path) -> None:
    assert invoke("run")[0] == 2
    assert invoke("run", "--target", "x", "--profile", "smx")[0] == 2
    assert invoke("run", "--target", str(tmp_path / "missing.toml"))[0] == 2
    assert invoke("run", "--profile", "smx", "--only", "rfc9999")[0] == 2
    assert invoke("run", "--profile", "nosuchmta")[0] == 4
    assert invoke("matrix", str(tmp_path / "no.json"), "--html", str(tmp_path))[0] == 2


def test_a_dry_run_only_lists() -> None:
    status, text = invoke("run", "--dry-run", "--only", "rfc7505")
    assert status == 0 and text.splitlines()[-1].endswith("cases")


def test_the_matrix_command_writes_pages_and_outcomes(tmp_path: Path) -> None:
    for run in (RUN, OTHER):
        write_json(run, tmp_path / f"{run.target}.json")
    files = [str(tmp_path / "one.json"), str(tmp_path / "two.json")]
    assert invoke("matrix", *files, "--html", str(tmp_path / "html"), "--json", str(tmp_path / "all.json"))[0] == 0
    table = msgspec.json.decode((tmp_path / "all.json").read_bytes())
    assert table["cases"]["rfc5321/4.2/a"] == {"one": FAIL, "two": PASS}
    assert (tmp_path / "html" / "index.html").exists()


TARGET_FILE = """\
name = "smx"
hostname = "mx.example.org"
[services]
smtp = "127.0.0.1:{port}"
[mail]
local_domain = "local.test"
recipients = ["alice@local.test"]
"""
PLUGIN = [sys.executable, "-m", "pytest", "-p", "conformance.pytest_plugin", "-p", "no:cacheprovider", "-p", "no:randomly", "-q", "-o", "addopts="]


def test_the_command_and_the_pytest_plugin_judge_a_running_smx(smx_server: object, tmp_path: Path) -> None:
    mta = smx_server(local_domains=("local.test",))  # type: ignore[operator]
    target = tmp_path / "target.toml"
    target.write_text(TARGET_FILE.format(port=mta.port))
    chosen = ["rfc5321/4.1.4/rcpt-before-mail", "rfc5321/4.1.4/ehlo-again", "rfc7505/3"]
    status, text = invoke("run", "--target", str(target), "--only", ",".join(chosen), "--repeat", "2", "--seed", "3", "--json", str(tmp_path / "run.json"))
    assert status == 0, text
    assert {one.outcome for one in read_json(tmp_path / "run.json").results} == {PASS, SKIP}
    arguments = ["--smtp-target", str(target), "--smtp-only", ",".join(chosen), str(tmp_path)]
    done = subprocess.run([*PLUGIN, *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout and "skipped" in done.stdout
    expected = tmp_path / "expected.toml"
    expected.write_text('[[expected]]\nid = "rfc5321/4.1.4/ehlo-again"\noutcome = "fail"\nreason = "it was so"\n')
    done = subprocess.run([*PLUGIN, *arguments, "--smtp-expected", str(expected)], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 1 and "expected is fail: it was so" in done.stdout
    assert invoke("run", "--target", str(target), "--only", ",".join(chosen), "--expected", str(expected))[0] == 1
