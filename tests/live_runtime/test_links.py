"""Links over real UNIX sockets: linking, order, loss, strangers, epochs, back-pressure."""

import os
import socket
from pathlib import Path

import pytest

from smx.effects import Note, Tell
from smx.events import Linked, Told, Unlinked
from smx.live.admin_link import AdminLink, AdminUnreachableError
from smx.live.assembly import attach_links
from smx.live.host import Host
from smx.live.links import Links
from smx.live.listeners import reachable
from smx.live.runner import Runner
from smx.live.wire import Reader, Writer
from smx.messages import AnyMessage, Granted, QueueList, QueueListed, Secure, StatusAsked, Submitted
from smx.messages import Filter as QueueFilter
from tests.live_runtime.puppet import SILENT, Puppet, hosted, wait_until


@pytest.fixture
def spool(tmp_path: Path) -> str:
    (tmp_path / "run").mkdir()
    return str(tmp_path)


def links(runner: Runner) -> None:
    attach_links(runner)


def connect(spool: str, process: str = "qmgr") -> socket.socket:
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(10)
    with reachable(f"{spool}/run/{process}.sock") as address:
        peer.connect(address)
    return peer


def introduced(spool: str, name: str, epoch: int) -> tuple[socket.socket, Writer]:
    """A peer by hand that said hello."""
    peer = connect(spool)
    writer = Writer(name, epoch)
    peer.sendall(writer.hello)
    return peer, writer


def closed_by_other_side(peer: socket.socket) -> bool:
    try:
        while peer.recv(65536):
            pass
    except ConnectionError:
        return True
    return True


def test_processes_link_in_any_order_of_start_and_messages_arrive_in_order(spool: str) -> None:
    smtps, qmgr = Puppet(name="smtps.mx.0"), Puppet(name="qmgr")
    with hosted((smtps, links), spool=spool), hosted((qmgr, links), spool=spool):
        assert qmgr.wait(Linked) == [Linked("smtps.mx.0", 1000)]
        assert smtps.wait(Linked) == [Linked("qmgr", 1000)]
        smtps.order(*(Tell("qmgr", Secure(number)) for number in range(2000)))
        told = qmgr.wait(Told, 2000)
        assert [event.message for event in told] == [Secure(number) for number in range(2000)]
        qmgr.order(Tell("smtps.mx.0", Granted(1, 2)), Tell("nobody", Granted(1, 2)))
        assert smtps.wait(Told) == [Told("qmgr", Granted(1, 2))]


def test_what_was_told_before_halt_arrives_and_then_the_link_is_down(spool: str) -> None:
    smtps, qmgr = Puppet(name="smtps.mx.0"), Puppet(lambda event: [], name="qmgr")
    with hosted((qmgr, links), spool=spool):
        with hosted((smtps, links), spool=spool):
            smtps.wait(Linked)
            smtps.order(*(Tell("qmgr", Secure(number)) for number in range(100)))
        qmgr.wait(Unlinked)
        assert len(qmgr.seen(Told)) == 100
        assert qmgr.events.index(Unlinked("smtps.mx.0", 1000)) > qmgr.events.index(Told("smtps.mx.0", Secure(99)))


def test_a_lost_link_is_dialled_again(spool: str) -> None:
    smtps, qmgr = Puppet(name="smtps.mx.0"), Puppet(name="qmgr")
    with hosted((qmgr, links), spool=spool), hosted((smtps, links), spool=spool):
        smtps.wait(Linked)
        (link,) = qmgr.runner.devices(Links)
        qmgr.runner.host.call(lambda: link._links["smtps.mx.0"].drop("test"))  # type: ignore[attr-defined]
        smtps.wait(Unlinked)
        smtps.wait(Linked, 2)
        qmgr.wait(Linked, 2)


def test_an_older_epoch_is_refused_and_a_newer_one_replaces(spool: str) -> None:
    """F24: what a dead process still has in its socket is not heard."""
    qmgr = Puppet(name="qmgr")
    with hosted((qmgr, links), spool=spool):
        first, _ = introduced(spool, "smtps.mx.0", 50)
        qmgr.wait(Linked)
        second, writer = introduced(spool, "smtps.mx.0", 51)
        qmgr.wait(Linked, 2)
        old, _ = introduced(spool, "smtps.mx.0", 50)
        with first, second, old:
            assert closed_by_other_side(first)
            assert closed_by_other_side(old)
            writer.add(Secure(1))
            second.sendall(writer.frames())
            qmgr.wait(Told)
        qmgr.wait(Unlinked, 2)
        kinds = [(type(event).__name__, event.epoch) for event in qmgr.events if isinstance(event, Linked | Unlinked)]
        assert kinds == [("Linked", 50), ("Unlinked", 50), ("Linked", 51), ("Unlinked", 51)]


@pytest.mark.parametrize("name", ["lda", "qmgr", "", "smar"])
def test_a_process_that_has_no_business_here_is_refused(spool: str, name: str) -> None:
    qmgr = Puppet(name="qmgr")
    with hosted((qmgr, links), spool=spool):
        peer, _ = introduced(spool, name, 60)
        with peer:
            assert closed_by_other_side(peer)
        assert not qmgr.seen(Linked)


@pytest.mark.feature("SX30")
@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, b"sx\x01\x01\xff\xff\xff\xff" + b"x" * 100])
def test_noise_closes_the_link_and_nothing_else(spool: str, noise: bytes) -> None:
    qmgr = Puppet(name="qmgr")
    with hosted((qmgr, links), spool=spool):
        with connect(spool) as peer:
            peer.sendall(noise)
            assert closed_by_other_side(peer)
        peer, writer = introduced(spool, "smtps.mx.0", 50)
        with peer:
            writer.add(Secure(1))
            peer.sendall(writer.frames())
            qmgr.wait(Told)
            peer.sendall(noise)
            qmgr.wait(Unlinked)


def test_a_peer_that_does_not_read_loses_its_link_at_the_bound(spool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """I16: a stuck process cannot make another one grow without bound."""
    monkeypatch.setattr("smx.live.links.LINK_BACKLOG_OCTETS_MAX", 1_000_000)
    qmgr = Puppet(name="qmgr")
    with hosted((qmgr, links), spool=spool):
        peer, _ = introduced(spool, "smtps.mx.0", 50)
        with peer:
            qmgr.wait(Linked)
            for _ in range(40):
                qmgr.order(Tell("smtps.mx.0", Submitted(1, text=b"x" * 100_000)))
            qmgr.wait(Unlinked)


def test_sockets_are_for_user_and_group_only(spool: str) -> None:
    with hosted((Puppet(name="qmgr"), links), spool=spool):
        assert os.stat(f"{spool}/run/qmgr.sock").st_mode & 0o777 == 0o660


def test_a_stranger_behind_the_socket_is_refused(spool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[Note] = []
    qmgr = Puppet(name="qmgr")

    def attach(runner: Runner) -> None:
        runner.host.log.observe(lambda process, note: notes.append(note))
        links(runner)

    with hosted((qmgr, attach), spool=spool):
        monkeypatch.setattr("smx.live.links.is_trusted", lambda peer: False)
        with connect(spool) as peer:
            assert closed_by_other_side(peer)
        wait_until(lambda: any("another user" in str(note.values) for note in notes))
    assert not qmgr.seen(Linked)


# --- tools


def answering() -> Puppet:
    def react(event: object) -> list[Tell]:
        if isinstance(event, Told) and isinstance(event.message, QueueList):
            return [Tell(event.process, Granted(1, 1)), Tell(event.process, QueueListed(event.message.request, (), more=True))]
        return []

    return Puppet(react, name="qmgr")  # type: ignore[arg-type]


def test_a_tool_asks_and_gets_the_answer_to_its_question(spool: str) -> None:
    with hosted((answering(), links), spool=spool), AdminLink(spool) as link:
        assert link.ask(QueueList(7, QueueFilter())) == QueueListed(7, (), more=True)


def test_a_tool_without_an_smx_is_told_so(spool: str) -> None:
    with pytest.raises(AdminUnreachableError, match="no smx is running"), AdminLink(spool):
        pass


def test_a_tool_gives_up_when_there_is_no_answer(spool: str) -> None:
    with hosted((answering(), links), spool=spool), AdminLink(spool, timeout=0.05) as link, pytest.raises(AdminUnreachableError, match="in time"):
        link.ask(StatusAsked(1))


def test_frames_in_flight_are_read_by_hand() -> None:
    """Reader and Writer are symmetric: what the tool hears is what QMGR's writer makes."""
    reader, writer = Reader(), Writer("qmgr", 3)
    heard: list[AnyMessage] = []
    writer.add(Granted(1, 2))
    for messages in reader.feed(writer.hello + writer.frames()):
        heard.extend(messages)
    assert heard == [Granted(1, 2)]
    assert reader.peer is not None
    assert reader.peer.process == "qmgr"


def test_two_hosts_cannot_listen_on_one_socket(spool: str) -> None:
    host = Host(SILENT)
    second = host.add(Puppet(name="qmgr"), "qmgr", 1, 1, spool)
    with hosted((Puppet(name="qmgr"), links), spool=spool), pytest.raises(OSError, match="in use"):
        attach_links(second)
    host.discard()
