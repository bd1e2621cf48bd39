"""Ids: unique, ordered, and the same in text and number (A11, I8, SX29)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smx import ids

epochs = st.integers(1, ids.EPOCH_MAX)
blocks = st.integers(0, ids.BLOCK_MAX)
sequences = st.integers(0, ids.SEQUENCE_MAX)
numbers = st.integers(0, (1 << 63) - 1)


@given(numbers)
@settings(deadline=None)
def test_text_and_number_are_inverse(number: int) -> None:
    text = ids.id_text(number)
    assert len(text) == ids.TEXT_OCTETS
    assert ids.id_number(text) == number


@given(numbers, numbers)
@settings(deadline=None)
def test_texts_sort_like_numbers(a: int, b: int) -> None:
    assert (a < b) == (ids.id_text(a) < ids.id_text(b))


@given(st.text(max_size=14))
@settings(deadline=None)
def test_a_text_that_is_no_id_is_refused(text: str) -> None:
    try:
        number = ids.id_number(text)
    except ValueError:
        return
    assert ids.id_text(number) == text


@pytest.mark.parametrize("text", ["", "0" * 11, "0" * 13, "A" * 12, "z" * 12, "00000000000\u0660", "-00000000001"])
def test_these_are_no_ids(text: str) -> None:
    with pytest.raises(ValueError, match="queue id"):
        ids.id_number(text)


@given(epochs, blocks, sequences, epochs, blocks, sequences)
@settings(deadline=None)
def test_transactions_of_different_places_differ_and_later_epochs_are_greater(e: int, b: int, s: int, f: int, c: int, t: int) -> None:
    one, other = ids.transaction_id(e, b, s), ids.transaction_id(f, c, t)
    assert (one == other) == ((e, b, s) == (f, c, t))
    assert (one < other) == ((e, b, s) < (f, c, t))
    assert 0 < one < 1 << 63
    assert ids.epoch_of_transaction(one) == e


@pytest.mark.feature("SX29")
@given(epochs, st.integers(0, ids.SESSION_MAX), st.integers(0, ids.SEGMENT_MAX))
@settings(deadline=None)
def test_sessions_and_segments_fit_and_name_their_epoch(epoch: int, session: int, segment: int) -> None:
    assert 0 < ids.session_id(epoch, session) < 1 << 63
    assert ids.epoch_of_segment(ids.segment_id(epoch, segment)) == epoch


@pytest.mark.feature("SX29")
@given(st.lists(st.integers(0, ids.EPOCH_MAX - 100), min_size=1, max_size=50))
@settings(deadline=None)
def test_epochs_only_grow_whatever_the_clock_says(clock: list[int]) -> None:
    """F26: the wall clock may jump either way between launches."""
    last, given_out = 0, []
    for seconds in clock:
        last = ids.next_epoch(last, seconds)
        given_out.append(last)
    assert given_out == sorted(set(given_out))


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (ids.transaction_id, (0, 0, 0)),
        (ids.transaction_id, (1, ids.BLOCK_MAX + 1, 0)),
        (ids.transaction_id, (1, 0, ids.SEQUENCE_MAX + 1)),
        (ids.session_id, (1, ids.SESSION_MAX + 1)),
        (ids.segment_id, (1, ids.SEGMENT_MAX + 1)),
        (ids.segment_id, (ids.EPOCH_MAX + 1, 0)),
    ],
)
def test_a_counter_that_overflows_is_our_own_bug(make: object, arguments: tuple[int, ...]) -> None:
    with pytest.raises(AssertionError):
        make(*arguments)  # type: ignore[operator]


def test_no_word_appears_in_an_id_by_chance() -> None:
    assert not set("AEIOUaeiou") & set("".join(ids.id_text(number * 0x0123456789ABCD) for number in range(1000)))
