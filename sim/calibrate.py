"""Calibrate: measures what the real `step` methods cost on this machine, and writes costs.json for studies that charge CPU.

    python -m sim.calibrate [MESSAGES]

A plain scenario runs with a clock around each step; the median of each kind of event counts, so that a collection of garbage or another process
does not. What a live runtime adds to a step (system calls, the event loop) is not in it: `OVERHEAD_US` states it, measured by tests/bench.
"""

from __future__ import annotations

import platform
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median
from typing import Final

import msgspec

from sim.choices import Choices
from sim.costs import LARGE_OCTETS, MEASURED, Measured, name_of
from sim.peers.client import Client
from sim.peers.host import Host
from sim.peers.mail import Mail
from sim.scenario import ADDRESS, Scenario
from sim.truth import Truth
from sim.world import World
from smx.component import Component
from smx.effects import AnyEffect
from smx.events import AnyEvent, Received
from smx.topology import kind_of
from smx.units import KIB, MILLISECOND, SECOND

MESSAGES: Final = 2_000
CONTENT_OCTETS: Final = 200 * KIB
GAP_US: Final = 5 * MILLISECOND
OVERHEAD_US: Final[dict[str, float]] = {
    # event        what the runtime does for it, beside the step: one read or write, its share of a loop turn, the log lines
    "Received": 25.0,
    "Accepted": 60.0,
    "Connected": 60.0,
    "Synced": 40.0,
    "Stored": 60.0,
    "Readout": 10.0,
    "Submit": 15.0,
    "Submitted": 10.0,
    "Deliver": 15.0,
    "Delivered": 15.0,
}
DOMAIN: Final = "sink.example"
HOST: Final = "203.0.113.10"


class Timed:
    """A component with a clock around its step."""

    def __init__(self, component: Component, spent: dict[str, list[float]]) -> None:
        self.name = component.name
        self._kind = kind_of(component.name)
        self._step = component.step
        self._spent = spent

    def step(self, event: AnyEvent, now: int) -> list[AnyEffect]:
        begun = time.perf_counter_ns()
        effects = self._step(event, now)
        microseconds = (time.perf_counter_ns() - begun) / 1000
        if not (type(event) is Received and len(event.data) > LARGE_OCTETS):
            self._spent[f"{self._kind} {name_of(event)}"].append(microseconds)
        else:
            self._spent[f"octets {self._kind}"].append(microseconds * 1000 / len(event.data))
        return effects


def measure(messages: int = MESSAGES) -> Measured:
    """Run and measure."""
    spent: dict[str, list[float]] = defaultdict(list)
    world = World(Scenario(name="calibrate"), Choices(1), truth=Truth(()))
    original: Callable[[str, bytes], Component] = world.make_component
    world.make_component = lambda name, settings: Timed(original(name, settings), spent)
    _prepare(world, messages)
    outcome = world.run()
    assert outcome.finished and not outcome.bugs, "the calibration run failed"
    step_us = {name: round(median(values) + OVERHEAD_US.get(name.partition(" ")[2], 3.0), 1) for name, values in sorted(spent.items()) if name[:7] != "octets "}
    octet_ns = {name[7:]: round(median(values), 2) for name, values in sorted(spent.items()) if name.startswith("octets ")}
    return Measured(
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        machine=f"{platform.machine()} {platform.system()}",
        python=platform.python_version(),
        step_us=step_us,
        octet_ns=octet_ns,
        other_us=10.0,
    )


def _prepare(world: World, messages: int) -> None:
    """Half of the mail is local, half is relayed; one in fifty is large."""
    world.zone.add(DOMAIN, "MX", (10, f"mx.{DOMAIN}"))
    world.zone.add(f"mx.{DOMAIN}", "A", HOST)
    Host(world.env, world.network, f"mx.{DOMAIN}", HOST, world.truth, world.choices.stream("hosts")).start()
    for number in range(messages):
        recipient = "alice@lab.example" if number % 2 else f"u{number}@{DOMAIN}"
        body = b"0123456789ABCDEF 0123456789ABCDEF\r\n" * (CONTENT_OCTETS // 35 if number % 50 == 0 else 30)
        client = Client(world.env, world.network, world.truth, [Mail(f"t{number}", (recipient,), body=body)], target=(ADDRESS, 25))
        client.start(3 * SECOND + number * GAP_US)
        world.add_client(lambda client=client: client.finished)  # type: ignore[misc]


def main() -> None:
    measured = measure(int(sys.argv[1]) if len(sys.argv) > 1 else MESSAGES)
    MEASURED.write_bytes(msgspec.json.format(msgspec.json.encode(measured), indent=1) + b"\n")
    print(f"{MEASURED}: {len(measured.step_us)} kinds of events, {measured.date}, Python {measured.python}")


if __name__ == "__main__":
    main()
