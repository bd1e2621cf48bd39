"""Settings of MCP, the supervisor, and of the log, which every process writes."""

from typing import Final

from msgspec import Struct

from smx.config.option import Kind, Option, Section
from smx.units import HOUR, MINUTE, SECOND

LEVELS: Final = ("error", "warning", "info", "debug")


class McpSettings(Struct, frozen=True, gc=False, array_like=True, tag=60):
    """All of section mcp. hostname and spool are copies of the top's."""

    hostname: str = "localhost"
    spool: str = "/var/spool/smx"
    restart_min_us: int = SECOND
    restart_max_us: int = MINUTE
    restart_reset_us: int = 5 * MINUTE
    start_timeout_us: int = 30 * SECOND
    stop_timeout_us: int = 30 * SECOND
    group: str = ""


class LogSettings(Struct, frozen=True, gc=False, array_like=True, tag=61):
    """All of section log. file is an absolute path, or "-" for standard error; levels holds (module, level) pairs that override level (SX68)."""

    file: str = "/var/spool/smx/log/smx.log"
    format: str = "json"
    level: str = "info"
    levels: tuple[tuple[str, str], ...] = ()


SECTIONS: Final = (
    Section("mcp", McpSettings, "mcp", "the supervisor: starts, restarts and stops the processes"),
    Section("log", LogSettings, "log", "the log of all processes"),
)

OPTIONS: Final = (
    Option("mcp", "restart_min", Kind.TIME, "wait before a process that died is started again; it doubles each time", 0, HOUR),
    Option("mcp", "restart_max", Kind.TIME, "longest such wait", 0, HOUR),
    Option("mcp", "restart_reset", Kind.TIME, "a process that ran so long begins with restart_min again", SECOND, 24 * HOUR),
    Option("mcp", "start_timeout", Kind.TIME, "a process that is not ready after so long is started again", SECOND, HOUR),
    Option("mcp", "stop_timeout", Kind.TIME, "a process that has not stopped after so long is killed", SECOND, HOUR),
    Option("mcp", "group", Kind.NAME, "group of the directories that processes of different users share", derived="the group of the user who started smx"),
    Option("log", "file", Kind.PATH, "file of the log; - is standard error", derived="log/smx.log below the spool"),
    Option("log", "format", Kind.CHOICE, "one JSON object a line, key=value, or for people", choices=("json", "logfmt", "console")),
    Option("log", "level", Kind.CHOICE, "how much is logged", choices=LEVELS),
    Option("log", "levels", Kind.PAIRS, 'levels of single modules: { smtps = debug; "qmgr" = info; }', choices=LEVELS),
)
