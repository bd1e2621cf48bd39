"""Effects: what a component orders its runtime to do (architecture 1). Imperative; carried out in order, not atomically.

A crash may fall between any two effects. Names used below:

    connection  an integer: positive ones are the runtime's (accepted), negative ones the component's (Connect)
    store       a family of append-only segment files in one directory: "ibdb" (QMGR), "cdb" (every content writer)
    segment     the number of a segment file, unique in its store
    request     an integer chosen by the component, returned in the completion
    host, port  an IP address and port, or the path of a UNIX socket (it begins with `/`) and port 0
    at          `now` in microseconds

What completes what is said at each effect; an effect without completion cannot fail, or fails by ending the process.
"""

from typing import Any

import msgspec

from smx.messages import AnyMessage, Value


class Effect(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An order to the runtime."""


# --- network ------------------------------------------------------------------------------------------------------


class Accept(Effect, frozen=True, tag=1):
    """Start or stop accepting on a bound listener. -> Accepted, repeatedly. While off, the kernel's backlog fills."""

    listener: str
    on: bool


class Connect(Effect, frozen=True, tag=2):
    """Open a connection. -> Connected | ConnectFailed. The time-out is the component's timer, then Close."""

    connection: int
    host: str
    port: int
    source: str = ""


class Transmit(Effect, frozen=True, tag=3):
    """Send octets. When the runtime's buffer had passed its high-water mark: -> Drained once it is low again.

    Nothing is lost by sending on before Drained, but memory is bounded only by the component's patience (I16).
    """

    connection: int
    data: bytes


class Pause(Effect, frozen=True, tag=4):
    """Read no more from the connection: the peer is held back by TCP. Octets already read may still arrive as one event."""

    connection: int


class Resume(Effect, frozen=True, tag=5):
    connection: int


class StartTls(Effect, frozen=True, tag=6):
    """Begin a handshake now. -> TlsStarted. Octets received but not yet delivered are dropped by the runtime (F34).

    `context` names a TLS context made from the settings at start ("server:NAME" or "client").
    """

    connection: int
    server_side: bool
    context: str
    server_name: str = ""


class Close(Effect, frozen=True, tag=7):
    """Close after what was transmitted has been sent; `abort`: at once. After it no event of this connection arrives."""

    connection: int
    abort: bool = False


# --- processes ------------------------------------------------------------------------------------------------------


class Tell(Effect, frozen=True, tag=10):
    """Send a message to a linked process; dropped when there is no link (Unlinked was or will be said). FIFO a link."""

    process: str
    message: AnyMessage


class Halt(Effect, frozen=True, tag=11):
    """End the process; nothing after this is carried out."""

    reason: str


# --- segments (IBDB, CDB) ----------------------------------------------------------------------------------------------


class OpenSegment(Effect, frozen=True, tag=20):
    """Create a segment and preallocate it (A10). -> SegmentOpened | OpenFailed. Its name is durable after SyncDirectory."""

    store: str
    segment: int
    octets: int


class SyncDirectory(Effect, frozen=True, tag=21):
    """Make the names in the store durable. -> DirectorySynced | SyncFailed."""

    store: str
    token: int


class Append(Effect, frozen=True, tag=22):
    """Write at `offset`, now. Silent when it succeeds; -> AppendFailed. Ordered with later effects of this component."""

    store: str
    segment: int
    offset: int
    data: bytes


class Sync(Effect, frozen=True, tag=23):
    """Make all octets appended to these segments before this effect durable. -> Synced | SyncFailed.

    Syncs of one store are carried out one after the other, in order (the component keeps at most one outstanding per log).
    """

    store: str
    segments: tuple[int, ...]
    token: int


class Seal(Effect, frozen=True, tag=24):
    """No more appends: cut the preallocated tail at `octets` and close."""

    store: str
    segment: int
    octets: int


class Remove(Effect, frozen=True, tag=25):
    """Unlink a segment; removing one that is gone already is no error."""

    store: str
    segment: int


class ListStore(Effect, frozen=True, tag=26):
    """-> Listed: every segment of the store with its size."""

    store: str
    request: int


class Scan(Effect, frozen=True, tag=27):
    """Read a stretch of a segment for recovery. -> Scanned | ReadFailed. `octets` at most 1 MiB."""

    store: str
    request: int
    segment: int
    offset: int
    octets: int


class Read(Effect, frozen=True, tag=28):
    """Read content. -> Readout | ReadFailed. `octets` at most CONTENT_CHUNK_OCTETS."""

    store: str
    request: int
    segment: int
    offset: int
    octets: int


class MeasureSpace(Effect, frozen=True, tag=29):
    """-> SpaceMeasured: octets free for us on the store's file system."""

    store: str
    request: int


# --- DEFEDB ----------------------------------------------------------------------------------------------------------------


class Row(Value, frozen=True):
    """A deferred or held recipient. Rows are keyed by (transaction, index); `envelope` and `recipient` are opaque here.

    `next_try` is a stamp; `state` 0 deferred, 1 held, 2 quarantined. `segment`: that of the content, for reference counts.
    """

    transaction: int
    index: int
    attempt: int
    next_try: int
    state: int
    destination: str
    segment: int
    envelope: bytes
    recipient: bytes


class Store(Effect, frozen=True, tag=40):
    """One durable commit: upsert `rows`, delete `gone` = ((transaction, index), ...). -> Stored."""

    request: int
    rows: tuple[Row, ...]
    gone: tuple[tuple[int, int], ...] = ()


class Fetch(Effect, frozen=True, tag=41):
    """Deferred rows with next_try <= until, soonest first, at most `limit`, after the given key. -> Fetched."""

    request: int
    until: int
    limit: int
    after_next_try: int = -1
    after_transaction: int = 0
    after_index: int = -1


class Find(Effect, frozen=True, tag=42):
    """Rows in order of key after the given one: of the given transactions, or all when that is empty. -> Found.

    `segment`: only rows whose content is in it; 0: in any.
    """

    request: int
    transactions: tuple[int, ...] = ()
    state: int = -1
    after_transaction: int = 0
    after_index: int = -1
    limit: int = 1000
    segment: int = 0


class Census(Effect, frozen=True, tag=43):
    """-> Counted: rows a content segment, rows in all."""

    request: int


# --- Maildir -------------------------------------------------------------------------------------------------------------------


class OpenDeposit(Effect, frozen=True, tag=50):
    """Begin a message in `directory`/tmp/`name` (the Maildir is made when missing). Failures are said at the end."""

    deposit: int
    directory: str
    name: str
    create: bool = True  # False: a Maildir that does not exist is DepositFailed(missing)


class WriteDeposit(Effect, frozen=True, tag=51):
    deposit: int
    data: bytes


class CommitDeposit(Effect, frozen=True, tag=52):
    """Sync the file, rename it into new/, sync the directory. -> Deposited | DepositFailed."""

    deposit: int


class DropDeposit(Effect, frozen=True, tag=53):
    """Forget it and remove the file in tmp/."""

    deposit: int


# --- names ------------------------------------------------------------------------------------------------------------------------


class Query(Effect, frozen=True, tag=60):
    """Ask the DNS. `rrtype` is A, AAAA, MX, PTR or TXT; `name` without a trailing dot, in ASCII. -> Answered."""

    request: int
    name: str
    rrtype: str


class Lookup(Effect, frozen=True, tag=61):
    """Ask a map. -> LookedUp."""

    request: int
    map: str
    key: str


class LoadMap(Effect, frozen=True, tag=62):
    """Load a map that is kept whole in memory, and again whenever its source changes. -> MapLoaded, repeatedly."""

    map: str


# --- time -----------------------------------------------------------------------------------------------------------------------------


class Arm(Effect, frozen=True, tag=70):
    """-> Expired(timer, of) at or after `at`. Replaces an earlier Arm of the same (timer, of)."""

    timer: str
    of: int
    at: int


class Disarm(Effect, frozen=True, tag=71):
    timer: str
    of: int


# --- supervision (MCP) --------------------------------------------------------------------------------------------------------------------


class Bind(Effect, frozen=True, tag=80):
    """Bind and listen. -> Bound | BindFailed. `mode`: of a UNIX socket."""

    listener: str
    host: str
    port: int
    mode: int = 0


class Launch(Effect, frozen=True, tag=81):
    """Start a process of this `kind` under a `user` ("" = the caller's), handing it the sockets. -> Launched | LaunchFailed."""

    process: str
    kind: str
    epoch: int
    user: str
    listeners: tuple[str, ...]


class Signal(Effect, frozen=True, tag=82):
    """`signal`: "term" or "kill". The end itself is said by Exited."""

    process: str
    signal: str


class SaveEpoch(Effect, frozen=True, tag=83):
    """Make the last given epoch durable. -> EpochSaved. Nothing is launched before (A11)."""

    epoch: int


# --- notes --------------------------------------------------------------------------------------------------------------------------------------


class Note(Effect, frozen=True, tag=90):
    """A line of the event log. `name` and the number of `values` stand in the table of `smx.notes`."""

    name: str
    values: tuple[Any, ...]  # int, str or bytes; msgspec has no union of the two texts, MessagePack tells them apart


AnyEffect = (
    Accept
    | Connect
    | Transmit
    | Pause
    | Resume
    | StartTls
    | Close
    | Tell
    | Halt
    | OpenSegment
    | SyncDirectory
    | Append
    | Sync
    | Seal
    | Remove
    | ListStore
    | Scan
    | Read
    | MeasureSpace
    | Store
    | Fetch
    | Find
    | Census
    | OpenDeposit
    | WriteDeposit
    | CommitDeposit
    | DropDeposit
    | Query
    | Lookup
    | LoadMap
    | Arm
    | Disarm
    | Bind
    | Launch
    | Signal
    | SaveEpoch
    | Note
)
