"""Plugin: the fixtures for pytest: `pytest_plugins = ["smx.testing.plugin"]`.

smx_server   make a server with the arguments of smx.testing.server.Server but the directory; it is started, and stopped at the end
smx_peer     make a scripted peer with the arguments of smx.testing.peer.Peer; started, and stopped at the end
smx_dns      make a name server from a zone; started, and stopped at the end
smx_pki      an authority that can issue certificates
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from smx.testing.dns import FakeDns
    from smx.testing.peer import Peer
    from smx.testing.pki import Pki
    from smx.testing.server import Server


@pytest.fixture
def smx_server(tmp_path: Path) -> "Iterator[Callable[..., Server]]":
    """A factory: each call starts one MTA, in a directory of its own."""
    from smx.testing.server import Server

    with ExitStack() as stack:
        numbers = iter(range(1_000))

        def make(**options: Any) -> Server:
            directory = tmp_path / f"mta{next(numbers)}"
            directory.mkdir()
            return stack.enter_context(Server(directory, **options))

        yield make


@pytest.fixture
def smx_peer() -> "Iterator[Callable[..., Peer]]":
    """A factory of scripted peers."""
    from smx.testing.peer import Peer

    with ExitStack() as stack:

        def make(*arguments: Any, **options: Any) -> Peer:
            return stack.enter_context(Peer(*arguments, **options))

        yield make


@pytest.fixture
def smx_dns() -> "Iterator[Callable[..., FakeDns]]":
    """A factory of name servers."""
    from smx.testing.dns import FakeDns

    with ExitStack() as stack:

        def make(zone: dict[str, Any], **options: Any) -> FakeDns:
            return stack.enter_context(FakeDns(zone, **options))

        yield make


@pytest.fixture
def smx_pki(tmp_path: Path) -> "Pki":
    """A certificate authority."""
    from smx.testing.pki import Pki

    return Pki(tmp_path / "pki")
