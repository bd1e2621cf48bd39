"""Where to hand in mail: finds the running smx without reading its configuration where that is possible, because start-up time counts.

Looked at in this order: the spool in $SMX_SPOOL; the configuration that was named (-C or $SMX_CONFIG); the usual spool; the usual
configuration. A running smx says in SPOOL/listeners.json where it listens (smx.live.submit_file); without that file the configuration says where it would.
"""

import json
import os
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

USUAL_SPOOL: Final = "/var/spool/smx"
SPOOL_VARIABLE: Final = "SMX_SPOOL"
CONFIG_VARIABLE: Final = "SMX_CONFIG"
LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Target(NamedTuple):
    """Where SMTP is spoken: host and port, or the path of a UNIX socket. `hostname` completes addresses without a domain."""

    host: str
    port: int
    path: str
    hostname: str

    @property
    def text(self) -> str:
        return self.path or f"{self.host} port {self.port}"


class NotRunningError(Exception):
    """Nobody takes mail here; the text says what was looked at."""


class NotConfiguredError(Exception):
    """A configuration has to be read and cannot be used; the text says why."""


def find_spool(config: str = "", environment: Mapping[str, str] = os.environ) -> str:
    """The spool. Raises NotConfiguredError."""
    if spool := environment.get(SPOOL_VARIABLE):
        return spool
    if not config and not environment.get(CONFIG_VARIABLE) and os.path.exists(USUAL_SPOOL):
        return USUAL_SPOOL
    configured: str = _settings(config).spool
    return configured


def find_target(config: str = "") -> Target:
    """Where mail is taken. Raises NotRunningError, NotConfiguredError."""
    spool = find_spool(config)
    path = f"{spool}/listeners.json"
    try:
        with open(path, encoding="utf-8") as file:
            said = json.load(file)
    except FileNotFoundError:
        raise NotRunningError(f"smx is not running ({path} is missing)") from None
    except PermissionError:
        return _from_settings(config)
    except ValueError:
        raise NotRunningError(f"{path} is damaged") from None
    return choose(said["listeners"], said["hostname"])


def choose(rows: list[dict[str, Any]], hostname: str) -> Target:
    """The first TCP socket that speaks SMTP, else a UNIX socket. Raises NotRunningError when there is none."""
    smtp = [row for row in rows if row["protocol"] == "smtp"]
    for row in smtp:
        if row.get("port"):
            return Target(LOOPBACK.get(row["host"], row["host"]), row["port"], "", hostname)
    for row in smtp:
        if row.get("path"):
            return Target("", 0, row["path"], hostname)
    raise NotRunningError("smx takes mail by SMTP on no socket")


def _from_settings(config: str) -> Target:
    """The spool is not ours to read: where the configuration says."""
    settings = _settings(config)
    rows: list[dict[str, Any]] = []
    for server in settings.smtps:
        for socket in server.listen_socket:
            where = {"path": socket.path} if socket.type == "unix" else {"host": socket.address, "port": socket.port}
            rows.append({"protocol": server.protocol} | where)
    return choose(rows, settings.hostname)


def _settings(config: str) -> Any:
    from smx.config.load import find_config, load
    from smx.config.problems import ConfigError

    try:
        return load(find_config(config or None))
    except ConfigError as error:
        raise NotConfiguredError(error.render()) from None
