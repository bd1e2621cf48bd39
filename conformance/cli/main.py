"""smx-conformance: runs the suite against an MTA, shows what is in it, and what it covers.

Exit status of `run`: 0 all is as it should be; 1 a MUST is broken, something is unexpected, or, with --strict, a SHOULD is not followed; 2 the command line
or a file cannot be used; 3 a bug of the suite; 4 it could not be judged (set-up or dependency failures).
"""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final, NoReturn

import msgspec
import typer
from rich.console import Console

from conformance import expected, selection, target
from conformance.case import Case, catalogue
from conformance.cli import catalogue as listings
from conformance.profiles import NAMES, ProfileError, running
from conformance.report import console as console_report
from conformance.report import figures as report
from conformance.report.files import read_json, write_json, write_junit
from conformance.report.html import write_html, write_matrix
from conformance.runner import Options, Run
from conformance.runner import run as play

EX_USAGE: Final = 2

app = typer.Typer(help="Judge an SMTP server, client, relay or queue by the RFCs.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Only = Annotated[list[str] | None, typer.Option("--only", metavar="WORDS", help="Only these: ids, sections, levels, roles, patterns; commas between.")]
Exclude = Annotated[list[str] | None, typer.Option("--exclude", metavar="WORDS", help="All but these.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def refuse(text: str) -> NoReturn:
    """End with the status of a wrong command line."""
    print(f"smx-conformance: {text}", file=sys.stderr)
    raise typer.Exit(EX_USAGE)


def chosen(only: list[str] | None, exclude: list[str] | None) -> list[Case]:
    """What the options select."""
    try:
        return selection.select(catalogue(), selection.words(only or []), selection.words(exclude or []))
    except selection.SelectionError as error:
        refuse(str(error))


@app.command("run")
def run_cases(
    target_file: Annotated[Path | None, typer.Option("--target", metavar="FILE", help="The target file of a running MTA.")] = None,
    profile: Annotated[str, typer.Option(metavar="NAME", help=f"Start one of {', '.join(NAMES)} in a scratch folder.")] = "",
    directory: Annotated[Path | None, typer.Option(metavar="DIR", help="Scratch folder of --profile; it is kept.")] = None,
    only: Only = None,
    exclude: Exclude = None,
    expected_file: Annotated[Path | None, typer.Option("--expected", metavar="FILE", help="What is known not to pass; an unexpected pass fails.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="A SHOULD that is not followed fails the run as well.")] = False,
    slow: Annotated[bool, typer.Option("--slow", help="Also the cases that wait for minutes or longer.")] = False,
    parallel: Annotated[int, typer.Option(metavar="N", help="Cases at a time; 0: as the target file says.", min=0)] = 0,
    seed: Annotated[int, typer.Option(metavar="N", help="Shuffle the cases; 0: in order.", min=0)] = 0,
    repeat: Annotated[int, typer.Option(metavar="N", help="Run so many times; verdicts that differ fail the run.", min=1)] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the whole run as JSON.")] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="DIR", help="Write HTML pages.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would run.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Every case, with its transcript.")] = False,
) -> None:
    """Run cases against an MTA."""
    cases = chosen(only, exclude)
    if dry_run:
        listings.show(cases)
        return
    if bool(target_file) == bool(profile):
        refuse("say either --target FILE or --profile NAME")
    console = Console()
    how = f"--target {target_file}" if target_file else f"--profile {profile}"
    with ExitStack() as stack:
        try:
            expectations = expected.load(expected_file) if expected_file else ()
            subject = target.load(target_file) if target_file else stack.enter_context(running(profile, directory.absolute() if directory else None))
        except (target.TargetError, expected.ExpectedError, OSError) as error:
            refuse(str(error))
        except ProfileError as error:
            print(f"smx-conformance: {error}", file=sys.stderr)
            raise typer.Exit(expected.NOT_RUN) from None
        runs = []
        for _ in range(repeat):
            with console_report.Live(console, len(cases), verbose=verbose) as live:
                runs.append(play(subject, cases, Options(slow, seed, parallel), live.told))
    first = runs[0]
    judgement = expected.judge(first.results, expectations, strict=strict)
    console_report.show(console, first, judgement, how)
    if json_file:
        write_json(first, json_file)
    if junit:
        write_junit(first, junit)
    if html:
        write_html(first, html)
    raise typer.Exit(_unsteady(runs) or judgement.status)


def _unsteady(runs: list[Run]) -> int:
    """Tells verdicts that differ between runs of the same cases."""
    outcomes = [{result.id: result.outcome for result in one.results} for one in runs]
    differ = [(name, [table[name] for table in outcomes]) for name in outcomes[0] if len({table[name] for table in outcomes}) > 1]
    for name, found in differ:
        print(f"not the same each time: {name}: {', '.join(found)}")
    return expected.BAD if differ else expected.GOOD


@app.command("list")
def list_cases(only: Only = None, exclude: Exclude = None, json: Json = False) -> None:
    """List cases."""
    cases = chosen(only, exclude)
    if json:
        print(listings.as_json(cases))
    else:
        listings.show(cases)


@app.command()
def explain(name: Annotated[str, typer.Argument(metavar="ID", help="A case, or a sentence of the ledger such as 5321-4.1.4-7.")]) -> None:
    """Tell what a case asks, why, and what it needs."""
    text = listings.explanation(catalogue(), name)
    if not text:
        refuse(f"there is no case and no sentence {name}")
    print(text)


@app.command()
def ledger(
    rfc: Annotated[int, typer.Option(metavar="N", help="Only this RFC.")] = 0,
    json: Json = False,
    missing: Annotated[bool, typer.Option("--missing", help="List what has neither case nor reason; status 1 if there is something.")] = False,
) -> None:
    """Tell which sentences of the RFCs are tested, and why the others are not."""
    from conformance import ledger as book

    try:
        entries = book.load(rfc or None)
    except (KeyError, ValueError, FileNotFoundError):
        refuse(f"RFC {rfc} is not in the ledger")
    cases = catalogue()
    if missing:
        found = book.missing(entries, cases)
        print("\n".join(found))
        raise typer.Exit(expected.BAD if found else expected.GOOD)
    result = book.coverage(entries, cases)
    if json:
        print(book.as_json(result))
    else:
        Console().print(book.as_table(result))


@app.command()
def matrix(
    files: Annotated[list[Path], typer.Argument(metavar="JSON...", help="What `run --json` wrote, one for each MTA.")],
    html: Annotated[Path, typer.Option(metavar="DIR", help="Where the pages go.")],
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the outcomes of all as one small JSON.")] = None,
    brief: Annotated[bool, typer.Option("--brief", help="Pages and short transcripts only of what did not pass.")] = False,
) -> None:
    """Put several runs side by side: sections and cases against MTAs. Runs of one MTA become one: the verdict of the last counts."""
    try:
        runs = _joined([read_json(path) for path in files])
    except (ValueError, OSError) as error:
        refuse(str(error))
    write_matrix(runs, html, brief=brief)
    if json_file:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(_outcomes(runs)), indent=1) + b"\n")


def _joined(runs: list[Run]) -> list[Run]:
    found: dict[str, Run] = {}
    for one in runs:
        before = found.get(one.target)
        results = {result.id: result for result in (*(before.results if before else ()), *one.results)}
        found[one.target] = msgspec.structs.replace(before or one, results=tuple(results.values()))
    return list(found.values())


def _outcomes(runs: list[Run]) -> dict[str, object]:
    targets = [{"name": one.target, "version": one.target_version, "date": one.date} for one in runs]
    cases: dict[str, dict[str, str]] = {}
    for one in runs:
        for result in one.results:
            cases.setdefault(result.id, {})[one.target] = result.outcome
    return {"targets": targets, "cases": cases}


@app.command()
def figures(
    matrix_file: Annotated[
        Path | None, typer.Option("--matrix", metavar="JSON", help="What `matrix --json` wrote: how the MTAs fared is told as well.")
    ] = None,
    into: Annotated[Path | None, typer.Option(metavar="FILE", help="Put them between the markers of this document.")] = None,
) -> None:
    """Print, as Markdown, how many cases there are, what they cover, and how the MTAs of a matrix fared."""
    try:
        table = msgspec.json.decode(matrix_file.read_bytes(), type=report.Matrix) if matrix_file else None
        text = report.markdown(catalogue(), table)
        if into:
            into.write_text(report.placed(into.read_text(), text))
        else:
            print(text)
    except (ValueError, OSError) as error:
        refuse(str(error))


@app.command("target")
def target_help() -> None:
    """Tell how a target file is written."""
    print(target.__doc__)


def main() -> None:
    """The entry point."""
    app(prog_name="smx-conformance")
