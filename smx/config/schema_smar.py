"""Settings of SMAR, the address resolver: name servers, domains, users, aliases, mailer table, maps."""

from typing import Final

from msgspec import Struct

from smx.config.option import Kind, Option, Section
from smx.units import DAY, HOUR, MILLISECOND, MINUTE, SECOND

ALIAS_FLAGS: Final = ("local_domains", "localpart")
MAP_TYPES: Final = ("inline", "file", "passwd")


class MailerEntry(Struct, frozen=True, gc=False, array_like=True, tag=31):
    """One row of the mailer table, already taken apart (SX52; smx.config.mailer parses it).

    pattern: "example.org" exactly, ".example.org" everything below it, "*" everything. Exact wins, then the longest suffix, then "*".
    kind     host, port, path, code, text
    host     host (domain or IP address without brackets) and port: no MX look-up
    mx       host and port: the MX of host instead of those of the domain
    lmtp     host and port, or path of a UNIX socket
    local    the LMTP socket of smar.lmtp_socket
    error    code ("5.1.1", its first digit decides 4yz or 5yz) and text
    """

    pattern: str
    kind: str
    host: str = ""
    port: int = 0
    path: str = ""
    code: str = ""
    text: str = ""


class MapSettings(Struct, frozen=True, gc=False, array_like=True, tag=32, tag_field="struct"):
    """One map (SX47). inline: entries; file: text, `key value` a line; passwd: the user names of a passwd(5) file. Keys fold case."""

    name: str = ""
    type: str = "inline"
    file: str = ""
    entries: tuple[tuple[str, str], ...] = ()


class AliasesSettings(Struct, frozen=True, gc=False, array_like=True, tag=33):
    """The aliases file (SX50): `name: target, target`; an empty file name is no aliases.

    flags localpart: keys without domain are looked up; local_domains: only for recipients in local_domains (else keys name@domain apply to all).
    """

    file: str = ""
    flags: tuple[str, ...] = ALIAS_FLAGS


class DnsCacheSettings(Struct, frozen=True, gc=False, array_like=True, tag=34):
    """Bounds of the cache of DNS answers."""

    entries_max: int = 20_000
    ttl_min_us: int = 5 * SECOND
    ttl_max_us: int = DAY
    negative_ttl_us: int = 5 * MINUTE


class SmarSettings(Struct, frozen=True, gc=False, array_like=True, tag=30):
    """All of section smar. hostname, spool and postmaster are copies of the top's.

    own_addresses: (address, port) of each listen_socket, by which an MX record under another name is known to lead back here (SX46).
    """

    hostname: str = "localhost"
    spool: str = "/var/spool/smx"
    postmaster: str = "postmaster@localhost"
    nameserver: tuple[tuple[str, int], ...] = ()
    dns_timeout_us: int = 6 * SECOND
    dns_retries: int = 2
    dns_cache: DnsCacheSettings = DnsCacheSettings()
    smtp_port: int = 25
    local_domains: tuple[str, ...] = ()
    relay_domains: tuple[str, ...] = ()
    local_user_map: str = ""
    aliases: AliasesSettings = AliasesSettings()
    mailertable: tuple[MailerEntry, ...] = ()
    map: tuple[MapSettings, ...] = ()
    recipient_delimiter: str = "+"
    lmtp_socket: str = "/var/spool/smx/run/lda"
    questions_max: int = 10_000
    user: str = ""
    start_action: str = "wait"
    restart_dependencies: tuple[str, ...] = ()
    own_addresses: tuple[tuple[str, int], ...] = ()


SECTIONS: Final = (
    Section("smar", SmarSettings, "smar", "the address resolver: which recipients are valid, and where mail goes", process=True),
    Section("smar.dns_cache", DnsCacheSettings, "dns_cache", "bounds of the cache of DNS answers"),
    Section("smar.aliases", AliasesSettings, "aliases", "other names for local recipients"),
    Section("smar.map", MapSettings, "map", "a table that other options name; there may be several", named=True, repeated=True),
)

OPTIONS: Final = (
    Option("smar", "nameserver", Kind.ENDPOINT, "DNS servers, asked in this order; port 53 unless given", many=True, derived="those of /etc/resolv.conf"),
    Option("smar", "dns_timeout", Kind.TIME, "how long one DNS question may take", 10 * MILLISECOND, 5 * MINUTE),
    Option("smar", "dns_retries", Kind.INTEGER, "how often a question is asked again when no server answered", 0, 10),
    Option("smar", "smtp_port", Kind.INTEGER, "port of MX hosts; anything but 25 is for a laboratory", 1, 65535),
    Option("smar", "local_domains", Kind.LOCAL_DOMAIN, "domains, or literals like [192.0.2.1], whose mail is delivered here", many=True, derived="hostname"),
    Option("smar", "relay_domains", Kind.RELAY_DOMAIN, "domains whose mail is taken from anybody and sent on; .a.example: all below it", many=True),
    Option("smar", "local_user_map", Kind.NAME, "map of the valid local parts; others get 550 at RCPT", derived="every local part is valid"),
    Option("smar", "mailertable", Kind.MAILERS, "routes that override the MX records"),
    Option("smar", "recipient_delimiter", Kind.TEXT, "user+detail is delivered to user; an empty text turns it off"),
    Option("smar", "lmtp_socket", Kind.PATH, "UNIX socket of the LMTP server that delivers local mail", derived="socket of the lda"),
    Option("smar", "questions_max", Kind.INTEGER, "most questions under way; more get a temporary failure", 16, 1_000_000),
    Option("smar", "user", Kind.NAME, "account under which the process runs (only when smx is started by root)", derived="the user who started smx"),
    Option("smar", "start_action", Kind.CHOICE, "what MCP does at the start: wait = start it with the others", choices=("wait",)),
    Option("smar", "restart_dependencies", Kind.PROCESS, "processes that restart when this one had to be restarted", many=True),
    Option("smar.dns_cache", "entries_max", Kind.INTEGER, "most answers kept", 16, 10_000_000),
    Option("smar.dns_cache", "ttl_min", Kind.TIME, "an answer is kept at least so long", 0, HOUR),
    Option("smar.dns_cache", "ttl_max", Kind.TIME, "an answer is kept at most so long", SECOND, 7 * DAY),
    Option("smar.dns_cache", "negative_ttl", Kind.TIME, "the answer that a name does not exist is kept at most so long", 0, DAY),
    Option("smar.aliases", "file", Kind.PATH, "file with `name: target, target` lines"),
    Option(
        "smar.aliases", "flags", Kind.FLAGS, "localpart = look up the part before the @ alone; local_domains = only for local recipients", choices=ALIAS_FLAGS
    ),
    Option(
        "smar.map", "type", Kind.CHOICE, "inline = the entries stand here; file = `key value` lines; passwd = user names of a passwd file", choices=MAP_TYPES
    ),
    Option("smar.map", "file", Kind.PATH, "file of the types file and passwd"),
    Option("smar.map", "entries", Kind.PAIRS, "entries of the type inline"),
)
