"""Opening: greeting, EHLO or LHLO, HELO where that is all the server knows, STARTTLS and EHLO again; then the session is ready.

Standards   RFC 5321 3.1, 3.2, 4.1.1.1, 2033 (LMTP), 3207 (STARTTLS)
"""

import time
from typing import TYPE_CHECKING, Final

from smx.testing.load.job import end_of

if TYPE_CHECKING:
    from smx.testing.load.generator import Generator
    from smx.testing.load.session import Session

_now = time.perf_counter
_TWO: Final = ord("2")


class Opening:
    """Handlers of replies, for one session."""

    def __init__(self, session: "Session", generator: "Generator", now: float) -> None:
        self._session = session
        self._generator = generator
        self._options = generator.options
        self._connect_at = now
        self._secured = False

    def on_greeting(self, code: bytes) -> None:
        """The first reply of all."""
        session = self._session
        if session.count("connect", code) != _TWO:
            session.close(end_of(code))
            return
        self._generator.tally.latency["connect"].record(_now() - self._connect_at)
        session.on_reply = self._on_ehlo
        self.send_ehlo()

    def send_ehlo(self) -> None:
        """Or LHLO."""
        session = self._session
        session.lines = []
        session.say("ehlo", b"%b %b\r\n" % (b"LHLO" if self._options.lmtp else b"EHLO", self._generator.hostname))
        if session.takes_early("mail"):
            session.send_early("mail", b"MAIL FROM:<%b>\r\n" % self._generator.sender)

    def _on_ehlo(self, code: bytes) -> None:
        session = self._session
        if session.count("ehlo", code) == _TWO:
            self._offered({line[4:].upper().partition(b" ")[0] for line in (*session.lines, session.line)})
        elif code.startswith(b"4") or self._options.lmtp:
            session.close(end_of(code))
        else:  # a server that knows HELO only (RFC 5321 3.2)
            session.on_reply = self._on_helo
            session.say("ehlo", b"HELO %b\r\n" % self._generator.hostname)

    def _on_helo(self, code: bytes) -> None:
        if self._session.count("ehlo", code) == _TWO:
            self._offered(set())
        else:
            self._session.close(end_of(code))

    def _offered(self, offers: set[bytes]) -> None:
        """Take what is wanted of it."""
        session, options = self._session, self._options
        tls = options.tls is not None and not self._secured
        for wanted, name in ((tls, "STARTTLS"), (options.chunking, "CHUNKING")):
            if wanted and name.encode() not in offers:
                session.fail(f"the server offers no {name}")
                return
        if tls:
            session.on_reply = self._on_starttls
            session.say("starttls", b"STARTTLS\r\n")
            return
        eight_bit = self._generator.composer.eight_bit and b"8BITMIME" in offers
        session.ready(
            pipelining=options.pipelining == "on" or (options.pipelining == "auto" and b"PIPELINING" in offers),
            mail_tail=b"> BODY=8BITMIME\r\n" if eight_bit else b">\r\n",
        )

    # --- STARTTLS

    def _on_starttls(self, code: bytes) -> None:
        session = self._session
        if session.count("starttls", code) == _TWO:
            session.on_reply = self._on_injected
            session.task = self._generator.spawn(self._secure())
        else:
            session.close(end_of(code))

    def _on_injected(self, code: bytes) -> None:
        """A reply in the clear behind the 220 must not count as one said under TLS (RFC 3207 6)."""
        self._session.fail("a reply was injected before TLS")

    async def _secure(self) -> None:
        session = self._session
        assert self._options.tls is not None
        if await session.secure(self._options.tls, self._options.target.host or self._options.hostname):
            self._secured = True
            session.on_reply = self._on_ehlo
            self.send_ehlo()
