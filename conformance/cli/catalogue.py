"""Listings: the cases as text and JSON, and the explanation of one."""

import msgspec

from conformance import ledger
from conformance.case import Case


def as_json(cases: list[Case]) -> str:
    """An object with `cases`; each has id, section, level, roles, slow, alone, needs, tests, version and sentence."""
    names = ("id", "section", "level", "roles", "slow", "alone", "needs", "tests", "version", "sentence")
    return msgspec.json.format(msgspec.json.encode({"cases": [{name: getattr(case, name) for name in names} for case in cases]}), indent=1).decode()


def show(cases: list[Case]) -> None:
    """One line each."""
    for case in cases:
        print(f"{case.id}  {case.level}  {','.join(case.roles)}{'  slow' * case.slow}")
    print(f"{len(cases)} cases")


def explanation(cases: tuple[Case, ...], name: str) -> str:
    """Of a case or of a sentence of the ledger; "" when there is neither."""
    found = next((case for case in cases if case.id == name), None)
    if found is not None:
        return _of_case(found)
    entry = ledger.by_id().get(name)
    return _of_entry(entry, cases) if entry is not None else ""


def _of_case(case: Case) -> str:
    lines = [case.id, f"  {case.sentence}", "", f"  level    {case.level}", f"  roles    {', '.join(case.roles)}", f"  read     {case.rfc_link}"]
    if case.needs:
        lines.append(f"  needs    {', '.join(case.needs)}")
    marks = [mark for mark, is_so in (("slow", case.slow), ("alone", case.alone)) if is_so]
    if marks:
        lines.append(f"  runs     {', '.join(marks)}")
    lines.append(f"  version  {case.version}")
    known = ledger.by_id() if case.tests else {}
    lines += [
        f"  tests    {name}  {known[name].level}, {known[name].party}: {known[name].paraphrase}" if name in known else f"  tests    {name}"
        for name in case.tests
    ]
    return "\n".join(lines)


def _of_entry(entry: ledger.Entry, cases: tuple[Case, ...]) -> str:
    lines = [entry.id, f"  {entry.paraphrase}", "", f"  level    {entry.level}", f"  party    {entry.party}"]
    if entry.reason:
        lines.append(f"  untested {entry.reason}")
    lines += [f"  case     {case.id}" for case in cases if entry.id in case.tests]
    return "\n".join(lines)
