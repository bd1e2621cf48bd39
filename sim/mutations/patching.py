"""Patching: replaces a part of the product from outside for the time being, wherever the product keeps it, and puts it back.

A part is named `module:attribute` or `module:Class.attribute`; with `[key]` behind it, an entry of a table: `smx.smtp.data:_END`,
`smx.qmgr.ibdb:Ibdb._sync`, `smx.qmgr.notifications:RULES[Fate.RELAYED]` (the key is an expression in the module's names).

What other modules of the product imported under the same name, and tables of handlers that hold a function, are patched along with it: the
product has no hooks, so a mutation must reach what was bound when the product was loaded.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

PRODUCT: Final = "smx"
RUNTIME: Final = "sim.disk"  # what stands for the live runtime's code on files may be mutated as well
MISSING: Final = object()

Make = Callable[[Any], Any]  # what is there -> what shall be there
Undo = Callable[[], None]


class PatchError(Exception):
    """A patch that cannot be applied; the text says why."""


def split(where: str) -> tuple[str, str, str]:
    """(module, dotted attribute, key expression or "")."""
    module, colon, rest = where.partition(":")
    attribute, bracket, key = rest.partition("[")
    if not colon or not module or not attribute or (bracket and not key.endswith("]")):
        raise PatchError(f"{where!r} is not of the form MODULE:ATTRIBUTE, MODULE:CLASS.ATTRIBUTE or MODULE:TABLE[KEY]")
    return module, attribute, key[:-1]


def load(name: str) -> ModuleType:
    """A module of the product, imported."""
    if not name.startswith((PRODUCT + ".", RUNTIME + ".")) and name != PRODUCT:
        raise PatchError(f"{name!r} is no module of the product: its modules are {PRODUCT}.something")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise PatchError(f"there is no module {name!r}: {error}") from error


def locate(where: str) -> tuple[ModuleType, Any, str, Any]:
    """(module, owner, last name, what is there now). The owner is the module or a class; a class gives what stands in its own body."""
    module_name, attribute, _ = split(where)
    module = load(module_name)
    owner: Any = module
    *path, last = attribute.split(".")
    for name in path:
        if not hasattr(owner, name):
            raise PatchError(f"{module_name} has no {attribute!r}: there is no {name!r}{_hint(owner, name)}")
        owner = getattr(owner, name)
    found = vars(owner).get(last, MISSING) if hasattr(owner, "__dict__") else MISSING
    if found is MISSING:
        raise PatchError(f"{module_name} has no {attribute!r}{_hint(owner, last)}")
    return module, owner, last, found


def _hint(owner: Any, name: str) -> str:
    """Names that are meant, perhaps."""
    import difflib

    close = difflib.get_close_matches(name, [known for known in vars(owner) if not known.startswith("__")], 3)
    return f"; did you mean {', '.join(close)}?" if close else ""


@contextmanager
def replaced(where: str, make: Make) -> Iterator[None]:
    """For the time being, `make(original)` stands there. PatchError when there is nothing of this name."""
    module, owner, name, original = locate(where)
    _, _, key = split(where)
    undo: list[Undo] = []
    try:
        if key:
            _replace_entry(module, original, _key_of(module, where, key), make, where, undo)
        else:
            replacement = make(original)
            _set(owner, name, original, replacement, undo)
            if owner is module:
                _replace_imports(module, name, original, replacement, undo)
            if callable(original):
                _replace_in_tables(original, replacement, undo)
        yield
    finally:
        for step in reversed(undo):
            step()


def _key_of(module: ModuleType, where: str, key: str) -> Any:
    try:
        return eval(key, dict(vars(module)))  # a developer's own expression
    except Exception as error:
        raise PatchError(f"{where}: the key {key!r} cannot be evaluated: {error}") from error


def _replace_entry(module: ModuleType, table: Any, key: Any, make: Make, where: str, undo: list[Undo]) -> None:
    if not isinstance(table, dict):
        raise PatchError(f"{where}: only a dict has entries, and this is a {type(table).__name__}")
    if key not in table:
        raise PatchError(f"{where}: there is no such entry; there are {', '.join(map(repr, list(table)[:8]))}")
    original = table[key]

    def put_back() -> None:
        table[key] = original

    undo.append(put_back)
    table[key] = make(original)


def _set(owner: Any, name: str, original: Any, replacement: Any, undo: list[Undo]) -> None:
    undo.append(lambda: setattr(owner, name, original))
    setattr(owner, name, replacement)


def _replace_imports(module: ModuleType, name: str, original: Any, replacement: Any, undo: list[Undo]) -> None:
    """Modules of the product that imported it under its own name. Numbers are compared by value: the same name with the same number is the same."""
    for other in _product():
        if other is not module and name in vars(other) and vars(other)[name] is original:
            _set(other, name, original, replacement, undo)


def _replace_in_tables(original: Any, replacement: Any, undo: list[Undo]) -> None:
    for other in _product():
        for table in list(vars(other).values()):
            if isinstance(table, dict) and table is not vars(other):
                for key in [key for key, value in table.items() if value is original]:
                    _put(table, key, original, replacement, undo)


def _put(table: dict[Any, Any], key: Any, original: Any, replacement: Any, undo: list[Undo]) -> None:
    undo.append(lambda: table.__setitem__(key, original))
    table[key] = replacement


def _product() -> list[ModuleType]:
    return [module for name, module in list(sys.modules.items()) if name.startswith(PRODUCT + ".") and isinstance(module, ModuleType)]
