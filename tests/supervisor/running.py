"""A supervisor with real child processes, in a process of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from smx.config.schema import LdaSettings, LogSettings, McpSettings, QmgrSettings, Settings, SmarSettings, SmtpcSettings, SmtpsSettings
from smx.units import MILLISECOND, SECOND

PATIENCE_S = 20.0
PROGRAM = """
import sys
import msgspec
from smx.config.schema import Settings
from smx.live.supervisor import run
sys.exit(run(msgspec.msgpack.decode(open(sys.argv[1], "rb").read(), type=Settings)))
"""


def settings(
    spool: Path,
    order: tuple[str, ...] = ("smar", "smtpc", "lda"),
    *,
    user: str = "",
    group: str = "",
    smtps: tuple[SmtpsSettings, ...] = (),
    smar_dependants: tuple[str, ...] = (),
    stop_timeout_us: int = 10 * SECOND,
) -> Settings:
    """A small configuration below `spool`; restarts are quick."""
    root = str(spool)
    return Settings(
        hostname="mx.example.org",
        spool=root,
        log=LogSettings(file=f"{root}/log/smx.log", level="info"),
        mcp=McpSettings(spool=root, restart_min_us=100 * MILLISECOND, restart_max_us=SECOND, stop_timeout_us=stop_timeout_us, group=group),
        qmgr=QmgrSettings(hostname="mx.example.org", spool=root, user=user),
        smar=SmarSettings(
            hostname="mx.example.org",
            spool=root,
            user=user,
            restart_dependencies=smar_dependants,
            local_domains=("example.org",),
            lmtp_socket=f"{root}/run/lda",
        ),
        smtpc=SmtpcSettings(hostname="mx.example.org", spool=root, user=user),
        lda=LdaSettings(hostname="mx.example.org", spool=root, socket=f"{root}/run/lda", maildirs=f"{root}/maildirs/%u", user=user),
        smtps=smtps,
        order=order,
    )


class Running:
    """The supervisor's process and its log."""

    def __init__(self, some: Settings, directory: Path, interpreter: str = sys.executable) -> None:
        self.settings = some
        file = directory / f"settings-{os.urandom(4).hex()}"
        file.write_bytes(msgspec.msgpack.encode(some))
        root = str(Path(__file__).parents[2])
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([root, *(path for path in sys.path if path.endswith("site-packages"))])}
        self.process = subprocess.Popen([interpreter, "-c", PROGRAM, str(file)], stderr=subprocess.PIPE, text=True, env=environment)

    def lines(self, note: str = "", process: str = "mcp") -> list[dict[str, Any]]:
        """The log lines of MCP of that note so far."""
        path = Path(self.settings.log.file)
        if not path.exists():
            return []
        found = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
        return [line for line in found if line["process"] == process and note in ("", line["note"])]

    def wait(self, condition: Callable[[], Any]) -> Any:
        """What `condition` gives, once it is true."""
        until = time.monotonic() + PATIENCE_S
        while not (found := condition()):
            assert time.monotonic() < until, f"waited in vain; the log:\n{Path(self.settings.log.file).read_text()[-2000:]}"
            assert self.process.poll() is None, self.process.communicate()[1]
            time.sleep(0.02)
        return found

    def wait_ready(self) -> None:
        mine = self.process.pid
        self.wait(lambda: [line for line in self.lines("ready") if line["pid"] == mine])

    def wait_process_ready(self, process: str, times: int) -> None:
        self.wait(lambda: len(self.lines("ready", process)) >= times)

    def pid_of(self, process: str) -> int:
        return int([line for line in self.lines("launched") if line["of_process"] == process][-1]["of_pid"])

    def pids(self) -> dict[str, int]:
        return {line["of_process"]: line["of_pid"] for line in self.lines("launched")}

    def launched(self) -> list[str]:
        return [line["of_process"] for line in self.lines("launched")]

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """(exit status, standard error)."""
        self.process.send_signal(number)
        return self.finish()

    def finish(self) -> tuple[int, str]:
        error = self.process.communicate(timeout=PATIENCE_S)[1]
        return self.process.returncode, error


def interpreter_for_all() -> str:
    """A Python of this version that other users can run; "" when there is none."""
    system = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/local/bin:/usr/bin:/bin") or ""
    for candidate in (sys.executable, system):
        real = Path(candidate).resolve()
        if candidate and real.stat().st_mode & 0o005 == 0o005 and all(parent.stat().st_mode & 0o001 for parent in real.parents):
            return candidate
    return ""


def is_alive(pid: int) -> bool:
    """A zombie counts as dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def running(some: Settings, directory: Path, interpreter: str = sys.executable) -> Iterator[Running]:
    mta = Running(some, directory, interpreter)
    try:
        yield mta
    finally:
        pids = mta.pids()
        if mta.process.poll() is None:
            mta.process.kill()
        mta.process.wait(PATIENCE_S)
        if mta.process.stderr is not None:
            mta.process.stderr.close()
        for pid in pids.values():
            if is_alive(pid) and b"smx.live.child" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
