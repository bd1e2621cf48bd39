"""Profile: a real MTA in a scratch folder, on free loopback ports, started with one command, and the target file that describes it.

What is the same for all: the local domain has the users alice and bob; whatever stands below relay.dest.test is relayed for anybody; 127.0.0.1 may send
anywhere, 127.0.0.9 may not; the DNS is the suite's, at an address of the profile's own network 127.N.
"""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from msgspec import Struct

LOCAL_DOMAIN: Final = "local.test"
SUFFIX: Final = "dest.test"
RELAY_DOMAIN: Final = "relay.dest.test"
USERS: Final = ("alice", "bob")
TRUSTED: Final = "127.0.0.1"
OUTSIDER: Final = "127.0.0.9"
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.05
STATE_FILE: Final = "profile.json"


class ProfileError(Exception):
    """The MTA cannot be started here; the text says why and what helps."""


class Place(Struct):
    """Where one instance lives. `network`: the N of 127.N. `ports`: service -> port. `pid`: of the process that stands for all of them; 0: not running."""

    profile: str
    directory: str
    network: int
    ports: dict[str, int]
    remote_port: int = 25
    dns_port: int = 53
    pid: int = 0

    @property
    def hostname(self) -> str:
        return f"mx.{LOCAL_DOMAIN}"

    @property
    def nameserver(self) -> str:
        return f"127.{self.network}.0.1"

    def path(self, *parts: str) -> Path:
        return Path(self.directory, *parts)


class Profile(Protocol):
    """How one MTA is set up. `launch` gives the process that stands for all others: when it is killed, they are."""

    @property
    def name(self) -> str: ...
    def place(self, directory: Path) -> Place: ...
    def version(self) -> str: ...
    def prepare(self, place: Place) -> dict[str, Any]:
        """Write the configuration; gives what the target file says besides what is common."""

    def launch(self, place: Place) -> "subprocess.Popen[bytes]": ...
    def flush(self, place: Place) -> int: ...


def free_port() -> int:
    """A TCP port of 127.0.0.1 outside of the range of outgoing connections."""
    for _ in range(100):
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ProfileError("no free port")


def free_network() -> int:
    """N, so that nobody uses 127.N."""
    return random.SystemRandom().randrange(20, 250)


def facts(place: Place, version: str, special: dict[str, Any]) -> dict[str, Any]:
    """The target file as a table. `special` is laid over what is common, section by section."""
    hook = f"{_python()} -m conformance.profiles {{verb}} {place.directory}"
    common: dict[str, Any] = {
        "name": place.profile,
        "version": version,
        "hostname": place.hostname,
        "services": {name: f"127.0.0.1:{port}" for name, port in place.ports.items()},
        "mail": {
            "local_domain": LOCAL_DOMAIN,
            "recipients": [f"{user}@{LOCAL_DOMAIN}" for user in USERS],
            "unknown": f"no-such-user@{LOCAL_DOMAIN}",
            "relay_domain": RELAY_DOMAIN,
            "foreign": "someone@elsewhere.test",
        },
        "sources": {"trusted": TRUSTED, "outsider": OUTSIDER},
        "dns": {
            "listen": f"{place.nameserver}:{place.dns_port}",
            "suffix": SUFFIX,
            "remote_port": place.remote_port,
            "addresses": f"127.{place.network}",
        },
        "control": {verb: hook.format(verb=verb) for verb in ("start", "stop", "kill", "restart", "flush")},
    }
    for section, values in special.items():
        if isinstance(values, dict) and section in common:
            common[section] = {name: value for name, value in {**common[section], **values}.items() if value is not None}
        else:
            common[section] = values
    return common


def _python() -> str:
    root = Path(__file__).resolve().parent.parent.parent
    return f"env PYTHONPATH={root} {sys.executable}"


def save(place: Place) -> None:
    place.path(STATE_FILE).write_text(json.dumps({name: getattr(place, name) for name in place.__struct_fields__}))


def saved(directory: Path) -> Place:
    """Raises ProfileError when no profile was set up there."""
    try:
        return Place(**json.loads((directory / STATE_FILE).read_text()))
    except FileNotFoundError:
        raise ProfileError(f"no profile in {directory}") from None


def start(profile: Profile, place: Place) -> "subprocess.Popen[bytes]":
    """Returns when it greets clients; gives the process that stands for all. Raises ProfileError with what it said when it does not."""
    process = profile.launch(place)
    place.pid = process.pid
    save(place)
    if not wait_for(lambda: process.poll() is not None or greets(place.ports["smtp"]), START_TIMEOUT_S) or process.poll() is not None:
        kill(place)
        process.wait()
        raise ProfileError(f"{profile.name} did not start: {said(place)}")
    return process


def greets(port: int) -> bool:
    """Whether a client would be greeted."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5.0) as client:
            return client.recv(3) == b"220"
    except OSError:
        return False


def stop(place: Place) -> None:
    """In order if it can; at once after a while."""
    signalled(place, signal.SIGTERM)
    if not wait_for(lambda: not runs(place), STOP_TIMEOUT_S):
        kill(place)


def kill(place: Place) -> None:
    """As a crash: nothing of it runs afterwards. Its processes may have sessions of their own, so the whole family is killed, at once."""
    family = _family(place.pid)
    signalled(place, signal.SIGKILL)
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not runs(place) and not any(_stat_of(str(pid)) for pid in family), STOP_TIMEOUT_S)


def signalled(place: Place, number: int) -> None:
    """To the whole process group."""
    if place.pid:
        try:
            os.killpg(place.pid, number)
        except ProcessLookupError:
            return


def runs(place: Place) -> bool:
    """Whether any process of its group is left, besides zombies that we have to reap."""
    if not place.pid:
        return False
    with contextlib.suppress(ChildProcessError):
        os.waitpid(place.pid, os.WNOHANG)
    return any(stat[1] == place.pid for stat in map(_stat_of, _pids()) if stat)


def _pids() -> list[str]:
    return [entry for entry in os.listdir("/proc") if entry.isdigit()]


def _stat_of(pid: str) -> tuple[int, int] | None:
    """(parent, process group) of a process; None when it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else (int(fields[1]), int(fields[2]))


def _family(pid: int) -> list[int]:
    """All that descend from a process."""
    children: dict[int, list[int]] = {}
    for entry in _pids():
        if (stat := _stat_of(entry)) is not None:
            children.setdefault(stat[0], []).append(int(entry))
    found: list[int] = []
    waiting = list(children.get(pid, ())) if pid else []
    while waiting:
        one = waiting.pop()
        found.append(one)
        waiting += children.get(one, ())
    return found


def wait_for(condition: Callable[[], bool], timeout_s: float) -> bool:
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(POLL_S)
    return True


def said(place: Place) -> str:
    """The end of what its processes printed."""
    try:
        return place.path("run.out").read_text(errors="backslashreplace")[-2000:]
    except FileNotFoundError:
        return ""


def spawned(place: Place, argv: list[str], **more: Any) -> "subprocess.Popen[bytes]":
    """In a process group of its own; what it prints goes to run.out."""
    with place.path("run.out").open("ab") as out:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, cwd=place.directory, **more)
