"""Ablations: a safeguard is switched off from outside, by changing what a component orders; the search must object."""

from collections.abc import Callable, Iterable

from sim.world import Tamper, World
from smx.effects import AnyEffect, Read, Store, Sync, SyncDirectory, Transmit
from smx.events import AnyEvent, DirectorySynced, Synced

Prepare = Callable[[World], None]


def tampering(make: Callable[[World], Tamper]) -> Prepare:
    """For `search`."""

    def prepare(world: World) -> None:
        world.tamper = make(world)

    return prepare


def _say(world: World, process: str, event: AnyEvent) -> None:
    world.env.later(300, world.machine.processes[process].deliver, event)


def _remove(world: World, store: str, segments: Iterable[int]) -> None:
    """At once and durably."""
    disk, folder = world.machine.disk, f"{world.machine.spool}/{store}"
    for segment in segments:
        path = f"{folder}/{segment:016x}.{store}"
        if disk.exists(path):
            disk.unlink(path)
    disk.sync_directory(folder)


def without_sync(store: str) -> Prepare:
    """Synced is said, nothing is synced."""

    def make(world: World) -> Tamper:
        def off(process: str, effect: AnyEffect) -> list[AnyEffect]:
            if isinstance(effect, Sync) and effect.store == store:
                _say(world, process, Synced(store, effect.token))
                return []
            return [effect]

        return off

    return tampering(make)


def reply_first(store: str) -> Prepare:
    """Synced is said at once; the sync itself comes behind the 250 that relied on it."""

    def make(world: World) -> Tamper:
        late: list[tuple[str, Sync]] = []

        def off(process: str, effect: AnyEffect) -> list[AnyEffect]:
            if isinstance(effect, Sync) and effect.store == store:
                _say(world, process, Synced(store, effect.token))
                late.append((process, effect))
                return []
            if isinstance(effect, Transmit) and b"250 2.0.0" in effect.data and process.startswith("smtps"):
                due = [sync for owner, sync in late if owner == process]
                late[:] = [(owner, sync) for owner, sync in late if owner != process]
                return [effect, *due]
            return [effect]

        return off

    return tampering(make)


def without_directory_sync(world: World) -> None:
    def off(process: str, effect: AnyEffect) -> list[AnyEffect]:
        if isinstance(effect, SyncDirectory):
            _say(world, process, DirectorySynced(effect.store, effect.token))
            return []
        return [effect]

    world.tamper = off


def early_removal(store: str) -> Prepare:
    """What the last sync made durable is removed when its 250 is out, although nothing supersedes it (A3)."""

    def make(world: World) -> Tamper:
        synced: tuple[int, ...] = ()

        def off(process: str, effect: AnyEffect) -> list[AnyEffect]:
            nonlocal synced
            if isinstance(effect, Sync) and effect.store == store:
                synced = effect.segments
            if isinstance(effect, Transmit) and b"250 2.0.0" in effect.data and process.startswith("smtps"):
                _remove(world, store, synced)
            return [effect]

        return off

    return tampering(make)


def removed_before_the_rows(world: World) -> None:
    """A segment goes when its content was copied, before the rows that name it were changed (A3)."""
    read: list[int] = []

    def off(process: str, effect: AnyEffect) -> list[AnyEffect]:
        if process == "qmgr" and isinstance(effect, Read):
            read.append(effect.segment)
        if process == "qmgr" and isinstance(effect, Store) and read:
            _remove(world, "cdb", (read.pop(),))
        return [effect]

    world.tamper = off


ABLATIONS: dict[str, tuple[Prepare, str]] = {
    # what is switched off            how                       the rule that its images break
    "no sync of IBDB": (without_sync("ibdb"), "A2"),
    "no sync of CDB": (without_sync("cdb"), "A1"),
    "reply before the sync of IBDB": (reply_first("ibdb"), "A2"),
    "reply before the sync of CDB": (reply_first("cdb"), "A1"),
    "no sync of the directory": (without_directory_sync, "I1"),
    "IBDB segment removed early": (early_removal("ibdb"), "I1"),
    "CDB segment removed early": (early_removal("cdb"), "A1"),
}
