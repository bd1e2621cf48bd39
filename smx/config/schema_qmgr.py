"""Settings of QMGR, the queue manager: sizes of its stores, scheduling, retry, throttling."""

from typing import Final

from msgspec import Struct

from smx.config.option import Kind, Option, Section
from smx.units import DAY, GIB, HOUR, KIB, MIB, MINUTE, SECOND


class QmgrSmtpcSettings(Struct, frozen=True, gc=False, array_like=True, tag=11):
    """How much QMGR asks of the SMTP clients: slow start (SX20) and the size of a delivery (SX19)."""

    initial_connections: int = 5
    max_connections: int = 100
    recipients_max: int = 100
    deliveries_max: int = 1000


class RetrySettings(Struct, frozen=True, gc=False, array_like=True, tag=12):
    """When a deferred recipient is tried again (SX26, RFC 5321 4.5.4.1)."""

    min_us: int = 5 * MINUTE
    max_us: int = 4 * HOUR
    give_up_us: int = 5 * DAY
    warn_us: int = 4 * HOUR
    attempts_min: int = 2
    jitter_percent: int = 10
    dead_min_us: int = MINUTE
    dead_max_us: int = HOUR


class ThrottleSettings(Struct, frozen=True, gc=False, array_like=True, tag=13):
    """When QMGR slows SMTPS down (SX23, A8): by the rate of spilling, disk space and descriptors, not by the length of the queue."""

    spill_rate_max: int = 2000
    slow_free_octets: int = 128 * MIB
    descriptors_min: int = 64


class QmgrSettings(Struct, frozen=True, gc=False, array_like=True, tag=10):
    """All of section qmgr. hostname, spool and postmaster are copies of the top's."""

    hostname: str = "localhost"
    spool: str = "/var/spool/smx"
    postmaster: str = "postmaster@localhost"
    aq_max_entries: int = 8192
    aq_new_share_percent: int = 40
    aq_deferred_share_percent: int = 40
    iqdb_max_entries: int = 65536
    edbc_max_entries: int = 16384
    cut_through_us: int = SECOND
    cut_through_recipients_max: int = 5
    min_free_octets: int = 64 * MIB
    ibdb_segment_octets: int = 16 * MIB
    ibdb_segments_max: int = 64
    cdb_segment_octets: int = 4 * MIB
    spill_batch: int = 256
    double_bounce_to: str = "postmaster@localhost"
    smtpc: QmgrSmtpcSettings = QmgrSmtpcSettings()
    retry: RetrySettings = RetrySettings()
    throttle: ThrottleSettings = ThrottleSettings()
    user: str = ""
    start_action: str = "wait"
    restart_dependencies: tuple[str, ...] = ("smtps", "smtpc", "smar")
    cdb_waste_max_octets: int = 64 * MIB


SECTIONS: Final = (
    Section("qmgr", QmgrSettings, "qmgr", "the queue manager: owns every envelope, schedules deliveries", process=True),
    Section("qmgr.smtpc", QmgrSmtpcSettings, "smtpc", "how many connections and recipients QMGR asks of the SMTP clients"),
    Section("qmgr.retry", RetrySettings, "retry", "when deferred mail is tried again, and when it is given up"),
    Section("qmgr.throttle", ThrottleSettings, "throttle", "when the SMTP servers are slowed down"),
)

OPTIONS: Final = (
    Option("qmgr", "aq_max_entries", Kind.INTEGER, "most recipients in the active queue; the rest waits on disk", 16, 10_000_000),
    Option("qmgr", "aq_new_share_percent", Kind.INTEGER, "percent of the active queue kept for new mail", 1, 99),
    Option("qmgr", "aq_deferred_share_percent", Kind.INTEGER, "percent of the active queue kept for deferred mail", 1, 99),
    Option("qmgr", "iqdb_max_entries", Kind.INTEGER, "most recipients of incoming mail in memory; above it new mail has to wait", 16, 10_000_000),
    Option("qmgr", "edbc_max_entries", Kind.INTEGER, "most entries in the cache of the soonest deferred recipients", 16, 10_000_000),
    Option("qmgr", "cut_through", Kind.TIME, "how long the reply may wait for a delivery that makes storing unnecessary", 0, MINUTE, zero="always store first"),
    Option("qmgr", "cut_through_recipients_max", Kind.INTEGER, "most recipients of a message that may be delivered before it is stored", 1, 1000),
    Option("qmgr", "min_free", Kind.SIZE, "new mail is refused (452) when the spool's disk has less free space", 0, 1024 * GIB),
    Option("qmgr", "ibdb_segment_octets", Kind.SIZE, "size of one segment of the envelope log", 64 * KIB, GIB),
    Option("qmgr", "ibdb_segments_max", Kind.INTEGER, "an open record older than so many segments is copied forward, so that old segments can go", 2, 10_000),
    Option("qmgr", "cdb_segment_octets", Kind.SIZE, "size of one content segment for the notifications QMGR writes", 64 * KIB, 4 * GIB),
    Option("qmgr", "cdb_waste_max", Kind.SIZE, "content on disk beyond twice what is needed; above it, what is needed is copied together", 0, 1024 * GIB),
    Option("qmgr", "spill_batch", Kind.INTEGER, "recipients moved to disk in one transaction when the active queue is full", 1, 100_000),
    Option("qmgr", "double_bounce_to", Kind.MAILBOX, "who gets the notice when a notification itself cannot be delivered", derived="postmaster"),
    Option("qmgr", "user", Kind.NAME, "account under which the process runs (only when smx is started by root)", derived="the user who started smx"),
    Option("qmgr", "start_action", Kind.CHOICE, "what MCP does at the start: wait = start it with the others", choices=("wait",)),
    Option("qmgr", "restart_dependencies", Kind.PROCESS, "processes that restart when this one had to be restarted", many=True),
    Option("qmgr.smtpc", "initial_connections", Kind.INTEGER, "connections to one destination at first; each success allows more", 1, 10_000),
    Option("qmgr.smtpc", "max_connections", Kind.INTEGER, "most connections to one destination at a time", 1, 10_000),
    Option("qmgr.smtpc", "recipients_max", Kind.INTEGER, "most recipients in one outgoing transaction", 1, 10_000),
    Option("qmgr.smtpc", "deliveries_max", Kind.INTEGER, "most deliveries under way at a time, to all destinations", 1, 100_000),
    Option("qmgr.retry", "min", Kind.TIME, "wait after the first failed attempt; it doubles with each further one", SECOND, DAY),
    Option("qmgr.retry", "max", Kind.TIME, "longest wait between two attempts", SECOND, 7 * DAY),
    Option("qmgr.retry", "give_up", Kind.TIME, "age at which undelivered mail is returned to its sender", SECOND, 60 * DAY),
    Option("qmgr.retry", "warn", Kind.TIME, "age at which the sender is told that mail is delayed", SECOND, 60 * DAY, zero="never tell"),
    Option("qmgr.retry", "attempts_min", Kind.INTEGER, "mail is not given up before so many attempts, whatever the clock says", 1, 100),
    Option("qmgr.retry", "jitter_percent", Kind.INTEGER, "each wait is spread by up to so many percent, so that retries do not come in a herd", 0, 50),
    Option("qmgr.retry", "dead_min", Kind.TIME, "first wait before a destination that does not answer is tried at all", SECOND, DAY),
    Option("qmgr.retry", "dead_max", Kind.TIME, "longest wait before a destination that does not answer is tried again", SECOND, 7 * DAY),
    Option(
        "qmgr.throttle",
        "spill_rate_max",
        Kind.INTEGER,
        "recipients a second that may overflow to disk before SMTPS is slowed down",
        1,
        10_000_000,
        zero="no limit",
    ),
    Option("qmgr.throttle", "slow_free", Kind.SIZE, "SMTPS is slowed down when the spool's disk has less free space", 0, 1024 * GIB),
    Option("qmgr.throttle", "descriptors_min", Kind.INTEGER, "SMTPS is slowed down when fewer file descriptors are left", 0, 1_000_000),
)
