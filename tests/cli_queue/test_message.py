"""What `sendmail` makes of its standard input and its options."""

import pytest

from smx.cli import message as messages
from smx.cli.sendmail import Options, UsageError, parse, xtext
from smx.cli.submit_to import NotRunningError, Target, choose


def finished(octets: bytes, *, dot_ends: bool = True, sender: str = "me@a.example", full_name: str = "") -> bytes:
    read = messages.read(octets, dot_ends=dot_ends)
    return messages.finished(read, sender=sender, full_name=full_name, hostname="a.example", message_id="1")


@pytest.mark.parametrize(
    ("octets", "dot_ends", "body"),
    [
        (b"A: b\n\nbody\n", True, b"body\n"),
        (b"A: b\r\n\r\nbody\r\n", True, b"body\n"),
        (b"A: b\n\nbody", True, b"body\n"),
        (b"A: b\n\none\n.\ntwo\n", True, b"one\n"),
        (b"A: b\n\none\n.\ntwo\n", False, b"one\n.\ntwo\n"),
        (b"A: b\n\n..\n", True, b"..\n"),
        (b"From me Mon\nA: b\n\nbody\n", True, b"body\n"),
        (b"no header here\nat all\n", True, b"no header here\nat all\n"),
        (b"A: b\nno field\n\nx\n", True, b"no field\n\nx\n"),
        (b"A: b\n", True, b""),
        (b"", True, b""),
        (b"\n\nbody\n", True, b"\nbody\n"),
    ],
)
def test_the_body_ends_and_begins_where_it_should(octets: bytes, dot_ends: bool, body: bytes) -> None:
    assert messages.read(octets, dot_ends=dot_ends).body == body


def test_fields_may_be_folded() -> None:
    read = messages.read(b"Subject: a\n b\n\tc\nTo: x\n\n", dot_ends=True)
    assert read.fields == ((b"subject", b"Subject: a\n b\n\tc"), (b"to", b"To: x"))


def test_what_is_missing_is_added_and_every_line_ends_with_crlf() -> None:
    octets = finished(b"Subject: x\n\nhello\n")
    header, _, body = octets.partition(b"\r\n\r\n")
    assert body == b"hello\r\n"
    names = [line.partition(b":")[0] for line in header.split(b"\r\n")]
    assert names == [b"Subject", b"Date", b"From", b"Message-ID"]
    assert b"From: me@a.example" in header
    assert b"Message-ID: <1@a.example>" in header
    assert octets.count(b"\n") == octets.count(b"\r\n") == octets.count(b"\r")


def test_what_is_there_stays() -> None:
    given = b"Date: d\nFrom: f\nMessage-ID: m\n\nhello\n"
    assert finished(given) == given.replace(b"\n", b"\r\n")


def test_bcc_and_return_path_are_never_sent() -> None:
    octets = finished(b"To: a@b\nBcc: secret@b,\n more@b\nReturn-Path: <x@y>\nSubject: s\n\nhello\n")
    assert b"secret" not in octets
    assert b"more" not in octets
    assert b"Return-Path" not in octets
    assert b"Subject: s" in octets


def test_a_null_sender_writes_as_mailer_daemon() -> None:
    assert b"From: MAILER-DAEMON@a.example\r\n" in finished(b"\nx\n", sender="")


def test_the_full_name_stands_in_from() -> None:
    assert b"From: Joe Doe <me@a.example>\r\n" in finished(b"\nx\n", full_name="Joe Doe")


@pytest.mark.parametrize(
    ("octets", "recipients"),
    [
        (b"To: a@b.c\n\n", ["a@b.c"]),
        (b'To: "X, Y" <a@b.c>, d@e.f (comment)\nCc: g@h.i\nBcc: j@k.l\n\n', ["a@b.c", "d@e.f", "g@h.i", "j@k.l"]),
        (b"To: a@b.c,\n d@e.f\n\n", ["a@b.c", "d@e.f"]),
        (b"To: old@b.c\nResent-To: new@b.c\n\n", ["new@b.c"]),
        (b"To: undisclosed-recipients:;\n\n", []),
        (b"Subject: To: a@b.c\n\n", []),
        (b"To: root\n\n", ["root"]),
    ],
)
def test_recipients_are_taken_from_the_header(octets: bytes, recipients: list[str]) -> None:
    assert messages.recipients_of(messages.read(octets, dot_ends=True)) == recipients


@pytest.mark.parametrize(("address", "whole"), [("root", "root@a.b"), ("x@y", "x@y"), ("<x@y>", "x@y"), ("<>", ""), (" x@y ", "x@y")])
def test_addresses_are_completed(address: str, whole: str) -> None:
    assert messages.qualified(address, "a.b") == whole


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], Options()),
        (["-t"], Options(from_header=True)),
        (["-ti"], Options(from_header=True, dot_ends=False)),
        (["-oi", "-oem", "-om", "-odb", "a@b"], Options(dot_ends=False, recipients=("a@b",))),
        (["-f", "x@y", "a@b", "c@d"], Options(sender="x@y", recipients=("a@b", "c@d"))),
        (["-fx@y", "-F", "Joe Doe", "--", "-odd@b"], Options(sender="x@y", full_name="Joe Doe", recipients=("-odd@b",))),
        (["-r<>", "a"], Options(sender="<>", recipients=("a",))),
        (["-N", "success,failure", "-R", "hdrs", "-V", "id"], Options(notify="success,failure", ret="hdrs", envid="id")),
        (["-bp"], Options(mode="p")),
        (["-bs"], Options(mode="s")),
        (["-bm", "-v", "a"], Options(verbose=True, recipients=("a",))),
        (["-q"], Options(mode="q", queue="")),
        (["-qR", "-v"], Options(mode="q", queue="R", verbose=True)),
        (["-qI0123", "-C", "f"], Options(mode="q", queue="I0123", config="f")),
        (
            ["-U", "-G", "-n", "-m", "-s", "-h", "5", "-X", "log", "-O", "a=b", "-p", "ESMTP", "-B8BITMIME", "-d0.1", "-eq", "-L", "tag", "a"],
            Options(recipients=("a",)),
        ),
        (["-I"], Options(mode="i")),
    ],
)
def test_classic_options_are_understood_or_ignored(words: list[str], expected: Options) -> None:
    assert parse(words) == expected


@pytest.mark.parametrize("words", [["-f"], ["-y"], ["-bd"], ["-bt"], ["-t\0"]])
def test_options_that_cannot_be_meant_are_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        parse(words)


def test_xtext_leaves_no_plus_equals_or_space() -> None:
    assert xtext("a+b=c d") == "a+2Bb+3Dc+20d"


@pytest.mark.parametrize(
    ("rows", "target"),
    [
        ([{"protocol": "smtp", "host": "0.0.0.0", "port": 25}], Target("127.0.0.1", 25, "", "h")),
        ([{"protocol": "smtp", "host": "::", "port": 25}], Target("::1", 25, "", "h")),
        ([{"protocol": "lmtp", "host": "1.2.3.4", "port": 24}, {"protocol": "smtp", "path": "/x"}], Target("", 0, "/x", "h")),
        ([{"protocol": "smtp", "path": "/x"}, {"protocol": "smtp", "host": "1.2.3.4", "port": 587}], Target("1.2.3.4", 587, "", "h")),
    ],
)
def test_the_socket_for_mail_is_chosen(rows: list[dict[str, str | int]], target: Target) -> None:
    assert choose(rows, "h") == target


def test_no_socket_that_speaks_smtp_means_not_running() -> None:
    with pytest.raises(NotRunningError):
        choose([{"protocol": "lmtp", "host": "::1", "port": 24}], "h")
