"""Profiles: smx is started, judged in every role, killed, started again and stopped; recipes are complete."""

import os
from pathlib import Path

import pytest

from conformance import profiles
from conformance.case import catalogue
from conformance.outcome import PASS, SKIP
from conformance.profiles import ProfileError, running
from conformance.profiles.profile import runs, saved
from conformance.profiles.recipe import filled
from conformance.profiles.recipes import RECIPES
from conformance.runner import run

CHOSEN = (
    "rfc5321/4.1.4/rcpt-before-mail",
    "rfc5321/5.1/lowest-preference-first",
    "rfc5321/4.4/relay-domain-for-an-outsider",
    "rfc5321/6.1/accepted-survives-kill",
    "rfc5321/6.1/accepted-is-delivered",
)


def test_smx_is_judged_in_every_role_and_nothing_is_left_running(tmp_path: Path) -> None:
    cases = [case for case in catalogue() if case.id in CHOSEN]
    with running("smx", tmp_path) as target:
        found = run(target, cases)
        assert runs(saved(tmp_path))
    assert {result.id: (result.outcome, result.reason) for result in found.results} == {case.id: (PASS, "") for case in cases}
    assert found.target_version not in ("", "unknown")
    assert not runs(saved(tmp_path))


def test_without_a_folder_everything_is_removed() -> None:
    with running("smx") as target:
        folder = Path(target.delivery.maildir).parent.parent
        assert folder.exists()
    assert not folder.exists()


def test_a_profile_that_is_not_there_says_what_helps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="there is no profile nosuch"), running("nosuch"):
        pass
    monkeypatch.setenv("SMX_CONFORMANCE_PEERS", str(tmp_path / "none"))
    wanted = "not installed: make conformance-peers" if os.geteuid() == 0 else "needs root"
    with pytest.raises(ProfileError, match=wanted), running("postfix", tmp_path / "x"):
        pass


@pytest.mark.parametrize("name", RECIPES)
def test_the_texts_of_a_recipe_have_no_placeholder_left(name: str, tmp_path: Path) -> None:
    recipe = RECIPES[name]
    place = profiles.Place(name, str(tmp_path), 20, dict.fromkeys(recipe.services, 2525))
    for text in (*recipe.files, *recipe.files.values(), recipe.setup, recipe.run, recipe.flush):
        whole = filled(text, place)
        assert not any(f"@{word}@" in whole for word in ("dir", "port", "hostname", "domain", "relay", "trusted", "deliver", "nameserver", "submission"))
    assert recipe.version and (recipe.packages or recipe.npm or recipe.pip)


@pytest.mark.parametrize("name", ["postfix", "exim"])
def test_an_installed_peer_is_judged(name: str, tmp_path: Path) -> None:
    cases = [case for case in catalogue() if case.id in CHOSEN[:3]]
    try:
        with running(name, tmp_path) as target:
            found = run(target, cases)
    except ProfileError as error:
        pytest.skip(str(error))
    assert {result.outcome for result in found.results} <= {PASS, SKIP}
