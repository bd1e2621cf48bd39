"""Workloads are data: all multisets of up to three kinds, each with and without cut-through, and each to be found by its name."""

import pytest

from sim.images import exhaustive, find, special
from sim.images.workloads import KINDS
from sim.studies.crash_points import workload_of


def test_all_workloads_of_up_to_three_messages_are_enumerated() -> None:
    kinds = len(KINDS)
    one, two, three = kinds, kinds * (kinds + 1) // 2, kinds * (kinds + 1) * (kinds + 2) // 6
    assert [len(list(exhaustive(count))) for count in (1, 2, 3)] == [2 * one, 2 * (one + two), 2 * (one + two + three)]


def test_each_workload_has_a_name_of_its_own() -> None:
    workloads = [*special(), *exhaustive(2)]
    assert len({workload.name for workload in workloads}) == len(workloads)
    assert all(find(workload.name) == workload for workload in workloads[::20])
    with pytest.raises(KeyError):
        find("parcel")


def test_a_seed_of_crash_points_stands_for_a_workload() -> None:
    assert [workload_of(seed).name for seed in (0, 9, 10)] == ["failed from null", "local", "local + cut-through"]


def test_every_kind_has_one_or_two_recipients() -> None:
    assert {len(kind.recipients) for kind in KINDS.values()} == {1, 2}
