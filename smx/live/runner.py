"""Runner: one component in a host: its name and epoch, its devices, and the table that says which method carries out which effect.

This is the hot path of the whole MTA: a transport callback calls `deliver`, which calls `step` and carries the effects out, all on one
stack, without a task switch (architecture 1). Effects are carried out in order; `Halt` leaves the loop by an exception, so that no
other effect pays for it.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from smx.component import Component
from smx.effects import AnyEffect, Halt, Note
from smx.events import AnyEvent
from smx.live.clock import Clock
from smx.live.device import Device, Orders, Sender

if TYPE_CHECKING:
    from smx.live.host import Host
    from smx.live.network import Network

_T = TypeVar("_T")
Step = Callable[[AnyEvent, int], list[AnyEffect]]


class HaltOrderedError(Exception):
    """The component ordered Halt: what follows in its list of effects is not carried out."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Runner:
    """A component at work. `spool` is the directory below which its stores and sockets lie."""

    def __init__(self, host: Host, component: Component, process: str, epoch: int, seed: int, spool: str) -> None:
        self.host = host
        self.component = component
        self.process = process
        self.epoch = epoch
        self.seed = seed
        self.spool = spool
        self.clock: Clock = host.clock
        self.halted: str | None = None  # the reason, once the component halted
        self.ready = False
        self.deliver: Callable[[AnyEvent], None] = partial(host.enqueue, self)  # say an event, on the loop's thread
        self._step: Step = component.step
        self._devices: list[Device] = []
        self._carry: Orders = {Halt: self._halt, Note: self._note}
        self._network: Network | None = None
        self._now = 0  # of the step that is carried out
        self.note = host.log.writer(process, epoch)
        self._starts: list[Callable[[], None]] = []
        self._closes: list[Callable[[], None]] = []

    @property
    def loop(self) -> AbstractEventLoop:
        return self.host.loop

    def attach(self, device: Device) -> None:
        """Let `device` carry out the effects that it names."""
        for effect, method in device.orders().items():
            assert effect not in self._carry, f"two devices of {self.process} carry out {effect.__name__}"
            self._carry[effect] = method
        self._devices.append(device)

    def attach_network(self, network: Network) -> None:
        """The same for the network, which wants to know when a step is over: it writes once a step."""
        self.attach(network)
        self._network = network

    def at_start(self, function: Callable[[], None]) -> None:
        """Called once, after Started was delivered: listeners and links begin here."""
        self._starts.append(function)

    def at_close(self, function: Callable[[], None]) -> None:
        """Called once, when the host ends, after the devices were closed."""
        self._closes.append(function)

    def start_devices(self) -> None:
        for function in self._starts:
            function()

    def unsent(self) -> int:
        """Octets that were transmitted or told and have not left yet."""
        return sum(device.unsent() for device in self._devices if isinstance(device, Sender))

    def wrap(self, wrapper: Callable[[Step], Step]) -> None:
        """Put something around `step`, such as the recorder."""
        self._step = wrapper(self._step)

    def take(self, event: AnyEvent) -> None:
        """One step and its effects. Called by the host, never from within a step."""
        carry = self._carry
        now = self._now = self.clock.now()
        for effect in self._step(event, now):
            carry[type(effect)](effect)
        network = self._network
        if network is not None and network.dirty:
            network.flush()

    def close(self) -> None:
        """Free the devices, the latest first."""
        while self._devices:
            self._devices.pop().close()
        for function in self._closes:
            function()

    def devices(self, kind: type[_T]) -> list[_T]:
        return [device for device in self._devices if isinstance(device, kind)]

    def _halt(self, effect: Halt) -> None:
        if self._network is not None:
            self._network.flush()
        self.halted = effect.reason
        raise HaltOrderedError(effect.reason)

    def _note(self, effect: Note) -> None:
        self.note(effect, self._now)
        if effect.name == "dot":
            self.host.log.flush()  # A13: before the peer can have it, which is at the end of this step: a kill -9 between the two must not hide a copy
        elif effect.name == "ready" and not self.ready:
            self.ready = True
            self.host.became_ready(self)
