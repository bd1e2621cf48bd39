"""The profile smx: needs the command `smx` and no root: MX hosts are visited on an unprivileged port."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from conformance.certificates import make_authority, make_server
from conformance.outcome import MissingDependency
from conformance.profiles.profile import LOCAL_DOMAIN, RELAY_DOMAIN, TRUSTED, USERS, Place, ProfileError, free_network, free_port, spawned

_CONFIGURATION: Final = """\
hostname = "{hostname}";
spool = "{directory}/spool";
log {{ file = "{directory}/smx.log"; level = info; }}
smtps mx {{
    listen_socket {{ type = inet; address = "127.0.0.1"; port = {port}; }}
    relay_from = {{ "{trusted}/32" }};
    client {{ connections_max = 0; }}
    {tls}
}}
qmgr {{ cut_through = 0; }}  # else the reply to the final dot waits for the delivery, and cases would wait for each other
smtpc {{ }}
lda {{ maildirs = "{directory}/maildirs/%u"; }}
smar {{
    local_domains = {{ "{domain}", "{hostname}" }};
    relay_domains = {{ "{relay_domain}", ".{relay_domain}" }};
    local_user_map = "users";
    aliases {{ file = "{directory}/aliases"; }}
    map users {{ type = inline; entries = {{ {users} }}; }}
    nameserver = {{ "{nameserver}" }};
    smtp_port = {remote_port};
    dns_cache {{ ttl_min = 0; negative_ttl = 0; }}
}}
"""


class Smx:
    name: Final = "smx"

    def place(self, directory: Path) -> Place:
        return Place(self.name, str(directory), free_network(), {"smtp": free_port()}, free_port(), free_port())

    def version(self) -> str:
        found = subprocess.run([*_command(), "--version"], capture_output=True, text=True, check=False, timeout=20)
        return (found.stdout.split() or ["unknown"])[-1]

    def prepare(self, place: Place) -> dict[str, Any]:
        special: dict[str, Any] = {
            "services": {"lmtp": f"{place.directory}/spool/run/lda"},
            "delivery": {"maildir": f"{place.directory}/maildirs/%u"},
            "policy": {
                "retry_s": 300,
                "give_up_s": 432_000,
                "alias": f"other-name@{LOCAL_DOMAIN}",
                "list": f"everybody@{LOCAL_DOMAIN}",
                "list_owner": f"owner-everybody@{LOCAL_DOMAIN}",
            },
            "limits": {"parallel": 16},
        }
        tls = ""
        try:
            make_authority(place.path("ca.pem"))
            make_server(place.path("server.pem"), place.hostname, place.path("ca.pem"))
        except MissingDependency:
            pass  # STARTTLS is not offered then
        else:
            tls = f'tls {{ certificate = "{place.path("server.pem")}"; }}'
            special["tls"] = {"ca": str(place.path("ca.pem")), "suite_ca": str(place.path("ca.pem"))}
        place.path("aliases").write_text(f"other-name: {USERS[0]}\neverybody: {', '.join(USERS[:2])}\nowner-everybody: postmaster\n")
        place.path("smx.conf").write_text(
            _CONFIGURATION.format(
                hostname=place.hostname,
                directory=place.directory,
                port=place.ports["smtp"],
                trusted=TRUSTED,
                tls=tls,
                domain=LOCAL_DOMAIN,
                relay_domain=RELAY_DOMAIN,
                users=" ".join(f'"{user}" = "";' for user in (*USERS, "postmaster")),
                nameserver=f"{place.nameserver}:{place.dns_port}",
                remote_port=place.remote_port,
            )
        )
        return special

    def launch(self, place: Place) -> "subprocess.Popen[bytes]":
        return spawned(place, [*_command(), "run", "--config", str(place.path("smx.conf"))])

    def flush(self, place: Place) -> int:
        return subprocess.run([*_command(), "queue", "retry", "--all", "--config", str(place.path("smx.conf"))], check=False, timeout=30).returncode


def _command() -> list[str]:
    """Beside this Python, or on the path."""
    beside = Path(sys.executable).with_name("smx")
    found = str(beside) if beside.exists() else shutil.which("smx")
    if not found:
        raise ProfileError("the command smx is not here: pip install smx")
    return [found]
