"""Mailboxes: what is visible in the Maildirs of the simulated machine has arrived: said once a message, by the LDA or found after a power loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.disk.deposits import delivered

if TYPE_CHECKING:
    from sim.disk import Disk
    from sim.world import World

DELIVERED_TO: Final = b"Delivered-To: "
HOST: Final = "maildir"


class Mailboxes:
    """Tells the truth about local mail."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.seen: set[tuple[str, str]] = set()

    def deposited(self, directory: str, name: str) -> None:
        """The LDA is told that a message is durable in a Maildir: then it has arrived. One that is not counts when it is seen later."""
        if self._durable(f"{directory}/new/{name}"):
            self._arrived(directory, name, self._world.machine.disk.content(f"{directory}/new/{name}"))

    def scan(self, disk: Disk) -> None:
        """What a power loss left in a Maildir has arrived, though the LDA did not live to say so."""
        root = self._world.scenario.settings.lda.maildirs.partition("%")[0].rstrip("/")
        if disk.is_directory(root):
            for user in sorted(disk.listdir(root)):
                for name, content in sorted(delivered(disk, f"{root}/{user}")):
                    self._arrived(f"{root}/{user}", name, content)

    def _durable(self, path: str) -> bool:
        disk = self._world.machine.disk
        place = disk.tree.parent(path)
        if disk.durable_content(path) != disk.content(path):
            return False
        return not any((directory, name) == place for change in disk.tree.changes for directory, name, _ in change.entries)

    def _arrived(self, directory: str, name: str, content: bytes) -> None:
        if (directory, name) not in self.seen:
            self.seen.add((directory, name))
            self._world.truth.arrived(HOST, content, (self._owner(directory, content),), self._world.env.now)

    def _owner(self, directory: str, content: bytes) -> str:
        """Whose mail it is: the address in Delivered-To when it is one of the Maildir's user, else the user in the first local domain."""
        smar, user = self._world.scenario.settings.smar, directory.rpartition("/")[2]
        for line in content.split(b"\r\n", 2)[:2]:
            if line.startswith(DELIVERED_TO):
                address = line[len(DELIVERED_TO) :].decode("utf-8", "backslashreplace")
                if address.rpartition("@")[0].partition(smar.recipient_delimiter or "@")[0].lower() == user.lower():
                    return address
        return f"{user}@{smar.local_domains[0]}"
