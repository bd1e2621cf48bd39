"""Installation: a scratch smx in a directory of its own: its configuration, its `smx run`, its processes, its queue.

Everything is on loopback and below one directory. Ports are picked below the kernel's range for outgoing connections, so that none is taken
by a connection while MCP is being started again.
"""

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import Struct

from sim.eventlog import Line
from smx.defedb.sqlite import SqliteDefedb
from smx.effects import Census
from smx.events import Counted
from smx.live.admin_link import AdminLink, AdminUnreachableError
from smx.messages import Filter, QueueChange, QueueChanged, QueueList, QueueListed, QueueRow
from tests.live import eventlog
from tests.live.traffic import LOCAL, Copy, read_content

START_TIMEOUT_S = 40.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.02


class Layout(Struct, frozen=True):
    """What differs between the configurations of these tests. `mailertable`: domain -> right-hand side. `users`: section -> account."""

    mailertable: tuple[tuple[str, str], ...] = ()
    qmgr: str = ""
    smtps: str = ""
    smtpc: str = ""
    smar: str = ""
    mcp: str = ""
    level: str = "debug"
    ibdb_segment: str = "64KiB"
    smtps_processes: int = 1
    smtpc_processes: int = 1
    port: int = 0
    users: tuple[tuple[str, str], ...] = ()
    group: str = ""
    order: tuple[str, ...] = ("smtps", "qmgr", "smtpc", "lda", "smar")


def free_port() -> int:
    """A TCP port that nobody listens on, outside of the range of outgoing connections."""
    for _ in range(100):
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


def to_host(port: int) -> str:
    """Right-hand side of the mailer table: a host on loopback."""
    return f"[127.0.0.1]:{port}"


def configuration(directory: Path, layout: Layout, port: int) -> str:
    """The text of smx.conf."""
    user = {section: f'user = "{name}";' for section, name in layout.users}
    table = " ".join(f'"{domain}" = "{target}";' for domain, target in layout.mailertable)
    sections = {
        "smtps": f"""smtps mx {{
    processes = {layout.smtps_processes}; listen_socket {{ address = "127.0.0.1"; port = {port}; }}
    cdb_segment_octets = 64KiB; content_memory_max = 32KiB; client {{ connections_max = 0; }}
    {layout.smtps} {user.get("smtps", "")}
}}""",
        "qmgr": f"qmgr {{ ibdb_segment_octets = {layout.ibdb_segment}; cdb_segment_octets = 64KiB; {layout.qmgr} {user.get('qmgr', '')} }}",
        "smtpc": f"smtpc {{ processes = {layout.smtpc_processes}; tls = no; {layout.smtpc} {user.get('smtpc', '')} }}",
        "lda": f'lda {{ maildirs = "{directory}/maildirs/%u"; {user.get("lda", "")} }}',
        "smar": f'smar {{ local_domains = {{ "{LOCAL}", "mx.{LOCAL}" }}; mailertable = {{ {table} }}; {layout.smar} {user.get("smar", "")} }}',
    }
    group = f'group = "{layout.group}";' if layout.group else ""
    head = f"""hostname = "mx.{LOCAL}";
spool = "{directory}/spool";
log {{ file = "{directory}/smx.log"; level = {layout.level}; }}
mcp {{ restart_min = 50ms; restart_max = 200ms; restart_reset = 1s; {layout.mcp} {group} }}
"""
    return head + "\n".join(sections[name] for name in layout.order) + "\n"


class Installation:
    """Use as a context manager: nothing of it runs afterwards."""

    def __init__(self, directory: Path, layout: Layout) -> None:
        self.directory = directory
        self.layout = layout
        self.port = layout.port or free_port()
        self.config = directory / "smx.conf"
        self.spool = directory / "spool"
        self.log = directory / "smx.log"
        self.mcp: subprocess.Popen[bytes] | None = None
        self._prefixed = False
        directory.mkdir(parents=True, exist_ok=True)
        self.config.write_text(configuration(directory, layout, self.port))

    def __enter__(self) -> "Installation":
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    # --- life

    def start(self, prefix: tuple[str, ...] = (), *, same_process: bool = False, options: tuple[str, ...] = ()) -> None:
        """`smx run`, behind a command that starts it (`same_process`: by exec). What it says on standard error goes into run.out."""
        with (self.directory / "run.out").open("ab") as out:
            argv = [*prefix, sys.executable, "-m", "smx", "run", "--config", str(self.config), *options]
            self._prefixed = bool(prefix) and not same_process
            self.mcp = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)

    def wait_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Until MCP of this start says that everything is ready, and a client is greeted."""
        self.wait(lambda: self._ready() and self._greets(), timeout_s, "smx is not ready")

    def wait(self, condition: Callable[[], bool], timeout_s: float, complaint: str) -> None:
        until = time.monotonic() + timeout_s
        while not condition():
            if self.mcp is not None and self.mcp.poll() is not None:
                raise AssertionError(f"smx run ended with status {self.mcp.returncode}: {self.said()}")
            if time.monotonic() > until:
                raise AssertionError(f"{complaint} after {timeout_s:g} s: {self.said()}")
            time.sleep(POLL_S)

    async def until(self, condition: Callable[[], bool], timeout_s: float, complaint: str) -> None:
        """The same for tests that have sinks or clients on their loop."""
        limit = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > limit:
                raise AssertionError(f"{complaint} after {timeout_s:g} s: {self.said()}")
            await asyncio.sleep(POLL_S)

    def _ready(self) -> bool:
        assert self.mcp is not None
        return any(line.note == "ready" and line.process == "mcp" and line.pid == self._mcp_pid() for line in self.lines())

    def _mcp_pid(self) -> int:
        """The process id of MCP; behind a prefix such as strace it is that of the only child."""
        assert self.mcp is not None
        if not self._prefixed:
            return self.mcp.pid
        children = Path(f"/proc/{self.mcp.pid}/task/{self.mcp.pid}/children").read_text().split()
        return int(children[0]) if children else 0

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5.0) as client:
                return client.recv(3) == b"220"
        except OSError:
            return False

    def stop(self) -> int:
        """SIGTERM to MCP; gives its exit status."""
        assert self.mcp is not None
        os.kill(self._mcp_pid() or self.mcp.pid, signal.SIGTERM)
        return self.mcp.wait(STOP_TIMEOUT_S)

    def end(self) -> None:
        """Kill whatever still runs."""
        if self.mcp is not None and self.mcp.poll() is None:
            self.mcp.kill()
            self.mcp.wait(STOP_TIMEOUT_S)
        for pid in {line.pid for line in self.lines() if line.pid}:
            if is_ours(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    # --- what it says

    def lines(self) -> list[Line]:
        try:
            return eventlog.read(self.log)[0]
        except FileNotFoundError:
            return []

    def notes(self, name: str) -> list[Line]:
        return eventlog.named(self.lines(), name)

    def said(self) -> str:
        """The end of standard error, for a failure's text."""
        try:
            return (self.directory / "run.out").read_text(errors="backslashreplace")[-3000:]
        except FileNotFoundError:
            return ""

    def pids(self) -> dict[str, int]:
        """The newest process id of each process that says it is there."""
        return {line.process: line.pid for line in self.lines() if line.note == "started"}

    # --- queue and mailboxes

    def queue(self) -> list[QueueRow] | None:
        """What `smx queue ls` shows; None while QMGR cannot be asked."""
        try:
            with AdminLink(str(self.spool), timeout=5.0) as link:
                answer = link.ask(QueueList(1, Filter()))
        except AdminUnreachableError:
            return None
        assert isinstance(answer, QueueListed)
        return list(answer.rows)

    def change(self, verb: str, state: str = "") -> int:
        """`smx queue VERB`: how many recipients were changed."""
        with AdminLink(str(self.spool), timeout=10.0) as link:
            answer = link.ask(QueueChange(1, verb, Filter(state=state), who="test"))
        assert isinstance(answer, QueueChanged)
        assert not answer.error, answer.error
        return answer.total

    def is_empty(self) -> bool:
        return self.queue() == []

    def content_segments(self) -> list[str]:
        return sorted(path.name for path in (self.spool / "cdb").iterdir())

    def deferred_rows(self) -> int:
        """Rows in DEFEDB; only while no QMGR runs (it holds the file alone)."""
        database = SqliteDefedb(str(self.spool / "defedb" / "defedb.sqlite"))
        try:
            counted = database.perform(Census(1))
        finally:
            database.close()
        assert isinstance(counted, Counted)
        return counted.rows

    def mail(self, user: str) -> list[bytes]:
        """The messages in a user's Maildir."""
        directory = self.directory / "maildirs" / user / "new"
        return [path.read_bytes() for path in sorted(directory.iterdir())] if directory.exists() else []

    def local_copies(self) -> list[Copy]:
        """Every message of ours in any Maildir; notifications have no token of their own and are left out."""
        copies = []
        for box in sorted((self.directory / "maildirs").glob("*/new")):
            for path in sorted(box.iterdir()):
                read = read_content(path.read_bytes())
                if read.token:
                    at = path.stat().st_ctime_ns // 1000
                    copies.append(Copy(read.token, f"{box.parent.name}@{LOCAL}", read.transaction, at, read.intact))
        return copies


def is_ours(pid: int) -> bool:
    """Whether a process of this id runs smx: ids are given again after a while."""
    try:
        return b"smx" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def owner_of(client_port: int, server_port: int, pids: Iterable[int]) -> int:
    """Which of these processes holds the server's end of a loopback connection; 0: none of them, or not any more."""
    inode = _inode_of(server_port, client_port)
    if inode:
        wanted = f"socket:[{inode}]"
        for pid in pids:
            with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as descriptors:
                for descriptor in descriptors:
                    with contextlib.suppress(OSError):
                        if os.readlink(descriptor.path) == wanted:
                            return pid
    return 0


def _inode_of(local_port: int, remote_port: int) -> str:
    local, remote = f":{local_port:04X}", f":{remote_port:04X}"
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        columns = row.split()
        if columns[1].endswith(local) and columns[2].endswith(remote):
            return columns[9]
    return ""
