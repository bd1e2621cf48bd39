"""Wire: what a case may ask for, and what it gets: the whole vocabulary between a script and the world.

A script is a generator. It yields one of the actions below and receives the result that stands behind the arrow. It never touches a socket, a clock or a
thread, so that whoever carries the actions out decides what the world is: `conformance.sockets` uses real ones, a simulator its own time.
Times are float seconds; octets are bytes; connections are numbers that the wire gives out.

Actions about the suite as client:
    Open -> Opened                  Send -> None          Receive -> Received         Close -> None          StartTls -> Secured
About the suite as server, behind its own DNS:
    Listen -> str (address)         Unlisten -> None      Accept -> Accepted | None   SetZone -> None        Queries -> tuple[Query, ...]
About the target:
    Look -> tuple[bytes, ...]       Control -> Controlled
About time, and for the report:
    Wait -> None                    Now -> float          Remark -> None
"""

from collections.abc import Generator
from typing import Any, Final, TypeAlias, TypeVar

from msgspec import Struct

T = TypeVar("T")

CLOSED: Final = "closed"  # the peer closed in order
RESET: Final = "reset"  # the connection broke
TIMEOUT: Final = "timeout"  # nothing came in time

CLOSE: Final = "close"
HALF: Final = "half"  # no more from us, the peer may go on


class Open(Struct, frozen=True):
    """Connect to a service of the target: "smtp", "submission", "submissions", "lmtp". `source`: address to connect from; empty: any."""

    service: str = "smtp"
    source: str = ""
    timeout_s: float = 10.0


class Opened(Struct, frozen=True):
    """`connection` is 0 when there is none, `reason` says why."""

    connection: int
    reason: str = ""


class Send(Struct, frozen=True):
    """Octets as they are, in one write. A peer that is gone shows at the next Receive."""

    connection: int
    octets: bytes


class Receive(Struct, frozen=True):
    """At least one octet, or how it ended."""

    connection: int
    timeout_s: float = 30.0


class Received(Struct, frozen=True):
    """`end` is "" when octets came, else CLOSED, RESET or TIMEOUT."""

    octets: bytes
    end: str = ""


class Close(Struct, frozen=True):
    """`how`: CLOSE, HALF or RESET."""

    connection: int
    how: str = CLOSE


class StartTls(Struct, frozen=True):
    """Handshake now, as client or (connections of Accept) as server with this certificate: "good", "expired", "self-signed", "other-name"."""

    connection: int
    certificate: str = "good"
    version_max: str = ""
    timeout_s: float = 15.0


class Secured(Struct, frozen=True):
    """`reason` is empty when the handshake was completed; `version` such as "TLSv1.3"; `verified`: the peer's chain and name are good."""

    reason: str = ""
    version: str = ""
    verified: bool = False
    server_name: str = ""


class Listen(Struct, frozen=True):
    """Begin to accept at the host of this label; gives its address."""

    host: str


class Unlisten(Struct, frozen=True):
    """Refuse connections at this host from now on."""

    host: str


class Accept(Struct, frozen=True):
    """The next connection to one of these hosts."""

    hosts: tuple[str, ...]
    timeout_s: float = 30.0


class Accepted(Struct, frozen=True):
    connection: int
    host: str
    peer: str = ""


class SetZone(Struct, frozen=True):
    """What the DNS answers from now on for names of this case: (absolute name, type, data in master file form, or a failure)."""

    records: tuple["Record", ...]


class Record(Struct, frozen=True):
    """`data` "!SERVFAIL", "!REFUSED", "!NXDOMAIN" or "!TIMEOUT" is a failure; `rrtype` "*" stands for every type."""

    name: str
    rrtype: str
    data: str
    ttl_s: int = 30


class Queries(Struct, frozen=True):
    """What was asked about names at or below this one."""

    name: str


class Query(Struct, frozen=True):
    name: str
    rrtype: str


class Look(Struct, frozen=True):
    """The delivered messages of a local recipient that contain `token`; waits until there are `count`, or the time is over."""

    recipient: str
    token: str
    count: int = 1
    timeout_s: float = 20.0


class Control(Struct, frozen=True):
    """One of the target's hooks: "restart", "kill", "stop", "start", "flush", "advance"; `argument`: what it needs, such as seconds."""

    hook: str
    argument: str = ""
    timeout_s: float = 60.0


class Controlled(Struct, frozen=True):
    """`status` is that of the command; `output` what it printed."""

    status: int
    output: str = ""


class Wait(Struct, frozen=True):
    """Let so many seconds pass."""

    seconds: float


class Now(Struct, frozen=True):
    """Seconds since some instant."""


class Remark(Struct, frozen=True):
    """A line for the transcript. `outcome`: "" for a plain remark, "info" for a fact, "warn" for a SHOULD that was not followed: it does not end the case."""

    text: str
    outcome: str = ""


Action: TypeAlias = (
    Open | Send | Receive | Close | StartTls | Listen | Unlisten | Accept | SetZone | Queries | Look | Control | Wait | Now | Remark
)  # fmt: skip

# What a script, and each step it is made of, is: `value = yield from step(...)`.
Step: TypeAlias = Generator[Action, Any, T]
Script: TypeAlias = Generator[Action, Any, None]
