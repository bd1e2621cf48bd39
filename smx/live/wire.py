"""Wire: what a link carries: a hello, then frames of messages (SX30).

    hello     codec record of kind 1, scope 0, sequence 0; payload: MessagePack of (LINK_VERSION, process, epoch)
    messages  codec records of kind 2, scope = the sender's epoch, sequence 1, 2, ...; payload: MessagePack of a tuple of messages

Both ends say hello at once. Pure: octets in, messages out, so that it can be fuzzed and reused by a blocking client.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from smx import codec
from smx.limits import FRAME_BATCH_OCTETS_MAX, FRAME_PAYLOAD_OCTETS_MAX
from smx.messages import LINK_VERSION, AnyMessage

HELLO: Final = 1
MESSAGES: Final = 2
_MESSAGES_A_FRAME_MAX: Final = 0xFFFF

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_messages: Final = msgspec.msgpack.Decoder(tuple[AnyMessage, ...]).decode
_decode_message: Final = msgspec.msgpack.Decoder(AnyMessage).decode


class Hello(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Who speaks. A later version may append fields."""

    version: int
    process: str
    epoch: int


_decode_hello: Final = msgspec.msgpack.Decoder(Hello).decode


class WireError(Exception):
    """The other end sent what no link carries, or speaks another version: the link is closed."""


def round_trip(message: AnyMessage) -> AnyMessage:
    """The message as the other end of a real link would get it."""
    return _decode_message(_encode(message))  # type: ignore[no-any-return]


class Writer:
    """Makes frames; counts the octets that wait for `frames`."""

    def __init__(self, process: str, epoch: int) -> None:
        self.waiting_octets = 0
        self.hello = codec.encode(HELLO, _encode(Hello(LINK_VERSION, process, epoch)), 0, 0)
        self._epoch = epoch
        self._sequence = 0
        self._waiting: list[bytes] = []

    def add(self, message: AnyMessage) -> None:
        octets = _encode(message)
        self._waiting.append(octets)
        self.waiting_octets += len(octets)

    def frames(self) -> bytes:
        """All that waits, in as few frames as the bound on a batch allows."""
        waiting, self._waiting = self._waiting, []
        self.waiting_octets = 0
        frames: list[bytes] = []
        batch: list[bytes] = []
        octets = 0
        for message in waiting:
            if batch and (octets + len(message) > FRAME_BATCH_OCTETS_MAX or len(batch) == _MESSAGES_A_FRAME_MAX):
                frames.append(self._frame(batch))
                batch, octets = [], 0
            batch.append(message)
            octets += len(message)
        if batch:
            frames.append(self._frame(batch))
        return b"".join(frames)

    def _frame(self, batch: list[bytes]) -> bytes:
        """What no reader would take must not be written: the link would break, and the same message would come again on the next one."""
        payload = b"\xdc" + len(batch).to_bytes(2, "big") + b"".join(batch)  # MessagePack's array 16
        assert len(payload) <= FRAME_PAYLOAD_OCTETS_MAX, f"a message of {len(payload)} octets does not fit into a frame"
        self._sequence += 1
        return codec.encode(MESSAGES, payload, self._epoch, self._sequence)


class Reader:
    """Takes octets in any segmentation. `peer` is the other end's hello, once it came."""

    def __init__(self) -> None:
        self.peer: Hello | None = None
        self._frames = codec.FrameReader(0, FRAME_PAYLOAD_OCTETS_MAX)

    def feed(self, data: bytes) -> Iterator[tuple[AnyMessage, ...]]:
        """Messages of each frame that `data` completes; an empty tuple for the hello. Raises WireError."""
        try:
            for record in self._frames.feed(data):
                if self.peer is None:
                    self.peer = _hello(record)
                    self._frames.scope = self.peer.epoch
                    yield ()
                elif record.kind == MESSAGES:
                    yield _decode_messages(record.payload)
                else:
                    raise WireError(f"a frame of kind {record.kind}")
        except (codec.DamagedStreamError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise WireError(str(error)) from error


def _hello(record: codec.Record) -> Hello:
    if record.kind != HELLO:
        raise WireError("the first frame is no hello")
    hello = _decode_hello(record.payload)
    if hello.version != LINK_VERSION:
        raise WireError(f"link version {hello.version}, not {LINK_VERSION}")
    if not 0 <= hello.epoch <= 0xFFFF_FFFF:
        raise WireError("not an epoch")
    return hello
