"""Scenes with crashes: the power fails, or a process is killed, right where it hurts: behind a given note of a message's life, so many effects later."""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from sim.choices import Choices
from sim.mutations.scenes import MIXED, SCENES, SLOW_DISK, Scene, world_of
from sim.mutations.scenes_calm import CUT_THROUGH, SECTION, many
from sim.peers.mail import Mail
from sim.peers.script import GOOD, LATER, UNKNOWN, Act, Script
from sim.scenario import CONFIGURATION, Strike
from sim.trace import Trace
from sim.truth import Truth
from sim.world import World
from smx.units import MILLISECOND, SECOND

LATE: Final = Script(acts={"rcpt": (LATER, LATER)})


class Blow(Struct, frozen=True):
    """A crash behind a note. `nth` and `effects`: below how many it is drawn; `twice`: once more inside the recovery behind it, or right after it."""

    kind: str
    note: str
    target: str = ""
    nth: int = 8
    effects: int = 6
    again: str = ""  # the note behind which it happens once more
    again_effects: int = 20
    text: str = CONFIGURATION
    scripts: Sequence[Script] = (GOOD, GOOD, LATE)
    mails: Sequence[Mail] = MIXED
    first: int = 1  # the least `nth`


def _build(blow: Blow, choices: Choices, trace: Trace, truth: Truth) -> World:
    drawn = choices.stream("scene")
    strikes = [_strike(blow, note=blow.note, nth=blow.first + drawn.below(blow.nth), effects=drawn.below(blow.effects))]
    if blow.again:
        strikes.append(_strike(blow, note=blow.again, by="qmgr", nth=2, effects=drawn.below(blow.again_effects)))
    return world_of(choices, trace, truth, *strikes, text=blow.text, scripts=blow.scripts, mails=blow.mails, times=SLOW_DISK)


def _strike(blow: Blow, **when: Any) -> Strike:
    return Strike(kind=blow.kind, target=blow.target, amount=200 * MILLISECOND, **when)


AWAY: Final = Script(acts={"rcpt": (LATER,) * 8})
LISTS: Final = tuple(Mail(f"t{number}", ("list@lab.example",)) for number in range(6))
WAITS: Final = CONFIGURATION.replace(SECTION, "retry { min = 20s; max = 20s; give_up = 5d; warn = 0; dead_min = 1s; dead_max = 2s; }")
UNKNOWN_HOST: Final = Script(always={"rcpt": UNKNOWN})
SLOW: Final = Script(always={"dot": Act(delay_us=2 * SECOND)})
BLOWS: Final[dict[str, Blow]] = {
    "power-behind-accepted": Blow("power", "accepted"),
    "power-behind-recorded": Blow("power", "recorded", effects=3),
    "power-behind-verdict": Blow("power", "verdict"),
    "power-behind-deferred": Blow("power", "deferred", nth=2, effects=24),
    "power-behind-expanded": Blow("power", "expanded", nth=12, effects=30, mails=LISTS),
    "power-behind-local": Blow("power", "recorded", nth=16, effects=6, mails=many(10, "alice@lab.example", "bob@lab.example")),
    "power-behind-bounced": Blow("power", "bounced", nth=5, effects=12),
    "power-behind-dot": Blow("power", "dot"),
    "power-behind-deposited": Blow("power", "deposited", effects=4),
    "kill-behind-verdict": Blow("kill", "verdict", "qmgr", effects=10),
    "kill-behind-deferred": Blow("kill", "deferred", "qmgr", nth=8, effects=12, scripts=(AWAY, GOOD, GOOD), mails=many(8, "a@d0.example")),
    "kill-behind-expanded": Blow("kill", "expanded", "qmgr", nth=12, effects=60, mails=LISTS),
    "kill-behind-bounced": Blow("kill", "recorded", "qmgr", nth=6, effects=12, scripts=(UNKNOWN_HOST, UNKNOWN_HOST, LATE)),
    "kill-behind-failed": Blow("kill", "recorded", "qmgr", nth=6, effects=3, scripts=(UNKNOWN_HOST, UNKNOWN_HOST, LATE)),
    "kill-behind-retried": Blow("kill", "recorded", "qmgr", first=9, nth=8, effects=2, scripts=(AWAY, GOOD, GOOD), mails=many(8, "a@d0.example")),
    "kill-twice-behind-retried": Blow(
        "kill", "recorded", "qmgr", first=9, nth=8, effects=2, scripts=(AWAY, GOOD, GOOD), mails=many(8, "a@d0.example"), again="recovered", again_effects=30
    ),
    "power-behind-put-off": Blow("power", "recorded", nth=8, effects=6, scripts=(AWAY, GOOD, GOOD), mails=many(8, "a@d0.example")),
    "kill-behind-begun": Blow("kill", "begun", "qmgr", effects=4),
    "kill-with-rows": Blow("kill", "deferred", "qmgr", nth=2, effects=60, text=WAITS, scripts=(AWAY, GOOD, GOOD), mails=many(8, "a@d0.example")),
    "kill-behind-recorded": Blow("kill", "recorded", "qmgr", effects=6),
    "kill-behind-submitted": Blow("kill", "submitted", "qmgr", effects=6),
    "kill-smtps": Blow("kill", "submitted", "smtps.mx.0", effects=6),
    "kill-smtpc": Blow("kill", "begun", "smtpc.0", effects=12),
    "kill-lda": Blow("kill", "dot", "lda", effects=6),
    "power-in-recovery": Blow("power", "durable", effects=20, again="recovering", again_effects=40, scripts=(SLOW, SLOW, LATE)),
    "power-behind-recovery": Blow("power", "durable", effects=20, again="recovered", again_effects=40, scripts=(SLOW, SLOW, LATE)),
    "power-in-cut-through": Blow("power", "begun", effects=20, text=CUT_THROUGH, scripts=(SLOW, GOOD, LATE)),
}


def _enter(name: str, blow: Blow) -> None:
    def build(choices: Choices, trace: Trace, truth: Truth) -> World:
        return _build(blow, choices, trace, truth)

    what = "The power fails" if blow.kind == "power" else f"{blow.target} is killed"
    again = f", and once more behind `{blow.again}`" if blow.again else ""
    SCENES[name] = Scene(name, f"{what} behind a note `{blow.note}`{again}.", build)


for _name, _blow in BLOWS.items():
    _enter(_name, _blow)
