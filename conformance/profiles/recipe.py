"""Recipe: how a packaged MTA is set up in an image of its own: what to install, which files to write, and the commands that run it.

Texts may contain @dir@ (the scratch folder, as it is seen inside of the image), @port@, @submission@, @hostname@, @domain@ (local), @relay@ (relayed for
anybody), @nameserver@, @trusted@ and @deliver@ (a command that puts a message from its input into the Maildir of the user it is given).
"""

from typing import Any, Final

from msgspec import Struct, field

from conformance.profiles.profile import LOCAL_DOMAIN, RELAY_DOMAIN, TRUSTED, Place

MAIL_UID: Final = 61_000  # who owns the mailboxes
DELIVER: Final = "/usr/local/bin/deliver"
INNER: Final = "/suite"  # where the scratch folder is inside: every account can get there, whatever its path outside is


class Recipe(Struct, frozen=True):
    """`packages`: of Debian, unpacked into the image with all that they need. `npm`, `pip`: packages of theirs.

    `users`: system accounts made in the image. `spool`: directory of the image that outlives a restart. `files`: path -> text. `setup`: shell, before each
    start. `run`: the command that stays in the foreground. `flush`: tries all deferred mail now. `special`: see `profile.facts`.
    """

    name: str
    run: str
    version: str
    packages: tuple[str, ...] = ()
    npm: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    spool: str = ""
    files: dict[str, str] = field(default_factory=dict)
    setup: str = ""
    flush: str = ""
    services: tuple[str, ...] = ("smtp",)
    special: dict[str, Any] = field(default_factory=dict)


def filled(text: str, place: Place) -> str:
    """With the facts of a place."""
    values = {
        "outer": place.directory,
        "dir": INNER,
        "port": place.ports["smtp"],
        "submission": place.ports.get("submission", 0),
        "hostname": place.hostname,
        "domain": LOCAL_DOMAIN,
        "relay": RELAY_DOMAIN,
        "nameserver": place.nameserver,
        "trusted": TRUSTED,
        "deliver": DELIVER,
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    return text
