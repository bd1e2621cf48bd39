"""Simulated: cases against the whole of smx in the simulator, in virtual time: minutes, hours and days pass in milliseconds.

    result = run_case(case)

The suite is what it is on sockets, a client and some hosts of the network and the server of the DNS; only that the network, the disk and the clock are
those of `sim`, and the components on the machine are the real ones. Each case has a world of its own.
"""

from collections.abc import Callable
from typing import Any, Final

from conformance import wire
from conformance.case import Case
from conformance.dns import Zones
from conformance.outcome import MissingDependency
from conformance.play import Play
from conformance.runner import Result, context_of, result_of
from conformance.sanity import EXTENSION, extensions
from conformance.target import Delivery, Dns, Limits, Mail, Sources, Target
from sim.choices import Choices
from sim.connection import Connection
from sim.disk.deposits import delivered
from sim.environment import Environment
from sim.party import END_OF_STREAM
from sim.queue_tool import NAME as TOOL
from sim.scenario import ADDRESS, Scenario, plain_settings
from sim.world import World
from smx import messages as msg
from smx.events import Answered, DnsRecord, Told
from smx.units import MILLISECOND, SECOND

TRUSTED: Final = "198.51.100.1"
OUTSIDER: Final = "203.0.113.200"
DOMAIN: Final = "local.test"
CONFIGURATION: Final = f"""
hostname = "mx.{DOMAIN}";
spool = /spool;
smtps mx {{ listen_socket {{ address = {ADDRESS}; port = 25; }} relay_from = {{ 198.51.100.0/24 }}; }}
smtpc {{ tls = no; }}
smar {{
    local_domains = {{ "{DOMAIN}", "mx.{DOMAIN}" }};
    relay_domains = {{ "relay.dest.test", ".relay.dest.test" }};
    local_user_map = "users";
    map users {{ type = inline; entries = {{ alice = ""; bob = ""; postmaster = ""; }}; }}
}}
lda {{ }}
qmgr {{ min_free = 0; cut_through = 0; }}
"""
TARGET: Final = Target(
    name="smx",
    version="simulated",
    hostname=f"mx.{DOMAIN}",
    services={"smtp": f"{ADDRESS}:25"},
    mail=Mail(local_domain=DOMAIN, recipients=(f"alice@{DOMAIN}", f"bob@{DOMAIN}"), unknown=f"nobody@{DOMAIN}", relay_domain="relay.dest.test"),
    sources=Sources(trusted=TRUSTED, outsider=OUTSIDER),
    delivery=Delivery(maildir="/spool/maildirs/%u"),
    dns=Dns(listen="simulated"),
    control=dict.fromkeys(("kill", "start", "stop", "restart", "flush"), "simulated"),
    policy={"retry_s": 300, "give_up_s": 432_000, "warn_s": 14_400},
    limits=Limits(reply_s=20.0, delivery_s=20.0),
)
START_S: Final = 5.0
POLL_US: Final = 50 * MILLISECOND
FAILURES: Final = {"NXDOMAIN": "NXDOMAIN"}


class SuiteDns:
    """The DNS that the machine asks: the suite's zones."""

    def __init__(self, env: Environment, zones: Zones, timeout_us: int) -> None:
        self._env = env
        self._zones = zones
        self._timeout_us = timeout_us

    def ask(self, name: str, rrtype: str, answer: Callable[[Answered], None], request: int = 0) -> None:
        self._zones.asked.append(wire.Query(name, rrtype))
        failure, records = self._zones.find(name, rrtype)
        found = [record for record in records if record.rrtype == rrtype]
        if failure:
            status, wait = FAILURES.get(failure, "TEMP"), self._timeout_us if failure == "TIMEOUT" else MILLISECOND
            self._env.later(wait, answer, Answered(request, status, (), 0, name, failure))
            return
        values = tuple(_value(rrtype, record.data) for record in found)
        canonical = found[0].name if found else name
        self._env.later(MILLISECOND, answer, Answered(request, "OK" if values else "NODATA", values, 30 * SECOND, canonical))

    def calm(self) -> None:
        """Nothing here is random."""


def _value(rrtype: str, data: str) -> DnsRecord:
    if rrtype == "MX":
        preference, _, host = data.partition(" ")
        return DnsRecord(int(preference), host.rstrip(".").lower())
    return DnsRecord(0, data.rstrip(".").lower() if rrtype == "CNAME" else data)


class End:
    """The suite's end of a connection."""

    def __init__(self, simulated: "SimulatedWire", connection: Connection | None = None) -> None:
        self.connection = connection
        self.inbox = bytearray()
        self.end = ""
        self.refusal = ""
        self._wire = simulated

    def connected(self, connection: Connection) -> None:
        self.connection = connection
        self._wire.wake()

    def refused(self, reason: str) -> None:
        self.refusal = reason
        self._wire.wake()

    def received(self, data: bytes) -> None:
        self.inbox += data
        self._wire.wake()

    def drained(self) -> None:
        """It never waits for that."""

    def closed(self, reason: str) -> None:
        self.end = wire.CLOSED if reason == END_OF_STREAM else wire.RESET
        self._wire.wake()


class SimulatedWire:
    """The actions of one case, in one world."""

    def __init__(self, domain: str, configuration: str = CONFIGURATION, seed: int = 1) -> None:
        self.zones = Zones()
        self.world = World(Scenario(settings=plain_settings(configuration)), Choices(seed))
        self.world.zone = SuiteDns(self.world.env, self.zones, self.world.scenario.settings.smar.dns_timeout_us)  # type: ignore[assignment]
        self.world._look = lambda: None  # type: ignore[method-assign]  # the script says when it is over, and a look a second is much in five days
        self.world.begin()
        self._domain = domain
        self._ends: dict[int, End] = {}
        self._hosts: dict[str, str] = {}
        self._waiting: list[wire.Accepted] = []
        self._until(self._is_ready, START_S)

    @property
    def now(self) -> float:
        return self.world.env.now / SECOND

    def wake(self) -> None:
        """What a script waits for may have come."""
        self.world.env.stop()

    def perform(self, action: wire.Action) -> Any:
        return getattr(self, f"_{type(action).__name__.lower()}")(action)

    def _until(self, condition: Callable[[], object], seconds: float, poll_us: int = 0) -> bool:
        """Let time pass until this holds; False when it did not in so many seconds."""
        deadline = self.world.env.now + round(seconds * SECOND)
        while not condition():
            if self.world.env.now >= deadline:
                return False
            self.world.go_on(min(deadline, self.world.env.now + poll_us) if poll_us else deadline)
        return True

    def _is_ready(self) -> bool:
        if self.world.env.now < self.world.started_at + SECOND:
            self.world.go_on(self.world.env.now + POLL_US)
        processes = self.world.machine.processes
        return all(name in processes and processes[name].alive and processes[name].ready for name in ("smtps.mx.0", "qmgr", "smar", "smtpc.0", "lda"))

    # --- as client

    def _open(self, action: wire.Open) -> wire.Opened:
        end = End(self)
        self.world.network.connect(action.source or TRUSTED, ADDRESS, 25, end)
        if not self._until(lambda: end.connection is not None or end.refusal, action.timeout_s):
            return wire.Opened(0, wire.TIMEOUT)
        return wire.Opened(0, end.refusal) if end.refusal else wire.Opened(self._kept(end))

    def _kept(self, end: End) -> int:
        self._ends[len(self._ends) + 1] = end
        return len(self._ends)

    def _send(self, action: wire.Send) -> None:
        end = self._ends[action.connection]
        if end.connection is not None and end.connection.open and not end.end:
            end.connection.send(action.octets)

    def _receive(self, action: wire.Receive) -> wire.Received:
        end = self._ends[action.connection]
        self._until(lambda: end.inbox or end.end, action.timeout_s)
        if end.inbox:
            octets = bytes(end.inbox)
            end.inbox.clear()
            return wire.Received(octets)
        return wire.Received(b"", end.end or wire.TIMEOUT)

    def _close(self, action: wire.Close) -> None:
        end = self._ends[action.connection]
        if end.connection is None or not end.connection.open:
            return
        if action.how == wire.HALF:
            end.connection.finish()
            return
        end.end = end.end or wire.RESET
        if action.how == wire.RESET:
            end.connection.abort()
        else:
            end.connection.close()

    def _starttls(self, action: wire.StartTls) -> wire.Secured:
        raise MissingDependency("the simulator shows no certificates")

    # --- as server

    def _address(self, host: str) -> str:
        if host not in self._hosts:
            self._hosts[host] = f"10.0.0.{len(self._hosts) + 1}"
            self.world.network.known(self._hosts[host])
        return self._hosts[host]

    def _listen(self, action: wire.Listen) -> str:
        address = self._address(action.host)

        def accept(connection: Connection) -> End:
            end = End(self, connection)
            self._waiting.append(wire.Accepted(self._kept(end), action.host, connection.peer_host))
            self.wake()
            return end

        if not self.world.network.listens(address, 25):
            self.world.network.listen(address, 25, accept)
        return address

    def _unlisten(self, action: wire.Unlisten) -> None:
        address = self._address(action.host)
        if self.world.network.listens(address, 25):
            self.world.network.unlisten(address, 25)

    def _accept(self, action: wire.Accept) -> wire.Accepted | None:
        def came() -> wire.Accepted | None:
            return next((accepted for accepted in self._waiting if accepted.host in action.hosts), None)

        self._until(came, action.timeout_s)
        accepted = came()
        if accepted is not None:
            self._waiting.remove(accepted)
        return accepted

    def _setzone(self, action: wire.SetZone) -> None:
        records = []
        for record in action.records:
            data = record.data
            while "{" in data:
                before, _, rest = data.partition("{")
                label, _, after = rest.partition("}")
                data = before + self._address(label) + after
            records.append(wire.Record(record.name, record.rrtype, data, record.ttl_s))
        self.zones.replace(self._domain, records)

    def _queries(self, action: wire.Queries) -> tuple[wire.Query, ...]:
        return self.zones.queries(action.name)

    # --- the target and time

    def _look(self, action: wire.Look) -> tuple[bytes, ...]:
        directory = TARGET.delivery.maildir.replace("%u", action.recipient.partition("@")[0])

        def found() -> tuple[bytes, ...]:
            disk = self.world.machine.disk
            if not disk.is_directory(f"{directory}/new"):
                return ()
            messages = (content.replace(b"\r\n", b"\n") for _, content in delivered(disk, directory))
            return tuple(message for message in messages if action.token.encode() in message)

        self._until(lambda: len(found()) >= action.count, action.timeout_s, POLL_US)
        return found()

    def _control(self, action: wire.Control) -> wire.Controlled:
        machine = self.world.machine
        match action.hook:
            case "kill":
                machine.power_loss()
            case "stop":
                machine.stop()
                self._until(lambda: not machine.running, action.timeout_s, POLL_US)
            case "restart":
                machine.stop()
                self._until(lambda: not machine.running, action.timeout_s, POLL_US)
                machine.start()
            case "start" if not machine.running and machine.on:
                machine.start()
            case "flush":
                self._retry()
        if action.hook in ("start", "restart", "flush"):
            return wire.Controlled(0 if self._until(self._is_ready, action.timeout_s, POLL_US) else 1)
        return wire.Controlled(0)

    def _retry(self) -> None:
        """As `smx queue retry --all`."""
        self.world.queue_tool.is_empty()  # so that there is a link
        self.world.machine.processes["qmgr"].deliver(Told(TOOL, msg.QueueChange(1, "retry", msg.Filter(), who="suite")))

    def _wait(self, action: wire.Wait) -> None:
        self._until(lambda: False, action.seconds)

    def _now(self, action: wire.Now) -> float:
        return self.now

    def _remark(self, action: wire.Remark) -> None:
        return None


def run_case(case: Case, offered: dict[str, str] | None = None, configuration: str = CONFIGURATION, token: str = "k0", seed: int = 1) -> Result:
    """What becomes of a case in a world of its own. `offered`: what EHLO offers; None: asked first."""
    at = context_of(case, TARGET, offers(configuration) if offered is None else offered, token)
    simulated = SimulatedWire(at.domain, configuration, seed)
    play = Play(case, at, lambda: simulated.now)
    try:
        action = play.begin()
        while action is not None:
            action = play.answer(simulated.perform(action))
    except MissingDependency as error:
        play.fail(error)
    assert play.verdict is not None
    assert not simulated.world.bugs, simulated.world.bugs
    return result_of(case, play.verdict, play.seconds, tuple(play.entries))


def offers(configuration: str = CONFIGURATION) -> dict[str, str]:
    """The extensions of EHLO."""
    result = run_case(extensions, {}, configuration)
    told = [entry.text.removeprefix(EXTENSION).partition(" ") for entry in result.transcript if entry.text.startswith(EXTENSION)]
    return {keyword: parameters for keyword, _, parameters in told}
