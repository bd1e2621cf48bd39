"""What a disk says when it does not do as told: an error like errno's, or nothing at all because the power is gone."""

from typing import Final

TEXTS: Final = {
    "no_space": "no space left on device",
    "io": "input/output error",
    "missing": "no such file or directory",
    "exists": "file exists",
    "not_directory": "not a directory",
    "is_directory": "is a directory",
}


class DiskError(Exception):
    """A call failed. `kind` is a key of TEXTS; the text is what strerror(3) says, in lower case, without paths."""

    def __init__(self, kind: str, path: str = "") -> None:
        super().__init__(TEXTS[kind])
        self.kind = kind
        self.path = path

    @property
    def no_space(self) -> bool:
        """The disk is full, rather than broken (A10)."""
        return self.kind == "no_space"

    @property
    def reason(self) -> str:
        return TEXTS[self.kind]


class PowerLoss(BaseException):
    """The machine lost its power before this operation. No code of the product may catch it, hence no Exception."""
