"""The log knows of a final dot before the peer does: the set that A13 predicts is computed from what is in the log."""

from pathlib import Path

from smx.config.schema_mcp import LogSettings
from smx.effects import Note, Seal
from smx.live.device import Orders
from smx.live.runner import Runner
from tests.live_runtime.puppet import Puppet, hosted


class Peek:
    """A device that looks into the log while a step is being carried out."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self.seen: list[int] = []

    def orders(self) -> Orders:
        return {Seal: self.peek}

    def peek(self, effect: Seal) -> None:
        self.seen.append(self._log.read_bytes().count(b'"note":"dot"'))

    def close(self) -> None:
        pass


def test_a_dot_is_in_the_log_before_its_step_ends(tmp_path: Path) -> None:
    """What a step transmits is written to the sockets at its end (test_network)."""
    log = tmp_path / "log"
    peek = Peek(log)
    puppet = Puppet()

    def attach(runner: Runner) -> None:
        runner.attach(peek)

    with hosted((puppet, attach), log=LogSettings(str(log), level="debug")):
        puppet.order(Note("dot", (1, 5 << 31, "host")), Seal("cdb", 1, 1))
    assert peek.seen == [1]
