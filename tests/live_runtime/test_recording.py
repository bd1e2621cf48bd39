"""Recordings: what was recorded replays to the same effects, and anything else is noticed (BX25)."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smx import codec
from smx.effects import AnyEffect, Append, Halt, Note, Tell, Transmit
from smx.events import Accepted, AnyEvent, Received, Started, StopRequested, Told
from smx.live.record import Recorder
from smx.live.replay import replay as replay_file
from smx.live.runner import Runner
from smx.messages import Granted, Secure
from smx.recording import STEP, Header, NotARecordingError, Reader, Writer, encode, replay
from tests.live_runtime.puppet import Puppet, hosted


class Echo:
    """A small component with state."""

    name = "echo"

    def __init__(self, settings: bytes) -> None:
        self._prefix = settings
        self._count = 0

    def step(self, event: AnyEvent, now: int) -> list[AnyEffect]:
        if isinstance(event, Received):
            self._count += 1
            if event.data == b"crash":
                raise AssertionError("a bug")
            return [Transmit(event.connection, self._prefix + event.data + b"%d %d" % (self._count, now)), Append("cdb", 1, self._count, event.data)]
        if isinstance(event, Told):
            return [Tell(event.process, Secure(self._count))]
        return [Note("started", (1,))] if isinstance(event, Started) else []


EVENTS: tuple[AnyEvent, ...] = (
    Started(9, 1),
    Accepted(1, "mx", "192.0.2.1", 5),
    Received(1, b"\xff\x00"),
    Told("qmgr", Granted(1, 2)),
    Received(1, b"x" * 5000),
    StopRequested(5),
)


def factory(header: Header) -> Echo:
    return Echo(header.settings)


def recorded(events: tuple[AnyEvent, ...] = EVENTS, settings: bytes = b">") -> bytes:
    writer = Writer("echo", 9, settings, 0)
    component = Echo(settings)
    octets = writer.header
    for number, event in enumerate(events):
        octets += writer.step(event, 1000 + number, component.step(event, 1000 + number))
    return octets


def test_a_recording_replays_to_identical_effects() -> None:
    report = replay(recorded(), factory)
    assert report.identical
    assert report.steps == len(EVENTS)
    assert "6 steps and 6 effects identical" in report.render()


@given(st.data())
def test_an_octet_changed_anywhere_makes_the_replay_fail(data: st.DataObject) -> None:
    octets = bytearray(recorded())
    at = data.draw(st.integers(0, len(octets) - 1))
    octets[at] ^= data.draw(st.integers(1, 255))
    try:
        report = replay(bytes(octets), factory)
    except NotARecordingError:
        return
    assert report.damage is not None or report.torn  # torn: a length grew beyond the end


@given(st.integers(0, 4999), st.integers(1, 255))
def test_an_event_changed_with_its_checksum_made_right_again_makes_the_effects_differ(at: int, change: int) -> None:
    reader = Reader(recorded())
    steps = list(reader.steps())
    fact = (steps[4].now, Received(1, b"x" * at + bytes([ord("x") ^ change]) + b"x" * (4999 - at)))
    first = encode(fact)
    forged = codec.encode(STEP, len(first).to_bytes(4, "big") + first + steps[4].effects, 9, 5)
    octets = recorded(EVENTS[:4]) + forged
    report = replay(octets, factory)
    assert report.difference is not None
    assert report.difference.step.number == 5
    assert report.steps == 4


def test_the_first_difference_shows_both_sides() -> None:
    report = replay(recorded(), lambda header: Echo(b"!"))
    assert not report.identical
    text = report.render()
    assert "2 steps and 1 effects identical, then step 3 differs" in text
    assert "recorded  Transmit(connection=1, data=b'>" in text
    assert "replayed  Transmit(connection=1, data=b'!" in text


@given(st.integers(0, 4000))
def test_a_torn_tail_is_tolerated(cut: int) -> None:
    """What a killed process leaves."""
    octets = recorded()[:-cut] if cut else recorded()
    report = replay(octets, factory)
    assert report.identical
    assert report.steps >= 4


def test_a_whole_record_that_is_no_step_of_this_smx_is_told() -> None:
    """Such as an event of a newer one."""
    fact = encode((1, ("an event", "of another kind")))
    forged = codec.encode(STEP, len(fact).to_bytes(4, "big") + fact + encode([]), 9, 2)
    report = replay(recorded(EVENTS[:1]) + forged, factory)
    assert not report.identical
    assert report.steps == 1
    assert "step 2 cannot be read" in report.render()


def test_a_crash_replays_to_the_same_crash() -> None:
    writer = Writer("echo", 9, b"", 0)
    octets = writer.header + writer.step(Received(1, b"crash"), 5, [])
    report = replay(octets, factory)
    assert report.difference is not None
    assert report.difference.error == "AssertionError: a bug"
    assert "a bug" in report.render()


@pytest.mark.parametrize("octets", [b"", b"not a recording at all, but long enough for a header", recorded()[100:]])
def test_other_files_are_refused(octets: bytes) -> None:
    with pytest.raises(NotARecordingError):
        replay(octets, factory)


def test_a_newer_format_is_refused() -> None:
    """A16."""
    octets = codec.encode(1, msgspec.msgpack.encode(Header(99, "echo", 9, b"", 0)), 9, 0)
    with pytest.raises(NotARecordingError, match="format 99"):
        replay(octets, factory)


def test_the_recorder_writes_what_the_runner_does_and_a_killed_host_leaves_a_recording(tmp_path: Path) -> None:
    class Kept(Puppet):
        pass

    puppet = Kept(lambda event: [Note("stopping", ("x",))] if isinstance(event, StopRequested) else [], name="qmgr")

    def attach(runner: Runner) -> None:
        Recorder(runner, str(tmp_path), b"settings")

    with hosted((puppet, attach)):
        puppet.order(Note("halted", ("by order",)))
    path = tmp_path / "qmgr.1000.rec"
    assert path.stat().st_mode & 0o777 == 0o600
    reader = Reader(path.read_bytes())
    assert reader.header.settings == b"settings"
    steps = list(reader.steps())
    assert isinstance(steps[0].event, Started)
    assert steps[-1].effects == encode([Note("stopping", ("x",)), Halt("asked to stop")])
    with pytest.raises(AssertionError, match="no component"):
        replay_file(str(_renamed(path)))


def _renamed(path: Path) -> Path:
    """The same recording under the name of a process that does not exist."""
    octets = path.read_bytes()
    reader = Reader(octets)
    header = msgspec.structs.replace(reader.header, process="nobody")
    other = path.with_name("nobody.rec")
    other.write_bytes(codec.encode(1, msgspec.msgpack.encode(header), header.epoch, 0))
    return other
