"""Mailbox: looks at delivered mail, in the way that the target file names: a Maildir, an mbox file, or a command that prints an mbox."""

import asyncio
import subprocess
import time
from pathlib import Path
from typing import Final

from conformance.content import messages_of_mbox, with_lf
from conformance.target import Delivery

POLL_S: Final = 0.03
COMMAND_TIMEOUT_S: Final = 20.0


class Mailboxes:
    """Files of a Maildir never change, so each is read once."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery: Final = delivery
        self._read: dict[Path, bytes] = {}

    async def look(self, recipient: str, token: str, count: int, timeout_s: float) -> tuple[bytes, ...]:
        """The messages with the token, with LF, as soon as there are `count`, or what there is when the time is over."""
        until = time.monotonic() + timeout_s
        while True:
            found = tuple(message for message in await self._messages(recipient) if token.encode() in message)
            if len(found) >= count or time.monotonic() >= until:
                return found
            await asyncio.sleep(POLL_S)

    async def _messages(self, recipient: str) -> list[bytes]:
        user, _, domain = recipient.partition("@")
        if self._delivery.maildir:
            return self._maildir(Path(_filled(self._delivery.maildir, user, domain)))
        if self._delivery.mbox:
            path = Path(_filled(self._delivery.mbox, user, domain))
            return messages_of_mbox(path.read_bytes()) if path.exists() else []
        return messages_of_mbox(await asyncio.to_thread(_printed, _filled(self._delivery.command, user, domain)))

    def _maildir(self, directory: Path) -> list[bytes]:
        found = []
        for sub in ("new", "cur"):
            for path in sorted((directory / sub).iterdir()) if (directory / sub).is_dir() else ():
                if path not in self._read:
                    self._read[path] = with_lf(path.read_bytes())
                found.append(self._read[path])
        return found


def _filled(template: str, user: str, domain: str) -> str:
    return template.replace("%u", user).replace("%d", domain).replace("%a", f"{user}@{domain}")


def _printed(command: str) -> bytes:
    return subprocess.run(command, shell=True, capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False).stdout
