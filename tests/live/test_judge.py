"""The judges object to what they are there for, and are silent otherwise: made-up logs and truths."""

from pathlib import Path

import pytest

from sim.duplicates import ANYBODY
from sim.eventlog import LIVE, Line, parse
from sim.facts import Fact, Submitted
from smx.ids import id_text, session_id
from tests.live import judge
from tests.live.eventlog import Tail
from tests.live.judge import Death, Kill
from tests.live.notifications import Bounce, Reported
from tests.live.traffic import Attempt, Copy, compose, read_content, stuffed
from tests.live.windows import strikes

TID = id_text(77)
OTHER = id_text(78)
ALICE, BOB = "alice@lab.example", "bob@sink.example"
QMGR, SMTPC, SMTPS = 100, 200, 300
SESSION = id_text(session_id(SMTPS, 1))


def line(at: int, process: str, note: str, **values: object) -> Line:
    epoch = {"qmgr": QMGR, "smtpc": SMTPC, "smtps": SMTPS}.get(process.partition(".")[0], 1)
    return Line(at, process, 1, int(str(values.pop("epoch", epoch))), note, values)


def goes_to(destination: str, address: str) -> bool:
    return address.endswith("lab.example" if destination == "local" else destination)


def life(*, destination: str = "sink.example", recorded: int = 0, index: int = 1) -> list[Line]:
    """A message for Alice and Bob; the delivery to `destination` sends its dot at 40."""
    lines = [
        line(1, "qmgr", "started"),
        line(10, "qmgr", "submitted", transaction=TID, sender="sender+T1@lab.example", session=SESSION),
        line(10, "qmgr", "recipient", transaction=TID, index=0, address=ALICE),
        line(10, "qmgr", "recipient", transaction=TID, index=1, address=BOB),
        line(15, "qmgr", "durable", transaction=TID),
        line(20, "smtps.mx.0", "accepted", transaction=TID),
        line(30, "qmgr", "begun", delivery=5, transaction=TID, destination=destination, recipients=1, attempt=1),
        line(40, "smtpc.0", "dot", delivery=5, transaction=TID),
    ]
    if recorded:
        lines.append(line(recorded, "qmgr", "recorded", transaction=TID, index=index, attempt=1))
    return lines


def killed(process: str, at: int, epoch: int = 0) -> Kill:
    return Kill(0, "random", (Death(process, epoch or {"qmgr": QMGR, "smtpc.0": SMTPC}.get(process, 1), at),))


Place = tuple[str, str]  # transaction, recipient
UNKNOWN = "*"


def predicted(lines: list[Line], kill: Kill) -> set[Place]:
    """What this kill may repeat."""
    truth = judge.judge(lines, [kill], goes_to)
    found = set()
    for _, places in truth.outlook.deaths():
        for transaction, index in places:
            found.add((id_text(transaction), UNKNOWN if index == ANYBODY else truth.ledger.envelopes[transaction].recipients[index]))
    return found


# --- the predicted set


@pytest.mark.parametrize("process", ["smtpc.0", "qmgr", "mcp"])
def test_a_dot_without_a_recorded_verdict_may_be_repeated(process: str) -> None:
    assert predicted(life(), killed(process, 50)) == {(TID, BOB)}


@pytest.mark.parametrize("process", ["smtpc.0", "qmgr", "mcp", "lda"])
def test_a_recorded_delivery_is_not_repeated(process: str) -> None:
    assert predicted(life(recorded=45), killed(process, 50)) == set()


@pytest.mark.parametrize("process", ["smtps.mx.0", "smar", "lda", "smtpc.1"])
def test_the_death_of_somebody_else_repeats_nothing(process: str) -> None:
    assert predicted(life(), killed(process, 50)) == set()


def test_of_two_that_are_killed_together_each_dies_at_its_own_moment() -> None:
    """The dot falls between the two signals."""
    both = Kill(0, "random", (Death("lda", 1, 35), Death("smtpc.0", SMTPC, 45)))
    assert predicted(life(), both) == {(TID, BOB)}


def test_the_death_of_the_lda_may_repeat_a_local_delivery() -> None:
    assert predicted(life(destination="local"), killed("lda", 50)) == {(TID, ALICE)}


def test_a_verdict_that_is_recorded_after_the_death_of_smtpc_does_not_count() -> None:
    """At its death it was not known: QMGR records that the delivery was interrupted."""
    assert predicted(life(recorded=60), killed("smtpc.0", 50)) == {(TID, BOB)}


def test_a_dot_that_follows_the_death_of_qmgr_counts() -> None:
    assert predicted(life(), killed("qmgr", 35)) == {(TID, BOB)}


@pytest.mark.parametrize(("outcome", "code", "places"), [("deferred", 0, {(TID, BOB)}), ("deferred", 450, set()), ("delivered", 250, set())])
def test_an_interruption_that_is_recorded_after_the_death_of_mcp_is_no_verdict(outcome: str, code: int, places: set[Place]) -> None:
    stop = [
        line(55, "qmgr", "verdict", transaction=TID, index=1, attempt=1, outcome=outcome, code=code),
        line(56, "qmgr", "recorded", transaction=TID, index=1, attempt=1),
    ]
    assert predicted(life() + stop, killed("mcp", 50)) == places


def test_a_verdict_of_the_next_qmgr_does_not_settle_the_delivery_of_the_dead_one() -> None:
    later = [
        line(100, "qmgr", "started", epoch=QMGR + 9),
        line(110, "qmgr", "begun", epoch=QMGR + 9, delivery=9, transaction=TID, destination="sink.example", recipients=1, attempt=1),
        line(120, "smtpc.0", "dot", epoch=SMTPC + 9, delivery=9, transaction=TID),
        line(130, "qmgr", "recorded", epoch=QMGR + 9, transaction=TID, index=1, attempt=1),
    ]
    assert predicted(life() + later, killed("qmgr", 50)) == {(TID, BOB)}


def test_a_delivery_of_a_dead_qmgr_is_not_counted_again_at_later_deaths() -> None:
    later = line(100, "qmgr", "started", epoch=QMGR + 9)
    assert predicted([*life(destination="local"), later], killed("lda", 110)) == set()


def test_a_second_attempt_is_open_although_the_first_was_recorded() -> None:
    again = [
        line(60, "qmgr", "begun", delivery=6, transaction=TID, destination="sink.example", recipients=1, attempt=2),
        line(70, "smtpc.0", "dot", delivery=6, transaction=TID),
    ]
    assert predicted(life(recorded=45) + again, killed("smtpc.0", 80)) == {(TID, BOB)}


def test_a_closed_transaction_is_settled_by_cut_through() -> None:
    assert predicted([*life(), line(45, "qmgr", "closed", transaction=TID)], killed("qmgr", 50)) == set()


def test_a_dot_of_which_the_order_is_lost_means_every_recipient() -> None:
    lines = [each for each in life() if each.note != "begun"]
    assert predicted(lines, killed("qmgr", 50)) == {(TID, ALICE), (TID, BOB)}


def test_a_dot_of_a_transaction_that_is_lost_means_anybody() -> None:
    lines = [each for each in life() if each.note not in ("begun", "recipient")]
    assert predicted(lines, killed("qmgr", 50)) == {(TID, UNKNOWN)}


def test_a_delivery_without_a_dot_is_not_repeated() -> None:
    assert predicted([each for each in life() if each.note != "dot"], killed("smtpc.0", 50)) == set()


# --- duplicates

SENT = Submitted(3, "T1", "sender+T1@lab.example", (ALICE, BOB))


def objections(*others: Fact, lines: list[Line] | None = None, kills: tuple[Kill, ...] = (), ids: tuple[str, ...] = LIVE) -> list[str]:
    """Ids of the checkers that object."""
    truth = judge.judge(lines or [], kills, goes_to, others, ids)
    return sorted({violation.invariant for violation in truth.finish(10_000)})


def copy(recipient: str, at: int = 42, transaction: str = TID, token: str = "T1", *, intact: bool = True) -> Copy:
    return Copy(token, recipient, transaction, at, intact)


TWICE = [*judge.outside([], [copy(BOB), copy(BOB, 90)], []), SENT]


def test_a_predicted_duplicate_is_no_fault() -> None:
    assert objections(*TWICE, lines=life(), kills=(killed("smtpc.0", 50),), ids=("I6",)) == []


@pytest.mark.parametrize("notes", [("begun",), ("begun", "recipient", "submitted")])
def test_a_duplicate_is_no_fault_where_the_lines_that_foretell_it_are_lost(notes: tuple[str, ...]) -> None:
    lines = [each for each in life() if each.note not in notes]
    assert objections(*TWICE, lines=lines, kills=(killed("smtpc.0", 50),), ids=("I6",)) == []


@pytest.mark.parametrize("process", ["smtps.mx.0", "lda", "smar"])
def test_a_duplicate_outside_of_the_predicted_set_is_objected_to(process: str) -> None:
    assert objections(*TWICE, lines=life(), kills=(killed(process, 50),), ids=("I6",)) == ["I6"]


def test_a_duplicate_without_a_kill_is_objected_to() -> None:
    assert objections(*TWICE, lines=life(), ids=("I6",)) == ["I6"]


# --- loss and the rest


def attempt(token: str, *recipients: str, acked: bool = True) -> Attempt:
    return Attempt(token, recipients, dot_at=1, acked_at=2 if acked else 0, ended_at=2, transaction=TID if acked else "")


def bounce(token: str, recipient: str, message_id: str = "<1@x>", action: str = "failed") -> Bounce:
    return Bounce(token, message_id, "<>", (Reported(recipient, action, "5.1.1"),), ())


@pytest.mark.parametrize(
    ("attempts", "copies", "bounces", "found"),
    [
        pytest.param([attempt("T1", ALICE, BOB)], [copy(ALICE)], [], ["I1"], id="a missing recipient"),
        pytest.param([attempt("T1", BOB)], [], [bounce("T1", BOB, action="delayed")], ["I1"], id="only delayed"),
        pytest.param([attempt("T1", BOB, acked=False)], [], [], [], id="not acknowledged"),
        pytest.param([attempt("T1", ALICE, BOB)], [copy(ALICE)], [bounce("T1", BOB)], [], id="delivered and returned"),
        pytest.param([attempt("T1", BOB)], [copy(BOB)], [bounce("T1", BOB)], ["I1"], id="a failure that was none"),
        pytest.param([attempt("T1", ALICE)], [copy(ALICE), copy(BOB)], [], ["I4"], id="for somebody else"),
        pytest.param([Attempt("T1", (BOB,))], [copy(BOB)], [], ["I3"], id="the dot was never sent"),
        pytest.param([], [copy(BOB, token="T9")], [], ["I3"], id="nobody sent it"),
        pytest.param([attempt("T1", BOB)], [copy(BOB, intact=False)], [], ["I5"], id="altered"),
        pytest.param([attempt("T1", BOB)], [], [bounce("T1", BOB), bounce("T1", BOB, "<2@x>")], ["I7"], id="two notifications of one failure"),
        pytest.param([attempt("T1", BOB)], [], [bounce("T1", BOB), bounce("T1", BOB)], [], id="two copies of one, unknown to the log"),
        pytest.param([attempt("T1", BOB)], [], [Bounce("T1", "<1@x>", "<>", (Reported(BOB, "failed", "5"),), ("no status",))], ["I7"], id="against RFC 3464"),
        pytest.param([attempt("T1", BOB), attempt("T2", ALICE)], [copy(BOB), copy(ALICE, token="T2")], [], ["I8"], id="one id for two messages"),
    ],
)
def test_clients_sinks_and_mailboxes_are_judged(attempts: list[Attempt], copies: list[Copy], bounces: list[Bounce], found: list[str]) -> None:
    assert objections(*judge.outside(attempts, copies, bounces, 9_000)) == found


@pytest.mark.parametrize(("process", "found"), [("qmgr", []), ("smar", ["I6"])])
def test_a_notification_that_arrives_twice_must_have_been_foretold(process: str, found: list[str]) -> None:
    dsn = [
        line(50, "qmgr", "bounced", transaction=TID, kind="failed", notification=OTHER, recipients=1, to="sender+T1@lab.example"),
        line(50, "qmgr", "submitted", transaction=OTHER, sender="", session=SESSION),
        line(50, "qmgr", "recipient", transaction=OTHER, index=0, address="sender+T1@lab.example"),
        line(60, "qmgr", "begun", delivery=9, transaction=OTHER, destination="local", recipients=1, attempt=1),
        line(70, "smtpc.0", "dot", delivery=9, transaction=OTHER),
    ]
    twice = [bounce("T1", BOB, f"<{TID}.1.1@x>"), bounce("T1", BOB, f"<{TID}.1.1@x>")]
    assert objections(*judge.outside([], [], twice, 9_000), lines=[*life(), *dsn], kills=(killed(process, 80),), ids=("I6",)) == found


def test_mail_that_is_returned_although_nobody_refused_it_is_objected_to() -> None:
    assert judge.returned([bounce("T1", BOB), bounce("T2", ALICE), bounce("T3", ALICE, action="delayed")], lambda address: address == BOB) == [("T2", ALICE)]


@pytest.mark.parametrize(("status", "found"), [(0, []), (-9, []), (-15, []), (70, ["I15"]), (75, ["I15"])])
def test_a_process_that_ended_by_itself_is_objected_to(status: int, found: list[str]) -> None:
    assert objections(lines=[line(1, "mcp", "exited", of_process="lda", of_pid=7, status=status)]) == found


@pytest.mark.parametrize(("deaths", "found"), [(2, ["L4"]), (3, [])])
def test_mail_that_is_set_aside_too_early_is_objected_to(deaths: int, found: list[str]) -> None:
    lines = [line(number, "qmgr", "begun", epoch=QMGR + number, transaction=TID, delivery=number) for number in range(deaths)]
    lines.append(line(99, "qmgr", "quarantined", epoch=QMGR + 99, transaction=TID, reason="in hand at too many crashes"))
    assert objections(lines=lines, ids=("L4",)) == found


# --- windows


@pytest.mark.parametrize(
    ("at", "process", "windows"),
    [
        (5, "qmgr", {"dot-submission"}),
        (5, "smtps.mx.0", {"dot-submission"}),
        (5, "smtps.mx.1", set()),
        (5, "lda", set()),
        (17, "qmgr", {"submission-250"}),
        (17, "smtps.mx.0", {"submission-250"}),
        (17, "smtpc.0", set()),
        (25, "qmgr", set()),
        (50, "smtpc.0", {"dot-verdict"}),
        (50, "mcp", {"dot-verdict"}),
        (50, "smtps.mx.0", set()),
        (62, "qmgr", set()),
        (72, "qmgr", {"recovery"}),
        (82, "mcp", set()),
        (92, "qmgr", {"spill"}),
    ],
)
def test_a_kill_hits_the_windows_that_are_open_for_its_victim(at: int, process: str, windows: set[str]) -> None:
    log = [
        *life(),
        line(60, "qmgr", "verdict", transaction=TID, index=1),
        line(70, "qmgr", "recovering"),
        line(80, "qmgr", "recovered"),
        line(90, "qmgr", "spilled", recipients=9),
    ]
    sent = Attempt("T1", (ALICE, BOB), dot_at=3, ended_at=21, server=4000)
    epoch = {"smtps.mx.0": SMTPS, "smtps.mx.1": SMTPS + 1, "smtpc.0": SMTPC, "qmgr": QMGR}.get(process, 1)
    (found,) = strikes(log, [killed(process, at, epoch)], [sent], {4000: SMTPS})
    assert found.windows == windows


@pytest.mark.parametrize(("at", "in_hand"), [(2, False), (5, True), (12, True), (95, False)])
def test_mail_is_in_hand_from_the_dot_to_the_end(at: int, *, in_hand: bool) -> None:
    sent = Attempt("T1", (ALICE, BOB), dot_at=3, acked_at=20, ended_at=21)
    (found,) = strikes([*life(), line(94, "qmgr", "closed", transaction=TID)], [killed("lda", at)], [sent], {})
    assert found.in_hand is in_hand


# --- the material


def test_damaged_lines_are_counted_and_left_out() -> None:
    good = b'{"time":"2026-01-02T03:04:05.000006Z","process":"qmgr","pid":7,"epoch":9,"note":"closed","transaction":"x"}'
    lines, damaged = parse(good + b"\n" + good[:40] + b"\n[1]\n" + good[:10] + good + b"\n")
    assert damaged == 3
    assert lines == [Line(1767323045000006, "qmgr", 7, 9, "closed", {"transaction": "x"})]


def test_lines_are_put_in_order_of_time() -> None:
    text = b'{"time":"2026-01-02T03:04:0%dZ","process":"qmgr","pid":7,"epoch":9,"note":"closed"}\n'
    lines, _ = parse(text % 9 + text % 5)
    assert [each.at % 60_000_000 for each in lines] == [5_000_000, 9_000_000]


def test_a_tail_gives_whole_lines_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    tail = Tail(path)
    assert tail.poll() == []
    path.write_bytes(b"one\ntw")
    assert tail.poll() == [b"one"]
    with path.open("ab") as file:
        file.write(b"o\n")
    assert tail.poll() == [b"two"]
    assert tail.poll() == []


@pytest.mark.parametrize("octets", [10, 3000])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_a_message_says_itself_whether_it_is_intact(octets: int, end: bytes) -> None:
    received = b"Return-Path: <x>\r\nReceived: from a ([127.0.0.1])\r\n\tby b with ESMTP id 0123456789BC\r\n\tfor <c@d>;\r\n\tdate\r\n"
    content = (received + compose("T7", (ALICE,), octets)).replace(b"\r\n", end)
    read = read_content(content)
    assert (read.token, read.transaction, read.intact) == ("T7", "0123456789BC", True)
    assert not read_content(content.replace(b" T7", b" T8")).intact


def test_content_is_stuffed_for_the_wire() -> None:
    assert stuffed(b"a\r\n.b\r\n..\r\n") == b"a\r\n..b\r\n...\r\n.\r\n"
    assert stuffed(b".a\r\n") == b"..a\r\n.\r\n"
