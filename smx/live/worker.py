"""Worker: one thread that does blocking jobs in order; what a job returns is delivered as an event. One hop a job, so jobs are groups.

Jobs are handed over at the end of the loop turn: given away earlier, thread and loop take the interpreter lock from each other all the time.
"""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

from smx.events import AnyEvent
from smx.live.runner import Runner

Job = Callable[[], AnyEvent | None]


class Worker:
    """The thread starts with the first job."""

    def __init__(self, runner: Runner, name: str) -> None:
        self._runner = runner
        self._name = name
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._turn: list[Job] = []  # of this turn
        self._thread: Thread | None = None

    def do(self, job: Job) -> None:
        """Run `job` behind the earlier ones. An exception in it is a bug and ends the host."""
        if self._thread is None:
            self._thread = Thread(target=self._work, name=f"{self._runner.process} {self._name}", daemon=True)
            self._thread.start()
        if not self._turn:
            self._runner.loop.call_soon(self._hand_over)
        self._turn.append(job)

    def _hand_over(self) -> None:
        for job in self._turn:
            self._jobs.put(job)
        self._turn.clear()

    def close(self) -> None:
        """Wait until every job is done. Nothing that it says is heard any more."""
        if self._thread is not None:
            self._hand_over()
            self._jobs.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                event = job()
            except Exception as error:
                self._runner.loop.call_soon_threadsafe(self._runner.host.fail, error)
                return
            if event is not None:
                self.say(event)

    def say(self, event: AnyEvent) -> None:
        """For a job that has several events: deliver one of them."""
        self._runner.loop.call_soon_threadsafe(self._runner.deliver, event)
