"""Drawing: a timeline as SVG. Every element also carries its times, so that the script of the page can zoom without drawing anew."""

from html import escape
from itertools import pairwise
from typing import Final

from sim.report.parts import Arrow, Bar, Mark, Path, Timeline
from sim.report.scale import Scale

LEFT: Final = 150  # for the names of the lanes
RIGHT: Final = 24
TOP: Final = 34  # for the hours
LANE: Final = 46
WIDTH: Final = 1600
TICKS: Final = 12
SPREAD: Final = 11  # messages side by side within a lane ...
STEP: Final = 3.0  # ... this far apart
BAR_HEIGHT: Final = {"alive": 30, "recovering": 30, "sync": 18, "fault": 14, "dark": 30}
DARKENED: Final = ("smtps", "smar", "qmgr", "disk", "smtpc", "lda", "mcp")  # what has no power when the machine has none


class Drawing:
    """One timeline. `colours`: message -> a CSS colour."""

    def __init__(self, line: Timeline) -> None:
        self._line = line
        instants = [mark.at for mark in line.marks] + [at for bar in line.bars for at in (bar.at, bar.until)] + [arrow.at for arrow in line.arrows]
        self.scale: Final = Scale([*instants, line.until])
        self._y = {lane: TOP + LANE * number + LANE // 2 for number, lane in enumerate(line.lanes)}
        tokens = [message.key for message in line.messages if "+" not in message.key]
        self._number = {token: number for number, token in enumerate(tokens)}
        self.colours: Final = {message.key: self._colour(message.key) for message in line.messages}
        self.height: Final = TOP + LANE * len(line.lanes) + 16

    def _colour(self, key: str) -> str:
        """Far from that of its neighbours: the golden angle."""
        return f"hsl({self._number.get(key.partition('+')[0], 0) * 137.508 % 360:.0f} 70% 45%)"

    def x(self, at: int) -> float:
        return LEFT + self.scale(at) * (WIDTH - LEFT - RIGHT)

    def y(self, lane: str, message: str = "") -> float:
        number = self._number.get(message.partition("+")[0])
        if number is None or len(self._number) == 1:
            return self._y[lane]
        return self._y[lane] + (number % SPREAD - SPREAD // 2) * STEP

    def svg(self) -> str:
        """The picture, lanes below bars below paths below marks."""
        line = self._line
        parts = [
            f'<svg id="picture" class="{self._size()}" viewBox="0 0 {WIDTH} {self.height}" width="{WIDTH}" height="{self.height}"'
            ' xmlns="http://www.w3.org/2000/svg">',
            f'<defs><clipPath id="window"><rect x="{LEFT}" y="0" width="{WIDTH - LEFT - RIGHT + 12}" height="{self.height}"/></clipPath>',
            '<marker id="head" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="5" markerHeight="5" orient="auto"><path d="M0 0L6 3L0 6z"/></marker></defs>',
            *(self._lane(lane) for lane in line.lanes),
            f'<g id="ticks">{"".join(self._tick(number) for number in range(TICKS + 1))}</g>',
            '<g clip-path="url(#window)">',
            *(self._bar(bar) for bar in line.bars),
            *(self._arrow(arrow) for arrow in line.arrows if arrow.source in self._y and arrow.target in self._y),
            *(self._path(path) for path in line.paths),
            *(self._mark(number, mark) for number, mark in enumerate(line.marks)),
            "</g></svg>",
        ]
        return "\n".join(parts)

    def _size(self) -> str:
        return "few" if len(self._number) <= 2 else "many"

    def _lane(self, lane: str) -> str:
        y = self._y[lane]
        return (
            f'<text class="lane" x="{LEFT - 12}" y="{y + 4}">{escape(lane)}</text><line class="lane" x1="{LEFT}" x2="{WIDTH - RIGHT + 12}" y1="{y}" y2="{y}"/>'
        )

    def _tick(self, number: int) -> str:
        place = number / TICKS
        x = LEFT + place * (WIDTH - LEFT - RIGHT)
        text = f'<text x="{x:.1f}" y="{TOP - 12}">{self.scale.instant(place) / 1e6:.6g} s</text>'
        return f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{self.height - 8}"/>{text}'

    def _bar(self, bar: Bar) -> str:
        if bar.kind == "dark":
            lanes = [y for lane, y in self._y.items() if lane.partition(".")[0] in DARKENED]
            top, bottom = min(lanes, default=TOP) - LANE / 2, max(lanes, default=TOP) + LANE / 2
        else:
            half = BAR_HEIGHT[bar.kind] / 2
            top, bottom = self._y[bar.lane] - half, self._y[bar.lane] + half
        x = self.x(bar.at)
        width = max(self.x(bar.until) - x, 1.5)
        text = f"{bar.text}\n{bar.at / 1e6:.6f} to {bar.until / 1e6:.6f} s"
        return (
            f'<rect class="bar {bar.kind}" data-a="{bar.at}" data-b="{bar.until}" x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{bottom - top:.1f}"'
            f' rx="3" data-text="{escape(text)}"/>'
        )

    def _arrow(self, arrow: Arrow) -> str:
        x = self.x(arrow.at)
        y1, y2 = self.y(arrow.source, arrow.message), self.y(arrow.target, arrow.message)
        return (
            f'<line class="arrow" data-m="{escape(arrow.message)}" data-t="{arrow.at}" x1="{x:.1f}" x2="{x:.1f}" y1="{y1}" y2="{y2}" marker-end="url(#head)"'
            f' data-text="{escape(arrow.text)}"/>'
        )

    def _path(self, path: Path) -> str:
        points = [(at, self.y(lane, path.message)) for at, lane in path.points]
        data = " ".join(f"{at},{y:g}" for at, y in points)
        drawn = curve([(self.x(at), y) for at, y in points])
        colour = self.colours.get(path.message, "gray")
        return f'<path class="way {path.kind}" data-m="{escape(path.message)}" style="stroke:{colour}" data-p="{data}" d="{drawn}"/>'

    def _mark(self, number: int, mark: Mark) -> str:
        x, y = self.x(mark.at), self.y(mark.lane, mark.message)
        text = f"{mark.message + ': ' if mark.message else ''}{mark.text}\n{mark.at / 1e6:.6f} s, {mark.lane}"
        common = f'class="mark {mark.kind}" data-m="{escape(mark.message)}" data-t="{mark.at}" data-text="{escape(text)}" transform="translate({x:.1f} {y:g})"'
        label = f'<text y="{-8 if number % 2 else 15}">{escape(mark.short)}</text>'
        if mark.kind == "crash":
            reach = self.height - y - 10 if mark.short == "power" else 14
            return f'<g {common}><line y1="-14" y2="{reach:g}"/><path d="M-6 -6L6 6M6 -6L-6 6"/>{label}</g>'
        if mark.kind in ("calm", "violation"):
            return f'<g {common}><line y1="{TOP - y:g}" y2="{self.height - y - 10:g}"/>{label}</g>'
        return f'<g {common} style="--own:{self.colours.get(mark.message, "gray")}"><circle r="4"/>{label}</g>'


def curve(points: list[tuple[float, float]]) -> str:
    """A smooth line: level where it meets a lane. The script has the same rule."""
    parts = [f"M{points[0][0]:.1f} {points[0][1]:g}"]
    for (x1, y1), (x2, y2) in pairwise(points):
        middle = (x1 + x2) / 2
        parts.append(f"C{middle:.1f} {y1:g} {middle:.1f} {y2:g} {x2:.1f} {y2:g}")
    return "".join(parts)
