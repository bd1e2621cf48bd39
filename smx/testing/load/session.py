"""Session: one connection of the generator: the client's side of the dialogue, for one message after the other.

Strategies  A message without a fault goes out in two writes where the server offers PIPELINING (one with CHUNKING): the envelope with DATA, then the
            content with the dot. Everything else, and every message that has a fault, goes command by command, so that each stage can be met.
            Replies are told by their code alone; the text is never looked at.
Failures    421 ends the session and defers its message. What is no reply, a broken connection or silence ends it, and the message failed.
See also    opening.py (until the dialogue is open), misconduct.py (what a fault does), generator.py (who gives the messages)
Standards   RFC 5321, 2033 (LMTP), 2920 (PIPELINING), 3030 (CHUNKING)
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from smx.limits import REPLY_LINE_RECEIVED_OCTETS_MAX, REPLY_LINES_MAX
from smx.testing.load.faults import Fault
from smx.testing.load.job import Job, end_of
from smx.testing.load.misconduct import misbehave
from smx.testing.load.opening import Opening

if TYPE_CHECKING:
    from smx.testing.load.generator import Generator

_now = time.perf_counter
_TWO: Final = ord("2")


class Session(asyncio.Protocol):
    """Opened for `job`; asks the generator for more. `active_at`: when it last heard from the server, for the time-out."""

    def __init__(self, generator: "Generator", job: Job, now: float) -> None:
        self.active_at = now
        self.task: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport | None = None
        self._generator = generator
        self._options = generator.options
        self._tally = generator.tally
        self._replies = generator.tally.replies
        self._job: Job | None = job
        job.begun_at = now
        self._opening = Opening(self, generator, now)
        self.on_reply: Callable[[bytes], None] = self._opening.on_greeting
        self.lines: list[bytes] = []  # all but the last one, since the opening emptied it
        self.line = b""  # the last one of the reply in hand
        self._stage = "connect"
        self._fault: Fault | None = generator.session_dice.roll()
        self._ahead = ""  # the stage that was sent before its time
        self._rest = b""
        self._pipelining = False
        self._hanging = False
        self._over = False
        self._sent = 0
        self._mail_tail = b">\r\n"
        # of the message in hand
        self._at = 0  # replies to its envelope so far
        self._lockstep = True
        self._content = b""
        self._accepted: list[bytes] = []
        self._acknowledged: list[bytes] = []
        self._code = b""  # of the refusal that counts
        self._dots = 0
        self._end = ""

    # --- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._tally.connections += 1
        if self._fault is not None and self._fault.stage == "connect":
            self.say("connect", b"")
        elif self.takes_early("ehlo"):
            self._opening.send_ehlo()
            self.send_early("ehlo")

    def data_received(self, data: bytes) -> None:
        self.active_at = _now()
        if self._rest:
            data = self._rest + data
        lines = data.split(b"\r\n")
        self._rest = lines.pop()
        for line in lines:
            if self._over or self._hanging:
                return
            code = line[:3]
            if not code.isdigit() or len(code) != 3:
                self.fail(f"no reply but nonsense at {self.where}")
            elif line[3:4] == b"-":
                if len(self.lines) < REPLY_LINES_MAX:
                    self.lines.append(line)
            elif code == b"421" and self._stage != "quit":
                self._on_closing()
            else:
                self.line = line
                self.on_reply(code)
        if len(self._rest) > REPLY_LINE_RECEIVED_OCTETS_MAX:
            self.fail(f"an endless reply line at {self.where}")

    def connection_lost(self, error: Exception | None) -> None:
        if not self._over:
            if self._hanging:
                self.abandon()
            elif self._job is not None:
                self.fail(f"connection lost at {self.where}")
            elif self._stage != "quit":
                self.fail("closed by the server while idle")
        self._over = True
        self._generator.ended(self)

    def resume_writing(self) -> None:
        """A large content has left, but for the last octets: only now the server could have seen its dot."""
        if self._stage == "dot" and self._job is not None:
            self._job.dot_at = _now()

    def expire(self, why: str = "") -> None:
        """The time is over: the session is broken off."""
        if self.transport is None:
            if self.task is not None:
                self.task.cancel()
            self.fail(why or "time-out at connect")
            self._generator.ended(self)
            return
        if self._hanging:
            self.abandon()
        elif not self._over:
            self.fail(why or f"time-out at {self.where}")
        self.transport.abort()

    @property
    def where(self) -> str:
        """The stage whose reply is awaited."""
        if self.on_reply == self._on_envelope and self._job is not None:
            return "mail" if self._at == 0 else "rcpt" if self._at <= len(self._job.recipients) else "data"
        return self._stage

    async def secure(self, context: ssl.SSLContext, host: str) -> bool:
        """TLS from now on; False: that failed, and the session with it."""
        assert self.transport is not None
        try:
            secured = await asyncio.get_running_loop().start_tls(self.transport, self, context, server_hostname=host)
        except OSError as error:
            self.fail(f"TLS: {type(error).__name__}")
            return False
        if secured is None or self._over:
            self.fail("TLS: the connection is gone")
            return False
        self.transport = secured
        self._rest = b""
        self.active_at = _now()
        return True

    # --- ends

    def fail(self, kind: str) -> None:
        """The session is of no more use, and this is no fault of ours."""
        if not self._over:
            self._tally.error(kind)
            self._give_up("failed")

    def abandon(self) -> None:
        """We are at fault."""
        if not self._over:
            self._give_up("abandoned")

    def _give_up(self, end: str) -> None:
        self._over = True
        job, self._job = self._job, None
        self._generator.unfit(self)
        if job is not None:
            self._generator.finished(job, end, ())
        if self.transport is not None and end == "failed":
            self.transport.abort()

    def _on_closing(self) -> None:
        """421: the server closes (RFC 5321 3.8). Between two messages that harms none: the next one goes to another session."""
        where = self.where
        self.count({"content": "dot", "reply": "dot"}.get(where, where), b"421")
        if where == "mail" and self._sent and self._job is not None:
            job, self._job = self._job, None
            self._generator.give_back(job)
        self.close("deferred")

    def close(self, end: str) -> None:
        """Close after a reply that leaves nothing to do; the message in hand has this end."""
        self._give_up(end)
        assert self.transport is not None
        self.transport.close()

    # --- sending

    def say(self, stage: str, octets: bytes) -> None:
        """Send what belongs to a stage, unless a fault has something against it, or it was sent before its time."""
        self._stage = stage
        assert self.transport is not None
        fault = self._fault
        if self._ahead == stage:
            self._ahead = ""
        elif fault is not None and fault.stage == stage and fault.kind != "early":
            self._fault = None
            self._tally.fault(fault.name)
            misbehave(self, fault, octets)
        else:
            self.transport.write(octets)

    def takes_early(self, stage: str) -> bool:
        """Whether the fault is to send this stage too early. It counts then."""
        fault = self._fault
        if fault is None or fault.kind != "early" or fault.stage != stage:
            return False
        self._fault = None
        self._tally.fault(fault.name)
        return True

    def send_early(self, stage: str, octets: bytes = b"") -> None:
        """This stage is sent with that: it is not sent again when its turn comes."""
        self._ahead = stage
        if octets and self.transport is not None:
            self.transport.write(octets)

    def write(self, octets: bytes) -> None:
        """Go on after a fault that only took time."""
        if not self._over and self.transport is not None:
            self.active_at = _now()
            self.transport.write(octets)
            if self._job is not None:
                self._job.dot_at = self.active_at

    def hang(self) -> None:
        """Say and hear nothing more."""
        self._hanging = True

    def insert(self, octets: bytes, then: bytes) -> None:
        """Send a line that does not belong here, await its reply, go on with `then`."""
        on_reply = self.on_reply

        def go_on(code: bytes) -> None:
            self.count("garbage", code)
            self.on_reply = on_reply
            self.write(then)

        self.on_reply = go_on
        self.write(octets)

    def reset_transaction(self, end: str = "abandoned") -> None:
        """RSET; the message has this end."""
        self._end = end
        self.on_reply = self._on_rset
        self._stage = "rset"
        self.write(b"RSET\r\n")

    def count(self, stage: str, code: bytes) -> int:
        """Count a reply; gives the first digit, as an octet."""
        codes = self._replies[stage]
        codes[code] = codes.get(code, 0) + 1
        return code[0]

    # --- the envelope

    def ready(self, *, pipelining: bool, mail_tail: bytes) -> None:
        """The dialogue is open: the first message. `mail_tail`: what stands behind the reverse-path."""
        self._pipelining = pipelining
        self._mail_tail = mail_tail
        job, self._job = self._job, None
        assert job is not None
        self.begin(job)

    def begin(self, job: Job) -> None:
        """Send this message."""
        now = _now()
        self.active_at = now
        if self._sent or not job.begun_at:
            job.begun_at = now
        job.mail_at = now
        self._job = job
        self.on_reply = self._on_envelope
        self._stage = "mail"
        self._at = self._dots = 0
        self._accepted = []
        self._acknowledged = []
        self._code = b""
        generator, options = self._generator, self._options
        if generator.message_dice:
            self._fault = generator.message_dice.roll()
        self._lockstep = not self._pipelining or self._fault is not None or self._ahead == "mail"
        content = generator.composer.compose(job.token, job.recipients[0], job.octets)
        job.octets = len(content)
        self._content = content if options.chunking else generator.composer.stuffed(content)
        if self._lockstep:
            self.say("mail", b"MAIL FROM:<%b%b" % (generator.sender, self._mail_tail))
            return
        recipients = job.recipients
        rcpt = b"RCPT TO:<%b>\r\n" % (recipients[0] if len(recipients) == 1 else b">\r\nRCPT TO:<".join(recipients))
        assert self.transport is not None
        if options.chunking:
            self.transport.write(b"MAIL FROM:<%b%b%bBDAT %d LAST\r\n%b" % (generator.sender, self._mail_tail, rcpt, len(content), content))
            job.dot_at = now
        else:
            self.transport.write(b"MAIL FROM:<%b%b%bDATA\r\n" % (generator.sender, self._mail_tail, rcpt))

    def _on_envelope(self, code: bytes) -> None:
        job = self._job
        assert job is not None
        at = self._at
        self._at = at + 1
        if at == 0:
            if self.count("mail", code) != _TWO:
                self._code = code
        elif at <= len(job.recipients):
            if self.count("rcpt", code) == _TWO:
                self._accepted.append(job.recipients[at - 1])
            elif not self._code:
                self._code = code
        elif self._options.chunking:
            self._stage = "dot"
            self.on_reply = self._on_dot
            self._on_dot(code)
            return
        else:
            self._on_data(code)
            return
        if self._lockstep:
            self._next_command(job)

    def _next_command(self, job: Job) -> None:
        if self._at == 1 and self._code:
            self._finish(end_of(self._code))
        elif self._at <= len(job.recipients):
            self.say("rcpt", b"RCPT TO:<%b>\r\n" % job.recipients[self._at - 1])
        elif not self._accepted:
            self.reset_transaction(end_of(self._code))
        elif self._options.chunking:
            self._send_chunk()
        else:
            self.say("data", b"DATA\r\n")
            if self.takes_early("content"):
                self._send_content()
                self.send_early("content")

    def _on_data(self, code: bytes) -> None:
        self.count("data", code)
        if code != b"354":
            self._finish(end_of(self._code or code))
        elif self._accepted:
            if self._ahead == "content":
                self._ahead = ""
                self.on_reply = self._on_dot
            else:
                self.on_reply = self._on_dot
                self._send_content()
        else:  # nobody will get it, and yet the server waits for a content (RFC 2920 3.1)
            assert self.transport is not None
            self.on_reply = self._on_void
            self._stage = "dot"
            self.transport.write(b".\r\n")

    def _on_void(self, code: bytes) -> None:
        self.count("dot", code)
        self._finish(end_of(self._code))

    def _on_rset(self, code: bytes) -> None:
        self.count("rset", code)
        self._finish(self._end)

    # --- the content

    def _send_chunk(self) -> None:
        """BDAT has no reply of its own: its line and its octets belong together (RFC 3030 2)."""
        line = b"BDAT %d LAST\r\n" % len(self._content)
        self.on_reply = self._on_envelope
        if self._fault is not None and self._fault.stage == "data":
            self.say("data", line + self._content)
            self._dotted()
        else:
            self.say("data", line)
            self._send_content()

    def _send_content(self) -> None:
        """The content and its end; a fault may cut it."""
        assert self.transport is not None
        octets, fault = self._content, self._fault
        if fault is None or fault.stage not in ("content", "dot"):
            self._stage = "dot"
            self.transport.write(octets)
        elif fault.stage == "content":
            cut = 0 if fault.kind == "slow" else len(octets) // 2
            self.transport.write(octets[:cut])
            self.say("content", octets[cut:])
        else:
            self.transport.write(octets[:-3])
            self.say("dot", octets[-3:])
        self._dotted()
        if fault is not None and not self._over:
            self._after_dot(fault)

    def _dotted(self) -> None:
        if self._job is not None:
            self._job.dot_at = _now()

    def _after_dot(self, fault: Fault) -> None:
        if fault.stage == "reply":
            self.say("reply", b"")
        elif self.takes_early("quit"):
            self.send_early("quit", b"QUIT\r\n")

    def _on_dot(self, code: bytes) -> None:
        positive = self.count("dot", code) == _TWO
        if not self._accepted:  # BDAT behind recipients that were all refused
            self._finish(end_of(self._code or code))
            return
        if not self._dots:
            self._code = code
        if self._options.lmtp:  # a reply for each recipient that was accepted (RFC 2033 4.2)
            if positive:
                self._acknowledged.append(self._accepted[self._dots])
            self._dots += 1
            if self._dots < len(self._accepted):
                return
        elif positive:
            self._acknowledged = self._accepted
        self._finish("acknowledged" if self._acknowledged else end_of(self._code))

    def _finish(self, end: str) -> None:
        job, self._job = self._job, None
        assert job is not None
        job.end = end
        self._generator.finished(job, end, tuple(self._acknowledged))
        self._fault = None
        self._sent += 1
        if self._ahead == "quit" or 0 < self._options.keep <= self._sent:
            self.quit()
        else:
            self._generator.want_next(self)

    # --- QUIT

    def quit(self) -> None:
        """End the session in order."""
        self.active_at = _now()
        self.on_reply = self._on_quit
        if self._generator.quit_dice:
            self._fault = self._generator.quit_dice.roll()
        self.say("quit", b"QUIT\r\n")

    def _on_quit(self, code: bytes) -> None:
        self.count("quit", code)
        self._over = True
        assert self.transport is not None
        self.transport.close()
