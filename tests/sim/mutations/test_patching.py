"""A patch reaches every place that holds what it replaces, and everything is as before afterwards."""

import json
from pathlib import Path

import pytest

import smx.qmgr.ibdb
import smx.smtp.replies
import smx.smtps.content
from sim.mutations import REGISTRY, PatchError, ablate, applied, evaluate_all
from sim.mutations.evaluate import Result
from sim.mutations.own import read
from sim.mutations.patching import locate, replaced
from smx import events
from smx.qmgr.ibdb import Ibdb
from smx.smtps.transaction import TABLE, Fact, Stage


def test_a_method_is_replaced_and_put_back() -> None:
    original = vars(Ibdb)["flush"]
    with replaced("smx.qmgr.ibdb:Ibdb.flush", lambda there: ("instead of", there)):
        assert vars(Ibdb)["flush"] == ("instead of", original)
    assert vars(Ibdb)["flush"] is original


def test_a_table_of_handlers_is_patched_with_the_method() -> None:
    handlers = smx.qmgr.ibdb._HANDLERS
    original = handlers[events.Synced]
    with replaced("smx.qmgr.ibdb:Ibdb._on_synced", lambda there: lambda *arguments: None):
        assert handlers[events.Synced] is not original
    assert handlers[events.Synced] is original


def test_what_other_modules_imported_is_patched() -> None:
    original = smx.smtp.replies.STORAGE_FULL
    with replaced("smx.smtp.replies:STORAGE_FULL", lambda there: "full"):
        assert vars(smx.smtps.content)["STORAGE_FULL"] == "full"
    assert vars(smx.smtps.content)["STORAGE_FULL"] is original
    assert smx.smtp.replies.STORAGE_FULL is original


def test_an_entry_of_a_table_is_replaced_and_put_back() -> None:
    original = TABLE[Stage.SUBMITTED]
    with replaced("smx.smtps.transaction:TABLE[Stage.SUBMITTED]", lambda there: {**there, Fact.KEPT: None}):
        assert TABLE[Stage.SUBMITTED][Fact.KEPT] is None
    assert TABLE[Stage.SUBMITTED] is original


def test_everything_is_put_back_when_the_run_fails() -> None:
    original = vars(Ibdb)["flush"]
    with pytest.raises(ZeroDivisionError), replaced("smx.qmgr.ibdb:Ibdb.flush", lambda there: None):
        raise ZeroDivisionError
    assert vars(Ibdb)["flush"] is original


@pytest.mark.parametrize("name", REGISTRY)
def test_a_mutation_leaves_the_product_as_it_was(name: str) -> None:
    mutation = REGISTRY[name]
    before = locate(mutation.where)[3]
    copy = dict(before) if isinstance(before, dict) else None
    with applied(mutation):
        assert copy is not None or locate(mutation.where)[3] is not before
    assert locate(mutation.where)[3] is before
    assert copy is None or copy == before


# --- mutations of the user's own -----------------------------------------------------------------------------------------------


def test_an_expression_is_tried_in_the_modules_own_names() -> None:
    result = ablate("smx.qmgr.window:Window.room=lambda self, now: self.in_flight <= self._limits.maximum", scenes=["crowd"], seeds=1)
    assert (result.caught, result.checker, result.seeds) == (True, "I11", 1)


def test_an_expression_may_use_what_stands_there() -> None:
    result = ablate("smx.cdb.removal:ContentReferences.sealed = lambda self, segment: original(self, 0)", scenes=["plain"], seeds=1)
    assert (result.caught, result.checker) == (True, "I10")


def test_a_file_may_say_what_shall_stand_there(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def patch(original):\n    return lambda *args, **kwargs: b''\n")
    assert ablate(f"smx.qmgr.notifications:addressee@{path}", scenes=["plain"], seeds=1).checker == "I1"


def test_a_file_may_patch_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from sim.mutations.patching import replaced\n\n\ndef patch():\n    return replaced('smx.qmgr.retry:delay_us', lambda there: lambda *args: 1)\n"
    )
    assert ablate(str(path), scenes=["plain"], seeds=1).checker == "L1"


def test_what_changes_nothing_is_not_caught() -> None:
    told: list[str] = []
    result = ablate("smx.qmgr.retry:expired=original", scenes=["plain", "crowd"], seeds=1, progress=lambda scene, *others: told.append(scene))
    assert (result.caught, result.checker, result.seeds) == (False, "", 2)
    assert told == ["plain", "crowd"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("smx.qmgr.ibdb", "neither"),
        ("smx.qmgr.nothing:x=1", "no module 'smx.qmgr.nothing'"),
        ("os:remove=None", "no module of the product"),
        ("smx.qmgr.ibdb:Ibdb.flsh=None", "did you mean flush"),
        ("smx.qmgr.ibdb:Idbd.flush=None", "did you mean Ibdb"),
        ("smx.qmgr.ibdb:Ibdb.flush=lambda self:", "no expression"),
        ("smx.qmgr.ibdb:Ibdb.flush=unheard_of", "NameError"),
        ("smx.smtps.transaction:TABLE[Stage.OPEN]=1", "no such entry"),
        ("smx.smtps.transaction:TABLE[Nothing]=1", "cannot be evaluated"),
        ("smx.qmgr.ibdb:STORE[0]=1", "only a dict"),
        ("/nowhere/mine.py", "cannot be read"),
    ],
)
def test_a_patch_that_cannot_be_applied_is_told(text: str, message: str) -> None:
    with pytest.raises(PatchError, match=message):
        ablate(text, scenes=["plain"], seeds=1)


def test_a_file_without_patch_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("pass\n")
    with pytest.raises(PatchError, match="no function `patch`"):
        read(str(path))


def test_an_unknown_scene_is_told() -> None:
    with pytest.raises(PatchError, match="no scene nowhere"):
        ablate("smx.qmgr.retry:expired=original", scenes=["nowhere"])


# --- all of them -----------------------------------------------------------------------------------------------------------------


def test_rows_are_those_of_the_table() -> None:
    told: list[tuple[str, int, int]] = []

    def progress(result: Result, done: int, total: int) -> None:
        told.append((result.name, done, total))

    names = ["window-off-by-one", "replies-swapped"]
    rows = [result.row() for result in evaluate_all(names, progress=progress)]
    assert told == [("window-off-by-one", 1, 2), ("replies-swapped", 2, 2)]
    assert json.loads(json.dumps(rows)) == [
        {"name": "window-off-by-one", "checker": "I11", "caught": True, "seeds": 1},
        {"name": "replies-swapped", "checker": "I12", "caught": True, "seeds": 1},
    ]


def test_an_unknown_mutation_is_told() -> None:
    with pytest.raises(KeyError):
        evaluate_all(["nothing"])
