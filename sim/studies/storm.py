"""Storm: what one seed of crash_storm draws: the families that are on, the settings, the crashes, and the strikes of each family.

Swarm testing: a random subset of the families is on, and of each family some of its faults, so that none hides another. The draw 0 is always the calm one.

    storage    failed and lost syncs, errors, no space (a share of all operations); a power loss inside an operation; a stall; a full disk
    process    kills, a pause, an orderly restart, broken and slow links, failing forks, few descriptors, a second QMGR, a poison message
    time       the wall clock jumps, by hours or over the expiry of all mail; clocks stand still; timers are late
    receiving  clients that vanish or are slow; bad peers; a flood
    sending    hosts that say anything at any step; partitions, hosts that die, clogged destinations
    names      DNS that fails; a map that cannot be read
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from sim.choices import Choices, Stream
from sim.costs import Times
from sim.scenario import CONFIGURATION, Scenario, Strike, plain_settings
from sim.studies.internet import ALIASES, UP_US
from sim.weather import CALM, draw_weather
from smx.config.schema import Settings
from smx.units import DAY, HOUR, KIB, MILLISECOND, SECOND

STORM_US: Final = 20 * SECOND  # how long the faults last
FAMILIES: Final = ("storage", "process", "time", "receiving", "sending", "names")
FAMILIES_MIN: Final = 3
PROCESSES: Final = ("qmgr", "smtps.mx.0", "smtpc.0", "smar", "lda", "mcp")
MOMENTS: Final = (
    *("accepted", "submitted", "durable", "begun", "dot", "replied", "verdict", "recorded", "deferred", "bounced", "expanded", "deposited", "closed"),
    *("spilled", "destination", "copied", "relocated", "recovered", "launched"),
)
LINKS: Final = ("", "qmgr smtps.mx.0", "qmgr smtpc.0", "qmgr smar")
HOSTS: Final = tuple(f"203.0.{domain}.{host}" for domain in range(1, 6) for host in (1, 2))

CUT_THROUGH: Final = CONFIGURATION.replace("cut_through = 0;", "cut_through = 1s;")
PRESSED: Final = CONFIGURATION.replace("qmgr {", "qmgr {\n    aq_max_entries = 16; spill_batch = 4;", 1)  # AQ overflows (A8)
SMALL_LOGS: Final = CONFIGURATION.replace("qmgr {", "qmgr {\n    cdb_waste_max = 0; ibdb_segments_max = 2;", 1)  # much is copied (A3)
ALL: Final = SMALL_LOGS.replace("cut_through = 0;", "cut_through = 300ms;").replace("qmgr {", "qmgr {\n    aq_max_entries = 16; spill_batch = 4;", 1)
SETTINGS: Final = (CONFIGURATION, CUT_THROUGH, PRESSED, SMALL_LOGS, ALL)
IBDB_OCTETS: Final = 4 * KIB  # of a segment, smaller than a configuration may say: a storm writes little
CDB_OCTETS: Final = 16 * KIB


def settings_of(text: str) -> Settings:
    """Those of a configuration; the stores have small segments where they are to be given up and copied within a storm."""
    settings = _SMALL.get(text)
    if settings is None:
        settings = plain_settings(text)
        if text in (SMALL_LOGS, ALL):
            qmgr = msgspec.structs.replace(settings.qmgr, ibdb_segment_octets=IBDB_OCTETS, cdb_segment_octets=CDB_OCTETS)
            servers = tuple(msgspec.structs.replace(server, cdb_segment_octets=CDB_OCTETS) for server in settings.smtps)
            settings = msgspec.structs.replace(settings, qmgr=qmgr, smtps=servers)
        _SMALL[text] = settings
    return settings


_SMALL: dict[str, Settings] = {}


class Storm:
    """What one seed drew. `story`: it, in words."""

    def __init__(self, choices: Choices, messages: int) -> None:
        self.draw: Final[Stream] = choices.stream("storm")
        self.choices: Final = choices
        self.messages: Final = messages
        self.families: Final[list[str]] = sorted(self.draw.sample(FAMILIES, self.draw.between(FAMILIES_MIN, len(FAMILIES))))
        self.story: Final[list[str]] = [f"families: {' '.join(self.families)}"]

    def on(self, family: str) -> bool:
        return family in self.families

    def some(self, per_mille: int = 500) -> bool:
        """Each fault of a family that is on, is on in so many of a thousand seeds."""
        return self.draw.chance(per_mille)

    def scenario(self) -> Scenario:
        draw = self.draw
        strikes = self.crashes() + [strike for family, make in _STRIKES.items() if self.on(family) for strike in make(self)]
        self.story.extend(_words(strike) for strike in strikes)
        return Scenario(
            name="crash_storm",
            settings=settings_of(draw.pick(SETTINGS)),
            times=Times(sync_min_us=200, sync_max_us=draw.pick((200, 2_000, 20_000)), link_min_us=20, link_max_us=draw.pick((20, 400, 5_000))),
            weather=draw_weather(self.choices.stream("weather")) if self.on("sending") or self.on("receiving") else CALM,
            personality=draw.pick(("strict", "ordered")),
            disk_faults=self.disk_faults(),
            maps=ALIASES,
            strikes=tuple(strikes),
            calm_at_us=STORM_US,
            limit_us=3 * HOUR,
        )

    # --- crashes ------------------------------------------------------------------------------------------------------

    def crashes(self) -> list[Strike]:
        """One at any time, one behind a moment of some message's life, one inside the recovery after it; perhaps more."""
        draw = self.draw
        strikes = [self.crash(at_us=draw.between(UP_US, STORM_US * 3 // 4), effects=draw.between(0, 40))]
        for _ in range(draw.between(1, 3)):
            strikes.append(self.crash(note=draw.pick(MOMENTS), nth=draw.between(1, 12), effects=draw.between(0, 12)))
        for nth in range(2, 2 + draw.between(1, 2)):
            strikes.append(self.crash(note="recovering", by="qmgr", nth=nth, effects=draw.between(0, 30), target="qmgr"))
        return strikes

    def crash(self, target: str = "", **when: Any) -> Strike:
        kind = self.draw.pick(("power", "kill"))
        return Strike(kind=kind, target=target or self.draw.pick(PROCESSES), amount=self.draw.between(100 * MILLISECOND, 3 * SECOND), **when)

    # --- faults -------------------------------------------------------------------------------------------------------

    def disk_faults(self) -> dict[str, int]:
        """Per mille of operations. Not here: a disk that lies or rots breaks promises, and rightly so; other studies are about it."""
        if not self.on("storage"):
            return {}
        return {fault: self.draw.between(1, 8) for fault in ("F7", "F8", "F9", "F11") if self.some(250)}

    def at(self) -> int:
        return self.draw.between(UP_US, STORM_US - SECOND)

    def strike(self, kind: str, low: int = 0, high: int = 0, target: str = "") -> Strike:
        """At any time, with an amount between the two."""
        return Strike(kind=kind, at_us=self.at(), amount=self.draw.between(low, high), target=target)

    def storage(self) -> list[Strike]:
        strikes = []
        if self.some():
            strikes.append(self.strike("cut_disk", 1, 60))
        if self.some(300):
            strikes.append(self.strike("stall", 100 * MILLISECOND, 8 * SECOND))
        if self.some(300):
            strikes.append(
                Strike(kind="full", at_us=self.draw.between(UP_US, STORM_US // 2), amount=self.draw.between(SECOND, 4 * SECOND))
            )  # nothing starts then
        return strikes or [self.strike("cut_disk", 1, 60)]

    def process(self) -> list[Strike]:
        draw = self.draw
        strikes = [self.strike("kill", target=draw.pick(PROCESSES)) for _ in range(draw.between(1, 4))]
        if self.some(300):
            strikes.append(self.strike("pause", SECOND, 10 * SECOND, draw.pick(PROCESSES[:5])))
        if self.some(300):
            strikes.append(self.strike("cut_link", target=draw.pick(LINKS)))
        if self.some(200):
            strikes.append(Strike(kind="cut_link", note=draw.pick(MOMENTS), nth=draw.between(1, 12), effects=draw.between(0, 8), target=draw.pick(LINKS)))
        if self.some(200):
            strikes.append(self.strike("no_fork", 1, 3))
        if self.some(150):
            strikes.append(self.strike("slow_link", MILLISECOND, 200 * MILLISECOND))
        if self.some(150):
            strikes.append(self.strike("second_qmgr"))
        if self.some(150):
            strikes.append(self.strike("stop_mta", SECOND, 3 * SECOND))
        if self.some(100):
            strikes.append(self.strike("descriptors", 18, 40))
        if self.some(100):
            strikes.append(self.poison())
        return strikes

    def poison(self) -> Strike:
        """QMGR sets it aside while it still kills; of an SMTPC nobody counts the deaths, so it has had enough soon."""
        draw = self.draw
        if draw.chance(300):
            return Strike(kind="poison", target="smtpc", note="submitted", nth=draw.between(1, 8), amount=draw.between(1, 3))
        return Strike(kind="poison", target="qmgr", note="submitted", nth=draw.between(1, 8), amount=draw.between(1, 6))

    def time(self) -> list[Strike]:
        strikes = []
        if self.some():
            strikes.append(self.strike("jump", 6 * DAY, 30 * DAY) if self.some(250) else self.strike("jump", -HOUR, HOUR))
        if self.some(300):
            strikes.append(self.strike("coalesce", MILLISECOND, SECOND))
        if self.some(300):
            strikes.append(self.strike("freeze", 100 * MILLISECOND, 2 * SECOND))
        return strikes or [self.strike("jump", -HOUR, HOUR)]

    def sending(self) -> list[Strike]:
        return [self.strike("partition", SECOND, 10 * SECOND, " ".join(self.draw.sample(HOSTS, self.draw.between(1, 4))))] if self.some(300) else []

    def names(self) -> list[Strike]:
        return [self.strike("break_map", SECOND, 4 * SECOND, "smar.aliases")] if self.some(400) else []


_STRIKES: Final[dict[str, Callable[[Storm], list[Strike]]]] = {
    "storage": Storm.storage,
    "process": Storm.process,
    "time": Storm.time,
    "sending": Storm.sending,
    "names": Storm.names,
}


def _words(strike: Strike) -> str:
    when = f"behind {strike.note} {strike.nth}" if strike.note else f"at {strike.at_us / SECOND:.3f} s"
    effects = f" and {strike.effects} effects" if strike.effects >= 0 else ""
    return f"{strike.kind} {strike.target}".rstrip() + f" {when}{effects}"
