"""A clock, a network and somebody who listens: what the tests of the simulated network have in common."""

from typing import Any

from sim.choices import Choices
from sim.connection import Connection
from sim.environment import Environment
from sim.network import Network
from sim.peers.client import PIPELINED, Client, Manner
from sim.peers.host import Host
from sim.peers.mail import Mail
from sim.peers.script import GOOD, Script
from sim.trace import Trace
from sim.weather import CALM, Weather
from smx.units import HOUR

HOST, CLIENT = "192.0.2.1", "198.51.100.1"
TARGET = (HOST, 25)


class Ear:
    """A party that writes down what it is told. `echo`: it answers each piece with itself."""

    def __init__(self, env: Environment, *, echo: bool = False) -> None:
        self.env = env
        self.echo = echo
        self.connection: Connection | None = None
        self.told: list[tuple[str, Any]] = []
        self.times: list[int] = []
        self.data = b""

    def _tell(self, what: str, value: Any = None) -> None:
        self.told.append((what, value))
        self.times.append(self.env.now)

    def connected(self, connection: Connection) -> None:
        self.connection = connection
        self._tell("connected")

    def refused(self, reason: str) -> None:
        self._tell("refused", reason)

    def received(self, data: bytes) -> None:
        self._tell("received", data)
        self.data += data
        if self.echo and self.connection is not None:
            self.connection.send(data)

    def drained(self) -> None:
        self._tell("drained")

    def closed(self, reason: str) -> None:
        self._tell("closed", reason)

    def done(self, error: str, version: str, cipher: str) -> None:
        self._tell("tls", error)

    @property
    def last(self) -> tuple[str, Any]:
        return self.told[-1]

    @property
    def pieces(self) -> list[bytes]:
        return [value for what, value in self.told if what == "received"]


class Ledger:
    """Reports of clients and hosts, kept as lists of tuples."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []

    def submitted(self, token: str, sender: str, recipients: tuple[str, ...], content: bytes, at: int, notify: tuple[int, ...] = (), /) -> None:
        self.said.append(("submitted", token, recipients))

    def promised(self, token: str, reply: bytes, at: int, /) -> None:
        self.said.append(("promised", token))

    def refused(self, token: str, recipients: tuple[str, ...], stage: str, code: int, text: str, at: int, /) -> None:
        self.said.append(("refused", token, recipients, stage, code))

    def arrived(self, host: str, content: bytes, recipients: tuple[str, ...], at: int, sender: str | None = None, /) -> Any:
        token = content.partition(b"X-Token: ")[2].partition(b"\r\n")[0].decode()
        self.said.append(("arrived", token, recipients, content))
        return token

    def reply_lost(self, arrival: Any, at: int, /) -> None:
        self.said.append(("lost", arrival))

    def of(self, what: str) -> list[tuple[Any, ...]]:
        return [said[1:] for said in self.said if said[0] == what]

    def tokens(self, what: str) -> list[str]:
        return [said[1] for said in self.said if said[0] == what]


class Town:
    """A network with one host and the clients that a test wants."""

    def __init__(self, *, seed: int = 1, ties: int = 0, weather: Weather = CALM, script: Script = GOOD) -> None:
        self.choices = Choices(seed)
        self.env = Environment(0, ties)
        self.trace = Trace()
        self.ledger = Ledger()
        self.network = Network(self.env, self.choices.stream("network"), self.trace, weather)
        self.host = Host(self.env, self.network, "mx.example.net", HOST, self.ledger, self.choices.stream("peers"), script)
        self.host.start()
        self.clients: list[Client] = []

    def client(self, *mails: Mail, manner: Manner = PIPELINED, delay_us: int = 0) -> Client:
        client = Client(self.env, self.network, self.ledger, mails, target=TARGET, source=CLIENT, manner=manner)
        client.start(delay_us)
        self.clients.append(client)
        return client

    def run(self, us: int = 4 * HOUR) -> None:
        self.env.run(self.env.now + us)


def mails(count: int = 1, recipients: int = 2, **more: Any) -> tuple[Mail, ...]:
    return tuple(Mail(f"t{number}", tuple(f"r{index}@example.net" for index in range(recipients)), **more) for number in range(count))
