"""smx-loadgen and smx-sink as commands: statuses, JSON, tables, what they say about wrong options."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import fields

from smx.cli import loadgen
from smx.cli import sink as sink_command
from smx.testing.load.ledger import Check
from smx.testing.load.report import LoadReport, SinkReport

TIMEOUT_S = 20.0
Running = tuple["subprocess.Popen[str]", str]


@pytest.fixture
def sink() -> Iterator[Callable[..., Running]]:
    """Starts smx-sink; (process, its address)."""
    with ExitStack() as stack:

        def start(*options: str, address: str = ":0") -> Running:
            argv = [sys.executable, "-m", "smx.cli.sink", address, *options]
            process = stack.enter_context(subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
            stack.callback(process.kill)
            assert process.stderr is not None
            found = re.search(r"listening at (\S+)", process.stderr.readline())
            assert found
            return process, found[1]

        yield start


def loadgen_json(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, LoadReport]:
    status = loadgen.main([*options, "--json"])
    out = capsys.readouterr().out
    assert set(json.loads(out)) == {field.name for field in fields(LoadReport)}
    return status, msgspec.json.decode(out, type=LoadReport)


@pytest.mark.feature("SX70")
def test_the_commands_count_the_same_and_compare_with_the_ledger(sink: Callable[..., Running], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ledger, kept = str(tmp_path / "ledger.jsonl"), str(tmp_path / "kept.jsonl")
    process, address = sink("--messages", "50", "--check", ledger, "--keep", f"jsonl:{kept}", "--json")
    status, sent = loadgen_json(capsys, address, "--messages", "50", "--sessions", "4", "--recipients", "uniform:1-3", "--ledger", ledger, "--keep")
    out, _ = process.communicate(timeout=TIMEOUT_S)
    taken = msgspec.json.decode(out, type=SinkReport)
    assert set(json.loads(out)) == {field.name for field in fields(SinkReport)}
    assert (status, process.returncode) == (0, 0)
    assert sent.acknowledged == taken.messages == 50
    assert taken.check is not None
    assert (taken.check.promised, taken.check.lost) == (sent.recipients_acknowledged, 0)
    assert sink_command.main(["--read", kept, "--check", ledger, "--json"]) == 0
    assert msgspec.json.decode(capsys.readouterr().out, type=Check) == taken.check
    Path(kept).write_bytes(b"".join(Path(kept).read_bytes().splitlines(keepends=True)[1:]))
    assert sink_command.main(["--read", kept, "--check", ledger]) == 1
    assert re.search(r"lost\s+│ 1", capsys.readouterr().out)


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "idle"])
def test_the_sink_reports_when_it_ends(how: str, sink: Callable[..., Running], capsys: pytest.CaptureFixture[str]) -> None:
    process, address = sink(*(["--idle", "200ms"] if how == "idle" else []))
    status, _ = loadgen_json(capsys, address, "--messages", "3")
    if how != "idle":
        os.kill(process.pid, signal.Signals[how])
    out, _ = process.communicate(timeout=TIMEOUT_S)
    assert (status, process.returncode) == (0, 0)
    assert re.search(r"messages +│ 3 for 3 recipients", out)
    assert re.search(r"dot 250 +│ 3", out)


def test_the_generator_reports_when_it_is_interrupted(sink: Callable[..., Running]) -> None:
    _, address = sink("--fault", "delay@dot:1:20ms")
    argv = [sys.executable, "-m", "smx.cli.loadgen", address, "--duration", "1h", "--json"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process_ready(address)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=TIMEOUT_S)
    sent = msgspec.json.decode(out, type=LoadReport)
    assert process.returncode == 0
    assert sent.acknowledged == sent.begun
    assert sent.elapsed_s < 60


def process_ready(address: str) -> None:
    """Wait until the generator has a connection to the sink, so that its handlers of signals are in place."""
    port = f":{int(address.rpartition(':')[2]):04X}"
    while not any(row.split()[2].endswith(port) and row.split()[3] == "01" for row in Path("/proc/net/tcp").read_text().splitlines()[1:]):
        os.sched_yield()


def test_tables_show_latency_replies_errors_and_faults(sink: Callable[..., Running], capsys: pytest.CaptureFixture[str]) -> None:
    _, address = sink("--fault", "drop@dot:0.3")
    status = loadgen.main([address, "--messages", "40", "--fault", "vanish@mail:0.3", "--rate", "1000"])
    out = capsys.readouterr().out
    assert status == 1
    for words in ("messages a second", "due to begun", "dot to 250", "RCPT 250", "connection lost at dot", "vanish@mail", "abandoned by a fault"):
        assert words in out


def test_statuses_tell_what_failed(sink: Callable[..., Running], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    process, address = sink("--fault", "550@rcpt:1")
    assert loadgen_json(capsys, address)[0] == 1
    assert loadgen_json(capsys, address, "--fault", "vanish@mail")[0] == 0
    assert loadgen.main([address, "--ledger", str(tmp_path / "no" / "ledger")]) == 73
    assert "cannot be written" in capsys.readouterr().err
    assert sink_command.main([address]) == 69
    assert "cannot listen" in capsys.readouterr().err
    assert sink_command.main([":0", "--keep", f"jsonl:{tmp_path / 'no' / 'kept'}"]) == 73
    process.kill()
    process.wait()
    assert loadgen.main([address]) == 69
    assert "nobody answered" in capsys.readouterr().err
    assert sink_command.main(["--read", str(tmp_path / "nothing"), "--check", str(tmp_path / "nothing")]) == 65


WRONG_LOADGEN: tuple[tuple[list[str], str], ...] = (
    ([], "TARGET"),
    (["::1"], "brackets"),
    ([":0"], "port 0"),
    ([":25", "--sesions", "3"], "did you mean --sessions?"),
    ([":25", "--sessions", "0"], "expected 1 or more"),
    ([":25", "--size", "10MB"], "argument --size: did you mean 10MiB"),
    ([":25", "--duration", "30"], "a time needs a unit"),
    ([":25", "--rate", "-1"], "messages a second"),
    ([":25", "--to", "joe"], "expected a mailbox"),
    ([":25", "--from", "joe"], "expected a mailbox"),
    ([":25", "--fault", "vanish@dat"], "did you mean data?"),
    ([":25", "--fault", "early@mail", "--tls", "starttls"], "does not go with --tls"),
    ([":25", "--body", "/nonexistent"], "cannot be read"),
    ([":25", "--body", "/dev/null"], "is empty"),
    ([":25", "--body", "/dev/null", "--size", "1"], "do not go together"),
    ([":25", "--recipients", "5", "--to", "joe@example.org"], "only 1 different ones"),
    ([":25", "--run", "a b"], "letters, digits"),
    ([":25", "--helo", "a b"], "expected a host name"),
)
WRONG_SINK: tuple[tuple[list[str], str], ...] = (
    (["--read", "x"], "name the ledger with --check"),
    ([":0", "--no-tokens", "--check", "x"], "leave one out"),
    ([":0", "--tls-key", "x"], "belong together"),
    ([":0", "--tls-key", "/nonexistent", "--tls-certificate", "/nonexistent"], "No such file"),
    ([":0", "--without", "PIPELINIG"], "no extension is called"),
    ([":0", "--keep", "somewhere"], "expected jsonl:FILE"),
    ([":0", "--fault", "651@rcpt"], "no fault is called '651'"),
    ([":0", "--greylist", "5"], "a time needs a unit"),
    ([":0", "--messages", "-1"], "expected"),
)


@pytest.mark.parametrize(
    ("main", "arguments", "words"),
    [*((loadgen.main, *row) for row in WRONG_LOADGEN), *((sink_command.main, *row) for row in WRONG_SINK)],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_option_is_told_with_what_to_do(main: Callable[[list[str]], int], arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 64
    err = capsys.readouterr().err
    assert words in err
    assert "--help" in err


@pytest.mark.parametrize("main", [loadgen.main, sink_command.main])
def test_the_help_has_examples_and_every_fault(main: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    out = capsys.readouterr().out
    assert end.value.code == 0
    for words in ("examples:", "reset ", "hang ", "content", "--fault"):
        assert words in out


def test_a_schema_can_be_made_of_what_the_commands_print() -> None:
    for kind in (LoadReport, SinkReport, Check):
        schema = msgspec.json.schema(kind)
        assert schema["$defs"][kind.__name__]["type"] == "object"
