"""The whole MTA in the simulator, without faults: one process each, started by the real MCP; mail comes in and goes where it belongs."""

import pytest

from sim.facts import Bounced, Stopped
from sim.peers.client import Manner
from sim.peers.mail import Mail
from sim.peers.script import LATER, Script
from sim.scenario import CONFIGURATION, plain_settings
from smx.units import SECOND
from tests.sim.core.worlds import EXPECTED, LOCAL, REMOTE, Lab, scenario, settle, unknown

PROCESSES = {"mcp", "qmgr", "smar", "lda", "smtpc.0", "smtps.mx.0"}


@pytest.mark.feature("SX06", "SX07")
def test_mcp_starts_every_process_and_each_becomes_ready() -> None:
    lab = Lab(scenario(), mails=())
    outcome = lab.world.run()
    assert {note.process for note in lab.notes("ready")} == PROCESSES
    assert (outcome.violations, outcome.finished) == ((), True)
    epochs = [note.epoch for note in lab.notes("started")]
    assert epochs == sorted(set(epochs))  # A11: rising with every launch


def test_mail_is_relayed_delivered_and_expanded() -> None:
    lab = Lab(scenario())
    outcome = lab.world.run()
    assert lab.arrivals() == EXPECTED
    assert all(client.promised for client in lab.clients)
    assert (outcome.violations, outcome.bugs) == ((), ())


@pytest.mark.parametrize("manner", [Manner(), Manner(pipelined=False), Manner(chunked=True), Manner(chunked=True, chunk_octets=20)], ids=str)
def test_every_manner_of_sending_gets_through(manner: Manner) -> None:
    lab = Lab(scenario(), manner=manner)
    assert lab.world.run().violations == ()
    assert lab.arrivals() == EXPECTED


def test_mail_for_an_unknown_user_elsewhere_comes_back_as_a_notification() -> None:
    lab = Lab(scenario(), mails=[Mail("t1", ("nobody@sink.example",), sender="alice@lab.example")], scripts={"sink.example": unknown("nobody@sink.example")})
    assert lab.world.run().violations == ()
    assert lab.bounces() == [("t1", "nobody@sink.example", "failed")]
    assert [bounce.to for bounce in lab.facts(Bounced)] == ["alice@lab.example"]


def test_mail_that_is_deferred_is_tried_again() -> None:
    lab = Lab(scenario(), mails=[Mail("t1", REMOTE)], scripts={"sink.example": Script(acts={"rcpt": (LATER, LATER)})})
    assert lab.world.run().violations == ()
    assert [note.values[2] for note in lab.notes("deferred")] == [1, 2]
    assert lab.arrivals() == [("t1", REMOTE[0])]


def test_cut_through_delivers_before_the_250_and_stores_nothing() -> None:
    settings = plain_settings(CONFIGURATION.replace("cut_through = 0;", "cut_through = 1s;"))
    lab = Lab(scenario(settings=settings), mails=[Mail("t1", LOCAL)])
    assert lab.world.run().violations == ()
    names = [note.name for note in lab.notes("verdict") + lab.notes("accepted")]
    assert names == ["verdict", "accepted"]
    assert lab.notes("verdict")[0].at <= lab.notes("accepted")[0].at
    assert lab.arrivals() == [("t1", LOCAL[0])]


def test_nothing_of_the_mail_is_left_on_disk() -> None:
    lab = Lab(scenario())
    lab.world.run()
    machine = lab.world.machine
    open_segments = {note.values[1] for note in lab.notes("segment") if note.values[0] == "cdb" and note.values[2] == "opened"}
    files = [path for path, _ in machine.disk.walk("/spool/cdb")]
    assert len(files) <= 4 <= len(open_segments | set(range(4)))  # the writers' open segments and their spares
    assert all(machine.disk.read(path, 100, 100).strip(b"\0") == b"" for path in files)


def test_an_orderly_stop_ends_every_process_and_loses_nothing() -> None:
    lab = Lab(scenario(), mails=())
    world = lab.world
    world.begin()
    settle(lab, lambda: {note.process for note in lab.notes("ready")} == PROCESSES)
    world.machine.stop()
    settle(lab, lambda: not world.machine.running)
    assert {fact.process for fact in lab.facts(Stopped)} == PROCESSES
    world.machine.start()
    settle(lab, lambda: sum(note.process == "mcp" for note in lab.notes("ready")) == 2)
    assert world.finish().violations == ()


def test_tamper_changes_effects_and_the_boundary_sees_each_of_them() -> None:
    lab = Lab(scenario(), mails=[Mail("t1", LOCAL)])
    seen: list[tuple[str, str]] = []
    lab.world.on_boundary = lambda process, effect: seen.append((process, type(effect).__name__))
    lab.world.tamper = lambda process, effect: [] if type(effect).__name__ == "Note" else [effect]
    lab.world.begin()
    settle(lab, lambda: lab.clients[0].finished or lab.world.env.now > lab.world.started_at + 20 * SECOND)
    assert {process for process, _ in seen} == {"mcp", "qmgr"}  # without its note QMGR never counts as ready, and the others wait for it
    assert {"OpenSegment", "Append", "Sync"} <= {effect for _, effect in seen}
    assert "Note" not in {effect for _, effect in seen}
    assert lab.notes("ready") == []


def test_a_run_that_does_not_come_to_rest_ends_at_its_limit() -> None:
    lab = Lab(scenario(limit_us=10 * SECOND), mails=[Mail("t1", REMOTE)], scripts={"sink.example": Script(always={"rcpt": LATER})})
    outcome = lab.world.run()
    assert (outcome.finished, outcome.ended_at_us) == (False, 10 * SECOND)


def test_a_component_that_raises_is_a_violation_and_is_started_again() -> None:
    lab = Lab(scenario(), mails=[Mail("t1", LOCAL)])
    failures = iter([True])

    def make(name: str, settings: bytes):  # type: ignore[no-untyped-def]
        component = original(name, settings)
        if name == "smar" and next(failures, False):
            step = component.step

            class Broken:
                name = "smar"

                def step(self, event, now):  # type: ignore[no-untyped-def]
                    if type(event).__name__ == "Told":
                        raise AssertionError("a bug")
                    return step(event, now)

            return Broken()
        return component

    original, lab.world.make_component = lab.world.make_component, make
    outcome = lab.world.run()
    assert [violation.invariant for violation in outcome.violations][-1:] == ["BUG"]
    assert "AssertionError: a bug" in outcome.bugs[0]
    assert lab.arrivals() == [("t1", LOCAL[0])]


@pytest.mark.feature("SX67")
def test_lines_show_the_story_and_do_not_change_it() -> None:
    plain, told = Lab(scenario(), mails=[Mail("t1", LOCAL)]), Lab(scenario(), mails=[Mail("t1", LOCAL)], lines=True)
    first, second = plain.world.run(), told.world.run()
    assert (first.digest, first.events) == (second.digest, second.events)
    lines = told.world.trace.lines()
    assert len(lines) == second.events
    story = "\n".join(lines)
    words = "> Accepted(|MAIL FROM:<sender@lab.example>|< Tell(process=qmgr, message=Submit(|* sync /spool/ibdb/|< CommitDeposit(|Note closed"
    for word in words.split("|"):
        assert word in story
