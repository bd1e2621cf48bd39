"""No crash at any effect loses what was acknowledged; and each safeguard, switched off, is missed at once."""

from collections.abc import Callable

import pytest

from smx import effects as fx
from smx import events as ev
from tests.crash.outside import Mail
from tests.crash.points import KINDS, RELOCATED, Search, Tamper, ViolationError, Workload, workloads
from tests.crash.world import World

ALL = list(workloads())


@pytest.mark.feature("SX10", "SX11", "SX15")
@pytest.mark.parametrize("workload", ALL, ids=lambda w: w.name)
def test_no_power_loss_breaks_an_invariant(workload: Workload) -> None:
    """I1, I2, I3, I6, I7, I10, I14 for each surviving subset of unsynced appends and names, at each effect."""
    search = Search(workload).run()
    assert search.images > 20
    print(f"{workload.name}: {search.boundaries} boundaries, {search.images} images")


NESTED = [w for w in ALL if w.name in ("local", "deferred", "failed", "expanded", "local+cut", "deferred+cut", "relocated")]


@pytest.mark.parametrize("workload", NESTED, ids=lambda w: w.name)
def test_a_crash_inside_recovery_changes_nothing(workload: Workload) -> None:
    """I14: crash in recovery, then recover, equals recover; here for each tenth image, in the campaign for each."""
    search = Search(workload, nested_every=10).run()
    assert search.nested_images > 20


@pytest.mark.campaign
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("workload", ALL, ids=lambda w: w.name)
def test_no_crash_inside_any_recovery_breaks_an_invariant(workload: Workload) -> None:
    search = Search(workload, nested_every=1).run()
    print(f"{workload.name}: {search.boundaries} boundaries, {search.images} images, {search.nested_images} images inside recovery")
    assert search.nested_images > search.images


def test_the_search_reaches_the_rare_states() -> None:
    reached: set[str] = set()
    for kind in ("local", "deferred", "failed", "expanded"):
        reached |= Search(Workload(kind, (Mail("t1", KINDS[kind][:1]),))).run().reached
    reached |= Search(RELOCATED).run().reached
    assert reached >= {"relocated", "between dot and 250", "arrived, verdict not recorded", "deferred", "bounced", "expanded", "closed"}


# --- ablations: the safeguard is switched off, the search must object --------------------------------------------------


def without_sync(store: str) -> Tamper:
    """Synced is said, nothing is synced."""

    def tamper(world: World) -> Callable[[str, fx.AnyEffect], list[fx.AnyEffect]]:
        def off(process: str, effect: fx.AnyEffect) -> list[fx.AnyEffect]:
            if isinstance(effect, fx.Sync) and effect.store == store:
                world.post(process, ev.Synced(store, effect.token))
                return []
            return [effect]

        return off

    return tamper


def reply_first(store: str) -> Tamper:
    """Synced is said at once, the sync itself comes after the 250 that relied on it."""

    def tamper(world: World) -> Callable[[str, fx.AnyEffect], list[fx.AnyEffect]]:
        late: list[fx.AnyEffect] = []

        def off(process: str, effect: fx.AnyEffect) -> list[fx.AnyEffect]:
            if isinstance(effect, fx.Sync) and effect.store == store and process != "smtpc.0":
                world.post(process, ev.Synced(store, effect.token))
                late.append(effect)
                return []
            if isinstance(effect, fx.Transmit) and b"250 2.0.0" in effect.data and process.startswith("smtps"):
                due, late[:] = list(late), []
                return [effect, *due]
            return [effect]

        return off

    return tamper


def without_directory_sync(world: World) -> Callable[[str, fx.AnyEffect], list[fx.AnyEffect]]:
    def off(process: str, effect: fx.AnyEffect) -> list[fx.AnyEffect]:
        if isinstance(effect, fx.SyncDirectory):
            world.post(process, ev.DirectorySynced(effect.store, effect.token))
            return []
        return [effect]

    return off


def early_removal(store: str) -> Tamper:
    """What the last sync made durable is removed when its 250 is out, although nothing supersedes it (A3)."""

    def tamper(world: World) -> Callable[[str, fx.AnyEffect], list[fx.AnyEffect]]:
        synced: tuple[int, ...] = ()

        def off(process: str, effect: fx.AnyEffect) -> list[fx.AnyEffect]:
            nonlocal synced
            if isinstance(effect, fx.Sync) and effect.store == store:
                synced = effect.segments
            if isinstance(effect, fx.Transmit) and b"250 2.0.0" in effect.data and process.startswith("smtps"):
                return [effect, *(fx.Remove(store, segment) for segment in synced), fx.SyncDirectory(store, 1 << 40)]
            return [effect]

        return off

    return tamper


ABLATIONS: dict[str, tuple[Tamper, str]] = {
    # what is switched off        how                       the rule it breaks
    "no sync of IBDB": (without_sync("ibdb"), "I1"),
    "no sync of CDB": (without_sync("cdb"), "I1"),
    "reply before the sync of IBDB": (reply_first("ibdb"), "I1"),
    "reply before the sync of CDB": (reply_first("cdb"), "I1"),
    "no sync of the directory": (without_directory_sync, "I1"),
    "IBDB segment removed early": (early_removal("ibdb"), "I1"),
    "CDB segment removed early": (early_removal("cdb"), "I1"),
}


def removed_before_the_rows(world: World) -> Callable[[str, fx.AnyEffect], list[fx.AnyEffect]]:
    """A segment goes when its content was copied, before the rows that name it were changed (A3)."""
    read: list[int] = []

    def off(process: str, effect: fx.AnyEffect) -> list[fx.AnyEffect]:
        if process == "qmgr" and isinstance(effect, fx.Read):
            read.append(effect.segment)
        if process == "qmgr" and isinstance(effect, fx.Store) and read:
            return [fx.Remove("cdb", read.pop()), fx.SyncDirectory("cdb", 1 << 40), effect]
        return [effect]

    return off


def test_a_segment_that_goes_before_its_rows_were_changed_is_noticed() -> None:
    with pytest.raises(ViolationError, match=r"^I1:"):
        Search(RELOCATED, tamper=removed_before_the_rows).run()


@pytest.mark.parametrize("name", ABLATIONS)
def test_a_missing_safeguard_is_noticed(name: str) -> None:
    tamper, invariant = ABLATIONS[name]
    workload = Workload("deferred", (Mail("t1", KINDS["deferred"][:1]),))
    with pytest.raises(ViolationError, match=f"^{invariant}:"):
        Search(workload, tamper=tamper).run()
