"""Rig: a scratch smx of real processes under MCP, and what the kernel says of each: CPU time, memory."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from msgspec import Struct

from smx.live.admin_link import AdminLink
from smx.messages import Status, StatusAsked
from tests.live.installation import free_port

LOCAL = "here.example"
TICKS = os.sysconf("SC_CLK_TCK")
TIMEOUT_S = 60.0
POLL_S = 0.005

_CONFIG = """
hostname = "mx.{local}";
spool = "{directory}/spool";
log {{ file = "{directory}/smx.log"; }}
smtps mx {{ listen_socket {{ address = "127.0.0.1"; port = {port}; }} client {{ connections_max = 0; }} {smtps} }}
qmgr {{ {qmgr} }}
smtpc {{ tls = no; {smtpc} }}
lda {{ maildirs = "{directory}/maildirs/%u"; }}
smar {{ local_domains = {{ "{local}" }}; {routes} }}
"""


class Options(Struct, frozen=True):
    """What differs between measurements: the port of the next hop, and more text for sections."""

    next_hop: int = 9
    smtps: str = ""
    qmgr: str = ""
    smtpc: str = ""
    routes: str = ""  # instead of all mail to the next hop


class Usage(Struct, frozen=True):
    """What a process has used so far: CPU seconds, and its resident octets, now and at most."""

    cpu_s: float
    resident: int
    resident_max: int


class Rig:
    """Use as a context manager; `start` and `stop` any number of times. `prefix`: a command that runs `smx run`, such as strace."""

    def __init__(self, directory: Path, options: Options | None = None) -> None:
        self.directory = directory
        self.spool = directory / "spool"
        self.port = free_port()
        self.config = directory / "smx.conf"
        self._mcp: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)
        self.configure(options or Options())

    def configure(self, options: Options) -> None:
        """Write the configuration; in force from the next start."""
        text = _CONFIG.format(
            local=LOCAL,
            directory=self.directory,
            port=self.port,
            routes=options.routes or f'mailertable = {{ "*" = "[127.0.0.1]:{options.next_hop}"; }};',
            smtps=options.smtps,
            qmgr=options.qmgr,
            smtpc=options.smtpc,
        )
        self.config.write_text(text)

    def __enter__(self) -> "Rig":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._mcp is not None and self._mcp.poll() is None:
            children = self.pids().values()
            self._mcp.kill()
            self._mcp.wait(TIMEOUT_S)
            for pid in children:  # those of MCP end by themselves; a traced one may not
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def start(self, prefix: tuple[str, ...] = (), *, embedded: bool = False) -> None:
        """Returns when a client is greeted. `embedded`: all in one process, named mcp here."""
        with (self.directory / "run.out").open("ab") as out:
            argv = [*prefix, sys.executable, "-m", "smx", "run", "--config", str(self.config), *(["--embedded"] if embedded else [])]
            self._mcp = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.wait(self._greets)

    def stop(self) -> None:
        """In order."""
        assert self._mcp is not None
        os.kill(self.pids().get("mcp", self._mcp.pid), signal.SIGTERM)
        status = self._mcp.wait(TIMEOUT_S)
        assert status == 0, f"smx run ended with status {status}: {self._said()}"
        self._mcp = None

    def wait(self, condition: Callable[[], bool], timeout_s: float = TIMEOUT_S, every_s: float = POLL_S) -> None:
        until = time.monotonic() + timeout_s
        while not condition():
            assert self._mcp is not None
            assert self._mcp.poll() is None, f"smx run ended with status {self._mcp.returncode}: {self._said()}"
            assert time.monotonic() < until, f"waited {timeout_s:g} s in vain: {self._said()}"
            time.sleep(every_s)

    def _greets(self) -> bool:
        import socket

        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S) as client:
                return client.recv(3) == b"220"
        except OSError:
            return False

    def _said(self) -> str:
        return (self.directory / "run.out").read_text(errors="backslashreplace")[-3000:]

    # --- processes

    def pids(self) -> dict[str, int]:
        """Process ids by name: those of MCP and its children, also behind a prefix."""
        assert self._mcp is not None
        found: dict[str, int] = {}
        todo = [self._mcp.pid]
        while todo:
            pid = todo.pop()
            with contextlib.suppress(OSError):
                argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if b"smx.live.child" in argv:
                    found[argv[argv.index(b"smx.live.child") + 1].decode()] = pid
                elif argv[1:4] == [b"-m", b"smx", b"run"]:
                    found["mcp"] = pid
                todo += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return found

    def usage(self) -> dict[str, Usage]:
        return {name: usage(pid) for name, pid in self.pids().items()}

    # --- the queue

    def figures(self) -> dict[str, int]:
        """The numbers of `smx status`."""
        with AdminLink(str(self.spool), timeout=TIMEOUT_S) as link:
            answer = link.ask(StatusAsked(1))
        assert isinstance(answer, Status)
        return dict(answer.figures)

    def deferred_in_memory(self) -> int:
        """Rows that QMGR knows of: 0 when DEFEDB has none."""
        figures = self.figures()
        return figures["cached"] + figures["deferred_out"] + (not figures["cache_complete"])

    def delivered_locally(self) -> int:
        return sum(len(os.listdir(new)) for new in (self.directory / "maildirs").glob("*/new"))


def usage(pid: int) -> Usage:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    resident, resident_max = (int(status[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return Usage((int(fields[11]) + int(fields[12])) / TICKS, resident, resident_max)


def spent_ms(before: dict[str, Usage], after: dict[str, Usage], messages: int) -> dict[str, float]:
    """CPU milliseconds a message, by process."""
    return {name: (after[name].cpu_s - before[name].cpu_s) * 1e3 / messages for name in after if name in before}
