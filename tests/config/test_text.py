"""Times, sizes, values: what people write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smx.config.text import format_size, format_time, parse_number, parse_size, parse_time
from smx.config.values import apply_flags, parse_boolean, parse_endpoint, parse_mailbox, parse_network
from smx.units import DAY, GIB, HOUR, KIB, MIB, MILLISECOND, MINUTE, SECOND

pytestmark = pytest.mark.feature("SX63")

TIMES = [
    ("0", 0),
    ("5m3s", 5 * MINUTE + 3 * SECOND),
    ("1d2h", DAY + 2 * HOUR),
    ("250ms", 250 * MILLISECOND),
    ("7us", 7),
    ("5M", 5 * MINUTE),
    ("3s5m", 5 * MINUTE + 3 * SECOND),
]
BAD_TIMES = [
    ("5", "needs a unit"),
    ("", "expected a time"),
    ("m5", "expected a time"),
    ("5x", "expected a time"),
    ("1m1m", "twice"),
    ("-5m", "expected a time"),
    ("999999999999999d", "too long"),
]
SIZES = [("0", 0), ("65536", 65536), ("64KiB", 64 * KIB), ("10MiB", 10 * MIB), ("2gib", 2 * GIB), ("64K", 64 * KIB), ("1m", MIB)]
BAD_SIZES = [
    ("10MB", "did you mean 10MiB"),
    ("", "expected a size"),
    ("5B", "octets have no unit"),
    ("-1", "expected a size"),
    ("999999999999999G", "too large"),
]


@pytest.mark.parametrize(("text", "microseconds"), TIMES)
def test_a_time_is_read(text: str, microseconds: int) -> None:
    assert parse_time(text) == microseconds


@pytest.mark.parametrize(("text", "reason"), BAD_TIMES)
def test_what_is_no_time_is_told(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_time(text)


@pytest.mark.parametrize(("text", "octets"), SIZES)
def test_a_size_is_read(text: str, octets: int) -> None:
    assert parse_size(text) == octets


@pytest.mark.parametrize(("text", "reason"), BAD_SIZES)
def test_what_is_no_size_is_told(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_size(text)


@given(st.integers(0, 1 << 55))
def test_a_written_time_or_size_reads_back(number: int) -> None:
    assert parse_time(format_time(number)) == number
    assert parse_size(format_size(number)) == number if number < 10**15 else True


@pytest.mark.parametrize("text", ["٣", "1e3", "", "0x10", "9" * 5000])
def test_only_ascii_digits_make_a_number(text: str) -> None:
    with pytest.raises(ValueError, match="whole number"):
        parse_number(text)


@pytest.mark.parametrize(("text", "value"), [("Yes", True), ("on", True), ("TRUE", True), ("no", False), ("Off", False), ("false", False)])
def test_a_boolean_has_three_spellings_each(text: str, value: bool) -> None:
    assert parse_boolean(text) is value


FLAGS = [
    ([], ("a", "b")),
    (["dont_a"], ("b",)),
    (["dont_a", "dont_b"], ()),
    (["c"], ("c",)),
    (["c", "a"], ("a", "c")),
    (["c", "dont_a"], ("c",)),
]


@pytest.mark.parametrize(("given_flags", "outcome"), FLAGS)
def test_negated_flags_are_taken_from_the_default(given_flags: list[str], outcome: tuple[str, ...]) -> None:
    assert apply_flags(("a", "b"), given_flags) == outcome


def test_a_flag_and_its_negation_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="contradict"):
        apply_flags(("a",), ["a", "dont_a"])


ENDPOINTS = [
    ("127.0.0.1", ("127.0.0.1", 53)),
    ("127.0.0.1:5353", ("127.0.0.1", 5353)),
    ("[::1]:5353", ("::1", 5353)),
    ("::1", ("::1", 53)),
    ("[::1]", ("::1", 53)),
]


@pytest.mark.parametrize(("text", "endpoint"), ENDPOINTS)
def test_a_name_server_may_have_a_port(text: str, endpoint: tuple[str, int]) -> None:
    assert parse_endpoint(text) == endpoint


@pytest.mark.parametrize("text", ["ns.example.org", "[::1", "127.0.0.1:0", "127.0.0.1:99999", "[::1]53", ""])
def test_a_name_server_is_an_address(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_endpoint(text)


def test_a_network_with_bits_behind_the_prefix_gets_a_suggestion() -> None:
    assert parse_network("10.0.0.0/8") == "10.0.0.0/8"
    assert parse_network("::1") == "::1/128"
    with pytest.raises(ValueError, match=r"did you mean 10\.0\.0\.0/8"):
        parse_network("10.1.2.3/8")


def test_a_mailbox_has_a_domain() -> None:
    assert parse_mailbox("Root@Example.ORG") == "Root@example.org"
    with pytest.raises(ValueError, match="expected an address"):
        parse_mailbox("root")
