"""Context: what a script knows: the target, what it offered, and names of its own that no other case uses."""

from typing import Final

from msgspec import Struct

from conformance.target import Target

SENDER_LABEL: Final = "back"  # the host that takes what comes back to the sender


class Context(Struct, frozen=True):
    """The first argument of every script, called `at`.

    `token`: a word of this case and run; every message carries it. `domain`: the case's own domain in the suite's DNS, `x.dest.test`. `extensions`: keyword of
    EHLO -> parameters, as the target offered them to the group's sanity conversation (after which it is asked nothing again).
    """

    target: Target
    token: str
    domain: str
    extensions: dict[str, str]

    @property
    def recipient(self) -> str:
        """A valid local recipient."""
        return self.target.recipient

    @property
    def other_recipient(self) -> str:
        """A second one (needs "two-recipients"), else the same."""
        return self.target.mail.recipients[-1]

    @property
    def sender(self) -> str:
        """Notifications to it go to the host `back`; needs "dns" to be seen."""
        return f"sender@{SENDER_LABEL}.{self.domain}"

    @property
    def remote(self) -> str:
        """A recipient at the case's own domain: the target has to send it on."""
        return self.remote_at("")

    def remote_at(self, label: str, local_part: str = "rcpt") -> str:
        """A recipient below the case's domain, such as rcpt@a.x.dest.test for "a"."""
        return f"{local_part}@{label}.{self.domain}" if label else f"{local_part}@{self.domain}"

    def offers(self, keyword: str) -> bool:
        return keyword.upper() in self.extensions

    def message(self, *extra: str | bytes, body: bytes = b"A line of text.\r\n", subject: str = "conformance") -> bytes:
        """A message with the header fields it needs, the token in X-Token, then `extra` fields; lines end with CRLF, dots are as they are."""
        fields = [
            f"From: <{self.sender}>",
            f"To: <{self.recipient}>",
            "Date: Tue, 14 Jul 2026 12:00:00 +0000",
            f"Message-ID: <{self.token}@{self.domain}>",
            f"Subject: {subject}",
            f"X-Token: {self.token}",
        ]
        head = [field.encode() if isinstance(field, str) else field for field in (*fields, *extra)]
        return b"\r\n".join(head) + b"\r\n\r\n" + body
