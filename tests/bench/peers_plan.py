"""Plan: which mail servers are measured, in which trials, with which loads.

The set-ups of the other servers, and the driver that starts, loads and measures one of them (run_peer.sh), are a kit of their own
outside this project; smx takes part by its adapter, tests/bench/smx.sh. A trial is one call of the driver. What differs for a server
is there for a reason: Exim holds each reply to QUIT for 200 ms, OpenSMTPD has a listen backlog of 5, aiosmtpd relays nothing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

ADAPTER: Final = str(Path(__file__).with_name("smx.sh").resolve())
BUILT: Final = Path(__file__).resolve().parents[2] / "build" / "fast"  # what tools/compile.py makes
OURS: Final = "smx"
STORED: Final = "smx, stored first"
COMPILED: Final = "smx, compiled"
VARIANTS: Final = (STORED, COMPILED)
REFERENCE: Final = "postfix"


class Peer(Struct, frozen=True):
    """A server as it is measured: `script` is what the driver takes, `environment` what its adapter reads."""

    name: str
    script: str
    environment: tuple[tuple[str, str], ...] = ()
    durable: bool = True  # False: it says 250 before anything is synced


class Trial(Struct, frozen=True):
    """One measurement. `figure` is the field of the driver's answer that decides; `more`: more of it is better."""

    name: str
    title: str
    mode: str
    options: Mapping[str, int]
    figure: str
    unit: str
    peers: tuple[str, ...]
    more: bool = True
    special: Mapping[str, Mapping[str, int]] = {}  # by peer: other options


PEERS: Final = (
    Peer(OURS, ADAPTER),
    Peer(STORED, ADAPTER, (("SMX_CUT_THROUGH", "0"),)),
    Peer(COMPILED, ADAPTER, (("PYTHONPATH", str(BUILT)),)),
    Peer(REFERENCE, "postfix"),
    Peer("exim", "exim4"),
    Peer("opensmtpd", "opensmtpd", (("OPENSMTPD_EXTRA", "mta limit session-mail-max 100000"),), durable=False),
    Peer("sendmail", "sendmail"),
    Peer("haraka", "haraka"),
    Peer("aiosmtpd", "aiosmtpd"),
)
_ALL: Final = tuple(peer.name for peer in PEERS if peer.name != STORED)
_RELAYS: Final = tuple(peer.name for peer in PEERS if peer.name != "aiosmtpd")
_SLOW: Final = {"exim": {"m": 600}, "sendmail": {"m": 1000}, "haraka": {"m": 1500}, "aiosmtpd": {"m": 1500}}

TRIALS: Final = (
    Trial(
        "accept",
        "accept, 4 KiB, 20 sessions, a new session each",
        "accept",
        {"m": 3000},
        "msgs_per_s",
        "messages/s",
        _ALL,
        special=_SLOW | {"opensmtpd": {"s": 4}},
    ),
    Trial("kept", "accept, 4 KiB, 20 sessions, kept", "accept", {"m": 3000, "d": 1}, "msgs_per_s", "messages/s", _ALL, special=_SLOW),
    Trial(
        "large",
        "accept, 64 KiB, 20 sessions, a new session each",
        "accept",
        {"m": 1000, "size": 65536},
        "msgs_per_s",
        "messages/s",
        _ALL,
        special={"exim": {"m": 400}, "sendmail": {"m": 500}, "haraka": {"m": 500}, "aiosmtpd": {"m": 500}, "opensmtpd": {"s": 4}},
    ),
    Trial(
        "relay",
        "relay, 4 KiB, 20 sessions, a new session each",
        "relay",
        {"m": 3000},
        "msgs_per_s",
        "messages/s",
        _RELAYS,
        special={"exim": {"m": 600}, "sendmail": {"m": 600}, "haraka": {"m": 1000}, "opensmtpd": {"m": 1001, "s": 4}},
    ),
    Trial(
        "latency",
        "one session at a time: the final dot to its reply",
        "latency",
        {"m": 2000},
        "dot_ms.p50",
        "ms",
        (OURS, STORED, REFERENCE, "haraka", "aiosmtpd", "sendmail"),
        more=False,
        special={"haraka": {"m": 200}, "sendmail": {"m": 200}, "aiosmtpd": {"m": 500}},
    ),
    Trial(
        "recovery",
        "5,000 queued, SIGKILL, start, until the last has arrived",
        "recovery",
        {"m": 5000},
        "all_delivered_s",
        "s",
        (OURS, REFERENCE),
        more=False,
    ),
)
