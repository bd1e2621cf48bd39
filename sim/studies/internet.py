"""Internet: the hosts, domains and clients that studies put around the machine. Addresses are those that RFC 5737 sets aside."""

from typing import Final

from sim.peers.client import PIPELINED, Client, Manner
from sim.peers.host import Host
from sim.peers.mail import Mail
from sim.peers.script import GOOD, UNKNOWN, Script
from sim.scenario import ADDRESS, CLIENTS
from sim.workload import Destination
from sim.world import World
from smx.units import SECOND

TARGET: Final = (ADDRESS, 25)
UP_US: Final = 2 * SECOND + SECOND // 2  # when every process has started: nobody comes earlier
NOBODY_THERE: Final = "nobody"  # the user whom no host knows

LOCAL: Final = Destination("lab.example", ("alice", "bob", "carol"))
LIST: Final = Destination("lab.example", ("list",))
ALIASES: Final[dict[str, tuple[tuple[str, str], ...]]] = {"smar.aliases": (("list@lab.example", "alice, bob"), ("list", "alice, bob"))}


def add_domain(world: World, number: int, script: Script = GOOD, *, hosts: int = 1) -> tuple[Destination, list[Host]]:
    """A domain `dN.example` with so many MX hosts, which all follow the script; `nobody` there is unknown. At the end of the faults all are well."""
    domain = f"d{number}.example"
    users = {f"{NOBODY_THERE}@{domain}": UNKNOWN, **script.users}
    script = Script(**{**{name: getattr(script, name) for name in script.__struct_fields__}, "users": users})
    names = [f"mx{index}.{domain}" for index in range(hosts)]
    world.zone.add(domain, "MX", *((10 * (index + 1), name) for index, name in enumerate(names)))
    made = []
    for index, name in enumerate(names):
        address = f"203.0.{number + 1}.{index + 1}"
        world.zone.add(name, "A", address)
        host = Host(world.env, world.network, name, address, world.truth, world.choices.stream(f"host {name}"), script)
        host.start()
        world.at_calm(host.calm)
        made.append(host)
    return Destination(domain, ("a", "b", "c", NOBODY_THERE)), made


def send(world: World, mails: list[tuple[int, Mail]], number: int, manner: Manner = PIPELINED) -> Client:
    """A client that sends these messages, from the time of the first one on; the run waits for it."""
    source = f"{CLIENTS}.{number % 250 + 1}"
    client = Client(world.env, world.network, world.truth, [mail for _, mail in mails], target=TARGET, source=source, manner=manner)
    client.start(UP_US + mails[0][0])
    world.add_client(lambda: client.finished)
    return client
