"""What smx-loadgen and smx-sink share: their argument parser, progress, and ends."""

import argparse
import asyncio
import gc
import signal
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, NoReturn

from smx.config.text import parse_number, parse_time
from smx.testing.load.faults import Fault, Kind, parse_fault
from smx.units import SECOND

EX_OK: Final = 0
EX_FAILED: Final = 1
EX_USAGE: Final = 64
EX_DATAERR: Final = 65
EX_UNAVAILABLE: Final = 69
EX_CANTCREAT: Final = 73
GC_ALLOCATIONS: Final = 50_000  # allocations between two collections: connections are cycles, and collecting them often costs a tenth


class Parser(argparse.ArgumentParser):
    """Says what is wrong, where, and what to do, with the status of sysexits.h."""

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments:"):
            word = message.split()[2].partition("=")[0]
            close = get_close_matches(word, self._option_string_actions, 1)
            message = f"there is no option {word}" + (f": did you mean {close[0]}?" if close else "")
        print(f"{self.prog}: {message}\n{self.prog} --help shows every option, with examples", file=sys.stderr)
        raise SystemExit(EX_USAGE)


def new_parser(program: str, what: str, examples: str) -> Parser:
    """With the examples behind the options."""
    return Parser(
        prog=program,
        description=what,
        epilog=f"examples:\n{textwrap.indent(textwrap.dedent(examples).strip(), '  ')}",
        formatter_class=_wide,
        allow_abbrev=False,
    )


def _wide(prog: str) -> argparse.RawDescriptionHelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=28, width=120)


def kind(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A parser of values for argparse, which otherwise would not show what a ValueError says."""

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def seconds(text: str) -> float:
    """Of `5m3s`."""
    return parse_time(text) / SECOND


def natural(text: str) -> int:
    """A whole number from 0."""
    number = parse_number(text)
    if number < 0:
        raise ValueError(f"expected 0 or more, not {number}")
    return number


def positive(text: str) -> int:
    """A whole number from 1."""
    number = parse_number(text)
    if number < 1:
        raise ValueError(f"expected 1 or more, not {number}")
    return number


def host_name(text: str) -> str:
    """Something that can stand in EHLO or in a greeting."""
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"expected a host name, not {text!r}")
    return text


def fault_of(kinds: Mapping[str, Kind]) -> Callable[[str], Any]:
    """A parser of faults."""

    def parse(text: str) -> Fault:
        return parse_fault(text, kinds)

    return kind(parse)


def fault_help(kinds: Mapping[str, Kind], stages: Mapping[str, str]) -> str:
    """The faults and the stages as text for the help."""
    lines = ["faults (KIND@STAGE[:PROBABILITY[:TIME]], may be repeated; the first that hits counts):"]
    lines += [f"  {name:<10} {row.does}{f' (TIME: {row.seconds:g}s)' if row.seconds else ''}; at {', '.join(row.stages)}" for name, row in kinds.items()]
    lines += ["stages, what is about to be sent:", *(f"  {name:<10} {what}" for name, what in stages.items())]
    return "\n".join(textwrap.fill(line, 110, subsequent_indent=" " * 13) for line in lines)


def run_loop(work: Callable[[], Any]) -> Any:
    """Run a coroutine on a loop like that of smx, with garbage collected seldom."""
    from smx.live.host import new_loop

    usual = gc.get_threshold()
    gc.set_threshold(GC_ALLOCATIONS)
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(work())
    finally:
        gc.set_threshold(*usual)


def on_signals(first: Callable[[], None], again: Callable[[], None]) -> None:
    """SIGINT and SIGTERM: the first one ends in order, the next one at once."""
    calls: list[int] = []

    def caught() -> None:
        calls.append(1)
        (first if len(calls) == 1 else again)()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, caught)


def complain(program: str, text: str, status: int) -> int:
    """One line on standard error; gives the status."""
    print(f"{program}: {text}", file=sys.stderr)
    return status


def words_of(arguments: Sequence[str] | None) -> list[str]:
    """What stands behind the command's name."""
    return list(sys.argv[1:] if arguments is None else arguments)


class Status:
    """One line on standard error that is written over, where that is a terminal; else nothing."""

    def __init__(self) -> None:
        self._live: Any = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), transient=True, auto_refresh=False)

    def __enter__(self) -> "Status":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        if self._live is not None:
            self._live.update(text, refresh=True)
