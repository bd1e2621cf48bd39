"""`smx replay FILE...`: feeds what `smx run --record DIR` wrote to the components as they are now, and compares the effects (BX25).

A component is a function of its settings and its events. So a recording that replays to the same effects shows that this smx does what the recorded one
did; the first step that does not is shown with both sides. A directory stands for all recordings in it. Of a process that was killed the record that it
was writing is torn; that is told and is no difference.

Status 0 when all are identical, 1 when one is not, 65 for a file that is no recording, 66 for one that cannot be read (sysexits: EX_DATAERR, EX_NOINPUT).
"""

from typing import Annotated, Any, Final

import msgspec
import typer

from smx.cli.common import JsonOption, fail, new_app, print_json
from smx.live.replay import recordings, replay
from smx.recording import Difference, NotARecordingError, ReplayReport

EX_DIFFERENT: Final = 1
EX_DATAERR: Final = 65
EX_NOINPUT: Final = 66

app = new_app("Replay recordings of `smx run --record DIR`, and compare the effects.")


class First(msgspec.Struct, frozen=True):
    """The first step that differs. Event and effects as text."""

    step: int
    now: int
    event: str
    recorded: tuple[str, ...]
    replayed: tuple[str, ...]
    error: str


class Replayed(msgspec.Struct, frozen=True):
    """What became of one file. `events` and `effects`: those that were identical. `trouble`: what is wrong with the file behind them."""

    file: str
    process: str
    epoch: int
    events: int
    effects: int
    identical: bool
    torn: int
    trouble: str
    difference: First | None


@app.command()
def run(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Recordings, or directories of them.")],
    json: JsonOption = False,
) -> None:
    """Replay recordings, and compare the effects."""
    found = [(file, _report(file)) for path in files for file in recordings(path)]
    if json:
        print_json([_replayed(file, report) for file, report in found])
    else:
        print("\n".join(f"{file}: {report.render()}" for file, report in found))
    if not all(report.identical for _, report in found):
        raise typer.Exit(EX_DIFFERENT)


def _report(file: str) -> ReplayReport:
    try:
        return replay(file)
    except NotARecordingError as error:
        raise fail(f"{file}: {error}", EX_DATAERR) from None
    except OSError as error:
        raise fail(f"{file}: {error.strerror}", EX_NOINPUT) from None


def _replayed(file: str, report: ReplayReport) -> Replayed:
    header, found, damage = report.header, report.difference, report.damage
    trouble = f"damaged ({damage.fault.name.lower()}) at octet {damage.offset}" if damage is not None else report.unreadable
    first = None if found is None else _first(found)
    return Replayed(file, header.process, header.epoch, report.steps, report.effects, report.identical, report.torn, trouble, first)


def _first(found: Difference) -> First:
    return First(found.step.number, found.step.now, repr(found.step.event), _texts(found.recorded), _texts(found.replayed), found.error)


def _texts(effects: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(repr(effect) for effect in effects)
