"""Loop: an asyncio loop in a thread, so that a test that waits for nothing asynchronous can have servers beside it."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Self, TypeVar

_T = TypeVar("_T")
TIMEOUT_S: Final = 10.0


class LoopThread:
    """Use as a context manager, or `start` and `stop`. Exceptions of `call` are raised in the caller."""

    def __init__(self, name: str) -> None:
        self._loop: Final = asyncio.new_event_loop()
        self._thread: Final = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def call(self, coroutine: Coroutine[Any, Any, _T], timeout_s: float = TIMEOUT_S) -> _T:
        """Run in the loop, wait for the result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout_s)

    def stop(self) -> None:
        """Cancel what still runs, end the thread. Again is harmless."""
        if self._loop.is_closed():
            return
        self.call(_cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT_S)
        self._loop.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


async def _cancel_all() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0)


class Watch:
    """A condition that other threads wait for: whoever changes something says `changed`."""

    def __init__(self) -> None:
        self._condition: Final = threading.Condition()

    def changed(self, change: Callable[[], None] = lambda: None) -> None:
        """Make a change and wake up who waits for it."""
        with self._condition:
            change()
            self._condition.notify_all()

    def wait_for(self, holds: Callable[[], bool], timeout_s: float = TIMEOUT_S) -> None:
        """Wait until it holds; TimeoutError when it does not in time."""
        with self._condition:
            if not self._condition.wait_for(holds, timeout_s):
                raise TimeoutError(f"not within {timeout_s} s")
