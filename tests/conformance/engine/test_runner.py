"""The runner over sockets: groups, sanity, parallel cases, order, TLS, mailboxes; against a small server of the tests."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.case import SERVER, Case, section
from conformance.certificates import KINDS, make_authority, server_context
from conformance.context import Context
from conformance.dialogue import delivered_one, dial, greeted, hello
from conformance.mailbox import Mailboxes
from conformance.oracle import expect
from conformance.outcome import FAIL, INCONCLUSIVE, MUST, PASS, SETUP, SKIP, check
from conformance.runner import Options, run
from conformance.stream import Stream
from conformance.target import Delivery, Limits, Mail, Sources, Target
from conformance.wire import CLOSED, RESET, TIMEOUT, Script
from conformance.wire import Wait as Pause

case = section("test/1", SERVER)


class Small:
    """A server in a thread: `answers` by verb; the rest is 250. `open_most`: most connections at a time that were seen."""

    def __init__(self) -> None:
        self.answers = {"DATA": "354 go", ".": "250 ok", "QUIT": "221 bye"}
        self.open_now = self.open_most = 0
        self.port = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> "Small":
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_now += 1
        self.open_most = max(self.open_most, self.open_now)
        try:
            writer.write(b"220 small\r\n")
            is_data = False
            async for line in reader:
                words = line.decode("latin-1").split()
                if is_data and line != b".\r\n":
                    continue
                verb = "." if is_data else (words[0].upper() if words else "")
                is_data = verb == "DATA" and self.answers["DATA"].startswith("354")
                writer.write(self.answers.get(verb, "250 ok").encode() + b"\r\n")
                if verb == "QUIT":
                    break
        except OSError:
            pass
        finally:
            self.open_now -= 1
            writer.close()


@pytest.fixture
def small() -> Iterator[Small]:
    server = Small().start()
    yield server
    server.stop()


def target(server: Small, parallel: int = 8, **policy: float) -> Target:
    mail = Mail(local_domain="x.test", recipients=("a@x.test",))
    limits = Limits(parallel=parallel, reply_s=2.0, delivery_s=2.0)
    return Target("small", "mx.x.test", {"smtp": f"127.0.0.1:{server.port}"}, mail, limits=limits, policy=dict(policy))


def many(count: int) -> list[Case]:
    def play(at: Context) -> Script:
        """NOOP is answered."""
        client = yield from hello(at)
        yield Pause(0.02)
        expect((yield from client.command("NOOP")), "250")
        yield from client.quit()

    return [case(f"noop-{number}", MUST)(play) for number in range(count)]


def test_cases_run_together_within_the_bound_and_results_keep_their_order(small: Small) -> None:
    cases = many(30)
    told: list[str] = []
    found = run(target(small, parallel=5), cases, Options(seed=7), lambda result: told.append(result.id))
    assert [result.outcome for result in found.results] == [PASS] * 30
    assert [result.id for result in found.results] == [one.id for one in cases]
    assert sorted(told) == sorted(one.id for one in cases) and told != [one.id for one in cases]
    assert 1 < small.open_most <= 5
    assert [result.outcome for result in found.sanity] == [PASS, PASS]


def test_a_group_whose_sanity_fails_is_a_setup_failure(small: Small) -> None:
    small.answers["MAIL"] = "550 no"
    (result,) = run(target(small), many(1)).results
    assert result.outcome == SETUP
    assert result.reason == "the known-good conversation does not work: MAIL: 550 no; wanted 250"


def test_a_group_that_is_greylisted_is_inconclusive_and_tried_again_after_the_stated_time(small: Small) -> None:
    small.answers["RCPT"] = "450 4.7.1 greylisted"
    found = run(target(small, greylist_s=0.01), many(1))
    assert found.results[0].outcome == INCONCLUSIVE
    assert [result.outcome for result in found.sanity] == [INCONCLUSIVE, INCONCLUSIVE]


def test_what_a_case_found_is_doubted_when_the_target_does_not_work_afterwards(small: Small) -> None:
    def play(at: Context) -> Script:
        """It breaks the server."""
        yield Pause(0)
        small.answers["MAIL"] = "550 broken"
        check(False, "it broke")

    (result,) = run(target(small), [case("break", MUST)(play)]).results
    assert result.outcome == SETUP
    assert result.reason.endswith("the case itself: fail it broke")


def test_slow_cases_are_skipped_unless_wanted(small: Small) -> None:
    def play(at: Context) -> Script:
        """It takes long."""
        yield Pause(0)

    slow = case("slow", MUST, slow=True)(play)
    assert run(target(small), [slow]).results[0].outcome == SKIP
    assert run(target(small), [slow], Options(slow=True)).results[0].outcome == PASS


def test_no_connection_is_a_fail_of_the_case_and_a_setup_failure_of_the_group(small: Small) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        small.port = unused.getsockname()[1]
        (result,) = run(target(small), many(1)).results
    assert result.outcome == SETUP and "no connection to smtp" in result.reason


def test_a_script_sees_silence_reset_and_the_end(small: Small) -> None:
    small.answers["VRFY"] = ""

    def play(at: Context) -> Script:
        """Silence."""
        client = yield from hello(at)
        check((yield from client.silence(0.05)) == b"", "it spoke")
        yield from client.send("NOOP\r\n")
        check((yield from client.silence(1.0)) == b"250 ok\r\n", "it did not speak")
        other = yield from greeted(at)
        yield from other.half_close()
        check((yield from other.wait_closed(2.0)) == CLOSED, "it did not close")
        third = yield from dial(at)
        yield from third.reset()
        reply = yield from third.reply()
        check(reply.end == RESET, reply.end)

    (result,) = run(target(small), [case("ends", MUST)(play)]).results
    assert (result.outcome, result.reason) == (PASS, "")


def test_a_source_address_is_used(small: Small) -> None:
    def play(at: Context) -> Script:
        """From outside."""
        client = yield from hello(at, outside=True)
        yield from client.quit()

    subject = target(small)
    outside = Target(subject.name, subject.hostname, subject.services, subject.mail, sources=Sources(outsider="127.0.0.9"))
    assert run(outside, [case("outside", MUST, needs=("outsider",))(play)]).results[0].outcome == PASS
    assert run(subject, [case("outside", MUST, needs=("outsider",))(play)]).results[0].outcome == SKIP


def test_mail_is_found_in_a_maildir_an_mbox_and_by_a_command(tmp_path: Path) -> None:
    (tmp_path / "alice" / "new").mkdir(parents=True)
    (tmp_path / "alice" / "new" / "1").write_bytes(b"X-Token: k1\r\n\r\nhi\r\n")
    (tmp_path / "mbox").write_bytes(b"From a Mon\nX-Token: k1\n\nhi\n\nFrom b Mon\nX-Token: k2\n\nho\n")
    ways = [Delivery(maildir=f"{tmp_path}/%u"), Delivery(mbox=f"{tmp_path}/mbox"), Delivery(command=f"cat {tmp_path}/mbox")]

    async def look(way: Delivery, token: str) -> tuple[bytes, ...]:
        return await Mailboxes(way).look("alice@x.test", token, 1, 0.1)

    for way in ways:
        assert asyncio.run(look(way, "k1")) == (b"X-Token: k1\n\nhi\n",)
        assert asyncio.run(look(way, "k9")) == ()


def test_a_message_that_is_not_delivered_is_a_fail(small: Small, tmp_path: Path) -> None:
    def play(at: Context) -> Script:
        """It is delivered."""
        client = yield from hello(at)
        yield from client.transaction()
        yield from delivered_one(at, timeout_s=0.1)

    subject = target(small)
    seen = Target(subject.name, subject.hostname, subject.services, subject.mail, delivery=Delivery(maildir=f"{tmp_path}/%u"))
    (result,) = run(seen, [case("lost", MUST, needs=("delivery",))(play)]).results
    assert (result.outcome, result.reason) == (FAIL, "0 messages were delivered to a@x.test, not one")


@pytest.mark.parametrize("kind", KINDS)
def test_certificates_are_what_their_kind_says(kind: str, tmp_path: Path) -> None:
    import ssl

    make_authority(tmp_path / "ca.pem")

    async def shake() -> str:
        near, far = socket.socketpair()
        server, client = Stream(near), Stream(far)
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        shown = server_context(kind, "mx.x.test", str(tmp_path / "ca.pem"))
        ours, theirs = await asyncio.gather(
            client.handshake(context, server=False, name="mx.x.test", timeout_s=5), server.handshake(shown, server=True, name="", timeout_s=5)
        )
        if not ours.reason:
            await server.send(b"secret")
            assert (await client.receive(5)).octets == b"secret" and ours.verified and theirs.version == ours.version
            assert (await client.receive(0.01)).end == TIMEOUT
        client.close("close")
        server.close("close")
        return ours.reason

    reason = asyncio.run(shake())
    wanted = {"good": "", "expired": "expired", "self-signed": "self-signed", "other-name": "mismatch"}[kind]
    assert (wanted in reason) if wanted else not reason
