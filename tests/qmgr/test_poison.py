"""A message that crashes QMGR is set aside, and nobody else is, whoever kills QMGR how often (A14, L4)."""

import msgspec
import pytest

from smx import events, messages
from smx.config.schema_qmgr import QmgrSettings, QmgrSmtpcSettings, RetrySettings
from smx.effects import AnyEffect, Tell
from smx.limits import CRASHES_ALONE_MIN, CRASHES_MAX, SUSPECT_PATIENCE_US
from smx.messages import Content, Deliver, Envelope, Recipient
from smx.qmgr import poison
from smx.qmgr.poison import INNOCENT, Suspicion, is_suspect
from smx.qmgr.records import Begun, Opened, RecoveryBegun
from smx.qmgr.recovery_fold import Fold
from smx.qmgr.rows import ROW_QUARANTINED, read_row
from smx.qmgr.ward import GATHER_US
from smx.units import HOUR, MINUTE, SECOND
from tests.qmgr.world import DEFERRED, RELAYED, SMTPC, World

SETTINGS = QmgrSettings(
    min_free_octets=0,
    ibdb_segment_octets=1 << 18,
    smtpc=QmgrSmtpcSettings(initial_connections=1000, max_connections=1000),
    retry=RetrySettings(min_us=5 * MINUTE, jitter_percent=0, warn_us=0),
)


class CrashError(Exception):
    """QMGR has met its poison."""


class Poisoned(World):
    """A world in which QMGR dies when it hands a certain message out. `when`: at which recipient's delivery."""

    poison: bytes = b""

    def carry_out(self, effect: AnyEffect) -> None:
        super().carry_out(effect)
        if isinstance(effect, Tell) and isinstance(effect.message, Deliver) and self.poison in [one.address for one in effect.message.recipients]:
            raise CrashError

    def again(self) -> "Poisoned":
        """The next life."""
        world = Poisoned(SETTINGS, self.disk.kill_image(), epoch=self.epoch + 100, seed=self.seed + 1)
        world.now, world.wall = self.now + SECOND, self.wall
        world.replies, world.delivered, world.poison = self.replies, self.delivered, self.poison
        return world


def live(world: Poisoned, us: int) -> bool:
    """One life, up to `us` of it. False: it ended with a crash."""
    try:
        world.boot()
        world.link_smtpc(1000)
        world.advance(us)
    except CrashError:
        return False
    return True


def quarantined(world: World) -> list[tuple[int, int]]:
    return sorted(key for key, row in world.disk.rows.items() if row.state == ROW_QUARANTINED)


def in_flight(world: World) -> list[int]:
    return sorted(deliver.transaction for _, deliver in world.deliveries.values())


def until_tried(world: World) -> None:
    world.until(lambda: world.deliveries, within=10 * HOUR)


# --- storms of kills --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deferred", [False, True], ids=["new", "deferred"])
def test_a_storm_of_kills_with_hundreds_of_deliveries_in_flight_sets_nobody_aside(*, deferred: bool) -> None:
    world = World(SETTINGS).boot()
    world.replies[b"*"] = DEFERRED if deferred else None
    sent = [world.submit(b"%d@h%d.example" % (number, number % 7)) for number in range(100)]
    if deferred:
        world.replies[b"*"] = None
        world.until(lambda: len(world.deliveries) == 100)
    assert in_flight(world) == sent
    for _ in range(20):
        world = world.restart(world.disk.kill_image(), SETTINGS).boot()
        world.advance(2 * SECOND)
        assert not world.noted("quarantined")
    world.replies[b"*"] = RELAYED
    for number in sorted(world.deliveries):
        world.finish(number)
    world.advance(HOUR)
    assert world.delivered
    assert sorted(number for number, _ in world.delivered) == sent
    assert not world.disk.rows


def test_after_the_second_kill_suspects_are_tried_one_at_a_time_and_other_mail_goes_on() -> None:
    world = World(SETTINGS).boot()
    world.replies[b"*"] = None
    sent = [world.submit(b"%d@x.example" % number) for number in range(10)]
    world = world.restart(world.disk.kill_image(), SETTINGS).boot()
    assert in_flight(world) == sent
    world = world.restart(world.disk.kill_image(), SETTINGS).boot()
    world.advance(GATHER_US)
    assert in_flight(world) == sent[:1]
    fresh = world.submit(b"fresh@x.example")
    assert in_flight(world) == [sent[0], fresh]
    world.finish(reply=RELAYED)
    assert in_flight(world) == [sent[1], fresh]
    world.finish(reply=RELAYED)
    assert in_flight(world) == [sent[1]]
    for number in sent[2:]:
        world.finish(reply=DEFERRED)
        assert in_flight(world) == [number]


def test_a_suspect_with_a_slow_host_does_not_hold_up_the_others_for_long() -> None:
    world = World(SETTINGS).boot()
    world.replies[b"*"] = None
    sent = [world.submit(b"%d@x.example" % number) for number in range(4)]
    for _ in range(2):
        world = world.restart(world.disk.kill_image(), SETTINGS).boot()
        world.advance(GATHER_US)
    for started in range(1, 5):
        assert in_flight(world) == sent[:started]
        world.advance(SUSPECT_PATIENCE_US)


def test_each_kill_of_a_storm_hits_another_suspect_first() -> None:
    world = World(SETTINGS).boot()
    world.replies[b"*"] = None
    sent = [world.submit(b"%d@x.example" % number) for number in range(5)]
    world = world.restart(world.disk.kill_image(), SETTINGS).boot()
    world = world.restart(world.disk.kill_image(), SETTINGS).boot()
    tried = []
    for _ in range(5):
        world.advance(GATHER_US)
        tried += in_flight(world)
        world = world.restart(world.disk.kill_image(), SETTINGS).boot()
    assert tried == sent
    assert not world.noted("quarantined")


def test_an_orderly_stop_and_the_death_of_smtpc_count_for_nothing() -> None:
    world = World(SETTINGS).boot()
    world.replies[b"*"] = None
    number = world.submit(b"a@x.example")
    for life in range(4):
        world.give(events.Unlinked(SMTPC, world.epoch + 2))
        world.deliveries.clear()
        world.link_smtpc(1000)
        until_tried(world)
        if life % 2:
            world.give(events.StopRequested(SECOND))
            world.advance(SECOND)
            world = world.restart(world.disk.kill_image(), SETTINGS).boot()
            until_tried(world)
    world = world.restart(world.disk.kill_image(), SETTINGS).boot()
    world.advance(GATHER_US)
    crashes = [entry.crashes for entry in world.qmgr._hub.transactions[number].entries.values()] if world.qmgr._hub.transactions else []
    crashes += [read_row(row)[1].crashes for row in world.disk.rows.values()]
    assert max(crashes) == 1  # that of the last life
    assert not world.noted("quarantined")


# --- poison -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", [0, 1, 40])
@pytest.mark.parametrize("deferred", [False, True], ids=["new", "deferred"])
def test_poison_among_others_is_set_aside_after_a_few_crashes_and_the_others_are_delivered(others: int, *, deferred: bool) -> None:
    world = Poisoned(SETTINGS)
    world.boot()
    world.replies[b"*"] = DEFERRED if deferred else None
    sent = [world.submit(b"%d@x.example" % number) for number in range(others // 2)]
    bad = world.submit(b"poison@x.example")
    sent += [world.submit(b"%d@x.example" % number) for number in range(others // 2, others)]
    world.replies[b"*"] = RELAYED
    world.poison = b"poison@x.example"
    crashes = 0 if deferred else 1
    if deferred:
        with pytest.raises(CrashError):
            world.advance(HOUR)
        crashes = 1
    world = world.again()
    while not live(world, HOUR):
        crashes += 1
        assert crashes <= 4
        world = world.again()
    assert crashes >= 3
    assert quarantined(world) == [(bad, 0)]
    assert {number for number, _ in world.delivered} >= set(sent)
    assert set(world.disk.rows) == {(bad, 0)}


def test_a_verdict_clears_the_suspicion() -> None:
    world = World(SETTINGS).boot()
    world.replies[b"*"] = None
    number = world.submit(b"a@x.example")
    for _ in range(2):
        world = world.restart(world.disk.kill_image(), SETTINGS).boot()
        world.advance(GATHER_US)
    world.finish(reply=DEFERRED)
    ((_, row),) = world.disk.rows.items()
    assert (read_row(row)[1].crashes, read_row(row)[1].alone) == (0, 0)
    until_tried(world)
    for _ in range(2):
        world = world.restart(world.disk.kill_image(), SETTINGS).boot()
        world.advance(GATHER_US)
        until_tried(world)
    assert in_flight(world) == [number]


@pytest.mark.parametrize("crashes", range(6))
@pytest.mark.parametrize("alone", range(6))
def test_poison_needs_crashes_in_a_row_and_some_of_them_alone(crashes: int, alone: int) -> None:
    suspicion = Suspicion(crashes, alone)
    assert suspicion.poison == (crashes >= CRASHES_MAX and alone >= CRASHES_ALONE_MIN)
    assert is_suspect(crashes) == (crashes >= 2)
    assert suspicion.plus(INNOCENT) == suspicion
    assert suspicion.plus(Suspicion(1, 1)) == Suspicion(crashes + 1, alone + 1)


def test_capacity_said_again_changes_nothing_for_a_suspect() -> None:
    world = World(SETTINGS).boot()
    world.replies[b"*"] = None
    for number in range(3):
        world.submit(b"%d@x.example" % number)
    for _ in range(2):
        world = world.restart(world.disk.kill_image(), SETTINGS).boot()
        world.advance(GATHER_US)
    world.tell(SMTPC, messages.Capacity(50))
    assert len(in_flight(world)) == 1


def test_without_the_question_who_was_alone_a_storm_sets_good_mail_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ablation."""
    monkeypatch.setattr(poison, "is_poison", lambda crashes, alone: crashes >= CRASHES_MAX)
    monkeypatch.setattr(poison, "SUSPECT_CRASHES", CRASHES_MAX)
    world = World(SETTINGS).boot()
    world.replies[b"*"] = None
    for number in range(50):
        world.submit(b"%d@x.example" % number)
    for _ in range(CRASHES_MAX):
        world = world.restart(world.disk.kill_image(), SETTINGS).boot()
        world.advance(2 * SECOND)
    assert len(world.noted("quarantined")) == 50


def test_who_was_copied_by_a_recovery_that_died_still_counts_as_company() -> None:
    def begun(fold: Fold, number: int) -> Opened:
        opened = Opened(number, Envelope(number, b"", (Recipient(0, b"a@x.example"),), Content(1 << 24, 96, 1, 0), 0))
        fold.apply(1, opened)
        fold.apply(1, Begun(number, (0,)))
        return opened

    fold = Fold()
    first, second = begun(fold, 1), begun(fold, 2)
    fold.apply(2, RecoveryBegun((1, 2)))
    fold.apply(2, msgspec.structs.replace(first, crashes=1))
    fold.finish()
    assert fold.transactions[1].crashes == Suspicion(1)
    assert fold.transactions[second.transaction].crashes == Suspicion(1)
