"""Factory: makes a component from its process name and its settings; imports only the package that it needs (dependency rule 6)."""

from typing import TypeVar

import msgspec

from smx.component import Component
from smx.topology import kind_of

_T = TypeVar("_T")


def make_component(process: str, settings: bytes) -> Component:
    """The component of `process`. `settings`: its Settings Struct as MessagePack. AssertionError for an unknown kind."""
    match kind_of(process):
        case "qmgr":
            from smx.config.schema_qmgr import QmgrSettings
            from smx.qmgr.machine import Qmgr

            return Qmgr(decoded(settings, QmgrSettings))
        case "smar":
            from smx.config.schema_smar import SmarSettings
            from smx.smar.machine import Smar

            return Smar(decoded(settings, SmarSettings))
        case "smtps":
            from smx.config.schema_smtps import SmtpsSettings
            from smx.smtps.machine import Smtps

            return Smtps(decoded(settings, SmtpsSettings), process)
        case "smtpc":
            from smx.config.schema_smtpc import SmtpcSettings
            from smx.smtpc.machine import Smtpc

            return Smtpc(decoded(settings, SmtpcSettings), process)
        case "lda":
            from smx.config.schema_lda import LdaSettings
            from smx.lda.machine import Lda

            return Lda(decoded(settings, LdaSettings))
        case "mcp":
            from smx.config.schema import Settings
            from smx.mcp.machine import Mcp

            return Mcp(decoded(settings, Settings))
    raise AssertionError(f"no component for {process}")


def decoded(settings: bytes, struct: type[_T]) -> _T:
    """A Settings Struct from its MessagePack."""
    return msgspec.msgpack.decode(settings, type=struct)
