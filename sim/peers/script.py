"""Script: what a host of the simulated Internet does instead of what a good server does, step by step (F36, F37).

    Script(acts={"rcpt": (LATER,)})                 the first RCPT of the host's life gets 450, the rest is good
    Script(always={"dot": LOST})                    each message is taken, and its 250 never leaves
    Script(odds=(("dot", 100, LOST),))              ... one in ten
    Script(users={"a@never.example": UNKNOWN})      RCPT for this address gets 550
    Script(grey_us=60 * SECOND)                     greylisting

FAULTS is the table of all acts by name, STEPS that of all steps; every act makes sense at every step.
"""

from typing import TYPE_CHECKING, Final

import msgspec

from smx.units import MINUTE, SECOND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.choices import Stream

STEPS: Final = ("connect", "ehlo", "helo", "starttls", "mail", "rcpt", "data", "bdat", "dot", "rset", "noop", "quit")
EXTENSIONS: Final = ("PIPELINING", "8BITMIME", "SIZE 10000000", "DSN", "ENHANCEDSTATUSCODES", "SMTPUTF8")
ALL_EXTENSIONS: Final = (*EXTENSIONS, "CHUNKING", "STARTTLS", "LIMITS RCPTMAX=100")


class Act(msgspec.Struct, frozen=True, gc=False):
    """What is done at one step. The parts combine, and happen in the order of the fields.

    `drop`: the connection ends "before" anything is decided, "instead" of the reply, "during" it, or "after" it; `how`: reset, close, half
    (half-closed: FIN, but what comes is still read). `takes`: at the end of the content: whether the host takes the message, by default when its
    reply is 2yz, when it is garbage, and when it is never said; without meaning at other steps.
    """

    delay_us: int = 0
    hang: bool = False  # nothing is decided, nothing is said, ever
    drop: str = ""
    how: str = "reset"
    takes: bool | None = None
    reply: bytes = b""  # with CRLF; b"": the usual
    silent: bool = False  # it is decided as usual, but not said; the session goes on
    drip_us: int = 0  # the reply goes out one octet at a time
    trail: bytes = b""  # said behind the reply, in a piece of its own


LATER: Final = Act(reply=b"450 4.2.1 Later\r\n")
UNKNOWN: Final = Act(reply=b"550 5.1.1 Unknown\r\n")
GOING: Final = Act(reply=b"421 4.3.2 Going down\r\n")
LOST: Final = Act(drop="instead")  # at the dot: the message is taken, and the client never learns it (RFC 1047)
HANG: Final = Act(hang=True)

FAULTS: Final[dict[str, Act]] = {
    "450": LATER,
    "550": UNKNOWN,
    "421": GOING,
    "452 of many lines": Act(reply=b"452-4.3.1 The disk\r\n452-4.3.1 is full\r\n452 4.3.1 just now\r\n"),
    "drop before": Act(drop="before"),
    "drop instead": LOST,
    "drop during": Act(drop="during"),
    "drop after": Act(drop="after"),
    "close before": Act(drop="before", how="close"),
    "close after": Act(drop="after", how="close"),
    "half-close before": Act(drop="before", how="half"),
    "half-close after": Act(drop="after", how="half"),
    "hang": HANG,
    "late": Act(delay_us=2 * SECOND),
    "too late": Act(delay_us=11 * MINUTE),
    "slow octets": Act(drip_us=SECOND // 4),
    "silent": Act(silent=True),
    "garbage": Act(reply=b"\x00\xff HTTP/1.1 400 Bad Request\r\n"),
    "wrong code": Act(reply=b"777 7.7.7 What?\r\n"),
    "no code": Act(reply=b"Ok\r\n"),
    "codes that differ": Act(reply=b"250-One\r\n550 two\r\n"),
    "bare LF": Act(reply=b"250 2.0.0 Ok\n"),
    "bare code": Act(reply=b"250\r\n"),
    "endless line": Act(reply=b"250 " + b"x" * 20_000 + b"\r\n"),
    "endless lines": Act(reply=b"250-more\r\n" * 2_000 + b"250 done\r\n"),
    "two replies": Act(trail=b"250 2.0.0 Once more\r\n"),
    "421 behind": Act(trail=b"421 4.3.2 By the way\r\n"),
    "taken, but 451": Act(takes=True, reply=b"451 4.3.0 Trouble\r\n"),
}


class Script(msgspec.Struct, frozen=True):
    """One host's. `acts`: for the first occurrences of a step in the host's life; then `always`; else `odds`: (step, per mille, act)."""

    acts: "Mapping[str, tuple[Act, ...]]" = {}
    always: "Mapping[str, Act]" = {}
    odds: tuple[tuple[str, int, Act], ...] = ()
    users: "Mapping[str, Act]" = {}  # at RCPT, by address
    extensions: tuple[str, ...] = EXTENSIONS
    grey_us: int = 0  # a pair of sender and recipient gets 450 until so long after its first attempt
    tarpit_us: int = 0  # before each reply
    sessions_max: int = 0  # at once; more get 421; 0: no limit
    transactions_max: int = 0  # in one session; more get 421
    recipients_max: int = 0  # in one transaction; more get 452
    handshake: str = "good"  # good, refused (an alert), silent (nobody answers), plain (220, and on in plaintext)

    @property
    def plain(self) -> bool:
        """Nothing here ever differs from a good server."""
        return not (self.acts or self.always or self.odds or self.tarpit_us)

    def calm(self) -> "Script":
        """The host after all faults: only addresses that do not exist are still refused."""
        users = {address: act for address, act in self.users.items() if act.reply.startswith(b"5")}
        return Script(users=users, extensions=self.extensions)


GOOD: Final = Script()


def draw_script(stream: "Stream", *, faults_per_mille: int = 500) -> Script:
    """A host for one seed: good by default, else with a few kinds of trouble. Time-outs of minutes are rare: they make runs long."""
    extensions = tuple(word for word in ALL_EXTENSIONS if not stream.chance(250))
    if not stream.chance(faults_per_mille):
        return Script(extensions=extensions)
    acts: dict[str, tuple[Act, ...]] = {}
    for _ in range(stream.below(4)):
        acts[stream.pick(_HARD)] = tuple(_draw_act(stream) for _ in range(stream.between(1, 3)))
    return Script(
        acts=acts,
        odds=tuple((stream.pick(_HARD), stream.between(10, 250), _draw_act(stream)) for _ in range(stream.below(3))),
        extensions=extensions,
        grey_us=stream.between(SECOND, 5 * MINUTE) if stream.chance(150) else 0,
        tarpit_us=stream.between(1, 2 * SECOND) if stream.chance(100) else 0,
        sessions_max=stream.between(1, 3) if stream.chance(150) else 0,
        transactions_max=stream.between(1, 3) if stream.chance(150) else 0,
        recipients_max=stream.between(1, 3) if stream.chance(100) else 0,
        handshake=stream.pick(("good", "refused", "plain", "silent")) if stream.chance(150) else "good",
    )


LIES: Final = ("two replies",)  # a 250 to what the host never saw: no client can tell, mail is lost by the host; not drawn
_HARD: Final = ("dot", "rcpt", "mail", "data", "connect", "ehlo", "starttls", "rset", "quit", "bdat")  # the dot above all
_SOFT: Final = ("450", "421", "drop before", "drop instead", "drop during", "drop after", "late", "close before", "half-close after", "452 of many lines")
_DRAWN: Final = tuple(name for name in FAULTS if name not in LIES)


def _draw_act(stream: "Stream") -> Act:
    if stream.chance(700):
        return FAULTS[stream.pick(_SOFT)]
    if stream.chance(150):
        return UNKNOWN
    return FAULTS[stream.pick(_DRAWN)]
