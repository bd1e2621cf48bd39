"""The mutants: families of one-change variants of the reference, most of them made from tables, by the ledger's sentences."""

import importlib
import pkgutil

from tests.conformance.reference.mutants.mutant import Mutant


def mutants() -> tuple[Mutant, ...]:
    """All of them, by file and line. Names are unique: two of one name are an AssertionError."""
    found: dict[str, Mutant] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda entry: entry.name):
        for mutant in getattr(importlib.import_module(f"{__name__}.{module.name}"), "MUTANTS", ()):
            assert mutant.name not in found, f"two mutants {mutant.name}"
            found[mutant.name] = mutant
    return tuple(found.values())
