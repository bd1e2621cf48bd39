"""Speech: what a sink's session says: replies in their order, and what a fault or the tarpit makes of them.

While one takes time the session is held: nothing more is read, and further replies wait. When that is over `on_free` is called.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from smx.testing.load.faults import Fault
from smx.testing.load.misconduct import dribble, reset

if TYPE_CHECKING:
    from smx.testing.load.sink import Sink

_Utterance = tuple[str, bytes, Callable[[], None] | None]  # stage, reply, what is done with it
_TEXTS: Final = {"4": b"4.3.0 Not now", "5": b"5.3.0 Never"}
_NONSENSE: Final = b"\x00\xff this is no reply\r\n"


class Speech:
    """`held`: something takes time. `over`: nothing more is said, and what arrives is dropped. `middle_passed`: of the content."""

    def __init__(self, sink: "Sink", on_free: Callable[[], None]) -> None:
        self.transport: asyncio.Transport
        self.held = False
        self.over = False
        self.middle_passed = False
        self._sink = sink
        self._on_free = on_free
        self._replies = sink.replies
        self._tarpit_s = sink.options.tarpit_s
        self._plain = not (sink.options.faults or sink.options.tarpit_s)
        self._out: list[bytes] = []
        self._due: deque[_Utterance] = deque()

    def flush(self) -> None:
        """Send what was said since."""
        if self._out:
            self.transport.write(self._out[0] if len(self._out) == 1 else b"".join(self._out))
            self._out.clear()

    def close(self) -> None:
        """What was said leaves first."""
        self.flush()
        self.over = True
        self.transport.close()

    def reply(self, stage: str, line: bytes) -> None:
        """Count and send a reply: one line or more, without the last CRLF."""
        codes = self._replies[stage]
        code = line[:3]
        codes[code] = codes.get(code, 0) + 1
        self._out.append(line + b"\r\n")

    def say(self, stage: str, line: bytes, then: Callable[[], None] | None = None) -> None:
        """The reply of a stage, and with it `then`; unless a fault has something against it."""
        if self._plain:
            self.reply(stage, line)
            if then is not None:
                then()
        else:
            self._due.append((stage, line, then))
            self._utter()

    def _utter(self) -> None:
        while self._due and not (self.held or self.over):
            stage, line, then = self._due.popleft()
            fault = self._sink.fault(stage)
            if fault is None and not self._tarpit_s:
                self.reply(stage, line)
                if then is not None:
                    then()
            elif fault is None or fault.kind in ("delay", "slow"):
                self._take_time(fault, stage, line, then)
            elif fault.kind.isdigit():
                self.reply(stage, b"%b %b" % (fault.kind.encode(), _TEXTS[fault.kind[0]]))
                if fault.kind == "421" or stage == "connect":
                    self.close()
            else:
                if fault.kind == "swallow" and then is not None:
                    then()
                self._break(fault)

    def _take_time(self, fault: Fault | None, stage: str, line: bytes, then: Callable[[], None] | None) -> None:
        """The reply, later or slowly; the tarpit's delay comes first."""
        seconds = self._tarpit_s + (fault.seconds if fault is not None and fault.kind == "delay" else 0.0)
        self.hold()

        def release() -> None:
            self._release()
            if then is not None and not self.over:
                then()
            self._utter()
            self._on_free()

        def speak() -> None:
            if self.over:
                return
            self.reply(stage, line)
            if fault is None or fault.kind != "slow":
                release()
                return
            octets = self._out.pop()

            def last(piece: bytes) -> None:
                self.transport.write(piece)
                release()

            dribble(self.transport, octets, fault.seconds, last)

        asyncio.get_running_loop().call_later(seconds, speak)

    def _break(self, fault: Fault) -> None:
        """A fault after which nothing more is said, or only nonsense."""
        self.flush()
        match fault.kind:
            case "drop" | "swallow":
                self.close()
            case "reset":
                self.over = True
                reset(self.transport)
            case "hang":
                self.over = True
            case "halfclose":
                self.over = True
                if self.transport.can_write_eof():
                    self.transport.write_eof()
                else:
                    self.transport.close()
            case "garbage":
                self._out.append(_NONSENSE)
            case _:
                raise AssertionError(fault)

    def passes_middle(self) -> bool:
        """Once in each content: whether no fault comes in the middle of it."""
        if self._plain or self.middle_passed:
            return True
        self.middle_passed = True
        fault = self._sink.fault("content")
        if fault is None:
            return True
        if fault.kind == "delay":
            self.hold()
            asyncio.get_running_loop().call_later(fault.seconds, self._resume)
        else:
            self._break(fault)
        return False

    def hold(self) -> None:
        self.flush()
        self.held = True
        self.transport.pause_reading()

    def _release(self) -> None:
        self.held = False
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _resume(self) -> None:
        self._release()
        self._on_free()
