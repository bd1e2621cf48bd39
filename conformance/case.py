"""Case: one question to an MTA: a short script, the sentence behind its oracle, and what it needs.

A file of cases begins with its section, and each case is a decorated generator:

    case = section("rfc5321/4.1.4", SERVER)

    @case("rcpt-before-mail", MUST, tests=("5321-4.1.4-7",))
    def rcpt_before_mail(at: Context) -> Script:
        \"\"\"RCPT without MAIL before it is answered with 503.\"\"\"
        client = yield from hello(at)
        expect((yield from client.command(f"RCPT TO:<{at.recipient}>")), "503 5yz")

A family is one script with a table; each row (a NamedTuple or Struct with a field `id`) is a case:

    @case.table(ROWS, MUST)
    def bad_paths(at: Context, row: Row) -> Script:
        \"\"\"`{line}` is not a path: {why}.\"\"\"

A row may have fields `level`, `tests`, `needs` and `slow`, which then win over those of the decorator. The decorator returns the Case, or the tuple of them:
there is no registry; `catalogue` looks at what the modules hold.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from msgspec import Struct, structs

from conformance.context import Context
from conformance.outcome import LEVELS
from conformance.wire import Script

SERVER: Final = "server"
CLIENT: Final = "client"
NEXTHOP: Final = "nexthop"
RELAY: Final = "relay"
QUEUE: Final = "queue"
ROLES: Final = (SERVER, CLIENT, NEXTHOP, RELAY, QUEUE)

Play = Callable[[Context], Script]


class Case(Struct, frozen=True):
    """`needs`: see `conformance.needs`. `slow`: minutes or more of waiting. `alone`: nothing else may run meanwhile (it kills or stops the target)."""

    slug: str
    section: str
    level: str
    roles: tuple[str, ...]
    sentence: str
    play: Play
    tests: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    slow: bool = False
    alone: bool = False
    version: int = 1

    @property
    def id(self) -> str:
        return f"{self.section}/{self.slug}"

    @property
    def group(self) -> tuple[str, str]:
        """The cases that share a sanity conversation: a section in a role."""
        return self.section, self.roles[0]

    @property
    def rfc_link(self) -> str:
        """Where the section can be read."""
        rfc, _, section = self.section.partition("/")
        anchor = f"#section-{section}" if section[:1].isdigit() else f"#appendix-{section}" if section else ""
        return f"https://www.rfc-editor.org/rfc/{rfc}.html{anchor}"


class Section(Struct, frozen=True):
    """The decorators of one file."""

    section: str
    roles: tuple[str, ...]
    needs: tuple[str, ...] = ()

    def __call__(
        self,
        slug: str,
        level: str,
        *,
        tests: tuple[str, ...] = (),
        needs: tuple[str, ...] = (),
        slow: bool = False,
        alone: bool = False,
        version: int = 1,
    ) -> Callable[[Play], Case]:
        """A single case."""

        def decorate(play: Play) -> Case:
            return _made(Case(slug, self.section, level, self.roles, _sentence(play), play, tests, self.needs + needs, slow, alone, version))

        return decorate

    def table(
        self,
        rows: Iterable[Any],
        level: str = "",
        *,
        prefix: str = "",
        tests: tuple[str, ...] = (),
        needs: tuple[str, ...] = (),
        slow: bool = False,
        alone: bool = False,
        version: int = 1,
    ) -> Callable[[Callable[[Context, Any], Script]], tuple[Case, ...]]:
        """A case for each row. `prefix` stands before the row's id in the slug."""

        def decorate(play: Callable[[Context, Any], Script]) -> tuple[Case, ...]:
            return tuple(one(row, play) for row in rows)

        def one(row: Any, play: Callable[[Context, Any], Script]) -> Case:
            fields = _fields(row)
            sentence = _sentence(play).format_map({name: _shown(value) for name, value in fields.items()})
            return _made(
                Case(
                    prefix + fields["id"],
                    self.section,
                    fields.get("level") or level,
                    self.roles,
                    sentence,
                    lambda at: play(at, row),
                    tuple(fields.get("tests") or tests),
                    self.needs + tuple(fields.get("needs") or needs),
                    bool(fields.get("slow", slow)),
                    alone,
                    version,
                )
            )

        return decorate


def section(name: str, *roles: str, needs: tuple[str, ...] = ()) -> Section:
    """`name` such as "rfc5321/4.1.4". `needs` are those of every case of the file."""
    assert roles and set(roles) <= set(ROLES), f"roles {roles}"
    return Section(name, roles, needs)


def _made(case: Case) -> Case:
    """Refuse at import what would be hard to find later."""
    assert case.level in LEVELS, f"{case.id}: level {case.level!r}"
    assert case.slug and not set(case.slug) & set(" /,"), f"{case.id}: a slug has no space, slash or comma"
    assert case.sentence, f"{case.id}: no sentence (the docstring)"
    return case


def _sentence(play: Callable[..., Script]) -> str:
    return " ".join((play.__doc__ or "").split())


def _fields(row: Any) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = row._asdict() if hasattr(row, "_asdict") else structs.asdict(row)
    return fields


def _shown(value: object) -> str:
    return repr(value)[2:-1] if isinstance(value, bytes) else str(value)


def catalogue() -> tuple[Case, ...]:
    """Every case of the suite, in the order of roles, files and lines. A case may stand in one place only: two of one id are an AssertionError."""
    cases: list[Case] = []
    for role in ROLES:
        package = importlib.import_module(f"conformance.{role}")
        for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda entry: entry.name):
            cases += cases_of(vars(importlib.import_module(f"conformance.{role}.{module.name}")))
    seen: set[str] = set()
    for case in cases:
        assert case.id not in seen, f"two cases of id {case.id}"
        seen.add(case.id)
    return tuple(cases)


def cases_of(names: Mapping[str, Any]) -> list[Case]:
    """The cases that the names of a module stand for, with those of its tables."""
    found: list[Case] = []
    for value in names.values():
        if isinstance(value, Case):
            found.append(value)
        elif isinstance(value, tuple):
            found += [item for item in value if isinstance(item, Case)]
    return found
