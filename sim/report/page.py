"""Page: the HTML file of a run. Style and script lie beside this module and are put into the file, so that it needs nothing else."""

from html import escape
from pathlib import Path
from typing import Final

import msgspec

from sim.chronicle import WORLD, Chronicle, again
from sim.failure import command_of
from sim.report.drawing import LEFT, RIGHT, TICKS, WIDTH, Drawing
from sim.report.parts import Mark, Timeline
from sim.report.timeline import timeline
from sim.studies import Run

_HERE: Final = Path(__file__).parent
LEGEND: Final = (
    ("mark client", "the client sends the final dot"),
    ("mark work", "a process takes, begins, sends"),
    ("mark write", "written, not durable yet"),
    ("mark durable", "durable on the disk"),
    ("mark good", "250, taken, delivered"),
    ("mark bad", "4yz, 5yz, failed, deferred"),
    ("mark closed", "done with it"),
    ("bar alive", "a process lives"),
    ("bar recovering", "it recovers"),
    ("bar sync", "a sync is under way"),
    ("bar fault", "a fault lasts"),
    ("bar dark", "the machine has no power"),
)


def page(run: Run) -> str:
    """Of a run; it is repeated to learn what happened in which order."""
    told = again(run)
    run = told.run
    line = with_violations(timeline(told), told)
    drawing = Drawing(line)
    data = {
        "instants": drawing.scale.instants,
        "places": [round(place, 6) for place in drawing.scale.places],
        "stories": {message.key: message.story for message in line.messages},
        "left": LEFT,
        "right": RIGHT,
        "width": WIDTH,
        "ticks": TICKS,
    }
    title = f"{run.study.name}, seed {run.seed}"
    return "\n".join(
        [
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
            f"<style>{_part('page.css')}</style></head><body>",
            _head(run, title),
            _violations(run),
            _controls(line, drawing),
            f'<div id="stage">{drawing.svg()}</div><div id="tip"></div>',
            '<section id="story"><h2>Story</h2><p class="hint">Click a message to read what happened to it, line by line.</p><pre></pre></section>',
            f'<script type="application/json" id="data">{_json(data)}</script>',
            f"<script>{_part('page.js')}</script></body></html>",
        ]
    )


def with_violations(line: Timeline, told: Chronicle) -> Timeline:
    """Each violation as a mark over all lanes."""
    if WORLD not in line.lanes and told.run.outcome.violations:
        line.lanes.insert(0, WORLD)
    for violation in told.run.outcome.violations:
        at = min(violation.at - told.run.trace.started_at, line.until)
        line.marks.append(Mark(WORLD, at, "", "violation", violation.invariant, f"{violation.invariant} is broken: {violation.what}"))
    return line


def _part(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _json(data: object) -> str:
    """JSON that may stand in a script element."""
    return msgspec.json.encode(data).decode().replace("</", "<\\/")


def _head(run: Run, title: str) -> str:
    outcome = run.outcome
    numbers = "".join(f"<div><b>{value:,.6g}</b>{escape(name.replace('_', ' '))}</div>" for name, value in outcome.figures.items())
    drawn = "".join(f"<li>{escape(line)}</li>" for line in run.story)
    verdict = '<span class="broken">broken</span>' if run.failed else '<span class="held">every invariant held</span>'
    command = command_of(run.study, run.seed, run.tape.options)
    return (
        f"<header><h1>{escape(title)} {verdict}</h1><p>{escape(run.study.question)}</p>"
        f'<p class="small"><code>{escape(command)}</code> digest <code>{outcome.digest}</code>,'
        f" {outcome.events:,} events, {outcome.ended_at_us / 1e6:,.3f} s</p>"
        f'<div id="figures">{numbers}</div>'
        f"<details><summary>what was drawn, and which rare states were reached</summary><ul>{drawn}</ul>"
        f"<p>{escape(', '.join(outcome.markers))}</p></details></header>"
    )


def _violations(run: Run) -> str:
    rows = "".join(
        f"<li><b>{escape(violation.invariant)}</b> at {(violation.at - run.trace.started_at) / 1e6:.6f} s: {escape(violation.what)}"
        f"<br><small>{escape(violation.sentence)}</small></li>"
        for violation in run.outcome.violations
    )
    return f'<ul id="violations">{rows}</ul>' if rows else ""


def _controls(line: Timeline, drawing: Drawing) -> str:
    legend = "".join(f'<span class="key"><svg width="16" height="14">{_sample(kind)}</svg>{text}</span>' for kind, text in LEGEND)
    chips = "".join(
        f'<button class="chip{" broken" if message.broken else ""}" data-m="{escape(message.key)}" style="--own:{drawing.colours[message.key]}"'
        f' title="{escape(message.state)}">{escape(message.title)}<small>{escape(message.state)}</small></button>'
        for message in line.messages
    )
    left_out = f'<p class="hint">{line.left_out} more messages are not drawn.</p>' if line.left_out > 0 else ""
    return (
        '<nav><input id="filter" type="search" placeholder="filter messages"><button id="all">all</button><button id="even">even time</button>'
        '<button id="reset">whole run</button><span class="hint">wheel: zoom, drag: move, click a message: only it</span></nav>'
        f'<div id="legend">{legend}</div><div id="chips">{chips}</div>{left_out}'
    )


def _sample(kind: str) -> str:
    if kind.startswith("mark"):
        return f'<g class="{kind}" transform="translate(8 7)" style="--own:hsl(210 70% 45%)"><circle r="4"/></g>'
    return f'<rect class="{kind}" x="1" y="2" width="14" height="10" rx="2"/>'
