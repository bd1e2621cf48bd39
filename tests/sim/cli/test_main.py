"""The command as a whole: its table, and errors in one line with status 2."""

from pathlib import Path

import pytest

from sim.cli.main import COMMANDS
from tests.sim.cli.toy import Command


def test_the_overview_names_every_command(smx_sim: Command) -> None:
    status, out, _ = smx_sim("--help")
    assert status == 0
    assert all(f"  {name}" in out for name, _, _ in COMMANDS)


def test_no_command_is_wrong_usage(smx_sim: Command) -> None:
    assert smx_sim()[0] == 2


def test_a_misspelt_command_gets_a_hint(smx_sim: Command) -> None:
    status, out, err = smx_sim("campain")
    assert (status, out, err) == (2, "", 'smx-sim: there is no command "campain"; did you mean "campaign"?\n')


@pytest.mark.parametrize("command", [name for name, _, _ in COMMANDS])
def test_every_command_has_help(smx_sim: Command, command: str) -> None:
    status, out, _ = smx_sim(command, "--help")
    assert status == 0
    assert "--json" in out


WRONG = [
    (("run", "nosuch"), "there is no study 'nosuch'"),
    (("run", "toy", "-o", "speed=3"), "toy has no option 'speed'"),
    (("run", "toy", "-o", "messages"), "an option is NAME=VALUE"),
    (("run", "toy", "-o", "messages=many"), "the default is 1"),
    (("run", "toy", "-o", "messages=1.5"), "of another kind"),
    (("run", "toy", "--html", "/nowhere/at/all.html"), "/nowhere/at/all.html cannot be written"),
    (("run", "toy", "--save", "/nowhere/at/all.tape"), "/nowhere/at/all.tape cannot be written"),
    (("replay", "/nowhere/at/all.tape"), "/nowhere/at/all.tape: No such file"),
    (("shrink", "/nowhere/at/all.tape"), "/nowhere/at/all.tape: No such file"),
    (("shrink", "toy", "--seed", "1"), "nothing fails in toy with seed 1"),
    (("campaign", "nosuch"), "there is no study 'nosuch'"),
    (("campaign", "toy", "--seeds", "9..1"), "--seeds 9..1"),
    (("campaign", "toy", "--seeds", "one"), "a range of seeds looks like 1..500"),
    (("campaign", "toy", "--state", "/nowhere/at/all"), "/nowhere/at/all: No such file"),
    (("duplicates", "toy", "--process", "cron"), "--process cron"),
    (("duplicates", "toy", "--process", "qmgr"), "--process needs --at"),
    (("ablations", "nosuch"), "there is no mutation 'nosuch'"),
]


@pytest.mark.parametrize(("words", "said"), WRONG)
def test_what_cannot_be_carried_out_is_told_in_one_line_with_status_2(smx_sim: Command, words: tuple[str, ...], said: str) -> None:
    status, out, err = smx_sim(*words)
    assert status == 2
    assert out == ""
    assert said in err
    assert err.startswith(f"smx-sim {words[0]}: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "octets", [b"", b"not a tape", b"\xff\xfe", b"[]", b'{"draws": {"ties": ["x"]}}', b'{"format": 99}', b'{"study": ""}', b'{"study": "nosuch"}']
)
def test_a_tape_that_cannot_be_used_is_told_in_one_line(smx_sim: Command, tmp_path: Path, octets: bytes) -> None:
    tape = tmp_path / "a.tape"
    tape.write_bytes(octets)
    status, out, err = smx_sim("replay", tape)
    assert (status, out, err.count("\n")) == (2, "", 1)


def test_list_names_studies_checkers_and_strikes(smx_sim: Command) -> None:
    status, out, _ = smx_sim("list")
    assert status == 0
    assert "Does the tool work?" in out
    assert "pigs fly" in out
    assert "no copy arrives twice" in out
    assert "cut_disk" in out


def test_list_shows_one_part_when_asked(smx_sim: Command) -> None:
    out = smx_sim("list", "--checkers")[1]
    assert "I6" in out
    assert "toy" not in out
