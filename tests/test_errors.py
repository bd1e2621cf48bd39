"""An SmxError says all that a reply needs, and cannot contradict itself."""

import pytest

from smx.errors import FormatError, SmxError
from smx.smtp.reply import render, reply_of


@pytest.mark.parametrize("kind", [SmxError, FormatError])
def test_an_error_carries_code_enhanced_code_permanence_and_text(kind: type[SmxError]) -> None:
    error = kind(452, (4, 3, 1), "disk full")
    assert (error.code, error.enhanced, error.text, error.permanent) == (452, (4, 3, 1), "disk full", False)
    assert str(error) == "452 4.3.1 disk full"
    assert kind(550, (5, 1, 1), "nobody").permanent


@pytest.mark.parametrize(("code", "enhanced"), [(250, (2, 0, 0)), (354, (3, 0, 0)), (550, (4, 1, 1)), (450, (5, 1, 1)), (600, (6, 0, 0))])
def test_an_error_that_contradicts_itself_is_our_own_bug(code: int, enhanced: tuple[int, int, int]) -> None:
    with pytest.raises(AssertionError):
        SmxError(code, enhanced, "text")


def test_an_errors_reply_is_one_clean_line() -> None:
    error = SmxError(550, (5, 1, 1), "no\r\nsuch \u00e9 user")
    assert render(reply_of(error)) == b"550 5.1.1 no??such ?? user\r\n"
