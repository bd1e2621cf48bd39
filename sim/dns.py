"""DNS of the simulated world: a table of names, and what goes wrong with questions about them (F41).

    zones = ZoneTable(env, stream)
    zones.add("example.net", "MX", (10, "mx1.example.net"))
    zones.add("mx1.example.net", "A", "192.0.2.1")
    zones.script("example.net", "MX", TIMEOUT, SERVFAIL, FIXED)     # the first question times out, the second fails, then all is well
    zones.ask("example.net", "MX", answer)                          # answer(Answered) comes later

What stands behind the table is a resolver: CNAMEs are followed, a truncated answer has been asked for again by TCP, and time-outs and SERVFAIL
are one status (TEMP) that comes late or soon. It keeps nothing itself: SMAR's own cache is what is under test, by the TTLs that it is told.

May happen     another answer to the same question at another time, or none; answers that come in another order than the questions.
Never happens  two answers to a question; a forged one (the resolver's business, not SMAR's).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from smx.events import Answered, DnsRecord
from smx.units import HOUR, MINUTE, SECOND

if TYPE_CHECKING:
    from sim.choices import Stream
    from sim.environment import Environment
    from sim.trace import Trace

CHAIN_MAX: Final = 8  # as smx.live.dns
TTL_US: Final = HOUR
TTL_NEGATIVE_US: Final = 5 * MINUTE

Answer = Callable[[Answered], None]
Value = str | tuple[int, str]  # an address or name; (preference, name) for MX


class Behaviour(msgspec.Struct, frozen=True, gc=False):
    """What becomes of one question. `status` "": as the table says. `wait_us`: besides the latency; -1: the resolver's time-out."""

    status: str = ""
    wait_us: int = 0
    reason: str = ""
    records: tuple[DnsRecord, ...] = ()
    ttl_us: int = TTL_NEGATIVE_US


FIXED: Final = Behaviour()
TIMEOUT: Final = Behaviour("TEMP", -1, "no answer in time", ttl_us=0)
SERVFAIL: Final = Behaviour("TEMP", 0, "SERVFAIL", ttl_us=0)
REFUSED: Final = Behaviour("TEMP", 0, "REFUSED", ttl_us=0)
TRUNCATED: Final = Behaviour("TEMP", 2 * SECOND, "truncated, and no answer by TCP", ttl_us=0)
NXDOMAIN: Final = Behaviour("NXDOMAIN")
NODATA: Final = Behaviour("NODATA")
NULL_MX: Final = Behaviour("OK", records=(DnsRecord(0, ""),), ttl_us=TTL_US)  # RFC 7505


def slow(wait_us: int) -> Behaviour:
    """The right answer, late."""
    return Behaviour("", wait_us)


def answered(rrtype: str, *values: Value, ttl_us: int = TTL_US) -> Behaviour:
    """Another answer than the table's."""
    return Behaviour("OK", records=tuple(record(rrtype, value) for value in values), ttl_us=ttl_us)


def record(rrtype: str, value: Value) -> DnsRecord:
    if isinstance(value, tuple):
        assert rrtype == "MX", "only MX has a preference"
        return DnsRecord(value[0], value[1].lower().rstrip("."))
    return DnsRecord(0, value if rrtype in ("A", "AAAA", "TXT") else value.lower().rstrip("."))


class DnsWeather(msgspec.Struct, frozen=True, gc=False):
    """Random trouble with any question, per mille; `latency_us` one answer takes, up to `latency_max_us`; `timeout_us`: SMAR's dns_timeout."""

    latency_us: int = 1_000
    latency_max_us: int = 1_000
    timeout_us: int = 10 * SECOND
    timeout_per_mille: int = 0
    servfail_per_mille: int = 0
    flap_per_mille: int = 0  # NXDOMAIN for a name that exists
    slow_per_mille: int = 0


DNS_CALM: Final = DnsWeather()


def draw_dns_weather(stream: "Stream") -> DnsWeather:
    """For one seed: calm by default. Flapping is drawn apart: a wrong NXDOMAIN bounces mail, and rightly so."""
    return DnsWeather(
        latency_us=stream.between(200, 20_000),
        latency_max_us=stream.between(20_000, 200_000),
        timeout_per_mille=stream.between(1, 300) if stream.chance(300) else 0,
        servfail_per_mille=stream.between(1, 300) if stream.chance(300) else 0,
        slow_per_mille=stream.between(1, 300) if stream.chance(300) else 0,
    )


class ZoneTable:
    """Every name that exists, and what its questions meet with. Names in lower case without the trailing dot."""

    def __init__(self, env: "Environment", stream: "Stream", trace: "Trace | None" = None, weather: DnsWeather = DNS_CALM) -> None:
        self.weather = weather
        self.questions = 0
        self._env: Final = env
        self._stream: Final = stream
        self._trace: Final = trace
        self._records: dict[tuple[str, str], tuple[DnsRecord, ...]] = {}
        self._ttls: dict[tuple[str, str], int] = {}
        self._names: dict[str, None] = {}
        self._scripts: dict[tuple[str, str], list[Behaviour]] = {}

    # --- what exists --------------------------------------------------------------------------------------------------------

    def add(self, name: str, rrtype: str, *values: Value, ttl_us: int = TTL_US) -> None:
        """Records of this name and type, in place of those it had. Without values: the name exists (NODATA)."""
        key = (name, rrtype)
        self._names[name] = None
        self._records[key] = tuple([record(rrtype, value) for value in values])
        self._ttls[key] = ttl_us

    def set_ttl(self, name: str, rrtype: str, ttl_us: int) -> None:
        """How long its answers may be kept, from now on."""
        self._ttls[name, rrtype] = ttl_us

    def remove(self, name: str) -> None:
        """The name does not exist any more."""
        self._names.pop(name, None)
        for key in [key for key in self._records if key[0] == name]:
            del self._records[key]

    def script(self, name: str, rrtype: str, *behaviours: Behaviour) -> None:
        """What the next questions meet with, one after the other; the last one stays. Without behaviours: the table again."""
        if behaviours:
            self._scripts[name, rrtype] = list(behaviours)
        else:
            self._scripts.pop((name, rrtype), None)

    def calm(self) -> None:
        """Faults end: the table answers, at once."""
        latency = self.weather.latency_us
        self.weather = DnsWeather(latency, latency, self.weather.timeout_us)
        self._scripts.clear()

    # --- kinds of domains ----------------------------------------------------------------------------------------------------

    def domain(self, name: str, *hosts: tuple[int, str, str], ttl_us: int = TTL_US) -> None:
        """MX records and addresses: (preference, host name, address) each; an address with `:` is IPv6."""
        self.add(name, "MX", *((preference, host) for preference, host, _ in hosts), ttl_us=ttl_us)
        for _, host, address in hosts:
            self.add(host, "AAAA" if ":" in address else "A", address, ttl_us=ttl_us)

    def implicit(self, name: str, address: str) -> None:
        """No MX: the address of the domain itself counts (RFC 5321 5.1)."""
        self.add(name, "AAAA" if ":" in address else "A", address)

    def null_mx(self, name: str) -> None:
        self.add(name, "MX", (0, ""))

    def loop(self, name: str, ourselves: str, *better: tuple[int, str, str]) -> None:
        """We are the best MX, or, with `better`, the last one."""
        self.domain(name, *better)
        self.add(name, "MX", *((preference, host) for preference, host, _ in better), (90, ourselves))

    def huge(self, name: str, count: int, address: str) -> None:
        """More MX hosts than anybody wants to try; all have the same address."""
        self.domain(name, *((10 + number // 10, f"mx{number}.{name}", address) for number in range(count)))

    def alias(self, name: str, target: str) -> None:
        self.add(name, "CNAME", target)

    # --- questions -------------------------------------------------------------------------------------------------------------

    def ask(self, name: str, rrtype: str, answer: Answer, request: int = 0) -> None:
        """`answer` is called once, later."""
        self.questions += 1
        name = name.lower().rstrip(".")
        weather = self.weather
        behaviour = self._next(name, rrtype)
        wait = self._stream.between(weather.latency_us, weather.latency_max_us)
        wait += weather.timeout_us if behaviour.wait_us < 0 else behaviour.wait_us
        if behaviour is not FIXED and self._trace is not None:
            self._trace.record(self._env.now, "dns", "fault", f"{rrtype} {name} {behaviour.status or 'slow'} {behaviour.reason}")
        self._env.later(wait, self._answer, name, rrtype, behaviour, answer, request)

    def _next(self, name: str, rrtype: str) -> Behaviour:
        script = self._scripts.get((name, rrtype))
        if script:
            return script.pop(0) if len(script) > 1 else script[0]
        weather, stream = self.weather, self._stream
        if stream.chance(weather.timeout_per_mille):
            return TIMEOUT
        if stream.chance(weather.servfail_per_mille):
            return SERVFAIL
        if stream.chance(weather.flap_per_mille):
            return NXDOMAIN
        if stream.chance(weather.slow_per_mille):
            return slow(stream.between(SECOND, max(SECOND, weather.timeout_us - SECOND)))
        return FIXED

    def _answer(self, name: str, rrtype: str, behaviour: Behaviour, answer: Answer, request: int) -> None:
        """The table is read when the answer leaves, not when the question came."""
        if behaviour.status:
            records = self._turned(behaviour.records)
            answer(Answered(request, behaviour.status, records, behaviour.ttl_us, name, behaviour.reason))
        else:
            answer(self._look_up(name, rrtype, request))

    def _look_up(self, name: str, rrtype: str, request: int) -> Answered:
        ttl = TTL_US
        for _ in range(CHAIN_MAX):
            key = (name, rrtype)
            records = self._records.get(key, ())
            if records:
                return Answered(request, "OK", self._turned(records), min(ttl, self._ttls[key]), name)
            alias = self._records.get((name, "CNAME"))
            if not alias:
                return Answered(request, "NODATA" if name in self._names else "NXDOMAIN", (), min(ttl, TTL_NEGATIVE_US), name)
            ttl = min(ttl, self._ttls[name, "CNAME"])
            name = alias[0].value
        return Answered(request, "TEMP", reason="the CNAME chain is too long")

    def _turned(self, records: tuple[DnsRecord, ...]) -> tuple[DnsRecord, ...]:
        """Servers turn the order of what they answer."""
        if len(records) < 2:
            return records
        first = self._stream.below(len(records))
        return records[first:] + records[:first]
