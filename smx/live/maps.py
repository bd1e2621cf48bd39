"""Maps: carries out Lookup and LoadMap effects (SX47 in part: inline, file, passwd, and the aliases file).

    inline   the entries stand in the configuration
    file     text: `key value` a line; the value may be missing; `#` begins a comment where a line begins
    passwd   a passwd(5) file: the keys are the user names; without a file: the users of the system, asked one by one off the loop
    aliases  smx.smar.aliases has the syntax

Files are read whole, off the loop, and looked at again every second: a change of time, size or inode loads them again. A file that
cannot be read, or has an error, is said with its line and does not replace the earlier version.
"""

import asyncio
import os
import pwd
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from smx.config.schema_smar import MapSettings, SmarSettings
from smx.effects import LoadMap, Lookup
from smx.events import LookedUp, MapLoaded
from smx.smar import aliases
from smx.smar.tables import ALIASES_MAP

if TYPE_CHECKING:
    from smx.live.device import Orders
    from smx.live.runner import Runner

POLL_SECONDS: Final = 1.0
MAP_OCTETS_MAX: Final = 256 * 1024 * 1024

Rows = tuple[tuple[str, str], ...]
Identity = tuple[int, int, int] | None


class MapError(Exception):
    """A file that cannot be used; the text says file and line."""


# --- reading -----------------------------------------------------------------------------------------------------------------


def read_rows(settings: MapSettings) -> Rows:
    """The rows of a map of type inline, file or passwd with a file. Raises MapError."""
    match settings.type:
        case "inline":
            return settings.entries
        case "file":
            return parse_file(settings.file, read_text(settings.file))
        case "passwd":
            return parse_passwd(read_text(settings.file))
    raise MapError(f"unknown type of map: {settings.type}")


def read_aliases(path: str) -> Rows:
    """(name, targets) of an aliases file. Raises MapError with all that is wrong."""
    entries, problems = aliases.parse(read_text(path))
    if problems:
        raise MapError("; ".join(f"{path}:{line}: {text}" for line, text in problems))
    return tuple((entry.name, entry.targets) for entry in entries)


def read_text(path: str) -> str:
    """The text of a file. Raises MapError."""
    try:
        if os.path.getsize(path) > MAP_OCTETS_MAX:
            raise MapError(f"{path}: larger than {MAP_OCTETS_MAX} octets")
        with open(path, encoding="utf-8", errors="backslashreplace") as file:
            return file.read()
    except OSError as error:
        raise MapError(f"{path}: {error.strerror or error}") from None


def parse_file(path: str, text: str) -> Rows:
    """`key value` lines; a key that stands twice is an error, because nobody could say which one counts."""
    rows: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        key, *rest = stripped.split(None, 1)
        if key.lower() in rows:
            raise MapError(f"{path}:{number}: {key} stands twice")
        rows[key.lower()] = rest[0] if rest else ""
    return tuple(rows.items())


def parse_passwd(text: str) -> Rows:
    """The user names of a passwd(5) file, with nothing as value."""
    names = [line.partition(":")[0] for line in text.splitlines() if ":" in line and not line.startswith(("#", "+", "-"))]
    return tuple((name, "") for name in dict.fromkeys(names) if name)


def identity(path: str) -> Identity:
    """What changes when a file is written or replaced; None when it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


# --- serving -----------------------------------------------------------------------------------------------------------------


class _Watched:
    """A map that was ordered with LoadMap."""

    __slots__ = ("name", "path", "read", "seen", "version")

    def __init__(self, name: str, path: str, read: Callable[[], Rows]) -> None:
        self.name = name
        self.path = path
        self.read = read
        self.seen: Identity = None
        self.version = 0


class MapServer:
    """Loads maps, watches their files, answers look-ups. `deliver` is called on the loop, always later than the order."""

    def __init__(self, settings: SmarSettings, deliver: Callable[[LookedUp | MapLoaded], None]) -> None:
        self._deliver = deliver
        self._watched: dict[str, _Watched] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self.reconfigure(settings)

    def reconfigure(self, settings: SmarSettings) -> None:
        """New settings: to be said before SMAR gets them."""
        self._maps = {entry.name.lower(): entry for entry in settings.map}
        self._aliases = settings.aliases.file

    def load(self, effect: LoadMap) -> None:
        """Load now, and again whenever the file changes."""
        name = effect.map
        version = self._watched[name].version if name in self._watched else 0
        if name == ALIASES_MAP:
            path = self._aliases
            watched = _Watched(name, path, lambda: read_aliases(path))
        elif name in self._maps:
            settings = self._maps[name]
            watched = _Watched(name, settings.file, lambda: read_rows(settings))
        else:
            asyncio.get_running_loop().call_soon(self._say, MapLoaded(name, (), 0, f"there is no map {name}"))
            return
        watched.version = version
        self._watched[name] = watched
        self._spawn(self._load(watched))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(POLL_SECONDS, self._tick)

    def lookup(self, effect: Lookup) -> None:
        """Answer one key."""
        self._spawn(self._look_up(effect))

    async def poll(self) -> None:
        """Load again what has changed; returns when it is delivered."""
        changed = [watched for watched in self._watched.values() if watched.path and identity(watched.path) != watched.seen]
        for watched in changed:
            await self._load(watched)

    def close(self) -> None:
        """Watch nothing more, deliver nothing more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        """After close(): until nothing runs any more."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _say(self, event: LookedUp | MapLoaded) -> None:
        if not self._closed:
            self._deliver(event)

    def _tick(self) -> None:
        """A stat a file a second on the loop costs less than a thread."""
        self._spawn(self.poll())
        self._timer = asyncio.get_running_loop().call_later(POLL_SECONDS, self._tick)

    async def _load(self, watched: _Watched) -> None:
        watched.seen = identity(watched.path) if watched.path else None
        try:
            rows = await asyncio.to_thread(watched.read)
        except MapError as error:
            self._say(MapLoaded(watched.name, (), watched.version, str(error)))
            return
        watched.version += 1
        self._say(MapLoaded(watched.name, rows, watched.version))

    async def _look_up(self, effect: Lookup) -> None:
        settings = self._maps.get(effect.map)
        if settings is None:
            self._say(LookedUp(effect.request, "TEMP"))
            return
        status, value = await asyncio.to_thread(_find, settings, effect.key)
        self._say(LookedUp(effect.request, status, value))


def _find(settings: MapSettings, key: str) -> tuple[str, str]:
    """(status, value) of one key; runs off the loop."""
    if settings.type == "passwd" and not settings.file:
        return _find_user(key)
    try:
        rows = {name.lower(): value for name, value in read_rows(settings)}
    except MapError:
        return "TEMP", ""
    value = rows.get(key.lower())
    return ("NOTFOUND", "") if value is None else ("OK", value)


def _find_user(name: str) -> tuple[str, str]:
    """A user of the system, as getpwnam(3) finds it; names with a NUL or other octets that no user has are not found."""
    try:
        pwd.getpwnam(name)
    except (KeyError, ValueError):
        return "NOTFOUND", ""
    except OSError:
        return "TEMP", ""
    return "OK", ""


class Maps:
    """The device that carries out Lookup and LoadMap for SMAR."""

    def __init__(self, runner: "Runner", settings: SmarSettings) -> None:
        self._server = MapServer(settings, runner.deliver)
        self.reconfigure = self._server.reconfigure
        self.close = self._server.close

    def orders(self) -> "Orders":
        return {Lookup: self._server.lookup, LoadMap: self._server.load}
