"""What is wrong with a configuration: each problem with its place, the line, a caret and what was expected; all of them at once (SX64)."""

from typing import Any

from msgspec import Struct


class Source(Struct, frozen=True):
    """One file: the path as shown, its directory (absolute, for relative paths in it), its lines without line ends."""

    path: str
    directory: str
    lines: tuple[str, ...]


class Place(Struct, frozen=True):
    """A span in one line of a file; line and column count from 1, width is at least 1."""

    source: Source
    line: int
    column: int
    width: int = 1

    def __str__(self) -> str:
        return f"{self.source.path}:{self.line}"


class Problem(Struct, frozen=True):
    """One problem; a warning does not make the configuration unusable."""

    place: Place
    message: str
    warning: bool = False

    def render(self) -> str:
        """Three lines: path:line:column and message, the line, the caret. Line 0 is the file as a whole: one line."""
        place = self.place
        kind = "warning" if self.warning else "error"
        if not place.line:
            return f"{place.source.path}: {kind}: {self.message}"
        head = f"{place.source.path}:{place.line}:{place.column}: {kind}: {self.message}"
        if not 1 <= place.line <= len(place.source.lines):
            return head
        line = place.source.lines[place.line - 1].rstrip()
        before = "".join("\t" if c == "\t" else " " for c in line[: place.column - 1]).ljust(place.column - 1)
        shown = "".join(c if c.isprintable() or c == "\t" else "?" for c in line)
        width = max(1, min(place.width, len(line) - place.column + 1))
        return f"{head}\n{place.line:5} | {shown}\n      | {before}{'^' * width}"

    def to_builtins(self) -> dict[str, Any]:
        """For --json."""
        return {
            "path": self.place.source.path,
            "line": self.place.line,
            "column": self.place.column,
            "severity": "warning" if self.warning else "error",
            "message": self.message,
        }


def in_order(problems: list[Problem]) -> tuple[Problem, ...]:
    """By place, in the order in which the files were first mentioned; the same message at the same place once."""
    paths = {problem.place.source.path: None for problem in problems}
    rank = {path: number for number, path in enumerate(paths)}
    kept = {(p.place.source.path, p.place.line, p.place.column, p.message): p for p in problems}
    return tuple(sorted(kept.values(), key=lambda p: (rank[p.place.source.path], p.place.line, p.place.column)))


class ConfigError(Exception):
    """The configuration cannot be used; problems holds everything that is wrong with it, warnings included."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def render(self) -> str:
        """All problems, ready to print."""
        return "\n".join(problem.render() for problem in self.problems)

    def __str__(self) -> str:
        return self.render()
