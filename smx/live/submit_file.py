"""Submit file: where the running smx takes mail, as a small JSON file, so that `sendmail` need not read the configuration.

SPOOL/listeners.json, readable by everybody who may search the spool:
    {"pid": 17, "hostname": "mx.example.org", "listeners": [{"name": "smtps.mx:0", "protocol": "smtp", "host": "127.0.0.1", "port": 25}]}
"""

import json
import os
from collections.abc import Mapping

from smx.config.schema import Settings


def write(spool: str, settings: Settings, ports: Mapping[str, int]) -> None:
    """`ports`: the port of each listener that is bound, where it differs from the settings (0 there means any free one)."""
    path = submit_path(spool)
    fresh = f"{path}.{os.getpid()}"
    rows: list[dict[str, str | int]] = []
    for server in settings.smtps:
        for number, socket in enumerate(server.listen_socket):
            name = f"smtps.{server.name}:{number}"
            row: dict[str, str | int] = {"name": name, "protocol": server.protocol}
            rows.append(row | ({"path": socket.path} if socket.type == "unix" else {"host": socket.address, "port": ports.get(name, socket.port)}))
    with open(fresh, "w", encoding="utf-8") as file:
        json.dump({"pid": os.getpid(), "hostname": settings.hostname, "listeners": rows}, file)
    os.chmod(fresh, 0o644)
    os.rename(fresh, path)


def remove(spool: str) -> None:
    """smx takes no more mail here."""
    try:
        os.unlink(submit_path(spool))
    except FileNotFoundError:
        return


def bound(spool: str) -> dict[str, tuple[str, int]]:
    """Address of each listener in the file: host and port, or the path of a UNIX socket and 0. Empty when no smx runs."""
    try:
        with open(submit_path(spool), encoding="utf-8") as file:
            rows = json.load(file)["listeners"]
    except FileNotFoundError:
        return {}
    return {row["name"]: (row["path"], 0) if "path" in row else (row["host"], row["port"]) for row in rows}


def submit_path(spool: str) -> str:
    return f"{spool}/listeners.json"
