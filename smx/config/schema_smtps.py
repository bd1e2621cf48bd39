"""Settings of SMTPS, the SMTP server. A file may hold several, each with a name of its own (SX40)."""

from typing import Final

from msgspec import Struct

from smx.config.option import Kind, Option, Section
from smx.limits import RECIPIENTS_CEILING
from smx.units import DAY, GIB, HOUR, KIB, MIB, MINUTE, SECOND

EXTENSIONS: Final = ("chunking", "dsn", "smtputf8")  # those that can be turned off; the others are always offered


class ListenSocket(Struct, frozen=True, gc=False, array_like=True, tag=21, tag_field="struct"):
    """One socket to listen on. type is inet, inet6 or unix; address and port belong to the first two, path (absolute) to the last."""

    type: str = "inet"
    address: str = "127.0.0.1"
    port: int = 25
    path: str = ""
    backlog: int = 512


class ClientLimits(Struct, frozen=True, gc=False, array_like=True, tag=22):
    """Limits for each client address (SX22); 0 is no limit. connections_max counts the sessions of one process."""

    connections_max: int = 100
    rate_max: int = 0
    rate_interval_us: int = MINUTE


class TlsSettings(Struct, frozen=True, gc=False, array_like=True, tag=23):
    """Certificate and key, PEM, absolute paths. An empty certificate means that STARTTLS is not offered; an empty key that it is in the same file."""

    certificate: str = ""
    key: str = ""


class SmtpsSettings(Struct, frozen=True, gc=False, array_like=True, tag=20):
    """All of one section smtps NAME. spool and postmaster are copies of the top's; name is NAME; the process is called smtps.NAME."""

    name: str = "mx"
    hostname: str = "localhost"
    spool: str = "/var/spool/smx"
    postmaster: str = "postmaster@localhost"
    listen_socket: tuple[ListenSocket, ...] = ()
    processes: int = 1
    protocol: str = "smtp"
    io_timeout_us: int = 5 * MINUTE
    greeting: str = "smx"
    extensions: tuple[str, ...] = EXTENSIONS
    message_size_max_octets: int = 50 * MIB
    recipients_max: int = 1000
    transactions_max: int = 10_000
    sessions_max: int = 1000
    errors_max: int = 20
    client: ClientLimits = ClientLimits()
    content_memory_max_octets: int = 256 * KIB
    content_memory_budget_octets: int = 64 * MIB
    cdb_segment_octets: int = 16 * MIB
    tls: TlsSettings = TlsSettings()
    relay_from: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    user: str = ""
    start_action: str = "pass"
    restart_dependencies: tuple[str, ...] = ()


SECTIONS: Final = (
    Section("smtps", SmtpsSettings, "smtps", "an SMTP server; there may be several, with different names", named=True, repeated=True, process=True),
    Section("smtps.listen_socket", ListenSocket, "listen_socket", "a socket to listen on; there may be several", repeated=True),
    Section("smtps.client", ClientLimits, "client", "limits for each client address"),
    Section("smtps.tls", TlsSettings, "tls", "certificate for STARTTLS; without it STARTTLS is not offered"),
)

OPTIONS: Final = (
    Option("smtps", "hostname", Kind.DOMAIN, "name in the greeting and in Received fields", derived="hostname of the top"),
    Option("smtps", "processes", Kind.INTEGER, "processes that share the sockets; one a core is enough", 1, 64),
    Option("smtps", "protocol", Kind.CHOICE, "what is spoken on the sockets", choices=("smtp", "lmtp")),
    Option("smtps", "io_timeout", Kind.TIME, "a client that is silent for so long gets 421 (RFC 5321 4.5.3.2.7: at least 5 minutes)", SECOND, DAY),
    Option("smtps", "greeting", Kind.TEXT, "text behind hostname and protocol in the 220 greeting"),
    Option(
        "smtps",
        "extensions",
        Kind.FLAGS,
        "which of these EHLO offers, besides PIPELINING, SIZE, 8BITMIME, ENHANCEDSTATUSCODES and HELP; dont_NAME takes one away",
        choices=EXTENSIONS,
    ),
    Option("smtps", "message_size_max", Kind.SIZE, "largest message (RFC 1870)", 64 * KIB, 4 * GIB),
    Option("smtps", "recipients_max", Kind.INTEGER, "most recipients of a message (RFC 5321 4.5.3.1.8: at least 100)", 1, RECIPIENTS_CEILING),
    Option("smtps", "transactions_max", Kind.INTEGER, "most transactions in one session", 1, 1_000_000),
    Option("smtps", "sessions_max", Kind.INTEGER, "most sessions of one process; more get 421", 1, 100_000),
    Option("smtps", "errors_max", Kind.INTEGER, "bad commands in one session before it is closed with 421", 1, 10_000),
    Option(
        "smtps",
        "content_memory_max",
        Kind.SIZE,
        "a message up to this size is kept in memory until it is complete; a larger one streams to disk",
        KIB,
        64 * MIB,
    ),
    Option("smtps", "content_memory_budget", Kind.SIZE, "memory for such messages, for all sessions of one process", 64 * KIB, 64 * GIB),
    Option("smtps", "cdb_segment_octets", Kind.SIZE, "size of one segment of the content store", 64 * KIB, 4 * GIB),
    Option("smtps", "relay_from", Kind.NETWORK, "clients that may send to any domain", many=True),
    Option("smtps", "user", Kind.NAME, "account under which the process runs (only when smx is started by root)", derived="the user who started smx"),
    Option(
        "smtps",
        "start_action",
        Kind.CHOICE,
        "pass = MCP starts the next section at once; wait = only when these processes are ready. MCP binds the sockets and hands them over in both cases",
        choices=("pass", "wait"),
    ),
    Option("smtps", "restart_dependencies", Kind.PROCESS, "processes that restart when this one had to be restarted", many=True),
    Option("smtps.listen_socket", "type", Kind.CHOICE, "family of the socket", choices=("inet", "inet6", "unix")),
    Option("smtps.listen_socket", "address", Kind.ADDRESS, "address to listen on; 0.0.0.0 or :: is every one"),
    Option("smtps.listen_socket", "port", Kind.INTEGER, "TCP port; below 1024 only root may bind it", 1, 65535, zero="any free port"),
    Option("smtps.listen_socket", "path", Kind.PATH, "path of the socket, for type unix"),
    Option("smtps.listen_socket", "backlog", Kind.INTEGER, "connections the kernel keeps waiting", 1, 65535),
    Option("smtps.client", "connections_max", Kind.INTEGER, "most connections of one client address at a time; more get 421", 1, 100_000, zero="no limit"),
    Option(
        "smtps.client", "rate_max", Kind.INTEGER, "most new connections of one client address in rate_interval; more get 421", 1, 1_000_000, zero="no limit"
    ),
    Option("smtps.client", "rate_interval", Kind.TIME, "the interval of rate_max", SECOND, HOUR),
    Option("smtps.tls", "certificate", Kind.PATH, "PEM file with the certificate chain (and the key, if key is not given)"),
    Option("smtps.tls", "key", Kind.PATH, "PEM file with the private key", derived="certificate"),
)
