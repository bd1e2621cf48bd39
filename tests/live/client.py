"""Client: a sender of our own, which knows to the octet what it was promised.

MAIL, RCPT and DATA go out together (PIPELINING), then replies and content in lock-step. A message counts as acknowledged when the last octet of
the 250 to its dot was read. Whatever else happens, it is given up, and its recipients go into a new message under a new token.
"""

import asyncio
from collections.abc import Callable

from tests.live.sink import now_us
from tests.live.traffic import Attempt, Draft, compose, stuffed

REPLY_TIMEOUT_S = 60.0


class GaveUpError(Exception):
    """The session is of no more use: 421, a broken connection, nonsense, silence."""


class Session:
    """One connection. `server` is the process id at its other end, once `owner` found it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server = 0
        self._reader = reader
        self._writer = writer

    @property
    def port(self) -> int:
        """Our own port."""
        return int(self._writer.get_extra_info("sockname")[1])

    async def reply(self) -> tuple[int, str]:
        """(code, text of the last line). Raises GaveUpError."""
        try:
            async with asyncio.timeout(REPLY_TIMEOUT_S):
                while True:
                    line = await self._reader.readuntil(b"\r\n")
                    if line[3:4] != b"-":
                        return int(line[:3]), line[4:-2].decode("ascii", "backslashreplace")
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            raise GaveUpError(str(error)) from error

    async def greet(self) -> None:
        await self._expect(220)
        self._writer.write(b"EHLO client.example\r\n")
        await self._expect(250)

    async def _expect(self, code: int) -> None:
        found, text = await self.reply()
        if found != code:
            raise GaveUpError(f"{found} {text}")

    async def send(self, draft: Draft, attempt: Attempt, on_dot: Callable[[Attempt], None]) -> tuple[str, ...]:
        """Send one message and fill in `attempt`. Gives the recipients that were put off (4yz). Raises GaveUpError (`attempt` then holds what is known)."""
        attempt.server = self.server
        commands = [f"MAIL FROM:<{attempt.sender}>", *(f"RCPT TO:<{recipient}>" for recipient in draft.recipients), "DATA"]
        self._writer.write("".join(command + "\r\n" for command in commands).encode())
        try:
            mail, _ = await self.reply()
            codes = [(await self.reply())[0] for _ in draft.recipients]
            data, text = await self.reply()
            accepted = tuple(recipient for recipient, code in zip(draft.recipients, codes, strict=True) if code == 250)
            if 421 in (mail, *codes, data):
                raise GaveUpError(f"421 {text}")
            if data != 354:
                attempt.code = data if mail == 250 else mail  # DATA behind a refused MAIL is out of sequence
                return draft.recipients
            attempt.recipients = accepted
            content = stuffed(compose(attempt.token, accepted, draft.octets))
            self._writer.write(content)
            attempt.dot_at = now_us()
            on_dot(attempt)
            attempt.code, text = await self.reply()
            if attempt.code == 250:
                attempt.acked_at = now_us()
                attempt.transaction = next((word for word in text.split() if len(word) == 12), "")
                return tuple(recipient for recipient in draft.recipients if recipient not in accepted)
            if attempt.code == 421:
                raise GaveUpError(f"421 {text}")
            return draft.recipients if attempt.code < 500 else ()
        finally:
            attempt.ended_at = now_us()

    async def quit(self) -> None:
        self._writer.write(b"QUIT\r\n")
        await self._expect(221)

    def close(self) -> None:
        self._writer.transport.abort()


async def connect(port: int) -> Session:
    """A greeted session. Raises GaveUpError."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError as error:
        raise GaveUpError(str(error)) from error
    session = Session(reader, writer)
    try:
        await session.greet()
    except BaseException:
        session.close()
        raise
    return session
