"""Generator, an embedded smx, sink: what smx promised arrives, once, under faults on both sides."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smx.testing.load.draws import parse_draw, parse_series
from smx.testing.load.faults import Fault
from smx.testing.load.generator import Generator
from smx.testing.load.ledger import read_promises
from smx.testing.load.options import LoadOptions, SinkOptions
from smx.testing.load.sink import Sink
from smx.testing.load.target import Target
from smx.testing.loop import LoopThread
from smx.testing.server import Server
from tests.testing.load.rig import ANYWHERE

MESSAGES = 120
TIMEOUT_S = 30.0
CLIENT_FAULTS = (Fault("vanish", "content", 0.1), Fault("reset", "dot", 0.1), Fault("garbage", "rcpt", 0.1), Fault("early", "content", 0.1))
SINK_FAULTS = {
    "none": (),
    "4yz": (Fault("451", "rcpt", 0.1), Fault("451", "dot", 0.1)),
    "broken": (Fault("drop", "mail", 0.05), Fault("reset", "data", 0.05)),
    "lost replies": (Fault("swallow", "dot", 0.1),),
}


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    with LoopThread("sink") as thread:
        yield thread


async def _make(faults: tuple[Fault, ...]) -> Sink:
    sink = Sink(SinkOptions(target=ANYWHERE, faults=faults))
    await sink.start()
    return sink


@pytest.mark.feature("SX70")
@pytest.mark.parametrize("trouble", SINK_FAULTS)
def test_nothing_that_smx_promised_is_lost(trouble: str, smx_server: Callable[..., Server], loop: LoopThread, tmp_path: Path) -> None:
    sink = loop.call(_make(SINK_FAULTS[trouble]))
    qmgr = "retry { min = 1s; max = 1s; dead_min = 1s; dead_max = 1s; }"
    mta = smx_server(mailertable={"*": f"[127.0.0.1]:{sink.target.port}"}, sections={"qmgr": qmgr, "smtpc": "tls = no;"})
    ledger = str(tmp_path / "ledger")
    load: dict[str, Any] = {
        "recipients": parse_draw("uniform:1-4", int),
        "domains": parse_series("5"),
        "size": parse_draw("lognormal:2000:1", int),
        "faults": CLIENT_FAULTS,
    }
    sent = asyncio.run(Generator(LoadOptions(target=Target(mta.host, mta.port), messages=MESSAGES, sessions=8, ledger=ledger, **load)).run())
    mta.wait_empty(TIMEOUT_S)
    loop.call(sink.stop())
    assert sent.acknowledged + sent.abandoned == MESSAGES
    assert sent.acknowledged > MESSAGES // 2
    assert not sent.errors
    found, taken = sink.check(read_promises(ledger)), sink.report()
    assert found.promised == sent.recipients_acknowledged
    assert (found.lost, found.never_promised) == (0, 0)
    assert (taken.duplicates > 0) == (trouble == "lost replies")
    assert bool(taken.faults) == bool(SINK_FAULTS[trouble])


def test_local_mail_of_the_generator_ends_in_the_maildirs(smx_server: Callable[..., Server]) -> None:
    mta = smx_server()
    load = LoadOptions(target=Target(mta.host, mta.port), messages=20, sessions=4, to="joe@example.org", chunking=True)
    sent = asyncio.run(Generator(load).run())
    assert sent.acknowledged == 20
    assert len(mta.wait_maildir("joe", 20)) == 20
