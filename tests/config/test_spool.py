"""The spool: made with the right modes, and wrong ones reported with what to do (SX69)."""

import os
import stat
from pathlib import Path

import pytest
from msgspec.structs import replace

from smx.config.load import load_text
from smx.config.schema import McpSettings, Settings
from smx.config.spool import inspect, is_shared, parts, prepare

pytestmark = pytest.mark.feature("SX69")

PRIVATE = ["cdb", "defedb", "ibdb", "log", "maildirs", "mcp", "run"]


@pytest.fixture
def settings(tmp_path: Path, good: str) -> Settings:
    return load_text(good.replace("/var/spool/smx", f"{tmp_path}/spool"))


def modes(spool: str) -> dict[str, int]:
    return {name: stat.S_IMODE(os.stat(os.path.join(spool, name)).st_mode) for name in sorted(os.listdir(spool))}


def test_the_spool_of_one_user_is_closed_to_all_others(settings: Settings) -> None:
    prepare(settings)
    assert modes(settings.spool) == dict.fromkeys(PRIVATE, 0o700)
    assert inspect(settings) == []


def test_the_umask_does_not_matter(settings: Settings) -> None:
    before = os.umask(0o777)
    try:
        prepare(settings)
    finally:
        os.umask(before)
    assert inspect(settings) == []


def test_directories_that_several_users_share_are_setgid_and_sticky(settings: Settings) -> None:
    several = replace(settings, qmgr=replace(settings.qmgr, user="root"), mcp=McpSettings(spool=settings.spool))
    assert is_shared(several)
    wanted = {path: part.shared_mode for path, part in parts(several)}
    assert wanted[f"{settings.spool}/cdb"] == wanted[f"{settings.spool}/run"] == 0o3770
    assert wanted[f"{settings.spool}/ibdb"] == wanted[f"{settings.spool}/defedb"] == 0o700
    if os.geteuid() == 0:
        prepare(several)
        assert modes(settings.spool)["cdb"] == 0o3770
        assert inspect(several) == []


def test_what_is_there_is_left_alone(settings: Settings) -> None:
    prepare(settings)
    Path(settings.spool, "ibdb", "1").write_bytes(b"x")
    os.chmod(Path(settings.spool, "log"), 0o750)
    prepare(settings)
    assert Path(settings.spool, "ibdb", "1").read_bytes() == b"x"
    assert modes(settings.spool)["log"] == 0o750


@pytest.mark.parametrize(
    ("name", "mode", "why"), [("ibdb", 0o755, "others could get at it"), ("cdb", 0o500, "a process could be locked out"), ("", 0o777, "others")]
)
def test_a_wrong_mode_is_reported_with_what_to_do(settings: Settings, name: str, mode: int, why: str) -> None:
    prepare(settings)
    path = os.path.join(settings.spool, name) if name else settings.spool
    os.chmod(path, mode)
    found = inspect(settings)
    assert [(p.path, p.remedy) for p in found] == [(path, f"chmod 0700 {path}")]
    assert f"mode {mode:04o}, expected 0700" in found[0].message
    assert why in found[0].message


def test_a_file_of_the_queue_that_is_open_to_others_is_reported(settings: Settings) -> None:
    prepare(settings)
    path = os.path.join(settings.spool, "cdb", "segment")
    Path(path).touch(0o600)
    assert inspect(settings) == []
    os.chmod(path, 0o644)
    assert [(p.path, p.remedy) for p in inspect(settings)] == [(path, f"chmod o= {path}")]


def test_missing_parts_and_files_in_their_place_are_reported(settings: Settings) -> None:
    assert inspect(settings) == []
    prepare(settings)
    os.rmdir(os.path.join(settings.spool, "ibdb"))
    os.rmdir(os.path.join(settings.spool, "run"))
    Path(settings.spool, "run").touch()
    found = {os.path.basename(p.path): p.message for p in inspect(settings)}
    assert sorted(found) == ["ibdb", "run"]
    assert "is missing" in found["ibdb"]
    assert found["run"] == "is not a directory"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_wrong_owner_is_reported(settings: Settings) -> None:
    prepare(settings)
    os.chown(os.path.join(settings.spool, "defedb"), 12345, -1)
    found = inspect(settings)
    assert [p.message for p in found] == ["belongs to 12345, expected root"]
    assert "chown root" in found[0].remedy


def test_without_an_lda_there_are_no_maildirs(settings: Settings) -> None:
    without = replace(settings, order=tuple(process for process in settings.order if process != "lda"))
    prepare(without)
    assert "maildirs" not in modes(without.spool)


def test_maildirs_elsewhere_are_made_but_not_judged(settings: Settings, tmp_path: Path) -> None:
    moved = replace(settings, lda=replace(settings.lda, maildirs=f"{tmp_path}/home/%u/Maildir"))
    prepare(moved)
    os.chmod(tmp_path / "home", 0o755)
    assert inspect(moved) == []
