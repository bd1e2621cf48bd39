"""Names: Query, Lookup and LoadMap of SMAR: the DNS is sim.dns, the maps are tables that can fail, be slow, and change while SMAR runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.environment import Channel
from sim.process import Orders, Process
from smx.effects import LoadMap, Lookup, Query
from smx.events import Answered, LookedUp, MapLoaded
from smx.units import MILLISECOND

if TYPE_CHECKING:
    from sim.choices import Stream
    from sim.environment import Environment

Rows = tuple[tuple[str, str], ...]
LOAD_US: Final = 1 * MILLISECOND
LOOKUP_US: Final = 200


class MapTables:
    """The sources of all maps of a world. `broken`: maps that cannot be read now; `temp_per_mille`: of look-ups, that fail for now."""

    def __init__(self, env: Environment, stream: Stream, tables: dict[str, Rows]) -> None:
        self.env = env
        self.tables = dict(tables)
        self.broken: set[str] = set()
        self.temp_per_mille = 0
        self.slow_us = 0
        self._stream = stream
        self._watchers: list[Names] = []

    def change(self, name: str, rows: Rows) -> None:
        """The source of a map is another one from now on; whoever loaded it hears of that."""
        self.tables[name] = rows
        for watcher in self._watchers:
            watcher.changed(name)

    def break_map(self, name: str) -> None:
        self.broken.add(name)
        for watcher in self._watchers:
            watcher.changed(name)

    def calm(self) -> None:
        """Every map can be read again."""
        self.temp_per_mille = self.slow_us = 0
        for name in sorted(self.broken):
            self.broken.discard(name)
            for watcher in self._watchers:
                watcher.changed(name)

    def find(self, name: str, key: str) -> tuple[str, str]:
        """(status, value)"""
        if name not in self.tables or name in self.broken or self._stream.chance(self.temp_per_mille):
            return "TEMP", ""
        for found, value in self.tables[name]:
            if found.lower() == key.lower():
                return "OK", value
        return "NOTFOUND", ""

    def watch(self, watcher: Names) -> None:
        self._watchers.append(watcher)

    def unwatch(self, watcher: Names) -> None:
        self._watchers.remove(watcher)


class Names:
    """Carries the three effects out for one SMAR."""

    def __init__(self, process: Process) -> None:
        world = process.machine.world
        self._process = process
        self._env = world.env
        self._zone = world.zone
        self._maps = world.maps
        self._channel = Channel("maps")
        self._versions: dict[str, int] = {}
        self._maps.watch(self)

    def orders(self) -> Orders:
        return {Query: self.query, Lookup: self.look_up, LoadMap: self.load}

    def died(self, how: str) -> None:
        self._maps.unwatch(self)

    def query(self, effect: Query) -> None:
        self._zone.ask(effect.name, effect.rrtype, self._answer, effect.request)

    def _answer(self, answered: Answered) -> None:
        self._process.deliver(answered)

    def look_up(self, effect: Lookup) -> None:
        self._env.after(self._channel, LOOKUP_US + self._maps.slow_us, self._look_up, effect)

    def _look_up(self, effect: Lookup) -> None:
        self._process.deliver(LookedUp(effect.request, *self._maps.find(effect.map, effect.key)))

    def load(self, effect: LoadMap) -> None:
        self._versions.setdefault(effect.map, 0)
        self.changed(effect.map)

    def changed(self, name: str) -> None:
        if name in self._versions:
            self._env.after(self._channel, LOAD_US + self._maps.slow_us, self._loaded, name)

    def _loaded(self, name: str) -> None:
        rows = self._maps.tables.get(name)
        if rows is None or name in self._maps.broken:
            reason = f"there is no map {name}" if rows is None else "input/output error"
            self._process.deliver(MapLoaded(name, (), self._versions[name], reason))
            return
        self._versions[name] += 1
        self._process.deliver(MapLoaded(name, rows, self._versions[name]))
