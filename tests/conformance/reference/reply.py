"""Reply: what a server says (RFC 5321 4.2): one code, one or more texts."""

from typing import NamedTuple


class Reply(NamedTuple):
    code: int
    texts: tuple[str, ...]

    def octets(self) -> bytes:
        """On the wire."""
        marks = "-" * (len(self.texts) - 1) + " "
        return "".join(f"{self.code}{mark}{text}\r\n" for mark, text in zip(marks, self.texts, strict=True)).encode()


def say(code: int, *texts: str) -> Reply:
    return Reply(code, texts)
