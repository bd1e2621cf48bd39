"""The trace: a digest of everything, a count, and lines for those who read."""

from sim.trace import Trace
from smx.effects import AnyEffect, Append, Arm, Note
from smx.events import Received, Synced


def fill(trace: Trace, *, octets: bytes = b"QUIT\r\n", effects: tuple[AnyEffect, ...] = (Arm("idle", 1, 5), Append("ibdb", 1, 0, b"x"))) -> Trace:
    trace.step(10, "smtps.mx.0", Received(1, octets), list(effects))
    trace.record(11, "disk", "sync", ("/spool/ibdb/1", 0, 5))
    trace.step(12, "qmgr", Synced("ibdb", 1), [])
    return trace


def test_the_digest_is_that_of_what_happened() -> None:
    first = fill(Trace()).digest
    assert fill(Trace()).digest == first
    assert fill(Trace(), octets=b"QUIT\n").digest != first
    assert fill(Trace(), effects=(Arm("idle", 1, 6), Append("ibdb", 1, 0, b"x"))).digest != first
    assert fill(Trace(), effects=(Append("ibdb", 1, 0, b"x"), Arm("idle", 1, 5))).digest != first


def test_keeping_lines_changes_neither_digest_nor_count() -> None:
    plain, kept, ring = fill(Trace()), fill(Trace(keep_lines=True)), fill(Trace(ring=2))
    assert plain.digest == kept.digest == ring.digest
    assert plain.events == kept.events == ring.events == 5
    assert (plain.keeping, kept.keeping) == (False, True)


def test_the_digest_may_be_asked_in_between() -> None:
    trace = fill(Trace())
    early = trace.digest
    assert trace.digest == early
    trace.record(13, "world", "faults end")
    assert trace.digest != early


def test_a_long_trace_is_hashed_in_pieces_to_the_same_digest() -> None:
    one, other = Trace(), Trace()
    for number in range(5000):
        one.record(number, "disk", "write", ("/spool/cdb/1", number, b"x" * 40))
        other.record(number, "disk", "write", ("/spool/cdb/1", number, b"x" * 40))
        assert number % 1000 or one.digest  # asked in between or not
    assert one.digest == other.digest


def test_there_is_a_line_for_each_event_effect_and_operation() -> None:
    trace = fill(Trace(keep_lines=True), effects=(Note("recovered", (1, 2, 3, 4)),), octets=b"\xff" + b"A" * 200)
    lines = trace.lines()
    assert len(lines) == trace.events == 4
    assert "> Received(connection=1, data='\\xffAAA" in lines[0]
    assert lines[0].endswith("... 201)")
    assert "< Note recovered transactions=1 recipients=2 deferred=3 elapsed=4" in lines[1]
    assert "* sync /spool/ibdb/1 0 5" in lines[2]
    assert "time" in trace.legend


def test_a_ring_keeps_the_last_ones() -> None:
    trace = Trace(ring=3)
    for number in range(10):
        trace.record(number, "disk", "write", number)
    assert [line.split()[-1] for line in trace.lines()] == ["7", "8", "9"]
    assert len(trace.lines(last=1)) == 1
