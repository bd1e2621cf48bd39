"""Same seed, same trace; another seed, another one; a replayed tape gives the run it was made from."""

import os
import subprocess
import sys

from sim.choices import Choices
from sim.peers.crowd import draw_manner
from sim.peers.mail import Mail
from sim.peers.script import draw_script
from sim.weather import Swizzle, draw_weather
from smx.units import HOUR, MINUTE
from tests.sim.network.world import HOST, Town


def play(choices: Choices) -> tuple[str, int, str]:
    """One drawn town: the digest of its trace, the count of calls, and what was reported."""
    town = Town(ties=choices.stream("ties").below(1 << 30))
    town.choices = choices
    town.network._stream = choices.stream("network")  # type: ignore[misc]
    town.host._stream = choices.stream("peers")  # type: ignore[misc]
    town.network.weather = draw_weather(choices.stream("weather"))
    town.host.script = draw_script(choices.stream("script"))
    swizzle = Swizzle(town.env, town.network, choices.stream("swizzle"), [HOST])
    swizzle.start()
    for number in range(4):
        town.client(Mail(f"t{number}", ("a@example.net", "b@example.net")), manner=draw_manner(choices.stream("manners"), faults_per_mille=500))
    town.run(10 * MINUTE)
    swizzle.stop()
    town.network.calm()
    town.run(2 * HOUR)
    return town.trace.digest, town.env.calls, repr(town.ledger.said)


def test_a_seed_gives_the_same_run_twice_and_its_tape_gives_it_again() -> None:
    digests = set()
    for seed in range(30):
        choices = Choices(seed)
        first = play(choices)
        assert play(Choices(seed)) == first
        assert play(Choices.replay(choices.tape())) == first
        digests.add(first[0])
    assert len(digests) == 30


def test_the_run_does_not_depend_on_the_hash_seed() -> None:
    code = "from tests.sim.network.test_determinism import play; from sim.choices import Choices; print([play(Choices(seed)) for seed in range(5)])"
    said = [
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True, timeout=60).stdout
        for seed in ("0", "4711")
    ]
    assert said[0] == said[1]
