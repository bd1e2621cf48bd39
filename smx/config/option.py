"""The vocabulary of the option tables: what an option and a section are, as data.

The checker, `smx config show` and `explain`, the comments that `smx init` writes and the manual are all made from the same rows, so that
none of them can disagree with another. A row holds no default: the default is the one of the Struct's field.
"""

from enum import Enum
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import fields as struct_fields


class Kind(Enum):
    """What a value is; `check` turns the text of the file into the type on the right."""

    TIME = "time"  # int, microseconds; in the file 5m3s
    SIZE = "size"  # int, octets; in the file 10MiB
    INTEGER = "number"  # int
    BOOLEAN = "boolean"  # bool; in the file yes or no
    CHOICE = "choice"  # str, one of the row's choices
    FLAGS = "flags"  # tuple of str, each one of the row's choices, sorted; in the file { a, dont_b }
    TEXT = "text"  # str
    NAME = "name"  # str: letters, digits, `_`, `-`
    DOMAIN = "domain"  # str, lower case
    LOCAL_DOMAIN = "domain or address literal"  # str, lower case; [192.0.2.1], [ipv6:2001:db8::1]
    RELAY_DOMAIN = "domain or .domain"  # str, lower case; .example.org for everything below it
    MAILBOX = "mailbox"  # str, local-part@domain
    PATH = "path"  # str, absolute; in the file relative to the directory of the file
    ADDRESS = "address"  # str, an IP address
    ENDPOINT = "address and port"  # (str, int); in the file 127.0.0.1:53 or [::1]:53
    NETWORK = "network"  # str, 192.0.2.0/24
    PROCESS = "process"  # str, as in Settings.order; `smtps` means each of them
    PAIRS = "table"  # tuple of (str, str); in the file { "key" = "value"; }
    MAILERS = "mailer table"  # tuple of MailerEntry; in the file { "domain" = "[host]:25"; }


UNIT_SUFFIX: Final = {Kind.TIME: "_us", Kind.SIZE: "_octets"}


class Option(Struct, frozen=True, kw_only=False):
    """One option: where it may stand, what it takes, and one line for the reader.

    low and high bound numbers, in the unit of the field. When `derived` is not empty, it says what an option takes that is not in the file;
    check fills the field in.
    """

    section: str  # "" at the top, "qmgr.retry" for a section in a section
    name: str
    kind: Kind
    explanation: str
    low: int = 0
    high: int = (1 << 62) - 1
    choices: tuple[str, ...] = ()
    many: bool = False  # a list { a, b } of values of this kind
    derived: str = ""
    zero: str = ""  # what the value 0 means, when it lies outside of low..high or means something else

    @property
    def field(self) -> str:
        """Name of the Struct's field: the option's name, with the unit at its end."""
        suffix = UNIT_SUFFIX.get(self.kind, "")
        return self.name if suffix.strip("_") in self.name.split("_") and suffix else self.name + suffix

    @property
    def path(self) -> str:
        """The name by which `smx config explain` knows it: qmgr.retry.min."""
        return f"{self.section}.{self.name}" if self.section else self.name


class Section(Struct, frozen=True, kw_only=False):
    """One section: its place, the Struct that it becomes, and the field of the parent Struct that holds it."""

    path: str
    struct: type[Struct]
    field: str
    explanation: str
    named: bool = False
    repeated: bool = False  # the field is a tuple
    process: bool = False  # MCP starts a process for it


def default_of(struct: type[Struct], field: str) -> Any:
    """The default of a field of a settings Struct; AssertionError for an unknown field."""
    for info in struct_fields(struct):
        if info.name == field:
            return info.default
    raise AssertionError(f"{struct.__name__} has no field {field}")
