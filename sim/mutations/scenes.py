"""Scenes: small worlds, each of which shows a part of the product at work, so that what a mutation breaks there is seen within a few seeds.

A scene is directed: its faults strike where they hurt. What is left to the seed is where exactly, and in which order.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from sim.choices import Choices
from sim.costs import Times
from sim.peers.client import CHUNKED, LOCK_STEP, PIPELINED, Client, Manner
from sim.peers.mail import Mail
from sim.peers.script import GOOD, LATER, Script
from sim.scenario import ADDRESS, CLIENTS, CONFIGURATION, Scenario, Strike, plain_settings
from sim.studies.internet import ALIASES, UP_US, add_domain
from sim.trace import Trace
from sim.truth import Truth
from sim.workload import body_of, dealt
from sim.world import World
from smx.units import KIB, MILLISECOND, SECOND

Build = Callable[[Choices, Trace, Truth], World]


class Scene(msgspec.Struct, frozen=True):
    """`build` gives a world that is ready to run; all that it draws comes from the choices."""

    name: str
    what: str
    build: Build


SCENES: Final[dict[str, Scene]] = {}


def scene(build: Build) -> Build:
    """Enter a builder; its name and its docstring are the scene's."""
    name = build.__name__.removeprefix("_").replace("_", "-")
    assert build.__doc__
    SCENES[name] = Scene(name, " ".join(build.__doc__.split()), build)
    return build


MANNERS: Final = (PIPELINED, LOCK_STEP, CHUNKED)
GAP_US: Final = 150 * MILLISECOND
JITTER_US: Final = 50 * MILLISECOND
SLOW_DISK: Final = Times(sync_min_us=2 * MILLISECOND, sync_max_us=20 * MILLISECOND, link_max_us=500)  # windows are wide
PATIENT: Final = {"patience_us": 90 * SECOND, "retry_us": 2 * SECOND}

MIXED: Final = (
    Mail("t1", ("alice@lab.example",)),
    Mail("t2", ("a@d0.example",)),
    Mail("t3", ("list@lab.example",)),
    Mail("t4", ("bob@lab.example", "a@d0.example", "b@d1.example")),
    Mail("t5", ("nobody@d0.example",)),
    Mail("t6", ("b@d2.example",)),
    Mail("t7", ("nobody@d1.example", "carol@lab.example"), sender=""),
    Mail("t8", ("bob@lab.example", "c@d1.example"), body=body_of(40 * KIB, 8)),
    Mail("t9", ("a@d0.example", "b@d0.example"), body=b".\r\n..\r\n.hidden\r\n"),
    Mail("t10", ("nobody@d0.example",), parameters="NOTIFY=NEVER"),
    Mail("t11", ("alice@lab.example",), parameters="NOTIFY=SUCCESS,FAILURE"),
    Mail("t12", ("a@d1.example", "b@d1.example", "nobody@d1.example")),
)


def world_of(
    choices: Choices,
    trace: Trace,
    truth: Truth,
    *strikes: Strike,
    text: str = CONFIGURATION,
    scripts: Sequence[Script] = (GOOD, GOOD, Script(acts={"rcpt": (LATER, LATER)})),
    mails: Sequence[Mail] = MIXED,
    gap_us: int = GAP_US,
    manners: Sequence[Manner] = MANNERS,
    clients: int = 3,
    **fields: Any,
) -> World:
    """A machine, domains d0, d1 ... that follow the scripts, and clients that bring the mails."""
    if strikes and "calm_at_us" not in fields:
        fields["calm_at_us"] = 15 * SECOND
    world = World(Scenario(settings=plain_settings(text), maps=ALIASES, strikes=strikes, **fields), choices, trace, truth)
    for number, script in enumerate(scripts):
        add_domain(world, number, script)
    bring(world, [(number * gap_us, mail) for number, mail in enumerate(mails)], clients, manners)
    return world


def bring(world: World, mails: list[tuple[int, Mail]], clients: int, manners: Sequence[Manner] = MANNERS, first: int = 0) -> None:
    """Each client brings its share, each message in its time."""
    jitter = world.choices.stream("scene")
    for number, own in enumerate(dealt(mails, clients), first):
        if not own:
            continue
        manner = msgspec.structs.replace(manners[number % len(manners)], **PATIENT)
        client = Client(world.env, world.network, world.truth, [], target=(ADDRESS, 25), source=f"{CLIENTS}.{number + 1}", manner=manner)
        left = [len(own)]
        for at, mail in own:
            world.at(UP_US + at + jitter.below(JITTER_US), _add, client, mail, left)
        world.add_client(lambda client=client, left=left: not left[0] and client.finished)  # type: ignore[misc]


def _add(client: Client, mail: Mail, left: list[int]) -> None:
    left[0] -= 1
    client.add(mail)
