"""load: throughput, use and waiting come out of the mechanism, by the laws of queues."""

import pytest

from sim.studies import OptionError, find, run
from sim.studies.load import Point, measure, saturation, table
from tests.sim.studies.runs import silent

SLOW = {"slower": 20.0, "seconds": 5, "warmup": 1}  # about 20 ms of CPU a message: a burst of mail is then 50 messages
_points: dict[str, Point] = {}


def point(**options: object) -> Point:
    """Measured once."""
    key = repr(sorted(options.items()))
    if key not in _points:
        _points[key] = measure({**SLOW, **options})
    return _points[key]


def close(value: float, other: float, share: float) -> bool:
    return abs(value - other) <= share * max(abs(value), abs(other))


def test_utilisation_is_throughput_times_service_time() -> None:
    low, high = point(rate=10), point(rate=40)
    assert close(2 * high.cores.mean, high.promised * low.cpu_ms / 1_000, 0.1)
    assert close(high.levels["cores busy"], 2 * high.cores.mean, 0.05)  # looks at the cores, and what was charged
    assert close(sum(high.processes[name].mean for name in high.processes), 2 * high.cores.mean, 0.02)


def test_littles_law_holds_for_messages_before_their_250_and_for_groups_at_the_disk() -> None:
    for measured in (point(rate=40), point(rate=20, slower=1.0, sync_us=20_000)):
        assert close(measured.levels["open"], measured.promised * measured.dot_to_250_mean.mean / 1_000, 0.1)
        assert close(measured.levels["disk"], measured.disk_jobs * measured.disk_wait_ms / 1_000, 0.1)


def test_groups_grow_with_the_load_and_a_message_costs_fewer_syncs() -> None:
    calm, busy = (point(rate=rate, slower=1.0, sync_us=20_000) for rate in (5, 40))
    assert calm.group < 1.5 < 3 < busy.group
    assert busy.syncs_per_message < calm.syncs_per_message / 2
    assert busy.pressed["disk"] > 0.95
    assert 0.9 < busy.disk.mean <= 1.001


def test_twice_the_cores_move_saturation_up() -> None:
    one, two = point(rate=80, cores=1), point(rate=80, cores=2)
    assert two.arrived.mean > 1.5 * one.arrived.mean
    assert (one.kept_up, two.kept_up) == (False, True)
    assert one.bottleneck[0] == "cores"


def test_twice_the_service_time_moves_it_down() -> None:
    assert point(rate=50, slower=40.0).arrived.mean < 0.7 * point(rate=80).arrived.mean


def test_near_saturation_waits_grow_faster_than_the_load() -> None:
    waits = [point(rate=rate).dot_to_250_mean.mean for rate in (10, 40, 80)]
    assert waits[1] < 3 * waits[0]
    assert waits[2] > 3 * waits[0]


def test_the_table_says_where_it_saturates_and_by_what() -> None:
    points = [point(rate=rate, cores=1) for rate in (10, 80)]
    most, name = saturation(points)
    assert (most, name) == (points[1].arrived.mean, "cores")
    lines = table(points)
    assert len(lines) == 4
    assert lines[-1] == f"saturates at {most:.0f} messages a second, by cores"
    assert table(points[:1])[-1].endswith("and more")


def test_a_sweep_is_part_of_the_story() -> None:
    done = silent("load", 3, (("slower", 20.0), ("rate", 10), ("seconds", 2), ("warmup", 1), ("rates", "5,10")))
    assert len(done.story) == 1 + 1 + 2 + 1
    assert done.outcome.figures["arrived a second"] > 0


def test_the_same_seed_gives_the_same_digest_and_another_cost_another_one() -> None:
    options = {"slower": 20.0, "rate": 10, "seconds": 2, "warmup": 1}
    one, again, other = (run(find("load"), 5, chosen).outcome.digest for chosen in (options, options, {**options, "slower": 20.5}))
    assert one == again != other


@pytest.mark.parametrize("wrong", [{"rates": "5,x"}, {"rate": 0}, {"slower": 0.0}, {"remote": 101}, {"cores": -1}])
def test_a_wrong_option_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="load: "):
        run(find("load"), 0, wrong)
