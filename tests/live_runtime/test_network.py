"""Network: real sockets on free loopback ports and in temporary directories."""

import errno
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from smx.config.schema_smtps import TlsSettings
from smx.effects import Accept, AnyEffect, Close, Connect, Pause, Resume, StartTls, Transmit
from smx.events import (
    Accepted,
    AnyEvent,
    Connected,
    ConnectFailed,
    Drained,
    Listening,
    PeerClosed,
    Received,
    TlsStarted,
)
from smx.live import tls
from smx.live.connection import DRAIN_OCTETS
from smx.live.listeners import bind, name_of
from smx.live.network import Network
from smx.live.runner import Runner
from tests.live_runtime.puppet import Puppet, hosted, wait_until

SERVER = ("127.0.0.1", 0)


class Served:
    """A puppet that listens, and the address where."""

    def __init__(self, puppet: Puppet, address: str | tuple[str, int]) -> None:
        self.puppet = puppet
        self.address = address

    def dial(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET, socket.SOCK_STREAM)
        client.settimeout(10)
        client.connect(self.address)
        return client

    def accepted(self) -> int:
        return self.puppet.wait(Accepted)[-1].connection


@contextmanager
def serving(
    react: Callable[[AnyEvent], list[AnyEffect]] | None = None, *, path: str = "", contexts: tls.Contexts | None = None, accept: bool = True
) -> Iterator[Served]:
    listener = bind(path, 0) if path else bind("127.0.0.1", 0)
    address: str | tuple[str, int] = path or name_of(listener)

    def reaction(event: AnyEvent) -> list[AnyEffect]:
        effects = react(event) if react is not None else []
        return [*effects, Accept(event.listener, True)] if isinstance(event, Listening) and accept else effects

    puppet = Puppet(reaction)

    def attach(runner: Runner) -> None:
        runner.attach_network(Network(runner, (("mx:0", listener),), contexts))

    with hosted((puppet, attach)):
        yield Served(puppet, address)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def server_contexts(authority: trustme.CA, directory: Path) -> tls.Contexts:
    certificate = authority.issue_cert("mx.example.org")
    chain, key = directory / "chain.pem", directory / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    key.write_bytes(certificate.private_key_pem.bytes())
    return {"server:mx": tls.server_context(TlsSettings(str(chain), str(key)))}


# --- accepting


def test_an_accepted_connection_has_a_positive_number_and_both_addresses() -> None:
    with serving() as served, served.dial() as client:
        (event,) = served.puppet.wait(Accepted)
        assert event.connection > 0
        assert event.listener == "mx:0"
        assert (event.peer_host, event.peer_port) == client.getsockname()
        assert (event.local_host, event.local_port) == served.address


def test_listening_is_said_before_anything_is_accepted_and_tells_the_port() -> None:
    with serving(accept=False) as served:
        (event,) = served.puppet.wait(Listening)
        assert (event.host, event.port) == served.address


def test_while_accept_is_off_clients_wait_in_the_backlog() -> None:
    with serving(accept=False) as served, served.dial():
        served.puppet.order()  # a full turn of the loop
        assert not served.puppet.seen(Accepted)
        served.puppet.order(Accept("mx:0", True))
        served.puppet.wait(Accepted)
        served.puppet.order(Accept("mx:0", False))
        with served.dial():
            served.puppet.order()
            assert len(served.puppet.seen(Accepted)) == 1
            served.puppet.order(Accept("mx:0", True))
            served.puppet.wait(Accepted, 2)


def test_running_out_of_descriptors_pauses_accepting_and_then_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """F21: no spinning, nothing lost."""
    monkeypatch.setattr("smx.live.network.ACCEPT_PAUSE_S", 0.01)
    listener = bind("127.0.0.1", 0)
    calls = 0

    class Exhausted(socket.socket):
        def accept(self) -> tuple[socket.socket, object]:
            nonlocal calls
            calls += 1
            if calls <= 3:
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    exhausted = Exhausted(fileno=listener.detach())
    exhausted.setblocking(False)
    puppet = Puppet(lambda event: [Accept("mx:0", True)] if isinstance(event, Listening) else [])
    with (
        hosted((puppet, lambda runner: runner.attach_network(Network(runner, (("mx:0", exhausted),))))),
        socket.create_connection(exhausted.getsockname(), timeout=10),
    ):
        puppet.wait(Accepted)
    assert calls >= 4


def test_a_unix_listener_gives_empty_hosts(tmp_path: Path) -> None:
    with serving(path=str(tmp_path / "lda")) as served, served.dial():
        (event,) = served.puppet.wait(Accepted)
        assert (event.peer_host, event.peer_port, event.local_host) == ("", 0, "")


# --- data


def test_octets_arrive_and_transmits_of_one_step_leave_in_order() -> None:
    def react(event: AnyEvent) -> list[AnyEffect]:
        if isinstance(event, Received):
            return [Transmit(event.connection, b"250 "), Transmit(event.connection, event.data), Transmit(event.connection, b"."), Close(event.connection)]
        return []

    with serving(react) as served, served.dial() as client:
        client.sendall(b"hello")
        assert client.makefile("rb").read() == b"250 hello."


def test_half_close_by_the_peer_is_peer_closed_behind_the_data_and_what_was_transmitted_still_arrives() -> None:
    with serving(lambda event: [Transmit(event.connection, b"x" * 100_000)] if isinstance(event, Received) else []) as served, served.dial() as client:
        client.sendall(b"QUIT\r\n")
        client.shutdown(socket.SHUT_WR)
        served.puppet.wait(PeerClosed)
        kinds = [type(event) for event in served.puppet.events if isinstance(event, Received | PeerClosed)]
        assert kinds == [Received, PeerClosed]
        assert len(client.makefile("rb").read()) == 100_000


def test_a_reset_by_the_peer_is_peer_closed_with_a_reason() -> None:
    with serving() as served:
        client = served.dial()
        served.accepted()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        (event,) = served.puppet.wait(PeerClosed)
        assert event.reason


def test_after_close_no_event_of_the_connection_arrives_and_orders_for_it_are_ignored() -> None:
    with serving(lambda event: [Close(event.connection)] if isinstance(event, Accepted) else []) as served, served.dial() as client:
        client.sendall(b"too late")
        number = served.accepted()
        served.puppet.order(Transmit(number, b"x"), Pause(number), Resume(number), StartTls(number, True, "server:mx"), Close(number), Close(4711))
        with pytest.raises((ConnectionError, AssertionError)):
            assert client.recv(1)
        served.puppet.order()
        assert not served.puppet.seen(Received)
        assert not served.puppet.seen(PeerClosed)


def test_close_flushes_and_abort_does_not_wait() -> None:
    big = b"y" * 4_000_000
    with (
        serving(lambda event: [Transmit(event.connection, big), Close(event.connection)] if isinstance(event, Accepted) else []) as served,
        served.dial() as client,
    ):
        assert client.makefile("rb").read() == big
    with (
        serving(lambda event: [Close(event.connection, abort=True)] if isinstance(event, Accepted) else []) as served,
        served.dial() as client,
        pytest.raises((ConnectionError, AssertionError)),
    ):
        assert client.recv(1)


def test_a_peer_that_never_reads_is_cut_off_some_time_after_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """I16: nobody holds a descriptor for ever by not reading."""
    monkeypatch.setattr("smx.live.connection.LINGER_S", 0.05)
    big = b"y" * 20_000_000
    with (
        serving(lambda event: [Transmit(event.connection, big), Close(event.connection)] if isinstance(event, Accepted) else []) as served,
        served.dial() as client,
    ):
        served.accepted()
        served.puppet.order()  # the step with Transmit and Close is over
        (network,) = served.puppet.runner.devices(Network)
        wait_until(lambda: network.unsent() == 0)
        with pytest.raises((ConnectionError, AssertionError)):
            assert len(client.makefile("rb").read()) == len(big)


def test_pause_holds_the_peer_back_and_resume_lets_it_go_on() -> None:
    with serving(lambda event: [Pause(event.connection)] if isinstance(event, Accepted) else []) as served, served.dial() as client:
        client.sendall(b"abc")
        number = served.accepted()
        served.puppet.order(Pause(number))
        assert not served.puppet.seen(Received)
        served.puppet.order(Resume(number), Resume(number))
        assert b"".join(event.data for event in served.puppet.wait(Received)) == b"abc"


@pytest.mark.parametrize("octets", [DRAIN_OCTETS, 30_000_000])
def test_drained_follows_whatever_was_transmitted_beyond_the_mark(octets: int) -> None:
    """A component that stops after DRAIN_OCTETS and waits for Drained never waits in vain; memory stays bounded by it."""
    with serving(lambda event: [Transmit(event.connection, b"z" * octets)] if isinstance(event, Accepted) else []) as served, served.dial() as client:
        served.accepted()
        if octets > DRAIN_OCTETS:
            served.puppet.order()
            assert not served.puppet.seen(Drained)  # far more than the kernel takes
        left = octets
        while left:
            left -= len(client.recv(1 << 20))
        served.puppet.wait(Drained)


def test_small_replies_cause_no_drained_for_each() -> None:
    with serving(lambda event: [Transmit(event.connection, b"250 ok\r\n")] if isinstance(event, Received) else []) as served, served.dial() as client:
        for _ in range(20):
            client.sendall(b"NOOP\r\n")
            assert client.recv(100)
        assert not served.puppet.seen(Drained)


# --- connecting


def connecting() -> tuple[Puppet, Callable[[Runner], None]]:
    return Puppet(), lambda runner: runner.attach_network(Network(runner, (), {"client": tls.client_context()}))


def test_connect_gives_connected_and_octets_both_ways() -> None:
    listener = socket.create_server(SERVER)
    puppet, attach = connecting()
    with listener, hosted((puppet, attach)):
        puppet.order(Connect(-1, "127.0.0.1", listener.getsockname()[1], source="127.0.0.2"))
        (event,) = puppet.wait(Connected)
        assert event == Connected(-1, "127.0.0.2")
        peer, _ = listener.accept()
        with peer:
            puppet.order(Transmit(-1, b"EHLO"))
            assert peer.recv(100) == b"EHLO"
            peer.sendall(b"250")
            assert puppet.wait(Received) == [Received(-1, b"250")]


def test_connect_to_a_unix_socket_with_a_path_longer_than_the_kernel_takes(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    listener = bind(str(deep / "sock"), 0)
    puppet, attach = connecting()
    with listener, hosted((puppet, attach)):
        puppet.order(Connect(-1, str(deep / "sock"), 0))
        puppet.wait(Connected)


def test_a_refused_connection_is_connect_failed_with_the_reason() -> None:
    with socket.create_server(SERVER) as taken:
        port = taken.getsockname()[1]
    puppet, attach = connecting()
    with hosted((puppet, attach)):
        puppet.order(Connect(-1, "127.0.0.1", port), Connect(-2, "/nowhere/at/all", 0))
        events = puppet.wait(ConnectFailed, 2)
    assert {(event.connection, event.reason) for event in events} == {(-1, "connection refused"), (-2, "no such file or directory")}


def test_close_of_a_connection_that_is_not_there_yet_says_nothing_more() -> None:
    listener = socket.create_server(SERVER)
    puppet, attach = connecting()
    with listener, hosted((puppet, attach)):
        puppet.order(Connect(-1, *listener.getsockname()), Close(-1))
        puppet.order(Connect(-2, *listener.getsockname()))
        puppet.wait(Connected)
        assert [event.connection for event in puppet.seen(Connected)] == [-2]
        assert not puppet.seen(PeerClosed)


# --- TLS


@pytest.mark.parametrize("segment", [1_000_000, 7])
def test_starttls_secures_both_sides_and_octets_flow(authority: trustme.CA, tmp_path: Path, segment: int) -> None:
    def react(event: AnyEvent) -> list[AnyEffect]:
        if isinstance(event, Received) and event.data == b"STARTTLS\r\n":
            return [Transmit(event.connection, b"220 go\r\n"), StartTls(event.connection, True, "server:mx")]
        if isinstance(event, Received):
            return [Transmit(event.connection, event.data.upper())]
        return []

    with serving(react, contexts=server_contexts(authority, tmp_path)) as served, served.dial() as plain:
        plain.sendall(b"STARTTLS\r\n")
        assert plain.recv(100) == b"220 go\r\n"
        context = ssl.create_default_context()
        authority.configure_trust(context)
        with context.wrap_socket(plain, server_hostname="mx.example.org") as secured:
            (started,) = served.puppet.wait(TlsStarted)
            assert (started.error, started.version) == ("", "TLSv1.3")
            assert started.cipher
            message = b"noop" * 50_000

            got = b""
            piece = min(segment * 1000, 50_000)  # one thread: an SSLSocket must not be read and written at once
            for at in range(0, len(message), piece):
                secured.sendall(message[at : at + piece])
                while len(got) < min(at + piece, len(message)):
                    got += secured.recv(65536)
            assert got == message.upper()
        served.puppet.wait(PeerClosed)


def test_plaintext_behind_starttls_does_not_survive_into_the_session(authority: trustme.CA, tmp_path: Path) -> None:
    """F34: injected commands break the handshake instead of being taken for the client's."""

    def react(event: AnyEvent) -> list[AnyEffect]:
        return [Transmit(event.connection, b"220 go\r\n"), StartTls(event.connection, True, "server:mx")] if isinstance(event, Received) else []

    with serving(react, contexts=server_contexts(authority, tmp_path)) as served, served.dial() as plain:
        plain.sendall(b"STARTTLS\r\n")
        served.puppet.wait(Received)
        plain.sendall(b"MAIL FROM:<evil@example.com>\r\n")
        (started,) = served.puppet.wait(TlsStarted)
        assert started.error
        assert len(served.puppet.seen(Received)) == 1
        assert not served.puppet.seen(PeerClosed)  # TlsStarted was the last event


def test_a_client_that_leaves_during_the_handshake_ends_with_tls_started_and_an_error(authority: trustme.CA, tmp_path: Path) -> None:
    def react(event: AnyEvent) -> list[AnyEffect]:
        return [StartTls(event.connection, True, "server:mx")] if isinstance(event, Accepted) else []

    with serving(react, contexts=server_contexts(authority, tmp_path)) as served:
        served.dial().close()
        (started,) = served.puppet.wait(TlsStarted)
        assert started.error == "end of stream"
        assert not served.puppet.seen(PeerClosed)


def test_a_handshake_that_never_comes_times_out(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smx.live.connection.HANDSHAKE_TIMEOUT_S", 0.02)

    def react(event: AnyEvent) -> list[AnyEffect]:
        return [StartTls(event.connection, True, "server:mx")] if isinstance(event, Accepted) else []

    with serving(react, contexts=server_contexts(authority, tmp_path)) as served, served.dial() as client:
        (started,) = served.puppet.wait(TlsStarted)
        assert started.error == "handshake timed out"
        assert client.recv(1) == b""


def test_two_puppets_speak_tls_with_each_other_without_verification(authority: trustme.CA, tmp_path: Path) -> None:
    """Both sides are ours: the client takes any certificate (opportunistic)."""

    def react(event: AnyEvent) -> list[AnyEffect]:
        if isinstance(event, Accepted):
            return [StartTls(event.connection, True, "server:mx")]
        return [Transmit(event.connection, event.data), Close(event.connection)] if isinstance(event, Received) else []

    client, attach = connecting()
    with serving(react, contexts=server_contexts(authority, tmp_path)) as served, hosted((client, attach)):
        assert isinstance(served.address, tuple)
        client.order(Connect(-1, *served.address))
        client.wait(Connected)
        client.order(StartTls(-1, False, "client", "another.example"))
        assert client.wait(TlsStarted)[0].error == ""
        client.order(Transmit(-1, b"over tls"))
        assert client.wait(Received) == [Received(-1, b"over tls")]
        client.wait(PeerClosed)


def test_a_client_that_verifies_refuses_a_stranger(authority: trustme.CA, tmp_path: Path) -> None:
    def react(event: AnyEvent) -> list[AnyEffect]:
        return [StartTls(event.connection, True, "server:mx")] if isinstance(event, Accepted) else []

    client = Puppet()
    contexts = {"client": tls.client_context(verify=True)}
    with (
        serving(react, contexts=server_contexts(authority, tmp_path)) as served,
        hosted((client, lambda runner: runner.attach_network(Network(runner, (), contexts)))),
    ):
        assert isinstance(served.address, tuple)
        client.order(Connect(-1, *served.address))
        client.wait(Connected)
        client.order(StartTls(-1, False, "client", "mx.example.org"))
        (started,) = client.wait(TlsStarted)
        assert started.error == "certificate verify failed"
        assert served.puppet.wait(TlsStarted)[0].error
