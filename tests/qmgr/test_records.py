"""Records of IBDB and rows of DEFEDB: what is written is read, and a newer version is never guessed at (A2, A14, A16)."""

import typing

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smx.effects import Row
from smx.messages import Content, Envelope, Outcome, Recipient
from smx.qmgr import records
from smx.qmgr.records import MAIL_KIND_MIN, AnyRecord, LogRecord, Unknown, decode_record, encode_record, kind_of
from smx.qmgr.rows import ROW_HELD, ParkedRecipient, RowError, envelope_octets, make_row, read_row

KINDS = typing.get_args(AnyRecord)
RECIPIENTS = (Recipient(0, b"a@example.net"), Recipient(1, b"b@example.net", 7, b"rfc822;b@example.net"))
ENVELOPE = Envelope(77, b"from@example.org", RECIPIENTS, Content(5, 96, 1000, 12345, 300, 40, 78, eight_bit=True), 1_700_000_000_000_000, envid=b"id")

numbers = st.integers(0, (1 << 62))
_SIMPLE: dict[object, st.SearchStrategy[object]] = {
    int: numbers,
    bool: st.booleans(),
    bytes: st.binary(max_size=20),
    str: st.text(max_size=10),
    type(None): st.none(),
}


def strategy(kind: object) -> st.SearchStrategy[object]:
    """Values of a field type: int, bytes, str, tuples and Structs of them."""
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        if arguments[-1] is Ellipsis:
            return st.lists(strategy(arguments[0]), max_size=3).map(tuple)
        return st.tuples(*map(strategy, arguments))
    if arguments:
        return st.one_of(*map(strategy, arguments))
    assert isinstance(kind, type)
    return st.builds(kind, *(strategy(field.type) for field in msgspec.structs.fields(kind)))


@given(st.sampled_from(KINDS).flatmap(strategy))
@settings(deadline=None)
def test_every_record_is_read_as_it_was_written(record: AnyRecord) -> None:
    assert decode_record(kind_of(record), encode_record(record)) == record


def test_every_record_has_its_own_kind_and_is_a_plain_value() -> None:
    kinds = [kind.__struct_config__.tag for kind in KINDS]
    assert len(set(kinds)) == len(kinds)
    assert all(0 < kind < 256 for kind in kinds)
    for kind in KINDS:
        assert issubclass(kind, LogRecord)
        config = kind.__struct_config__
        assert config.frozen
        assert config.array_like
        assert not config.gc


def test_the_transaction_is_the_first_field_of_every_record_about_mail() -> None:
    for kind in KINDS:
        first = [field.name for field in msgspec.structs.fields(kind)][:1]
        assert (kind.__struct_config__.tag >= MAIL_KIND_MIN) == (first == ["transaction"]), kind


def test_a_record_of_a_newer_version_names_at_least_its_transaction() -> None:
    payload = msgspec.msgpack.encode([99, 12345, "something new"])
    assert decode_record(99, payload) == Unknown(99, 12345)


@pytest.mark.parametrize(
    "payload",
    [
        b"\xc1",
        b"",
        msgspec.msgpack.encode({"a": 1}),
        msgspec.msgpack.encode([99]),
        msgspec.msgpack.encode([99, "x"]),
        b"\x91" * 5000,
        b"\x93\x63\xa2\xff\xff\x01",
    ],
)
def test_octets_that_no_version_wrote_never_raise(payload: bytes) -> None:
    assert decode_record(99, payload) == Unknown(99, 0)
    assert decode_record(3, payload) == Unknown(3, 0)


@given(st.integers(0, 255), st.binary(max_size=60))
@settings(deadline=None)
def test_no_octets_ever_raise(kind: int, payload: bytes) -> None:
    decode_record(kind, payload)


def test_a_kind_that_contradicts_its_payload_is_unknown() -> None:
    verdict = records.VerdictRecord(7, 0, 1, Outcome.DELIVERED)
    assert decode_record(kind_of(records.Offset(1)), encode_record(verdict)) == Unknown(2, 7)


def test_a_record_with_fields_of_a_later_version_is_read() -> None:
    payload = msgspec.msgpack.encode([18, 7, [[0, 1]], "a later field"])
    assert decode_record(18, payload) == records.Moved(7, ((0, 1),))


def test_a_record_without_later_fields_is_read() -> None:
    """A16: an older version is read."""
    payload = msgspec.msgpack.encode([17, 7, 0, 1, 3])
    assert decode_record(17, payload) == records.VerdictRecord(7, 0, 1, Outcome.DEFERRED)


def test_a_row_gives_back_its_recipient_and_its_envelope() -> None:
    parked = ParkedRecipient(RECIPIENTS[1], b"owner@example.net", 451, b"4.2.1", b"later", "mx [192.0.2.1]", warned=True, crashes=1)
    octets = envelope_octets(ENVELOPE)
    row = make_row(octets, ENVELOPE, parked, attempt=2, next_try=99, state=ROW_HELD, destination="example.net")
    assert (row.transaction, row.index, row.attempt, row.next_try, row.state, row.destination, row.segment) == (77, 1, 2, 99, ROW_HELD, "example.net", 5)
    assert read_row(row) == (msgspec.structs.replace(ENVELOPE, recipients=()), parked)


@given(st.binary(max_size=40), st.binary(max_size=40))
@settings(deadline=None)
def test_a_damaged_row_is_said_to_be_one(envelope: bytes, recipient: bytes) -> None:
    with pytest.raises(RowError):
        read_row(Row(77, 0, 1, 1, 0, "", 5, envelope, recipient))


def test_a_row_with_the_data_of_another_recipient_is_refused() -> None:
    """I4: no foreign recipient."""
    octets = envelope_octets(ENVELOPE)
    row = make_row(octets, ENVELOPE, ParkedRecipient(RECIPIENTS[1]), attempt=1, next_try=1)
    with pytest.raises(RowError, match="another recipient"):
        read_row(msgspec.structs.replace(row, index=0))
    with pytest.raises(RowError, match="another recipient"):
        read_row(msgspec.structs.replace(row, transaction=78))


def test_a_row_of_a_newer_version_is_refused() -> None:
    octets = envelope_octets(ENVELOPE)
    row = make_row(octets, ENVELOPE, ParkedRecipient(RECIPIENTS[0], version=2), attempt=1, next_try=1)
    with pytest.raises(RowError, match="newer smx: version 2, known up to 1"):
        read_row(row)
