"""Histogram, message, addresses, ledger, target, faults' syntax: the parts without a connection."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smx.smtp.data import Census, DataReader
from smx.testing.load.addresses import Addresses, distinct, parse_pattern
from smx.testing.load.draws import Draw, fixed
from smx.testing.load.faults import CLIENT_KINDS, CLIENT_STAGES, SERVER_KINDS, SERVER_STAGES, Dice, Fault, Kind, parse_fault
from smx.testing.load.keep import parse_keep
from smx.testing.load.latency import Histogram, Latency
from smx.testing.load.ledger import Copy, JsonLines, Promise, check, read_copies, read_promises
from smx.testing.load.message import Composer, canonical, token_of
from smx.testing.load.options import LoadOptions
from smx.testing.load.target import Target, parse_target

HERE = Target("127.0.0.1", 25)


# --- latency


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=300), st.sampled_from((50, 90, 99)))
def test_a_percentile_is_exact_to_the_width_of_a_bucket(values: list[int], percent: int) -> None:
    histogram = Histogram()
    for value in values:
        histogram.record(value / 1e6)
    recorded = sorted(int(value / 1e6 * 1e6) for value in values)
    exact = recorded[max(0, -(-len(values) * percent // 100) - 1)]
    assert abs(histogram.percentile(percent) - exact) <= exact * 0.008 + 1
    assert histogram.figures().max_ms == recorded[-1] / 1e3


def test_no_values_give_figures_of_zero() -> None:
    assert Histogram().figures() == Latency()


# --- message


@given(st.integers(1, 5_000), st.integers(1, 10**9))
def test_a_content_has_the_octets_that_were_asked_for_and_is_clean(octets: int, number: int) -> None:
    composer = Composer(b"a@b.example", b"client.example", b"Mon, 01 Jan 2024 00:00:00 +0000")
    token = b"run.%d" % number
    content = composer.compose(token, b"x@y.example", octets)
    assert len(content) == octets or (octets < 330 and len(content) < 330)
    assert token_of(content) == token
    census = Census()
    census.add(content)
    facts = census.facts()
    assert not facts.bare
    assert facts.complete_line
    assert facts.dot_lines == 0
    reader = DataReader()
    assert reader.feed(composer.stuffed(content)) == content
    assert reader.done


def test_a_body_of_the_users_arrives_as_it_is_but_for_its_line_ends() -> None:
    body = b".dot\nbare\rcr\r\n..two\nlast"
    composer = Composer(b"a@b.example", b"client.example", b"now", body)
    content = composer.compose(b"run.1", b"x@y.example", 1)
    assert content.endswith(b"\r\n\r\n.dot\r\nbare\r\ncr\r\n..two\r\nlast\r\n")
    reader = DataReader()
    assert reader.feed(composer.stuffed(content)) == content
    assert canonical(b"") == b""


def test_a_token_is_found_behind_the_trace_fields_of_a_relay_and_none_where_there_is_none() -> None:
    content = Composer(b"a@b.example", b"c.example", b"now").compose(b"run.7", b"x@y.example", 500)
    assert token_of(b"Received: from a by b\r\n\tid 1; now\r\n" + content) == b"run.7"
    assert token_of(b"X-Load-Token: run.8\r\n\r\n") == b"run.8"
    assert token_of(b"Subject: X-Load-Token: run.9\r\n\r\n") == b""


# --- addresses


def addresses(**options: object) -> Addresses:
    return Addresses(LoadOptions(target=HERE, **options), random.Random("1"))  # type: ignore[arg-type]


def test_a_pattern_counts_users_and_domains() -> None:
    made = addresses(to="u%d@d%d.example", users=Draw("series", 1, 3), domains=Draw("series", 1, 2))
    assert [made.one() for _ in range(4)] == [b"u1@d1.example", b"u2@d2.example", b"u3@d1.example", b"u1@d2.example"]
    assert addresses(to="joe@example.org").some(1) == (b"joe@example.org",)


def test_the_recipients_of_a_message_differ() -> None:
    made = addresses(users=Draw("zipf", 1, 50, sigma=1.0))
    assert all(len(set(made.some(20))) == 20 for _ in range(50))


def test_how_many_recipients_can_differ_is_known() -> None:
    users, domains = Draw("series", 1, 4), Draw("series", 1, 6)
    assert distinct(LoadOptions(target=HERE, users=users, domains=domains)) == 12  # in turn, both together
    assert distinct(LoadOptions(target=HERE, users=Draw("uniform", 1, 4), domains=domains)) == 24
    assert distinct(LoadOptions(target=HERE, to="joe@d%d.example", users=users, domains=domains)) == 6
    assert len(addresses(users=users, domains=domains).some(12)) == 12


@pytest.mark.parametrize("pattern", ["joe", "@d.example", "joe@", "u%d%d@x.example", "u%s@x.example", "a b@x.example", "j\xf6@x.example"])
def test_a_pattern_that_is_no_mailbox_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_pattern(pattern)


# --- ledger


def test_a_ledger_and_what_arrived_tell_lost_duplicated_and_never_promised_apart(tmp_path: Path) -> None:
    ledger, arrived = str(tmp_path / "ledger"), str(tmp_path / "arrived")
    promises = JsonLines(ledger)
    promises.add(Promise("r.1", ("a@x.example", "b@x.example"), 1))
    promises.add(Promise("r.2", ("a@x.example",), 2))
    promises.close()
    copies = JsonLines(arrived)
    for token, recipient in (("r.1", "a@x.example"), ("r.1", "a@x.example"), ("r.2", "a@x.example"), ("r.3", "a@x.example"), ("", "a@x.example")):
        copies.add(Copy(token, recipient, "s@x.example", 10, 3))
    copies.close()
    found = check(read_promises(ledger), read_copies(arrived))
    assert (found.promised, found.arrived, found.lost, found.duplicated, found.never_promised) == (3, 2, 1, 1, 1)
    assert found.lost_examples == ("r.1 b@x.example",)
    assert found.never_promised_examples == ("r.3 a@x.example",)


def test_a_last_line_that_was_cut_off_is_left_out_and_a_wrong_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.write_text('{"token":"r.1","recipients":["a@x.example"],"at":1}\n{"token":"r.2","rec')
    assert read_promises(str(path)) == ["r.1 a@x.example"]
    path.write_text("what is this\n")
    with pytest.raises(ValueError, match="ledger:1: this is not a line of such a file"):
        read_promises(str(path))


# --- target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("localhost", Target("localhost", 25)),
        ("192.0.2.1:2525", Target("192.0.2.1", 2525)),
        ("[::1]:2525", Target("::1", 2525)),
        ("[::1]", Target("::1", 25)),
        ("/run/lmtp.sock", Target("", 0, "/run/lmtp.sock")),
        ("unix:lmtp.sock", Target("", 0, "lmtp.sock")),
    ],
)
def test_a_target_is_read_and_written(text: str, target: Target) -> None:
    assert parse_target(text) == target
    assert parse_target(target.text) == target or target.path == "lmtp.sock"


@pytest.mark.parametrize(
    ("text", "why"), [("::1", "brackets"), ("", "host is missing"), ("a:x", "port"), ("a:70000", "port"), ("[::1", "expected"), ("unix:", "path")]
)
def test_a_target_that_cannot_be_read_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_target(text)


# --- faults


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("vanish@data", Fault("vanish", "data")),
        ("vanish@data:0.01", Fault("vanish", "data", 0.01)),
        ("slow@content:0.1:5s", Fault("slow", "content", 0.1, 5.0)),
        ("pause@mail", Fault("pause", "mail", 1.0, 2.0)),
    ],
)
def test_a_fault_of_a_client_is_read(text: str, fault: Fault) -> None:
    assert parse_fault(text, CLIENT_KINDS) == fault


def test_a_fault_of_a_server_may_be_a_reply() -> None:
    assert parse_fault("451@rcpt:0.2", SERVER_KINDS) == Fault("451", "rcpt", 0.2)


@pytest.mark.parametrize(
    ("text", "kinds", "why"),
    [
        ("vanish", CLIENT_KINDS, "expected KIND@STAGE"),
        ("vanis@data", CLIENT_KINDS, r"did you mean vanish\?"),
        ("vanish@dat", CLIENT_KINDS, r"did you mean data\?"),
        ("rset@ehlo", CLIENT_KINDS, "it can at rcpt, data"),
        ("vanish@data:2", CLIENT_KINDS, "probability from 0 to 1"),
        ("vanish@data:x", CLIENT_KINDS, "probability from 0 to 1"),
        ("vanish@data:1:2s", CLIENT_KINDS, "too much"),
        ("slow@content:1:2", CLIENT_KINDS, "needs a unit"),
        ("451@rcpt", CLIENT_KINDS, "no fault is called '451'"),
        ("250@rcpt", SERVER_KINDS, "no fault is called '250'"),
        ("451@quit", SERVER_KINDS, "cannot be done at 'quit'"),
        ("CODE@rcpt", SERVER_KINDS, "no fault is called 'CODE'"),
    ],
)
def test_a_fault_that_cannot_be_read_says_why(text: str, kinds: dict[str, Kind], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_fault(text, kinds)


def test_every_stage_in_the_tables_of_faults_exists() -> None:
    for kinds, stages in ((CLIENT_KINDS, CLIENT_STAGES), (SERVER_KINDS, SERVER_STAGES)):
        assert {stage for kind in kinds.values() for stage in kind.stages} == set(stages)


def test_dice_hit_as_often_as_they_should_and_the_same_from_the_same_seed() -> None:
    faults = (Fault("vanish", "data", 0.1), Fault("reset", "data", 0.2))
    names = [fault.name if (fault := dice.roll()) else "" for dice in [Dice(faults, random.Random("1"))] for _ in range(10_000)]
    again = [fault.name if (fault := dice.roll()) else "" for dice in [Dice(faults, random.Random("1"))] for _ in range(10_000)]
    assert names == again
    assert 0.09 < names.count("vanish@data") / 10_000 < 0.11
    assert 0.16 < names.count("reset@data") / 10_000 < 0.20  # 0.2 of the nine tenths that the first left over


def test_what_to_keep_names_a_kind_and_a_path() -> None:
    assert parse_keep("mbox:a") == "mbox:a"
    for text in ("mbox", "mbox:", "file:a", ""):
        with pytest.raises(ValueError, match="expected jsonl:FILE"):
            parse_keep(text)


def test_a_fixed_number_is_its_own_least_and_most() -> None:
    assert (fixed(7).least, fixed(7).most) == (7, 7)
