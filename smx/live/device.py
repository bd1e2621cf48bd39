"""Device: what carries the effects of one family out for one component.

A runner asks each of its devices once for its orders and joins them into one table from effect class to method, so that an effect
costs one look-up and one call. A device says its events by `runner.deliver`.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

Orders = dict[type[Any], Callable[[Any], None]]


class Device(Protocol):
    """Made for one runner; used on the loop's thread only."""

    def orders(self) -> Orders:
        """Effect class -> the method that carries such an effect out."""
        ...

    def close(self) -> None:
        """The host ends: give back what is held. Called once."""
        ...


@runtime_checkable
class Sender(Protocol):
    """A device that may still hold octets for others when its component has halted."""

    def unsent(self) -> int:
        """Octets that have not left yet."""
        ...
