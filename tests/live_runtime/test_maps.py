"""Maps: their sources, what is wrong in them, loading again when a file changes; and the command that checks the aliases."""

import asyncio
import os
import pwd
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from smx.cli import newaliases
from smx.config.schema_smar import AliasesSettings, MapSettings, SmarSettings
from smx.effects import LoadMap, Lookup
from smx.events import LookedUp, MapLoaded
from smx.live.maps import MapError, Maps, MapServer, parse_passwd, read_aliases, read_rows
from smx.smar.tables import ALIASES_MAP
from tests.live_runtime.puppet import Puppet, hosted


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


class Heard:
    """What the maps delivered, and a way to wait for it."""

    def __init__(self) -> None:
        self.events: list[LookedUp | MapLoaded] = []
        self._more = asyncio.Event()

    def __call__(self, event: LookedUp | MapLoaded) -> None:
        self.events.append(event)
        self._more.set()

    async def wait(self, count: int) -> list[LookedUp | MapLoaded]:
        async with asyncio.timeout(20):
            while len(self.events) < count:
                self._more.clear()
                await self._more.wait()
        return self.events


# --- reading ----------------------------------------------------------------------------------------------------------------------


def test_a_file_has_keys_values_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text("# people\nAlice\n\n bob   the builder \ncarol\t1 2\n")
    assert read_rows(MapSettings("users", "file", str(path))) == (("alice", ""), ("bob", "the builder"), ("carol", "1 2"))


def test_a_key_that_stands_twice_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text("alice 1\nbob\nALICE 2\n")
    with pytest.raises(MapError, match=r"users:3: ALICE stands twice"):
        read_rows(MapSettings("users", "file", str(path)))


def test_a_passwd_file_gives_the_names() -> None:
    assert parse_passwd("root:x:0:0::/root:/bin/sh\n# no\n+::::::\nalice:x:1000:1000::/home/alice:/bin/sh\nbroken\n") == (("root", ""), ("alice", ""))


@pytest.mark.parametrize("kind", ["file", "passwd"])
def test_a_missing_file_is_said_with_its_path(tmp_path: Path, kind: str) -> None:
    with pytest.raises(MapError, match=f"{tmp_path}/absent: No such file"):
        read_rows(MapSettings("users", kind, f"{tmp_path}/absent"))


def test_all_errors_of_an_aliases_file_are_said_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "aliases"
    path.write_text("a: b\nbad\nc: |program\n")
    with pytest.raises(MapError) as error:
        read_aliases(str(path))
    assert str(error.value) == f"{path}:2: expected `name: target, target`; {path}:3: delivery to a program is not supported: |program"


def test_octets_that_are_no_utf8_do_not_stop_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_bytes(b"al\xffce 1\n")
    assert read_rows(MapSettings("users", "file", str(path))) == (("al\\xffce", "1"),)


# --- loading -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.feature("SX50")
def test_a_map_is_loaded_again_when_its_file_changes_and_keeps_its_version_when_it_is_bad(tmp_path: Path) -> None:
    async def work() -> None:
        path = tmp_path / "aliases"
        path.write_text("a: b\n")
        heard = Heard()
        maps = MapServer(SmarSettings(aliases=AliasesSettings(str(path))), heard)
        maps.load(LoadMap(ALIASES_MAP))
        assert heard.events == [], "never at once"
        assert await heard.wait(1) == [MapLoaded(ALIASES_MAP, (("a", "b"),), 1)]
        await maps.poll()
        assert len(heard.events) == 1, "nothing has changed"
        path.write_text("a: b, c\n")
        await maps.poll()
        assert heard.events[1] == MapLoaded(ALIASES_MAP, (("a", "b, c"),), 2)
        path.write_text("a; b\n")
        await maps.poll()
        await maps.poll()
        assert heard.events[2:] == [MapLoaded(ALIASES_MAP, (), 2, f"{path}:1: expected `name: target, target`")], "said once"
        path.unlink()
        await maps.poll()
        assert heard.events[3] == MapLoaded(ALIASES_MAP, (), 2, f"{path}: No such file or directory")
        path.write_text("d: e\n")
        await maps.poll()
        assert heard.events[4] == MapLoaded(ALIASES_MAP, (("d", "e"),), 3)
        maps.close()
        await maps.wait_closed()

    run(work())


def test_a_file_replaced_by_one_of_the_same_size_and_time_is_loaded_again(tmp_path: Path) -> None:
    async def work() -> None:
        path, other = tmp_path / "users", tmp_path / "new"
        path.write_text("alice\n")
        other.write_text("carol\n")
        os.utime(path, ns=(1, 1))
        os.utime(other, ns=(1, 1))
        heard = Heard()
        maps = MapServer(SmarSettings(map=(MapSettings("users", "file", str(path)),)), heard)
        maps.load(LoadMap("users"))
        await heard.wait(1)
        other.rename(path)
        await maps.poll()
        assert heard.events[1] == MapLoaded("users", (("carol", ""),), 2)
        maps.close()

    run(work())


def test_a_map_that_nobody_defined_is_an_error() -> None:
    async def work() -> None:
        heard = Heard()
        maps = MapServer(SmarSettings(), heard)
        maps.load(LoadMap("ghost"))
        assert await heard.wait(1) == [MapLoaded("ghost", (), 0, "there is no map ghost")]
        maps.close()

    run(work())


def test_nothing_is_delivered_after_closing(tmp_path: Path) -> None:
    async def work() -> None:
        heard = Heard()
        maps = MapServer(SmarSettings(map=(MapSettings("users", "inline", entries=(("a", ""),)),)), heard)
        maps.load(LoadMap("users"))
        maps.lookup(Lookup(1, "users", "a"))
        maps.close()
        await maps.wait_closed()
        assert heard.events == []

    run(work())


# --- look-ups ----------------------------------------------------------------------------------------------------------------------


def test_look_ups_are_answered_from_each_kind_of_map(tmp_path: Path) -> None:
    async def work() -> None:
        path = tmp_path / "table"
        path.write_text("key value\n")
        me = pwd.getpwuid(os.getuid()).pw_name
        settings = SmarSettings(
            map=(
                MapSettings("inline", "inline", entries=(("Key", "v"),)),
                MapSettings("file", "file", str(path)),
                MapSettings("gone", "file", f"{tmp_path}/gone"),
                MapSettings("system", "passwd"),
            )
        )
        questions = [
            ("inline", "KEY"),
            ("inline", "x"),
            ("file", "key"),
            ("file", "x"),
            ("gone", "x"),
            ("system", me),
            ("system", "no such\0user"),
            ("ghost", "x"),
        ]
        heard = Heard()
        maps = MapServer(settings, heard)
        for request, (name, key) in enumerate(questions):
            maps.lookup(Lookup(request, name, key))
        assert heard.events == []
        found = await heard.wait(len(questions))
        answers = {event.request: (event.status, event.value) for event in found if isinstance(event, LookedUp)}
        assert [answers[request] for request in range(len(questions))] == [
            ("OK", "v"),
            ("NOTFOUND", ""),
            ("OK", "value"),
            ("NOTFOUND", ""),
            ("TEMP", ""),
            ("OK", ""),
            ("NOTFOUND", ""),
            ("TEMP", ""),
        ]
        maps.close()

    run(work())


# --- smx-newaliases ------------------------------------------------------------------------------------------------------------------


def test_newaliases_counts_a_good_file_and_tells_the_lines_of_a_bad_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "aliases"
    path.write_text("a: b\nroot: a, c\n")
    assert newaliases.main([f"-oA{path}"]) == 0
    assert capsys.readouterr().out == f"{path}: 2 aliases, longest 4 bytes, 5 bytes total\n"
    path.write_text("a: b\nroot a\nx: /file\n")
    assert newaliases.main(["-v", "-oA", str(path)]) == 65
    assert capsys.readouterr().err == f"{path}:2: expected `name: target, target`\n{path}:3: delivery to a file is not supported: /file\n"
    assert newaliases.main([f"-oA{tmp_path}/absent"]) == 66
    assert "No such file" in capsys.readouterr().err


def test_newaliases_finds_the_file_by_the_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "aliases").write_text("a: b\n")
    config = tmp_path / "smx.conf"
    assert newaliases.main(["-C", str(config)]) == 78
    minimal = (
        'hostname = "mx.example.org"; spool = "spool"; qmgr { } smtps mx { listen_socket { address = "127.0.0.1"; port = 0; } } smtpc { } lda { } smar { %s }'
    )
    config.write_text(minimal % 'aliases { file = "aliases"; }')
    capsys.readouterr()
    assert newaliases.main(["-C", str(config)]) == 0, capsys.readouterr().err
    assert f"{tmp_path}/aliases: 1 aliases" in capsys.readouterr().out
    config.write_text(minimal % "")
    assert newaliases.main(["-C", str(config)]) == 0, capsys.readouterr().err
    assert "no aliases file is configured" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["-C"], ["-oA"], ["file"], ["--help"]])
def test_newaliases_refuses_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert newaliases.main(arguments) == 64
    assert "usage: smx-newaliases" in capsys.readouterr().err


def test_the_device_carries_out_look_ups_and_loads_of_a_component() -> None:
    puppet = Puppet()
    settings = SmarSettings(map=(MapSettings("users", "inline", entries=(("a", "1"),)),))
    with hosted((puppet, lambda runner: runner.attach(Maps(runner, settings)))):
        puppet.order(LoadMap("users"), Lookup(4, "users", "a"))
        assert puppet.wait(MapLoaded) == [MapLoaded("users", (("a", "1"),), 1)]
        assert puppet.wait(LookedUp) == [LookedUp(4, "OK", "1")]
