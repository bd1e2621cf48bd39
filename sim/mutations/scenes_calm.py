"""Scenes without crashes: mail of all kinds, and peers that are late, refuse, misbehave, or are too many."""

from typing import Final

import msgspec

from sim.choices import Choices
from sim.facts import Bound, Configured, FaultInjected, FaultsEnded, Healed
from sim.mutations.scenes import GAP_US, MIXED, SLOW_DISK, bring, scene, world_of
from sim.peers.bad import PSEUDO_ENDS, BadPeer, Flood
from sim.peers.client import PIPELINED
from sim.peers.mail import Mail
from sim.peers.script import GOOD, LATER, LOST, UNKNOWN, Act, Script
from sim.scenario import CONFIGURATION, Strike
from sim.studies.internet import TARGET, UP_US
from sim.trace import Trace
from sim.truth import Truth
from sim.workload import body_of
from sim.world import World
from smx.units import HOUR, KIB, MIB, MILLISECOND, MINUTE, SECOND

SECTION: Final = "retry { min = 1s; max = 4s; give_up = 5d; warn = 0; dead_min = 1s; dead_max = 2s; }"
MEMORY_MOST: Final = MIB  # beside what waits for its segment to open
CUT_THROUGH: Final = CONFIGURATION.replace("cut_through = 0;", "cut_through = 1s;")


def many(count: int, *recipients: str, body: bytes = b"Hello.\r\n") -> tuple[Mail, ...]:
    """So many messages to the same recipients."""
    return tuple(Mail(f"t{number}", recipients, body=body) for number in range(count))


@scene
def _plain(choices: Choices, trace: Trace, truth: Truth) -> World:
    """A bit of everything, and nothing goes wrong."""
    return world_of(choices, trace, truth)


@scene
def _cut_through(choices: Choices, trace: Trace, truth: Truth) -> World:
    """Mail is delivered before it is stored, or not: hosts are prompt, late, refuse for now, and refuse for good (A12)."""
    late = Script(always={"dot": Act(delay_us=3 * SECOND)})
    return world_of(choices, trace, truth, text=CUT_THROUGH, scripts=(GOOD, late, Script(acts={"rcpt": (LATER, LATER, LATER)})), mails=MIXED, times=SLOW_DISK)


@scene
def _double_bounce(choices: Choices, trace: Trace, truth: Truth) -> World:
    """Nobody can be told of a failure, and the postmaster cannot either (SX28)."""
    text = CONFIGURATION.replace("postmaster = postmaster@lab.example;", "postmaster = nobody@d1.example;")
    mails = (
        Mail("t1", ("nobody@d0.example",), sender="nobody@d1.example"),
        Mail("t2", ("nobody@d0.example", "a@d0.example"), sender=""),
        Mail("t3", ("nobody@d0.example",), sender="nobody@d1.example", parameters="NOTIFY=NEVER"),
    )
    return world_of(choices, trace, truth, text=text, mails=mails)


@scene
def _expiry(choices: Choices, trace: Trace, truth: Truth) -> World:
    """A host refuses for now, for ever: its mail is given up. The wall clock leaps ahead by an hour on the way (A15)."""
    text = CONFIGURATION.replace(SECTION, "retry { min = 10s; max = 20s; give_up = 2m; warn = 0; attempts_min = 4; dead_min = 1s; dead_max = 2s; }")
    never = Script(always={"rcpt": LATER})
    mails = (*many(3, "a@d0.example", "b@d1.example"), Mail("t8", ("b@d0.example",), sender=""), Mail("t9", ("c@d0.example",), parameters="NOTIFY=NEVER"))
    strike = Strike(kind="jump", at_us=UP_US + SECOND + choices.stream("scene").below(25 * SECOND), amount=HOUR)
    world = world_of(choices, trace, truth, strike, text=text, scripts=(never, GOOD), mails=mails, calm_at_us=10 * MINUTE)
    truth.observe(Configured(world.env.now, "qmgr.retry.attempts_min", 4))
    return world


@scene
def _expiry_without_jump(choices: Choices, trace: Trace, truth: Truth) -> World:
    """A host refuses for now, for ever: its mail is given up in time."""
    text = CONFIGURATION.replace(SECTION, "retry { min = 10s; max = 20s; give_up = 2m; warn = 0; attempts_min = 4; dead_min = 1s; dead_max = 2s; }")
    never = Script(always={"rcpt": LATER})
    mails = (*many(3, "a@d0.example", "b@d1.example"), Mail("t8", ("b@d0.example",), sender=""))
    world = world_of(choices, trace, truth, text=text, scripts=(never, GOOD), mails=mails)
    world.at(1, truth.observe, FaultsEnded(world.env.now))
    truth.observe(Configured(world.env.now, "qmgr.retry.attempts_min", 4))
    return world


@scene
def _deferred_long(choices: Choices, trace: Trace, truth: Truth) -> World:
    """Mail waits for another attempt for longer than a content segment stays open."""
    text = CONFIGURATION.replace(SECTION, "retry { min = 100s; max = 200s; give_up = 5d; warn = 0; dead_min = 1s; dead_max = 2s; }")
    return world_of(choices, trace, truth, text=text, scripts=(Script(acts={"rcpt": (LATER,) * 5}), GOOD, GOOD))


@scene
def _overflow(choices: Choices, trace: Trace, truth: Truth) -> World:
    """More mail than the active queue holds, and more deferred rows than their cache holds (A8, SX18)."""
    text = CONFIGURATION.replace("qmgr {", "qmgr {\n    aq_max_entries = 16; edbc_max_entries = 16; iqdb_max_entries = 64;", 1)
    late = Script(acts={"rcpt": (LATER,) * 50})
    mails = many(40, "a@d0.example", "b@d1.example", "alice@lab.example")
    return world_of(choices, trace, truth, text=text, scripts=(GOOD, late), mails=mails, gap_us=5 * MILLISECOND, clients=8, manners=(PIPELINED,))


@scene
def _crowd(choices: Choices, trace: Trace, truth: Truth) -> World:
    """One destination takes each message slowly, and only a few at a time are allowed; there is much for it, and for all together (SX20)."""
    text = CONFIGURATION.replace("qmgr {", "qmgr {\n    smtpc { initial_connections = 2; max_connections = 3; deliveries_max = 4; }", 1)
    slow = Script(always={"dot": Act(delay_us=SECOND)})
    mails = (*many(12, "a@d0.example"), *(Mail(f"o{number}", ("a@d1.example",)) for number in range(6)))
    return world_of(choices, trace, truth, text=text, scripts=(slow, slow), mails=mails, gap_us=10 * MILLISECOND, clients=6)


@scene
def _slow_destination(choices: Choices, trace: Trace, truth: Truth) -> World:
    """One host hardly moves, and has the most mail; the others must not wait for it (L6)."""
    text = CONFIGURATION.replace("qmgr {", "qmgr {\n    aq_max_entries = 24; smtpc { initial_connections = 2; max_connections = 2; }", 1)
    slow = Script(always={"dot": Act(delay_us=10 * SECOND)})
    mails = (*many(40, "a@d0.example"), *(Mail(f"o{number}", ("a@d1.example",)) for number in range(12)))
    world = world_of(choices, trace, truth, text=text, scripts=(slow, GOOD), mails=mails, gap_us=20 * MILLISECOND, clients=6, limit_us=2 * HOUR)
    world.at(1, truth.observe, FaultInjected(world.env.now, "F37", "slow", "d0.example"))
    return world


@scene
def _dead_destination(choices: Choices, trace: Trace, truth: Truth) -> World:
    """A host is away, with a backlog, and comes back (F39, L3)."""
    text = CONFIGURATION.replace("qmgr {", "qmgr {\n    smtpc { initial_connections = 2; max_connections = 20; }", 1)
    slow = Script(always={"dot": Act(delay_us=SECOND // 2)})
    world = world_of(choices, trace, truth, text=text, scripts=(slow, GOOD), mails=())
    host = world.network
    hosts = ("203.0.1.1",)
    world.at(UP_US, host.partition, hosts)
    world.at(1, truth.observe, FaultInjected(world.env.now, "F38", "partition", "d0.example"))
    world.at(45 * SECOND, host.heal, hosts)
    world.at(45 * SECOND, _healed, world, truth)
    bring(world, [(number * 100 * MILLISECOND, mail) for number, mail in enumerate(many(24, "a@d0.example"))], 4)
    return world


def _healed(world: World, truth: Truth) -> None:
    truth.observe(FaultsEnded(world.env.now))
    truth.observe(Healed(world.env.now, "d0.example"))


@scene
def _tricksters(choices: Choices, trace: Trace, truth: Truth) -> World:
    """Clients that smuggle, pipeline what they must not, and stuff everything into one piece, beside good ones (F31 to F34)."""
    text = CONFIGURATION.replace("port = 25; }", "port = 25; }\n    tls { certificate = /etc/mx.pem; key = /etc/mx.key; }")
    world = world_of(choices, trace, truth, text=text)
    people = choices.stream("people")
    for number, mischief in enumerate(("injector", "late injector", "all at once", "behind data", *["smuggler"] * len(PSEUDO_ENDS))):
        mail = Mail(f"bad{number}", ("alice@lab.example",), "bad@bad.example")
        BadPeer(world.env, world.network, truth, people, mischief, mail, target=TARGET).start(UP_US + number * GAP_US)
    return world


@scene
def _lost_replies(choices: Choices, trace: Trace, truth: Truth) -> World:
    """A host takes the message, and its 250 gets lost; another one says 450 to the end of it (RFC 1047)."""
    scripts = (Script(acts={"dot": (LOST, LOST)}), Script(acts={"dot": (LATER, LATER, UNKNOWN)}), GOOD)
    return world_of(choices, trace, truth, scripts=scripts, calm_at_us=15 * SECOND)


@scene
def _large(choices: Choices, trace: Trace, truth: Truth) -> World:
    """Large messages, some of which come to nothing in the middle (A5)."""
    mails = tuple(Mail(f"t{number}", ("a@d0.example", "alice@lab.example"), body=body_of(150 * KIB + number * 999, number)) for number in range(4))
    world = world_of(choices, trace, truth, mails=mails)
    people = choices.stream("people")
    for number, mischief in enumerate(("endless content", "mute in content", "endless header")):
        mail = Mail(f"bad{number}", ("alice@lab.example",), "bad@bad.example")
        BadPeer(world.env, world.network, truth, people, mischief, mail, target=TARGET).start(UP_US + number * GAP_US)
    return world


@scene
def _flood(choices: Choices, trace: Trace, truth: Truth) -> World:
    """More connections than sessions_max allows (F35)."""
    text = CONFIGURATION.replace("smtps mx {", "smtps mx {\n    sessions_max = 20; client { connections_max = 0; }", 1)
    world = world_of(choices, trace, truth, text=text)
    Flood(world.env, world.network, target=TARGET, count=60, hold_us=10 * SECOND).start(UP_US + SECOND)
    return world


@scene
def _full_queue(choices: Choices, trace: Trace, truth: Truth) -> World:
    """The active queue is full for a while (A8, I16)."""
    text = CONFIGURATION.replace("qmgr {", "qmgr {\n    aq_max_entries = 16; smtpc { initial_connections = 2; max_connections = 4; }", 1)
    slow = Script(always={"dot": Act(delay_us=4 * SECOND)})
    return world_of(choices, trace, truth, text=text, scripts=(slow, slow), mails=many(20, "a@d0.example", "b@d1.example"), gap_us=20 * MILLISECOND, clients=5)


@scene
def _dots_in_pieces(choices: Choices, trace: Trace, truth: Truth) -> World:
    """Content with dots between bare CR and LF, and at the beginning of lines, comes octet by octet (F30, F33)."""
    slowly = msgspec.structs.replace(PIPELINED, drip_us=500)
    mails = (
        Mail("t1", ("alice@lab.example",), body=b".one\r\n..two\r\n.\tthree\r\n"),
        Mail("t2", ("alice@lab.example",), body=b"one\n.\ntwo\r\n"),
        Mail("t3", ("alice@lab.example",), body=b"one\r\n.\ntwo\r\n"),
        Mail("t4", ("alice@lab.example",), body=b"one\r.\rtwo\r\n"),
    )
    return world_of(choices, trace, truth, mails=mails, manners=(slowly,), clients=2)


@scene
def _narrow_memory(choices: Choices, trace: Trace, truth: Truth) -> World:
    """Many clients send at once, and there is little memory for content (I16)."""
    text = CONFIGURATION.replace("content_memory_max = 32KiB;", "content_memory_max = 64KiB; content_memory_budget = 256KiB;")
    world = world_of(choices, trace, truth, text=text, mails=(), times=SLOW_DISK)
    mails = [(0, Mail(f"t{number}", ("alice@lab.example",), body=body_of(600 * KIB, number))) for number in range(6)]
    bring(world, mails, 6, (PIPELINED,))
    world.at(UP_US, _look_at_memory, world)
    return world


def _look_at_memory(world: World) -> None:
    server = world.machine.processes.get("smtps.mx.0")
    if server is not None and server.alive:
        world.truth.observe(Bound(world.env.now, "octets of content in memory", server.component._service.intake.used, MEMORY_MOST))  # type: ignore[attr-defined]
    world.at(2 * MILLISECOND, _look_at_memory, world)
