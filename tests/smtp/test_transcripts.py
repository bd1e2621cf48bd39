"""Readable dialogues: tests/transcripts/smtp/*.txt, each line one thing that happens.

    O: name=value ...   settings (server) or settings and transaction (client)
    C: text             the client says it, with CRLF;    C| text: the same without CRLF, with escapes such as \\r \\n \\x00
    S: text             the server says it; a final * stands for anything
    D: 550 5.1.1 text   server transcripts: the role's next decision; without one it accepts. `D: wait` leaves it open, `D: go` accepts then
    R: Mail Rcpt        server transcripts: the requests since the last R
    T: tls              the handshake is done
    V: 0 FAILED 550 5.1.1   client transcripts: a verdict (recipient, outcome, code, enhanced), stage in the end
    E: ContentSent      client transcripts: the events since the last E or V, verdicts apart
    X: closed           the session is over

Neighbouring lines of the side under test's peer are sent in one go, and, in a second run, octet by octet.
"""

from collections import deque
from pathlib import Path

import pytest

from smx.messages import Outcome
from smx.smtp import plan
from smx.smtp.client import ClientDialogue
from smx.smtp.plan import ClientSettings, ContentWanted, Recipient, Transaction, TransactionDone, Verdict
from smx.smtp.reply import Reply, ReplyParser
from smx.smtp.requests import Noticed
from smx.smtp.server import ServerDialogue, ServerSettings
from tests.smtp.segments import singly

FOLDER = Path(__file__).resolve().parent.parent / "transcripts" / "smtp"
STAGES = {value: name.removeprefix("STAGE_") for name, value in vars(plan).items() if name.startswith("STAGE_")}

Lines = list[tuple[str, str]]


def load(path: Path) -> Lines:
    lines = [line for line in path.read_text(encoding="ascii").splitlines() if line.strip() and not line.startswith("#")]
    return [(line[:2], line[3:]) for line in lines]


def options(lines: Lines) -> dict[str, str]:
    return dict(word.split("=", 1) for kind, text in lines if kind == "O:" for word in text.split())


def octets_of(kind: str, text: str) -> bytes:
    return text.encode("ascii").decode("unicode_escape").encode("latin-1") if kind[1] == "|" else text.encode("ascii") + b"\r\n"


def value(text: str) -> bool | int | bytes:
    return {"true": True, "false": False}[text] if text in ("true", "false") else int(text) if text.isdigit() else text.encode("ascii")


class Said:
    """What the side under test said and the transcript has not yet matched."""

    def __init__(self) -> None:
        self.octets = b""

    def match(self, kind: str, text: str) -> None:
        expected = octets_of(kind, text)
        line, found, rest = self.octets.partition(b"\r\n")
        if kind[1] == "|":
            assert self.octets.startswith(expected)
            self.octets = self.octets[len(expected) :]
        elif text.endswith("*"):
            assert found
            assert line.startswith(expected[:-3]), f"{line!r} is not {text!r}"
            self.octets = rest
        else:
            assert line + found == expected
            self.octets = rest

    def nothing_left(self) -> None:
        assert self.octets == b""


class Server:
    """Runs a server transcript."""

    def __init__(self, lines: Lines) -> None:
        self.dialogue = ServerDialogue(ServerSettings(b"mx.example.net", **{name: value(text) for name, text in options(lines).items()}))  # type: ignore[arg-type]
        self.said = Said()
        self.decisions: deque[str] = deque()
        self.requests: list[str] = []
        self.waiting = False
        self.dialogue.greet()
        self.pull()

    def pull(self) -> None:
        dialogue = self.dialogue
        while (request := dialogue.next_request()) is not None:
            if not isinstance(request, Noticed):  # whether commands come pipelined depends on segmentation
                self.requests.append(type(request).__name__)
            if dialogue.pending is not None:
                self.decide()
        self.said.octets += dialogue.data_to_send()

    def decide(self) -> None:
        decision = self.decisions.popleft() if self.decisions else "go"
        if decision == "wait":
            self.waiting = True
        elif decision == "go":
            self.dialogue.accept()
        elif decision.startswith("each "):
            self.dialogue.answer_recipients([reply_from(text) for text in decision[5:].split("; ")])
        else:
            self.dialogue.answer(reply_from(decision))

    def run(self, lines: Lines, *, single: bool) -> None:
        pending = b""
        for kind, text in [*lines, ("END", "")]:
            if kind[0] == "C":
                if not pending:
                    self.said.nothing_left()
                pending += octets_of(kind, text)
                continue
            for segment in singly(pending) if single else [pending]:
                self.dialogue.receive(segment)
                self.pull()
            pending = b""
            self.step(kind, text)
        self.said.nothing_left()

    def step(self, kind: str, text: str) -> None:
        if kind[0] == "S":
            self.said.match(kind, text)
        elif kind == "D:":
            self.decisions.append(text)
            if self.waiting:
                self.waiting = False
                self.decide()
                self.pull()
        elif kind == "R:":
            found = [name for name, before in zip(self.requests, [None, *self.requests], strict=False) if name != "ContentChunk" or before != name]
            assert " ".join(found) == text
            self.requests.clear()
        elif kind == "T:":
            self.dialogue.tls_started()
        elif kind == "X:":
            assert self.dialogue.closed
        else:
            assert kind in ("O:", "END")


def reply_from(text: str) -> Reply:
    parser = ReplyParser()
    parser.feed(text.encode("ascii") + b"\r\n")
    reply = parser.next_reply()
    assert isinstance(reply, Reply)
    return reply


class Client:
    """Runs a client transcript. The content is fixed: "A: b", an empty line, ".dot"; it is fed when it is wanted."""

    CONTENT = b"A: b\r\n\r\n.dot\r\n"

    def __init__(self, lines: Lines) -> None:
        given = options(lines)
        tls = getattr(plan, "TLS_" + given.pop("tls", "none").upper())
        recipients = tuple(
            Recipient(address.encode("ascii").decode("unicode_escape").encode("latin-1")) for address in given.pop("to", "b@example.net").split(",")
        )
        reverse_path = given.pop("from", "a@example.org").encode("ascii")
        of_session = {name: value(given.pop(name)) for name in ("lmtp", "chunking", "pipelining") if name in given}
        self.dialogue = ClientDialogue(ClientSettings(b"client.example.org", tls=tls, **of_session))  # type: ignore[arg-type]
        self.transaction = Transaction(reverse_path, recipients, len(self.CONTENT), **{name: value(text) for name, text in given.items()})  # type: ignore[arg-type]
        self.said = Said()
        self.events: list[str] = []
        self.verdicts: deque[Verdict] = deque()
        self.hold_content = False

    def pull(self) -> None:
        dialogue = self.dialogue
        while (event := dialogue.next_event()) is not None:
            self.events.append(type(event).__name__)
            if isinstance(event, ContentWanted) and not self.hold_content:
                self.feed()
            if isinstance(event, TransactionDone):
                self.verdicts.extend(event.verdicts)
        self.said.octets += dialogue.data_to_send()

    def feed(self) -> None:
        self.dialogue.send_content(self.CONTENT[:9])
        self.dialogue.send_content(self.CONTENT[9:])
        self.dialogue.end_content()

    def run(self, lines: Lines, *, single: bool) -> None:
        pending = b""
        for kind, text in [*lines, ("END", "")]:
            if kind[0] == "S":
                if not pending:
                    self.said.nothing_left()
                pending += octets_of(kind, text)
                continue
            for segment in singly(pending) if single else [pending]:
                self.dialogue.receive(segment)
                self.pull()
            pending = b""
            self.step(kind, text)
            self.pull()
        self.said.nothing_left()
        assert not self.verdicts

    def step(self, kind: str, text: str) -> None:
        if kind[0] == "C":
            self.said.match(kind, text)
        elif kind == "V:":
            verdict = self.verdicts.popleft()
            found = f"{verdict.recipient} {Outcome(verdict.outcome).name} {verdict.code} {verdict.enhanced.decode('ascii') or '-'} {STAGES[verdict.stage]}"
            assert found == text
        elif kind == "E:":
            assert " ".join(self.events) == text
            self.events.clear()
        elif kind == "T:":
            self.act(text)
        elif kind == "X:":
            assert self.dialogue.closed
        else:
            assert kind in ("O:", "END")

    def act(self, text: str) -> None:
        dialogue = self.dialogue
        actions = {
            "begin": lambda: dialogue.begin(self.transaction),
            "quit": dialogue.quit,
            "tls": dialogue.tls_started,
            "no tls": lambda: dialogue.tls_failed(b"bad certificate"),
            "lost": dialogue.lost,
            "expired": dialogue.expired,
            "abort": dialogue.abort,
            "hold": lambda: setattr(self, "hold_content", True),
            "feed": self.feed,
        }
        actions[text]()


@pytest.mark.feature("SX33")
@pytest.mark.parametrize("single", [False, True], ids=["at once", "singly"])
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_the_dialogue_goes_as_written(path: Path, single: bool) -> None:
    lines = load(path)
    runner = Client(lines) if path.stem.startswith("client") else Server(lines)
    runner.run(lines, single=single)


def test_there_are_transcripts_of_both_sides() -> None:
    names = [path.stem.split("_")[0] for path in FOLDER.glob("*.txt")]
    assert {"client", "server"} == set(names)
