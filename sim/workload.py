"""Workload: when messages come, how large they are, how many recipients they have, and where these are.

Studies and what is taken from them
    arrivals    Poisson within a minute or so; bursts on a longer scale (Shah and Noble, A study of e-mail patterns, Software: Practice and
                Experience, 2007, on 2.85 million messages, derive sizes, senders, receivers and the burstiness of deliveries): here a
                Markov-modulated Poisson process of two states. A working day has a shape: WORKDAY follows the hourly counts that a hospital's
                relay published for one day of September 2016.
    sizes       a log-normal body and a Pareto tail: the power law of large sizes and the log-normal-like rest of Matsubara and Musashi (Study of
                the power-law fluctuations in the email size, arXiv 1608.08503; Fluctuations in email size, Eur. Phys. J. Plus 132, 2017).
                The numbers of MEASURED are fitted to MEASURED_CUMULATIVE, a distribution that was posted to the list freebsd-net in October
                2002; half of the messages have less than 4 KiB, one in seventy has more than a mebibyte.
    recipients  most messages have one, the rest falls like a power of their number (Bertolotti and Calzarossa, Models of mail server workloads,
                Performance Evaluation 46, 2001; Gomes et al., Workload models of spam and legitimate e-mails, Performance Evaluation 64, 2007).
                Family from there, numbers ours.
    domains     Zipf: few domains get most of the mail. Numbers ours.

Everything is drawn from a stream of the choice tape; the draw 0 is the least: no wait, the median size, one recipient, the first domain.
"""

import math
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from sim.peers.mail import Mail
from smx.units import HOUR, KIB, MIB, SECOND

if TYPE_CHECKING:
    from sim.choices import Stream

_SCALE: Final = 1_000_000


# --- when ----------------------------------------------------------------------------------------------------------------


class Arrivals(Protocol):
    """An arrival process."""

    def times(self, stream: "Stream", count: int) -> list[int]:
        """Microseconds from the start, in order."""


class Burst(msgspec.Struct, frozen=True):
    """All at once, or `gap_us` apart."""

    gap_us: int = 0

    def times(self, stream: "Stream", count: int) -> list[int]:
        return [number * self.gap_us for number in range(count)]


class Poisson(msgspec.Struct, frozen=True):
    """`mean_us` between two messages."""

    mean_us: int = SECOND

    def times(self, stream: "Stream", count: int) -> list[int]:
        return list(accumulate(stream.exponential(self.mean_us) for _ in range(count)))


class OnOff(msgspec.Struct, frozen=True):
    """A Markov-modulated Poisson process of two states, each of exponential length. It begins busy; `quiet_mean_us` 0: silent when quiet."""

    busy_mean_us: int = SECOND // 20
    quiet_mean_us: int = 0
    busy_us: int = 10 * SECOND
    quiet_us: int = 60 * SECOND

    def times(self, stream: "Stream", count: int) -> list[int]:
        times: list[int] = []
        now, busy, ends = 0, True, stream.exponential(self.busy_us)
        while len(times) < count:
            mean = self.busy_mean_us if busy else self.quiet_mean_us
            gap = stream.exponential(mean) if mean else ends - now + 1
            if now + gap <= ends or not ends:
                now += gap
                times.append(now)
                ends = ends or now
            else:
                # memoryless: what was left of the gap is drawn anew in the other state
                now, busy = ends, not busy
                ends = now + max(1, stream.exponential(self.busy_us if busy else self.quiet_us))
        return times


WORKDAY: Final = (8, 6, 5, 5, 8, 12, 16, 50, 64, 79, 77, 70, 63, 73, 70, 71, 55, 49, 29, 30, 27, 23, 19, 12)  # weights of the hours


class Diurnal(msgspec.Struct, frozen=True):
    """A Poisson process whose rate follows the hours of a day; `mean_us`: over the whole day. It begins at `hour`."""

    mean_us: int = SECOND
    hour: int = 8
    weights: tuple[int, ...] = WORKDAY

    def times(self, stream: "Stream", count: int) -> list[int]:
        """By the inverse of the integrated rate: an interval of the even process, stretched where the hour is quiet."""
        mean_weight = sum(self.weights) / len(self.weights)
        times: list[int] = []
        now = self.hour * HOUR
        for _ in range(count):
            left = float(stream.exponential(self.mean_us))
            while True:
                rate = self.weights[now // HOUR % len(self.weights)] / mean_weight
                to_next_hour = HOUR - now % HOUR
                if rate and left / rate < to_next_hour:
                    now += int(left / rate)
                    break
                left -= to_next_hour * rate
                now += to_next_hour
            times.append(now - self.hour * HOUR)
        return times


# --- how large -------------------------------------------------------------------------------------------------------------

MEASURED_CUMULATIVE: Final = {  # octets: share of messages that are smaller
    2 * KIB: 0.235,
    4 * KIB: 0.492,
    8 * KIB: 0.676,
    16 * KIB: 0.796,
    32 * KIB: 0.854,
    64 * KIB: 0.905,
    128 * KIB: 0.933,
    256 * KIB: 0.957,
    512 * KIB: 0.972,
    1 * MIB: 0.985,
}


class Sizes(msgspec.Struct, frozen=True):
    """Octets of a body: log-normal around `median` with `sigma`, and a Pareto tail from `tail_from` with exponent `alpha`."""

    median: int = 3_400
    sigma: float = 0.94
    tail_per_mille: int = 160
    tail_from: int = 28 * KIB
    alpha: float = 0.62
    least: int = 80
    most: int = 10 * MIB

    def draw(self, stream: "Stream") -> int:
        if stream.chance(self.tail_per_mille):
            size = self.tail_from * (1.0 - stream.fraction()) ** (-1.0 / self.alpha)
        else:
            size = self.median * math.exp(self.sigma * stream.normal()) if self.sigma else self.median
        return int(min(max(size, self.least), self.most))


MEASURED: Final = Sizes()
SMALL: Final = Sizes(median=400, sigma=0.6, tail_per_mille=30, tail_from=8 * KIB, most=400 * KIB)  # for storms: many messages, little to copy
TINY: Final = Sizes(median=80, sigma=0.0, tail_per_mille=0)


# --- to whom ---------------------------------------------------------------------------------------------------------------


class Recipients(msgspec.Struct, frozen=True):
    """How many: 1 in all but `many_per_mille` of messages, then 2 and more with weights falling as n ** -`power`, up to `most`."""

    many_per_mille: int = 200
    power: float = 1.8
    most: int = 20

    def draw(self, stream: "Stream") -> int:
        if self.most < 2 or not stream.chance(self.many_per_mille):
            return 1
        return 2 + zipf(stream, self.most - 1, self.power)


ONE_OR_TWO: Final = Recipients(many_per_mille=500, most=2)

_cumulative: dict[tuple[int, float], list[int]] = {}


def zipf(stream: "Stream", count: int, power: float = 1.0) -> int:
    """A rank in [0, count), the first one most often."""
    if count < 2:
        return 0
    table = _cumulative.get((count, power))
    if table is None:
        table = _cumulative[count, power] = list(accumulate(int(_SCALE * rank**-power) + 1 for rank in range(1, count + 1)))
    return bisect_right(table, stream.below(table[-1]))


class Destination(msgspec.Struct, frozen=True):
    """A domain and its users, by local part."""

    domain: str
    users: tuple[str, ...] = ("a", "b", "c")


# --- all together -------------------------------------------------------------------------------------------------------------


class Workload(msgspec.Struct, frozen=True):
    """Messages for somebody to send. `destinations`: the most wanted one first. `prefix` makes the tokens of two workloads differ.

    `flags`: per mille of messages with NOTIFY=SUCCESS, with NOTIFY=NEVER, with a null reverse-path, with lines that begin with a dot, with octets
    beyond ASCII.
    """

    destinations: tuple[Destination, ...]
    arrivals: Arrivals = Poisson()
    sizes: Sizes = SMALL
    recipients: Recipients = Recipients()
    senders: tuple[str, ...] = ("sender@lab.example",)
    power: float = 1.0
    flags: tuple[int, int, int, int, int] = (0, 0, 0, 100, 0)
    prefix: str = "t"

    def mails(self, stream: "Stream", count: int, first: int = 0) -> list[tuple[int, Mail]]:
        """(microseconds from the start, message), in order."""
        times = self.arrivals.times(stream, count)
        return [(at, self._mail(stream, number)) for number, at in enumerate(times, first)]

    def _mail(self, stream: "Stream", number: int) -> Mail:
        success, never, null, dots, eight_bit = self.flags
        recipients = self._recipients(stream)
        parameters = "NOTIFY=SUCCESS,FAILURE" if stream.chance(success) else "NOTIFY=NEVER" if stream.chance(never) else ""
        sender = "" if stream.chance(null) else stream.pick(self.senders)
        body = body_of(self.sizes.draw(stream), number)
        if stream.chance(dots):
            body = b".\r\n..\r\n.hidden\r\n" + body
        if stream.chance(eight_bit):
            body = "Grüße\r\n".encode() + body
        mail_parameters = "" if body.isascii() else "BODY=8BITMIME"
        return Mail(f"{self.prefix}{number}", recipients, sender, parameters, body, mail_parameters)

    def _recipients(self, stream: "Stream") -> tuple[str, ...]:
        """Different ones; fewer than drawn where there are not enough."""
        wanted = self.recipients.draw(stream)
        chosen: dict[str, None] = {}
        for _ in range(2 * wanted):
            destination = self.destinations[zipf(stream, len(self.destinations), self.power)]
            chosen[f"{stream.pick(destination.users)}@{destination.domain}"] = None
            if len(chosen) == wanted:
                break
        return tuple(chosen)


_FILLER: Final = b"".join(b"%08d the quick brown fox jumps over the lazy dog, says line%4d\r\n" % (n * 7_919 % 99_999_989, n) for n in range(1_024))


def body_of(octets: int, number: int) -> bytes:
    """About so many octets of lines; those of another `number` begin elsewhere, so that mixed up contents are seen."""
    assert len(_FILLER) % 1_024 == 0
    line = len(_FILLER) // 1_024
    start = number * 61 % 1_024 * line
    lines = max(1, octets // line)
    needed = lines * line
    data = _FILLER[start : start + needed]
    while len(data) < needed:
        data += _FILLER[: needed - len(data)]
    return data


def dealt(mails: list[tuple[int, Mail]], clients: int) -> list[list[tuple[int, Mail]]]:
    """The messages among so many clients, turn by turn; each keeps their order."""
    return [mails[number::clients] for number in range(clients)]
