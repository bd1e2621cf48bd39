"""The smx command: the registry, check, init, config."""

import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from smx.cli.main import COMMANDS, EX_CANTCREAT, EX_CONFIG, EX_NOPERM, EX_USAGE, main
from smx.config.schema import OPTIONS

Run = tuple[int, str, str]


@pytest.fixture
def smx(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Smx":
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SMX_CONFIG", raising=False)
    return Smx(capsys)


class Smx:
    """Runs one command; returns (status, standard output, standard error)."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: str) -> Run:
        status = main(list(arguments))
        out, err = self.capsys.readouterr()
        return status, out, err


def test_the_overview_lists_every_command(smx: Smx) -> None:
    status, out, _ = smx("--help")
    assert status == 0
    assert all(name in out and explanation in out for name, _, explanation in COMMANDS)
    assert smx()[0] == EX_USAGE
    assert smx("--version")[1].startswith("smx ")


def test_a_mistyped_command_gets_a_suggestion(smx: Smx) -> None:
    assert smx("chek") == (EX_USAGE, "", 'smx: there is no command "chek"; did you mean "check"?\n')
    assert "--help lists them" in smx("xyzzy")[2]


def test_a_wrong_use_of_a_command_has_the_status_of_sysexits(smx: Smx) -> None:
    for words in (["queue", "frobnicate"], ["check", "--frobnicate"], ["init"], ["run", "--config"]):
        status, _, err = smx(*words)
        assert (status, "Error" in err) == (EX_USAGE, True), words
    for group in ("queue", "config"):
        assert "Commands:" in "".join(smx(group)[1:])


def test_python_m_smx_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "smx", "--help"], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("usage: smx")


def test_the_registry_imports_no_command() -> None:
    code = "import sys, smx.cli.main; sys.exit(sum(name in sys.modules for name in ('typer', 'lark', 'smx.config', 'smx.cli.check')))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_init_makes_a_lab_that_passes_the_check(smx: Smx) -> None:
    status, out, err = smx("init", "lab", "--profile", "lab")
    assert (status, err) == (0, "")
    assert re.search(r"next: .*smx run --config lab/smx\.conf\n", out)
    status, out, err = smx("check")
    assert (status, out, err) == (0, "lab/smx.conf: good; processes: smtps.mx, qmgr, smtpc, lda, smar\n", "")
    assert os.path.isdir("lab/spool/ibdb")


def test_init_makes_a_relay_that_passes_the_check(smx: Smx) -> None:
    assert smx("init", "r", "--profile", "relay", "--next-hop", "[192.0.2.1]:25", "--hostname", "a.example.org", "--port", "2526")[0] == 0
    assert smx("check", "--config", "r/smx.conf")[0] == 0


def test_init_keeps_what_is_there(smx: Smx) -> None:
    smx("init", "lab")
    Path("lab/smx.conf").write_text("mine")
    assert smx("init", "lab", "--if-missing")[:2] == (0, "lab/smx.conf is there already\n")
    status, _, err = smx("init", "lab")
    assert (status, Path("lab/smx.conf").read_text()) == (EX_CANTCREAT, "mine")
    assert "is there already" in err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--profile", "castle"], "there is no profile castle"),
        (["--profile", "relay"], "needs --next-hop"),
        (["--profile", "relay", "--next-hop", "192.0.2.1"], "brackets"),
        (["--hostname", "a b"], "expected a domain"),
        (["--address", "localhost"], "expected an IP address"),
    ],
)
def test_init_refuses_a_bad_choice_and_writes_nothing(smx: Smx, arguments: list[str], complaint: str) -> None:
    status, _, err = smx("init", "x", *arguments)
    assert status == EX_USAGE
    assert complaint in err
    assert not os.path.exists("x")


@pytest.mark.feature("SX64")
def test_a_bad_configuration_is_told_on_standard_error_with_status_78(smx: Smx) -> None:
    Path("bad.conf").write_text("hostnam = mx.example.org;\n")
    for command in (["check"], ["config", "show"]):
        status, out, err = smx(*command, "--config", "bad.conf")
        assert (status, out) == (EX_CONFIG, "")
        assert (
            'bad.conf:1:1: error: the top of the file has no option "hostnam"; did you mean "hostname"?\n    1 | hostnam = mx.example.org;\n      | ^^^^^^^\n'
            in err
        )


def test_the_check_speaks_json(smx: Smx) -> None:
    Path("bad.conf").write_text("hostnam = mx.example.org;\n")
    status, out, _ = smx("check", "-c", "bad.conf", "--json")
    told = msgspec.json.decode(out)
    assert (status, told["usable"]) == (EX_CONFIG, False)
    assert {"path": "bad.conf", "line": 1, "column": 1, "severity": "error"}.items() <= told["problems"][-1].items()
    status, out, _ = smx("check", "-c", "missing.conf", "--json")
    assert (status, msgspec.json.decode(out)["usable"]) == (EX_CONFIG, False)


@pytest.mark.feature("SX69")
def test_a_wrong_mode_in_the_spool_is_told_with_status_77(smx: Smx) -> None:
    smx("init", "lab")
    os.chmod("lab/spool/cdb", 0o777)
    status, out, err = smx("check")
    assert (status, out) == (EX_NOPERM, "")
    assert "has mode 0777, expected 0700" in err
    assert "; chmod 0700 " in err
    assert msgspec.json.decode(smx("check", "--json")[1])["spool"][0]["remedy"].startswith("chmod 0700")


def test_the_environment_names_the_configuration(smx: Smx, monkeypatch: pytest.MonkeyPatch) -> None:
    smx("init", "lab")
    os.rename("lab", "other")
    assert smx("check")[0] == EX_CONFIG
    monkeypatch.setenv("SMX_CONFIG", "other/smx.conf")
    assert smx("check")[0] == 0


@pytest.mark.feature("SX64")
def test_show_dumps_the_settings_with_their_origin(smx: Smx) -> None:
    smx("init", "lab")
    _, out, _ = smx("config", "show", "--origin")
    line = next(line for line in out.splitlines() if line.strip().startswith("port"))
    assert line.split("#")[0].strip() == "port = 2525;"
    assert line.split("# ")[1].startswith("lab/smx.conf:")
    Path("again.conf").write_text(smx("config", "show")[1])
    assert smx("check", "-c", "again.conf")[0] == 0
    assert msgspec.json.decode(smx("config", "show", "--json")[1])["qmgr"]["aq_max_entries"] == 8192


def test_the_defaults_are_shown_without_a_file(smx: Smx) -> None:
    status, out, _ = smx("config", "show", "--defaults")
    assert status == 0
    assert "aq_max_entries = 8192;" in out


def test_explain_knows_options_by_path_by_name_and_by_section(smx: Smx) -> None:
    status, out, _ = smx("config", "explain", "qmgr.retry.min")
    assert status == 0
    assert "default  5m" in out
    assert msgspec.json.decode(smx("config", "explain", "processes", "--json")[1])[1]["option"] == "smtpc.processes"
    assert len(msgspec.json.decode(smx("config", "explain", "smtpc.timeouts", "--json")[1])) == 9
    assert smx("config", "explain", "retry")[1] == smx("config", "explain", "qmgr.retry")[1]
    assert len(msgspec.json.decode(smx("config", "explain", "--all", "--json")[1])) == len(OPTIONS)
    for wrong in ([], ["min", "--all"], ["min", "--markdown"], ["--all", "--markdown", "--json"]):
        assert smx("config", "explain", *wrong)[0] == EX_USAGE
    status, _, err = smx("config", "explain", "qmgr.retry.mn")
    assert (status, err) == (EX_USAGE, 'there is no option "qmgr.retry.mn"; did you mean "qmgr.retry.min"?\n')


def test_the_manual_of_the_configuration_is_current(smx: Smx) -> None:
    """`make docs` writes it."""
    manual = Path(__file__).parents[2] / "docs" / "configuration.md"
    assert smx("config", "explain", "--all", "--markdown")[:2] == (0, manual.read_text())
