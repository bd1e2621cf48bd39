"""Read the ledger: one TOML file for each RFC, beside this module, each a list of `[[entry]]` tables in the order of the RFC."""

import tomllib
from functools import cache
from importlib import resources

import msgspec

from conformance.ledger.entry import RFCS, Entry


def load(rfc: int | None = None) -> tuple[Entry, ...]:
    """The entries of one RFC, or of all in the order of RFCS. KeyError: the ledger has no such RFC."""
    if rfc is None:
        return tuple(entry for number in RFCS for entry in _load(number))
    if rfc not in RFCS:
        raise KeyError(rfc)
    return _load(rfc)


def by_id() -> dict[str, Entry]:
    return {entry.id: entry for entry in load()}


@cache
def _load(rfc: int) -> tuple[Entry, ...]:
    text = resources.files("conformance.ledger").joinpath(f"rfc{rfc}.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text)["entry"], tuple[Entry, ...])
