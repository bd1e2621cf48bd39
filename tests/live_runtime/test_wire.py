"""The link protocol: any octets from outside give messages or WireError, nothing else (SX30)."""

import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smx import codec
from smx.live.wire import HELLO, MESSAGES, Hello, Reader, WireError, Writer, round_trip
from smx.messages import (
    LINK_VERSION,
    AnyMessage,
    Content,
    Delivered,
    Envelope,
    Granted,
    QueueListed,
    QueueRow,
    Recipient,
    Submit,
    Submitted,
    Verdict,
    Writing,
)

MESSAGES_SEEN: tuple[AnyMessage, ...] = (
    Granted(1, 2),
    Submit(Envelope(1, b"", (Recipient(0, b"a@b"), Recipient(1, "ü@b".encode(), 7, b"rfc822;x")), Content(1, 2, 3, 4), 5), secured=False),
    Submitted(1, 550, b"5.1.1", b"\xff\x00 no"),
    Delivered(9, (Verdict(0, 1, 250, b"2.0.0", b"ok", "mx [192.0.2.1]"),)),
    Writing(()),
    QueueListed(1, (QueueRow(1, 0, "deferred", b"", b"a@b", "b", 1, 2, 3, 4),), True),
)


def read(octets: bytes, step: int = 1 << 30) -> list[AnyMessage]:
    reader = Reader()
    found: list[AnyMessage] = []
    for at in range(0, len(octets), step):
        for messages in reader.feed(octets[at : at + step]):
            found.extend(messages)
    return found


def sample(epoch: int = 77) -> bytes:
    writer = Writer("smtps.mx.0", epoch)
    octets = writer.hello
    for message in MESSAGES_SEEN:
        writer.add(message)
    octets += writer.frames()
    writer.add(Granted(3, 4))
    return octets + writer.frames()


@pytest.mark.parametrize("step", [1, 5, 24, 1000, 1 << 30])
def test_messages_arrive_whatever_the_segmentation(step: int) -> None:
    assert read(sample(), step) == [*MESSAGES_SEEN, Granted(3, 4)]


@pytest.mark.parametrize("message", MESSAGES_SEEN)
def test_a_round_trip_gives_an_equal_message(message: AnyMessage) -> None:
    assert round_trip(message) == message


def test_messages_of_a_turn_share_a_frame_and_many_are_split() -> None:
    writer = Writer("qmgr", 5)
    for number in range(100_000):
        writer.add(Granted(number, 0))
    octets = writer.hello + writer.frames()
    assert writer.frames() == b""
    frames = octets.count(b"sx\x01")
    assert 2 <= frames - 1 <= 10
    assert [message.epoch for message in read(octets) if isinstance(message, Granted)] == list(range(100_000))


@pytest.mark.feature("SX30")
@given(st.integers(0, len(sample()) - 1), st.integers(1, 255))
def test_an_octet_changed_anywhere_is_noticed_and_never_read_as_another_message(at: int, change: int) -> None:
    octets = bytearray(sample())
    octets[at] ^= change
    good = [*MESSAGES_SEEN, Granted(3, 4)]
    try:
        found = read(bytes(octets))
    except WireError:
        return
    assert found == good[: len(found)]
    assert len(found) < len(good)  # a length grew: the reader waits for the rest of a frame


@pytest.mark.feature("SX30")
@given(st.binary(max_size=200), st.sampled_from([b"", sample()]))
def test_noise_is_refused_or_waited_for(noise: bytes, before: bytes) -> None:
    try:
        found = read(before + noise)
    except WireError:
        return
    assert len(found) == (len(MESSAGES_SEEN) + 1 if before else 0)


@pytest.mark.feature("SX30")
@given(st.binary(max_size=300))
def test_a_frame_in_order_with_any_payload_gives_messages_or_an_error(payload: bytes) -> None:
    """The frame is right, what is in it is not: the decoder is the border."""
    octets = Writer("qmgr", 5).hello + codec.encode(MESSAGES, payload or b"\xc0", 5, 1)
    try:
        for message in read(octets):
            msgspec.msgpack.encode(message)
    except WireError:
        return


@pytest.mark.parametrize(
    ("hello", "why"),
    [
        (codec.encode(HELLO, msgspec.msgpack.encode(Hello(LINK_VERSION + 1, "qmgr", 5)), 0, 0), "version"),
        (codec.encode(HELLO, msgspec.msgpack.encode(Hello(LINK_VERSION, "qmgr", -1)), 0, 0), "epoch"),
        (codec.encode(HELLO, b"\xc1", 0, 0), "."),
        (codec.encode(MESSAGES, b"\x90", 0, 0), "no hello"),
        (codec.encode(HELLO, msgspec.msgpack.encode(Hello(LINK_VERSION, "qmgr", 5)), 1, 0), "scope"),
        (Writer("qmgr", 5).hello + Writer("qmgr", 5).hello, "scope"),
        (Writer("qmgr", 5).hello + codec.encode(MESSAGES, b"\x90", 4, 1), "scope"),
        (Writer("qmgr", 5).hello + codec.encode(MESSAGES, b"\x90", 5, 2), "sequence"),
        (Writer("qmgr", 5).hello + codec.encode(9, b"\x90", 5, 1), "kind 9"),
        (b"EHLO example.org\r\n", "magic"),
    ],
)
def test_what_is_refused(hello: bytes, why: str) -> None:
    with pytest.raises(WireError, match=why):
        read(hello)


def test_a_newer_process_may_append_fields() -> None:
    """Fields are only appended: an older reader ignores what it does not know."""
    payload = msgspec.msgpack.encode([[7, 1, 2, "a field of the future"]])
    octets = Writer("qmgr", 5).hello + codec.encode(MESSAGES, payload, 5, 1)
    assert read(octets) == [Granted(1, 2)]
    assert zlib.crc32(b"") == 0


def test_an_envelope_with_a_thousand_recipients_at_their_longest_arrives() -> None:
    recipients = tuple(Recipient(index, b"a" * 256, 7, b"rfc822;" + b"x" * 493) for index in range(1000))
    submit = Submit(Envelope(1, b"s" * 256, recipients, Content(1, 2, 3, 4), 5))
    writer = Writer("smtps.mx.0", 77)
    octets = writer.hello
    writer.add(submit)
    writer.add(Granted(3, 4))
    assert read(octets + writer.frames(), 65_536) == [submit, Granted(3, 4)]


def test_a_message_that_no_reader_would_take_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is our own bug: on the next link the same message would come again."""
    monkeypatch.setattr("smx.live.wire.FRAME_PAYLOAD_OCTETS_MAX", 1000)
    writer = Writer("smtps.mx.0", 77)
    writer.add(Submitted(1, text=b"x" * 1000))
    with pytest.raises(AssertionError, match="does not fit into a frame"):
        writer.frames()
