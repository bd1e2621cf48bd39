"""Crowd: draws who comes: manners of clients, and who makes trouble. The draw 0 is a good client."""

from typing import TYPE_CHECKING, Final

from sim.peers.bad import MISCHIEF
from sim.peers.client import Manner
from smx.units import MILLISECOND, SECOND

if TYPE_CHECKING:
    from sim.choices import Stream

VANISH_STEPS: Final = ("dot", "content", "data", "rcpt", "mail", "helo", "starttls", "quit", "connect")  # F29: the dot above all
VANISH_WHEN: Final = ("sent", "reply", "part")
VANISH_HOW: Final = ("reset", "close", "silent", "half")


def draw_manner(stream: "Stream", *, faults_per_mille: int = 200, starttls: bool = False) -> Manner:
    """One client's. `faults_per_mille`: how often it is one that vanishes (F29) or sends an octet now and then (F30)."""
    pipelined = not stream.chance(400)
    chunked = stream.chance(300)
    manner = {
        "pipelined": pipelined,
        "chunked": chunked,
        "chunk_octets": stream.pick((0, 100, 4_096)) if chunked else 0,
        "hello": "HELO" if stream.chance(100) else "EHLO",
        "starttls": starttls and stream.chance(300),
        "per_session": stream.pick((10, 1, 2)),
        "think_us": stream.exponential(200 * MILLISECOND) if stream.chance(300) else 0,
        "retry_us": stream.between(5 * SECOND, 60 * SECOND),
    }
    if stream.chance(faults_per_mille):
        if stream.chance(150):
            manner["drip_us"] = stream.between(1 * MILLISECOND, 20 * MILLISECOND)
        else:
            manner["vanish"] = stream.pick(VANISH_STEPS)
            manner["vanish_when"] = stream.pick(VANISH_WHEN)
            manner["vanish_how"] = stream.pick(VANISH_HOW)
            manner["vanish_times"] = stream.pick((1, 2))
    return Manner(**manner)  # type: ignore[arg-type]


def draw_mischief(stream: "Stream") -> str:
    """A row of MISCHIEF."""
    return stream.pick(tuple(MISCHIEF))
