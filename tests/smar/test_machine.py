"""SMAR as a step machine: merged questions, links, maps that load late, bounds, reload, stop, explanation."""

import msgspec
import pytest

from smx.config.schema_smar import AliasesSettings, MailerEntry, MapSettings, SmarSettings
from smx.effects import Arm, Halt, LoadMap, Note, Query, Tell
from smx.events import Expired, Linked, MapLoaded, Reconfigured, Started, StopRequested, Told, Unlinked
from smx.messages import CheckRecipient, Resolve, Resolved, StopAsked
from smx.smar.machine import Smar
from smx.smar.tables import ALIASES_MAP
from smx.units import SECOND
from tests.smar.driver import Driver, Zone, answer

SETTINGS = SmarSettings(hostname="mx.example.org", local_domains=("example.org",))
SILENT: Zone = {("slow.example", "MX"): ""}
FILE_MAP = (MapSettings("users", "file", "/etc/users"),)


def resolve(request: int, recipient: bytes) -> Told:
    return Told("qmgr", Resolve(request, recipient))


def test_the_same_question_is_sent_once_and_answers_all_that_wait() -> None:
    smar = Driver(SETTINGS, SILENT)
    for request in range(5):
        smar.step(resolve(request, b"u%d@slow.example" % request))
    assert smar.queries == [("slow.example", "MX")]
    smar.step(answer(1, "NXDOMAIN"))
    assert [told.request for _, told in smar.told] == [0, 1, 2, 3, 4]


def test_an_answer_to_no_question_changes_nothing() -> None:
    smar = Driver(SETTINGS)
    smar.step(answer(99, "NXDOMAIN"))
    assert smar.effects == []


@pytest.mark.parametrize("back", [False, True])
def test_an_answer_for_a_link_that_went_down_is_dropped(back: bool) -> None:
    """The successor counts its requests anew: it must not see the answers of its predecessor."""
    smar = Driver(SETTINGS, SILENT)
    smar.step(resolve(1, b"u@slow.example"))
    smar.step(Unlinked("qmgr", 1))
    if back:
        smar.step(Linked("qmgr", 2))
        smar.step(Unlinked("qmgr", 1))
        smar.step(resolve(1, b"other@slow.example"))
    smar.step(answer(1, "NXDOMAIN"))
    assert len(smar.told) == int(back)


def test_questions_beyond_the_bound_are_told_to_come_later() -> None:
    smar = Driver(SmarSettings(questions_max=16), SILENT)
    for request in range(16):
        smar.step(resolve(request, b"u@slow.example"))
    assert smar.refusal(b"u@slow.example") == (451, b"4.4.5")
    assert smar.check(b"u@slow.example") == (451, b"4.4.5")
    smar.step(answer(1, "NXDOMAIN"))
    assert len(smar.told) == 16
    assert smar.refusal(b"u@slow.example") == (550, b"5.1.2")


def test_questions_wait_for_the_first_loading_of_a_map() -> None:
    settings = SmarSettings(local_domains=("example.org",), local_user_map="users", map=FILE_MAP, aliases=AliasesSettings("/etc/aliases"))
    smar = Driver(settings)
    smar.step(Told("smtps.mx.0", CheckRecipient(1, b"alice@example.org", b"", "", may_relay=False)))
    assert smar.told == []
    smar.step(MapLoaded(ALIASES_MAP, (), 1))
    assert smar.told == []
    smar.step(MapLoaded("users", (("alice", ""),), 1))
    assert len(smar.told) == 1


def test_it_is_ready_when_every_map_was_tried() -> None:
    smar = Smar(SmarSettings(map=FILE_MAP, aliases=AliasesSettings("/etc/aliases")))
    assert smar.step(Started(7, 1), 0) == [Note("started", (7,)), LoadMap("users"), LoadMap(ALIASES_MAP)]
    assert smar.step(MapLoaded("users", (), 1), 0) == [Note("map", ("users", 0, 1, ""))]
    assert Note("ready", (7,)) in smar.step(MapLoaded(ALIASES_MAP, (), 0, "gone"), 0)
    assert Note("ready", (7,)) not in smar.step(MapLoaded(ALIASES_MAP, (), 1), 0)
    assert Note("ready", (7,)) in Smar(SETTINGS).step(Started(7, 1), 0)


def test_a_map_that_cannot_be_read_again_keeps_its_rows() -> None:
    settings = SmarSettings(local_domains=("example.org",), local_user_map="users", map=FILE_MAP)
    smar = Driver(settings, maps={"users": {"alice": ""}})
    smar.step(MapLoaded("users", (), 1, "/etc/users:3: bad"))
    assert smar.check(b"alice@example.org")[0] == 250
    smar.step(MapLoaded("users", (("bob", ""),), 2))
    assert smar.check(b"alice@example.org")[0] == 550


def test_new_settings_hold_for_new_questions_and_the_maps_go_on() -> None:
    settings = SmarSettings(local_domains=("example.org",), local_user_map="users", map=FILE_MAP)
    smar = Driver(settings, SILENT, maps={"users": {"alice": ""}})
    smar.step(resolve(5, b"u@slow.example"))
    changed = msgspec.structs.replace(settings, local_domains=("example.net",), mailertable=(MailerEntry("slow.example", "local"),))
    smar.maps["users"] = None
    smar.step(Reconfigured(msgspec.msgpack.encode(changed)))
    assert LoadMap("users") in smar.effects
    assert smar.check(b"alice@example.org")[0] == 550
    assert smar.check(b"alice@example.net")[0] == 250
    route = smar.resolve(b"u@slow.example").route
    assert route is not None
    assert route.destination == "local"
    smar.step(answer(1, "NXDOMAIN"))
    assert [told.request for _, told in smar.told] == [5], "what was asked before is answered"


@pytest.mark.parametrize("event", [StopRequested(SECOND), Told("mcp", StopAsked(SECOND))])
def test_it_stops_when_all_is_answered_or_patience_ends(event: StopRequested | Told) -> None:
    idle = Smar(SETTINGS)
    assert idle.step(event, 0)[-1] == Halt("stopped")
    smar = Driver(SETTINGS, SILENT)
    smar.step(resolve(1, b"u@slow.example"))
    smar.step(event)
    assert Arm("stop", 0, smar.now + SECOND) in smar.effects
    assert Halt("stopped") not in smar.effects
    other = Driver(SETTINGS, SILENT)
    other.step(resolve(1, b"u@slow.example"))
    other.step(event)
    other.step(answer(1, "NXDOMAIN"))
    assert isinstance(other.effects[-2], Tell)
    assert other.effects[-1] == Halt("stopped")
    smar.step(Expired("stop", 0))
    assert smar.effects[-1] == Halt("stopped")


def test_the_same_events_give_the_same_effects() -> None:
    zone: Zone = {("many.example", "MX"): ("10 a.example", "10 b.example"), ("a.example", "A"): ("192.0.2.1",), ("b.example", "A"): ("192.0.2.2",)}
    runs = []
    for _ in range(2):
        smar = Driver(SETTINGS, zone, seed=42)
        for _ in range(5):
            smar.resolve(b"u@many.example")
        runs.append(smar.effects)
    assert runs[0] == runs[1]


def test_a_trail_names_the_rules_that_fired() -> None:
    trail: list[tuple[str, str]] = []
    smar = Smar(SETTINGS, trail=trail)
    smar.step(Started(1, 1), 0)
    smar.step(Linked("qmgr", 1), 0)
    (query,) = smar.step(resolve(1, b"u@far.example"), 0)
    assert query == Query(1, "far.example", "MX")
    smar.step(answer(1, ("10 host.example", "20 mx.example.org")), 0)
    smar.step(answer(2, ("192.0.2.1",)), 0)
    (tell,) = smar.step(answer(3, "NODATA"), 0)
    assert isinstance(tell, Tell)
    assert isinstance(tell.message, Resolved)
    assert trail == [
        ("mx", "far.example: 10 host.example 20 mx.example.org"),
        ("self", "this host is among the MX hosts: those from preference 20 on are dropped"),
        ("address", "host.example port 25: 192.0.2.1"),
    ]
