"""The settings of all processes: the top Struct, the tables of all sections and options, and where the parts of the spool lie.

The Structs are plain and frozen, so that MCP can hand each child its own part as MessagePack. Times are integer microseconds (names end with
_us), sizes octets (names end with _octets), paths absolute. Each part lives in its own file; this one joins them, so that everybody imports
from here. The option in the file has the name of the field without the unit, which stands in the value there: `min = 5m;`.
"""

from typing import Final

from msgspec import Struct

from smx.config import schema_lda, schema_mcp, schema_qmgr, schema_smar, schema_smtpc, schema_smtps
from smx.config.option import Kind, Option, Section, default_of
from smx.config.schema_lda import LdaSettings
from smx.config.schema_mcp import LEVELS, LogSettings, McpSettings
from smx.config.schema_qmgr import QmgrSettings, QmgrSmtpcSettings, RetrySettings, ThrottleSettings
from smx.config.schema_smar import AliasesSettings, DnsCacheSettings, MailerEntry, MapSettings, SmarSettings
from smx.config.schema_smtpc import ClientTimeouts, SmtpcSettings
from smx.config.schema_smtps import EXTENSIONS, ClientLimits, ListenSocket, SmtpsSettings, TlsSettings

__all__ = [
    "EXTENSIONS",
    "LEVELS",
    "OPTIONS",
    "SECTIONS",
    "AliasesSettings",
    "ClientLimits",
    "ClientTimeouts",
    "DnsCacheSettings",
    "Kind",
    "LdaSettings",
    "ListenSocket",
    "LogSettings",
    "MailerEntry",
    "MapSettings",
    "McpSettings",
    "Option",
    "ProcessSettings",
    "QmgrSettings",
    "QmgrSmtpcSettings",
    "RetrySettings",
    "Section",
    "Settings",
    "SmarSettings",
    "SmtpcSettings",
    "SmtpsSettings",
    "ThrottleSettings",
    "TlsSettings",
    "default_of",
    "kind_of_process",
    "process_settings",
    "spool_path",
]

ProcessSettings = QmgrSettings | SmtpsSettings | SmarSettings | SmtpcSettings | LdaSettings


class Settings(Struct, frozen=True, gc=False, array_like=True, tag=1):
    """Everything one configuration says.

    order: the processes of the file in its order ("smtps.mx", "qmgr", ...); they start in reverse order and stop in this one (SX06).
    A process that is not in order has no section in the file and does not run; its Struct then holds the defaults.
    """

    hostname: str = "localhost"
    spool: str = "/var/spool/smx"
    postmaster: str = "postmaster@localhost"
    log: LogSettings = LogSettings()
    mcp: McpSettings = McpSettings()
    qmgr: QmgrSettings = QmgrSettings()
    smtps: tuple[SmtpsSettings, ...] = ()
    smar: SmarSettings = SmarSettings()
    smtpc: SmtpcSettings = SmtpcSettings()
    lda: LdaSettings = LdaSettings()
    order: tuple[str, ...] = ()


SECTIONS: Final[tuple[Section, ...]] = (
    Section("", Settings, "", "the whole file"),
    *schema_mcp.SECTIONS,
    *schema_qmgr.SECTIONS,
    *schema_smtps.SECTIONS,
    *schema_smar.SECTIONS,
    *schema_smtpc.SECTIONS,
    *schema_lda.SECTIONS,
)

OPTIONS: Final[tuple[Option, ...]] = (
    Option("", "hostname", Kind.DOMAIN, "name of this host: in greetings, in trace fields, in notifications; must be given"),
    Option("", "spool", Kind.PATH, "directory of the queue; everything that must survive lies below it"),
    Option("", "postmaster", Kind.MAILBOX, "who answers for this host (RFC 5321 4.5.1)", derived="postmaster@ the hostname"),
    *schema_mcp.OPTIONS,
    *schema_qmgr.OPTIONS,
    *schema_smtps.OPTIONS,
    *schema_smar.OPTIONS,
    *schema_smtpc.OPTIONS,
    *schema_lda.OPTIONS,
)


def kind_of_process(process: str) -> str:
    """`smtps` of `smtps.mx`; the others are their own kind."""
    return process.partition(".")[0]


def process_settings(settings: Settings, process: str) -> ProcessSettings:
    """The part of one process, by its name in Settings.order; AssertionError for an unknown name."""
    match kind_of_process(process):
        case "qmgr":
            return settings.qmgr
        case "smar":
            return settings.smar
        case "smtpc":
            return settings.smtpc
        case "lda":
            return settings.lda
    for server in settings.smtps:
        if process == f"smtps.{server.name}":
            return server
    raise AssertionError(f"no such process: {process}")


def spool_path(spool: str, part: str) -> str:
    """Path of a part of the spool: cdb, ibdb, defedb, run, log, mcp."""
    return f"{spool}/{part}"
