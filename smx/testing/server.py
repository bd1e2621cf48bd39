"""Server: a whole MTA below a directory, in a thread, for tests: start it, talk to its port, look into its Maildirs.

    with Server(tmp_path, local_domains=("example.org",)) as mta:
        smtplib.SMTP(mta.host, mta.port).sendmail(...)
        message, = mta.wait_maildir("joe", 1)

The configuration is a text as an operator writes it; `sections` adds options to a section, or sections.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from smx.effects import Note
from smx.testing.loop import TIMEOUT_S

if TYPE_CHECKING:
    from smx.config.schema import Settings
    from smx.live.embedded import Embedded

POLL_S: Final = 0.01
HOSTNAME: Final = "mx.example.org"


class Server:
    """An embedded MTA. `sections`: text to stand in `smtps`, `qmgr`, `smtpc`, `smar`, `lda`, `log`, or, under "", at the end of the file."""

    def __init__(
        self,
        directory: Path,
        *,
        hostname: str = HOSTNAME,
        local_domains: Sequence[str] = ("example.org",),
        relay_from: Sequence[str] = ("127.0.0.0/8",),
        mailertable: Mapping[str, str] | None = None,
        nameserver: str = "",
        certificate: tuple[Path, Path] | None = None,
        sections: Mapping[str, str] | None = None,
        record: str = "",
    ) -> None:
        self.directory: Final = directory
        self.host: Final = "127.0.0.1"
        self.spool: Final = directory / "spool"
        self.maildirs: Final = directory / "maildirs"
        self._record: Final = record
        self._embedded: Embedded | None = None
        extra = dict(sections or {})
        table = "".join(f'"{pattern}" = "{target}"; ' for pattern, target in (mailertable or {}).items())
        tls = "" if certificate is None else f'tls {{ certificate = "{certificate[0]}"; key = "{certificate[1]}"; }}'
        self.configuration: Final = f"""
            hostname = "{hostname}";
            spool = "{self.spool}";
            log {{ file = "{directory / "smx.log"}"; {extra.get("log", "")} }}
            smtps mx {{
                listen_socket {{ type = inet; address = "127.0.0.1"; port = 0; }}
                relay_from = {_list(relay_from)};
                {tls}
                {extra.get("smtps", "")}
            }}
            qmgr {{ {extra.get("qmgr", "")} }}
            smtpc {{ {extra.get("smtpc", "")} }}
            lda {{ maildirs = "{self.maildirs}/%u"; {extra.get("lda", "")} }}
            smar {{
                local_domains = {_list(local_domains)};
                {f"mailertable = {{ {table} }};" if table else ""}
                {f"nameserver = {_list([nameserver])};" if nameserver else ""}
                {extra.get("smar", "")}
            }}
            {extra.get("", "")}
        """

    @property
    def settings(self) -> "Settings":
        """The configuration, checked. Raises ConfigError."""
        from smx.config.load import load_text

        return load_text(self.configuration)

    # --- life

    def start(self) -> None:
        """Returns when mail is accepted. What is in the spool is recovered first."""
        from smx.live.embedded import Embedded

        self._embedded = Embedded(self.settings, record=self._record)
        self._embedded.__enter__()

    def stop(self) -> None:
        """In order. Raises what ended a component before. Again is harmless."""
        embedded, self._embedded = self._embedded, None
        if embedded is not None:
            embedded.stop()

    def kill(self) -> None:
        """At once, as by kill -9: what is on disk stays as it is."""
        embedded, self._embedded = self._embedded, None
        if embedded is not None:
            embedded.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    # --- looking

    @property
    def embedded(self) -> "Embedded":
        assert self._embedded is not None, "not started"
        return self._embedded

    @property
    def port(self) -> int:
        """The port of the SMTP server."""
        return next(port for name, port in self.embedded.ports.items() if name.startswith("smtps"))

    def notes(self, name: str) -> list[Note]:
        """The notes of this name so far."""
        return [note for _, note in list(self.embedded.notes) if note.name == name]

    def wait_note(self, name: str, match: Callable[[Note], bool] = lambda note: True, timeout_s: float = TIMEOUT_S) -> Note:
        """The first note of this name that `match` accepts."""
        return self.embedded.wait_note(name, match, timeout_s)

    def maildir(self, user: str) -> list[bytes]:
        """The messages of a user, in the order of their names."""
        new = self.maildirs / user / "new"
        return [path.read_bytes() for path in sorted(new.iterdir())] if new.is_dir() else []

    def wait_maildir(self, user: str, count: int, timeout_s: float = TIMEOUT_S) -> list[bytes]:
        """Wait until a user has so many messages; TimeoutError when that does not happen, or what ended the MTA."""
        until = time.monotonic() + timeout_s
        while len(messages := self.maildir(user)) < count:
            if self.embedded.host.error is not None:
                raise self.embedded.host.error
            if time.monotonic() > until:
                raise TimeoutError(f"{user} has {len(messages)} messages, not {count}, after {timeout_s} s")
            time.sleep(POLL_S)
        return messages

    def wait_empty(self, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until every transaction that was submitted is closed."""
        until = time.monotonic() + timeout_s
        while open_ones := {note.values[0] for note in self.notes("submitted")} - {note.values[0] for note in self.notes("closed")}:
            if self.embedded.host.error is not None:
                raise self.embedded.host.error
            if time.monotonic() > until:
                raise TimeoutError(f"{len(open_ones)} transactions are open after {timeout_s} s")
            time.sleep(POLL_S)


def _list(items: Sequence[str]) -> str:
    return "{ " + ", ".join(f'"{item}"' for item in items) + " }"
