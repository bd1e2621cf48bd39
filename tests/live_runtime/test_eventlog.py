"""The event log: lines, levels, formats, and what happens when it cannot be written."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from smx.config.schema_mcp import LogSettings
from smx.effects import Note
from smx.ids import id_text
from smx.live.clock import Clock
from smx.live.eventlog import EventLog, level_of
from smx.notes import NOTES, Level

NOW_NS = 1_795_532_984_000_042_000  # 2026-11-24


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def log_to(path: Path, loop: asyncio.AbstractEventLoop, form: str = "json", level: str = "debug", levels: tuple[tuple[str, str], ...] = ()) -> EventLog:
    return EventLog(LogSettings(str(path), form, level, levels), Clock(lambda: NOW_NS, lambda: 0), loop)


def turn(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_until_complete(asyncio.sleep(0))


def test_a_json_line_has_time_process_pid_epoch_and_the_fields_of_the_table(tmp_path: Path, loop: asyncio.AbstractEventLoop) -> None:
    log = log_to(tmp_path / "log", loop)
    write = log.writer("qmgr", 42)
    write(Note("submitted", (5 << 31, 7, b"a\xff@b\n", 1, 99, 3, 4, "client")))
    write(Note("exited", ("smtps.mx.0", 4711, -9)))
    assert (tmp_path / "log").read_bytes() == b""  # written once, at the end of the turn
    turn(loop)
    first, second = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert first == {
        "time": "2026-11-24T15:09:44.000042Z",
        "process": "qmgr",
        "pid": os.getpid(),
        "epoch": 42,
        "note": "submitted",
        "transaction": id_text(5 << 31),
        "session": id_text(7),
        "sender": "a\\xff@b\n",
        "recipients": 1,
        "octets": 99,
        "segment": 3,
        "offset": 4,
        "client": "client",
    }
    assert (second["process"], second["of_process"], second["of_pid"], second["status"]) == ("qmgr", "smtps.mx.0", 4711, -9)
    log.close()


@pytest.mark.parametrize("form", ["json", "logfmt", "console"])
def test_every_note_of_the_table_fits_into_one_line_of_every_format(tmp_path: Path, loop: asyncio.AbstractEventLoop, form: str) -> None:
    log = log_to(tmp_path / "log", loop, form)
    write = log.writer("smtps.mx.0", 1)
    for kind in NOTES.values():
        write(Note(kind.name, tuple(b'two words, "quoted"\r\nnext \x1b[31m' if field.endswith(":text") else 7 for field in kind.fields)))
    log.close()
    octets = (tmp_path / "log").read_bytes()
    assert octets.count(b"\n") == len(NOTES)
    assert b"\x1b" not in octets
    assert b"\r" not in octets


@pytest.mark.feature("SX68")
def test_the_level_of_a_module_decides_what_is_written(tmp_path: Path, loop: asyncio.AbstractEventLoop) -> None:
    log = log_to(tmp_path / "log", loop, level="info", levels=(("smtps", "debug"), ("smtps.quiet", "error")))
    samples = {level: next(kind for kind in NOTES.values() if kind.level == level) for level in (Level.ERROR, Level.MAIL, Level.SESSION)}
    for process in ("qmgr", "smtps.mx.0", "smtps.quiet.0"):
        write = log.writer(process, 1)
        for kind in samples.values():
            write(Note(kind.name, (1,) * len(kind.fields)))
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    written = [(line["process"], NOTES[line["note"]].level) for line in lines]
    assert written == [
        ("qmgr", Level.ERROR),
        ("qmgr", Level.MAIL),
        ("smtps.mx.0", Level.ERROR),
        ("smtps.mx.0", Level.MAIL),
        ("smtps.mx.0", Level.SESSION),
        ("smtps.quiet.0", Level.ERROR),
    ]


@pytest.mark.parametrize(
    ("process", "level"), [("smtps.mx.0", Level.DEBUG), ("smtps.mx", Level.DEBUG), ("smtpsx", Level.ERROR), ("qmgr", Level.MAIL), ("mcp", Level.ERROR)]
)
def test_a_module_name_means_the_processes_below_it(process: str, level: int) -> None:
    assert level_of(LogSettings(level="error", levels=(("smtps", "debug"), ("qmgr", "info"))), process) == level


def test_a_note_that_is_not_in_the_table_is_a_bug(tmp_path: Path, loop: asyncio.AbstractEventLoop) -> None:
    log = log_to(tmp_path / "log", loop, level="error")
    with pytest.raises(KeyError, match="invented"):
        log.writer("qmgr", 1)(Note("invented", ()))
    with pytest.raises(ValueError, match="zip"):
        log.writer("qmgr", 1)(Note("halted", ()))
    log.close()


def test_observers_see_every_note_of_any_level(tmp_path: Path, loop: asyncio.AbstractEventLoop) -> None:
    log = log_to(tmp_path / "log", loop, level="error")
    seen: list[tuple[str, Note]] = []
    log.observe(lambda process, note: seen.append((process, note)))
    log.writer("qmgr", 1)(Note("durable", (1,)))
    log.close()
    assert seen == [("qmgr", Note("durable", (1,)))]
    assert (tmp_path / "log").read_bytes() == b""


def test_reopen_follows_a_renamed_file(tmp_path: Path, loop: asyncio.AbstractEventLoop) -> None:
    log = log_to(tmp_path / "log", loop)
    write = log.writer("qmgr", 1)
    write(Note("halted", ("one",)))
    os.rename(tmp_path / "log", tmp_path / "log.1")
    log.reopen()
    write(Note("halted", ("two",)))
    log.close()
    assert "one" in (tmp_path / "log.1").read_text()
    assert "two" in (tmp_path / "log").read_text()
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o640


def test_a_full_disk_loses_lines_and_says_how_many(tmp_path: Path, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_to(tmp_path / "log", loop)
    write = log.writer("qmgr", 1)
    with monkeypatch.context() as full:

        def refuse(file: int, octets: bytes) -> None:
            raise OSError(28, "No space left on device")

        full.setattr("smx.live.eventlog._write_all", refuse)
        write(Note("halted", ("one",)))
        write(Note("halted", ("two",)))
        log.flush()
    write(Note("halted", ("three",)))
    log.close()
    text = (tmp_path / "log").read_text()
    assert "2 lines lost" in text
    assert "three" in text


def test_much_in_one_turn_is_not_collected_without_bound(tmp_path: Path, loop: asyncio.AbstractEventLoop) -> None:
    log = log_to(tmp_path / "log", loop)
    write = log.writer("qmgr", 1)
    for _ in range(1000):
        write(Note("halted", ("x" * 1000,)))
    assert (tmp_path / "log").stat().st_size > 500_000
    log.close()
