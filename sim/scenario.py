"""Scenario: what a run is of, as data: the configuration, the world around the machine, what goes wrong and when, and how long it lasts."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sim.costs import Times
from sim.weather import CALM, Weather
from smx.config.load import load_text
from smx.config.schema import Settings
from smx.units import MINUTE, SECOND

ADDRESS: Final = "192.0.2.1"  # of the machine
CLIENTS: Final = "198.51.100"  # the network of those who may send to anywhere
DOMAIN: Final = "lab.example"

CONFIGURATION: Final = """
hostname = mx.lab.example;
spool = /spool;
postmaster = postmaster@lab.example;
mcp { restart_min = 200ms; restart_max = 2s; restart_reset = 10s; start_timeout = 20s; stop_timeout = 5s; }
smtps mx {
    listen_socket { address = 192.0.2.1; port = 25; }
    relay_from = { 198.51.100.0/24 };
    content_memory_max = 32KiB;
    cdb_segment_octets = 64KiB;
}
smtpc { tls = no; idle_keep = 2s; }
smar { local_domains = { lab.example, mx.lab.example }; aliases { file = /etc/aliases; } }
lda { }
qmgr {
    ibdb_segment_octets = 64KiB;
    cdb_segment_octets = 64KiB;
    min_free = 0;
    cut_through = 0;
    retry { min = 1s; max = 4s; give_up = 5d; warn = 0; dead_min = 1s; dead_max = 2s; }
}
"""


class Strike(msgspec.Struct, frozen=True, kw_only=True):
    """One fault. It strikes at `at_us` after the start, or `at_us` after the `nth` note of this name (by `by`, when given), and then, with
    `effects` >= 0, only after so many more effects of `by` (of anybody when "") were carried out, on the boundary behind the last of them.

    kind         target             amount
    power        -                  microseconds without power
    kill         a process          -
    pause        a process          microseconds (F20)
    stop_mta     -                  microseconds until it is started again: an orderly restart
    jump         -                  microseconds, either way (F26)
    freeze       -                  microseconds for which the clocks of all processes stand still (F28)
    coalesce     -                  microseconds to which timers are rounded up (F27)
    stall        -                  microseconds for which no sync ends (F12)
    full         -                  microseconds for which the disk is full (F11)
    cut_link     two processes      - ("smtps.mx.0 qmgr"; "" : all links) (F24)
    slow_link    -                  microseconds that each frame takes longer, until the faults end
    descriptors  -                  how many each process may have from now on; 0: enough (F21)
    no_fork      -                  how many of the next launches fail (F21)
    second_qmgr  -                  - (F22): a second QMGR is started beside the first
    partition    hosts              microseconds; 0: until the faults end (F38)
    break_map    a map              microseconds for which it cannot be read
    poison       qmgr or smtpc      how often the message of the note kills it; 0: always. The note is `submitted` (F23)
    cut_disk     -                  the power fails before the so-many-th operation of the disk from now on
    """

    kind: str
    at_us: int = 0
    note: str = ""
    nth: int = 1
    by: str = ""
    effects: int = -1
    target: str = ""
    amount: int = 0


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """`calm_at_us`: when the faults end and the liveness phase begins (0: there are none); `limit_us`: the longest run; `settle_us`: how long the
    world goes on when nothing is left to do, so that what was kept for later is given back.
    """

    name: str = "plain"
    settings: Settings = msgspec.field(default_factory=lambda: plain_settings())
    times: Times = Times()
    weather: Weather = CALM
    personality: str = "strict"
    disk_faults: dict[str, int] = {}  # fault -> per mille of operations, until the faults end
    disk_octets: int = 1 << 40
    maps: dict[str, tuple[tuple[str, str], ...]] = {}
    strikes: tuple[Strike, ...] = ()
    wall_offset_us: int = 0
    calm_at_us: int = 0
    limit_us: int = 30 * MINUTE
    settle_us: int = 65 * SECOND
    options: dict[str, Any] = {}  # of the study that made it


def plain_settings(text: str = CONFIGURATION) -> Settings:
    """The settings of a configuration text. ConfigError when it is wrong."""
    found = _SETTINGS.get(text)
    if found is None:
        found = _SETTINGS[text] = load_text(text, look_at_files=False)
    return found


_SETTINGS: dict[str, Settings] = {}
