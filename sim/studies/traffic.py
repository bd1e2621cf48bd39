"""Traffic: mail that comes at its own time, whatever the server does (an open loop): each message has a session, or shares it with those behind it."""

from collections.abc import Sequence
from typing import Final

import msgspec

from sim.choices import Stream
from sim.peers.client import PIPELINED, Client, Manner
from sim.peers.mail import Mail
from sim.studies.internet import NOBODY_THERE, send
from sim.workload import SMALL, Arrivals, Destination, Poisson, Recipients, Sizes, Workload
from sim.world import World
from smx.units import SECOND

ONE: Final = Recipients(many_per_mille=0)
MARGIN: Final = 2  # so many times what is expected is drawn, and what is too late is left out
AT_LEAST: Final = 20


class Given(msgspec.Struct, frozen=True):
    """Arrivals at these instants."""

    moments: tuple[int, ...]

    def times(self, stream: Stream, count: int) -> list[int]:
        return list(self.moments[:count])


def traffic(
    stream: Stream,
    destinations: Sequence[Destination],
    per_second: float,
    begin_us: int,
    end_us: int,
    *,
    prefix: str,
    sizes: Sizes = SMALL,
    recipients: Recipients = ONE,
    power: float = 0.0,
    arrivals: Arrivals | None = None,
) -> list[tuple[int, Mail]]:
    """Messages from `begin_us` on and before `end_us`, both after the instant at which the machine is up (internet.UP_US).

    `arrivals`: a Poisson process when not given; `power` 0: all destinations are as likely. All recipients exist.
    """
    known = tuple(Destination(found.domain, tuple(user for user in found.users if user != NOBODY_THERE)) for found in destinations)
    process = arrivals if arrivals is not None else Poisson(max(1, round(SECOND / per_second)))
    expected = round((end_us - begin_us) * per_second / SECOND)
    moments = tuple(begin_us + at for at in process.times(stream, MARGIN * expected + AT_LEAST) if begin_us + at < end_us)
    workload = Workload(known, Given(moments), sizes, recipients, power=power, prefix=prefix)
    return workload.mails(stream, len(moments))


def pour(world: World, mails: Sequence[tuple[int, Mail]], manner: Manner = PIPELINED, *, per_session: int = 1, first: int = 0) -> list[Client]:
    """One session for each `per_session` messages, begun when the first of them is due."""
    groups = [list(mails[number : number + per_session]) for number in range(0, len(mails), per_session)]
    return [send(world, group, first + number, manner) for number, group in enumerate(groups)]
