"""What `smx init` writes is good, and explains itself."""

from pathlib import Path

import pytest

from smx.config.load import examine, load
from smx.config.profiles import PROFILES, Choices, lab, relay, write
from smx.config.schema import OPTIONS, MailerEntry


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_passes_the_check(profile: str, tmp_path: Path) -> None:
    write(str(tmp_path), PROFILES[profile](Choices(next_hop="[192.0.2.1]:25")))
    assert examine(str(tmp_path / "smx.conf")).problems == ()


def test_the_lab_lives_below_its_directory(tmp_path: Path) -> None:
    write(str(tmp_path), lab(Choices()))
    got = load(str(tmp_path / "smx.conf"))
    assert got.spool == f"{tmp_path}/spool"
    assert got.lda.maildirs == f"{tmp_path}/maildirs/%u"
    assert [(s.address, s.port) for s in got.smtps[0].listen_socket] == [("127.0.0.1", 2525)]
    assert got.smar.local_domains == ("lab.example", "mx.lab.example")
    assert got.smar.local_user_map == "users"
    assert got.smar.mailertable == (MailerEntry("down.example", "host", "127.0.0.1", 1),)
    assert {"alice", "bob", "postmaster", "root"} <= set((tmp_path / "users").read_text().split())


def test_the_relay_sends_everything_to_the_next_hop(tmp_path: Path) -> None:
    write(str(tmp_path), relay(Choices("out.example.net", "[192.0.2.1]:587", "::1", 2526)))
    got = load(str(tmp_path / "smx.conf"))
    assert got.hostname == "out.example.net"
    assert got.smar.mailertable == (MailerEntry("*", "host", "192.0.2.1", 587),)
    assert got.smar.local_domains == ()
    assert got.smtps[0].relay_from == ("127.0.0.0/8", "::1/128")
    assert "lda" not in got.order
    assert [(s.type, s.address, s.port) for s in got.smtps[0].listen_socket] == [("inet6", "::1", 2526)]


@pytest.mark.parametrize("profile", PROFILES)
def test_smtp_starts_last_and_stops_first(profile: str, tmp_path: Path) -> None:
    """Nobody may connect before the others are there (SX06)."""
    write(str(tmp_path), PROFILES[profile](Choices(next_hop="[192.0.2.1]:25")))
    assert load(str(tmp_path / "smx.conf")).order[0].startswith("smtps.")


def test_every_option_of_the_sections_is_explained_in_the_lab() -> None:
    text = lab(Choices())["smx.conf"]
    missing = [option.path for option in OPTIONS if option.explanation not in text]
    assert missing == []


def test_options_that_are_commented_out_can_be_taken_in(tmp_path: Path) -> None:
    """The values behind the # are the defaults: taking them all in changes nothing."""
    files = lab(Choices())
    write(str(tmp_path), files)
    before = load(str(tmp_path / "smx.conf"))
    lines = files["smx.conf"].splitlines()
    skipped = ("= ...;", '= "";', "entries = ", "path = ")
    active = [
        line.replace("# ", "", 1) if line.lstrip().startswith("# ") and " = " in line.split(";")[0] and not any(s in line for s in skipped) else line
        for line in lines
    ]
    body = active[next(i for i, line in enumerate(active) if line.startswith("hostname")) :]
    (tmp_path / "smx.conf").write_text("\n".join(line for line in body if "mailertable sends" not in line))
    assert load(str(tmp_path / "smx.conf")) == before


@pytest.mark.parametrize("choices", [Choices(), Choices(next_hop="192.0.2.1"), Choices("no domain", "[x]:25")])
def test_a_bad_choice_is_a_value_error(choices: Choices) -> None:
    with pytest.raises(ValueError):
        relay(choices)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "aliases").write_text("mine")
    with pytest.raises(FileExistsError):
        write(str(tmp_path), lab(Choices()))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aliases"]
    assert (tmp_path / "aliases").read_text() == "mine"
