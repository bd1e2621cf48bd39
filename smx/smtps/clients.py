"""Clients: how many sessions an address has, and how fast new ones come (SX22). One process counts its own sessions.

The rate is counted in fixed windows: simple, and wrong by a factor of two at most, at a window's edge. An address is forgotten
as soon as it has no session and its window is over; what is kept is bounded by CLIENTS_MAX (I16).
"""

from typing import Final

from smx.config.schema_smtps import ClientLimits

CLIENTS_MAX: Final = 65_536  # addresses whose rate is remembered; beyond it the oldest are forgotten


class Clients:
    """Counts sessions by client address. "" is a client on a UNIX socket: it has no limits."""

    def __init__(self, limits: ClientLimits) -> None:
        self.limits = limits
        self._sessions: Final[dict[str, int]] = {}
        self._windows: Final[dict[str, tuple[int, int]]] = {}  # address -> (end of the window, connections in it)

    def admit(self, address: str, now: int) -> bool:
        """A connection came; False when a limit forbids it. Those that are admitted must `leave` later."""
        limits = self.limits
        if not address:
            return True
        if limits.rate_max and not self._within_rate(address, now):
            return False
        if limits.connections_max:
            sessions = self._sessions.get(address, 0)
            if sessions >= limits.connections_max:
                return False
            self._sessions[address] = sessions + 1
        return True

    def leave(self, address: str) -> None:
        """An admitted session ended."""
        sessions = self._sessions.pop(address, 0)
        if sessions > 1:
            self._sessions[address] = sessions - 1

    def _within_rate(self, address: str, now: int) -> bool:
        end, count = self._windows.pop(address, (0, 0))
        if end <= now:
            end, count = now + self.limits.rate_interval_us, 0
        self._windows[address] = (end, count + 1)  # the refused ones count too: hammering does not help
        if len(self._windows) > CLIENTS_MAX:
            del self._windows[next(iter(self._windows))]
        return count < self.limits.rate_max
