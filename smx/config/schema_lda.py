"""Settings of LDA, the local delivery agent: an LMTP server that writes Maildirs."""

from typing import Final

from msgspec import Struct

from smx.config.option import Kind, Option, Section
from smx.units import DAY, MINUTE, SECOND


class LdaSettings(Struct, frozen=True, gc=False, array_like=True, tag=50):
    """All of section lda. hostname and spool are copies of the top's. In maildirs %u is the local part without detail, %d the domain."""

    hostname: str = "localhost"
    spool: str = "/var/spool/smx"
    socket: str = "/var/spool/smx/run/lda"
    maildirs: str = "/var/spool/smx/maildirs/%u"
    create: bool = True
    io_timeout_us: int = 10 * MINUTE
    sessions_max: int = 200
    user: str = ""
    start_action: str = "wait"
    restart_dependencies: tuple[str, ...] = ()


SECTIONS: Final = (Section("lda", LdaSettings, "lda", "the local delivery agent: an LMTP server that writes Maildirs", process=True),)

OPTIONS: Final = (
    Option("lda", "socket", Kind.PATH, "UNIX socket on which LMTP is spoken", derived="run/lda below the spool"),
    Option("lda", "maildirs", Kind.PATH, "the Maildir of a user; %u is the user, %d the domain", derived="maildirs/%u below the spool"),
    Option("lda", "create", Kind.BOOLEAN, "make a Maildir that does not exist yet; otherwise its user is unknown"),
    Option("lda", "io_timeout", Kind.TIME, "a client that is silent for so long gets 421", SECOND, DAY),
    Option("lda", "sessions_max", Kind.INTEGER, "most sessions at a time", 1, 100_000),
    Option("lda", "user", Kind.NAME, "account under which the process runs (only when smx is started by root)", derived="the user who started smx"),
    Option("lda", "start_action", Kind.CHOICE, "what MCP does at the start: wait = start it with the others", choices=("wait",)),
    Option("lda", "restart_dependencies", Kind.PROCESS, "processes that restart when this one had to be restarted", many=True),
)
