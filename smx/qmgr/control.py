"""Control: figures, and limits that change while QMGR runs (SX66).

A limit is a name of the configuration (`retry.min`, `smtpc.max_connections`, ...), its value an integer: microseconds, octets, a count.
The table says where it lives and what it may be. A change lasts until the process ends; the configuration file is the place for more.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from smx.config.schema_qmgr import OPTIONS
from smx.messages import LimitsChanged, Status

if TYPE_CHECKING:
    from smx.config.schema_qmgr import QmgrSettings
    from smx.qmgr.hub import Hub

DESTINATIONS_MAX: Final = 1_000  # in one Status

_Set = Callable[["Hub", int], None]


def _attribute(where: str, name: str) -> tuple[Callable[["Hub"], int], _Set]:
    """A limit that is an attribute of something that the hub holds; `where` "" is the hub itself."""

    def owner(hub: "Hub") -> Any:
        found: Any = hub
        for part in where.split(".") if where else ():
            found = getattr(found, part)
        return found

    def get(hub: "Hub") -> int:
        return int(getattr(owner(hub), name))

    def put(hub: "Hub", value: int) -> None:
        setattr(owner(hub), name, value)

    return get, put


def _retry(name: str) -> tuple[Callable[["Hub"], int], _Set]:
    def get(hub: "Hub") -> int:
        return int(getattr(hub.retry, name))

    def put(hub: "Hub", value: int) -> None:
        hub.retry = msgspec.structs.replace(hub.retry, **{name: value})

    return get, put


# fmt: off
# name in the configuration below qmgr: (how to read it, how to set it)
LIMITS: Final = {
    "aq_max_entries":             _attribute("aq", "entries_max"),
    "aq_new_share_percent":       _attribute("aq", "new_share_percent"),
    "aq_deferred_share_percent":  _attribute("aq", "deferred_share_percent"),
    "iqdb_max_entries":           _attribute("admission.limits", "incoming_max"),
    "edbc_max_entries":           _attribute("edbc", "entries_max"),
    "cut_through":                _attribute("", "cut_through_us"),
    "cdb_waste_max":              _attribute("relocation", "waste_max_octets"),
    "min_free":                   _attribute("admission.limits", "min_free_octets"),
    "smtpc.initial_connections":  _attribute("aq.limits", "initial"),
    "smtpc.max_connections":      _attribute("aq.limits", "maximum"),
    "smtpc.recipients_max":       _attribute("", "recipients_max"),
    "smtpc.deliveries_max":       _attribute("", "deliveries_max"),
    "retry.min":                  _retry("min_us"),
    "retry.max":                  _retry("max_us"),
    "retry.give_up":              _retry("give_up_us"),
    "retry.warn":                 _retry("warn_us"),
    "retry.attempts_min":         _retry("attempts_min"),
    "retry.jitter_percent":       _retry("jitter_percent"),
    "retry.dead_min":             _attribute("aq.limits", "dead_min_us"),
    "retry.dead_max":             _attribute("aq.limits", "dead_max_us"),
    "throttle.spill_rate_max":    _attribute("admission.limits", "spill_rate_max"),
    "throttle.slow_free":         _attribute("admission.limits", "slow_free_octets"),
    "throttle.descriptors_min":   _attribute("admission.limits", "descriptors_min"),
}
# fmt: on
OPTION_OF: Final = {option.path.removeprefix("qmgr."): option for option in OPTIONS}  # the configuration's own row for a limit


def configured(settings: "QmgrSettings", name: str) -> int:
    """What the settings say for a limit."""
    option = OPTION_OF[name]
    section: Any = settings
    for part in option.section.split(".")[1:]:
        section = getattr(section, part)
    return int(getattr(section, option.field))


class Control:
    """Answers StatusAsked and LimitsChanged; takes new settings."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub

    def status(self, process: str, request: int) -> None:
        """Figures, and the destinations that have something to do."""
        self._hub.tell(process, Status(request, self._figures(), self._destinations()))

    def change(self, process: str, message: LimitsChanged) -> None:
        """Set a limit. An unknown name or a value out of bounds changes nothing."""
        hub = self._hub
        limit = LIMITS.get(message.name)
        if limit is None:
            hub.tell(process, Status(message.request, (("unknown_limit", 0),)))
            return
        option = OPTION_OF[message.name]
        least, greatest = (0 if option.zero else option.low), option.high
        if not least <= message.value <= greatest:
            hub.tell(process, Status(message.request, (("least", least), ("greatest", greatest), ("out_of_bounds", message.value))))
            return
        self.set(message.name, message.value, process)
        hub.tell(process, Status(message.request, ((message.name, message.value),)))

    def set(self, name: str, value: int, who: str) -> None:
        """Set one limit, with a note; a value that is in force already is no change."""
        get, put = LIMITS[name]
        if get(self._hub) != value:
            put(self._hub, value)
            self._hub.note("limit", name, value, who)
            self._hub.gate.assess()
            for destination in self._hub.aq.destinations.values():
                self._hub.scheduler.ready(destination)

    def reconfigured(self, settings: "QmgrSettings") -> None:
        """The configuration was read again: every limit in the table takes its new value."""
        self._hub.settings = settings
        self._hub.routes.forget_answers()
        for name in LIMITS:
            self.set(name, configured(settings, name), "configuration")
        for process in self._hub.links.servers():
            self._hub.gate.tell(process)

    def _figures(self) -> tuple[tuple[str, int], ...]:
        hub = self._hub
        figures = (
            ("active", len(hub.aq)),
            ("active_new", hub.aq.new_count),
            ("active_deferred", hub.aq.deferred_count),
            ("incoming", hub.submission.incoming),
            ("transactions", len(hub.transactions)),
            ("cached", len(hub.edbc)),
            ("cache_complete", int(hub.edbc.complete)),
            ("deferred_out", hub.edbc.out),
            ("deliveries", len(hub.scheduler.deliveries)),
            ("questions", hub.routes.outstanding),
            ("destinations", len(hub.aq.destinations)),
            ("admission", int(hub.admission.state)),
            ("admission_rate", hub.admission.rate),
            ("free_octets", min(hub.admission.free_octets, 1 << 62)),
            ("suspects", len(hub.ward)),
        )
        return figures + tuple([(f"limit.{name}", get(hub)) for name, (get, _) in LIMITS.items()])

    def _destinations(self) -> tuple[tuple[str, int, int, int], ...]:
        busy = [destination for destination in self._hub.aq.destinations.values() if not destination.idle or destination.window.dead]
        busy.sort(key=lambda destination: (-destination.count, destination.name))
        return tuple([(one.name, one.count, one.window.in_flight, one.window.limit) for one in busy[:DESTINATIONS_MAX]])
