"""Bad peers against the real server dialogue: each comes to an end, and nothing that was smuggled is ever a message (F29-F35)."""

import pytest

from sim.choices import Choices
from sim.peers.bad import ENDLESS_OCTETS, MISCHIEF, PSEUDO_ENDS, BadPeer, Flood
from sim.peers.crowd import draw_mischief
from smx.smtp.server import ServerSettings
from smx.units import HOUR, MINUTE, SECOND
from tests.sim.network.dialogues import RealServer
from tests.sim.network.world import CLIENT, TARGET, Town, mails

REFUSED = {"http", "junk", "binary", "injector"}  # by the dialogue alone; the rest is for SMTPS to decide, or borne


class BadTown(Town):
    def __init__(self, mischief: str, *, seed: int = 1, real: bool = True) -> None:
        super().__init__(seed=seed)
        self.taken: list[tuple[bytes, list[bytes]]] = []
        if real:
            self.host.stop()
            settings = ServerSettings(b"mx.lab.example", starttls=True)
            self.network.listen(*TARGET, lambda connection: RealServer(connection, self.taken, settings))
        self.peer = BadPeer(self.env, self.network, self.ledger, self.choices.stream("bad"), mischief, mails()[0], target=TARGET, source=CLIENT)
        self.peer.start()
        self.run(HOUR)

    @property
    def tokens(self) -> list[bytes]:
        return [content.partition(b"X-Token: ")[2].partition(b"\r\n")[0] for content, _ in self.taken]


@pytest.mark.parametrize("mischief", MISCHIEF)
def test_each_comes_to_an_end_with_the_real_server(mischief: str) -> None:
    town = BadTown(mischief)
    assert town.peer.finished
    assert town.network.open_ends(CLIENT) == 0
    assert set(town.tokens) <= {b"t0"}
    if town.taken:
        assert town.ledger.tokens("submitted") == ["t0"]
    if mischief in REFUSED:
        assert any(code >= 400 for code in town.peer.codes)


@pytest.mark.parametrize("mischief", MISCHIEF)
def test_each_comes_to_an_end_with_a_host_that_bears_everything(mischief: str) -> None:
    town = BadTown(mischief, real=False)
    assert town.peer.finished
    assert set(town.ledger.tokens("arrived")) <= set(town.ledger.tokens("submitted"))


def test_nothing_smuggled_arrives_behind_any_pseudo_end() -> None:
    tried = set()
    for seed in range(60):
        town = BadTown("smuggler", seed=seed)
        tried.add(town.peer.stream.drawn[0])
        assert all(token == b"t0" for token in town.tokens), town.taken
        assert all(recipient != b"evil@bad.example" for _, recipients in town.taken for recipient in recipients)
    assert tried == set(range(len(PSEUDO_ENDS)))


def test_a_flood_holds_many_connections_for_a_while() -> None:
    town = Town()
    Flood(town.env, town.network, target=TARGET, count=500, hold_us=MINUTE).start()
    town.run(30 * SECOND)
    assert len(town.host.sessions) == 500
    town.run(MINUTE)
    assert not town.host.sessions


def test_every_row_is_drawn_by_some_seed() -> None:
    assert {draw_mischief(Choices(seed).stream("bad")) for seed in range(300)} == set(MISCHIEF)
    assert ENDLESS_OCTETS > 100_000
