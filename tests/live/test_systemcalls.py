"""The judge of system calls objects to a 250 that comes before its syncs: made-up traces."""

import pytest

from smx.ids import id_text, transaction_id
from tests.live.systemcalls import calls, replies, syncs_by_store, too_early

NUMBER = transaction_id(1_790_000_000, 1, 1)
ID = id_text(NUMBER)
CDB, IBDB, SOCKET = "/s/cdb/0001.cdb", "/s/ibdb/0001.ibdb", "socket:[77]"


def escaped(octets: bytes) -> str:
    return "".join(f"\\x{octet:02x}" for octet in octets)


def call(name: str, path: str, data: bytes = b"", *, thread: int = 10, result: str = "= 0") -> str:
    text = f', "{escaped(data)}", {len(data)}' if data else ""
    return f"{thread} 1700000000.000001 {name}(5<{escaped(path.encode())}>{text}) {result}"


CONTENT = call("pwrite64", CDB, b"\x00\xff" + b"Received: from x by y with ESMTP id " + ID.encode() + b";\r\n", result="= 99")
CONTENT_SYNC = call("fdatasync", CDB, thread=11)
ENVELOPE = call("pwrite64", IBDB, b"\x01\xcf" + NUMBER.to_bytes(8, "big") + b"x", thread=20, result="= 11")
ENVELOPE_SYNC = call("fdatasync", IBDB, thread=21)
REPLY = call("write", SOCKET, b"250 2.0.0 " + ID.encode() + b" queued\r\n", result="= 33")
GOOD = (CONTENT, CONTENT_SYNC, ENVELOPE, ENVELOPE_SYNC, REPLY)


def test_content_then_envelope_then_reply_is_right() -> None:
    assert too_early("\n".join(GOOD)) == []


@pytest.mark.parametrize(
    ("lines", "objections"),
    [
        ((CONTENT, CONTENT_SYNC, ENVELOPE, REPLY, ENVELOPE_SYNC), ["before the sync of its ibdb file"]),
        ((CONTENT, ENVELOPE, ENVELOPE_SYNC, REPLY, CONTENT_SYNC), ["before the sync of its cdb file"]),
        ((CONTENT_SYNC, CONTENT, ENVELOPE, ENVELOPE_SYNC, REPLY), ["before the sync of its cdb file"]),
        ((CONTENT, CONTENT_SYNC.replace("= 0", "= -1 EIO"), ENVELOPE, ENVELOPE_SYNC, REPLY), ["before the sync of its cdb file"]),
        ((CONTENT, call("fdatasync", "/s/cdb/0002.cdb"), ENVELOPE, ENVELOPE_SYNC, REPLY), ["before the sync of its cdb file"]),
        ((ENVELOPE, ENVELOPE_SYNC, REPLY, CONTENT, CONTENT_SYNC), ["before anything of it was written to cdb"]),
        ((REPLY,), ["before anything of it was written to cdb", "before anything of it was written to ibdb"]),
    ],
)
def test_a_reply_before_a_sync_is_objected_to(lines: tuple[str, ...], objections: list[str]) -> None:
    assert too_early("\n".join(lines)) == [f"250 for {ID} {objection}" for objection in objections]


def test_a_sync_that_has_begun_and_not_ended_is_none() -> None:
    begun = ENVELOPE_SYNC.replace(") = 0", " <unfinished ...>")
    resumed = "21 1700000000.000002 <... fdatasync resumed>) = 0"
    assert too_early("\n".join((*GOOD[:3], begun, resumed, REPLY))) == []
    assert too_early("\n".join((*GOOD[:3], begun, REPLY, resumed))) == [f"250 for {ID} before the sync of its ibdb file"]


def test_a_sync_that_began_before_the_write_had_ended_covers_nothing() -> None:
    begun = ENVELOPE.replace(") = 11", " <unfinished ...>")
    resumed = "20 1700000000.000002 <... pwrite64 resumed>) = 11"
    assert too_early("\n".join((CONTENT, CONTENT_SYNC, begun, ENVELOPE_SYNC, resumed, REPLY))) == [f"250 for {ID} before the sync of its ibdb file"]


def test_what_was_delivered_by_cut_through_needs_no_sync() -> None:
    delivered = call("sendto", SOCKET, b"250 2.0.0 " + ID.encode() + b" delivered\r\n")
    assert too_early(delivered) == []
    assert [reply.delivered for reply in replies(calls(delivered))] == [True]


def test_a_reply_in_several_pieces_of_one_call_is_seen() -> None:
    pieces = (
        f'10 writev(5<socket:[7]>, [{{iov_base="{escaped(b"250 2.0.0 " + ID.encode())}", iov_len=22}}, {{iov_base=" queued\\x0d\\x0a", iov_len=9}}], 2) = 31'
    )
    assert [reply.transaction for reply in replies(calls(pieces))] == [ID]


def test_syncs_are_counted_by_store() -> None:
    assert syncs_by_store("\n".join((*GOOD, call("fsync", "/s/cdb"), "10 +++ exited with 0 +++"))) == {"cdb": 1, "ibdb": 1, "cdb/": 1}
