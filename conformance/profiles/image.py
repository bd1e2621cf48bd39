"""Image: runs a packaged MTA in namespaces of its own, so that it finds its files where it expects them and nothing of the machine is changed.

The packages are unpacked side by side (`install`). At a start an overlay of the machine's root and the package's files becomes the root of a new mount and
process namespace, with its own /etc/resolv.conf, accounts and spool; when its first process is killed, all of it is gone. It needs root, unshare and
overlayfs; the network is the machine's, on loopback addresses.
"""

import os
import subprocess
from pathlib import Path
from typing import Any, Final

from conformance.certificates import make_authority, make_server
from conformance.outcome import MissingDependency
from conformance.profiles.install import root_of
from conformance.profiles.profile import USERS, Place, ProfileError, free_network, free_port, spawned
from conformance.profiles.recipe import DELIVER, INNER, MAIL_UID, Recipe, filled

_SYSTEM_UID: Final = 61_100
_DELIVER: Final = """\
#!/bin/sh
# A message from standard input into the Maildir of user $1; $2, if it is given, is the reverse-path for Return-Path.
set -e
box=@dir@/mail/$1; umask 022
mkdir -p "$box/tmp" "$box/new" "$box/cur"
name=$(date +%s%N).$$.$(head -c 6 /dev/urandom | od -An -tx1 | tr -d ' \\n')
{ [ $# -lt 2 ] || printf 'Return-Path: <%s>\\n' "$(echo "$2" | tr -d '<>')"; cat; } >"$box/tmp/$name"
mv "$box/tmp/$name" "$box/new/$name"
"""
_LAUNCH: Final = """\
set -e
image=@outer@/image
mkdir -p $image; mount -t tmpfs tmpfs $image; chmod 755 $image
mkdir $image/up $image/work $image/root
cp -a {files}/. $image/up/
mount -t overlay overlay -o lowerdir=/,upperdir=$image/up,workdir=$image/work $image/root
mount -t proc proc $image/root/proc; mount --rbind /dev $image/root/dev; mount --rbind /sys $image/root/sys
mkdir -p $image/root{inner}; mount --bind @outer@ $image/root{inner}
{spool}
exec chroot $image/root /bin/sh {inner}/run.sh
"""
_SPOOL: Final = """\
mkdir -p $image/root{spool}
[ -e @outer@/spool ] || cp -a $image/root{spool} @outer@/spool
mount --bind @outer@/spool $image/root{spool}
"""
_RUN: Final = """\
set -e
umask 022
printf 'nameserver @nameserver@\\n' >/etc/resolv.conf
printf '127.0.0.1 localhost\\n127.0.0.1 @hostname@\\n' >/etc/hosts
hostname=@hostname@; echo $hostname >/etc/mailname; echo $hostname >/etc/hostname
{accounts}
{setup}
{run}
"""


class Peer:
    """The profile of a recipe."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe: Final = recipe
        self.name: Final = recipe.name

    def place(self, directory: Path) -> Place:
        if os.geteuid() != 0:
            raise ProfileError(f"the profile {self.name} needs root: it runs in namespaces of its own")
        if not root_of(self.name).exists():
            raise ProfileError(f"{self.name} is not installed: make conformance-peers, or python -m conformance.profiles.install {self.name}")
        return Place(self.name, str(directory), free_network(), {service: free_port() for service in self._recipe.services})

    def version(self) -> str:
        return (root_of(self.name) / "VERSION").read_text().strip()

    def prepare(self, place: Place) -> dict[str, Any]:
        special: dict[str, Any] = {"delivery": {"maildir": f"{place.directory}/mail/%u"}, **_filled_in(self._recipe.special, place)}
        for name, text in {**self._recipe.files, DELIVER: _DELIVER}.items():
            path = place.path("files" + filled(name, place))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(filled(text, place))
            path.chmod(0o755 if text.startswith("#!") else 0o644)
        try:
            make_authority(place.path("ca.pem"))
            make_server(place.path("server.pem"), place.hostname, place.path("ca.pem"))
        except MissingDependency as error:
            raise ProfileError(str(error)) from None
        special["tls"] = {"ca": str(place.path("ca.pem")), "suite_ca": str(place.path("ca.pem"))}
        if not self._recipe.flush:
            special["control"] = {"flush": None}
        place.path("mail").mkdir(exist_ok=True)
        os.chown(place.path("mail"), MAIL_UID, MAIL_UID)
        spool = _SPOOL.format(spool=self._recipe.spool) if self._recipe.spool else ""
        place.path("launch.sh").write_text(filled(_LAUNCH.format(files=root_of(self.name), spool=spool, inner=INNER), place))
        run = _RUN.format(accounts=self._accounts(), setup=f"cp -a @dir@/files/. /\n{self._recipe.setup}", run=self._recipe.run)
        place.path("run.sh").write_text(filled(run, place))
        return special

    def _accounts(self) -> str:
        """Lines of passwd and group for the MTA's own accounts, those of the mailboxes, and the local users."""
        rows = [(user, MAIL_UID + number) for number, user in enumerate(("mailuser", *USERS))]
        rows += [(user, _SYSTEM_UID + number) for number, user in enumerate(self._recipe.users)]
        lines = []
        for name, uid in rows:
            home = f"@dir@/mail/{name}" if name in USERS else "/nonexistent"
            lines.append(f"grep -q ^{name}: /etc/passwd || echo '{name}:x:{uid}:{uid}::{home}:/bin/sh' >>/etc/passwd")
            lines.append(f"grep -q ^{name}: /etc/group || echo '{name}:x:{uid}:' >>/etc/group")
        return "\n".join(lines)

    def launch(self, place: Place) -> "subprocess.Popen[bytes]":
        return spawned(place, ["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", str(place.path("launch.sh"))])

    def flush(self, place: Place) -> int:
        """Inside of the namespaces."""
        first = Path(f"/proc/{place.pid}/task/{place.pid}/children").read_text().split()[0]
        command = ["nsenter", "--target", first, "--mount", "--pid", "--root", "--wd", "/bin/sh", "-c", filled(self._recipe.flush, place)]
        return subprocess.run(command, check=False, timeout=60).returncode if self._recipe.flush else 1


def _filled_in(special: dict[str, Any], place: Place) -> dict[str, Any]:
    """With the facts of a place in its texts."""
    return {
        name: filled(value, place) if isinstance(value, str) else _filled_in(value, place) if isinstance(value, dict) else value
        for name, value in special.items()
    }
