"""The suite as server, in memory: a small client of ours visits it, and scripts see what it did."""

from conformance.case import CLIENT, section
from conformance.content import split, stuff, unstuff
from conformance.context import Context
from conformance.dialogue import submit
from conformance.outcome import FAIL, INCONCLUSIVE, MUST, PASS, check
from conformance.visit import BREAK, DROP, HANG, After, accept, accept_any, listen, notification, queries, receive, receive_mail, unlisten, wired, zone
from conformance.wire import Script
from tests.conformance.memory import TARGET, Mta, World, run_case

case = section("test/2", CLIENT, needs=("dns",))


class Relay(Mta):
    """Accepts everything, and brings it to the first MX of the recipient's domain in lock step; a refusal ends its try."""

    def __init__(self) -> None:
        self._recipient = ""
        self._content = b""
        self._lines: dict[int, bytes] = {}
        self._todo: dict[int, list[bytes]] = {}
        self._in_data: set[int] = set()

    def connected(self, connection: int, service: str, source: str) -> None:
        self._lines[connection] = b""
        self.out.write(connection, b"220 relay\r\n")

    def received(self, connection: int, octets: bytes) -> None:
        *lines, self._lines[connection] = (self._lines[connection] + octets).split(b"\r\n")
        for line in lines:
            (self._answered if connection in self._todo else self._command)(connection, line)

    def _command(self, connection: int, line: bytes) -> None:
        if connection in self._in_data:
            self._content += line + b"\r\n"
            if line == b".":
                self._in_data.discard(connection)
                self.out.write(connection, b"250 ok\r\n")
                self._bring()
            return
        if line.startswith(b"RCPT"):
            self._recipient = line[9:-1].decode()
        if line == b"DATA":
            self._content = b""
            self._in_data.add(connection)
        self.out.write(connection, b"354 go\r\n" if line == b"DATA" else b"250 ok\r\n")

    def _bring(self) -> None:
        _, hosts = self.out.lookup(self._recipient.rpartition("@")[2], "MX")
        for host in sorted(hosts, key=lambda text: int(text.split()[0])):
            for address in self.out.lookup(host.split()[1].rstrip("."), "A")[1]:
                number = self.out.dial(address)
                if number:
                    self._lines[number] = b""
                    rcpt = f"RCPT TO:<{self._recipient}>\r\n".encode()
                    self._todo[number] = [b"EHLO relay\r\n", b"MAIL FROM:<a@b>\r\n", rcpt, b"DATA\r\n", self._content, b"QUIT\r\n"]
                    return

    def _answered(self, connection: int, line: bytes) -> None:
        if line[3:4] == b"-":
            return
        if line[:1] in b"45":
            self._todo[connection] = [b"QUIT\r\n"]
        if self._todo[connection]:
            self.out.write(connection, self._todo[connection].pop(0))


def play(script: object, needs: tuple[str, ...] = ()) -> tuple[str, str]:
    script.__doc__ = "A sentence."
    result = run_case(case("one", MUST, needs=needs)(script), TARGET, World(Relay()), {})  # type: ignore[arg-type]
    return result.outcome, result.reason


def test_mail_is_received_with_its_dots_as_they_were() -> None:
    def script(at: Context) -> Script:
        yield from submit(at, content=at.message(body=b".\r\n..x\r\nlast\r\n"))
        mail = yield from receive_mail(at, offers=("SIZE 1000", "8BITMIME"))
        check(mail.recipients == [at.remote], f"{mail.recipients}")
        check(mail.sender == "a@b", mail.sender)
        check(split(mail.content)[1] == b".\n..x\nlast\n", f"{mail.content!r}")
        check(mail.raw.endswith(b"\r\n..\r\n...x\r\nlast\r\n"), f"{mail.raw!r}")

    assert play(script) == (PASS, "")


def test_the_zone_of_a_case_leads_to_its_hosts() -> None:
    def script(at: Context) -> Script:
        yield from zone(at, {"@": {"MX": ["20 b", "10 a"]}, "a": {"A": ["{a}"]}, "b": {"A": ["{b}"]}})
        yield from listen("a", "b")
        yield from submit(at)
        visit = yield from accept(at, "a", "b")
        yield from visit.serve()
        check(visit.host == "a" and visit.end == "quit", f"{visit.host} {visit.end}")
        asked = yield from queries(at)
        check([query.rrtype for query in asked] == ["MX", "A"], f"{asked}")
        yield from unlisten("a")
        yield from submit(at)
        second = yield from accept_any(at, "a", "b")
        check(second is not None and second.host == "b", "not the second")

    assert play(script) == (PASS, "")


def test_answers_are_texts_lists_words_and_functions() -> None:
    def script(at: Context) -> Script:
        for answer, said in (("450 later", "RCPT"), ([None, "x"], "DATA"), (After(5.0, "550 no"), "RCPT"), (lambda line: "250 fine", "DATA")):
            yield from submit(at)
            visit = yield from receive(at, replies={"RCPT": answer})
            check(said in visit.verbs and visit.verbs[-1] == "QUIT", f"{answer}: {visit.verbs}")

    assert play(script) == (PASS, "")


def test_the_suite_drops_breaks_and_hangs() -> None:
    def script(at: Context) -> Script:
        for word, end in ((DROP, "ours"), (BREAK, "ours"), (HANG, "timeout")):
            yield from submit(at)
            visit = yield from receive(at, replies={"MAIL": word})
            check(visit.end == end, f"{word}: {visit.end}")
            check(not visit.mails, "there is a mail")

    assert play(script) == (PASS, "")


def test_a_visit_that_does_not_come_is_inconclusive_or_none() -> None:
    def script(at: Context) -> Script:
        check((yield from accept_any(at, timeout_s=1.0)) is None, "somebody came")
        check((yield from notification(at, timeout_s=1.0)) is None, "a notification came")
        yield from accept(at, timeout_s=2.0)

    assert play(script) == (INCONCLUSIVE, "the target did not connect to mx within 2 s")


def test_a_visit_without_a_mail_is_a_fail() -> None:
    def script(at: Context) -> Script:
        yield from submit(at)
        yield from receive_mail(at, replies={"MAIL": "550 no"})

    assert play(script) == (FAIL, "the target came and brought no message; it said ['EHLO', 'MAIL', 'QUIT']")


def test_the_domain_of_a_case_that_needs_a_relay_domain_is_below_it() -> None:
    def script(at: Context) -> Script:
        check(at.domain.endswith(".relay.dest.test"), at.domain)
        yield from submit(at)
        yield from receive_mail(at)

    assert play(script, ("relay-domain",)) == (PASS, "")


def test_texts_become_replies_on_the_wire() -> None:
    assert wired("250 a\n250 b\n250 c") == b"250-a\r\n250-b\r\n250 c\r\n"
    assert stuff(b".a\r\n.b") == b"..a\r\n..b\r\n"
    assert unstuff(b"..a\r\n..b\r\n") == b".a\r\n.b\r\n"
    assert stuff(b"") == b""
