"""The end of a host, met by a stop from outside."""

import pytest

from smx.effects import Halt
from smx.live.device import Orders
from smx.live.host import HaltedError, Host
from smx.live.timers import Timers
from tests.live_runtime.puppet import SILENT, Puppet


class LateStop:
    """A device in whose end a stop is asked for, as another thread may do at any moment."""

    def __init__(self, host: Host, turns: int) -> None:
        self._host = host
        self._turns = turns

    def orders(self) -> Orders:
        return {}

    def close(self) -> None:
        self._after(self._turns)

    def _after(self, turns: int) -> None:
        """Ask for it so many turns of the loop later."""
        if turns:
            self._host.loop.call_soon(self._after, turns - 1)
        else:
            self._host.loop.call_soon(self._host.request_stop)


@pytest.mark.parametrize("turns", range(5))
def test_a_stop_that_comes_while_the_host_is_ending_changes_nothing(turns: int) -> None:
    """What ended it is raised, not that its loop was stopped within its last turns."""
    puppet = Puppet(name="qmgr")
    host = Host(SILENT)
    puppet.runner = host.add(puppet, "qmgr", 1, 7)
    puppet.runner.attach(Timers(puppet.runner))
    puppet.runner.attach(LateStop(host, turns))
    host.start()
    puppet.order(Halt("sync failed"))
    with pytest.raises(HaltedError, match="sync failed"):
        host.stop()
