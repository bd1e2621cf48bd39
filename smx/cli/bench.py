"""`smx bench`: what a message costs here, in CPU microseconds, by process: a small load through a live smx of its own.

A relay as `smx init --profile relay` writes it is started below a scratch directory, smx-loadgen sends to it, smx-sink takes what it
sends on. Once it stores each message first (cut-through off), once not. IPC is measured apart: it is contained in what the processes cost.
Linux only: the CPU times are those of /proc. Statuses: 0; 64 wrong usage; 69 something did not start; 70 not every message was relayed.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob
from typing import Annotated, Final

import typer
from msgspec import Struct

from smx.cli.common import JsonOption, fail, new_app, print_json
from smx.config.profiles import CONFIG_NAME, Choices, relay, write
from smx.messages import Status, StatusAsked

EX_UNAVAILABLE: Final = 69
EX_SOFTWARE: Final = 70
WARM_UP: Final = 300
READY_S: Final = 30.0
RELAYED_S: Final = 60.0
KINDS: Final = ("smtps", "qmgr", "smtpc", "smar", "mcp")
_LOADGEN: Final = "from smx.cli.loadgen import main; raise SystemExit(main())"
_SINK: Final = "from smx.cli.sink import main; raise SystemExit(main())"

app = new_app("What a message costs here, in CPU microseconds, by process.")


class Result(Struct):
    """Of one load. `user` and `system` are CPU microseconds a message, by kind of process."""

    way: str
    messages_per_s: float
    user: dict[str, float]
    system: dict[str, float]


@app.command()
def bench(
    messages: Annotated[int, typer.Option(min=100, help="How many messages each load has.")] = 3000,
    sessions: Annotated[int, typer.Option(min=1, help="Sessions at a time.")] = 20,
    keep: Annotated[bool, typer.Option("--keep", help="Keep sessions open instead of one message each.")] = False,
    profile: Annotated[str, typer.Option("--profile", metavar="DIR", help="Write a profile of each process into DIR (needs pyinstrument).")] = "",
    as_json: JsonOption = False,
) -> None:
    """Start a relay, send mail through it, tell what it cost."""
    if not os.path.exists("/proc/self/schedstat"):
        raise fail("smx bench: this system has no /proc with CPU times", EX_UNAVAILABLE)
    results = [measure(way, value, messages, sessions, profile, keep=keep) for way, value in (("stored first", "0"), ("cut-through", "1s"))]
    ipc = ipc_us()
    if as_json:
        print_json({"messages": messages, "sessions": sessions, "keep": keep, "ipc_us": ipc, "loads": results})
    else:
        _show(results, ipc)


def measure(way: str, cut_through: str, messages: int, sessions: int, profile: str, *, keep: bool) -> Result:
    """Run one load."""
    with tempfile.TemporaryDirectory(prefix="smx-bench-") as directory:
        port, next_hop = free_port(), free_port()
        path = write(directory, relay(Choices(next_hop=f"[127.0.0.1]:{next_hop}", port=port)))[-1]
        _set_cut_through(path, cut_through)
        environment = dict(os.environ)
        if profile:
            environment["SMX_PROFILE"] = os.path.join(os.path.abspath(profile), way.replace(" ", "-"))
            os.makedirs(environment["SMX_PROFILE"], exist_ok=True)
        sink = [sys.executable, "-c", _SINK, f"127.0.0.1:{next_hop}"]
        mta = [sys.executable, "-m", "smx", "run", "--config", os.path.join(directory, CONFIG_NAME)]
        with _running(sink, next_hop, directory), _running(mta, port, directory, environment) as pid:
            load = [sys.executable, "-c", _LOADGEN, f"127.0.0.1:{port}", "--sessions", str(sessions), *(["--keep"] if keep else [])]
            _send(load, WARM_UP, directory)
            before, began = cpu_us(pid), time.perf_counter()
            _send(load, messages, directory)
            _wait_until_relayed(os.path.join(directory, "spool"))
            elapsed, after = time.perf_counter() - began, cpu_us(pid)
    user, system = ({kind: (after[kind][index] - before[kind][index]) / messages for kind in before} for index in (0, 1))
    return Result(way, messages / elapsed, user, system)


def cpu_us(pid: int) -> dict[str, tuple[float, float]]:
    """CPU microseconds so far, user and system, by kind of process, of an smx whose MCP has this pid. Processes share kinds: they are summed."""
    found: dict[str, tuple[float, float]] = {}
    todo = [(pid, "mcp")]
    while todo:
        process, kind = todo.pop()
        user, system = _times(process)
        earlier = found.get(kind, (0.0, 0.0))
        found[kind] = earlier[0] + user, earlier[1] + system
        todo += [(child, _kind(child)) for child in map(int, _text(f"/proc/{process}/task/{process}/children").split())]
    return found


def _times(pid: int) -> tuple[float, float]:
    """The exact sum of schedstat, divided as the coarse times of stat are."""
    exact_us = sum(int(_text(path).split()[0]) for path in glob(f"/proc/{pid}/task/*/schedstat")) / 1e3
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    share = user / (user + system) if user + system else 1.0
    return exact_us * share, exact_us * (1 - share)


def _kind(pid: int) -> str:
    words = _text(f"/proc/{pid}/cmdline").split("\0")
    return words[words.index("smx.live.child") + 1].partition(".")[0] if "smx.live.child" in words else "mcp"


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="backslashreplace") as file:
        return file.read()


def ipc_us(rounds: int = 2000) -> float:
    """CPU microseconds for what the processes tell each other about one relayed message: encoded, framed, written, read, decoded."""
    from smx.live.wire import Reader, Writer
    from smx.messages import AnyMessage, Content, Deliver, Delivered, DotSent, Envelope, Host, Protocol, Recipient, Route, Submit, Submitted, Verdict

    recipients = (Recipient(0, b"user@there.example"),)
    content = Content(1 << 32, 4096, 4200, 123456789)
    route = Route("there.example", Protocol.SMTP, (Host("mx.there.example", ("192.0.2.1",), 25),))
    told: tuple[AnyMessage, ...] = (
        Submit(Envelope(1 << 40, b"sender@here.example", recipients, content, 1 << 50, client="client.example [192.0.2.2]")),
        Submitted(1 << 40),
        Deliver(1, 1 << 40, route, b"sender@here.example", recipients, content),
        DotSent(1),
        Delivered(1, (Verdict(0, 1, 250, b"2.0.0", b"Ok: queued", "mx.there.example [192.0.2.1]"),)),
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        writer, reader = Writer("qmgr", 1), Reader()
        list(reader.feed(writer.hello))
        began = time.process_time_ns()
        for _ in range(rounds):
            for message in told:
                writer.add(message)
                ours.send(writer.frames())
                list(reader.feed(theirs.recv(65536)))
        return (time.process_time_ns() - began) / 1e3 / rounds


# --- processes of a load


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _running(words: list[str], port: int, directory: str, environment: dict[str, str] | None = None) -> Iterator[int]:
    """A program that greets on this port; its pid."""
    with open(os.path.join(directory, "output"), "ab") as output:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
    try:
        until = time.monotonic() + READY_S
        while not _greets(port):
            if process.poll() is not None or time.monotonic() > until:
                raise fail(f"smx bench: {words[2]} did not start: {_text(output.name)[-1000:]}", EX_UNAVAILABLE)
            time.sleep(0.02)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _greets(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            return client.recv(3) == b"220"
    except OSError:
        return False


def _send(load: list[str], messages: int, directory: str) -> None:
    with open(os.path.join(directory, "output"), "ab") as output:
        if subprocess.run([*load, "--messages", str(messages), "--json"], stdout=output, stderr=output, check=False).returncode:
            raise fail("smx bench: not every message was taken", EX_SOFTWARE)


def _wait_until_relayed(spool: str) -> None:
    """Until nothing is in the queue."""
    from smx.live.admin_link import AdminLink

    until = time.monotonic() + RELAYED_S
    while time.monotonic() < until:
        with AdminLink(spool, timeout=RELAYED_S) as link:
            answer = link.ask(StatusAsked(1))
        assert isinstance(answer, Status)
        if not dict(answer.figures)["transactions"]:
            return
        time.sleep(0.01)
    raise fail("smx bench: not every message was relayed", EX_SOFTWARE)


def _set_cut_through(path: str, value: str) -> None:
    text = _text(path)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace("# cut_through = 1s;", f"cut_through = {value};"))


# --- output


def _show(results: list[Result], ipc: float) -> None:
    _line("CPU microseconds a message", [result.way for result in results])
    _line("", ["user + system = all"] * len(results))
    for kind in KINDS:
        _line(kind.upper(), [_sum(result.user.get(kind, 0.0), result.system.get(kind, 0.0)) for result in results])
    _line("all", [f"{sum(result.user.values()) + sum(result.system.values()):.0f}" for result in results])
    _line("IPC, contained in these", [f"{ipc:.0f}", ""])
    _line("messages/s, beside the load", [f"{result.messages_per_s:,.0f}" for result in results])


def _sum(user: float, system: float) -> str:
    return f"{user:.0f} + {system:.0f} = {user + system:.0f}"


def _line(head: str, cells: list[str]) -> None:
    print(f"{head:<28}{''.join(f'{cell:>22}' for cell in cells)}".rstrip())
