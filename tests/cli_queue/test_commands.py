"""smx queue, smx-mailq and smx-sendmail against a whole MTA."""

import io
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from smx.cli import mailq, sendmail
from smx.cli.main import main as smx
from smx.ids import id_number
from smx.testing.server import Server

DEAD = "away.example"  # routed to a port where nobody listens
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mta(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        server = Server(tmp_path, local_domains=("example.org", "mx.example.org"), mailertable={DEAD: f"[127.0.0.1]:{port}"})
        monkeypatch.setenv("SMX_SPOOL", str(server.spool))
        with server:
            yield server


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """(status, output, errors) of a command."""

    def call(command: Callable[[list[str]], int], *words: str, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        status = command(list(words))
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


def send(run: Run, *recipients: str, sender: str = "me@example.org") -> None:
    assert run(sendmail.main, "-f", sender, *recipients, stdin=b"Subject: x\n\nhello\n") == (0, "", "")


def wait_attempts(run: Run, attempts: int) -> None:
    """Until every recipient in the queue is deferred, durably, after so many attempts."""
    until = time.monotonic() + 20
    while rows := json.loads(run(smx, "queue", "ls", "--json")[1]):
        if all((row["state"], row["attempts"]) == ("deferred", attempts) for row in rows):
            return
        assert time.monotonic() < until, rows
        time.sleep(0.01)


# --- sendmail


def test_sendmail_hands_a_message_in(mta: Server, run: Run) -> None:
    status, output, errors = run(
        sendmail.main, "-f", "me@example.org", "-F", "Me", "joe", stdin=b"Subject: caf\xc3\xa9\n\n.hidden\n..\nh\xc3\xa9llo\n.\nnot this\n"
    )
    assert (status, output, errors) == (0, "", "")
    (message,) = mta.wait_maildir("joe", 1)
    header, _, body = message.replace(b"\r\n", b"\n").partition(b"\n\n")
    assert body == b".hidden\n..\nh\xc3\xa9llo\n"
    assert b"From: Me <me@example.org>" in header
    assert b"Message-ID: <" in header


def test_sendmail_takes_recipients_from_the_header_and_drops_bcc(mta: Server, run: Run) -> None:
    given = b"To: joe@example.org\nBcc: ann@example.org, joe@example.org\nSubject: x\n\nhello\n"
    assert run(sendmail.main, "-t", "-i", stdin=given)[0] == 0
    for user in ("joe", "ann"):
        (message,) = mta.wait_maildir(user, 1)
        assert b"Bcc" not in message


def test_sendmail_tells_refused_recipients(mta: Server, run: Run) -> None:
    status, _, errors = run(sendmail.main, "joe@example.org", "no two@@example.org", stdin=b"\nx\n")
    assert status == 67
    assert "no two@@example.org" in errors
    mta.wait_maildir("joe", 1)


def test_sendmail_without_recipients_is_a_wrong_use(mta: Server, run: Run) -> None:
    assert run(sendmail.main, stdin=b"\nx\n")[0] == 64
    assert run(sendmail.main, "-t", stdin=b"Subject: x\n\n")[0] == 64


def test_sendmail_bv_asks_only(mta: Server, run: Run) -> None:
    assert run(sendmail.main, "-bv", "joe@example.org") == (0, "joe@example.org... deliverable\n", "")
    assert mta.maildir("joe") == []


def test_sendmail_fails_for_now_when_smx_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setenv("SMX_SPOOL", str(tmp_path))
    status, _, errors = run(sendmail.main, "joe@example.org", stdin=b"\nx\n")
    assert status == 75
    assert "smx is not running" in errors
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        row = {"name": "smtps.mx:0", "protocol": "smtp", "host": "127.0.0.1", "port": probe.getsockname()[1]}
    (tmp_path / "listeners.json").write_text(json.dumps({"pid": 1, "hostname": "h", "listeners": [row]}))
    status, _, errors = run(sendmail.main, "joe@example.org", stdin=b"\nx\n")
    assert status == 75
    assert "nothing was sent" in errors


def test_sendmail_bs_speaks_smtp_on_standard_input(mta: Server) -> None:
    dialogue = b"EHLO me\r\nMAIL FROM:<me@example.org>\r\nRCPT TO:<joe@example.org>\r\nDATA\r\nSubject: x\r\n\r\nhello\r\n.\r\nQUIT\r\n"
    program = [sys.executable, "-m", "smx.cli.sendmail", "-bs"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
        output, _ = process.communicate(dialogue, timeout=20)
    assert process.returncode == 0
    assert output.startswith(b"220 ")
    assert output.rstrip().rpartition(b"\r\n")[2].startswith(b"221")
    mta.wait_maildir("joe", 1)


def test_sendmail_reads_no_configuration_when_it_knows_the_spool() -> None:
    program = "import sys; import smx.cli.sendmail; print([m for m in ('lark', 'typer', 'rich', 'msgspec', 'asyncio', 'smx.config') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=20).stdout == "[]\n"


# --- the queue


@pytest.mark.feature("SX65")
def test_mailq_lists_deferred_mail_with_its_reason(mta: Server, run: Run) -> None:
    assert run(mailq.main) == (0, "Mail queue is empty\n", "")
    send(run, f"you@{DEAD}")
    wait_attempts(run, 1)
    status, output, _ = run(mailq.main)
    head, entry, reason, recipient, _, total = output.splitlines()
    assert status == 0
    assert head.startswith("--Queue ID--")
    assert "me@example.org" in entry
    assert "connection refused" in reason
    assert recipient.strip() == f"you@{DEAD}"
    assert total.endswith("in 1 request.")
    assert run(sendmail.main, "-bp")[1] == output


@pytest.mark.feature("SX65")
def test_ls_selects_and_shows(mta: Server, run: Run) -> None:
    send(run, f"you@{DEAD}", f"two@{DEAD}")
    send(run, f"you@{DEAD}", sender="<>")
    wait_attempts(run, 1)
    status, output, _ = run(smx, "queue", "ls", "--json")
    rows = json.loads(output)
    assert status == 0
    assert [(row["sender"], row["recipient"], row["state"]) for row in rows] == [
        ("me@example.org", f"you@{DEAD}", "deferred"),
        ("me@example.org", f"two@{DEAD}", "deferred"),
        ("", f"you@{DEAD}", "deferred"),
    ]
    first = rows[0]["id"]
    assert id_number(first)

    def listed(*words: str) -> int:
        return len(json.loads(run(smx, "queue", "ls", "--json", *words)[1]))

    assert listed("--recipient", "two@*") == 1
    assert listed("--sender", "<>") == 1
    assert listed("--sender", "ME@*") == 2
    assert listed("--id", first) == 2
    assert listed("--id", first, "--recipient", "two@*") == 1
    assert listed("--state", "held") == 0
    assert listed("--older-than", "1h") == 0
    assert listed("--younger-than", "1h") == 3
    assert listed("--destination", "nowhere") == 0
    assert listed("--limit", "1") == 1
    table = run(smx, "queue", "ls")[1].splitlines()
    assert table[0].split() == ["ID", "STATE", "AGE", "NEXT", "TRIES", "SIZE", "SENDER", "RECIPIENT", "REASON"]
    assert len(table) == 4
    shown = run(smx, "queue", "show", first, "--content")[1]
    assert f"<two@{DEAD}>" in shown
    assert "connection refused" in shown
    assert shown.endswith("\n\nhello\n")
    assert run(smx, "queue", "show", "000000000001")[0] == 1


@pytest.mark.feature("SX66")
def test_what_is_held_waits_and_what_is_removed_is_gone(mta: Server, run: Run) -> None:
    send(run, f"one@{DEAD}", f"two@{DEAD}")
    wait_attempts(run, 1)
    status, output, _ = run(smx, "queue", "hold", "--recipient", "one@*", "--dry-run")
    assert (status, output.splitlines()[-1]) == (0, "hold: 1 recipient would be changed")
    assert run(smx, "queue", "ls", "--state", "held")[1] == "nothing in the queue that this selects\n"
    assert run(smx, "queue", "hold", "--recipient", "one@*")[1].splitlines()[-1] == "hold: 1 recipient"
    assert "held" in run(smx, "queue", "ls", "--recipient", "one@*")[1]
    assert run(mailq.main)[1].splitlines()[1].split()[0].isalnum(), "one of the two is still deferred"
    changed = json.loads(run(smx, "queue", "rm", "--recipient", "two@*", "--json")[1])
    assert (changed["verb"], changed["recipients"], changed["rows"][0]["recipient"]) == ("remove", 1, f"two@{DEAD}")
    assert mta.notes("removed")
    assert run(smx, "queue", "rm", "--recipient", "two@*")[0] == 1
    assert run(smx, "queue", "release", "--all")[0] == 0
    wait_attempts(run, 2)
    audits = [note.values for note in mta.notes("audit")]
    assert [verb for _, verb, *_ in audits] == ["hold", "remove", "remove", "release"]
    assert all(who for who, *_ in audits)


@pytest.mark.feature("SX66")
def test_retry_tries_and_bounce_returns(mta: Server, run: Run) -> None:
    send(run, f"you@{DEAD}")
    wait_attempts(run, 1)
    queue_id = json.loads(run(smx, "queue", "ls", "--json")[1])[0]["id"]
    assert run(smx, "queue", "retry", queue_id)[0] == 0
    wait_attempts(run, 2)
    assert "  2 tries\n" in run(smx, "queue", "show", queue_id)[1]
    assert run(sendmail.main, "-qRyou")[0] == 0
    wait_attempts(run, 3)
    assert run(smx, "queue", "bounce", "--sender", "me@example.org")[0] == 0
    (notification,) = mta.wait_maildir("me", 1)
    assert f"you@{DEAD}".encode() in notification
    mta.wait_empty()
    assert run(smx, "queue", "ls")[1] == "nothing in the queue\n"


def test_a_change_of_everything_must_be_meant(mta: Server, run: Run) -> None:
    status, _, errors = run(smx, "queue", "rm")
    assert status == 64
    assert "--all" in errors


@pytest.mark.parametrize(
    "words",
    [
        ["ls", "--state", "odd"],
        ["ls", "--id", "x"],
        ["ls", "--older-than", "soon"],
        ["set", "no_such_limit", "5"],
        ["set", "smtpc.max_connections", "many"],
        ["set", "smtpc.max_connections", "0"],
    ],
)
def test_what_cannot_be_meant_is_refused(mta: Server, run: Run, words: list[str]) -> None:
    status, output, errors = run(smx, "queue", *words)
    assert (status, output) == (64, "")
    assert errors.startswith("smx queue: ")


@pytest.mark.feature("SX66")
def test_status_shows_limits_and_set_changes_them(mta: Server, run: Run) -> None:
    figures = json.loads(run(smx, "queue", "status", "--json")[1])["figures"]
    assert figures["limit.smtpc.max_connections"] == 100
    assert run(smx, "queue", "set", "limit.smtpc.max_connections", "7")[0] == 0
    assert run(smx, "queue", "set", "retry.min", "90s")[1].split() == ["retry.min", "1m30s"]
    lines = dict(line.split() for line in run(smx, "queue", "status")[1].splitlines() if line.startswith("limit."))
    assert lines["limit.smtpc.max_connections"] == "7"
    assert lines["limit.retry.min"] == "1m30s"
    assert [note.values[:2] for note in mta.notes("limit")] == [("smtpc.max_connections", 7), ("retry.min", 90_000_000)]


def test_tools_say_when_no_smx_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setenv("SMX_SPOOL", str(tmp_path))
    assert run(smx, "queue", "ls")[0] == 69
    assert run(mailq.main)[0] == 75
    assert run(sendmail.main, "-q")[0] == 75


def test_text_of_peers_cannot_move_the_cursor() -> None:
    from smx.admin.queue import shown

    assert shown(b"\x1b[2Jx\xff\n") == "\\x1b[2Jx\\xff\\x0a"
