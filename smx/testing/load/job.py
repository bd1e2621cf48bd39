"""Job: a message that is to be sent, and when it got how far."""


class Job:
    """A message to send. Times are of time.perf_counter; `due`: when it should have begun, which is when it did in a closed loop."""

    __slots__ = ("again_at", "begun_at", "dot_at", "due", "end", "mail_at", "octets", "recipients", "token", "tries")

    def __init__(self, token: bytes, recipients: tuple[bytes, ...], octets: int, due: float) -> None:
        self.token = token
        self.recipients = recipients
        self.octets = octets
        self.due = due
        self.begun_at = 0.0
        self.mail_at = 0.0
        self.dot_at = 0.0
        self.again_at = 0.0
        self.tries = 0
        self.end = "deferred"


def end_of(code: bytes) -> str:
    """How a message ends that got this reply; what is neither 4yz nor 5yz is out of place, and taken for a refusal."""
    return "deferred" if code[:1] == b"4" else "refused"
