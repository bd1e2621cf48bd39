"""The zone table: what exists, and what goes wrong (F41)."""

from typing import Any

import pytest

from sim.choices import Choices
from sim.dns import DNS_CALM, FIXED, NODATA, NULL_MX, NXDOMAIN, SERVFAIL, TIMEOUT, TRUNCATED, DnsWeather, ZoneTable, answered, draw_dns_weather, slow
from sim.environment import Environment
from smx.config.schema import SmarSettings
from smx.effects import Query, Tell
from smx.events import Answered, DnsRecord, Linked, Started, Told
from smx.messages import Resolve, Resolved
from smx.smar.machine import Smar
from smx.units import HOUR, MINUTE, SECOND


class World:
    def __init__(self, weather: DnsWeather = DNS_CALM, seed: int = 1) -> None:
        self.env = Environment(0)
        self.zones = ZoneTable(self.env, Choices(seed).stream("dns"), None, weather)
        self.zones.domain("example.net", (10, "mx1.example.net", "192.0.2.1"), (20, "mx2.example.net", "192.0.2.2"))

    def ask(self, name: str, rrtype: str = "MX") -> tuple[Answered, int]:
        """The answer, and how long it took."""
        answers: list[Answered] = []
        begun = self.env.now
        self.zones.ask(name, rrtype, answers.append, 7)
        self.env.run(self.env.now + HOUR) if not answers else None
        assert len(answers) == 1
        assert answers[0].request == 7
        return answers[0], self.env.now - begun

    def status(self, name: str, rrtype: str = "MX") -> str:
        return self.ask(name, rrtype)[0].status


def test_names_have_the_records_of_the_table() -> None:
    world = World()
    answer, _ = world.ask("Example.NET.")
    assert sorted((record.preference, record.value) for record in answer.records) == [(10, "mx1.example.net"), (20, "mx2.example.net")]
    assert answer.ttl_us == HOUR
    assert world.ask("mx1.example.net", "A")[0].records == (DnsRecord(0, "192.0.2.1"),)
    assert world.status("mx1.example.net", "AAAA") == "NODATA"
    assert world.status("nobody.example.net", "A") == "NXDOMAIN"
    world.zones.remove("example.net")
    assert world.status("example.net") == "NXDOMAIN"


def test_aliases_are_followed_and_their_ttl_counts() -> None:
    world = World()
    world.zones.alias("www.example.net", "example.net")
    world.zones.add("www.example.net", "CNAME", "example.net", ttl_us=MINUTE)
    answer, _ = world.ask("www.example.net")
    assert (answer.status, answer.name, answer.ttl_us) == ("OK", "example.net", MINUTE)
    world.zones.alias("a.example", "b.example")
    world.zones.alias("b.example", "a.example")
    assert world.status("a.example") == "TEMP"


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [(TIMEOUT, "TEMP"), (SERVFAIL, "TEMP"), (TRUNCATED, "TEMP"), (NXDOMAIN, "NXDOMAIN"), (NODATA, "NODATA"), (NULL_MX, "OK"), (slow(3 * SECOND), "OK")],
)
def test_a_script_is_used_up_question_by_question_and_its_last_line_stays(behaviour: Any, status: str) -> None:
    world = World()
    world.zones.script("example.net", "MX", behaviour, behaviour, FIXED)
    assert [world.status("example.net") for _ in range(4)] == [status, status, "OK", "OK"]
    world.zones.script("example.net", "MX", behaviour)
    assert [world.status("example.net") for _ in range(3)] == [status] * 3
    world.zones.calm()
    assert world.status("example.net") == "OK"


def test_a_time_out_takes_as_long_as_the_resolver_has_patience() -> None:
    answers: list[int] = []
    world = World()
    world.zones.script("example.net", "MX", TIMEOUT, SERVFAIL)
    for _ in range(2):
        world.zones.ask("example.net", "MX", lambda answer: answers.append(world.env.now))
        world.env.run(MINUTE if not answers else 2 * MINUTE)
    assert answers[0] == DNS_CALM.timeout_us + DNS_CALM.latency_us
    assert answers[1] == MINUTE + DNS_CALM.latency_us


def test_answers_change_between_attempts() -> None:
    world = World()
    world.zones.script("example.net", "MX", answered("MX", (10, "old.example.net"), ttl_us=SECOND), FIXED)
    assert world.ask("example.net")[0].records == (DnsRecord(10, "old.example.net"),)
    assert len(world.ask("example.net")[0].records) == 2


def test_weather_hits_about_as_many_questions_as_it_says() -> None:
    world = World(DnsWeather(timeout_per_mille=300, flap_per_mille=200))
    statuses = [world.status("example.net") for _ in range(300)]
    assert 50 < statuses.count("TEMP") < 130
    assert 20 < statuses.count("NXDOMAIN") < 80


def test_drawn_weather_is_calm_in_many_seeds() -> None:
    weathers = [draw_dns_weather(Choices(seed).stream("dns")) for seed in range(100)]
    assert 10 < sum(not (weather.timeout_per_mille or weather.servfail_per_mille) for weather in weathers) < 90
    assert not any(weather.flap_per_mille for weather in weathers)


# --- what the real resolver process makes of it -----------------------------------------------------------------------------


def _resolve(world: World, recipient: str) -> Resolved:
    """By the real SMAR, with this zone."""
    smar = Smar(SmarSettings(hostname="mx.lab.example", local_domains=("lab.example",)))
    told: list[Resolved] = []

    def step(event: Any) -> None:
        for effect in smar.step(event, world.env.now):
            if isinstance(effect, Query):
                world.zones.ask(effect.name, effect.rrtype, step, effect.request)
            elif isinstance(effect, Tell) and isinstance(effect.message, Resolved):
                told.append(effect.message)

    step(Started(1, 1))
    step(Linked("qmgr", 1))
    step(Told("qmgr", Resolve(1, recipient.encode())))
    world.env.run(world.env.now + 5 * MINUTE)
    assert len(told) == 1
    return told[0]


@pytest.mark.parametrize(
    ("kind", "code", "hosts"),
    [
        ("plain", 0, ["mx1.example.net", "mx2.example.net"]),
        ("null mx", 556, []),
        ("loop", 554, []),
        ("loop with a better one", 0, ["better.example.net"]),
        ("huge", 0, []),
        ("implicit", 0, ["example.net"]),
        ("IPv6 only", 0, ["six.example.net"]),
        ("servfail", 451, []),
        ("time-out", 451, []),
        ("gone", 550, []),
    ],
)
def test_each_kind_of_domain_leads_to_its_route_or_verdict(kind: str, code: int, hosts: list[str]) -> None:
    world = World()
    zones = world.zones
    match kind:
        case "null mx":
            zones.null_mx("example.net")
        case "loop":
            zones.loop("example.net", "mx.lab.example")
        case "loop with a better one":
            zones.loop("example.net", "mx.lab.example", (5, "better.example.net", "192.0.2.9"))
        case "huge":
            zones.huge("example.net", 300, "192.0.2.1")
        case "implicit":
            zones.remove("example.net")
            zones.implicit("example.net", "192.0.2.3")
        case "IPv6 only":
            zones.domain("example.net", (10, "six.example.net", "2001:db8::1"))
        case "servfail":
            zones.script("example.net", "MX", SERVFAIL)
        case "time-out":
            zones.script("example.net", "MX", TIMEOUT)
        case "gone":
            zones.remove("example.net")
    resolved = _resolve(world, "user@example.net")
    if resolved.route is None:
        assert resolved.verdict is not None
        assert resolved.verdict.code // 100 == code // 100
    else:
        assert not code
        names = [host.name for host in resolved.route.hosts]
        assert names == hosts if hosts else 2 < len(names) < 100
