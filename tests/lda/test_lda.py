"""The LDA as transcripts: a copy for each recipient, a reply for each recipient, and nothing half done (SX53)."""

import msgspec
import pytest

from smx import effects, events
from smx.lda.deposits import DEPOSITS_MAX
from smx.units import MINUTE, SECOND
from tests.lda.world import SETTINGS, World
from tests.worlds.clients import mail


def connected(*, auto: bool = True) -> World:
    world = World(auto=auto)
    world.connect()
    world.said()
    return world


def test_it_is_ready_and_accepts_at_once() -> None:
    world = World()
    assert world.notes("ready") == [(300,)]
    assert effects.Accept("lda:0", on=True) in world.log


@pytest.mark.feature("SX53")
def test_each_recipient_gets_a_copy_with_return_path_and_delivered_to() -> None:
    world = connected()
    world.send(mail(b"b@example.org", b"C+lists@example.org", body=b"Subject: hi\r\n\r\n..dots\r\n"))
    assert world.codes() == "250 250 250 354 250 250"
    content = b"Subject: hi\r\n\r\n.dots\r\n"
    assert world.delivered == {
        "/mail/b": [b"Return-Path: <a@example.net>\r\nDelivered-To: b@example.org\r\n" + content],
        "/mail/c": [b"Return-Path: <a@example.net>\r\nDelivered-To: C+lists@example.org\r\n" + content],
    }
    assert [(values[1], values[2]) for values in world.notes("deposited")] == [(b"b@example.org", len(content)), (b"C+lists@example.org", len(content))]


@pytest.mark.parametrize("rest", [b"", b"z" * 70 + b"\r\n" + (b"y" * 900 + b"\r\n") * 600], ids=["small", "large"])
def test_a_return_path_that_the_message_brought_along_is_dropped(rest: bytes) -> None:
    """RFC 5321 4.4: a delivered message has exactly one. What stands in the body is nobody's field."""
    forged = b"Return-Path: <forged@example.com>\r\nX-A: 1\r\nRETURN-path :\r\n\t<twice@example.com>\r\nX-B: 2\r\n"
    world = connected()
    world.send(mail(b"b@example.org", body=forged + b"\r\nReturn-Path: <body@example.com>\r\n" + rest))
    assert world.delivered == {
        "/mail/b": [b"Return-Path: <a@example.net>\r\nDelivered-To: b@example.org\r\nX-A: 1\r\nX-B: 2\r\n\r\nReturn-Path: <body@example.com>\r\n" + rest]
    }


def test_a_header_section_without_a_body_is_read_to_its_end() -> None:
    world = connected()
    world.send(mail(b"b@example.org", body=b"X-A: 1\r\nReturn-Path: <forged@example.com>\r\n"))
    assert world.delivered["/mail/b"] == [b"Return-Path: <a@example.net>\r\nDelivered-To: b@example.org\r\nX-A: 1\r\n"]


def test_the_null_reverse_path_stays_null() -> None:
    world = connected()
    world.send(mail(b"b@example.org", sender=b""))
    assert world.delivered["/mail/b"][0].startswith(b"Return-Path: <>\r\n")


@pytest.mark.feature("SX53")
def test_250_is_said_only_when_the_file_is_durable_and_replies_come_in_the_order_of_recipients() -> None:
    world = connected(auto=False)
    world.send(mail(b"b@example.org", b"c@example.org"))
    assert world.codes() == "250 250 250 354"
    world.waiting.reverse()
    world.release(1)
    assert world.codes() == ""
    world.release(1)
    assert world.codes() == "250 250"


@pytest.mark.parametrize(
    ("failure", "reply"),
    [
        (events.DepositFailed(0, no_space=True, reason="no space"), "452 4.2.2"),
        (events.DepositFailed(0, no_space=False, reason="EIO"), "451 4.3.0"),
        (events.DepositFailed(0, no_space=False, reason="no Maildir", missing=True), "451 4.3.0"),
    ],
)
def test_one_recipients_failure_is_its_own(failure: events.DepositFailed, reply: str) -> None:
    world = connected()
    world.fail = lambda directory: failure if directory == "/mail/c" else None
    world.send(mail(b"b@example.org", b"c@example.org", b"d@example.org"))
    assert [line[:9] for line in world.said().splitlines()[-3:]] == ["250 2.1.5", reply, "250 2.1.5"]
    assert sorted(world.delivered) == ["/mail/b", "/mail/d"]


def test_without_a_maildir_the_user_is_unknown_only_where_none_are_made() -> None:
    """Found by crash_storm, seed 44: with `create` a Maildir that is incomplete is trouble of ours, and mail for it is tried again."""
    for create, reply in ((False, "550 5.1.1"), (True, "451 4.3.0")):
        world = World(msgspec.structs.replace(SETTINGS, create=create))
        world.connect()
        world.fail = lambda directory: events.DepositFailed(0, no_space=False, reason="no Maildir", missing=True)
        world.send(mail(b"b@example.org"))
        assert world.said().splitlines()[-1][:9] == reply


@pytest.mark.parametrize("body", [b"hi\r\n", b"z" * 70 + b"\r\n" + b"y" * 600_000 + b"\r\n"], ids=["small", "large"])
def test_a_recipient_to_whom_it_was_delivered_before_gets_5_4_6_and_the_others_their_copy(body: bytes) -> None:
    world = connected()
    world.send(mail(b"B@example.org", b"c@example.org", body=b"Delivered-To: b@Example.org\r\n\r\n" + body))
    assert [line[:9] for line in world.said().splitlines()[-2:]] == ["554 5.4.6", "250 2.1.5"]
    assert list(world.delivered) == ["/mail/c"]
    assert not world.files


@pytest.mark.parametrize("address", [b"../x", b'"../../etc"', b'"a/b"', b'"a\\\\b"', b'".hidden"', b'" "', b"x" * 64, b'"a b"', b"\xff@example.org"])
def test_no_address_leads_out_of_the_maildirs(address: bytes) -> None:
    world = connected()
    world.send(mail(address if b"@" in address else address + b"@example.org"))
    for directory in world.delivered:
        assert directory.count("/") == 2
        assert ".." not in directory


def test_large_content_is_written_as_it_comes_and_small_content_when_it_is_complete() -> None:
    for part, written in ((b"\r\n" + b"z" * 70 + b"\r\n", 0), (b"\r\n" + b"z" * 300_000 + b"\r\n", 1)):
        world = connected()
        world.send(b"MAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n" + part)
        assert len(world.files) == written
        world.send(part + b".\r\n")
        assert world.delivered["/mail/b"][0].endswith(part * 2)


@pytest.mark.parametrize("end", ["hang up", "RSET", "QUIT", "LHLO", "bare"])
@pytest.mark.parametrize("size", [100, 400_000])
def test_what_does_not_come_to_its_end_is_delivered_to_nobody(end: str, size: int) -> None:
    world = connected()
    octets = b"\r\n" + b"z" * size
    if end in ("hang up", "bare"):
        world.send(b"MAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n" + octets)
    else:
        world.send(b"MAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nBDAT %d\r\n" % len(octets) + octets)
    assert bool(world.files) is (size > 300_000)
    if end == "hang up":
        world.feed(events.PeerClosed(1))
    elif end == "bare":
        world.send(b"\r\nbare\nlf\r\n.\r\n")
    else:
        world.send({"RSET": b"RSET\r\n", "QUIT": b"QUIT\r\n", "LHLO": b"LHLO again.example\r\n"}[end])
    assert not world.files
    assert not world.delivered


def test_a_client_that_vanishes_after_its_dot_changes_nothing() -> None:
    world = connected(auto=False)
    world.send(mail(b"b@example.org"))
    world.feed(events.PeerClosed(1))
    world.release()
    assert len(world.notes("deposited")) == 1
    assert not world.lda._deposits.busy


def test_files_are_bounded_and_everybody_is_served_in_turn() -> None:
    world = World(auto=False)
    for connection in range(1, 21):
        world.connect(connection)
        world.send(
            mail(*[b"u%d@example.org" % number for number in range(40)], body=b"\r\n" + b"z" * (400_000 if connection % 2 else 10) + b"\r\n"), connection
        )
    while world.waiting:
        world.release(7)
    assert world.open_max <= DEPOSITS_MAX
    for connection in range(1, 21):
        assert world.codes(connection).endswith("354" + " 250" * 40)
    assert not world.lda._deposits.busy


def test_a_source_that_has_to_wait_for_files_is_not_read() -> None:
    world = World(auto=False)
    for connection in range(1, 5):
        world.connect(connection)
        recipients = b"".join(b"RCPT TO:<u%d@example.org>\r\n" % number for number in range(100))
        world.send(b"MAIL FROM:<>\r\n" + recipients + b"DATA\r\n\r\n" + b"z" * 300_000, connection)
        world.send(b"z" * 300_000, connection)
    assert [world.reading[connection] for connection in range(1, 5)] == [True, True, False, False]
    world.feed(events.PeerClosed(1))
    assert [world.reading[connection] for connection in range(2, 5)] == [True, True, False]
    world.feed(events.PeerClosed(4))
    for connection in (2, 3):
        world.send(b"\r\n.\r\n", connection)
        world.release()
        assert world.codes(connection).endswith("354" + " 250" * 100)


def test_a_file_name_is_never_given_twice_not_even_by_a_clock_that_jumps_back() -> None:
    names: list[str] = []
    for epoch in (300, 301):
        world = World(epoch=epoch)
        world.connect()
        for offset in (1_800_000_000, 1_700_000_000, 1_800_000_000):
            world.feed(events.ClockJumped(offset * SECOND))
            for _ in range(20):
                world.send(mail(b"b@example.org"))
        names += world.names
    assert len(set(names)) == len(names) == 120
    assert all("/" not in name and ":" not in name and name.endswith(".mx.example.org") for name in names)


def test_a_silent_client_gets_421_and_more_sessions_than_allowed_too() -> None:
    world = World(msgspec.structs.replace(SETTINGS, sessions_max=1, io_timeout_us=MINUTE))
    world.connect(1)
    world.said(1)
    world.connect(2)
    assert world.said(2).startswith("421 ")
    world.advance(MINUTE)
    assert world.said(1).startswith("421 4.4.2")
    assert world.closed == {1, 2}


def test_a_stop_ends_idle_sessions_and_waits_for_what_is_in_hand() -> None:
    world = World(auto=False)
    world.connect(1)
    world.connect(2)
    world.said(1)
    world.send(mail(b"b@example.org"), 2)
    world.said(2)
    world.feed(events.StopRequested(10 * SECOND))
    assert world.codes(1) == "421"
    assert not world.halted
    world.release()
    assert world.codes(2) == "250 421"
    assert [world.halted] == ["stopped"]


def test_a_stop_ends_when_its_grace_is_over() -> None:
    world = World(auto=False)
    world.connect()
    world.send(mail(b"b@example.org"))
    world.feed(events.StopRequested(10 * SECOND))
    world.advance(10 * SECOND)
    assert world.halted == "stopped"
    assert world.codes() == "220 250 250 250 354"
