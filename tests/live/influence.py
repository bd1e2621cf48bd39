"""Influence: what of an event can change without any effect changing.

Two kinds. A field that nobody looks at under the circumstances: then a wholly different value in its place changes no effect either. And a value that means the
same as another one, or nothing yet: those are the rows of ALIKE, together with what a process was told just before it was killed.
"""

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from msgspec import Struct

Path = tuple[str | int, ...]


def changed_path(before: object, after: object) -> Path:
    """The fields and indices that lead to the first place where two values differ."""
    if type(before) is type(after):
        if isinstance(before, Struct):
            for field in before.__struct_fields__:
                one, other = getattr(before, field), getattr(after, field)
                if one != other:
                    return field, *changed_path(one, other)
        if isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after):
            for index, (one, other) in enumerate(zip(before, after, strict=True)):
                if one != other:
                    return index, *changed_path(one, other)
    return ()


def value_at(root: Any, path: Path) -> Any:
    for step in path:
        root = root[step] if isinstance(step, int) else getattr(root, step)
    return root


def with_value(root: Any, path: Path, value: Any) -> Any:
    """The same Struct or tuple with another value at this place."""
    if not path:
        return value
    first, rest = path[0], path[1:]
    if isinstance(first, int):
        return (*root[:first], with_value(root[first], rest, value), *root[first + 1 :])
    return msgspec.structs.replace(root, **{first: with_value(getattr(root, first), rest, value)})


def name_of(root: Any, path: Path) -> str:
    """`Told.message.Granted.block`."""
    words = [type(root).__name__]
    for step in path:
        root = root[step] if isinstance(step, int) else getattr(root, step)
        if isinstance(step, str):
            words.append(step)
        if isinstance(root, Struct):
            words.append(type(root).__name__)
    return ".".join(words)


def another(value: Any) -> Any:
    """A value of the same type that has little in common with it; the same one when there is none."""
    match value:
        case bool():
            return not value
        case int():
            return value ^ 0x35
        case str():
            return "".join(chr(ord(letter) ^ 1) for letter in value)
        case bytes():
            return bytes(octet ^ 1 for octet in value)
    return value


# --- values that mean the same


def same_replies(before: bytes, after: bytes) -> bool:
    """RFC 5321 4.3.2: the first digit decides. The text is kept only of a reply that becomes a verdict."""
    return [(line[:1], line[3:4]) for line in before.split(b"\r\n")] == [(line[:1], line[3:4]) for line in after.split(b"\r\n")]


def same_commands(before: bytes, after: bytes) -> bool:
    """Case of letters means nothing in verbs and domains; SIZE is a promise; the name in LHLO is not used, that in EHLO only when mail follows."""
    return [_meaning(line) for line in before.split(b"\r\n")] == [_meaning(line) for line in after.split(b"\r\n")]


def _meaning(line: bytes) -> bytes:
    line = line.lower()
    if line.startswith((b"lhlo ", b"ehlo ")):
        return line[:5]
    head, size, value = line.rpartition(b" size=")
    return head + size if size and value.isdigit() else line


def still_an_address(before: bytes, after: bytes) -> bool:
    """Without maps, aliases and a route of its own one address is like another."""
    return before.rfind(b"@") == after.rfind(b"@")


def record_alike(before: bytes, after: bytes) -> bool:
    """A field within the record of an envelope that only a notification would tell."""
    return len(before) == len(after)


def sooner_or_later(before: int, after: int) -> bool:
    """A time to which nothing comes before another event does it."""
    return True


def of_the_same_kind(before: str, after: str) -> bool:
    """A tool that asks QMGR, whatever its process id; a link that is not used any more."""
    return len(before) == len(after)


Row = tuple[str, str, Callable[[Any, Any], bool]]
ALIKE: tuple[Row, ...] = (
    # process   field, * is anything                 when it means the same
    ("smtpc.*", "Received.data", same_replies),
    ("smtps.*", "Received.data", same_commands),
    ("lda", "Received.data", same_commands),
    ("smar", "Told.message.*.recipient", still_an_address),
    ("smar", "Told.message.*.reverse_path", still_an_address),
    ("smar", "Told.message.CheckRecipient.client_address", lambda before, after: True),
    ("qmgr", "Found.rows.Row.*", record_alike),
    ("*", "*_us", sooner_or_later),
    ("*", "*.cache_until", sooner_or_later),
    ("*", "*.wall_offset", sooner_or_later),
    ("*", "*.expires_at", sooner_or_later),
    ("*", "*inked.process", of_the_same_kind),
    ("*", "*inked.epoch", sooner_or_later),
)


def means_the_same(process: str, name: str, before: Any, after: Any) -> bool:
    """Whether a row of ALIKE says that this change changes nothing."""
    return any(fnmatchcase(process, owner) and fnmatchcase(name, field) and alike(before, after) for owner, field, alike in ALIKE)
