"""A study that is over at once: a few local messages, and a lie that makes I6 object when one of ten draws is 50 or more."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from sim import studies
from sim.choices import Choices
from sim.cli.main import main
from sim.facts import Arrived
from sim.peers.mail import Mail
from sim.scenario import Scenario, Strike
from sim.studies.internet import send
from sim.studies.study import Options, Setting, Study
from sim.trace import Trace
from sim.truth import Truth
from sim.world import World
from smx.units import SECOND

LIE_FROM = 50
LIE_AT_US = 7 * SECOND // 2
DRAWS = 10


def build(choices: Choices, trace: Trace, truth: Truth, options: Options) -> Setting:
    strikes = (Strike(kind=options["strike"], note="dot", effects=0, target="smtpc.0"),) if options["strike"] else ()
    world = World(Scenario(name="toy", strikes=strikes, settle_us=SECOND, limit_us=600 * SECOND), choices, trace, truth)
    mails = [(number * SECOND // 10, Mail(f"t{number}", ("alice@lab.example",), "sender@lab.example")) for number in range(options["messages"])]
    send(world, mails, 0)
    draws = [choices.stream("toy").below(100) for _ in range(DRAWS)]
    other = [choices.stream("other").below(10) for _ in range(DRAWS)]
    world.mark("toy ran")
    if options["lies"] and max(draws) >= LIE_FROM:
        world.at(LIE_AT_US, lambda: truth.observe(Arrived(world.env.now, "t0", "alice@lab.example", "maildir", sender="sender@lab.example")))
    if options["spins"]:
        world.at(LIE_AT_US, spin, world)
    return Setting(world, lambda: {"largest": max(draws)}, [f"largest draw {max(draws)}", f"others {sum(other)}"])


def spin(world: World) -> None:
    """Again and again at one instant."""
    world.trace.record(world.env.now, "toy", "spins")
    world.at(0, spin, world)


STUDY = Study(
    name="toy",
    question="Does the tool work?",
    build=build,
    options={"messages": 1, "lies": False, "strike": "", "factor": 1.5, "spins": False},
    markers=("toy ran", "pigs fly"),
)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Study:
    """The study, known by its name."""
    monkeypatch.setattr(studies, "NAMES", (*studies.NAMES, "toy"))
    monkeypatch.setitem(sys.modules, "sim.studies.toy", SimpleNamespace(STUDY=STUDY))
    return STUDY


class Command:
    """smx-sim, and what it said."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *words: Any) -> tuple[int, str, str]:
        """(status, standard output, standard error)."""
        status = main([str(word) for word in words])
        said = self._capture.readouterr()
        return status, said.out, said.err


@pytest.fixture
def smx_sim(toy: Study, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)
