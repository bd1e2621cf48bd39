"""`smx route`: transcripts of dry runs that name the rule that fired (BX12), against a name server on loopback."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from smx.cli.main import main
from tests.live_runtime.fake_dns import FakeDns, serving

ZONE = {
    ("far.example", "MX"): "far.example 300 MX 10 host.far.example.; far.example 300 MX 20 mx.example.org.",
    ("host.far.example", "A"): "host.far.example 300 A 192.0.2.1",
    ("host.far.example", "AAAA"): "/far.example 300 SOA . . 1 2 3 4 60",
    ("null.example", "MX"): "null.example 300 MX 0 .",
    ("back.example", "MX"): "back.example 300 MX 10 other-name.example.",
    ("other-name.example", "A"): "other-name.example 300 A 127.0.0.1",
    ("other-name.example", "AAAA"): "/other-name.example 300 SOA . . 1 2 3 4 60",
}
CONFIG = """
hostname = "mx.example.org"; spool = "spool";
qmgr { } smtpc { } lda { }
smtps mx { listen_socket { address = "127.0.0.1"; port = 0; } }
smar {
    nameserver = { "127.0.0.1:%d" };
    dns_timeout = 5s;
    local_domains = { "example.org" };
    local_user_map = users;
    map users { type = inline; entries = { "alice" = ""; "bob" = ""; }; }
    aliases { file = "aliases"; }
    mailertable = { ".sub.example" = "[192.0.2.9]:2525"; };
}
"""


@pytest.fixture
def name_server() -> Iterator[FakeDns]:
    """The server in a thread with a loop of its own."""
    server, ready, loop = FakeDns(ZONE), threading.Event(), asyncio.new_event_loop()
    done = asyncio.Event()

    async def serve() -> None:
        async with serving(server):
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    yield server
    loop.call_soon_threadsafe(done.set)
    thread.join(10)
    loop.close()


@pytest.fixture
def config(tmp_path: Path, name_server: FakeDns) -> str:
    path = tmp_path / "smx.conf"
    path.write_text(CONFIG % name_server.address[1])
    (tmp_path / "aliases").write_text("info: alice, far@far.example\nowner-info: bob\n")
    return str(path)


def smx_route(capsys: pytest.CaptureFixture[str], config: str, *arguments: str) -> tuple[int, str]:
    status = main(["route", "--config", config, *arguments])
    return status, capsys.readouterr().out


TRANSCRIPTS = [
    (
        ["u@far.example"],
        0,
        """u@far.example
  mx              far.example: 10 host.far.example 20 mx.example.org
  self            this host is among the MX hosts: those from preference 20 on are dropped
  address         host.far.example port 25: 192.0.2.1
  RCPT            550 5.7.1 Relaying denied, to a client that may not relay
  to              far.example by SMTP
  host            host.far.example port 25: 192.0.2.1
""",
    ),
    (
        ["u@x.sub.example"],
        0,
        """u@x.sub.example
  mailertable     .sub.example: host 192.0.2.9:2525
  address         192.0.2.9 port 2525: 192.0.2.9
  RCPT            550 5.7.1 Relaying denied, to a client that may not relay
  to              [192.0.2.9]:2525 by SMTP
  host            192.0.2.9 port 2525: 192.0.2.9
""",
    ),
    (
        ["u@null.example"],
        68,
        """u@null.example
  null-mx         null.example takes no mail
  RCPT            550 5.7.1 Relaying denied, to a client that may not relay
  failed          556 5.1.10 The recipient's domain takes no mail
""",
    ),
    (
        ["carol@example.org"],
        68,
        """carol@example.org
  local-domain    example.org is local
  user-map        carol in users: NOTFOUND
  RCPT            550 5.1.1 No such user, to a client that may not relay
  failed          550 5.1.1 No such user
""",
    ),
    (
        ["info@example.org"],
        0,
        """info@example.org
  alias           info: alice, far@far.example
  RCPT            250 2.1.5 Recipient ok, to a client that may not relay
  expands to      alice@example.org, far@far.example
  errors to       owner-info@example.org
alice@example.org
  local-domain    example.org is local
  user-map        alice in users: OK
  local-delivery  LMTP to SPOOL/run/lda
  to              local by LMTP
  host            SPOOL/run/lda
far@far.example
  mx              far.example: 10 host.far.example 20 mx.example.org
  self            this host is among the MX hosts: those from preference 20 on are dropped
  address         host.far.example port 25: 192.0.2.1
  to              far.example by SMTP
  host            host.far.example port 25: 192.0.2.1
""",
    ),
]


@pytest.mark.feature("SX52")
@pytest.mark.parametrize(("arguments", "status", "transcript"), TRANSCRIPTS, ids=[case[0][0] for case in TRANSCRIPTS])
def test_the_rules_that_fired_are_named(capsys: pytest.CaptureFixture[str], config: str, arguments: list[str], status: int, transcript: str) -> None:
    found, out = smx_route(capsys, config, "--explain", *arguments)
    assert out.replace(f"{Path(config).parent}/spool", "SPOOL").replace("lda.sock", "lda") == transcript
    assert found == status


@pytest.mark.feature("SX46")
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_an_mx_under_another_name_that_leads_to_a_listen_socket_of_ours_is_cut(capsys: pytest.CaptureFixture[str], config: str, address: str) -> None:
    """The configuration tells SMAR the sockets, the kernel what the unspecified address stands for; another port of the same address is another host."""
    text = Path(config).read_text()
    for port, status in ((25, 68), (2525, 0)):
        Path(config).write_text(text.replace('address = "127.0.0.1"; port = 0', f'address = "{address}"; port = {port}'))
        found, out = smx_route(capsys, config, "--explain", "u@back.example")
        assert found == status
        assert ("554 5.4.6 Mail for this domain would come back to this host" in out) == bool(status)


def test_without_explain_only_the_result_is_told_and_json_has_the_same(capsys: pytest.CaptureFixture[str], config: str) -> None:
    status, out = smx_route(capsys, config, "u@far.example")
    assert status == 0
    assert "mx  " not in out
    assert "host.far.example port 25: 192.0.2.1" in out
    status, out = smx_route(capsys, config, "--json", "--explain", "u@far.example", "postmaster")
    far, local = json.loads(out)
    assert far["hosts"] == [["host.far.example", 25, ["192.0.2.1"]]]
    assert far["trail"][0] == {"rule": "mx", "matched": "far.example: 10 host.far.example 20 mx.example.org"}
    assert (local["address"], local["rcpt"]) == ("postmaster", "250 2.1.5 Recipient ok")


def test_trouble_with_the_dns_and_bad_addresses_have_their_status(capsys: pytest.CaptureFixture[str], config: str, name_server: FakeDns) -> None:
    name_server.behaviour = lambda query, response, tcp: b"garbage"
    text = Path(config).read_text().replace("5s", "100ms")
    Path(config).write_text(text)
    status, out = smx_route(capsys, config, "u@far.example")
    assert (status, "deferred" in out) == (75, True)
    assert smx_route(capsys, config, "no address")[0] == 65
