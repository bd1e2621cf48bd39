"""Console: progress while a run goes on, and what came of it."""

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from conformance.expected import Judgement
from conformance.outcome import DEPENDENCY, FAIL, HARNESS, INCONCLUSIVE, INFO, OUTCOMES, PASS, SETUP, SKIP, WARN
from conformance.report.summary import by_section, counts
from conformance.runner import Result, Run, repeat_line
from conformance.transcript import as_text

STYLES: Final = {
    PASS: "green",
    FAIL: "bold red",
    WARN: "yellow",
    INFO: "cyan",
    SKIP: "dim",
    INCONCLUSIVE: "magenta",
    SETUP: "red",
    DEPENDENCY: "red",
    HARNESS: "bold red",
}


class Live:
    """A progress bar with the troubles above it, each as it comes. Use as a context manager; `told` is the runner's progress callback."""

    def __init__(self, console: Console, total: int, *, verbose: bool) -> None:
        self._console: Final = console
        self._verbose: Final = verbose
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar: Final = Progress(*columns, console=console, transient=True)
        self._task: Final = self._bar.add_task("", total=total)

    def __enter__(self) -> "Live":
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def told(self, result: Result) -> None:
        self._bar.update(self._task, advance=1, description=escape(result.section))
        if self._verbose or result.outcome in (FAIL, WARN, HARNESS):
            self._console.print(line(result), highlight=False, soft_wrap=True)
        if self._verbose and result.transcript:
            self._console.print(escape(as_text(result.transcript)), highlight=False, soft_wrap=True, style="dim")


def line(result: Result) -> str:
    """One result in one line, with markup."""
    style = STYLES[result.outcome]
    return f"[{style}]{result.outcome:>5}[/] {escape(result.id)} {escape('[' + result.level + ']')} {escape(result.reason)}".rstrip()


def show(console: Console, run: Run, judgement: Judgement, how: str) -> None:
    """The summary by section, the troubles, and how to repeat them."""
    console.print(table(run.results, f"{run.target} {run.target_version}, {run.date}"))
    for result in run.sanity:
        if result.outcome not in (PASS, SKIP):
            console.print(f"sanity: {line(result)}", highlight=False, soft_wrap=True)
            break
    for result in judgement.troubles:
        console.print(
            f"{line(result)}\n      {escape(result.sentence)}\n      {escape(result.link)}\n      {escape(repeat_line(result, how))}",
            highlight=False,
            soft_wrap=True,
        )
    for result, entry in judgement.unexpected:
        console.print(f"unexpected: {line(result)}; expected is {entry.outcome}: {escape(entry.reason)}", highlight=False, soft_wrap=True)
    for entry in judgement.unused:
        console.print(f"no case of this run fits the expectation {escape(entry.id)}", highlight=False)
    told = ", ".join(f"{number} {outcome}" for outcome, number in counts(run.results).items())
    console.print(f"{len(run.results)} cases in {run.seconds:.1f} s: {told}; exit status {judgement.status}", highlight=False)


def table(results: Sequence[Result], title: str) -> Table:
    """Sections x outcomes."""
    shown = [outcome for outcome in OUTCOMES if outcome in counts(results)]
    found = Table(title=title)
    found.add_column("section")
    for outcome in shown:
        found.add_column(outcome, justify="right", style=STYLES[outcome])
    for section, group in by_section(results).items():
        numbers = counts(group)
        found.add_row(section, *(str(numbers.get(outcome, "")) for outcome in shown))
    return found
