"""Selection: which cases of the catalogue are meant by words such as `server`, `MUST`, `rfc5321/4.1`, `rfc5321/4.1.4/rcpt-before-mail`, `*/stuffing-*`.

A word is a role, a level, or a part of the tree of ids: an RFC, a section with all below it, an id, or a pattern with * and ?. Words of one kind
add up; words of different kinds narrow: `server,MUST,rfc5321/4.1,rfc5321/4.2` are the MUSTs of the server role in two sections.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from conformance.case import ROLES, Case
from conformance.outcome import LEVELS


class SelectionError(ValueError):
    """A word that means no case."""


def words(texts: Iterable[str]) -> list[str]:
    """The words of options, each of which may have several with commas between."""
    return [word.strip() for text in texts for word in text.split(",") if word.strip()]


def select(cases: Sequence[Case], only: Sequence[str] = (), exclude: Sequence[str] = ()) -> list[Case]:
    """Raises SelectionError for a word that no case of the catalogue fits, as it is most likely a mistake."""
    for word in (*only, *exclude):
        if not any(_fits(case, word) for case in cases):
            raise SelectionError(f"no case is meant by {word!r}; `list` shows all, roles are {', '.join(ROLES)}")
    kinds: dict[str, list[str]] = {}
    for word in only:
        kinds.setdefault(_kind(word), []).append(word)
    return [
        case
        for case in cases
        if all(any(_fits(case, word) for word in group) for group in kinds.values()) and not any(_fits(case, word) for word in exclude)
    ]  # fmt: skip


def _kind(word: str) -> str:
    return "role" if word in ROLES else "level" if _level(word) in LEVELS else "tree"


def _level(word: str) -> str:
    return word.replace("-", " ").replace("_", " ")


def _fits(case: Case, word: str) -> bool:
    kind = _kind(word)
    if kind == "role":
        return word in case.roles
    if kind == "level":
        return case.level == _level(word)
    if any(letter in word for letter in "*?["):
        return fnmatchcase(case.id, word)
    return word == case.id or case.section == word or case.section.startswith((word + ".", word + "/")) or case.id.startswith(word + "/")
