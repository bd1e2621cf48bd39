"""Timeline: a chronicle as a picture without coordinates; `sim.report.parts` says of what it consists."""

from typing import Final

from sim.chronicle import CLIENT, WORLD, Chronicle
from sim.concern import Links
from sim.report.journeys import MAILDIR, Journeys, broken_keys
from sim.report.machinery import DISK, Machinery
from sim.report.parts import Arrow, Canvas, Timeline
from sim.story import Teller

MESSAGES_MAX: Final = 60
ORDER: Final = (WORLD, CLIENT, "smtps", "smar", "qmgr", DISK, "smtpc", "lda", "mcp", MAILDIR)  # the lanes from above; hosts come last


def timeline(told: Chronicle) -> Timeline:
    """Everything that is to be drawn."""
    links = Links(told.moments)
    teller, canvas = Teller(links), Canvas()
    tokens = chosen(told, links)
    machinery, journeys = Machinery(canvas), Journeys(canvas, told, links, tokens)
    for moment in told.moments:
        text = teller.tell(moment)
        machinery.take(moment, text)
        journeys.take(moment, text)
    arrows: list[Arrow] = []
    messages = journeys.messages(arrows)
    until = max([mark.at for mark in canvas.marks] + [max(bar.at, bar.until) for bar in canvas.bars], default=0)
    for bar in canvas.bars:
        if bar.until < 0:
            bar.until = until
    lanes = sorted(canvas.lanes, key=_place)
    return Timeline(lanes, canvas.bars, canvas.marks, arrows, list(journeys.paths.values()), messages, until, len(links.transactions) - len(tokens))


def chosen(told: Chronicle, links: Links) -> list[str]:
    """The tokens that are drawn: the broken ones, then as many as there is room for, in the order of their submission."""
    first = [token for token in broken_keys(told, links) if token in links.transactions]
    chosen = dict.fromkeys([*first, *links.transactions])
    kept = set(list(chosen)[:MESSAGES_MAX])
    return [token for token in links.transactions if token in kept]


def _place(lane: str) -> tuple[int, tuple[int, ...], str]:
    """Where a lane stands: the kinds in their order, then by number or name."""
    kind = lane.partition(".")[0]
    if kind in ORDER:
        return ORDER.index(kind), (), lane
    if kind.isdigit():  # the address of a client
        return ORDER.index(CLIENT), tuple(int(part) if part.isdigit() else 0 for part in lane.split(".")), lane
    return len(ORDER), (), lane
