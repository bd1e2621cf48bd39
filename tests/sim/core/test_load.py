"""Time in the simulated machine: events cost CPU, processes share cores, syncs wait for the disk and groups form."""

import msgspec
import pytest

from sim.costs import MEASURED, Costs, Measured, Times, load, name_of
from sim.peers.mail import Mail
from sim.process import Process
from sim.scenario import Strike
from smx.events import Received, Synced, Told
from smx.messages import WantBlock
from smx.units import KIB, MILLISECOND, SECOND
from tests.sim.core.worlds import EXPECTED, LOCAL, REMOTE, Lab, scenario

BURST = [Mail(f"t{number}", REMOTE if number % 2 else LOCAL) for number in range(60)]


def burst(times: Times) -> Lab:
    """60 clients at once, without checkers' facts of interest but all of them kept."""
    lab = Lab(scenario(times=times), BURST, gap_us=0)
    outcome = lab.world.run()
    assert (outcome.violations, outcome.finished) == ((), True)
    assert len(lab.arrivals()) == len(BURST)
    return lab


def took_us(lab: Lab) -> int:
    """From the first connection to the last 250."""
    return lab.notes("accepted")[-1].at - lab.notes("session")[0].at


def test_the_measured_costs_say_when_and_where_they_were_measured() -> None:
    measured = load()
    assert measured.date
    assert measured.python
    assert msgspec.json.decode(MEASURED.read_bytes())["machine"]
    for name in ("smtps Received", "qmgr Submit", "qmgr Delivered", "smtpc Received", "smar Resolve", "lda Received"):
        assert 1 < measured.step_us[name] < 5_000


def test_an_event_costs_what_was_measured_for_its_kind_and_a_large_piece_more() -> None:
    costs = Costs(Measured(step_us={"smtps Received": 50.0, "qmgr WantBlock": 7.0}, octet_ns={"smtps": 10.0}, other_us=3.0), 2.0)
    assert name_of(Told("smtps.mx.0", WantBlock())) == "WantBlock"
    assert costs.of("smtps", Received(1, b"QUIT\r\n")) == 100
    assert costs.of("smtps", Received(1, bytes(100 * KIB))) == 100 + 2 * 1024
    assert costs.of("qmgr", Told("smtps.mx.0", WantBlock())) == 14
    assert costs.of("qmgr", Synced("ibdb", 1)) == 6


def test_without_costs_a_step_takes_no_time() -> None:
    lab = burst(Times(sync_min_us=0, sync_max_us=0, link_min_us=0, link_max_us=0))
    assert all(process.busy_us == 0 for process in lab.world.machine.processes.values())


@pytest.mark.parametrize("cores", [0, 1, 2])
def test_charged_processes_deliver_the_same_mail(cores: int) -> None:
    lab = Lab(scenario(times=Times(scale=1.0, cores=cores)))
    outcome = lab.world.run()
    assert (outcome.violations, outcome.finished) == ((), True)
    assert lab.arrivals() == EXPECTED


def test_a_burst_takes_longer_when_processes_share_one_core_and_longer_still_when_it_is_slower() -> None:
    own, shared, slow = (took_us(burst(times)) for times in (Times(scale=1.0), Times(scale=1.0, cores=1), Times(scale=3.0, cores=1)))
    assert own < shared < slow
    assert slow > 2 * shared


def test_no_more_steps_are_served_at_a_time_than_there_are_cores() -> None:
    lab = Lab(scenario(times=Times(scale=1.0, cores=2)), BURST, gap_us=0)
    world = lab.world
    busy: list[int] = []
    original = Process._serve

    def serve(process: Process) -> None:
        assert world.machine.cores is not None
        busy.append(world.machine.cores.count)
        original(process)

    Process._serve = serve  # type: ignore[method-assign, assignment]
    try:
        world.run()
    finally:
        Process._serve = original  # type: ignore[method-assign]
    assert max(busy) == 2
    spent = sum(process.busy_us for process in world.machine.processes.values())
    assert spent <= 2 * (world.env.now - world.started_at)


def test_while_a_sync_is_under_way_the_next_group_forms() -> None:
    quick, slow = (burst(Times(sync_min_us=sync_us, sync_max_us=sync_us, scale=1.0)) for sync_us in (100, 20 * MILLISECOND))
    groups = [len({note.at for note in lab.notes("durable")}) for lab in (quick, slow)]
    assert groups[1] < groups[0]
    assert groups[1] <= 12  # of 60 messages
    assert slow.world.machine.device.syncs < quick.world.machine.device.syncs


def test_syncs_wait_for_each_other_on_one_disk_and_less_on_one_that_does_several() -> None:
    one, four = (burst(Times(sync_min_us=5 * MILLISECOND, sync_max_us=5 * MILLISECOND, syncs_at_once=at_once)) for at_once in (1, 4))
    closed = [lab.notes("closed")[-1].at for lab in (one, four)]
    assert closed[1] < closed[0]


def test_a_sync_takes_what_a_draw_says() -> None:
    lab = burst(Times(sync_min_us=MILLISECOND, sync_max_us=9 * MILLISECOND))
    device = lab.world.machine.device
    assert MILLISECOND < device.busy_us / device.syncs < 9 * MILLISECOND
    assert lab.world.choices.tape().draws["disk-time"]


def test_a_paused_process_that_is_charged_goes_on_later() -> None:
    lab = Lab(scenario(times=Times(scale=1.0, cores=1)))
    world = lab.world
    world.at(3_100 * MILLISECOND, lambda: world.machine.processes["qmgr"].pause(2 * SECOND))
    outcome = world.run()
    assert outcome.violations == ()
    assert lab.arrivals() == EXPECTED
    assert max(note.at for note in lab.notes("accepted")) - world.started_at > 5 * SECOND


def test_what_nobody_synced_is_durable_when_the_kernel_has_written_it_back() -> None:
    for writeback_us, kept in ((0, False), (SECOND, True)):
        lab = Lab(scenario(times=Times(writeback_us=writeback_us)), mails=())
        world = lab.world
        world.begin()
        world.go_on(world.env.now + 2 * SECOND)
        world.machine.disk.create("/spool/unsynced")
        world.go_on(world.env.now + 2 * SECOND)
        assert world.machine.disk.worst().exists("/spool/unsynced") is kept


def test_a_killed_process_gives_its_core_back() -> None:
    lab = Lab(scenario(times=Times(scale=1.0, cores=1)), BURST, gap_us=0)
    world = lab.world
    for step in range(8):
        world.at(3 * SECOND + step * 4 * MILLISECOND, world.strikes.strike, Strike(kind="kill", target=("smtps.mx.0", "qmgr", "smar", "lda")[step % 4]))
    outcome = world.run()
    assert (outcome.violations, outcome.finished) == ((), True)
    assert {token for token, _ in lab.arrivals()} == {mail.token for mail in BURST}
