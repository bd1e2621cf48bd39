"""Mail: one message of a workload, as its client sends it."""

from typing import Final

import msgspec

from smx.messages import Notify

_NOTIFY: Final = {"NEVER": Notify.NEVER, "SUCCESS": Notify.SUCCESS, "FAILURE": Notify.FAILURE, "DELAY": Notify.DELAY}


class Mail(msgspec.Struct, frozen=True, gc=False):
    """`token` stands in the content and names this attempt; recipients are `name@domain`; parameters as on the wire, of each RCPT and of MAIL."""

    token: str
    recipients: tuple[str, ...]
    sender: str = "sender@lab.example"  # "" is the null reverse-path
    parameters: str = ""
    body: bytes = b"Hello.\r\n"
    mail_parameters: str = ""
    attempt: int = 0

    @property
    def content(self) -> bytes:
        """Unstuffed, with CRLF."""
        head = f"From: <{self.sender or 'mailer-daemon@lab.example'}>\r\nSubject: test\r\nX-Token: {self.token}\r\n\r\n"
        return head.encode() + self.body

    @property
    def notify(self) -> tuple[int, ...]:
        """The NOTIFY flags, one for each recipient; () when none are given."""
        for word in self.parameters.split():
            name, _, value = word.partition("=")
            if name == "NOTIFY":
                flags = 0
                for keyword in value.split(","):
                    flags |= _NOTIFY[keyword]
                return (flags,) * len(self.recipients)
        return ()

    def again(self, recipients: tuple[str, ...]) -> "Mail":
        """The same mail to these recipients under a new token: t17, t17.1, t17.2 ..."""
        attempt = self.attempt + 1
        return msgspec.structs.replace(self, token=f"{self.token.partition('.')[0]}.{attempt}", recipients=recipients, attempt=attempt)


def stuffed(content: bytes) -> bytes:
    """On the wire after DATA, with the end of data (RFC 5321 4.5.2)."""
    if content.startswith(b"."):
        content = b"." + content
    return content.replace(b"\r\n.", b"\r\n..") + b".\r\n"
