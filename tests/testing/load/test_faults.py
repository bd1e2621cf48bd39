"""Every fault at every stage, of the client and of the sink: how the message ends, and what arrived."""

import pytest

from smx.testing.load.draws import fixed
from smx.testing.load.faults import CLIENT_KINDS, CODE, SERVER_KINDS, Fault
from tests.testing.load.rig import exchange

MANNERS = ("plain", "lockstep", "chunking", "lmtp")
TIME_S = 0.04
HANG_S = 0.15

CLIENT = [(kind, stage) for kind, row in CLIENT_KINDS.items() for stage in row.stages]
SERVER = [(code, stage) for code in ("421", "451", "550") for stage in SERVER_KINDS[CODE].stages]
SERVER += [(kind, stage) for kind, row in SERVER_KINDS.items() if kind != CODE for stage in row.stages]

GOES_ON = ("pause", "slow", "delay")


def manner_of(name: str) -> tuple[dict[str, object], dict[str, object]]:
    """(options of the generator, of the sink)."""
    loads: dict[str, dict[str, object]] = {"plain": {}, "lockstep": {"pipelining": "off"}, "chunking": {"chunking": True}, "lmtp": {"lmtp": True}}
    return loads[name], {"lmtp": name == "lmtp"}


def end_of_client_fault(kind: str, stage: str) -> tuple[str, tuple[int, ...]]:
    """(how the message ends, how many may arrive)."""
    if kind in (*GOES_ON, "garbage", "early") or stage == "quit":
        return "acknowledged", (1,)
    if stage == "reply":
        return "abandoned", (0, 1) if kind == "reset" else (1,)  # a reset may overtake the dot
    return "abandoned", (0,)


@pytest.mark.feature("SX70")
@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize(("kind", "stage"), CLIENT)
def test_each_fault_of_the_client_ends_its_message_as_it_should(kind: str, stage: str, manner: str) -> None:
    load, sink = manner_of(manner)
    fault = Fault(kind, stage, 1.0, TIME_S if kind in GOES_ON else 0.0)
    patience = {"timeout_s": HANG_S} if kind == "hang" else {}
    sent, taken = exchange({**load, **patience, "messages": 1, "recipients": fixed(2), "faults": (fault,)}, sink)
    end, arrived = end_of_client_fault(kind, stage)
    if manner == "chunking" and fault.name == "early@content":
        assert not sent.faults  # BDAT has its octets behind it anyway
    else:
        assert sent.faults == {fault.name: 1}
    assert getattr(sent, end) == sent.begun == 1
    assert taken.messages in arrived
    assert taken.duplicates == 0


def end_of_server_fault(kind: str, stage: str) -> tuple[str, int]:
    """(how the message ends, how many are taken)."""
    if kind in GOES_ON or stage == "quit":
        return "acknowledged", 1
    if kind == "swallow":
        return "failed", 1
    return {"421": "deferred", "451": "deferred", "550": "refused"}.get(kind, "failed"), 0


@pytest.mark.feature("SX70")
@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize(("kind", "stage"), SERVER)
def test_each_fault_of_the_sink_ends_the_message_as_it_should(kind: str, stage: str, manner: str) -> None:
    load, sink = manner_of(manner)
    fault = Fault(kind, stage, 1.0, TIME_S if kind in GOES_ON else 0.0)
    timeout_s = HANG_S if kind == "hang" else 10.0
    sent, taken = exchange({**load, "timeout_s": timeout_s, "messages": 1}, {**sink, "faults": (fault,)})
    if manner == "chunking" and stage == "data":
        assert not taken.faults  # BDAT LAST has one reply, that of the dot
        end, messages = "acknowledged", 1
    else:
        assert taken.faults[fault.name] >= 1
        end, messages = end_of_server_fault(kind, stage)
    assert getattr(sent, end) == sent.begun == 1
    assert taken.messages == messages
    assert bool(sent.errors) == (end == "failed" or (stage == "quit" and kind in ("hang", "garbage")))


def test_a_fault_happens_as_often_as_it_is_told_and_again_from_the_same_seed() -> None:
    load = {"messages": 400, "sessions": 4, "faults": (Fault("vanish", "content", 0.1), Fault("rset", "data", 0.1))}
    sent, taken = exchange(load)
    again, _ = exchange(load)
    other, _ = exchange({**load, "seed": "2"})
    assert sent.faults == again.faults != other.faults
    assert 20 <= sent.faults["vanish@content"] <= 60
    assert sent.abandoned == sum(sent.faults.values())
    assert sent.acknowledged + sent.abandoned == 400
    assert taken.messages == taken.distinct == sent.acknowledged


def test_a_kept_session_survives_what_does_not_close_it() -> None:
    sent, taken = exchange({"messages": 50, "keep": 0, "faults": (Fault("rset", "data", 0.3), Fault("garbage", "rcpt", 0.3), Fault("early", "content", 0.3))})
    assert len(sent.faults) == 3
    assert sent.connections == 1
    assert taken.messages == sent.acknowledged == 50 - sent.faults["rset@data"]


def test_the_first_rule_that_hits_counts_and_kept_sessions_are_opened_again_after_a_fault() -> None:
    sent, taken = exchange({"messages": 30, "keep": 0, "sessions": 2, "faults": (Fault("vanish", "rcpt", 0.5), Fault("reset", "rcpt", 1.0))})
    assert sent.abandoned == 30
    assert set(sent.faults) == {"vanish@rcpt", "reset@rcpt"}
    assert taken.messages == 0
    assert sent.connections == 30
