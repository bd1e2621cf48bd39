"""Stop: an orderly end within a grace (L7).

at once             no new mail, no new deliveries; cut-through is given up: what is offered is made durable
until 3/4 of it     deliveries under way may end
then                those that have not are deferred: what becomes of them nobody will hear
all written         Stopped joins the log: no delivery before it is suspected at the next start (A14); when that is durable, Halt
the grace is over   Halt in any case; recovery finds the rest
"""

from typing import TYPE_CHECKING

from smx.qmgr.records import Stopped

if TYPE_CHECKING:
    from smx.qmgr.hub import Hub


class Stop:
    """The end of the process, once begun."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._patience_at = 0  # now until which deliveries may end
        self._halt_at = 0
        self._written = False  # Stopped was appended
        self._over = False

    @property
    def next_at(self) -> int:
        """now at which `advance` has something to do at the latest."""
        return self._patience_at if self._hub.now < self._patience_at else self._halt_at

    def begin(self, grace_us: int) -> None:
        """Take nothing new; said again, it changes nothing."""
        hub = self._hub
        if hub.stopping:
            return
        hub.stopping = True
        hub.note("stopping", "asked to stop")
        self._patience_at = hub.now + grace_us * 3 // 4
        self._halt_at = hub.now + grace_us
        hub.submission.secure_all()

    def advance(self) -> None:
        """At the end of each step while stopping."""
        hub = self._hub
        if self._over:
            return
        if hub.now >= self._patience_at:
            for delivery in list(hub.scheduler.deliveries.values()):
                hub.scheduler.interrupt(delivery)
            hub.notifier.pump()
            hub.deferral.flush()
        if hub.now >= self._halt_at:
            self._halt()
        elif not self._written and self._settled():
            self._written = True
            hub.ibdb.append(Stopped())
            hub.when_durable(self._halt)

    def _settled(self) -> bool:
        """Nothing is under way that could still be written."""
        hub = self._hub
        disk = hub.deferral.busy and not hub.deferral.blocked_until
        if hub.scheduler.deliveries or disk or hub.notifier.busy or hub.submission.undecided:
            return False
        if hub.ibdb.durable < hub.ibdb.position:
            hub.ibdb.close_group(hub.effects)
            return False
        return True

    def _halt(self) -> None:
        if not self._over:
            self._over = True
            self._hub.writer.close(self._hub.effects)
            self._hub.halt("stopped")
