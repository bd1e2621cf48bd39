"""The tree of a configuration file: options and sections with their places, nothing checked yet."""

from msgspec import Struct

from smx.config.problems import Place


class Atom(Struct, frozen=True):
    """A word or a string; text is without quotes and escapes."""

    text: str
    place: Place
    quoted: bool = False


class ListNode(Struct, frozen=True):
    """{ a, b }"""

    items: tuple[Atom, ...]
    place: Place


class TableNode(Struct, frozen=True):
    """{ "a" = "b"; }"""

    pairs: tuple[tuple[Atom, Atom], ...]
    place: Place


class OptionNode(Struct, frozen=True):
    """name = value; the name is in lower case."""

    name: str
    value: Atom | ListNode | TableNode
    place: Place


class SectionNode(Struct, frozen=True):
    """keyword [name] { ... }; keyword and name are in lower case, an absent name is empty."""

    keyword: str
    name: str
    body: tuple["OptionNode | SectionNode", ...]
    place: Place


Node = OptionNode | SectionNode
