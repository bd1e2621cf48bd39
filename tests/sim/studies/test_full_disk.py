"""full_disk: no space is a reason to wait, never to lose, to refuse for good, or to end (F11, A10, I15)."""

import pytest

from tests.sim.studies.runs import figures, markers

SEEDS = (0, 2, 4, 12)  # with a power loss, a kill, nothing, a disk that is only nearly full


@pytest.mark.parametrize("seed", SEEDS)
def test_service_resumes_within_seconds(seed: int) -> None:
    assert 0 <= figures("full_disk", seed)["first 250 after the end, s"] < 10
    assert "service resumed" in markers("full_disk", seed)


def test_new_mail_gets_452_and_what_is_queued_is_delivered() -> None:
    found = figures("full_disk", 4)
    assert found["KiB left"] == 0
    assert found["452"] > found["taken meanwhile"]
    assert found["arrived meanwhile"] > 5
    assert {"452 while the disk was full", "relayed while the disk was full"} <= set(markers("full_disk", 4))


def test_on_a_disk_that_is_nearly_full_small_mail_still_goes() -> None:
    found = figures("full_disk", 12)
    assert found["taken meanwhile"] > found["452"]
