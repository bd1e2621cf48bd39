"""Own: a mutation that somebody wants to try, given as text, and tried in every scene until a checker objects.

    MODULE:ATTRIBUTE=EXPRESSION    smx.qmgr.ibdb:Ibdb._sync=lambda self, out: None
    MODULE:ATTRIBUTE@FILE.py       FILE has `def patch(original)`, which returns what shall stand there
    FILE.py                        FILE has `def patch()`, a context manager

EXPRESSION is Python in the module's own names; `original` is what stands there. The text is run: it is the user's own.
"""

import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import msgspec

from sim.mutations.evaluate import Result, Verdict, judge, judge_product
from sim.mutations.patching import Make, PatchError, load, locate, replaced, split
from sim.mutations.scenes import SCENES

SEEDS: Final = 3
_FORM: Final = re.compile(r"(?P<where>[\w.]+:[\w.]+(?:\[[^\]=]*\])?)\s*(?P<sign>[=@])\s*(?P<rest>.+)", re.DOTALL)

Tried = Callable[[str, Verdict, int, int], None]


class Patch(msgspec.Struct, frozen=True):
    """`apply` gives a context manager that has it in force."""

    text: str
    where: str
    apply: Callable[[], AbstractContextManager[object]]


def read(text: str) -> Patch:
    """What the text means. PatchError says what is wrong with it."""
    text = text.strip()
    found = _FORM.fullmatch(text)
    if found is None:
        if text.endswith(".py"):
            return _of_file(text)
        raise PatchError(f"{text!r} is neither MODULE:ATTRIBUTE=EXPRESSION nor MODULE:ATTRIBUTE@FILE.py nor FILE.py")
    where, rest = found["where"], found["rest"]
    locate(where)
    if found["sign"] == "=":
        return Patch(text, where, lambda: replaced(where, _expression(where, rest)))
    function = _function(rest)
    return Patch(text, where, lambda: replaced(where, function))


def _of_file(path: str) -> Patch:
    function = _function(path)
    return Patch(path, path, function)


def _expression(where: str, text: str) -> Make:
    module, _, _ = split(where)
    try:
        code = compile(text.strip(), f"<{where}>", "eval")
    except SyntaxError as error:
        raise PatchError(f"{text!r} is no expression: {error.msg}") from error

    def make(original: Any) -> Any:
        names = dict(vars(load(module)), original=original)
        try:
            return eval(code, names)
        except Exception as error:
            raise PatchError(f"{text!r} cannot be evaluated in {module}: {type(error).__name__}: {error}") from error

    return make


def _function(path: str) -> Callable[..., Any]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise PatchError(f"{path} cannot be read: {error.strerror}") from error
    names: dict[str, Any] = {"__name__": "patch", "__file__": path}
    try:
        exec(compile(text, path, "exec"), names)
    except Exception as error:
        raise PatchError(f"{path}: {type(error).__name__}: {error}") from error
    function = names.get("patch")
    if not callable(function):
        raise PatchError(f"{path} has no function `patch`")
    made: Callable[..., Any] = function
    return made


def ablate(text: str, seeds: int = SEEDS, scenes: Iterable[str] | None = None, progress: Tried | None = None) -> Result:
    """Try it in the scenes (None: all), all of them with one seed, then with the next one. `progress(scene, verdict, done, total)`.

    `seeds` of the result counts runs.
    """
    patch = read(text)
    with patch.apply():
        pass  # wrong names and expressions are told before anything runs
    wanted = list(SCENES) if scenes is None else list(scenes)
    unknown = [name for name in wanted if name not in SCENES]
    if unknown:
        raise PatchError(f"there is no scene {', '.join(unknown)}; there are {', '.join(SCENES)}")
    done, total = 0, seeds * len(wanted)
    silent = True
    for seed in range(seeds):
        for name in wanted:
            done += 1
            with patch.apply():
                verdict = judge(name, seed)
            if verdict.checker and judge_product(name, seed).checker:
                silent = False
                verdict = Verdict()  # it is not the mutation's
            if progress is not None:
                progress(name, verdict, done, total)
            if verdict.checker:
                return _result(patch, verdict, done, name, silent=True)
    return _result(patch, Verdict(), done, "", silent=silent)


def _result(patch: Patch, verdict: Verdict, runs: int, scene: str, *, silent: bool) -> Result:
    return Result(
        name=patch.text,
        checker=verdict.checker,
        caught=bool(verdict.checker),
        seeds=runs,
        silent=silent,
        violation=verdict.what,
        where=patch.where,
        scene=scene,
    )
