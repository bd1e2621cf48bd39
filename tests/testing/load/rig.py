"""Rig: a generator and a sink that speak to each other on one loop."""

import asyncio
from collections.abc import Callable
from typing import Any

from smx.testing.load.generator import Generator
from smx.testing.load.options import LoadOptions, SinkOptions
from smx.testing.load.report import LoadReport, SinkReport
from smx.testing.load.sink import Sink
from smx.testing.load.target import Target

ANYWHERE = Target("127.0.0.1", 0)
TIMEOUT_S = 20.0


async def meet(load: dict[str, Any], sink: dict[str, Any] | None = None, **hooks: Callable[..., Any]) -> tuple[LoadReport, SinkReport]:
    """Run a generator with these options against a sink with those; both reports."""
    taker = Sink(SinkOptions(**{"target": ANYWHERE, **(sink or {})}), **hooks)
    await taker.start()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            sent = await Generator(LoadOptions(**{"target": taker.target, "messages": 1, **load})).run()
            while taker.sessions:  # what was sent last may still be on its way
                await asyncio.sleep(0.001)
    finally:
        await taker.stop()
    return sent, taker.report()


def exchange(load: dict[str, Any], sink: dict[str, Any] | None = None, **hooks: Callable[..., Any]) -> tuple[LoadReport, SinkReport]:
    """The same from a test that is not asynchronous."""
    return asyncio.run(meet(load, sink, **hooks))
