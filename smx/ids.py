"""Ids: every id says which epoch it was born in, so that none is ever used twice (A11, I8, SX29).

An epoch is given by MCP to each process it launches: max(last + 1, seconds of the wall clock), durable before the launch.
Within an epoch a counter suffices: no id is ever derived from the time alone, so a clock that jumps back cannot repeat one.

    transaction  epoch 32 | block 15 | sequence 16     63 bits; QMGR grants blocks, SMTPS counts within a block
    session      epoch 32 | counter 31                 63 bits; the epoch is that of the SMTPS process
    segment      epoch 32 | counter 24                 56 bits; the epoch is that of the writer

The text form has 12 characters of a 52-letter alphabet without vowels (no words appear by chance) and sorts like the number.
"""

from typing import Final

EPOCH_BITS: Final = 32
BLOCK_BITS: Final = 15
SEQUENCE_BITS: Final = 16
SESSION_BITS: Final = 31
SEGMENT_BITS: Final = 24

EPOCH_MAX: Final = (1 << EPOCH_BITS) - 1
BLOCK_MAX: Final = (1 << BLOCK_BITS) - 1
SEQUENCE_MAX: Final = (1 << SEQUENCE_BITS) - 1
SESSION_MAX: Final = (1 << SESSION_BITS) - 1
SEGMENT_MAX: Final = (1 << SEGMENT_BITS) - 1

TEXT_OCTETS: Final = 12
_ALPHABET: Final = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
_BASE: Final = len(_ALPHABET)
_VALUE: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_PAIRS: Final = [high + low for high in _ALPHABET for low in _ALPHABET]
_PAIR_BASE: Final = _BASE * _BASE


def next_epoch(last: int, wall_seconds: int) -> int:
    """The epoch for the next launch: later than every earlier one, whatever the clock says (A11)."""
    return max(last + 1, wall_seconds)


def transaction_id(epoch: int, block: int, sequence: int) -> int:
    """The id of transaction `sequence` of a block granted in QMGR's `epoch`."""
    assert 0 < epoch <= EPOCH_MAX
    assert 0 <= block <= BLOCK_MAX
    assert 0 <= sequence <= SEQUENCE_MAX
    return (epoch << (BLOCK_BITS + SEQUENCE_BITS)) | (block << SEQUENCE_BITS) | sequence


def session_id(epoch: int, counter: int) -> int:
    """The id of session `counter` of the process launched in `epoch`."""
    assert 0 < epoch <= EPOCH_MAX
    assert 0 <= counter <= SESSION_MAX
    return (epoch << SESSION_BITS) | counter


def segment_id(epoch: int, counter: int) -> int:
    """The number of segment `counter` of the writer launched in `epoch`."""
    assert 0 < epoch <= EPOCH_MAX
    assert 0 <= counter <= SEGMENT_MAX
    return (epoch << SEGMENT_BITS) | counter


def epoch_of_transaction(transaction: int) -> int:
    return transaction >> (BLOCK_BITS + SEQUENCE_BITS)


def epoch_of_segment(segment: int) -> int:
    return segment >> SEGMENT_BITS


def id_text(number: int) -> str:
    """12 characters for a session or transaction id: what stands in the reply, in Received, in logs and in the DSN."""
    number, f = divmod(number, _PAIR_BASE)
    number, e = divmod(number, _PAIR_BASE)
    number, d = divmod(number, _PAIR_BASE)
    number, c = divmod(number, _PAIR_BASE)
    a, b = divmod(number, _PAIR_BASE)
    return _PAIRS[a] + _PAIRS[b] + _PAIRS[c] + _PAIRS[d] + _PAIRS[e] + _PAIRS[f]


def id_number(text: str) -> int:
    """The inverse of `id_text`. Raises ValueError for anything that `id_text` cannot have written."""
    if len(text) != TEXT_OCTETS:
        raise ValueError(f"a queue id has {TEXT_OCTETS} characters, not {len(text)}: {text!r}")
    number = 0
    for letter in text:
        value = _VALUE.get(letter)
        if value is None:
            raise ValueError(f"a queue id has no {letter!r}: {text!r}")
        number = number * _BASE + value
    if number >> 63:
        raise ValueError(f"not a queue id: {text!r}")
    return number
