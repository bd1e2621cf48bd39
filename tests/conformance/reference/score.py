"""Score: which cases pass on the reference and fail on at least one mutant that breaks a sentence they are about; which mutants are found.

`python -m tests.conformance.reference.score [--json] [--all] [ROLE ...]`
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from conformance.case import Case, catalogue
from conformance.ledger import by_id
from conformance.outcome import DEPENDENCY, HARNESS, INCONCLUSIVE, INFO, PASS, SETUP, SKIP
from conformance.runner import Result
from tests.conformance.memory import World, offers, run_case
from tests.conformance.reference.mta import Reference
from tests.conformance.reference.mutants import mutants
from tests.conformance.reference.mutants.mutant import Mutant
from tests.conformance.reference.target import TARGET

NO_VERDICT: Final = (SKIP, INCONCLUSIVE, SETUP, DEPENDENCY, HARNESS)


class Score(Struct, frozen=True):
    """`killed`: case -> the mutants on which it fails. `reference`: what became of each case there. `musts`: MUST of the ledger -> has a mutant."""

    reference: dict[str, str]
    killed: dict[str, list[str]]
    found: dict[str, list[str]]
    musts: dict[str, bool]

    @property
    def survivors(self) -> list[str]:
        """Cases that no mutant fails."""
        return [case for case, names in self.killed.items() if not names]

    @property
    def missed(self) -> list[str]:
        """Mutants that no case fails."""
        return [name for name, cases in self.found.items() if not cases]

    @property
    def share(self) -> float:
        """Of the cases, those that are killed."""
        return 1.0 - len(self.survivors) / max(1, len(self.killed))


class Bench:
    """Runs cases; what the reference says of a case is remembered."""

    def __init__(self) -> None:
        self._offers: dict[str, dict[str, str]] = {}
        self._references: dict[str, Result] = {}

    def on_reference(self, case: Case) -> Result:
        if case.id not in self._references:
            self._references[case.id] = self._run(case, "", Reference())
        return self._references[case.id]

    def kills(self, case: Case, mutant: Mutant) -> bool:
        """The case passes (or records a fact) on the reference, and fails (or records another fact) on the mutant. No verdict is no failure."""
        reference, result = self.on_reference(case), self._run(case, mutant.name, mutant.make())
        if result.outcome in NO_VERDICT:
            return False
        if reference.outcome == INFO:
            return (reference.outcome, reference.reason) != (result.outcome, result.reason)
        return result.outcome != reference.outcome and result.outcome != PASS

    def _run(self, case: Case, name: str, mta: Reference) -> Result:
        world = World(mta)
        if name not in self._offers:
            self._offers[name] = offers(TARGET, world)
        return run_case(case, TARGET, world, self._offers[name])


def touching(case: Case, all_mutants: Iterable[Mutant]) -> list[Mutant]:
    """The mutants that break a sentence of the case, those with the most of its sentences first; all for a case that names none."""
    ids = set(case.tests)
    if not ids:
        return list(all_mutants)
    return sorted((mutant for mutant in all_mutants if ids & set(mutant.tests)), key=lambda mutant: -len(ids & set(mutant.tests)) / len(mutant.tests))


def musts(cases: Sequence[Case], all_mutants: Iterable[Mutant], party: str = "server") -> dict[str, bool]:
    """Each MUST and MUST NOT of a party that a case tests, and whether a mutant breaks it."""
    tested = {id_ for case in cases for id_ in case.tests}
    broken = {id_ for mutant in all_mutants for id_ in mutant.tests}
    return {entry.id: entry.id in broken for entry in by_id().values() if entry.id in tested and entry.party == party and entry.level.startswith("MUST")}


def measure(cases: Sequence[Case], all_mutants: Sequence[Mutant], bench: Bench, *, names: Iterable[str] | None = None, whole: bool = False) -> Score:
    """The score. `names`: the mutants that have to be found by one of the cases (None: all). `whole`: for each case every mutant that touches it."""
    killed: dict[str, list[str]] = {case.id: [] for case in cases}
    found: dict[str, list[str]] = {name: [] for name in ([mutant.name for mutant in all_mutants] if names is None else names)}

    def tries(case: Case, mutant: Mutant) -> bool:
        if bench.kills(case, mutant):
            killed[case.id].append(mutant.name)
            found.setdefault(mutant.name, []).append(case.id)
            return True
        return False

    for case in cases:
        for mutant in touching(case, all_mutants):
            if tries(case, mutant) and not whole:
                break
    for mutant in [mutant for mutant in all_mutants if not found.get(mutant.name, ["not asked for"])]:
        any(tries(case, mutant) for case in cases if set(case.tests) & set(mutant.tests))
    return Score({case.id: bench.on_reference(case).outcome for case in cases}, killed, found, musts(cases, all_mutants))


def _main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("roles", nargs="*", default=[])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--all", action="store_true", help="every mutant for every case that it touches")
    options = parser.parse_args(arguments)
    cases = [case for case in catalogue() if not options.roles or case.roles[0] in options.roles]
    score = measure(cases, mutants(), Bench(), whole=options.all)
    if options.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode({**msgspec.to_builtins(score), "share": score.share})).decode() + "\n")
    else:
        sys.stdout.write(summary(score))
    return 0


def summary(score: Score) -> str:
    """What a person wants to know."""
    lacking = [id_ for id_, has in score.musts.items() if not has]
    lines = [
        f"{len(score.killed) - len(score.survivors)} of {len(score.killed)} cases fail on a mutant: {score.share:.1%}",
        f"{len(score.found) - len(score.missed)} of {len(score.found)} mutants are found",
        f"{len(score.musts) - len(lacking)} of {len(score.musts)} server MUSTs have a mutant",
        *(f"case without mutant: {case} ({score.reference[case]})" for case in score.survivors),
        *(f"mutant without case: {name}" for name in score.missed),
        *(f"MUST without mutant: {id_}" for id_ in lacking),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
