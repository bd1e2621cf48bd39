"""When SMTPS is slowed down or stopped, and when it may go on (SX23, SX25, A8, A10)."""

import pytest

from smx import events, messages
from smx.config.schema_qmgr import QmgrSettings, QmgrSmtpcSettings, ThrottleSettings
from smx.messages import AdmissionState
from smx.qmgr.admission import AdmissionControl, AdmissionLimits, Reason
from smx.units import MIB, SECOND
from tests.qmgr.world import SMTPC, SMTPS, World

LIMITS = AdmissionLimits(min_free_octets=100 * MIB, slow_free_octets=200 * MIB, spill_rate_max=100, descriptors_min=10, incoming_max=1_000)


def control() -> AdmissionControl:
    admission = AdmissionControl(AdmissionLimits(100 * MIB, 200 * MIB, 100, 10, 1_000))
    admission.measured("cdb", 900 * MIB, 500)
    return admission


@pytest.mark.feature("SX25")
@pytest.mark.parametrize(
    ("free", "descriptors", "roomy", "incoming", "state", "reason"),
    [
        (900 * MIB, 500, True, 0, AdmissionState.OPEN, Reason.NONE),
        (900 * MIB, -1, True, 0, AdmissionState.OPEN, Reason.NONE),
        (100 * MIB - 1, 500, True, 0, AdmissionState.CLOSED, Reason.DISK),
        (900 * MIB, 500, False, 0, AdmissionState.CLOSED, Reason.LOG),
        (900 * MIB, 500, True, 1_000, AdmissionState.CLOSED, Reason.INCOMING),
        (200 * MIB - 1, 500, True, 0, AdmissionState.SLOW, Reason.SPACE_LOW),
        (900 * MIB, 9, True, 0, AdmissionState.SLOW, Reason.DESCRIPTORS),
    ],
)
def test_state(free: int, descriptors: int, roomy: bool, incoming: int, state: AdmissionState, reason: Reason) -> None:
    admission = control()
    admission.measured("cdb", free, descriptors)
    admission.assess(SECOND, roomy=roomy, incoming=incoming)
    assert (admission.state, admission.reason) == (state, reason)


@pytest.mark.feature("SX25")
def test_the_door_opens_again_with_an_eighth_more_space() -> None:
    admission = control()
    states = []
    for free in (99, 101, 112, 113, 250):
        admission.measured("cdb", free * MIB, 500)
        admission.assess(SECOND, roomy=True, incoming=0)
        states.append(admission.state.name)
    assert states == ["CLOSED", "CLOSED", "CLOSED", "SLOW", "SLOW"]


@pytest.mark.feature("SX23")
def test_overflow_halves_the_rate_each_second_and_calm_doubles_it_until_the_door_is_open() -> None:
    admission = control()
    rates = []
    for second in range(1, 12):
        now = second * SECOND
        for _ in range(64):
            admission.accepted(now)
        if second < 5:
            admission.spilled(150, now)
        admission.assess(now, roomy=True, incoming=0)
        rates.append(admission.rate)
    assert rates == [32, 16, 8, 4, 2, 4, 8, 16, 32, 0, 0]
    assert admission.state is AdmissionState.OPEN


def test_the_largest_message_leaves_the_reserve_untouched() -> None:
    admission = control()
    admission.measured("cdb", 100 * MIB + 5_000, 500)
    assert admission.largest_octets == 4_096
    admission.measured("cdb", 10_000 * MIB, 500)
    assert admission.largest_octets == 0


@pytest.mark.feature("SX25")
def test_smtps_is_told_when_the_disk_fills_and_when_it_has_room_again() -> None:
    world = World(QmgrSettings(min_free_octets=64 * MIB)).boot()
    assert [one.state for one in world.take(messages.Admission)] == [AdmissionState.OPEN]
    world.disk.free = 10 * MIB
    world.advance(6 * SECOND)
    told = world.take(messages.Admission)
    assert [(one.state, one.code, one.enhanced) for one in told] == [(AdmissionState.CLOSED, 452, b"4.3.1")]
    world.disk.free = 1 << 40
    world.advance(6 * SECOND)
    assert world.take(messages.Admission)[-1].state == AdmissionState.OPEN
    assert [values[0] for values in world.noted("throttled")][-1] == "open"


@pytest.mark.feature("SX24")
def test_cut_through_is_offered_only_while_somebody_is_there_to_deliver() -> None:
    world = World(QmgrSettings()).boot()
    assert [one.cut_through_recipients_max for one in world.take(messages.Admission)] == [5]
    world.give(events.Unlinked(SMTPC, 3))
    assert [one.cut_through_recipients_max for one in world.take(messages.Admission)] == [0]
    world.give(events.Linked(SMTPC, 4))
    world.tell(SMTPC, messages.Capacity(5))
    assert [one.cut_through_recipients_max for one in world.take(messages.Admission)] == [5]


@pytest.mark.feature("SX23")
def test_an_overflowing_queue_slows_smtps_down_and_loses_nothing() -> None:
    settings = QmgrSettings(aq_max_entries=32, min_free_octets=0, throttle=ThrottleSettings(spill_rate_max=20), smtpc=QmgrSmtpcSettings(max_connections=5))
    world = World(settings).boot()
    world.replies[b"*"] = None
    for number in range(100):
        world.submit(b"a@d%d.example" % number)
    assert len(world.qmgr._hub.aq) <= 32
    assert AdmissionState.SLOW in [one.state for one in world.answers(messages.Admission)]
    assert len(world.answers(messages.Submitted)) == 100
    assert len(world.disk.rows) >= 60
    world.replies.clear()
    while world.deliveries:
        world.finish()
    world.advance(20 * SECOND)
    assert len(world.delivered) == 100
    assert not world.disk.rows
    assert world.answers(messages.Admission)[-1].state == AdmissionState.OPEN


@pytest.mark.feature("SX25")
def test_without_a_spare_log_segment_new_mail_is_refused_and_what_is_queued_is_delivered() -> None:
    settings = QmgrSettings(min_free_octets=0, ibdb_segment_octets=4_096)
    world = World(settings).boot()
    world.replies[b"*"] = None
    world.submit(b"a@sink.example")
    world.disk.fail = lambda effect: (
        [events.OpenFailed("ibdb", effect.segment, True, "full")] if type(effect).__name__ == "OpenSegment" and effect.store == "ibdb" else None  # type: ignore[union-attr]
    )
    for _ in range(40):
        world.submit(b"b@sink.example")
        world.advance(SECOND // 2)
    assert world.take(messages.Submitted)[-1].code == 452
    world.replies.clear()
    while world.deliveries:
        world.finish()
    assert world.delivered
    world.disk.fail = None
    world.advance(10 * SECOND)
    world.submit(b"c@sink.example")
    assert world.take(messages.Submitted)[-1].code == 250
    assert SMTPS in {process for process, _ in world.told}
