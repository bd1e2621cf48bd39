"""Which DSN for whom: the table against RFC 3461 (SX27, SX28, I7)."""

import itertools

import pytest

from smx.messages import Notify, Outcome, Protocol
from smx.qmgr.notifications import RULES, Fate, addressee, due, fate_of, inherited

N = Notify
GIVEN = [N.NEVER, *(N(sum(chosen)) for size in (1, 2, 3) for chosen in itertools.combinations((N.SUCCESS, N.FAILURE, N.DELAY), size))]

# RFC 3461, section: (fate, NOTIFY, is a DSN due)
SENTENCES = [
    ("5.2.2 (b)", Fate.RELAYED, N.SUCCESS, True),
    ("5.2.2 (b)", Fate.RELAYED, N.SUCCESS | N.FAILURE, True),
    ("5.2.2 (d)", Fate.RELAYED, N.NEVER, False),
    ("5.2.2 (d)", Fate.FAILED, N.NEVER, False),
    ("5.2.2 (e)", Fate.RELAYED, N.DEFAULT, False),
    ("5.2.2 (f)", Fate.FAILED, N.DEFAULT, True),
    ("5.2.3 (a)", Fate.DELIVERED, N.SUCCESS, True),
    ("5.2.3 (b)", Fate.DELIVERED, N.FAILURE | N.DELAY, False),
    ("5.2.3 (c)", Fate.DELIVERED, N.DEFAULT, False),
    ("5.2.5 (a)", Fate.DELAYED, N.DELAY, True),
    ("5.2.5 (b)", Fate.DELAYED, N.DEFAULT, True),
    ("5.2.5 (c)", Fate.DELAYED, N.SUCCESS | N.FAILURE, False),
    ("5.2.6 (a)", Fate.FAILED, N.FAILURE, True),
    ("5.2.6 (b)", Fate.FAILED, N.SUCCESS | N.DELAY, False),
    ("5.2.6 (c)", Fate.FAILED, N.DEFAULT, True),
    ("5.2.7.1", Fate.LISTED, N.SUCCESS, True),
    ("5.2.7.1", Fate.LISTED, N.DEFAULT, False),
    ("5.2.7.2", Fate.FORWARDED, N.SUCCESS, False),
    ("5.2.7.3 (c)", Fate.EXPANDED, N.SUCCESS, True),
    ("5.2.7.3 (c)", Fate.EXPANDED, N.FAILURE, False),
    ("5.2.1", Fate.PASSED, N.SUCCESS, False),
]


@pytest.mark.feature("SX27")
@pytest.mark.parametrize(("section", "fate", "notify", "told"), SENTENCES)
def test_sentence(section: str, fate: Fate, notify: int, told: bool) -> None:
    assert due(fate, notify) is told, section


@pytest.mark.parametrize("fate", Fate)
def test_never_means_never(fate: Fate) -> None:
    assert not due(fate, N.NEVER)
    assert addressee(fate, N.NEVER, b"s@x", b"r@x", b"boss@x") == b""
    assert addressee(fate, N.NEVER, b"", b"r@x", b"boss@x") == b""


@pytest.mark.parametrize("fate", Fate)
@pytest.mark.parametrize("notify", [N.DEFAULT, *GIVEN])
def test_the_null_reverse_path_is_told_nothing_and_a_double_bounce_goes_to_one_address_only(fate: Fate, notify: int) -> None:
    to = addressee(fate, notify, b"", b"r@x", b"boss@x")
    assert to == (b"boss@x" if fate is Fate.FAILED and due(fate, notify) else b"")
    assert addressee(fate, notify, b"", b"boss@x", b"boss@x") == b""
    assert addressee(fate, notify, b"", b"r@x", b"") == b""


def test_every_fate_has_a_rule() -> None:
    assert set(RULES) == set(Fate)


@pytest.mark.parametrize(
    ("outcome", "protocol", "fate"),
    [
        (Outcome.DELIVERED, Protocol.SMTP, Fate.PASSED),
        (Outcome.RELAYED, Protocol.SMTP, Fate.RELAYED),
        (Outcome.DELIVERED, Protocol.LMTP, Fate.DELIVERED),
        (Outcome.RELAYED, Protocol.LMTP, Fate.DELIVERED),
    ],
)
def test_the_fate_of_what_was_handed_on(outcome: int, protocol: int, fate: Fate) -> None:
    assert fate_of(outcome, protocol) is fate


@pytest.mark.parametrize("notify", [N.DEFAULT, *GIVEN])
def test_several_addresses_behind_an_alias_lose_success_and_gain_nothing(notify: int) -> None:
    assert inherited(notify, several=False) == notify
    below = inherited(notify, several=True)
    assert not below & N.SUCCESS
    for fate in (Fate.FAILED, Fate.DELAYED):
        assert due(fate, below) == due(fate, notify)
