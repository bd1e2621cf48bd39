"""Settings of SMTPC, the SMTP client: time-outs, sessions, TLS."""

from typing import Final

from msgspec import Struct

from smx.config.option import Kind, Option, Section
from smx.units import DAY, HOUR, MINUTE, SECOND


class ClientTimeouts(Struct, frozen=True, gc=False, array_like=True, tag=41):
    """How long each step of a dialogue may take; the defaults are the minima of RFC 5321 4.5.3.2 (connect and quit are not in it)."""

    connect_us: int = 30 * SECOND
    greeting_us: int = 5 * MINUTE
    helo_us: int = 5 * MINUTE
    mail_us: int = 5 * MINUTE
    rcpt_us: int = 5 * MINUTE
    data_us: int = 2 * MINUTE
    block_us: int = 3 * MINUTE
    dot_us: int = 10 * MINUTE
    quit_us: int = 5 * SECOND


class SmtpcSettings(Struct, frozen=True, gc=False, array_like=True, tag=40):
    """All of section smtpc. hostname and spool are copies of the top's."""

    hostname: str = "localhost"
    spool: str = "/var/spool/smx"
    processes: int = 1
    helo: str = "localhost"
    tls: bool = True
    timeouts: ClientTimeouts = ClientTimeouts()
    idle_keep_us: int = 10 * SECOND
    transactions_max: int = 100
    sessions_max: int = 500
    bind_inet: str = ""
    bind_inet6: str = ""
    ipv6: bool = True
    user: str = ""
    start_action: str = "wait"
    restart_dependencies: tuple[str, ...] = ()


SECTIONS: Final = (
    Section("smtpc", SmtpcSettings, "smtpc", "the SMTP client: delivers to other hosts, by SMTP or LMTP", process=True),
    Section("smtpc.timeouts", ClientTimeouts, "timeouts", "how long each step of an outgoing dialogue may take (RFC 5321 4.5.3.2)"),
)

OPTIONS: Final = (
    Option("smtpc", "processes", Kind.INTEGER, "processes that share the deliveries", 0, 64, zero="mail is taken and queued, nothing is delivered"),
    Option("smtpc", "helo", Kind.DOMAIN, "name given in EHLO", derived="hostname of the top"),
    Option("smtpc", "tls", Kind.BOOLEAN, "use STARTTLS when the server offers it, without checking the certificate"),
    Option("smtpc", "idle_keep", Kind.TIME, "an open session is kept so long for the next delivery to the same host", 0, 5 * MINUTE, zero="close at once"),
    Option("smtpc", "transactions_max", Kind.INTEGER, "most transactions in one outgoing session", 1, 100_000),
    Option("smtpc", "sessions_max", Kind.INTEGER, "most outgoing sessions of one process", 1, 100_000),
    Option("smtpc", "bind_inet", Kind.ADDRESS, "IPv4 address to connect from", derived="the kernel's choice"),
    Option("smtpc", "bind_inet6", Kind.ADDRESS, "IPv6 address to connect from", derived="the kernel's choice"),
    Option("smtpc", "ipv6", Kind.BOOLEAN, "connect to IPv6 addresses as well"),
    Option("smtpc", "user", Kind.NAME, "account under which the process runs (only when smx is started by root)", derived="the user who started smx"),
    Option("smtpc", "start_action", Kind.CHOICE, "what MCP does at the start: wait = start it with the others", choices=("wait",)),
    Option("smtpc", "restart_dependencies", Kind.PROCESS, "processes that restart when this one had to be restarted", many=True),
    Option("smtpc.timeouts", "connect", Kind.TIME, "until the connection is there", SECOND, HOUR),
    Option("smtpc.timeouts", "greeting", Kind.TIME, "until the 220 greeting", SECOND, HOUR),
    Option("smtpc.timeouts", "helo", Kind.TIME, "until the reply to EHLO, HELO or LHLO", SECOND, HOUR),
    Option("smtpc.timeouts", "mail", Kind.TIME, "until the reply to MAIL", SECOND, HOUR),
    Option("smtpc.timeouts", "rcpt", Kind.TIME, "until the reply to RCPT", SECOND, HOUR),
    Option("smtpc.timeouts", "data", Kind.TIME, "until the reply to DATA", SECOND, HOUR),
    Option("smtpc.timeouts", "block", Kind.TIME, "until the peer took a block of the content", SECOND, HOUR),
    Option("smtpc.timeouts", "dot", Kind.TIME, "until the reply to the end of the content", SECOND, DAY),
    Option("smtpc.timeouts", "quit", Kind.TIME, "until the reply to QUIT", SECOND, HOUR),
)
