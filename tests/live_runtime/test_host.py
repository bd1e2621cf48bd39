"""The host: order, no re-entry, halting, stopping, and what becomes of bugs."""

import os
import subprocess
import sys

import pytest

import smx.live
from smx.effects import AnyEffect, Halt, Note, Tell
from smx.events import AnyEvent, Linked, Started, StopRequested, Told, Unlinked
from smx.live.host import HaltedError, Host, KilledError, StopTimedOutError
from smx.live.links import Links, join
from smx.live.runner import Runner
from smx.live.timers import Timers
from smx.messages import Secure
from tests.live_runtime.puppet import SILENT, Attach, Puppet, hosted, nothing


def joining(*, encode: bool) -> Attach:
    """Links the two runners to which it is applied."""
    links: list[Links] = []

    def attach(runner: Runner) -> None:
        links.append(Links(runner, dial=False))
        runner.attach(links[-1])
        if len(links) == 2:
            runner.host.at_begin(lambda: join(links[0], links[1], encode=encode))

    return attach


def test_started_is_the_first_event_and_carries_epoch_and_seed() -> None:
    puppet = Puppet()
    with hosted((puppet, nothing)):
        pass
    assert puppet.events[0] == Started(1000, 7, 0)
    assert isinstance(puppet.events[-1], StopRequested)


def test_a_bug_in_step_ends_the_host_and_is_raised_in_the_caller_with_its_traceback() -> None:
    def react(event: AnyEvent) -> list[AnyEffect]:
        if isinstance(event, StopRequested):
            raise AssertionError("our own bug")
        return []

    host = Host(SILENT)
    puppet = Puppet(react)
    host.add(puppet, "puppet", 1, 7)
    host.start()
    with pytest.raises(AssertionError, match="our own bug") as caught:
        host.stop()
    assert caught.traceback[-1].name == "react"


def test_a_bug_before_ready_is_raised_by_start() -> None:
    def react(event: AnyEvent) -> list[AnyEffect]:
        raise AssertionError("at once")

    host = Host(SILENT)
    host.add(Puppet(react), "puppet", 1, 7)
    with pytest.raises(AssertionError, match="at once"):
        host.start()


def test_nothing_behind_halt_is_carried_out() -> None:
    seen: list[str] = []
    puppet = Puppet(lambda event: [Note("stopping", ("a",)), Halt("enough"), Note("stopping", ("b",))] if isinstance(event, StopRequested) else [])
    host = Host(SILENT)
    host.log.observe(lambda process, note: seen.append(str(note.values[0])))
    host.add(puppet, "puppet", 1, 7)
    host.start()
    host.stop()
    assert seen[1:] == ["a"]


def test_halt_without_a_stop_asked_is_an_error_that_names_the_reason() -> None:
    puppet = Puppet(name="qmgr")
    host = Host(SILENT)
    puppet.runner = host.add(puppet, "qmgr", 1, 7)
    puppet.runner.attach(Timers(puppet.runner))
    host.start()
    puppet.order(Halt("sync failed"))
    with pytest.raises(HaltedError, match="qmgr halted: sync failed"):
        host.stop()


def test_a_component_that_does_not_halt_is_given_up_after_the_grace() -> None:
    class Deaf(Puppet):
        def step(self, event: AnyEvent, now: int) -> list[AnyEffect]:
            return [Note("ready", (1,))] if isinstance(event, Started) else []

    host = Host(SILENT)
    host.add(Deaf(), "deaf", 1, 7)
    host.start()
    with pytest.raises(StopTimedOutError, match="deaf"):
        host.stop(grace_us=1)


def test_kill_runs_no_more_code_of_the_components() -> None:
    puppet = Puppet()
    host = Host(SILENT)
    host.add(puppet, "puppet", 1, 7)
    host.start()
    host.kill()
    assert isinstance(host.error, KilledError)
    assert not puppet.seen(StopRequested)


def test_an_effect_that_no_device_carries_out_is_a_bug() -> None:
    host = Host(SILENT)
    host.add(Puppet(lambda event: [Tell("qmgr", Secure(1))]), "puppet", 1, 7)
    with pytest.raises(KeyError, match="Tell"):
        host.start()


def test_components_of_one_host_stop_in_the_reverse_order_of_their_start_and_see_each_other_go() -> None:
    order: list[str] = []

    def follow(name: str) -> Puppet:
        def react(event: AnyEvent) -> list[AnyEffect]:
            if isinstance(event, StopRequested):
                order.append(name)
            return []

        return Puppet(react, name)

    first, second = follow("qmgr"), follow("smtpc.0")
    attach = joining(encode=False)
    with hosted((first, attach), (second, attach)):
        assert first.wait(Linked) == [Linked("smtpc.0", 1001)]
        assert second.wait(Linked) == [Linked("qmgr", 1000)]
    assert order == ["smtpc.0", "qmgr"]
    assert first.seen(Unlinked) == [Unlinked("smtpc.0", 1001)]


@pytest.mark.parametrize("encode", [False, True])
def test_local_links_are_fifo_and_a_component_is_never_entered_while_it_steps(encode: bool) -> None:
    """Two components that answer each other within one step of the host."""
    depth = {"a": 0, "b": 0}

    class Echo(Puppet):
        def step(self, event: AnyEvent, now: int) -> list[AnyEffect]:
            assert depth[self.name] == 0
            depth[self.name] += 1
            effects = super().step(event, now)
            if isinstance(event, Told) and isinstance(event.message, Secure) and event.message.transaction < 100:
                effects.append(Tell("b" if self.name == "a" else "a", Secure(event.message.transaction + 2)))
            depth[self.name] -= 1
            return effects

    a, b = Echo(name="a"), Echo(name="b")
    attach = joining(encode=encode)
    with hosted((a, attach), (b, attach)):
        a.wait(Linked)
        a.order(Tell("b", Secure(1)), Tell("b", Secure(2)))
        a.wait(Told, match=lambda event: event.message == Secure(99))
    transactions = [event.message.transaction for event in b.seen(Told) if isinstance(event.message, Secure)]
    odd = [number for number in transactions if number % 2]
    assert odd == sorted(odd)
    assert odd[0] == 1


@pytest.mark.feature("SX31")
def test_no_module_of_the_loop_calls_what_blocks() -> None:
    """The asynchronous runtime never waits: no sleep, no blocking file sync outside the worker jobs, no synchronous name lookup."""
    folder = os.path.dirname(smx.live.__file__)
    for name in ("host", "runner", "network", "connection", "links", "timers", "eventlog"):
        with open(f"{folder}/{name}.py", encoding="utf-8") as file:
            text = file.read()
        for blocking in ("time.sleep", "fsync", "fdatasync", "gethostby", "getaddrinfo", "subprocess"):
            assert blocking not in text, f"{name}.py: {blocking}"


def test_the_child_imports_neither_the_grammar_nor_the_command_line() -> None:
    """Dependency rule 6: what MCP starts for SMTPS and SMTPC stays small."""
    program = (
        "import smx.live.child, smx.live.network, smx.live.segments, smx.live.readers, smx.live.tls, sys; "
        "print([m for m in ('lark','typer','rich','email','apsw','dns') if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60).stdout
    assert printed.strip() == "[]"
