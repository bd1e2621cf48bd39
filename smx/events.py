"""Events: facts that the runtime tells a component (architecture 1). Past tense; each is handled by one `step`.

Every event that completes an effect carries the effect's own names, so that a component needs no table of what is pending
beyond its own state. Events of one connection, link, or store arrive in order.
"""

import msgspec

from smx.effects import Row
from smx.messages import AnyMessage, Value


class Event(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A fact."""


# --- life of the process -----------------------------------------------------------------------------------------------


class Started(Event, frozen=True, tag=1):
    """The first event. `epoch` is this process's own (A11); `seed` keys its choices; `wall_offset` as in ClockJumped."""

    epoch: int
    seed: int
    wall_offset: int = 0


class ClockJumped(Event, frozen=True, tag=2):
    """The wall clock is now + `wall_offset` from here on: stamps add it, timers do not (F26)."""

    wall_offset: int


class StopRequested(Event, frozen=True, tag=3):
    """End in order within `grace_us`, then Halt. Said by a signal, or by the end of the pipe from MCP."""

    grace_us: int


class Reconfigured(Event, frozen=True, tag=4):
    """New settings: the process's Settings Struct as MessagePack."""

    settings: bytes


# --- network -----------------------------------------------------------------------------------------------------------------


class Listening(Event, frozen=True, tag=10):
    """A listener of this name was handed to this process; it accepts after Accept(on=True)."""

    listener: str
    host: str
    port: int


class Accepted(Event, frozen=True, tag=11):
    """A client connected. Hosts are IP addresses, or "" for a UNIX socket."""

    connection: int
    listener: str
    peer_host: str
    peer_port: int
    local_host: str = ""
    local_port: int = 0


class Connected(Event, frozen=True, tag=12):
    connection: int
    local_host: str = ""


class ConnectFailed(Event, frozen=True, tag=13):
    connection: int
    reason: str


class Received(Event, frozen=True, tag=14):
    connection: int
    data: bytes


class Drained(Event, frozen=True, tag=15):
    """All but little of what was transmitted has left the runtime's buffer."""

    connection: int


class TlsStarted(Event, frozen=True, tag=16):
    """The end of a handshake. `error` "" when it succeeded; else the connection is closed after this."""

    connection: int
    error: str
    version: str = ""
    cipher: str = ""


class PeerClosed(Event, frozen=True, tag=17):
    """The peer closed or the connection broke; the last event of this connection."""

    connection: int
    reason: str = ""


# --- processes ------------------------------------------------------------------------------------------------------------------


class Linked(Event, frozen=True, tag=20):
    """A link to `process`, which runs in `epoch`, is up; a later Linked of the same name replaces it (it was Unlinked before)."""

    process: str
    epoch: int


class Unlinked(Event, frozen=True, tag=21):
    process: str
    epoch: int


class Told(Event, frozen=True, tag=22):
    """A message from a linked process."""

    process: str
    message: AnyMessage


# --- segments --------------------------------------------------------------------------------------------------------------------


class SegmentOpened(Event, frozen=True, tag=30):
    store: str
    segment: int


class OpenFailed(Event, frozen=True, tag=31):
    store: str
    segment: int
    no_space: bool
    reason: str


class DirectorySynced(Event, frozen=True, tag=32):
    store: str
    token: int


class AppendFailed(Event, frozen=True, tag=33):
    """What lies at `offset` and behind is undefined. Not `no_space`: the device failed, end the process (A10)."""

    store: str
    segment: int
    offset: int
    no_space: bool
    reason: str


class Synced(Event, frozen=True, tag=34):
    """All that was appended to the named segments before the Sync with this token was carried out is durable."""

    store: str
    token: int


class SyncFailed(Event, frozen=True, tag=35):
    """Nothing may be assumed; never retry: Halt and recover (A10, I15)."""

    store: str
    token: int
    reason: str


class SegmentFile(Value, frozen=True):
    segment: int
    octets: int


class Listed(Event, frozen=True, tag=36):
    """In order of segment number."""

    store: str
    request: int
    files: tuple[SegmentFile, ...]


class Scanned(Event, frozen=True, tag=37):
    """`end`: nothing follows these octets in the file."""

    store: str
    request: int
    data: bytes
    end: bool


class Readout(Event, frozen=True, tag=38):
    """Exactly the octets asked for."""

    request: int
    data: bytes


class ReadFailed(Event, frozen=True, tag=39):
    """`missing`: no such segment, or it ends before; else the device failed."""

    request: int
    missing: bool
    reason: str


class SpaceMeasured(Event, frozen=True, tag=40):
    request: int
    octets_free: int
    descriptors_free: int = -1  # how many more descriptors this process may open; -1: not measured


# --- DEFEDB -------------------------------------------------------------------------------------------------------------------------


class Stored(Event, frozen=True, tag=50):
    """Durable when `error` is ""; `no_space`: rolled back, try again later; any other error: Halt and recover."""

    request: int
    error: str = ""
    no_space: bool = False


class Fetched(Event, frozen=True, tag=51):
    request: int
    rows: tuple[Row, ...]
    more: bool = False


class Found(Event, frozen=True, tag=52):
    request: int
    rows: tuple[Row, ...]
    more: bool = False


class Counted(Event, frozen=True, tag=53):
    """`segments` = ((segment, rows), ...)."""

    request: int
    segments: tuple[tuple[int, int], ...]
    rows: int
    soonest: int = 0  # stamp of the earliest next_try, 0: none


# --- Maildir --------------------------------------------------------------------------------------------------------------------------


class Deposited(Event, frozen=True, tag=60):
    """The message is durable in new/."""

    deposit: int


class DepositFailed(Event, frozen=True, tag=61):
    """Nothing is left in new/."""

    deposit: int
    no_space: bool
    reason: str
    missing: bool = False  # there is no such Maildir, and it was not to be made


# --- names -----------------------------------------------------------------------------------------------------------------------------


class DnsRecord(Value, frozen=True):
    """`preference` for MX, else 0. `value`: an address, or a host name in lower case without the trailing dot ("" is the root)."""

    preference: int
    value: str


class Answered(Event, frozen=True, tag=70):
    """`status`: OK, NODATA, NXDOMAIN, TEMP (time-out, SERVFAIL, refused). `ttl_us`: how long it may be kept.

    CNAMEs were followed; `name` is the canonical name.
    """

    request: int
    status: str
    records: tuple[DnsRecord, ...] = ()
    ttl_us: int = 0
    name: str = ""
    reason: str = ""


class LookedUp(Event, frozen=True, tag=71):
    """`status`: OK, NOTFOUND, TEMP."""

    request: int
    status: str
    value: str = ""


class MapLoaded(Event, frozen=True, tag=72):
    """The whole map, `version` counting its loads; `error` not "": it could not be read, the earlier version stands."""

    map: str
    rows: tuple[tuple[str, str], ...]
    version: int
    error: str = ""


# --- time ------------------------------------------------------------------------------------------------------------------------------------


class Expired(Event, frozen=True, tag=80):
    timer: str
    of: int


# --- supervision ---------------------------------------------------------------------------------------------------------------------------------


class Bound(Event, frozen=True, tag=90):
    listener: str
    host: str
    port: int


class BindFailed(Event, frozen=True, tag=91):
    listener: str
    reason: str


class Launched(Event, frozen=True, tag=92):
    process: str
    pid: int


class LaunchFailed(Event, frozen=True, tag=93):
    process: str
    reason: str


class Exited(Event, frozen=True, tag=94):
    """`status`: the exit status, or minus the signal's number."""

    process: str
    pid: int
    status: int


class EpochSaved(Event, frozen=True, tag=95):
    epoch: int


class Ready(Event, frozen=True, tag=96):
    """A launched process said that it is ready to serve (SX07)."""

    process: str


AnyEvent = (
    Started
    | ClockJumped
    | StopRequested
    | Reconfigured
    | Listening
    | Accepted
    | Connected
    | ConnectFailed
    | Received
    | Drained
    | TlsStarted
    | PeerClosed
    | Linked
    | Unlinked
    | Told
    | SegmentOpened
    | OpenFailed
    | DirectorySynced
    | AppendFailed
    | Synced
    | SyncFailed
    | Listed
    | Scanned
    | Readout
    | ReadFailed
    | SpaceMeasured
    | Stored
    | Fetched
    | Found
    | Counted
    | Deposited
    | DepositFailed
    | Answered
    | LookedUp
    | MapLoaded
    | Expired
    | Bound
    | BindFailed
    | Launched
    | LaunchFailed
    | Exited
    | EpochSaved
    | Ready
)
