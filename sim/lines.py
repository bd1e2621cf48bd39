"""Lines: events, effects and other happenings as text for people; nothing here runs unless somebody reads a trace."""

from typing import Any, Final

import msgspec

from smx import notes
from smx.effects import AnyEffect, Note
from smx.events import AnyEvent

OCTETS_SHOWN: Final = 64
LEGEND: Final = """\
time (seconds)  lane         what happened
  > Event(...)     the component took this event
    < Effect(...)  it ordered this, in this order
  * kind ...       an operation of a disk, a piece on the network, a fault, a death or birth of a process
Octets are shown as text, long ones cut; the number behind them is their whole length."""


def event_line(event: AnyEvent) -> str:
    return _struct_line(event)


def effect_line(effect: AnyEffect) -> str:
    if isinstance(effect, Note) and effect.name in notes.NOTES:
        return f"Note {effect.name} " + " ".join(f"{name}={value}" for name, value in notes.fields(effect))
    return _struct_line(effect)


def payload_line(payload: Any) -> str:
    if payload is None:
        return ""
    if isinstance(payload, tuple | list):
        return " ".join(_value(part) for part in payload)
    return _value(payload)


def _struct_line(value: msgspec.Struct) -> str:
    fields = (f"{name}={_value(part)}" for name in value.__struct_fields__ if (part := getattr(value, name)) not in ("", b"", ()))
    return f"{type(value).__name__}({', '.join(fields)})"


def _value(value: Any) -> str:
    if isinstance(value, bytes | bytearray):
        shown = bytes(value[:OCTETS_SHOWN])
        text = repr(shown)[1:]
        return text if len(value) <= OCTETS_SHOWN else f"{text}... {len(value)}"
    if isinstance(value, msgspec.Struct):
        return _struct_line(value)
    if isinstance(value, tuple | list):
        return f"({', '.join(_value(part) for part in value)})"
    return str(value)
