"""Messages, events, effects and notes: the shape that replay, links and the event log rely on."""

import ast
import contextlib
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smx import effects, events, messages, notes
from smx.effects import AnyEffect, Note
from smx.events import AnyEvent
from smx.messages import AnyMessage

ROOT = Path(__file__).resolve().parent.parent
FAMILIES: list[tuple[types.ModuleType, type[msgspec.Struct], object]] = [
    (messages, messages.Message, AnyMessage),
    (events, events.Event, AnyEvent),
    (effects, effects.Effect, AnyEffect),
]


def structs(module: types.ModuleType, base: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    return [c for c in vars(module).values() if isinstance(c, type) and issubclass(c, base) and c is not base]


def allowed(kind: object) -> bool:
    """int, bool, bytes, str, tuples and Structs of them, None; never list, dict, set or a component."""
    if kind in (int, bool, bytes, str, type(None)) or kind is typing.Any:  # Any: the values of a note
        return True
    origin = typing.get_origin(kind)
    if origin is tuple or origin in (typing.Union, types.UnionType):
        return all(allowed(a) for a in typing.get_args(kind) if a is not Ellipsis)
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


@pytest.mark.parametrize(("module", "base", "union"), FAMILIES, ids=["messages", "events", "effects"])
def test_every_struct_of_a_family_is_in_its_union_and_has_its_own_tag(module: types.ModuleType, base: type[msgspec.Struct], union: object) -> None:
    members = structs(module, base)
    assert set(members) == set(typing.get_args(union))
    tags = [c.__struct_config__.tag for c in members]
    assert len(set(tags)) == len(tags)


@pytest.mark.parametrize(("module", "base", "union"), FAMILIES, ids=["messages", "events", "effects"])
def test_structs_are_frozen_untracked_arrays_of_plain_values(module: types.ModuleType, base: type[msgspec.Struct], union: object) -> None:
    for struct in [*structs(module, base), *structs(module, messages.Value)]:
        config = struct.__struct_config__
        assert config.frozen, struct
        assert not config.gc, struct
        assert config.array_like, struct
        for field in msgspec.structs.fields(struct):
            assert allowed(field.type), f"{struct.__name__}.{field.name}: {field.type}"


def values(kind: object) -> st.SearchStrategy[typing.Any]:
    """Arbitrary values of a field: every octet in bytes, every character that is no surrogate in str."""
    if kind is int:
        return st.integers(-(2**63), 2**63 - 1)
    if kind is typing.Any:
        return st.one_of(values(int), values(bytes), values(str))
    if kind is bool:
        return st.booleans()
    if kind is bytes:
        return st.binary(max_size=20)
    if kind is str:
        return st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    if kind is type(None):
        return st.none()
    if typing.get_origin(kind) is tuple:
        args = typing.get_args(kind)
        if len(args) == 2 and args[1] is Ellipsis:
            return st.lists(values(args[0]), max_size=3).map(tuple)
        return st.tuples(*map(values, args))
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return st.one_of(*map(values, typing.get_args(kind)))
    assert isinstance(kind, type)
    assert issubclass(kind, msgspec.Struct)
    return instances(kind)


def instances(struct: type[msgspec.Struct]) -> st.SearchStrategy[msgspec.Struct]:
    return st.deferred(lambda: st.builds(struct, *[values(f.type) for f in msgspec.structs.fields(struct)]))


@pytest.mark.parametrize(("module", "base", "union"), FAMILIES, ids=["messages", "events", "effects"])
@given(data=st.data())
def test_arbitrary_values_survive_encoding(module: types.ModuleType, base: type[msgspec.Struct], union: typing.Any, data: st.DataObject) -> None:
    """SX30: whatever octets a peer put into a field arrive unchanged on the other side of a link or in a recording."""
    struct = data.draw(st.sampled_from(sorted(structs(module, base), key=lambda c: c.__name__)))
    value = data.draw(instances(struct))
    decoder = msgspec.msgpack.Decoder(union)
    assert decoder.decode(msgspec.msgpack.encode(value)) == value


@given(st.binary(max_size=200))
def test_arbitrary_octets_are_a_message_or_a_decoding_error(octets: bytes) -> None:
    decoder = msgspec.msgpack.Decoder(tuple[AnyMessage, ...])
    with contextlib.suppress(msgspec.DecodeError, msgspec.ValidationError):
        assert isinstance(decoder.decode(octets), tuple)


# --- notes -----------------------------------------------------------------------------------------------------------


def emitted(path: Path) -> Iterator[tuple[int, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Note":
            yield node.lineno, node


def test_every_note_in_the_source_stands_in_the_table_with_as_many_values() -> None:
    for path in sorted((ROOT / "smx").rglob("*.py")):
        for line, call in emitted(path):
            if not call.args or not isinstance(call.args[0], ast.Constant):
                continue
            name = call.args[0].value
            assert name in notes.NOTES, f"{path}:{line}: unknown note {name!r}"
            if len(call.args) > 1 and isinstance(call.args[1], ast.Tuple) and not any(isinstance(e, ast.Starred) for e in call.args[1].elts):
                assert len(call.args[1].elts) == len(notes.NOTES[name].fields), f"{path}:{line}: note {name!r} has other fields"


def test_every_note_of_the_table_is_emitted_somewhere() -> None:
    text = "\n".join(path.read_text() for path in sorted((ROOT / "smx").rglob("*.py")) if path.name != "notes.py")
    missing = [name for name in notes.NOTES if f'"{name}"' not in text]
    assert not missing, f"notes that nobody emits: {missing}"


def test_note_fields_have_known_units() -> None:
    for kind in notes.NOTES.values():
        for field in kind.fields:
            assert field.partition(":")[2] in ("id", "us", "stamp", "octets", "count", "code", "text"), f"{kind.name}: {field}"


def test_a_note_names_its_values_and_writes_ids_as_text() -> None:
    line = dict(notes.fields(Note("accepted", (1, 2, 1, 4096))))
    assert line == {"session": "000000000001", "transaction": "000000000002", "recipients": 1, "octets": 4096}


def test_an_unknown_note_is_an_error() -> None:
    with pytest.raises(KeyError):
        dict(notes.fields(Note("no such note", ())))


def test_octets_of_a_peer_become_text_without_surrogates() -> None:
    """F23: a surrogate would crash the encoder each time the message is loaded."""
    assert notes.text(b"caf\xe9").encode() == b"caf\\xe9"
