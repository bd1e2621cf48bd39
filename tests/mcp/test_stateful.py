"""MCP under any order of deaths, failures and delays: the invariants hold (tests/mcp/world.py), and it converges when faults stop."""

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from smx.units import MINUTE, SECOND
from tests.mcp.world import World, settings


class Faults(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World(settings(start_timeout_us=10 * SECOND, stop_timeout_us=5 * SECOND, restart_max_us=20 * SECOND))

    @precondition(lambda self: self.world.saving)
    @rule()
    def save(self) -> None:
        self.world.save()

    @precondition(lambda self: self.world.starting)
    @rule(works=st.sampled_from([True, True, True, False]))
    def launch(self, works: bool) -> None:
        self.world.launch(works=works)

    @precondition(lambda self: self.world.alive)
    @rule(data=st.data())
    def get_ready(self, data: st.DataObject) -> None:
        self.world.say_ready(data.draw(st.sampled_from(sorted(self.world.alive))))

    @precondition(lambda self: self.world.alive)
    @rule(data=st.data(), status=st.sampled_from([0, 1, -9]))
    def die(self, data: st.DataObject, status: int) -> None:
        self.world.die(data.draw(st.sampled_from(sorted(self.world.alive))), status)

    @precondition(lambda self: self.world.signals)
    @rule(data=st.data())
    def obey(self, data: st.DataObject) -> None:
        self.world.die(data.draw(st.sampled_from(sorted(self.world.signals))), 0)

    @precondition(lambda self: "qmgr" in self.world.alive)
    @rule(up=st.booleans())
    def link(self, up: bool) -> None:
        self.world.link() if up else self.world.unlink()

    @rule(us=st.sampled_from([1, SECOND, 5 * SECOND, MINUTE]))
    def pass_time(self, us: int) -> None:
        self.world.pass_time(us)

    @rule()
    def settle(self) -> None:
        self.world.settle()

    def teardown(self) -> None:
        self.world.converge()
        self.world.stop()
        self.world.settle()
        assert self.world.halted == "stopped"
        assert not self.world.alive


class Stops(Faults):
    """The same with a stop at any moment: MCP ends, and nothing is launched after the stop."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped = False

    @rule()
    def stop(self) -> None:
        if self.world.halted:
            return
        self.world.stop()
        self.stopped = True
        self.launches = len(self.world.launches)

    def teardown(self) -> None:
        if not self.stopped:
            self.world.stop()
            self.launches = len(self.world.launches)
        for _ in range(20):
            if not self.world.halted:
                self.world.settle()
                self.world.pass_time(10 * SECOND)
        assert self.world.halted == "stopped"
        assert len(self.world.launches) == self.launches


@pytest.mark.feature("SX04")
@pytest.mark.feature("SX05")
@pytest.mark.feature("SX06")
@pytest.mark.feature("SX07")
def test_invariants_hold_under_any_faults_and_everything_runs_when_they_stop() -> None:
    run_state_machine_as_test(Faults, settings=hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None))


def test_a_stop_at_any_moment_ends_everything() -> None:
    run_state_machine_as_test(Stops, settings=hypothesis_settings(max_examples=40, stateful_step_count=25, deadline=None))
